"""Dot-product attention over edges: Masked Label Prediction (2009.03509)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_heads, check_rate
from graphkit.core.registry import register
from graphkit.nn.layer import Layer, joint

if TYPE_CHECKING:
    import dgl


@register(
    "transformerconv",
    kind="layer",
    title="Masked Label Prediction: Unified Message Passing Model for Semi-Supervised Classification",
    arxiv="2009.03509",
    example={"num_heads": 2, "edge_feats": 2},
)
class TransformerConv(Layer):
    """Transformer attention: ``h_v = W_skip x_v + ||_heads sum_u w_uv alpha_uv (V x_u + W_e e_uv)``.

    ``alpha_uv = softmax_u(Q x_v . (K x_u + W_e e_uv) / sqrt(D))``; weights do not enter it. With ``gate``,
    ``h = b * skip + (1 - b) * heard``, ``b = sigmoid(g . [heard, skip, heard - skip])``. Edge features of at most
    twice the width of a head are multiplied and summed as they are, and ``W_e`` is applied to nodes.

    Parameters
    ----------
    in_feats, out_feats : int
        ``out_feats`` is the width of all heads together; with ``concat=False`` that of each, and they are averaged.
    num_heads : int, default 1
    edge_feats : int, default 0
    concat : bool, default True
    attn_drop : float, default 0.0
    skip : bool, default True
        Whether there is ``W_skip``.
    gate : bool, default False
        PyG's ``beta``; needs ``skip``, and has no effect without.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        For heads that do not divide the width, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> TransformerConv(4, 6, num_heads=2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 6])
    """

    #: Up to how many times the width of a head edge features are read as they are; chosen by count, not by measurement.
    narrow: ClassVar[int] = 2

    def __init__(
        self, in_feats: int, out_feats: int, num_heads: int = 1, edge_feats: int = 0, concat: bool = True,
        attn_drop: float = 0.0, skip: bool = True, gate: bool = False, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, edge_feats)
        if concat:
            check_heads(out_feats, num_heads)
        check_rate("attn_drop", attn_drop)
        self.num_heads, self.head_feats = num_heads, out_feats // num_heads if concat else out_feats
        self.concat, self.attn_drop = concat, attn_drop
        width = num_heads * self.head_feats
        self.fc_query, self.fc_key, self.fc_value = (nn.Linear(in_feats, width, bias=bias) for _ in range(3))
        self.fc_edge = nn.Linear(edge_feats, width, bias=False) if edge_feats else None
        self.fc_skip = nn.Linear(in_feats, out_feats, bias=bias) if skip else None
        self.fc_gate = nn.Linear(3 * out_feats, 1, bias=False) if skip and gate else None

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        own = ops.dst_rows(graph, feat)
        query, key, value = (self._heads(x) for x in self._projected(graph, feat, own))  # [N, H, D]
        drop = self.attn_drop * self.training
        given = {"edge_weight": edge_weight, "scale": self.head_feats**-0.5, "attn_drop": drop}
        if self.fc_edge is None:
            heard, _ = ops.dot_attention(graph, query, key, value, **given)
        else:
            heard = _with_edges(self, graph, query, key, value, edge_feat, given)
        return self._output(own, heard.flatten(1) if self.concat else heard.mean(1))

    def _projected(self, graph: dgl.DGLGraph, feat: Tensor, own: Tensor) -> tuple[Tensor, ...]:
        """Return query, key and value, by one product where all rows are targets."""
        if graph.is_block:
            return self.fc_query(own), *joint(feat, self.fc_key, self.fc_value)
        return joint(feat, self.fc_query, self.fc_key, self.fc_value)

    def _heads(self, flat: Tensor) -> Tensor:
        return flat.unflatten(-1, (self.num_heads, self.head_feats))

    def _output(self, own: Tensor, heard: Tensor) -> Tensor:
        if self.fc_skip is None:
            return heard
        skip = self.fc_skip(own)
        if self.fc_gate is None:
            return heard + skip
        b = torch.sigmoid(self.fc_gate(torch.cat([heard, skip, heard - skip], -1)))
        return b * skip + (1 - b) * heard


def _with_edges(
    layer: TransformerConv,
    graph: dgl.DGLGraph,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_feat: Tensor,
    given: dict[str, Any],
) -> Tensor:
    assert layer.fc_edge is not None
    if layer.edge_feats > layer.narrow * layer.head_feats:
        edge = layer._heads(layer.fc_edge(edge_feat))  # [E, H, D]
        heard, of_edges = ops.dot_attention(graph, query, key, value, edge, query, **given)
        assert of_edges is not None
        return heard + of_edges
    # q . (W e) = (W^T q) . e, and sum alpha W e = W sum alpha e
    weight = layer._heads(layer.fc_edge.weight.T).transpose(0, 1)  # [H, De, D]
    probe = torch.einsum("nhd,hed->nhe", query, weight)
    heard, of_edges = ops.dot_attention(graph, query, key, value, edge_feat, probe, **given)
    return heard + torch.einsum("nhe,hed->nhd", of_edges, weight)
