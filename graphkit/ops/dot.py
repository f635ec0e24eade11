"""Dot-product attention over edges that never holds an ``[E, H, D]`` tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.ops._checks import check_rows, together
from graphkit.ops._dot import DotAttention
from graphkit.ops._relation import Relation, relation
from graphkit.ops.message import flat
from graphkit.ops.softmax import _factor

if TYPE_CHECKING:
    import dgl


def dot_attention(
    graph: dgl.DGLGraph,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge: Tensor | None = None,
    probe: Tensor | None = None,
    edge_weight: Tensor | None = None,
    scale: float = 1.0,
    attn_drop: float = 0.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Sum the values of the sources, and edge features, with dot-product attention over each destination's edges.

    .. math:: y_v = \sum_{(u, v) = i} a_i x_u, \quad z_v = \sum_{i \to v} a_i e_i, \quad
        a_i = w_i \, \mathrm{softmax}_i(\mathrm{scale} \cdot (q_v \cdot k_u + p_v \cdot e_i))

    Parameters
    ----------
    graph : dgl.DGLGraph
    query : Tensor
        float ``[Ndst, H, D]``.
    key, value : Tensor
        ``[Nsrc, H, D]`` each.
    edge : Tensor, optional
        ``[E, F]``, the same for all heads, or ``[E, H, F]``.
    probe : Tensor, optional
        ``[Ndst, H, F]``, what edge features are multiplied by; needed with them.
    edge_weight : Tensor, optional
        ``[E]`` or ``[E, H]``, multiplies the normalised attention.
    scale : float
        Of the scores.
    attn_drop : float
        Probability with which a head drops an edge after the softmax; the caller passes 0 when not training.
    generator : torch.Generator, optional
        Draws the dropout.

    Returns
    -------
    tuple
        ``[Ndst, H, D]``, and ``[Ndst, H, F]`` or None without edge features; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If a tensor does not fit the graph or the heads.

    Notes
    -----
    "Masked Label Prediction: Unified Message Passing Model for Semi-Supervised Classification", arXiv:2009.03509, whose
    ``q . (k + W e)`` is ``q . k + p . e`` with ``p = W^T q``, and whose ``sum of a (x + W e)`` is ``y + W z``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g, x = dgl.graph(([0, 1], [2, 2])), torch.tensor([[[1.0]], [[5.0]], [[0.0]]])
    >>> dot_attention(g, x, x, x)[0].flatten().tolist()
    [0.0, 0.0, 3.0]
    """
    rel = relation(graph)
    check_rows("query", query, rel.num_to, "destination nodes")
    check_rows("key", key, rel.num_from, "source nodes")
    check_rows("value", value, rel.num_from, "source nodes")
    if query.dim() != 3 or key.shape[1:] != query.shape[1:] or value.shape[1:] != query.shape[1:]:
        raise GraphKitError(
            f"expected query [Ndst, H, D], key and value [Nsrc, H, D], got shapes {list(query.shape)}, "
            f"{list(key.shape)} and {list(value.shape)}"
        )
    heads = query.shape[1]
    if edge is not None or probe is not None:
        _check_edges(rel, heads, edge, probe)
    factor = _factor(rel, heads, query, edge_weight, attn_drop, generator)
    parts = [x if x is None else flat(x) for x in (query, key, value, probe, edge)]
    out, heard = DotAttention.apply(rel, (float(scale), heads), *together(*parts, factor))
    out = out.view(rel.num_to, *query.shape[1:]).to(query.dtype)
    return out, None if probe is None else heard.view(probe.shape).to(query.dtype)


def _check_edges(rel: Relation, heads: int, edge: Tensor | None, probe: Tensor | None) -> None:
    if edge is None or probe is None:
        raise GraphKitError("expected edge and probe together, got one of them")
    check_rows("edge", edge, rel.num_edges, "edges")
    check_rows("probe", probe, rel.num_to, "destination nodes")
    if probe.dim() != 3 or probe.shape[1] != heads or edge.shape[1:] not in (probe.shape[1:], probe.shape[2:]):
        raise GraphKitError(
            f"expected probe [Ndst, {heads}, F] and edge [E, F] or [E, {heads}, F], got shapes {list(probe.shape)} and "
            f"{list(edge.shape)}"
        )
