"""Heterogeneous graph transformer: Heterogeneous Graph Transformer, 2003.01332."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_heads, check_ids
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.dropout import Dropout
from graphkit.nn.layer import Layer, glorot
from graphkit.nn.mlp import make_activation
from graphkit.nn.rgcn import merge_blocks
from graphkit.nn.typed import TypedLinear

if TYPE_CHECKING:
    import dgl


@register(
    "hgtconv",
    kind="layer",
    title="Heterogeneous Graph Transformer",
    arxiv="2003.01332",
    example={"num_rels": 3, "num_heads": 2},
)
class HGTConv(Layer):
    """Attention with maps per type: ``h_v = s A_t(v) act(||_heads sum alpha w V'_ur) + (1 - s) x_v``.

    ``alpha = softmax((K_t(u) x_u) W^att_r . (Q_t(v) x_v) mu_r / sqrt(d))`` over all edges ``u -r-> v``, ``V'_ur =
    (V_t(u) x_u) W^msg_r``, ``s = sigmoid(skip_t(v))``; where the widths differ, ``x_v`` passes through one more linear
    map. Keys and values of a relation are computed once for each pair (u, r) that occurs.

    Parameters
    ----------
    in_feats, out_feats : int
        ``out_feats`` is the width of all heads together.
    num_rels : int
    num_ntypes : int, default 1
        Node types; with more than 1 the layer expects ``ntype``.
    num_heads : int, default 1
    dropout : float, default 0.0
        Of the aggregated rows.
    activation : str, default "relu"
        ``act``; DGL's layer has ``none``.

    Raises
    ------
    GraphKitError
        For heads that do not divide the width, node types or relation ids out of range, a wrong width or length, or
        integers.

    Examples
    --------
    >>> import graphkit, dgl
    >>> layer, graph = HGTConv(4, 6, num_rels=3, num_ntypes=2), dgl.graph(([0, 1], [1, 2]))
    >>> layer(graph, torch.ones(3, 4), etype=torch.tensor([0, 2]), ntype=torch.tensor([0, 0, 1])).shape
    torch.Size([3, 6])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_rels: int, num_ntypes: int = 1, num_heads: int = 1,
        dropout: float = 0.0, activation: str = "relu",
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, num_rels=num_rels)
        check_heads(out_feats, num_heads)
        self.num_heads, self.head_feats, self.num_ntypes = num_heads, out_feats // num_heads, num_ntypes
        self.fc_key, self.fc_query, self.fc_value = (TypedLinear(in_feats, out_feats, num_ntypes) for _ in range(3))
        self.fc_out = TypedLinear(out_feats, out_feats, num_ntypes)
        self.weight_attn = nn.Parameter(torch.empty(num_heads, num_rels, self.head_feats, self.head_feats))
        self.weight_message = nn.Parameter(torch.empty(num_heads, num_rels, self.head_feats, self.head_feats))
        self.prior = nn.Parameter(torch.ones(num_rels, num_heads))
        self.skip = nn.Parameter(torch.ones(num_ntypes))
        self.fc_skip = nn.Linear(in_feats, out_feats, bias=False) if in_feats != out_feats else None
        self.dropout, self.activation = Dropout(dropout), make_activation(activation)
        glorot(self.weight_attn, self.weight_message)

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None, ntype: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``etype [E]`` and ``ntype [Nsrc]`` int64."""
        self.check(graph, feat, edge_weight=edge_weight, etype=etype)
        assert etype is not None
        ntype = _node_types(feat, ntype, self.num_ntypes)
        own, own_type = ops.dst_rows(graph, feat), ops.dst_rows(graph, ntype)
        key, value, query = self.fc_key(feat, ntype), self.fc_value(feat, ntype), self.fc_query(own, own_type)
        attn = self.weight_attn * (self.prior.t() * self.head_feats**-0.5)[..., None, None]
        weight = merge_blocks(torch.cat([attn, self.weight_message]).transpose(0, 1))  # [R, B, 2 H d / B, 2 H d / B]
        h = ops.typed_dot_attention(graph, key, value, query, weight, etype, self.num_heads, edge_weight)
        h = self.dropout(self.fc_out(self.activation(h), own_type))
        share = torch.sigmoid(self.skip)[own_type][:, None]
        return share * h + (1 - share) * (own if self.fc_skip is None else self.fc_skip(own))


def _node_types(feat: Tensor, ntype: Tensor | None, number: int) -> Tensor:
    """Return the types of the rows of ``feat``, all 0 where there is one type and none is given."""
    if ntype is None:
        if number > 1:
            raise GraphKitError(f"HGTConv expects ntype, the type of each node, of {number}, got None")
        return torch.zeros(len(feat), dtype=torch.int64, device=feat.device)
    check_ids("ntype", ntype, number, len(feat))
    return ntype
