"""AllSet: You are AllSet: A Multiset Function Framework for Hypergraph Neural Networks, 2106.13264."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_heads
from graphkit.core.registry import register
from graphkit.nn.hyper.base import TWO_HOPS, HyperLayer
from graphkit.nn.mlp import MLP

if TYPE_CHECKING:
    import dgl

RECORD: dict[str, Any] = {
    "kind": "layer",
    "title": "You are AllSet: A Multiset Function Framework for Hypergraph Neural Networks",
    "arxiv": "2106.13264",
    "declines": {"blocks": TWO_HOPS},
    "hypergraph": True,
}


class DeepSet(nn.Module):
    """A function of multisets: ``f(S) = MLP_2(sum_{x in S} MLP_1(x))``, for each destination of a relation.

    Examples
    --------
    >>> import graphkit, dgl
    >>> DeepSet(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, out_feats: int) -> None:
        super().__init__()
        self.inner, self.outer = MLP(in_feats, out_feats), MLP(out_feats, out_feats)

    def forward(self, relation: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]`` and ``edge_weight [E]``."""
        return self.outer(ops.spmm(relation, self.inner(feat), edge_weight))


class SeedAttention(nn.Module):
    """Pooling by attention with a learned seed: ``f(S) = ln(o + relu(W o + b))``, ``o = ln(s + ||_h sum alpha V x)``.

    ``alpha = softmax_{x in S}(leaky_relu(s_h . K_h x))``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> SeedAttention(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, out_feats: int, num_heads: int = 1) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.fc_key = nn.Linear(in_feats, out_feats, bias=False)
        self.fc_value = nn.Linear(in_feats, out_feats)
        self.seed = nn.Parameter(torch.empty(num_heads, out_feats // num_heads))
        self.norm_seed, self.norm_out = nn.LayerNorm(out_feats), nn.LayerNorm(out_feats)
        self.fc_out = nn.Linear(out_feats, out_feats)
        nn.init.xavier_uniform_(self.seed)

    def forward(self, relation: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]`` and ``edge_weight [E]``."""
        heads = (self.num_heads, -1)
        score = (self.fc_key(feat).unflatten(-1, heads) * self.seed).sum(-1)  # [Nsrc, H]
        none = score.new_zeros(relation.num_dst_nodes(), self.num_heads)
        value = self.fc_value(feat).unflatten(-1, heads)
        read = ops.attention(relation, value, score, none, edge_weight=edge_weight, negative_slope=0.2)
        o = self.norm_seed(self.seed.flatten() + read.flatten(1))
        return self.norm_out(o + torch.relu(self.fc_out(o)))


class _AllSet(HyperLayer):
    """What both share: a multiset function into the hyperedges, another one back."""

    into: nn.Module
    back: nn.Module

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]`` and ``edge_weight [E]``."""
        into, back = self.sides(graph, feat, None, edge_weight)
        z = self.activation(self.into(into, feat, edge_weight))  # [M, out]
        return self.back(back, z, edge_weight)

    def activation(self, z: Tensor) -> Tensor:
        """What stands between the two functions: a ReLU."""
        return torch.relu(z)


@register("alldeepsetsconv", **RECORD)
class AllDeepSetsConv(_AllSet):
    """Deep sets both ways: ``Z_e = relu(f_1({x_v : v in e}))``, ``x'_v = f_2({Z_e : v in e})``; see :class:`DeepSet`.

    Parameters
    ----------
    in_feats, out_feats : int

    Raises
    ------
    GraphKitError
        On a block or another graph, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> AllDeepSetsConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, out_feats: int) -> None:
        super().__init__(in_feats, out_feats)
        self.into, self.back = DeepSet(in_feats, out_feats), DeepSet(out_feats, out_feats)


@register("allsettransformerconv", **RECORD, example={"num_heads": 2})
class AllSetTransformerConv(_AllSet):
    """Attention both ways: ``Z_e = relu(f_1({x_v : v in e}))``, ``x'_v = f_2({Z_e : v in e})``.

    Both are a :class:`SeedAttention`.

    Weights of memberships multiply the attention.

    Parameters
    ----------
    in_feats, out_feats : int
        ``out_feats`` is the width of all heads together.
    num_heads : int, default 1

    Raises
    ------
    GraphKitError
        On a block or another graph, for heads that do not divide the width, a wrong width or length, or integers.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> AllSetTransformerConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, out_feats: int, num_heads: int = 1) -> None:
        super().__init__(in_feats, out_feats)
        check_heads(out_feats, num_heads)
        self.into = SeedAttention(in_feats, out_feats, num_heads)
        self.back = SeedAttention(out_feats, out_feats, num_heads)
