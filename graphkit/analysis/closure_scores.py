"""Scores of open triangles: means of weights, neighbours in common, walks, walks over edges, and a learned one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    import scipy.sparse

    from graphkit.analysis.closure import OpenTriangles
    from graphkit.analysis.simplex_past import Past

#: Edges that the walk over edges inverts a dense matrix of.
MOST_EDGES = 12_000


def p_mean(strengths: np.ndarray, p: float) -> np.ndarray:
    """Return the mean of power p of each row: -inf the least, 0 the geometric, 1 the arithmetic, inf the largest.

    Parameters
    ----------
    strengths : ndarray
        Positive, ``[T, 3]``.
    p : float

    Returns
    -------
    ndarray
        ``[T]``.

    Examples
    --------
    >>> [round(float(p_mean(np.array([[1, 2, 4]]), p)[0]), 9) for p in (-np.inf, 0, np.inf)]
    [1.0, 2.0, 4.0]
    """
    rows = strengths.astype(np.float64)
    if np.isinf(p):
        return rows.max(axis=1) if p > 0 else rows.min(axis=1)
    if p == 0:
        return rows.prod(axis=1) ** (1 / rows.shape[1])
    return (rows**p).mean(axis=1) ** (1 / p)


def _common(past: Past, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return common neighbours of the pairs ``[T, 3]``, of all three ``[T]``, and the latter's sum of 1 / log d."""
    from graphkit._kernels.simplices import common_of_three

    count = len(triangles)
    pairs, triple, total = np.zeros((count, 3), np.int64), np.zeros(count, np.int64), np.zeros(count)
    value = 1 / np.log(np.maximum(past.degree, 2))  # of three nodes' neighbours, each has three
    arrays = past.weight.indptr.astype(np.int64), past.weight.indices.astype(np.int64)
    common_of_three(*arrays, np.ascontiguousarray(triangles), value, pairs, triple, total)
    return pairs, triple, total


def _jaccard(past: Past, triangles: np.ndarray) -> np.ndarray:
    pairs, triple, _ = _common(past, triangles)
    return triple / (past.degree[triangles].sum(axis=1) - pairs.sum(axis=1) + triple)


def _six(inverse: Callable[[np.ndarray], np.ndarray], triangles: np.ndarray, size: int) -> np.ndarray:
    """Return the sum of the six entries of a matrix that a triangle names; ``inverse`` gives columns, 512 at a time."""
    total = np.zeros(len(triangles))
    used = np.unique(triangles)
    for start in range(0, len(used), 512):
        chosen = used[start : start + 512]
        columns = inverse(chosen)  # [N, 512]
        place = np.full(size, -1)
        place[chosen] = np.arange(len(chosen))
        for a in range(3):
            here = place[triangles[:, a]]
            mine = here >= 0
            for b in range(3):
                if a != b:
                    total[mine] += columns[triangles[mine, b], here[mine]]
    return total


def _solver(matrix: scipy.sparse.csr_array) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that gives columns of the inverse."""
    import scipy.sparse.linalg

    size = matrix.shape[0]
    factors = scipy.sparse.linalg.splu(scipy.sparse.csc_matrix(matrix))

    def columns(ids: np.ndarray) -> np.ndarray:
        unit = np.zeros((size, len(ids)))
        unit[ids, np.arange(len(ids))] = 1
        return factors.solve(unit)

    return columns


def _walk_matrix(past: Past, weighted: bool) -> scipy.sparse.csr_array:
    made = past.weight.astype(np.float64)
    if not weighted:
        made.data[:] = 1
    return made


def _katz(past: Past, triangles: np.ndarray, weighted: bool) -> np.ndarray:
    import scipy.sparse
    from scipy.sparse.linalg import svds

    walk = _walk_matrix(past, weighted)
    size = walk.shape[0]
    start = np.ones(min(walk.shape))
    top = float(svds(walk, k=1, return_singular_vectors=False, v0=start)[0]) if size > 2 else float(abs(walk).max())
    beta = min(0.25 / top, 0.5) if top else 0.5
    return _six(
        _solver(scipy.sparse.eye_array(size) - beta * walk), triangles, size
    )  # the identity has no such entries


def _pagerank(past: Past, triangles: np.ndarray, weighted: bool, alpha: float = 0.85) -> np.ndarray:
    import scipy.sparse

    walk = _walk_matrix(past, weighted)
    total = np.asarray(walk.sum(axis=0)).reshape(-1)
    step = walk @ scipy.sparse.diags_array(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0))
    size = walk.shape[0]
    return (1 - alpha) * _six(_solver(scipy.sparse.eye_array(size) - alpha * step), triangles, size)


def edge_walks(past: Past, triangles: np.ndarray, part: str = "combined", alpha: float = 0.85) -> np.ndarray:
    r"""Score triangles by PageRank over edges, through nodes and closed triangles: :math:`(I - \alpha P)^{-1}`.

    .. math:: P = (I - (G D^{-1} G^T + C^T C) M^{-1}) / 2

    with G the gradient, C the curl over closed triangles, :math:`D` and :math:`M - 2` the sums of their columns'
    sizes. The score adds up the six entries of a triangle's edges, without signs.

    Parameters
    ----------
    past : Past
    triangles : ndarray
        int64 ``[T, 3]``, sorted.
    part : str, default "combined"
        ``combined``, or its ``gradient``, ``curl`` or ``harmonic`` part.
    alpha : float, default 0.85

    Returns
    -------
    ndarray
        ``[T]``.

    Raises
    ------
    GraphKitError
        For another part, or more edges than a dense matrix holds.

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> from graphkit.analysis.simplex_past import Past
    >>> past = Past(from_hyperedges([[0, 1], [1, 2], [0, 2]]))
    >>> edge_walks(past, np.array([[0, 1, 2]])).shape
    (1,)
    """
    check_choice("part", part, ("combined", "gradient", "curl", "harmonic"))
    row = np.repeat(np.arange(past.size), past.degree)
    upper = row < past.weight.indices
    ends = np.stack([row[upper], past.weight.indices[upper]], axis=1)  # [E, 2], sorted
    count = len(ends)
    if count > MOST_EDGES:
        raise GraphKitError(f"{count} edges; the walk over edges holds a dense matrix of at most {MOST_EDGES}")
    key = ends[:, 0] * past.size + ends[:, 1]

    def edge(triples: np.ndarray, a: int, b: int) -> np.ndarray:
        return np.searchsorted(key, triples[:, a] * past.size + triples[:, b])

    gradient = np.zeros((count, past.size))
    gradient[np.arange(count), ends[:, 0]], gradient[np.arange(count), ends[:, 1]] = -1, 1
    shut = past.triangles[past.closed(past.triangles)]
    curl = np.zeros((len(shut), count))
    for (a, b), sign in (((0, 1), 1), ((1, 2), 1), ((0, 2), -1)):
        curl[np.arange(len(shut)), edge(shut, a, b)] = sign
    size = np.abs(gradient).sum(0)
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    hodge = ((gradient * inverse) @ gradient.T + curl.T @ curl) / (np.abs(curl).sum(0) + 2)
    walk = (1 - alpha) * np.linalg.inv((1 - alpha / 2) * np.eye(count) + alpha / 2 * hodge)
    parts = {"gradient": gradient, "curl": curl.T}
    if part in parts:
        walk = _project(parts[part], walk)
    elif part == "harmonic":
        walk = walk - _project(gradient, walk) - _project(curl.T, walk)
    e = edge(triangles, 0, 1), edge(triangles, 0, 2), edge(triangles, 1, 2)
    return sum(np.abs(walk[e[a], e[b]]) for a in range(3) for b in range(3) if a != b)


def _project(basis: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the part of each column that lies in the span of ``basis``."""
    values, vectors = np.linalg.eigh(basis @ basis.T)
    vectors = vectors[:, values > 1e-9 * max(values.max(initial=0.0), 1e-300)]
    return vectors @ (vectors.T @ rows)


#: Scores by name: ``score(past, triangles [T, 3]) -> [T]``.
SCORES: dict[str, Callable[[Any, np.ndarray], np.ndarray]] = {
    "harmonic": lambda past, t: p_mean(past.strengths(t), -1),
    "geometric": lambda past, t: p_mean(past.strengths(t), 0),
    "arithmetic": lambda past, t: p_mean(past.strengths(t), 1),
    "common": lambda past, t: _common(past, t)[1].astype(np.float64),
    "jaccard": _jaccard,
    "adamic-adar": lambda past, t: _common(past, t)[2],
    "degrees": lambda past, t: past.degree[t].astype(np.float64).prod(axis=1),
    "simplex-degrees": lambda past, t: past.simplex_degree[t].astype(np.float64).prod(axis=1),
    "katz": lambda past, t: _katz(past, t, False),
    "weighted-katz": lambda past, t: _katz(past, t, True),
    "pagerank": lambda past, t: _pagerank(past, t, False),
    "weighted-pagerank": lambda past, t: _pagerank(past, t, True),
    "edge-walks": lambda past, t: edge_walks(past, t),
    "edge-walks-gradient": lambda past, t: edge_walks(past, t, "gradient"),
    "edge-walks-curl": lambda past, t: edge_walks(past, t, "curl"),
    "edge-walks-harmonic": lambda past, t: edge_walks(past, t, "harmonic"),
}
#: Those that take seconds on sets of a hundred thousand simplices.
QUICK = (*[name for name in SCORES if not name.startswith("edge-walks")], "logistic")


def triangle_scores(asked: OpenTriangles, name: str) -> np.ndarray:
    """Return one score for each open triangle, the higher the likelier it closes.

    Parameters
    ----------
    asked : OpenTriangles
    name : str
        Of :data:`SCORES`: means of the three weights (``harmonic``, ``geometric``, ``arithmetic``); of the neighbours
        that all three have in common their number (``common``), share (``jaccard``) and sum of ``1 / log d``
        (``adamic-adar``); products of ``degrees`` and ``simplex-degrees``; ``katz`` and ``pagerank``, on weights with
        ``weighted-``; ``edge-walks`` and its three parts.

    Returns
    -------
    ndarray
        float64 ``[T]``.

    Raises
    ------
    GraphKitError
        If the name is unknown.

    Examples
    --------
    >>> from graphkit.analysis.closure import open_triangles
    >>> from graphkit.graphs import from_simplices
    >>> asked = open_triangles(from_simplices([2, 2, 2, 3], [0, 1, 1, 2, 0, 2, 0, 1, 2], [1, 2, 3, 9]), 0.7)
    >>> triangle_scores(asked, "arithmetic").tolist()
    [1.0]
    """
    check_choice("score", name, SCORES)
    return SCORES[name](asked.past, asked.triangles.numpy())


def triangle_features(asked: OpenTriangles) -> np.ndarray:
    """Return the 26 numbers that the learned score reads, float64 ``[T, 26]``.

    Three weights, degrees and simplex degrees each, common neighbours of the pairs and of all three, and their
    logarithms (of the last four after adding 1).

    Examples
    --------
    >>> from graphkit.analysis.closure import open_triangles
    >>> from graphkit.graphs import from_simplices
    >>> asked = open_triangles(from_simplices([2, 2, 2, 3], [0, 1, 1, 2, 0, 2, 0, 1, 2], [1, 2, 3, 9]), 0.7)
    >>> triangle_features(asked).shape
    (1, 26)
    """
    past, t = asked.past, asked.triangles.numpy()
    pairs, triple, _ = _common(past, t)
    nine = np.concatenate([past.strengths(t), past.degree[t], past.simplex_degree[t]], axis=1).astype(np.float64)
    four = np.concatenate([pairs, triple[:, None]], axis=1).astype(np.float64)
    return np.concatenate([nine, four, np.log(nine), np.log1p(four)], axis=1)


def learned_score(graph: Any, asked: OpenTriangles, share: float = 0.8) -> np.ndarray:
    """Learn from the triangles open after three quarters of the past, which of them closed in its last quarter.

    Parameters
    ----------
    graph : dgl.DGLGraph or Dataset
        As of :func:`~graphkit.analysis.closure.open_triangles`.
    asked : OpenTriangles
        What to score.
    share : float, default 0.8
        Where the past ends; 0.8 trains on what was open at 0.6.

    Returns
    -------
    ndarray
        Probabilities ``[T]``.

    Raises
    ------
    GraphKitError
        If none of the earlier triangles closed, or all did.
    """
    from sklearn.linear_model import LogisticRegression

    from graphkit.analysis.closure import open_triangles

    train = open_triangles(graph, 0.75 * share, share)
    label = train.label.numpy()
    if len(np.unique(label)) < 2:
        raise GraphKitError(
            f"of {len(label)} triangles open earlier {int(label.sum())} closed, so nothing can be learned"
        )
    # liblinear minds the features' sizes as the reference's solver did; lbfgs would stop before it converges
    model = LogisticRegression(solver="liblinear").fit(triangle_features(train), label)
    return model.predict_proba(triangle_features(asked))[:, 1]
