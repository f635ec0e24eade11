"""Simplicial closure: which nodes, joined in pairs only, meet in one simplex next (PNAS 2018), 1802.06916."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.analysis.simplex_past import Past, entries_of
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.graphs.hypergraph import is_hypergraph
from graphkit.graphs.simplicial import between, member_lists, subsets

if TYPE_CHECKING:
    import pandas as pd


def cut_time(times: Any, share: float) -> int:
    """Return the time up to which ``share`` of the simplices lie: the interpolated quantile, rounded.

    Parameters
    ----------
    times : array_like
        ``[M]``.
    share : float
        In (0, 1].

    Raises
    ------
    GraphKitError
        If there are no times, or the share is out of range.

    Examples
    --------
    >>> cut_time([1, 2, 3, 4, 10], 0.8)
    5
    """
    times = np.asarray(times)
    if not len(times) or not 0 < share <= 1:
        raise GraphKitError(f"share={share} of {len(times)} times; expected a share in (0, 1] of one time or more")
    return int(np.rint(np.quantile(times, share)))


def _halves(graph: Any, share: float, end: float | None = None) -> tuple[Past, np.ndarray, np.ndarray]:
    """Return the past, and where the later simplices begin, and their members."""
    graph = getattr(graph, "original", graph)
    if not is_hypergraph(graph) or "time" not in graph.nodes["hyperedge"].data:
        raise GraphKitError(
            "expected a hypergraph whose hyperedges have a field 'time', such as gk.load('email-enron').original or "
            f"graphkit.graphs.from_simplices makes, got {type(graph).__name__}"
        )
    times = graph.nodes["hyperedge"].data["time"].numpy()
    cut = cut_time(times, share)
    last = None if end is None or end >= 1 else cut_time(times, end)
    return Past(between(graph, end=cut)), *member_lists(between(graph, cut, last))


def _new_sets(past: Past, starts: np.ndarray, members: np.ndarray, size: int) -> np.ndarray:
    """Return the distinct sets of ``size`` old nodes that a later simplex holds."""
    found = subsets(starts, members, size)
    found = found[past.old[found].all(axis=1)]
    return np.unique(found, axis=0) if len(found) else found


def closure_table(graph: Any, size: int = 3, share: float = 0.8) -> pd.DataFrame:
    """Count the configurations of nodes that no simplex holds, and how many of each a later simplex does.

    Parameters
    ----------
    graph : dgl.DGLGraph or Dataset
        A hypergraph whose hyperedges have a ``time``.
    size : int, default 3
        3: by the strengths of the pairs. 4: those that hold a triangle, by the strengths of their triangles.
    share : float, default 0.8
        How much of the simplices is past; those at the very time of the cut are.

    Returns
    -------
    pandas.DataFrame
        ``configuration``, ``instances``, ``closures`` and ``probability``. Of size 3 the configuration has one digit
        for each pair, sorted: 0 for no simplex that holds it, 1 for one, 2 for more; of size 4 it is the number of
        edges and one digit for each triangle, as ``5-02``.

    Raises
    ------
    GraphKitError
        If it is no hypergraph with times, or has other sizes asked for.

    Examples
    --------
    >>> from graphkit.graphs import from_simplices
    >>> h = from_simplices([2, 2, 2, 2, 3], [0, 1, 1, 2, 0, 2, 2, 3, 0, 1, 2], [1, 2, 3, 4, 9])
    >>> table = closure_table(h)
    >>> table[table.instances > 0].values[:, :3].tolist()
    [['001', 1, 0], ['011', 2, 0], ['111', 1, 1]]
    """
    import pandas as pd

    if size not in (3, 4):
        raise GraphKitError(f"size={size!r}; expected 3 or 4 nodes")
    past, starts, members = _halves(graph, share)
    count = _count3 if size == 3 else _count4
    open_, closed = count(past, _new_sets(past, starts, members, size))
    rows = [(name, int(open_[name]), int(closed[name])) for name in open_]
    table = pd.DataFrame(rows, columns=["configuration", "instances", "closures"])
    table["probability"] = table.closures / table.instances.clip(lower=1)
    return table


def _digits(strengths: np.ndarray) -> np.ndarray:
    """Return sorted strengths, 2 for more, as one number to the base 3."""
    capped = np.sort(np.minimum(strengths, 2), axis=1)
    return (capped * 3 ** np.arange(capped.shape[1])[::-1]).sum(axis=1)


def _count3(past: Past, new: np.ndarray) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many triples of each configuration are open, and how many of them ``new`` closes."""
    nodes = int(past.old.sum())
    names = [f"{a}{b}{c}" for a in range(3) for b in range(a, 3) for c in range(b, 3)]
    codes = {name: int(name, 3) for name in names}
    kind = np.bincount(_digits(past.strengths(past.triangles)), minlength=27)
    shut = np.bincount(_digits(past.strengths(past.triangles[past.closed(past.triangles)])), minlength=27)
    strong = (past.weight > 1).astype(np.int64)
    many = np.asarray(strong.sum(axis=1)).reshape(-1)
    few = past.degree - many
    by_strength = {1: few, 2: many}
    found = {name: int(kind[codes[name]]) for name in names if name[0] != "0"}
    for a, b in ((1, 1), (1, 2), (2, 2)):  # two pairs that share a node, but no third pair
        first, second = by_strength[a], by_strength[b]
        wedges = int((first * (first - 1) // 2).sum() if a == b else (first * second).sum())
        found[f"0{a}{b}"] = wedges - sum(
            number * _pairs_in(name, a, b) for name, number in found.items() if name[0] != "0"
        )
    for a in (1, 2):  # one pair and a node beside it
        edges = int(by_strength[a].sum()) // 2
        rest = sum(number * name.count(str(a)) for name, number in found.items() if len(name) == 3)
        found[f"00{a}"] = edges * (nodes - 2) - rest
    found["000"] = nodes * (nodes - 1) * (nodes - 2) // 6 - sum(found.values())
    closes = new[~past.closed(new)] if len(new) else new
    closures = np.bincount(_digits(past.strengths(closes)), minlength=27)
    return (
        {name: found[name] - int(shut[codes[name]]) for name in names},
        {name: int(closures[codes[name]]) for name in names},
    )


def _pairs_in(name: str, a: int, b: int) -> int:
    """Return how many of the three pairs of edges of a triangle have the strengths ``a`` and ``b``."""
    one, other = name.count(str(a)), name.count(str(b))
    return one * (one - 1) // 2 if a == b else one * other


def _count4(past: Past, new: np.ndarray) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many sets of four with a triangle, of each configuration, are open, and how many ``new`` closes."""
    from graphkit._kernels.simplices import around_triangles

    pendant, shared, full = np.zeros((2, 3), np.int64), np.zeros((3, 3), np.int64), np.zeros(81, np.int64)
    arrays = past.weight.indptr.astype(np.int64), past.weight.indices.astype(np.int64), past.triangles
    about = past.triples, past.counts, int(past.old.sum()), past.size
    number = around_triangles(*arrays, *about, pendant, shared, full, np.empty((0, 4), np.int64))
    four = np.empty((number, 4), np.int64)
    around_triangles(*arrays, *about, *(np.zeros_like(x) for x in (pendant, shared, full)), four)
    held = np.unique(subsets(past.starts, past.members, 4), axis=0)
    full -= np.bincount(_digits(_triangle_strengths(past, four[_rows_in(four, held)])), minlength=81)
    open_ = {f"{3 + e}-{w}": int(pendant[e, w]) for e in (0, 1) for w in range(3)}
    open_ |= {f"5-{a}{b}": int(shared[a, b]) // 2 for a in range(3) for b in range(a, 3)}
    names = [
        f"{i:04d}" for i in range(2223) if set(f"{i:04d}") <= set("012") and sorted(f"{i:04d}") == list(f"{i:04d}")
    ]
    open_ |= {f"6-{name}": int(full[int(name, 3)]) for name in names}
    closures = dict.fromkeys(open_, 0)
    new = new[~_rows_in(new, held)] if len(new) else new
    for name, times in zip(*np.unique(_names4(past, new), return_counts=True), strict=True):
        if name:
            closures[str(name)] = int(times)
    return open_, closures


_CORNERS = ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3))


def _triangle_strengths(past: Past, four: np.ndarray) -> np.ndarray:
    """Return by how many simplices the four triples of each set are held, int64 ``[K, 4]``."""
    columns = []
    for corners in _CORNERS:
        code = past.code(four[:, corners])
        place = np.searchsorted(past.triples, code).clip(max=max(len(past.triples) - 1, 0))
        hit = past.triples[place] == code if len(past.triples) else np.zeros(len(code), bool)
        columns.append(np.where(hit, past.counts[place] if len(past.triples) else 0, 0))
    return np.stack(columns, axis=1)


def _names4(past: Past, four: np.ndarray) -> np.ndarray:
    """Return the configuration of each set of four, an empty string for those without a triangle."""
    joined = {(a, b): entries_of(past.weight, four[:, a], four[:, b]) > 0 for a in range(4) for b in range(a + 1, 4)}
    edges = sum(value.astype(np.int64) for value in joined.values())
    corners = [joined[a, b] & joined[a, c] & joined[b, c] for a, b, c in _CORNERS]
    capped = np.sort(np.minimum(_triangle_strengths(past, four), 2), axis=1).astype(str)
    names = np.full(len(four), "", dtype="<U6")
    for count, digits in ((3, 1), (4, 1), (5, 2), (6, 4)):
        chosen = (edges == count) & np.any(corners, axis=0)
        names[chosen] = [f"{count}-" + "".join(row[4 - digits :]) for row in capped[chosen]]
    return names


def _rows_in(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Say which rows stand in a table, bool ``[K]``."""
    if not len(rows) or not len(table):
        return np.zeros(len(rows), bool)
    both = [
        np.ascontiguousarray(x.astype(np.int64)).view([("", np.int64)] * x.shape[1]).reshape(-1) for x in (rows, table)
    ]
    return np.isin(both[0], both[1])


@dataclass
class OpenTriangles:
    """The question of higher-order link prediction: which open triangles of the past close?

    Parameters
    ----------
    triangles : Tensor
        int64 ``[T, 3]``, sorted: joined in pairs, never in one simplex.
    label : Tensor
        int64 ``[T]``: 1 for those that a later simplex holds.
    past : Past
        What scores may read.

    Examples
    --------
    >>> from graphkit.graphs import from_simplices
    >>> asked = open_triangles(from_simplices([2, 2, 2, 3], [0, 1, 1, 2, 0, 2, 0, 1, 2], [1, 2, 3, 9]), 0.7)
    >>> asked.triangles.tolist(), asked.label.tolist()
    ([[0, 1, 2]], [1])
    """

    triangles: Tensor
    label: Tensor
    past: Past

    @property
    def rate(self) -> float:
        """The share that closes: the average precision of guessing."""
        return float(self.label.double().mean()) if len(self.label) else 0.0

    def evaluate(self, score: Any) -> dict[str, float]:
        """Return the average precision of a score ``[T]``, equal scores taken together, and its lift over guessing.

        Raises
        ------
        GraphKitError
            If there is not one finite score for each triangle, or none closes.
        """
        from sklearn.metrics import average_precision_score

        score = np.asarray(score, dtype=np.float64)
        if score.shape != (len(self.label),) or not np.isfinite(score).all():
            raise GraphKitError(
                f"score has shape {score.shape}; expected one finite number for {len(self.label)} triangles"
            )
        if not self.rate:
            raise GraphKitError(f"none of {len(self.label)} open triangles closes, so there is nothing to rank")
        precision = float(average_precision_score(self.label.numpy(), score))
        return {"ap": precision, "lift": precision / self.rate}


def open_triangles(graph: Any, share: float = 0.8, end: float | None = None) -> OpenTriangles:
    """Return the open triangles of the past, and which of them close later.

    Parameters
    ----------
    graph : dgl.DGLGraph or Dataset
        A hypergraph whose hyperedges have a ``time``.
    share : float, default 0.8
        How much of the simplices is past.
    end : float, optional
        The share up to which later simplices count; all when None.

    Returns
    -------
    OpenTriangles

    Raises
    ------
    GraphKitError
        If it is no hypergraph with times.

    Examples
    --------
    >>> from graphkit.graphs import from_simplices
    >>> len(open_triangles(from_simplices([3, 2], [0, 1, 2, 0, 1], [1, 2])).label)
    0
    """
    past, starts, members = _halves(graph, share, end)
    found = past.triangles[~past.closed(past.triangles)]
    new = _new_sets(past, starts, members, 3)
    label = np.isin(past.code(found), past.code(new)) if len(new) else np.zeros(len(found), bool)
    return OpenTriangles(torch.from_numpy(found), torch.from_numpy(label.astype(np.int64)), past)


def higher_order_links(graph: Any, scores: Any = None, share: float = 0.8) -> pd.DataFrame:
    """Rank the open triangles of the past by each score, and say how well that finds those that close.

    Parameters
    ----------
    graph : dgl.DGLGraph or Dataset
        A hypergraph whose hyperedges have a ``time``.
    scores : sequence of str, optional
        Names of :data:`~graphkit.analysis.closure_scores.SCORES`, and ``logistic``, which learns from the triangles
        that were open earlier; all that take seconds when None.
    share : float, default 0.8

    Returns
    -------
    pandas.DataFrame
        ``score``, ``ap`` and ``lift`` (over guessing), the best first; the rate is in ``attrs``.

    Raises
    ------
    GraphKitError
        If a score is unknown, or nothing closes.

    Examples
    --------
    >>> from graphkit.graphs import from_simplices
    >>> h = from_simplices([2, 2, 2, 2, 2, 3], [0, 1, 1, 2, 0, 2, 2, 3, 3, 1, 0, 1, 2], [1, 2, 3, 4, 5, 9])
    >>> higher_order_links(h, ["harmonic"]).lift.tolist()
    [1.0]
    """
    import pandas as pd

    from graphkit.analysis.closure_scores import QUICK, SCORES, learned_score, triangle_scores

    names = list(QUICK) if scores is None else list(scores)
    for name in names:
        check_choice("score", name, [*SCORES, "logistic"])
    asked = open_triangles(graph, share)
    rows = []
    for name in names:
        made = learned_score(graph, asked, share) if name == "logistic" else triangle_scores(asked, name)
        rows.append({"score": name, **asked.evaluate(made)})
    table = pd.DataFrame(rows).sort_values("lift", ascending=False, ignore_index=True, kind="stable")
    table.attrs = {"rate": asked.rate, "triangles": len(asked.label)}
    return table
