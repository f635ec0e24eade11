"""Softmax over neighbourhoods, and attention that never holds an ``[E, H, D]`` tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.ops._attention import GatAttention, Gatv2Attention
from graphkit.ops._checks import check_rows, together
from graphkit.ops._relation import Relation, relation
from graphkit.ops._stats import GroupSoftmax
from graphkit.ops.message import flat

if TYPE_CHECKING:
    import dgl


def edge_softmax(graph: dgl.DGLGraph, score: Tensor) -> Tensor:
    r"""Normalise scores over the incoming edges of each destination.

    .. math:: a_e = \frac{\exp s_e}{\sum_{e' \to v} \exp s_{e'}}

    Parameters
    ----------
    graph : dgl.DGLGraph
    score : Tensor
        float ``[E]`` or ``[E, H]``.

    Returns
    -------
    Tensor
        The same shape; sums to 1 over the edges of each destination that has some.

    Raises
    ------
    GraphKitError
        If score does not have one row for each edge.

    Examples
    --------
    >>> import graphkit, dgl
    >>> edge_softmax(dgl.graph(([0, 1, 0], [2, 2, 1])), torch.zeros(3)).tolist()
    [0.5, 0.5, 1.0]
    """
    rel = relation(graph)
    check_rows("score", score, rel.num_edges, "edges")
    (x,) = together(flat(score))
    return GroupSoftmax.apply(rel.groups(), x).view(score.shape).to(score.dtype)


def _factor(
    rel: Relation, heads: int, like: Tensor, edge_weight: Tensor | None, drop: float, generator: torch.Generator | None
) -> Tensor | None:
    """What multiplies the attention after the softmax: dropout's mask and the edge weights, ``[E, 1 | H]``."""
    if not 0 <= drop < 1:
        raise GraphKitError(f"expected attn_drop from 0 up to (not including) 1, got {drop}")
    factor = None
    if edge_weight is not None:
        check_rows("edge_weight", edge_weight, rel.num_edges, "edges")
        factor = flat(edge_weight)
        if factor.shape[1] not in (1, heads):
            raise GraphKitError(f"expected edge_weight [E] or [E, {heads}], got shape {list(edge_weight.shape)}")
    if drop > 0:
        where = generator.device if generator is not None else like.device
        kept = torch.rand(rel.num_edges, heads, generator=generator, device=where) >= drop
        mask = kept.to(like) / (1 - drop)
        factor = mask if factor is None else factor * mask
    return factor


def attention(
    graph: dgl.DGLGraph,
    feat: Tensor,
    score_src: Tensor,
    score_dst: Tensor,
    score_edge: Tensor | None = None,
    edge_weight: Tensor | None = None,
    negative_slope: float = 0.2,
    attn_drop: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Sum the features of the sources with additive (GAT) attention over each destination's edges.

    .. math:: y_v = \sum_{(u, v) = e} w_e \, \mathrm{softmax}_e(\mathrm{LeakyReLU}(s_u + t_v + r_e)) \, x_u

    Parameters
    ----------
    graph : dgl.DGLGraph
    feat : Tensor
        float ``[Nsrc, H, D]``.
    score_src, score_dst : Tensor
        ``[Nsrc, H]`` and ``[Ndst, H]``.
    score_edge : Tensor, optional
        ``[E, H]``.
    edge_weight : Tensor, optional
        ``[E]`` or ``[E, H]``, multiplies the normalised attention.
    negative_slope : float
        Of the leaky ReLU.
    attn_drop : float
        Probability with which a head drops an edge after the softmax; the caller passes 0 when not training.
    generator : torch.Generator, optional
        Draws the dropout.

    Returns
    -------
    Tensor
        ``[Ndst, H, D]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If a tensor does not fit the graph or the heads.

    Notes
    -----
    "Graph Attention Networks", arXiv:1710.10903. Neither the messages nor (without dropout) the attention are stored;
    the backward pass recomputes them. Under ``create_graph=True`` it is composed of :func:`edge_softmax`,
    :func:`spmm` and :func:`sddmm`, and so differentiable again.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g, zero = dgl.graph(([0, 1], [2, 2])), torch.zeros(3, 1)
    >>> attention(g, torch.tensor([[[1.0]], [[5.0]], [[0.0]]]), zero, zero).flatten().tolist()
    [0.0, 0.0, 3.0]
    """
    rel = relation(graph)
    check_rows("feat", feat, rel.num_from, "source nodes")
    check_rows("score_src", score_src, rel.num_from, "source nodes")
    check_rows("score_dst", score_dst, rel.num_to, "destination nodes")
    if feat.dim() != 3:
        raise GraphKitError(f"expected feat [Nsrc, H, D], got shape {list(feat.shape)}")
    heads = feat.shape[1]
    if score_edge is not None:
        check_rows("score_edge", score_edge, rel.num_edges, "edges")
    for name, score in (("score_src", score_src), ("score_dst", score_dst), ("score_edge", score_edge)):
        if score is not None and score.shape[1:] != (heads,):
            raise GraphKitError(f"expected {name} of {heads} heads, like feat, got shape {list(score.shape)}")
    factor = _factor(rel, heads, feat, edge_weight, attn_drop, generator)
    args = together(flat(feat), score_src, score_dst, score_edge, factor)
    out = GatAttention.apply(rel, float(negative_slope), *args)
    return out.view(rel.num_to, *feat.shape[1:]).to(feat.dtype)


def attention_v2(
    graph: dgl.DGLGraph,
    src: Tensor,
    dst: Tensor,
    attn: Tensor,
    hidden_edge: Tensor | None = None,
    edge_weight: Tensor | None = None,
    negative_slope: float = 0.2,
    attn_drop: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Sum the features of the sources with GATv2 attention over each destination's edges.

    .. math:: y_v = \sum_{(u, v) = e} w_e \, \mathrm{softmax}_e(a \cdot \mathrm{LeakyReLU}(x_u + z_v + r_e)) \, x_u

    Parameters
    ----------
    graph : dgl.DGLGraph
    src, dst : Tensor
        float ``[Nsrc, H, D]`` and ``[Ndst, H, D]``.
    attn : Tensor
        ``[H, D]``.
    hidden_edge : Tensor, optional
        ``[E, H, D]``, edge features already projected.
    edge_weight, negative_slope, attn_drop, generator
        As in :func:`attention`.

    Returns
    -------
    Tensor
        ``[Ndst, H, D]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If a tensor does not fit the graph or the heads.

    Notes
    -----
    "How Attentive are Graph Attention Networks?", arXiv:2105.14491.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g, x = dgl.graph(([0, 1], [2, 2])), torch.tensor([[[1.0]], [[5.0]], [[0.0]]])
    >>> attention_v2(g, x, x, torch.zeros(1, 1)).flatten().tolist()
    [0.0, 0.0, 3.0]
    """
    rel = relation(graph)
    check_rows("src", src, rel.num_from, "source nodes")
    check_rows("dst", dst, rel.num_to, "destination nodes")
    if src.dim() != 3 or src.shape[1:] != dst.shape[1:] or src.shape[1:] != attn.shape:
        raise GraphKitError(
            f"expected src [Nsrc, H, D], dst [Ndst, H, D] and attn [H, D], got shapes {list(src.shape)}, "
            f"{list(dst.shape)} and {list(attn.shape)}"
        )
    if hidden_edge is not None:
        check_rows("hidden_edge", hidden_edge, rel.num_edges, "edges")
        if hidden_edge.shape[1:] != attn.shape:
            raise GraphKitError(f"expected hidden_edge {['E', *attn.shape]}, got shape {list(hidden_edge.shape)}")
        hidden_edge = flat(hidden_edge)
    factor = _factor(rel, attn.shape[0], src, edge_weight, attn_drop, generator)
    args = together(flat(src), flat(dst), attn, hidden_edge, factor)
    out = Gatv2Attention.apply(rel, float(negative_slope), *args)
    return out.view(rel.num_to, *src.shape[1:]).to(src.dtype)
