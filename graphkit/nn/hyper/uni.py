"""UniGNN: a Unified Framework for Graph and Hypergraph Neural Networks, 2105.00956."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.check import check_heads
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.hyper.base import TWO_HOPS, HyperLayer, mean_members
from graphkit.nn.layer import glorot

if TYPE_CHECKING:
    import dgl

RECORD: dict[str, Any] = {
    "kind": "layer",
    "title": "UniGNN: a Unified Framework for Graph and Hypergraph Neural Networks",
    "arxiv": "2105.00956",
    "declines": {"blocks": TWO_HOPS},
    "hypergraph": True,
}


class _Uni(HyperLayer):
    """What all share: ``h_e`` the mean of the members' ``x Theta``, then a second step that each names."""

    def __init__(self, in_feats: int, out_feats: int, bias: bool = True) -> None:
        super().__init__(in_feats, out_feats)
        self.fc = nn.Linear(in_feats, out_feats, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_feats)) if bias else None

    def second(self, graph: Any, x: Tensor, h: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Return ``[N, D]`` for the nodes' ``x [N, D]`` and the hyperedges' ``h [M, D]``: by default ``x + sum h``."""
        return x + ops.spmm(graph.back, h, edge_weight)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]`` and ``edge_weight [E]``."""
        sides = self.sides(graph, feat, None, edge_weight)
        x = self.fc(feat)
        out = self.second(sides, x, mean_members(sides.into, x, edge_weight), edge_weight)
        return out if self.bias is None else out + self.bias


@register("unigcnconv", **RECORD)
class UniGCNConv(_Uni):
    """Degree-normalised: ``x'_v = 1/sqrt(d_v) sum_{e with v} h_e / sqrt(d_e) + b``, ``h_e = mean_{u in e} x_u Theta``.

    ``d_v`` is the number of hyperedges of v, ``d_e`` the mean of that over e's members; both at least 1.

    Parameters
    ----------
    in_feats, out_feats : int
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block or another graph, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> UniGCNConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def second(self, graph: Any, x: Tensor, h: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Return the normalised sum."""
        degree = ops.degrees(graph.back, "in", like=x)
        of_edge = ops.spmm(graph.into, degree[:, None], reduce="mean")[:, 0].clamp(min=1)
        total = ops.spmm(graph.back, scale(h, of_edge.rsqrt()), edge_weight)
        return scale(total, degree.clamp(min=1).rsqrt())


@register("unisageconv", **RECORD)
class UniSAGEConv(_Uni):
    """Own row beside the sum: ``x'_v = x_v Theta + sum_{e with v} h_e + b``, ``h_e = mean_{u in e} x_u Theta``.

    Parameters
    ----------
    in_feats, out_feats : int
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block or another graph, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> UniSAGEConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """


@register("uniginconv", **RECORD)
class UniGINConv(_Uni):
    """Own row with a learned share: ``x'_v = ((1 + eps) x_v + sum_{e with v} mean_{u in e} x_u) Theta + b``.

    Parameters
    ----------
    in_feats, out_feats : int
    eps : float, default 0.0
        Where the learned number begins.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block or another graph, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> UniGINConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, out_feats: int, eps: float = 0.0, bias: bool = True) -> None:
        super().__init__(in_feats, out_feats, bias)
        self.eps = nn.Parameter(torch.tensor(float(eps)))

    def second(self, graph: Any, x: Tensor, h: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Return the sum with the own row's share."""
        return (1 + self.eps) * x + ops.spmm(graph.back, h, edge_weight)


@register("unigatconv", **RECORD, example={"num_heads": 2})
class UniGATConv(_Uni):
    """Attention to a node's hyperedges: ``x'_v = sum_e softmax_e(leaky_relu(a . [x_v Theta || h_e])) h_e + b``.

    ``h_e = mean_{u in e} x_u Theta``; e runs over the hyperedges of v and one that holds v alone, whose row is
    ``x_v Theta``. ``edge_weight`` multiplies the attention, and the members in the mean.

    Parameters
    ----------
    in_feats, out_feats : int
        ``out_feats`` is the width of all heads together.
    num_heads : int, default 1
    negative_slope : float, default 0.2
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block or another graph, for heads that do not divide the width, a wrong width or length, or integers.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> UniGATConv(4, 2, num_heads=2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_heads: int = 1, negative_slope: float = 0.2, bias: bool = True
    ) -> None:
        super().__init__(in_feats, out_feats, bias)
        check_heads(out_feats, num_heads)
        self.num_heads, self.negative_slope = num_heads, negative_slope
        self.attn_node = nn.Parameter(torch.empty(num_heads, out_feats // num_heads))
        self.attn_edge = nn.Parameter(torch.empty(num_heads, out_feats // num_heads))
        glorot(self.attn_node, self.attn_edge)

    def second(self, graph: Any, x: Tensor, h: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Return the attended sum."""
        x, h = (y.unflatten(-1, (self.num_heads, -1)) for y in (x, h))  # [N, H, d], [M, H, d]
        asks = (x * self.attn_node).sum(-1)
        score = ops.sddmm(graph.back, (h * self.attn_edge).sum(-1, keepdim=True), asks[..., None], "add")[..., 0]
        score = F.leaky_relu(score, self.negative_slope)  # [E, H]
        alone = F.leaky_relu(asks + (x * self.attn_edge).sum(-1), self.negative_slope)  # [N, H]
        top = torch.maximum(ops.edge_reduce(graph.back, score.detach(), "max"), alone.detach())
        some = (ops.degrees(graph.back, "in", like=x) > 0)[:, None]
        top = torch.where(some, top, alone.detach())  # the largest exponent, which cancels
        share, own = torch.exp(score - ops.gather_dst(graph.back, top)), torch.exp(alone - top)
        total = ops.edge_reduce(graph.back, share) + own
        heard = ops.spmm(graph.back, h, scale(share, edge_weight))
        return ((heard + own[..., None] * x) / total[..., None]).flatten(1)
