"""Pictures of explanations by Matplotlib."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from graphkit.core.errors import GraphKitError, unknown
from graphkit.explain.canvas import PALETTE, SUPPORT, classes_of, draw_graph, name_nodes
from graphkit.explain.images import image_shape, images_of
from graphkit.explain.layout import Layout, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from graphkit.explain.explanation import Explanation


def figure(explanation: Explanation, k: int | None = None, max_nodes: int = 60) -> Figure:
    """Return the picture: the subgraph around the target and, where features are scored, their bars.

    Molecules are drawn as molecules, nodes that are pictures as little images.

    Parameters
    ----------
    explanation : Explanation
    k : int, optional
        How many of the weightiest edges are drawn strong; all by their importance when None.
    max_nodes : int

    Raises
    ------
    GraphKitError
        If ``k`` is below 0, or ``max_nodes`` below 1.
    """
    from matplotlib.figure import Figure

    if k is not None and k < 0:
        raise GraphKitError(f"k is {k}; expected 0 or more edges")
    layout = lay_out(explanation, max_nodes)
    features = explanation.top_features(12)
    features = features[features.importance > 0]
    wide = len(features) > 0
    made = Figure(figsize=(11.5 if wide else 7.5, 6.2), layout="constrained", facecolor="white")
    grid = made.add_gridspec(1, 2 if wide else 1, width_ratios=[2.1, 1] if wide else None)
    axes = made.add_subplot(grid[0])
    draw_graph(axes, explanation, layout, k)
    _frame(axes, explanation, layout)
    if wide:
        side = grid[1].subgridspec(1, 1)
        pictures = images_of(explanation, layout.nodes[:1] if not layout.roots else [layout.nodes[layout.roots[0]]])
        if pictures is not None:
            side = grid[1].subgridspec(2, 1, height_ratios=[1, 1.5])
            _draw_pixels(made, side[0].subgridspec(1, 2), explanation, pictures[0])
        features = features[: 12 if pictures is None else 6]
        _draw_bars(made.add_subplot(side[-1]), features.name.tolist(), features.importance.tolist())
    made.draw_without_rendering()  # names go where there is room once everything else has its place
    name_nodes(axes, explanation, layout)
    return made


def write_picture(made: Figure, path: Path) -> None:
    """Write a picture whole or not at all; the suffix of ``path`` decides the format.

    Raises
    ------
    GraphKitError
        If Matplotlib writes no such format, or the file cannot be written.
    """
    from graphkit.fit.folder import write_atomic

    known = made.canvas.get_supported_filetypes()
    kind = path.suffix.removeprefix(".").lower()
    if kind not in known:
        raise unknown("format of pictures", path.suffix or path.name, [f".{name}" for name in known])
    write_atomic(path, lambda file: made.savefig(file, format=kind, dpi=160, bbox_inches="tight"))


def caption(explanation: Explanation, layout: Layout) -> str:
    """Return one sentence on what is drawn."""
    drawn, nodes = len(layout.edges), len(layout.nodes)
    if explanation.num_edges == 0:
        alone = explanation.target.kind != "graph" and len(explanation.nodes) == len(layout.roots)
        return "No edge can matter" + (": the answer is computed from the target alone." if alone else ".")
    if nodes == len(explanation.nodes) and drawn == explanation.num_edges:
        if layout.aspect is not None:
            return f"The whole molecule: {_count(nodes, 'atom')} and {_count(drawn, 'bond')}."
        return f"All {_count(nodes, 'node')} and {_count(drawn, 'edge')} that the answer is computed from."
    rule = "those joined to the target by" if layout.roots else "those with"
    return (
        f"{nodes} of {len(explanation.nodes)} nodes and {drawn} of {explanation.num_edges} edges that can matter: "
        f"{rule} the weightiest edges."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _frame(axes: Axes, explanation: Explanation, layout: Layout) -> None:
    axes.set_axis_off()
    axes.set_title("\n".join(textwrap.wrap(explanation.summary(), 62)), loc="left", fontsize=12, fontweight="bold")
    note = caption(explanation, layout)
    if explanation.effect is not None and layout.edges:
        note += " Blue edges support the answer, red ones oppose it."
    axes.text(
        0, -0.02, "\n".join(textwrap.wrap(f"{explanation.method}. {note}", 92)), transform=axes.transAxes,
        va="top", fontsize=8.5, color="#4b5563",
    )  # fmt: skip
    if layout.aspect is None:
        _legend(axes, explanation, sorted({c for c in classes_of(explanation, layout) if c >= 0}))


def _legend(axes: Axes, explanation: Explanation, classes: list[int]) -> None:
    from matplotlib.lines import Line2D

    if not 1 < len(classes) <= len(PALETTE):
        return
    dots = [Line2D([], [], marker="o", linestyle="", color=PALETTE[c % len(PALETTE)]) for c in classes]
    names = [textwrap.shorten(explanation.names.of_kind(c), 24, placeholder="…") for c in classes]
    axes.legend(dots, names, fontsize=8, frameon=False, loc="best", ncols=1 + len(classes) // 6)


def _draw_pixels(made: Figure, grid, explanation: Explanation, picture: np.ndarray) -> None:
    """Draw what the target is, and how much each of its pixels weighs."""
    shape = image_shape(explanation.names.features)
    shown = {
        str(explanation.target): (picture, "gray_r"),
        "importance": (explanation.feat_mask.numpy().reshape(shape), "Blues"),
    }
    for number, (name, (values, colours)) in enumerate(shown.items()):
        axes = made.add_subplot(grid[number])
        axes.imshow(values, cmap=colours, vmin=0)
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#c4c9d1")


def _draw_bars(axes: Axes, names: list[str], values: list[float]) -> None:
    names = [textwrap.shorten(name, 26, placeholder="…") for name in names]
    rows = np.arange(len(names))[::-1]
    axes.barh(rows, values, color=SUPPORT, height=0.62, alpha=0.85)
    axes.set_yticks(rows, names, fontsize=9)
    axes.set_ylim(-0.7 - max(0, 5 - len(names)), len(names) - 0.3)  # few bars are no thicker than many
    axes.set_title("Features that weigh most", loc="left", fontsize=11)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
