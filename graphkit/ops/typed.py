"""Products and sums with one weight matrix for each type of row or edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.ops._checks import check_rows, together
from graphkit.ops._matmul import TypedMatmul, sorted_by
from graphkit.ops._typed import Ends, TypedSum, by_basis, sum_by_basis

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
