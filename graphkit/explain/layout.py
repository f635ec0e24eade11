"""Which part of an explanation is drawn, and where its nodes go."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphkit.core.errors import GraphKitError
from graphkit.explain.molecules import Molecule, molecule_of

if TYPE_CHECKING:
    from graphkit.explain.explanation import Explanation

#: At most this many edges are drawn, the weightiest.
MAX_EDGES = 240


@dataclass
class Layout:
    """The drawn part of an explanation.

    Parameters
    ----------
    nodes : list of int
        Positions in ``explanation.nodes``.
    edges : list of int
        Positions in ``explanation.edges``, one for each group, by importance, best first.
    ends : ndarray
        Row in ``nodes`` of both ends of each drawn edge, int64 ``[drawn edges, 2]``.
    roots : list of int
        Rows in ``nodes`` of the target's nodes.
    where : ndarray
        float64 ``[drawn nodes, 2]`` in the unit square, y down.
    two_way : list of bool
        Whether each drawn edge stands for both directions.
    aspect : float or None
        Width over height where the drawing must keep its shape, as molecules must.
    molecule : Molecule or None
        What the nodes are, where the graph is a molecule.
    """

    nodes: list[int]
    edges: list[int]
    ends: np.ndarray
    roots: list[int]
    where: np.ndarray
    two_way: list[bool]
    aspect: float | None = None
    molecule: Molecule | None = None


def lay_out(explanation: Explanation, max_nodes: int = 60, beside: Explanation | None = None) -> Layout:
    """Choose at most ``max_nodes`` nodes, grown from the target along the weightiest edges, and place them.

    A molecule of up to 150 atoms is drawn whole, where RDKit puts its atoms.

    Parameters
    ----------
    explanation : Explanation
    max_nodes : int
    beside : Explanation, optional
        Of the same target by another method: an edge weighs what it weighs by either, each by its own largest.

    Returns
    -------
    Layout
        The same for the same explanation.

    Raises
    ------
    GraphKitError
        If ``max_nodes`` is below 1.
    """
    if max_nodes < 1:
        raise GraphKitError(f"max_nodes is {max_nodes}; expected at least 1")
    nodes = explanation.nodes.numpy()
    best, importance = _ranked(explanation, beside)
    ends = np.searchsorted(nodes, np.stack([explanation.src.numpy()[best], explanation.dst.numpy()[best]], 1))
    roots = _roots(explanation, nodes)
    molecule = molecule_of(explanation)
    limit = len(nodes) if molecule is not None and molecule.where is not None else max(max_nodes, len(roots))
    chosen = sorted(_grow(ends, importance, roots, len(nodes), limit))
    row = np.full(len(nodes), -1)
    row[chosen] = np.arange(len(chosen))
    drawn = (row[ends] >= 0).all(1).nonzero()[0][:MAX_EDGES] if len(ends) else np.zeros(0, dtype=np.int64)
    inside = row[ends[drawn]].reshape(-1, 2)
    root_rows = [int(row[r]) for r in roots]
    counts = np.bincount(explanation.group.numpy(), minlength=1)
    made = Layout(
        nodes=[int(i) for i in chosen],
        edges=[int(i) for i in best[drawn]],
        ends=inside,
        roots=root_rows,
        where=np.zeros((len(chosen), 2)),
        two_way=[bool(counts[int(explanation.group[i])] > 1) for i in best[drawn]],
        molecule=molecule,
    )
    if molecule is None or molecule.where is None:
        made.where = _place(len(chosen), inside, root_rows)
    else:
        low, high = molecule.where.min(0), molecule.where.max(0)
        room = np.maximum(high - low, 0.35 * max(1.0, float((high - low).max())))
        made.where, made.aspect = (molecule.where - (low + high) / 2) / room + 0.5, float(room[0] / room[1])
    return made


def _ranked(explanation: Explanation, beside: Explanation | None) -> tuple[np.ndarray, np.ndarray]:
    """Return one edge of each group, best first, and what each weighs."""
    best = explanation._first_of_groups().numpy()
    importance = explanation.edge_mask[explanation.edges].numpy()[best]
    if beside is None:
        return best, importance
    other = beside.edge_mask[beside.edges].numpy()[best]
    most = [max(1e-12, float(weights.max(initial=0))) for weights in (importance, other)]
    both = np.maximum(importance / most[0], other / most[1])
    order = np.argsort(-both, kind="stable")
    return best[order], both[order]


def _roots(explanation: Explanation, nodes: np.ndarray) -> list[int]:
    target = explanation.target
    if target.kind in {"node", "pair"}:
        ids = list(dict.fromkeys(target.ids))
    elif target.kind == "edge" and explanation.graph is not None:
        ends = explanation.graph.find_edges(target.ids[0])
        ids = list(dict.fromkeys(int(end) for end in ends))
    else:
        ids = []
    return [int(i) for i in np.searchsorted(nodes, ids)]


def _grow(ends: np.ndarray, importance: np.ndarray, roots: list[int], total: int, limit: int) -> set[int]:
    """Take the weightiest edge that leaves the chosen nodes, again and again; start anew where none is left."""
    if total <= limit:
        return set(range(total))
    touching: list[list[int]] = [[] for _ in range(total)]
    for number, (u, v) in enumerate(ends.tolist()):
        touching[u].append(number)
        touching[v].append(number)
    chosen: set[int] = set()
    heap: list[tuple[float, int, int]] = []
    starts = [*roots, *(int(u) for u in ends[:, 0])] or list(range(total))
    for start in starts:
        queue = [start]
        while queue or heap:
            node = queue.pop() if queue else heapq.heappop(heap)[2]
            if node in chosen:
                continue
            chosen.add(node)
            if len(chosen) >= limit:
                return chosen
            for number in touching[node]:
                u, v = ends[number].tolist()
                heapq.heappush(heap, (-float(importance[number]), number, v if u == node else u))
            queue = [root for root in roots if root not in chosen][:1]
    return chosen


def _place(size: int, ends: np.ndarray, roots: list[int]) -> np.ndarray:
    """Return places in the unit square: Kamada-Kawai, turned so that the long side lies flat, overlaps pushed apart."""
    import networkx

    if size <= 1:
        return np.full((size, 2), 0.5)
    graph = networkx.Graph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from(ends.tolist())
    # Parts that no drawn edge joins are kept near by lines that are not drawn.
    parts = sorted(networkx.connected_components(graph), key=lambda part: (not part & set(roots), min(part)))
    anchor = roots[0] if roots else min(parts[0])
    joins = [(anchor, next((r for r in roots if r in part), min(part))) for part in parts if anchor not in part]
    graph.add_edges_from(joins, weight=1.6)
    placed = networkx.kamada_kawai_layout(graph, weight="weight")
    where = np.array([placed[i] for i in range(size)])
    where = where - where.mean(0)
    _, _, axes = np.linalg.svd(where, full_matrices=False)
    where = where @ (axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]).T
    return _spread(_unit(where))


def _unit(where: np.ndarray) -> np.ndarray:
    low, high = where.min(0), where.max(0)
    width = high - low
    flat = np.where(width < 0.15 * width.max(), width.max() + 1e-9, width)  # do not blow a line up into a square
    return (where - (low + high) / 2) / flat + 0.5


def _spread(where: np.ndarray, rounds: int = 60) -> np.ndarray:
    """Push nodes apart that lie closer than a fraction of the room that each would have in a grid."""
    least = 0.62 / np.sqrt(len(where))
    for _ in range(rounds):
        gap = where[:, None] - where[None]
        far = np.linalg.norm(gap, axis=-1)
        np.fill_diagonal(far, np.inf)
        # Nodes in one place have no direction to go: give each its own.
        turn = np.arange(len(where)) * 2.399963
        gap = np.where((far < 1e-9)[..., None], np.stack([np.cos(turn), np.sin(turn)], 1)[:, None], gap)
        push = np.clip(least - far, 0, None) / np.maximum(far, 1e-6)
        where = where + 0.3 * (gap * np.minimum(push, 1)[..., None]).sum(1)
    return _unit(where)
