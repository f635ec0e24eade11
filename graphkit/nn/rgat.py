"""Relational graph attention: Relational Graph Attention Networks, 1904.05811."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_heads, check_rate
from graphkit.core.registry import register
from graphkit.nn.layer import Layer, glorot

if TYPE_CHECKING:
    import dgl


@register(
    "relgatconv",
    kind="layer",
    title="Relational Graph Attention Networks",
    arxiv="1904.05811",
    example={"num_rels": 3, "num_heads": 2},
)
class RelGATConv(Layer):
    """Attention with a map per relation: ``h_v = ||_heads sum_{u -r-> v} alpha_uvr w_uv W_r x_u + W_0 x_v + b``.

    ``alpha_uvr = softmax(leaky_relu(a_r . W_r x_u + c_r . W_r x_v))`` over all edges into v, of whatever relation
    (the paper's ARGAT, additive); weights do not enter it. ``W_r x_u`` is computed once for each pair (u, r) that
    occurs, and ``c_r . W_r x_v`` as ``(W_r^T c_r) . x_v`` for each pair (v, r).

    Parameters
    ----------
    in_feats, out_feats : int
        ``out_feats`` is the width of all heads together.
    num_rels : int
    num_heads : int, default 1
    negative_slope : float, default 0.2
    attn_drop : float, default 0.0
    self_loop : bool, default True
        Whether there is ``W_0``.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        For heads that do not divide the width, relation ids out of range, a wrong width or length, or integers.

    Examples
    --------
    >>> import graphkit, dgl
    >>> layer = RelGATConv(4, 6, num_rels=3, num_heads=2)
    >>> layer(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), etype=torch.tensor([0, 2])).shape
    torch.Size([3, 6])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_rels: int, num_heads: int = 1, negative_slope: float = 0.2,
        attn_drop: float = 0.0, self_loop: bool = True, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, num_rels=num_rels)
        check_heads(out_feats, num_heads)
        check_rate("attn_drop", attn_drop)
        self.num_heads, self.head_feats = num_heads, out_feats // num_heads
        self.negative_slope, self.attn_drop = negative_slope, attn_drop
        self.weight = nn.Parameter(torch.empty(num_rels, in_feats, out_feats))
        self.attn_src = nn.Parameter(torch.empty(num_rels, num_heads, self.head_feats))
        self.attn_dst = nn.Parameter(torch.empty(num_rels, num_heads, self.head_feats))
        self.loop_weight = nn.Parameter(torch.empty(in_feats, out_feats)) if self_loop else None
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; the bias becomes 0."""
        glorot(self.weight, self.attn_src, self.attn_dst, self.loop_weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``etype [E]`` int64, ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight, etype=etype)
        assert etype is not None
        h = ops.typed_attention(
            graph, feat, self.weight, self.attn_src, self.attn_dst, etype, edge_weight, self.negative_slope,
            self.attn_drop if self.training else 0.0,
        )  # fmt: skip
        if self.loop_weight is not None:
            h = h + ops.dst_rows(graph, feat) @ self.loop_weight
        return h if self.bias is None else h + self.bias
