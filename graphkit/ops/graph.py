"""What layers ask of a graph: degrees, offsets, self-loops, the edges between given pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit import _dgl
from graphkit.core.errors import GraphKitError, unknown
from graphkit.ops._checks import check_rows
from graphkit.ops._relation import relation
from graphkit.ops.message import _reduce_groups, flat

if TYPE_CHECKING:
    import dgl


def degrees(
    graph: dgl.DGLGraph, direction: str = "in", edge_weight: Tensor | None = None, like: Tensor | None = None
) -> Tensor:
    """Count the edges that enter each destination or leave each source.

    A sampler's block answers with the degrees of its nodes in the graph it was sampled from.

    Parameters
    ----------
    graph : dgl.DGLGraph
    direction : str
        ``in`` (of destinations) or ``out`` (of sources).
    edge_weight : Tensor, optional
        ``[E]``: add up the weights of this graph's edges instead, differentiably.
    like : Tensor, optional
        Gives the result its type and device.

    Returns
    -------
    Tensor
        float32 ``[Ndst]`` or ``[Nsrc]``.

    Raises
    ------
    GraphKitError
        If the direction is unknown, or edge_weight does not fit.

    Examples
    --------
    >>> import graphkit, dgl
    >>> degrees(dgl.graph(([0, 1], [2, 2]))).tolist()
    [0.0, 0.0, 2.0]
    """
    if direction not in ("in", "out"):
        raise unknown("direction", direction, ("in", "out"))
    structure = _dgl.structure(graph)
    if edge_weight is not None:
        rel = relation(graph) if direction == "in" else relation(graph).flip()
        check_rows("edge_weight", edge_weight, rel.num_edges, "edges")
        return _reduce_groups(rel.groups(), flat(edge_weight), "sum").view(rel.num_to, *edge_weight.shape[1:])
    count = structure.in_degrees if direction == "in" else structure.out_degrees
    if graph.is_block:
        recorded = graph.dstdata if direction == "in" else graph.srcdata
        name = f"gk_{direction}_degrees"
        count = recorded.get(name, count)
    return count.to(torch.float32) if like is None else count.to(like)


def dst_rows(graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
    """Return the rows of feat that belong to the destinations: the first ones of a block, all of another graph.

    Parameters
    ----------
    graph : dgl.DGLGraph
    feat : Tensor
        ``[Nsrc, ...]``.

    Returns
    -------
    Tensor
        ``[Ndst, ...]``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> dst_rows(dgl.to_block(dgl.graph(([0, 1], [2, 2]))), torch.ones(3, 4)).shape
    torch.Size([1, 4])
    """
    return feat[: graph.num_dst_nodes()] if graph.is_block else feat


def offsets(graph: dgl.DGLGraph) -> Tensor:
    """Return where the nodes of each graph of a batch begin.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A batched graph, or a single one.

    Returns
    -------
    Tensor
        int64 ``[B + 1]``, from 0 to N.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g = dgl.graph(([0], [1]))
    >>> offsets(dgl.batch([g, g])).tolist()
    [0, 2, 4]
    """
    sizes = graph.batch_num_nodes().long()
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def add_self_loops(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the graph with one self-loop for each destination, appended behind its edges; cached.

    Parameters
    ----------
    graph : dgl.DGLGraph

    Returns
    -------
    dgl.DGLGraph
        Edges 0 to E - 1 unchanged, then the loops of destinations 0 to Ndst - 1.

    Examples
    --------
    >>> import graphkit, dgl
    >>> add_self_loops(dgl.graph(([0], [1]))).edges()[0].tolist()
    [0, 0, 1]
    """
    return _dgl.with_self_loops(graph)


def pad_self_loops(graph: dgl.DGLGraph, edge_weight: Tensor | None, value: float = 1.0) -> Tensor | None:
    """Append what the loops of :func:`add_self_loops` carry.

    Parameters
    ----------
    graph : dgl.DGLGraph
        Without the loops.
    edge_weight : Tensor or None
        ``[E, ...]``.
    value : float
        Of each loop.

    Returns
    -------
    Tensor or None
        ``[E + Ndst, ...]``; None for None.

    Raises
    ------
    GraphKitError
        If edge_weight does not have one row for each edge.

    Examples
    --------
    >>> import graphkit, dgl
    >>> pad_self_loops(dgl.graph(([0], [1])), torch.tensor([3.0])).tolist()
    [3.0, 1.0, 1.0]
    """
    if edge_weight is None:
        return None
    check_rows("edge_weight", edge_weight, graph.num_edges(), "edges")
    return torch.cat([edge_weight, edge_weight.new_full((graph.num_dst_nodes(), *edge_weight.shape[1:]), value)])


def pair_index(graph: dgl.DGLGraph, src: Tensor, dst: Tensor) -> Tensor:
    """Find the edge between each pair of nodes.

    Parameters
    ----------
    graph : dgl.DGLGraph
    src, dst : Tensor
        int64 ``[P]``.

    Returns
    -------
    Tensor
        int64 ``[P]``: the id of the edge from ``src[p]`` to ``dst[p]`` (the lowest of several), or -1.

    Raises
    ------
    GraphKitError
        If the lengths differ, or an id is not a node's.

    Examples
    --------
    >>> import graphkit, dgl
    >>> pair_index(dgl.graph(([0, 1], [1, 2])), torch.tensor([1, 2]), torch.tensor([2, 1])).tolist()
    [1, -1]
    """
    structure = _dgl.structure(graph)
    if src.dim() != 1 or src.shape != dst.shape:
        raise GraphKitError(f"expected src and dst of one length, got shapes {list(src.shape)} and {list(dst.shape)}")
    for name, ids, number in (("src", src, structure.num_src), ("dst", dst, structure.num_dst)):
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= number):
            raise GraphKitError(
                f"{name} holds ids from {int(ids.min())} to {int(ids.max())}, expected 0 to {number - 1}"
            )

    def make(s: _dgl.Structure) -> tuple[Tensor, Tensor]:
        keys, edge = torch.sort(s.src * s.num_dst + s.dst, stable=True)
        return keys, edge

    keys, edge = structure.cached("pairs", make)
    wanted = (src * structure.num_dst + dst).to(keys.device)
    if len(keys) == 0:
        return torch.full_like(src, -1)
    at = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[at] == wanted, edge[at], -1).to(src.device)
