"""Pools that keep the best nodes: TopKPool (1905.05178), SAGPool (1904.08082)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.registry import register
from graphkit.nn.gcn import GCNConv
from graphkit.nn.pool.coarsen import GraphPool, Pooled, check_ratio, choose, induced

if TYPE_CHECKING:
    import dgl


def _select(graph: dgl.DGLGraph, feat: Tensor, score: Tensor, ratio: float, edge_weight: Tensor | None) -> Pooled:
    """Keep the nodes of highest ``score [N]``, each row times its score, and the edges between them."""
    kept, sizes = choose(score, ops.offsets(graph), ratio)
    small, edges = induced(graph, kept, sizes)
    weight = None if edge_weight is None else edge_weight[edges.to(edge_weight.device)]
    return Pooled(small, feat[kept] * score[kept, None], edge_weight=weight, kept=kept)


@register(
    "topk",
    kind="pool",
    title="Graph U-Nets",
    arxiv="1905.05178",
    traits={"changes_graph"},
)
class TopKPool(GraphPool):
    """Keep the nodes that point furthest along a learned vector: ``s_v = tanh(x_v . p / ||p||)``, ``x'_v = s_v x_v``.

    Parameters
    ----------
    in_feats : int
        Width D.
    ratio : float or int, default 0.5
        A float: ``ceil(ratio n)`` of a graph's n nodes stay; an int: that many, or all.

    Raises
    ------
    GraphKitError
        On a block, for another ratio, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> TopKPool(4)(dgl.graph(([0, 1], [1, 2])), torch.randn(3, 4)).node.shape
    torch.Size([2, 4])
    """

    def __init__(self, in_feats: int, ratio: float = 0.5) -> None:
        super().__init__(in_feats)
        check_ratio(ratio)
        self.ratio = ratio
        self.weight = nn.Parameter(torch.empty(in_feats))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vector uniformly from ``[-1, 1] / sqrt(D)``."""
        nn.init.uniform_(self.weight, -(self.in_feats**-0.5), self.in_feats**-0.5)

    def forward(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> Pooled:
        """Return the :class:`Pooled` graph for ``feat [N, D]``; ``edge_weight [E]`` goes with the edges."""
        self.check(graph, feat, edge_weight)
        return _select(graph, feat, torch.tanh(feat @ self.weight / self.weight.norm()), self.ratio, edge_weight)


@register(
    "sag",
    kind="pool",
    title="Self-Attention Graph Pooling",
    arxiv="1904.08082",
    traits={"changes_graph"},
)
class SAGPool(GraphPool):
    """Keep the nodes that a graph convolution scores highest: ``s = tanh(GNN(A, X))``, ``x'_v = s_v x_v``.

    Parameters
    ----------
    in_feats : int
        Width D.
    ratio : float or int, default 0.5
        As for :class:`TopKPool`.
    gnn : Layer, optional
        Scores, of width 1; a :class:`~graphkit.nn.GCNConv`, as in the paper, without.

    Raises
    ------
    GraphKitError
        On a block, for another ratio, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> SAGPool(4)(dgl.graph(([0, 1], [1, 2])), torch.randn(3, 4)).node.shape
    torch.Size([2, 4])
    """

    def __init__(self, in_feats: int, ratio: float = 0.5, gnn: nn.Module | None = None) -> None:
        super().__init__(in_feats)
        check_ratio(ratio)
        self.ratio = ratio
        self.gnn = GCNConv(in_feats, 1) if gnn is None else gnn

    def forward(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> Pooled:
        """Return the :class:`Pooled` graph for ``feat [N, D]``; ``edge_weight [E]`` weighs the GNN's messages."""
        self.check(graph, feat, edge_weight)
        score = torch.tanh(self.gnn(graph, feat, edge_weight=edge_weight))[:, 0]  # [N]
        return _select(graph, feat, score, self.ratio, edge_weight)
