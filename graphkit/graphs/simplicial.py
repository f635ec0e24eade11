"""Timestamped simplices: as a hypergraph in time order, and their faces, boundaries and neighbours."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphkit.core.check import check_choice, check_size
from graphkit.core.errors import GraphKitError
from graphkit.graphs.build import graph as build
from graphkit.graphs.build import index_tensor
from graphkit.graphs.hypergraph import _check, from_incidence

if TYPE_CHECKING:
    import dgl
    import scipy.sparse

#: Most subsets that one call lists, about 2 GB of them.
LIMIT = 50_000_000


def from_simplices(
    sizes: Any, members: Any, times: Any = None, num_nodes: int | None = None, node_fields: Any = None
) -> dgl.DGLGraph:
    """Build a hypergraph in time order from simplices given as three lists of integers.

    Parameters
    ----------
    sizes : array_like
        How many nodes each simplex has, ``[M]``.
    members : array_like
        The nodes of all simplices, one after the other, ``[E]``; a node that a simplex names twice counts once.
    times : array_like, optional
        ``[M]``; simplices of one time keep their order.
    num_nodes : int, optional
    node_fields : mapping of str to array_like, optional

    Returns
    -------
    dgl.DGLGraph
        A hypergraph, one hyperedge for each simplex, with its ``time``; see
        :func:`~graphkit.graphs.hypergraph.from_incidence`.

    Raises
    ------
    GraphKitError
        If a simplex is empty, the lists do not fit together, or an id is out of range.

    Warns
    -----
    UserWarning
        If simplices are not in the order of their times; they are sorted.

    Examples
    --------
    >>> h = from_simplices([3, 2], [0, 1, 2, 1, 2], [5, 7])
    >>> h.num_nodes("hyperedge"), h.nodes["hyperedge"].data["time"].tolist()
    (2, [5, 7])
    """
    count, flat = index_tensor(sizes, "sizes"), index_tensor(members, "members")
    if len(count) and int(count.min()) < 1:
        where = int((count < 1).nonzero()[0])
        raise GraphKitError(f"simplex {where} has {int(count[where])} nodes; expected one or more")
    if len(flat) != int(count.sum()):
        raise GraphKitError(f"members has {len(flat)} rows; expected {int(count.sum())}, the sum of sizes")
    owner = torch.repeat_interleave(torch.arange(len(count)), count)
    if times is None:
        return from_incidence(flat, owner, num_nodes, len(count), node_fields)
    when = torch.as_tensor(np.asarray(times))
    if when.shape != count.shape:
        raise GraphKitError(f"times has shape {tuple(when.shape)}; expected one for each of {len(count)} simplices")
    if when.is_floating_point() and not bool(torch.isfinite(when).all()):
        raise GraphKitError(f"times[{int((~torch.isfinite(when)).nonzero()[0])}] is no number")
    late = int((when[1:] < when[:-1]).sum())
    if late:
        warnings.warn(f"{late} simplices came before an earlier one; sorted by time", stacklevel=2)
    place = when.argsort(stable=True)
    new = place.argsort()
    return from_incidence(flat, new[owner], num_nodes, len(count), node_fields, {"time": when[place]})


def between(graph: dgl.DGLGraph, start: float | None = None, end: float | None = None) -> dgl.DGLGraph:
    """Return the hypergraph of the hyperedges with ``start < time <= end``; all nodes stay.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph whose hyperedges have a ``time``.
    start, end : float, optional
        Without, there is no bound.

    Returns
    -------
    dgl.DGLGraph

    Raises
    ------
    GraphKitError
        If it is no hypergraph or hyperedges have no times.

    Examples
    --------
    >>> between(from_simplices([2, 2], [0, 1, 1, 2], [1, 2]), end=1).num_nodes("hyperedge")
    1
    """
    fields = dict(_check(graph).nodes["hyperedge"].data)
    if "time" not in fields:
        raise GraphKitError("the hyperedges have no field 'time', by which to cut them")
    keep = torch.ones(len(fields["time"]), dtype=torch.bool)
    if start is not None:
        keep &= fields["time"] > start
    if end is not None:
        keep &= fields["time"] <= end
    node, hyperedge = graph.edges(etype="in")
    chosen = keep[hyperedge]
    ids = keep.cumsum(0) - 1
    made = {name: value[keep] for name, value in fields.items()}
    counts = graph.num_nodes("node"), int(keep.sum())
    return from_incidence(node[chosen], ids[hyperedge[chosen]], *counts, dict(graph.nodes["node"].data), made)


def member_lists(graph: dgl.DGLGraph) -> tuple[np.ndarray, np.ndarray]:
    """Return where the members of each hyperedge begin, int64 ``[M + 1]``, and the members, sorted, int64 ``[E]``.

    >>> starts, members = member_lists(from_simplices([2, 1], [3, 0, 1]))
    >>> starts.tolist(), members.tolist()
    ([0, 2, 3], [0, 3, 1])
    """
    node, hyperedge = (ends.numpy() for ends in _check(graph).edges(etype="in"))
    order = np.lexsort((node, hyperedge))
    starts = np.searchsorted(hyperedge[order], np.arange(graph.num_nodes("hyperedge") + 1))
    return starts.astype(np.int64), node[order].astype(np.int64)


def subsets(starts: np.ndarray, members: np.ndarray, size: int) -> np.ndarray:
    """Return all subsets of ``size`` members of each simplex, int64 ``[K, size]``, simplex by simplex.

    Raises
    ------
    GraphKitError
        If there are more than fit in memory.

    Examples
    --------
    >>> subsets(np.array([0, 3]), np.array([4, 5, 9]), 2).tolist()
    [[4, 5], [4, 9], [5, 9]]
    """
    from scipy.special import comb

    from graphkit._kernels.simplices import write_subsets

    check_size("size", size)
    counts = comb(np.diff(starts), size)
    if counts.sum() > LIMIT:
        largest = int(np.diff(starts).max())
        raise GraphKitError(
            f"the simplices have {counts.sum():.3g} subsets of {size} nodes, of which {LIMIT} fit in memory; leave out "
            f"large ones (the largest has {largest} nodes)"
        )
    at = np.concatenate([[0], np.cumsum(counts.astype(np.int64))])
    out = np.empty((int(at[-1]), size), dtype=np.int64)
    write_subsets(starts, members, size, at[:-1], out)
    return out


def faces(graph: dgl.DGLGraph, order: int) -> Tensor:
    """Return the distinct simplices of one order: all subsets of ``order + 1`` members of a hyperedge.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.
    order : int
        0 for nodes, 1 for edges, 2 for triangles.

    Returns
    -------
    Tensor
        int64 ``[K, order + 1]``, sorted.

    Raises
    ------
    GraphKitError
        If it is no hypergraph, or there are too many.

    Examples
    --------
    >>> faces(from_simplices([3, 2], [0, 1, 2, 2, 3]), 1).tolist()
    [[0, 1], [0, 2], [1, 2], [2, 3]]
    """
    check_size("order", order, 0)
    found = subsets(*member_lists(graph), order + 1)
    return torch.from_numpy(np.unique(found, axis=0) if len(found) else found)


def boundary(graph: dgl.DGLGraph, order: int) -> scipy.sparse.csr_array:
    r"""Return the boundary of the simplices of one order: which faces each has, with their orientation.

    .. math:: \partial [v_0, ..., v_k] = \sum_i (-1)^i [v_0, ..., \hat v_i, ..., v_k]

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.
    order : int
        k, at least 1.

    Returns
    -------
    scipy.sparse.csr_array
        int64, faces of order k - 1 by faces of order k; the boundary of a boundary is 0.

    Examples
    --------
    >>> boundary(from_simplices([3], [0, 1, 2]), 2).toarray().T.tolist()
    [[1, -1, 1]]
    """
    import scipy.sparse

    check_size("order", order)
    high, low = faces(graph, order).numpy(), faces(graph, order - 1).numpy()
    rows, signs = [], []
    ids = _row_ids(low)
    for i in range(order + 1):
        rows.append(ids(np.delete(high, i, axis=1)))
        signs.append(np.full(len(high), (-1) ** i))
    place = np.concatenate(rows), np.tile(np.arange(len(high)), order + 1)
    return scipy.sparse.csr_array((np.concatenate(signs), place), shape=(len(low), len(high)))


def _row_ids(table: np.ndarray):
    """Return the function that finds rows in a sorted table of distinct rows."""
    view = np.ascontiguousarray(table.astype(">i8")).view(f"V{8 * table.shape[1]}").reshape(-1)

    def find(rows: np.ndarray) -> np.ndarray:
        wanted = np.ascontiguousarray(rows.astype(">i8")).view(view.dtype).reshape(-1)
        return np.searchsorted(view, wanted)

    return find


class Hodge(NamedTuple):
    """The two halves of a Hodge Laplacian, scipy.sparse ``[K, K]``: through faces, and through cofaces."""

    lower: Any
    upper: Any


def hodge_laplacian(graph: dgl.DGLGraph, order: int) -> Hodge:
    r"""Return the Hodge Laplacian of the simplices of one order, whose kernel counts holes.

    .. math:: L_k = \partial_k^T \partial_k + \partial_{k+1} \partial_{k+1}^T

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.
    order : int
        k.

    Returns
    -------
    Hodge
        The two terms; of order 0 the lower one is 0 and the upper one the graph Laplacian.

    Examples
    --------
    >>> hodge_laplacian(from_simplices([2], [0, 1]), 0).upper.toarray().tolist()
    [[1, -1], [-1, 1]]
    """
    import scipy.sparse

    count = len(faces(graph, order))
    lower = scipy.sparse.csr_array((count, count), dtype=np.int64)
    if order:
        down = boundary(graph, order)
        lower = (down.T @ down).tocsr()
    up = boundary(graph, order + 1)
    return Hodge(lower, (up @ up.T).tocsr())


def neighbours(graph: dgl.DGLGraph, order: int, through: str = "faces") -> dgl.DGLGraph:
    """Return the graph whose nodes are the simplices of one order, joined where they share a face or a coface.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.
    order : int
        1 for edges.
    through : str, default "faces"
        ``faces``: two edges that share a node; ``cofaces``: two edges of one triangle.

    Returns
    -------
    dgl.DGLGraph
        Both directions of each edge, with ``weight`` (through how many) and ``sign`` (1 where the orientations agree
        with the Hodge Laplacian's positive entries); nodes have ``members`` ``[K, order + 1]``.

    Examples
    --------
    >>> g = neighbours(from_simplices([2, 2], [0, 1, 1, 2]), 1)
    >>> g.num_nodes(), g.num_edges(), g.edata["sign"].tolist()
    (2, 2, [-1, -1])
    """
    import scipy.sparse

    check_choice("through", through, ("faces", "cofaces"))
    if through == "faces" and not order:
        raise GraphKitError("nodes have no faces to share; those of order 0 are neighbours through cofaces only")
    half = hodge_laplacian(graph, order)
    part = scipy.sparse.coo_array(half.lower if through == "faces" else half.upper)
    upper = (part.row < part.col) & (part.data != 0)
    ends = part.row[upper].astype(np.int64), part.col[upper].astype(np.int64)
    value = part.data[upper]
    rows = faces(graph, order)
    fields = {"weight": np.abs(value).astype(np.float32), "sign": np.sign(value)}
    return build(*ends, len(rows), {"members": rows}, fields, undirected=True)
