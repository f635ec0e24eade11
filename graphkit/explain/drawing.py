"""Pictures of explanations by Matplotlib."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from graphkit.explain.layout import Layout, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graphkit.explain.explanation import Explanation

#: Colours of classes, told apart by most eyes; further classes begin again.
PALETTE = ("#4477aa", "#ee9a3a", "#228855", "#cc5577", "#7a63b8", "#2ba8b8", "#a0892c", "#8c564b", "#6b7a8f", "#b04ea8")
SUPPORT, OPPOSE, FAINT = "#1f6feb", "#d1495b", "#c4c9d1"


def figure(explanation: Explanation, k: int | None = None, max_nodes: int = 60) -> Figure:
    """Return the picture: the subgraph around the target and, where features are scored, their bars.

    Parameters
    ----------
    explanation : Explanation
    k : int, optional
        How many of the weightiest edges are drawn strong; all by their importance when None.
    max_nodes : int
    """
    from matplotlib.figure import Figure

    features = explanation.top_features(12)
    features = features[features.importance > 0]
    wide = len(features) > 0
    made = Figure(figsize=(11.5 if wide else 7.5, 6.2), layout="constrained", facecolor="white")
    axes = made.subplots(1, 2 if wide else 1, width_ratios=[2.1, 1] if wide else None, squeeze=False)[0]
    layout = lay_out(explanation, max_nodes)
    _draw_graph(axes[0], explanation, layout, k)
    if wide:
        _draw_bars(axes[1], features.name.tolist(), features.importance.tolist())
    return made


def caption(explanation: Explanation, layout: Layout) -> str:
    """Return one sentence on what is drawn."""
    drawn, nodes = len(layout.edges), len(layout.nodes)
    if nodes == len(explanation.nodes) and drawn == explanation.num_edges:
        return f"All {nodes} nodes and {drawn} edges that the answer is computed from."
    return (
        f"{nodes} of {len(explanation.nodes)} nodes and {drawn} of {explanation.num_edges} edges that can matter: "
        "those joined to the target by the weightiest edges."
    )


def _draw_graph(axes: Axes, explanation: Explanation, layout: Layout, k: int | None) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    where = layout.where * [1, -1]
    importance = explanation.edge_mask[explanation.edges[layout.edges]].numpy() if layout.edges else np.zeros(0)
    strength = importance / max(float(importance.max(initial=0)), 1e-12)
    kept = np.arange(len(strength)) < (len(strength) if k is None else k)
    effect = None if explanation.effect is None else explanation.effect[layout.edges].numpy()
    lines = where[layout.ends]
    axes.add_collection(LineCollection(lines[~kept], colors=FAINT, linewidths=0.8, linestyles="dotted", zorder=1))
    for sign, colour in ((1, SUPPORT), (-1, OPPOSE)):
        mine = kept & ((np.ones(len(kept)) if effect is None else np.where(effect < 0, -1, 1)) == sign)
        s = strength[mine]
        tones = [to_rgba(colour, 0.18 + 0.82 * float(x)) for x in s]
        axes.add_collection(LineCollection(lines[mine], colors=tones, linewidths=0.7 + 4.3 * s, zorder=2))
    classes = _classes(explanation, layout)
    colours = [PALETTE[c % len(PALETTE)] if c >= 0 else "#8a94a3" for c in classes]
    sizes = [420 if i in layout.roots else 150 for i in range(len(where))]
    rims = ["#111827" if i in layout.roots else "white" for i in range(len(where))]
    axes.scatter(where[:, 0], where[:, 1], s=sizes, c=colours, edgecolors=rims, linewidths=2, zorder=3)
    for i, (x, y) in enumerate(where):
        name = explanation.names.of_node(int(explanation.nodes[layout.nodes[i]]))
        big = i in layout.roots
        axes.annotate(
            textwrap.shorten(name, 18, placeholder="…"),
            (x, y),
            (0, -15 if big else -11),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9.5 if big else 7.5,
            fontweight="bold" if big else "normal",
            color="#111827",
            zorder=4,
        )
    axes.set_axis_off()
    axes.margins(0.06)
    axes.set_title("\n".join(textwrap.wrap(explanation.summary(), 62)), loc="left", fontsize=12, fontweight="bold")
    note = caption(explanation, layout)
    if effect is not None:
        note += " Blue edges support the answer, red ones oppose it."
    axes.text(
        0, -0.02, "\n".join(textwrap.wrap(f"{explanation.method}. {note}", 92)), transform=axes.transAxes,
        va="top", fontsize=8.5, color="#4b5563",
    )  # fmt: skip
    _legend(axes, explanation, sorted({c for c in classes if c >= 0}))


def _legend(axes: Axes, explanation: Explanation, classes: list[int]) -> None:
    from matplotlib.lines import Line2D

    if not 1 < len(classes) <= len(PALETTE):
        return
    dots = [Line2D([], [], marker="o", linestyle="", color=PALETTE[c % len(PALETTE)]) for c in classes]
    names = [textwrap.shorten(explanation.names.of_kind(c), 24, placeholder="…") for c in classes]
    axes.legend(dots, names, fontsize=8, frameon=False, loc="upper right", ncols=1 + len(classes) // 6)


def _classes(explanation: Explanation, layout: Layout) -> list[int]:
    if explanation.node_classes is None:
        return [-1] * len(layout.nodes)
    return explanation.node_classes[layout.nodes].tolist()


def _draw_bars(axes: Axes, names: list[str], values: list[float]) -> None:
    names = [textwrap.shorten(name, 26, placeholder="…") for name in names]
    rows = np.arange(len(names))[::-1]
    axes.barh(rows, values, color=SUPPORT, height=0.62, alpha=0.85)
    axes.set_yticks(rows, names, fontsize=9)
    axes.set_title("Features that weigh most", loc="left", fontsize=11)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
