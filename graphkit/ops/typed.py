"""Products and sums with one weight matrix for each type of row or edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.ops._checks import check_rows, together
from graphkit.ops._matmul import TypedMatmul, sorted_by
from graphkit.ops._relation import relation
from graphkit.ops._typed import Ends, TypedSum, by_basis, sum_by_basis
from graphkit.ops._typed_attention import TypedAttention, typed_gat
from graphkit.ops.graph import dst_rows
from graphkit.ops.softmax import _factor

if TYPE_CHECKING:
    import dgl


def typed_matmul(feat: Tensor, weight: Tensor, types: Tensor) -> Tensor:
    r"""Multiply each row by the weight matrix of its type.

    .. math:: y_i = x_i W_{r(i)}

    Parameters
    ----------
    feat : Tensor
        float ``[N, Din]``.
    weight : Tensor
        ``[R, Din, Dout]``.
    types : Tensor
        int64 ``[N]``, from 0 to R - 1.

    Returns
    -------
    Tensor
        ``[N, Dout]``.

    Raises
    ------
    GraphKitError
        If the shapes do not fit, or a type is out of range.

    Examples
    --------
    >>> weight = torch.tensor([[[1.0]], [[10.0]]])
    >>> typed_matmul(torch.tensor([[2.0], [3.0]]), weight, torch.tensor([1, 0])).flatten().tolist()
    [20.0, 3.0]
    """
    if feat.dim() != 2 or weight.dim() != 3 or feat.shape[1] != weight.shape[1] or types.shape != feat.shape[:1]:
        raise GraphKitError(
            f"expected feat [N, Din], weight [R, Din, Dout] and types [N], got {list(feat.shape)}, "
            f"{list(weight.shape)} and {list(types.shape)}"
        )
    if len(types) and (int(types.min()) < 0 or int(types.max()) >= len(weight)):
        raise GraphKitError(
            f"types run from {int(types.min())} to {int(types.max())}, but there are {len(weight)} weight matrices"
        )
    dtype = torch.promote_types(feat.dtype, weight.dtype)
    x, matrices = together(feat, weight)
    return TypedMatmul.apply(sorted_by(types.long(), len(weight)), x, matrices).to(dtype)


def typed_spmm(
    graph: dgl.DGLGraph,
    feat: Tensor,
    weight: Tensor,
    etype: Tensor,
    edge_weight: Tensor | None = None,
    coeff: Tensor | None = None,
) -> Tensor:
    r"""Sum, for each destination, the rows of its sources, each times the matrix of its edge's relation.

    .. math:: y_v = \sum_{(u, v) = e} w_e x_u W_{r(e)}, \quad W_r = \sum_b c_{rb} V_b \text{ with } c \text{ given}

    Parameters
    ----------
    graph : dgl.DGLGraph
    feat : Tensor
        float ``[Nsrc, Din]``.
    weight : Tensor
        ``[R, Din, Dout]``, or ``[R, B, Din / B, Dout / B]`` for matrices of B diagonal blocks; with ``coeff`` the
        bases ``[B, Din, Dout]``.
    etype : Tensor
        int64 ``[E]``, from 0 to R - 1.
    edge_weight : Tensor, optional
        ``[E]``.
    coeff : Tensor, optional
        ``[R, B]``.

    Returns
    -------
    Tensor
        ``[Ndst, Dout]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If the shapes do not fit, or a relation is out of range.

    Notes
    -----
    "Optimizing CUDA Code Generator for End-to-End Training and Inference of Relational Graph Neural Networks",
    arXiv:2301.06284: there is one product for each (node, relation) pair that occurs, at the end of the edges where
    that is cheaper, and rows of pairs or edges are never held all at once. Few bases of wide matrices are summed over
    edges basis by basis instead, where that takes less.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g, weight = dgl.graph(([0, 1], [2, 2])), torch.tensor([[[1.0]], [[10.0]]])
    >>> typed_spmm(g, torch.tensor([[2.0], [3.0], [0.0]]), weight, torch.tensor([1, 0])).flatten().tolist()
    [0.0, 0.0, 23.0]
    """
    check_rows("feat", feat, graph.num_src_nodes(), "source nodes")
    blocks = weight if weight.dim() == 4 else weight.unsqueeze(1)
    if feat.dim() != 2 or blocks.dim() != 4 or feat.shape[1] != blocks.shape[1] * blocks.shape[2]:
        raise GraphKitError(
            f"expected feat [Nsrc, Din] and weight [R, Din, Dout] or [R, B, Din / B, Dout / B], got {list(feat.shape)} "
            f"and {list(weight.shape)}"
        )
    if coeff is not None and (weight.dim() != 3 or coeff.dim() != 2 or coeff.shape[1] != len(weight)):
        raise GraphKitError(
            f"expected coeff [R, B] beside weight [B, Din, Dout], got {list(coeff.shape)} and {list(weight.shape)}"
        )
    if edge_weight is not None:
        check_rows("edge_weight", edge_weight, graph.num_edges(), "edges")
        if edge_weight.dim() != 1:
            raise GraphKitError(f"expected edge_weight [E], got shape {list(edge_weight.shape)}")
        edge_weight = edge_weight[:, None]
    x, matrices, factor, c = together(feat, blocks, edge_weight, coeff)
    ends = Ends(graph, etype, len(weight if coeff is None else coeff))
    if c is None:
        out = TypedSum.apply(ends, x, matrices, factor)
    elif by_basis(ends, matrices, c):
        out = sum_by_basis(ends, x, matrices[:, 0], c, factor)
    else:
        out = TypedSum.apply(ends, x, torch.einsum("rb,bsio->rsio", c, matrices), factor)
    return out.to(feat.dtype)


def typed_attention(
    graph: dgl.DGLGraph,
    feat: Tensor,
    weight: Tensor,
    attn_src: Tensor,
    attn_dst: Tensor,
    etype: Tensor,
    edge_weight: Tensor | None = None,
    negative_slope: float = 0.2,
    attn_drop: float = 0.0,
) -> Tensor:
    r"""Sum typed edges' messages with additive attention over all edges of each destination.

    .. math:: y_v = \sum_{(u, v) = e} w_e \, \mathrm{softmax}_e(\mathrm{LeakyReLU}(a_r \cdot W_r x_u + c_r \cdot
        W_r x_v)) \, W_r x_u

    Parameters
    ----------
    graph : dgl.DGLGraph
    feat : Tensor
        float ``[Nsrc, Din]``.
    weight : Tensor
        ``[R, Din, H * D]``.
    attn_src, attn_dst : Tensor
        ``[R, H, D]``: a and c. ``c_r . W_r x_v`` is computed as ``(W_r c_r) . x_v``, once for each pair (v, r).
    etype : Tensor
        int64 ``[E]``, from 0 to R - 1.
    edge_weight, negative_slope, attn_drop
        As in :func:`attention`.

    Returns
    -------
    Tensor
        ``[Ndst, H * D]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If the shapes do not fit, or a relation is out of range.

    Notes
    -----
    "Relational Graph Attention Networks", arXiv:1904.05811; compact and reassociated as in arXiv:2301.06284.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g, one = dgl.graph(([0, 1], [2, 2])), torch.ones(2, 1, 1)
    >>> typed_attention(g, torch.tensor([[1.0], [1.0], [0.0]]), one, one, one, torch.tensor([0, 1])).flatten().tolist()
    [0.0, 0.0, 1.0]
    """
    check_rows("feat", feat, graph.num_src_nodes(), "source nodes")
    if (
        weight.dim() != 3
        or feat.dim() != 2
        or feat.shape[1] != weight.shape[1]
        or attn_src.shape != attn_dst.shape
        or (attn_src.dim() != 3 or (len(attn_src), attn_src[0].numel()) != (len(weight), weight.shape[2]))
    ):
        raise GraphKitError(
            "expected feat [Nsrc, Din], weight [R, Din, H * D] and attn_src, attn_dst [R, H, D], got "
            f"{list(feat.shape)}, {list(weight.shape)}, {list(attn_src.shape)} and {list(attn_dst.shape)}"
        )
    factor = _factor(relation(graph), attn_src.shape[1], feat, edge_weight, attn_drop, None)
    x, matrices, a, c, factor = together(feat, weight, attn_src, attn_dst, factor)
    heads = matrices.unflatten(-1, a.shape[1:])  # [R, in, H, d]
    to_src, to_dst = ((heads * vector[:, None]).sum(-1) for vector in (a, c))  # [R, in, H]
    ends = Ends(graph, etype, len(weight))
    return typed_gat(ends, x, matrices, to_src, dst_rows(graph, x), to_dst, factor, negative_slope).to(feat.dtype)


def typed_dot_attention(
    graph: dgl.DGLGraph,
    key: Tensor,
    value: Tensor,
    query: Tensor,
    weight: Tensor,
    etype: Tensor,
    num_heads: int,
    edge_weight: Tensor | None = None,
) -> Tensor:
    r"""Sum typed edges' values with dot-product attention over all edges of each destination.

    .. math:: y_v = \sum_{(u, v) = e} w_e \, \mathrm{softmax}_e((k_u A_r) \cdot q_v) \, v_u M_r

    Parameters
    ----------
    graph : dgl.DGLGraph
    key, value : Tensor
        float ``[Nsrc, H * D]``.
    query : Tensor
        ``[Ndst, H * D]``.
    weight : Tensor
        ``[R, B, 2 H D / B, 2 H D / B]``: B blocks of one diagonal, the H of A above the H of M, or several in one.
    etype : Tensor
        int64 ``[E]``, from 0 to R - 1.
    num_heads : int
        H.
    edge_weight : Tensor, optional
        ``[E]``, multiplies the normalised attention.

    Returns
    -------
    Tensor
        ``[Ndst, H * D]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If the shapes do not fit, or a relation is out of range.

    Notes
    -----
    "Heterogeneous Graph Transformer", arXiv:2003.01332; compact as in arXiv:2301.06284.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g, x = dgl.graph(([0, 1], [2, 2])), torch.tensor([[2.0], [4.0], [0.0]])
    >>> typed_dot_attention(g, x, x, x, torch.ones(1, 2, 1, 1), torch.tensor([0, 0]), 1).flatten().tolist()
    [0.0, 0.0, 3.0]
    """
    check_rows("key", key, graph.num_src_nodes(), "source nodes")
    check_rows("query", query, graph.num_dst_nodes(), "destination nodes")
    shapes = key.shape == value.shape and key.dim() == 2 and query.shape[1:] == key.shape[1:]
    if not shapes or weight.dim() != 4 or weight.shape[1] * weight.shape[2] != 2 * key.shape[1]:
        raise GraphKitError(
            "expected key, value [Nsrc, H * D], query [Ndst, H * D] and weight [R, B, 2 H D / B, 2 H D / B], got "
            f"{list(key.shape)}, {list(value.shape)}, {list(query.shape)} and {list(weight.shape)}"
        )
    factor = _factor(relation(graph), num_heads, key, edge_weight, 0.0, None)
    both, q, matrices, factor = together(torch.cat([key, value], -1), query, weight, factor)
    out = TypedAttention.apply(Ends(graph, etype, len(weight)), both, matrices, q, factor, num_heads, None)
    return out.to(key.dtype)
