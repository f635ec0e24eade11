"""Attention pools: sparsemax (1602.02068) and Hopfield pooling (2008.02217)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_heads
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.pool.simple import AttentionPool, Pool

if TYPE_CHECKING:
    import dgl


@register(
    "sparsemax",
    kind="pool",
    title="From Softmax to Sparsemax: A Sparse Model of Attention and Multi-Label Classification",
    arxiv="1602.02068",
)
class SparsemaxPool(AttentionPool):
    """Weighted mean whose learned weights can be exactly 0: ``g_b = sum_v sparsemax_{v in b}(a . x_v) x_v``.

    Parameters
    ----------
    in_feats : int
    gate : nn.Module, optional
        Takes the place of the linear score; ``[N, D] -> [N, 1]``.

    Raises
    ------
    GraphKitError
        For a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> SparsemaxPool(4)(dgl.graph(([0], [1])), torch.ones(2, 4)).shape
    torch.Size([1, 4])
    """

    def forward(self, graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
        """Return ``[B, D]`` for ``feat [N, D]``."""
        self.check(graph, feat)
        offsets = ops.offsets(graph)
        alpha = ops.segment_sparsemax(self.gate(feat), offsets)  # [N, 1]
        return ops.segment_reduce(alpha * feat, offsets, "sum")


@register("hopfield", kind="pool", title="Hopfield Networks is All You Need", arxiv="2008.02217")
class HopfieldPool(Pool):
    """Let learned queries retrieve from the nodes of each graph: ``g_b = W_O ||_heads sum_v alpha_v W_V ln(x_v)``.

    ``q = W_Q ln(r)`` with learned ``r``, ``k_v = W_K ln(x_v)``; ``steps`` times ``q <- sum_v softmax_v(beta q . k_v)
    k_v``; then ``alpha = softmax_v(beta q . k_v)``. Keys have no constant term, since a softmax does not see one.

    Parameters
    ----------
    in_feats : int
        Width D.
    num_heads : int, default 1
    quantity : int, default 1
        Learned queries; the result is that many times as wide.
    beta : float, optional
        Inverse temperature; ``1 / sqrt(D / num_heads)`` without.
    steps : int, default 0
        Further updates of the queries.

    Raises
    ------
    GraphKitError
        For heads that do not divide the width, fewer than 0 steps, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> HopfieldPool(4, quantity=2)(dgl.graph(([0], [1])), torch.ones(2, 4)).shape
    torch.Size([1, 8])
    """

    def __init__(
        self, in_feats: int, num_heads: int = 1, quantity: int = 1, beta: float | None = None, steps: int = 0
    ) -> None:
        super().__init__(in_feats)
        check_heads(in_feats, num_heads)
        if steps < 0 or quantity < 1:
            raise GraphKitError(f"expected steps of 0 or more and a quantity of 1 or more, got {steps} and {quantity}")
        self.num_heads, self.quantity, self.steps = num_heads, quantity, steps
        self.beta = (in_feats // num_heads) ** -0.5 if beta is None else beta
        self.out_feats = quantity * in_feats
        self.query = nn.Parameter(torch.empty(quantity, in_feats))
        self.norm_query, self.norm_value = nn.LayerNorm(in_feats), nn.LayerNorm(in_feats)
        self.norm_key = nn.LayerNorm(in_feats, bias=False)
        self.fc_query, self.fc_value, self.fc_out = (nn.Linear(in_feats, in_feats) for _ in range(3))
        self.fc_key = nn.Linear(in_feats, in_feats, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw queries and maps from N(0, 0.02^2), as the paper's code does; biases become 0."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
        """Return ``[B, quantity D]`` for ``feat [N, D]``."""
        self.check(graph, feat)
        offsets, heads = ops.offsets(graph), (self.num_heads, self.in_feats // self.num_heads)
        owner = ops.segment_ids(offsets).to(feat.device)
        key = self.fc_key(self.norm_key(feat)).unflatten(-1, heads)[:, None]  # [N, 1, H, d]
        value = self.fc_value(self.norm_value(feat)).unflatten(-1, heads)[:, None]
        query = self.fc_query(self.norm_query(self.query)).unflatten(-1, heads)  # [Q, H, d]
        query = query.expand(len(offsets) - 1, *query.shape)  # [B, Q, H, d]
        for step in range(self.steps + 1):
            score = self.beta * (query[owner] * key).sum(-1)  # [N, Q, H]
            alpha = ops.segment_softmax(score.flatten(1), offsets).view_as(score)[..., None]
            query = ops.segment_reduce(alpha * (value if step == self.steps else key), offsets, "sum")
        return self.fc_out(query.flatten(2)).flatten(1)
