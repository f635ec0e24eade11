"""One self-contained page for an explanation: no network access, our own script, light and dark."""

from __future__ import annotations

import html
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import torch

from graphkit.core.errors import GraphKitError
from graphkit.explain.canvas import PALETTE
from graphkit.explain.carriers import carriers_sentence
from graphkit.explain.drawing import caption
from graphkit.explain.images import image_shape, images_of, png
from graphkit.explain.layout import Layout, lay_out
from graphkit.explain.measures import changed
from graphkit.explain.molecules import ELEMENTS

if TYPE_CHECKING:
    from graphkit.explain.explanation import Explanation
    from graphkit.explain.naming import Names

#: Numbers that the model may read to say what it would answer with fewer edges.
BUDGET = 400_000_000


def render(explanation: Explanation, max_nodes: int = 60, compare: Explanation | None = None) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    explanation : Explanation
    max_nodes : int
    compare : Explanation, optional
        Of the same target by another method, shown beside it: one slider moves both.

    Returns
    -------
    str
        The same for the same explanations.

    Raises
    ------
    GraphKitError
        If ``compare`` explains something else.
    """
    shown = [explanation] if compare is None else [explanation, check_alike(explanation, compare)]
    record = content(shown, lay_out(explanation, max_nodes, compare))
    # Inside <script>, "<" could end the element; the escape means the same to JSON.
    data = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {name: _read(f"page.{name}") for name in ("html", "css", "js")}
    template = parts["html"].replace("{{css}}", parts["css"]).replace("{{js}}", parts["js"])
    return template.replace("{{title}}", html.escape(record["title"])).replace("{{data}}", data)


def check_alike(explanation: Explanation, other: Explanation) -> Explanation:
    """Return ``other`` if both explain one answer of one graph, so that they can stand side by side.

    Raises
    ------
    GraphKitError
        Saying what differs.
    """
    if other.target != explanation.target:
        raise GraphKitError(f"compare explains {other.target}; expected an explanation of {explanation.target}")
    if other.prediction.reading != explanation.prediction.reading:
        said = [_answer_name(e) for e in (other, explanation)]
        raise GraphKitError(f"compare explains the answer {said[0]!r}; expected the answer {said[1]!r}")
    if not (torch.equal(other.edges, explanation.edges) and torch.equal(other.nodes, explanation.nodes)):
        raise GraphKitError(
            f"compare was asked on another graph or part of it ({len(other.nodes)} nodes, {other.num_edges} edges); "
            f"expected {len(explanation.nodes)} nodes and {explanation.num_edges} edges"
        )
    return other


def _read(name: str) -> str:
    return resources.files("graphkit.explain").joinpath(name).read_text(encoding="utf-8")


def content(shown: list[Explanation], layout: Layout) -> dict[str, Any]:
    """Return what the page shows, as JSON values: one picture, and one panel for each explanation.

    Parameters
    ----------
    shown : list of Explanation
        One, or two that :func:`check_alike` lets pass.
    layout : Layout
    """
    first, names = shown[0], shown[0].names
    classes = sorted({c for c in _column(first.node_classes, layout.nodes, -1) if c >= 0})
    sizes = _sizes(first, layout, len(shown))
    images = images_of(first, layout.nodes)
    return {
        "title": f"Why {first.target}?",
        "summary": first.summary(),
        "truth": _truth(first),
        "pair": first.target.kind == "pair",
        "answer": _answer_name(first),
        "value": first.prediction.value,
        "regression": first.prediction.reading.mode == "regression",
        "probabilities": _probabilities(first),
        "caption": caption(first, layout),
        "carried": carriers_sentence(first) if first.target.kind == "pair" and first.num_edges else "",
        "nodes": _nodes(first, layout),
        "edges": [[*ends, int(two)] for ends, two in zip(layout.ends.tolist(), layout.two_way, strict=True)],
        "roots": layout.roots,
        "aspect": layout.aspect,
        "bonds": None if layout.aspect is None else [layout.molecule.orders[i] for i in layout.edges],
        "images": None if images is None else [png(image) for image in images],
        "classes": [[c, names.of_kind(c), _colour(c, names, layout.aspect is not None)] for c in classes],
        "edge_total": first.num_edges,
        "sizes": sizes,
        "panels": [_panel(explanation, layout, sizes) for explanation in shown],
    }


def _colour(kind: int, names: Names, atoms: bool) -> str:
    """Return the colour of a class; of an element, that which chemists know, none for carbon."""
    return ELEMENTS.get(names.of_kind(kind), "") if atoms else PALETTE[kind % len(PALETTE)]


def _panel(explanation: Explanation, layout: Layout, sizes: list[int]) -> dict[str, Any]:
    """Return what one method says: its drawn edges best first, weights, features, and answers with fewer edges."""
    features = explanation.top_features(14)
    features = features[features.importance > 0]
    weight = explanation.edge_mask[explanation.edges[layout.edges]] if layout.edges else torch.zeros(0)
    order = torch.sort(weight, descending=True, stable=True).indices.tolist()
    effect = _column(explanation.effect, layout.edges, 0.0)
    ids = explanation.nodes[layout.nodes]
    top = _column(explanation.node_top, layout.nodes, [])
    shape = image_shape(explanation.names.features)
    mask = explanation.feat_mask
    heat = shape is not None and mask is not None and len(mask) == shape[0] * shape[1] and float(mask.max()) > 0
    return {
        "method": explanation.method,
        "notes": _notes(explanation),
        "signed": explanation.effect is not None,
        "order": order,
        "weight": [_short(w) for w in weight.tolist()],
        "effect": [_short(w) for w in effect] if explanation.effect is not None else None,
        "node_weight": [_short(w) for w in explanation.node_mask[ids].tolist()],
        "node_features": [[explanation.names.of_feature(f) for f in row if f >= 0] for row in top],
        "features": [
            [name, _short(value)] for name, value in zip(features.name, features.importance.tolist(), strict=True)
        ],
        "feature_count": 0 if mask is None else len(mask),
        "heat": png((mask / mask.max()).double().numpy().reshape(shape)) if heat else None,
        "curve": _curve(explanation, layout, sizes, order),
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _notes(explanation: Explanation) -> list[str]:
    """Return what the method says of itself."""
    return [part["note"] for part in explanation.info.values() if isinstance(part, dict) and "note" in part]


def _column(values: Any, rows: list[int], default: Any) -> list[Any]:
    return [default] * len(rows) if values is None else values[rows].tolist()


def _answer_name(explanation: Explanation) -> str:
    if explanation.target.kind == "pair":
        return "link" if explanation.prediction.reading.label else "no link"
    return explanation.names.of_class(explanation.prediction.reading.label)


def _truth(explanation: Explanation) -> str:
    true = explanation.prediction.true_label
    if true is None:
        return ""
    if explanation.prediction.reading.mode == "regression":
        return f"The dataset says {true:.4g}."
    name = explanation.names.of_class(int(true))
    return f"The dataset says {name} too." if true == explanation.prediction.answer else f"The dataset says {name}."


def _probabilities(explanation: Explanation) -> list[list[Any]]:
    table = explanation.prediction.probabilities
    if explanation.target.kind == "pair" and len(table) == 2:
        named = list(zip(["no link", "link"], table, strict=True))
    else:
        named = [(explanation.names.of_class(c), p) for c, p in enumerate(table)]
    best = sorted(named, key=lambda item: -item[1])[:5]
    return [[name, round(p, 6)] for name, p in best]


def _nodes(explanation: Explanation, layout: Layout) -> list[dict[str, Any]]:
    ids = explanation.nodes[layout.nodes].tolist()
    classes = _column(explanation.node_classes, layout.nodes, -1)
    hops = explanation.hops[layout.nodes].tolist()
    atoms = None if layout.molecule is None else layout.molecule.symbols
    return [
        {
            "id": ids[i],
            "name": explanation.names.of_node(ids[i]) if atoms is None else atoms[layout.nodes[i]],
            "x": round(float(layout.where[i, 0]), 4),
            "y": round(float(layout.where[i, 1]), 4),
            "c": classes[i],
            "class": explanation.names.of_kind(classes[i]) if classes[i] >= 0 else "",
            "hops": hops[i] if layout.roots else -1,
        }
        for i in range(len(ids))
    ]


def _sizes(explanation: Explanation, layout: Layout, panels: int) -> list[int]:
    """Return how many edges each position of the slider keeps: all numbers, or fewer where the model is slow."""
    question, drawn = explanation.question, len(layout.edges)
    if question is None or drawn == 0:
        return list(range(drawn + 1))
    cost = question.num_nodes * max(16, question.batch.feat[:1].numel()) + 64 * question.num_edges
    points = int(min(drawn + 1, max(8, min(80, BUDGET // (2 * panels * cost)))))
    if points > drawn:
        return list(range(drawn + 1))
    return sorted({round(float(x)) for x in torch.linspace(0, drawn**0.5, points).square()} | {0, 1, drawn})


def _curve(explanation: Explanation, layout: Layout, sizes: list[int], order: list[int]) -> list[list[float]]:
    """Return, for each size k, ``[p with only the best k drawn edges, p without them]`` and whether the answer stays.

    Empty for an explanation that was loaded without its model.
    """
    question = explanation.question
    if question is None or not layout.edges:
        return []
    kept = torch.zeros(len(sizes), question.num_groups, dtype=torch.bool)
    groups = explanation.group[layout.edges][order]
    for row, size in enumerate(sizes):
        kept[row, groups[:size]] = True
    only, same_only = changed(question, kept)
    without, same_without = changed(question, ~kept)
    rows = zip(only.tolist(), without.tolist(), same_only.tolist(), same_without.tolist(), strict=True)
    return [[round(a, 5), round(b, 5), int(c), int(d)] for a, b, c, d in rows]
