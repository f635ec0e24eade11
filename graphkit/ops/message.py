"""Messages along edges and their reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown
from graphkit.ops._checks import REDUCES, check_reduce, check_rows, together
from graphkit.ops._linear import EdgeAdd, EdgeDot, GroupGather, GroupSum, NeighbourSum
from graphkit.ops._relation import Groups, Relation, relation
from graphkit.ops._several import Several
from graphkit.ops._stats import Extreme, GroupMoments, NeighbourMean, inverse_counts, root

if TYPE_CHECKING:
    import dgl


def weight_columns(weight: Tensor, rel: Relation, feat: Tensor) -> Tensor:
    """Bring edge weights to ``[E, H]`` with H dividing the flat width of feat."""
    check_rows("edge_weight", weight, rel.num_edges, "edges")
    shape, width = tuple(weight.shape[1:]), tuple(feat.shape[1:])
    while shape and len(shape) > len(width):
        if shape[-1] != 1:
            break
        shape = shape[:-1]
    if shape not in ((), (1,), width[:-1], width):
        raise GraphKitError(
            f"edge_weight has shape {list(weight.shape)}, but feat of shape {list(feat.shape)} needs [E], "
            f"{['E', *width[:-1]]} or {['E', *width]}"
        )
    return weight.reshape(rel.num_edges, _count(shape))


def _count(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())


def flat(x: Tensor) -> Tensor:
    """Rows as a matrix ``[N, F]``."""
    return x if x.dim() == 2 else x.reshape(x.shape[0], _count(x.shape[1:]))


def spmm(graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None, reduce: str = "sum") -> Tensor:
    r"""Reduce, for each destination, the features of its sources over its incoming edges.

    .. math:: y_v = \rho_{(u, v) = e} \; w_e x_u

    Parameters
    ----------
    graph : dgl.DGLGraph
        A graph, batched graph, block, or one relation of a heterograph.
    feat : Tensor
        float ``[Nsrc, ..., D]``.
    edge_weight : Tensor, optional
        ``[E]``; ``[E, H]`` for feat ``[Nsrc, H, D]``; or ``[E, ..., D]``, one number for each feature.
    reduce : str
        ``sum``, ``mean`` (divides by the number of edges, whatever their weights), ``max``, ``min`` (the gradient goes
        to the first of tied edges), or ``std`` (population, :math:`\sqrt{\mathrm{var} + 10^{-5}}`, so that it has a
        derivative where all neighbours are equal).

    Returns
    -------
    Tensor
        ``[Ndst, ..., D]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If feat does not have one row for each source node, holds integers, or edge_weight does not fit.

    Examples
    --------
    >>> import graphkit, dgl
    >>> spmm(dgl.graph(([0, 1], [2, 2])), torch.tensor([[1.0], [5.0], [0.0]]), reduce="mean")[2].item()
    3.0
    """
    check_reduce(reduce)
    rel = relation(graph)
    check_rows("feat", feat, rel.num_from, "source nodes")
    if edge_weight is not None:
        edge_weight = weight_columns(edge_weight, rel, feat)
    x, weight = together(flat(feat), edge_weight)
    assert x is not None
    if reduce in ("sum", "mean"):
        out = (NeighbourSum if reduce == "sum" else NeighbourMean).apply(rel, x, weight)
    elif weight is not None:
        out = _reduce_groups(rel.groups(), _messages(rel, x, weight), reduce)
    elif reduce == "std":
        out = Several.apply(rel, x, ("std",))
    else:
        out = Extreme.apply(rel, x, 1 if reduce == "max" else -1)
    return out.view(rel.num_to, *feat.shape[1:]).to(feat.dtype)


def _messages(rel: Relation, x: Tensor, weight: Tensor) -> Tensor:
    heads = weight.shape[1]
    message = GroupGather.apply(rel.flip().groups(), x)
    return (message.view(rel.num_edges, heads, x.shape[1] // heads) * weight.unsqueeze(-1)).view(message.shape)


def _reduce_groups(groups: Groups, x: Tensor, reduce: str) -> Tensor:
    """Reduce ``[E, F]`` to ``[G, F]``."""
    if reduce in ("max", "min"):
        return Extreme.apply(groups, x, 1 if reduce == "max" else -1)
    if reduce == "std":
        return root(GroupMoments.apply(groups, x)[1], groups)
    total = GroupSum.apply(groups, x)
    return total if reduce == "sum" else total * inverse_counts(groups.counts(x))


def edge_reduce(graph: dgl.DGLGraph, edge_feat: Tensor, reduce: str = "sum") -> Tensor:
    r"""Reduce, for each destination, the features of its incoming edges.

    .. math:: y_v = \rho_{(u, v) = e} \; x_e

    Parameters
    ----------
    graph : dgl.DGLGraph
        A graph, batched graph, block, or one relation of a heterograph.
    edge_feat : Tensor
        float ``[E, ...]``.
    reduce : str
        As in :func:`spmm`.

    Returns
    -------
    Tensor
        ``[Ndst, ...]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If edge_feat does not have one row for each edge, or holds integers.

    Examples
    --------
    >>> import graphkit, dgl
    >>> edge_reduce(dgl.graph(([0, 1], [2, 2])), torch.tensor([1.0, 5.0]), "max").tolist()
    [0.0, 0.0, 5.0]
    """
    check_reduce(reduce)
    rel = relation(graph)
    check_rows("edge_feat", edge_feat, rel.num_edges, "edges")
    (x,) = together(flat(edge_feat))
    assert x is not None
    out = _reduce_groups(rel.groups(), x, reduce)
    return out.view(rel.num_to, *edge_feat.shape[1:]).to(edge_feat.dtype)


def gather_src(graph: dgl.DGLGraph, x: Tensor) -> Tensor:
    """Give each edge the row of its source: ``out[e] = x[src(e)]``.

    Parameters
    ----------
    graph : dgl.DGLGraph
    x : Tensor
        ``[Nsrc, ...]``; integers are gathered too.

    Returns
    -------
    Tensor
        ``[E, ...]``.

    Raises
    ------
    GraphKitError
        If x does not have one row for each source node.

    Examples
    --------
    >>> import graphkit, dgl
    >>> gather_src(dgl.graph(([0, 1], [2, 2])), torch.tensor([3.0, 4.0, 5.0])).tolist()
    [3.0, 4.0]
    """
    return _gather(relation(graph).flip(), x, "source nodes")


def gather_dst(graph: dgl.DGLGraph, x: Tensor) -> Tensor:
    """Give each edge the row of its destination: ``out[e] = x[dst(e)]``.

    Parameters
    ----------
    graph : dgl.DGLGraph
    x : Tensor
        ``[Ndst, ...]``; integers are gathered too.

    Returns
    -------
    Tensor
        ``[E, ...]``.

    Raises
    ------
    GraphKitError
        If x does not have one row for each destination node.

    Examples
    --------
    >>> import graphkit, dgl
    >>> gather_dst(dgl.graph(([0, 1], [2, 2])), torch.tensor([3.0, 4.0, 5.0])).tolist()
    [5.0, 5.0]
    """
    return _gather(relation(graph), x, "destination nodes")


def _gather(rel: Relation, x: Tensor, of: str) -> Tensor:
    if x.dim() == 0 or x.shape[0] != rel.num_to:
        raise GraphKitError(f"x has shape {list(x.shape)}, but the graph has {rel.num_to} {of}")
    groups = rel.groups()
    if not x.is_floating_point():
        return x[groups.ids_on(x.device)]
    (wide,) = together(flat(x))
    return GroupGather.apply(groups, wide).view(rel.num_edges, *x.shape[1:]).to(x.dtype)


def sddmm(graph: dgl.DGLGraph, src_feat: Tensor, dst_feat: Tensor, op: str = "dot") -> Tensor:
    r"""Combine, for each edge, a row of its source and a row of its destination.

    .. math:: y_e = x_u \circ z_v, \quad \circ \in \{\cdot, +, *\}

    Parameters
    ----------
    graph : dgl.DGLGraph
    src_feat, dst_feat : Tensor
        float ``[Nsrc, ...]`` and ``[Ndst, ...]``, of the same shape behind the rows.
    op : str
        ``dot`` (sums over the last dimension and drops it), ``add`` or ``mul``.

    Returns
    -------
    Tensor
        ``[E, ...]``.

    Raises
    ------
    GraphKitError
        If the shapes do not fit, or op is unknown.

    Examples
    --------
    >>> import graphkit, dgl
    >>> sddmm(dgl.graph(([0], [1])), torch.tensor([[1.0, 2.0], [0, 0]]), torch.tensor([[0.0, 0], [3, 4]])).tolist()
    [11.0]
    """
    if op not in ("dot", "add", "mul"):
        raise unknown("op", op, ("dot", "add", "mul"))
    rel = relation(graph)
    check_rows("src_feat", src_feat, rel.num_from, "source nodes")
    check_rows("dst_feat", dst_feat, rel.num_to, "destination nodes")
    if src_feat.shape[1:] != dst_feat.shape[1:] or (op == "dot" and src_feat.dim() < 2):
        raise GraphKitError(
            f"src_feat and dst_feat must agree behind their rows, got {list(src_feat.shape)} and {list(dst_feat.shape)}"
        )
    dtype = torch.promote_types(src_feat.dtype, dst_feat.dtype)
    x, z = together(flat(src_feat), flat(dst_feat))
    if op == "dot":
        heads = src_feat.shape[1:-1]
        return EdgeDot.apply(rel, x, z, _count(heads)).view(rel.num_edges, *heads).to(dtype)
    if op == "add":
        out = EdgeAdd.apply(rel, x, z)
    else:
        out = GroupGather.apply(rel.flip().groups(), x) * GroupGather.apply(rel.groups(), z)
    return out.view(rel.num_edges, *src_feat.shape[1:]).to(dtype)


def multi_reduce(graph: dgl.DGLGraph, feat: Tensor, reduces: Sequence[str] = ("mean", "min", "max", "std")) -> Tensor:
    """Stack several reductions of the same neighbours, with one gather of each row forward and one backward.

    Parameters
    ----------
    graph : dgl.DGLGraph
    feat : Tensor
        float ``[Nsrc, D]``.
    reduces : sequence of str
        R names, as in :func:`spmm`; ``var`` is the variance.

    Returns
    -------
    Tensor
        ``[Ndst, R, D]``.

    Raises
    ------
    GraphKitError
        If feat does not fit the graph, or a reduction is unknown.

    Examples
    --------
    >>> import graphkit, dgl
    >>> multi_reduce(dgl.graph(([0, 1], [2, 2])), torch.tensor([[1.0], [5.0], [0.0]]), ["min", "max"])[2].tolist()
    [[1.0], [5.0]]
    """
    rel = relation(graph)
    check_rows("feat", feat, rel.num_from, "source nodes")
    return _several(rel, feat, reduces)


def edge_multi_reduce(
    graph: dgl.DGLGraph, edge_feat: Tensor, reduces: Sequence[str] = ("mean", "min", "max", "std")
) -> Tensor:
    """Stack several reductions of the features of each destination's incoming edges.

    Parameters
    ----------
    graph : dgl.DGLGraph
    edge_feat : Tensor
        float ``[E, D]``.
    reduces : sequence of str
        R names, as in :func:`multi_reduce`.

    Returns
    -------
    Tensor
        ``[Ndst, R, D]``.

    Raises
    ------
    GraphKitError
        If edge_feat does not fit the graph, or a reduction is unknown.

    Examples
    --------
    >>> import graphkit, dgl
    >>> edge_multi_reduce(dgl.graph(([0, 1], [2, 2])), torch.tensor([[1.0], [5.0]]), ["min", "max"])[2].tolist()
    [[1.0], [5.0]]
    """
    rel = relation(graph)
    check_rows("edge_feat", edge_feat, rel.num_edges, "edges")
    return _several(rel.groups(), edge_feat, reduces)


def _several(over: Relation | Groups, feat: Tensor, reduces: Sequence[str]) -> Tensor:
    for name in reduces:
        if name not in (*REDUCES, "var"):
            raise unknown("reduce", name, (*REDUCES, "var"))
    (x,) = together(flat(feat))
    assert x is not None
    out = Several.apply(over, x, tuple(reduces))
    return out.view(len(out), len(reduces), *feat.shape[1:]).to(feat.dtype)
