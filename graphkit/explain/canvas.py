"""The subgraph of an explanation drawn by Matplotlib: dots, little images or atoms, edges by importance, names."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.explain.images import images_of
from graphkit.explain.layout import Layout
from graphkit.explain.molecules import ELEMENTS, Molecule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from graphkit.explain.explanation import Explanation

#: Colours of classes, told apart by most eyes; further classes begin again.
PALETTE = ("#4477aa", "#ee9a3a", "#228855", "#cc5577", "#7a63b8", "#2ba8b8", "#a0892c", "#8c564b", "#6b7a8f", "#b04ea8")
SUPPORT, OPPOSE, FAINT, INK, GREY = "#1f6feb", "#c93a48", "#aab2bd", "#111827", "#8a94a3"


def draw_graph(axes: Axes, explanation: Explanation, layout: Layout, k: int | None) -> None:
    """Draw the laid-out part of an explanation, the ``k`` weightiest edges strong (all by importance when None).

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    explanation : Explanation
    layout : Layout
    k : int, optional
    """
    where = layout.where * [layout.aspect or 1.0, -1]
    importance = explanation.edge_mask[explanation.edges[layout.edges]].numpy() if layout.edges else np.zeros(0)
    strength = importance / max(float(importance.max(initial=0)), 1e-12)
    kept = np.arange(len(strength)) < (len(strength) if k is None else k)
    effect = None if explanation.effect is None else explanation.effect[layout.edges].numpy()
    sign = np.ones(len(kept)) if effect is None else np.where(effect < 0, -1, 1)
    if layout.molecule is not None and layout.aspect is not None:
        axes.set_aspect("equal")
        _molecule(axes, layout.molecule, layout, where, (strength, kept, sign))
        axes.margins(0.1)
        return
    _edges(axes, where[layout.ends], strength, kept, sign, layout)
    images = images_of(explanation, layout.nodes)
    classes = classes_of(explanation, layout)
    colours = [PALETTE[c % len(PALETTE)] if c >= 0 else GREY for c in classes]
    if images is None:
        sizes = [420 if i in layout.roots else 150 for i in range(len(where))]
        rims = [INK if i in layout.roots else "white" for i in range(len(where))]
        axes.scatter(where[:, 0], where[:, 1], s=sizes, c=colours, edgecolors=rims, linewidths=2, zorder=3)
    else:
        _images(axes, images, where, colours, layout.roots)
    axes.margins(0.07)


def classes_of(explanation: Explanation, layout: Layout) -> list[int]:
    """Return the class of each drawn node, -1 where it has none."""
    if explanation.node_classes is None:
        return [-1] * len(layout.nodes)
    return explanation.node_classes[layout.nodes].tolist()


def _edges(
    axes: Axes, lines: np.ndarray, strength: np.ndarray, kept: np.ndarray, sign: np.ndarray, layout: Layout
) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    axes.add_collection(LineCollection(lines[~kept], colors=FAINT, linewidths=0.8, linestyles="dotted", zorder=1))
    for which, colour in ((1, SUPPORT), (-1, OPPOSE)):
        mine = kept & (sign == which)
        tones = [to_rgba(colour, 0.18 + 0.82 * float(x)) for x in strength[mine]]
        axes.add_collection(LineCollection(lines[mine], colors=tones, linewidths=0.7 + 4.3 * strength[mine], zorder=2))
        for i in np.flatnonzero(mine & ~np.array(layout.two_way, dtype=bool)):
            tone = to_rgba(colour, 0.3 + 0.7 * float(strength[i]))
            big = 13 if layout.ends[i, 1] in layout.roots else 8
            axes.annotate(
                "", lines[i, 1], lines[i, 0], zorder=2,
                arrowprops={"arrowstyle": "-|>", "color": tone, "lw": 0, "shrinkB": big, "mutation_scale": 12},
            )  # fmt: skip


def _images(axes: Axes, images: np.ndarray, where: np.ndarray, colours: list[str], roots: list[int]) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    small = 20 if len(where) > 30 else 25
    for i, image in enumerate(images):
        size = 44 if i in roots else small
        grey = np.repeat(1 - image[..., None], 3, axis=2)  # colours, which no scale stretches
        little = OffsetImage(grey, zoom=size / max(image.shape), interpolation="nearest")
        frame = {"edgecolor": colours[i], "linewidth": 3 if i in roots else 2, "boxstyle": "round,pad=0.12"}
        box = AnnotationBbox(little, where[i], frameon=True, pad=0.12, bboxprops=frame, zorder=4 if i in roots else 3)
        axes.add_artist(box)
    axes.scatter(where[:, 0], where[:, 1], s=1, alpha=0)  # boxes do not move the limits


def _molecule(
    axes: Axes, molecule: Molecule, layout: Layout, where: np.ndarray, weights: tuple[np.ndarray, ...]
) -> None:
    """Draw atoms and bonds as chemists do, what weighs as a broad coloured line under each bond."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgb

    strength, kept, sign = weights
    lines = where[layout.ends]
    long = np.linalg.norm(lines[:, 0] - lines[:, 1], axis=1) if len(lines) else np.ones(1)
    step = 0.055 * float(np.median(long))
    wide = float(np.clip(120 / np.sqrt(len(where) + 20), 7, 20))
    order = np.flatnonzero(kept)[np.argsort(strength[kept], kind="stable")]  # the weightiest on top
    base = {1: np.array(to_rgb(SUPPORT)), -1: np.array(to_rgb(OPPOSE))}
    share = 0.1 + 0.6 * strength[order, None]
    tones = share * np.array([base[int(which)] for which in sign[order]]).reshape(-1, 3) + (1 - share)
    marks = LineCollection(
        lines[order], colors=tones, linewidths=wide * (0.5 + 0.5 * strength[order]), zorder=1, capstyle="round"
    )
    axes.add_collection(marks)
    for (start, end), edge in zip(lines, layout.edges, strict=True):
        along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
        side, bond = np.array([-along[1], along[0]]) * step, molecule.orders[edge]
        for number, shift in enumerate({1.0: (0,), 2.0: (-1, 1), 3.0: (-2, 0, 2)}.get(bond, (-1, 1))):
            dashes: Any = (0, (2, 2)) if bond == 1.5 and number else "solid"
            axes.plot(*np.stack([start, end] + shift * side).T, color="#3b4450", lw=1.5, ls=dashes, zorder=2)
    axes.scatter(where[:, 0], where[:, 1], s=1, alpha=0)
    for symbol, place in zip((molecule.symbols[i] for i in layout.nodes), where, strict=True):
        if symbol == "C" and len(where) > 1:
            continue
        axes.text(
            float(place[0]), float(place[1]), symbol, ha="center", va="center",
            fontsize=13 if len(where) <= 30 else 10, fontweight="bold",
            color=ELEMENTS.get(symbol, INK), zorder=3,
            bbox={"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )  # fmt: skip


def name_nodes(axes: Axes, explanation: Explanation, layout: Layout) -> None:
    """Write names of nodes where they fit: under a dot, over it or beside it; the target's first, then by weight.

    Called once the axes have their final place.
    """
    from matplotlib.patheffects import withStroke

    if layout.molecule is not None and layout.aspect is not None:
        return
    ids = explanation.nodes[layout.nodes]
    weight = explanation.node_mask[ids].tolist()
    pictures = images_of(explanation, layout.nodes) is not None
    scale = axes.figure.dpi / 72  # pixels to a point
    reach = [scale * _reach(i in layout.roots, pictures, len(ids)) for i in range(len(ids))]
    where = layout.where * [layout.aspect or 1.0, -1]
    dots = axes.transData.transform(where)
    taken = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(dots, reach, strict=True)]
    for i in sorted(range(len(ids)), key=lambda i: (i not in layout.roots, -weight[i], i)):
        root = i in layout.roots
        text = axes.annotate(
            textwrap.shorten(explanation.names.of_node(int(ids[i])), 18, placeholder="…"), where[i], (0, 0),
            textcoords="offset points", ha="left", va="bottom", fontsize=9.5 if root else 7.5, color=INK, zorder=5,
            fontweight="bold" if root else "normal", path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
        found = _settle(text, dots[i], reach[i], taken, i, root)
        if found is None:
            text.remove()
        else:
            text.xyann = tuple((found - dots[i]) / scale)


def _reach(root: bool, pictures: bool, count: int) -> float:
    """Return how far a node reaches from its middle, in points."""
    if pictures:
        return 27 if root else 17 if count <= 30 else 14
    return 11 if root else 7


def _settle(text: Any, dot: np.ndarray, reach: float, taken: list, own: int, must: bool) -> np.ndarray | None:
    """Return the lower left corner where a name covers nothing, in pixels; None where there is no such place."""
    box, (x, y), gap = text.get_window_extent(), dot, 2.5
    wide, high = box.width, box.height
    spots = [
        (x - wide / 2, y - reach - gap - high), (x - wide / 2, y + reach + gap),
        (x + reach + gap, y - high / 2), (x - reach - gap - wide, y - high / 2),
    ]  # fmt: skip
    page = text.figure.bbox
    for left, low in spots:
        here = (left, low, left + wide, low + high)
        inside = left >= page.x0 and here[2] <= page.x1 and low >= page.y0 and here[3] <= page.y1
        if inside and not any(_meet(here, other) for j, other in enumerate(taken) if j != own):
            break
    else:
        if not must:
            return None
        left, low = spots[0]
    taken.append((left, low, left + wide, low + high))
    return np.array([left, low])


def _meet(a: tuple, b: tuple) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
