"""Pools that make clusters: DiffPool (1806.08804), MinCutPool (1907.00481)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import _dgl, ops
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.pool.coarsen import GraphPool, Pooled, complete
from graphkit.nn.sage import SAGEConv

if TYPE_CHECKING:
    import dgl


class _Clusters(GraphPool):
    """What both share: a soft assignment to K clusters per graph, and the products that follow from it."""

    def __init__(self, in_feats: int, num_clusters: int) -> None:
        super().__init__(in_feats)
        if num_clusters < 1:
            raise GraphKitError(f"num_clusters={num_clusters} is no number of clusters; expected at least 1")
        self.num_clusters = num_clusters

    def _products(
        self, graph: dgl.DGLGraph, s: Tensor, feat: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``S^T X [B, K, D]``, ``S^T A S [B, K, K]`` and ``S^T S [B, K, K]`` of each graph."""
        offsets = ops.offsets(graph)
        dense = ops.to_dense(s, offsets)[0]  # [B, M, K]
        reached = ops.to_dense(ops.spmm(graph, s, weight), offsets)[0]  # A^T S
        left = dense.transpose(1, 2)
        return left @ ops.to_dense(feat, offsets)[0], reached.transpose(1, 2) @ dense, left @ dense

    def _pooled(self, x: Tensor, a: Tensor, s: Tensor, aux: dict[str, Tensor]) -> Pooled:
        small = complete(len(x), self.num_clusters)
        return Pooled(small, x.flatten(0, 1), aux=aux, edge_weight=a.flatten(), assignment=s)


def root(square: Tensor) -> Tensor:
    """Return the square root with 0 for 0 and less, in value and in gradient.

    >>> root(torch.tensor([4.0, 0.0])).tolist()
    [2.0, 0.0]
    """
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)


def ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """Return ``top / bottom``, 0 where the bottom is 0.

    >>> ratio(torch.tensor([4.0, 1.0]), torch.tensor([2.0, 0.0])).tolist()
    [2.0, 0.0]
    """
    some = bottom != 0
    return torch.where(some, top / torch.where(some, bottom, 1.0), 0.0)


@register(
    "diff",
    kind="pool",
    title="Hierarchical Graph Representation Learning with Differentiable Pooling",
    arxiv="1806.08804",
    traits={"changes_graph"},
    example={"num_clusters": 3},
)
class DiffPool(_Clusters):
    """Learn where each node goes: ``S = softmax(GNN_pool(A, X))``, ``X' = S^T GNN_embed(A, X)``, ``A' = S^T A S``.

    ``aux`` holds ``link = ||A - S S^T||_F / sum_b n_b^2`` (over all graphs of the batch) and ``entropy``, the mean
    entropy of the rows of S. Every graph becomes the complete graph of K clusters, weighted by ``A'``.

    Parameters
    ----------
    in_feats : int
        Width D.
    num_clusters : int, default 10
        K.
    gnn_pool, gnn_embed : Layer, optional
        Of widths D to K, and D to D; :class:`~graphkit.nn.SAGEConv` of mean, as in the paper, without.

    Raises
    ------
    GraphKitError
        On a block, for fewer than 1 cluster, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> pooled = DiffPool(4, num_clusters=2)(dgl.graph(([0, 1], [1, 2])), torch.randn(3, 4))
    >>> pooled.node.shape, sorted(pooled.aux)
    (torch.Size([2, 4]), ['entropy', 'link'])
    """

    def __init__(
        self,
        in_feats: int,
        num_clusters: int = 10,
        gnn_pool: nn.Module | None = None,
        gnn_embed: nn.Module | None = None,
    ) -> None:
        super().__init__(in_feats, num_clusters)
        self.gnn_pool = SAGEConv(in_feats, num_clusters) if gnn_pool is None else gnn_pool
        self.gnn_embed = SAGEConv(in_feats, in_feats) if gnn_embed is None else gnn_embed

    def forward(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> Pooled:
        """Return the :class:`Pooled` graph for ``feat [N, D]``; ``edge_weight [E]`` weighs A and all messages."""
        self.check(graph, feat, edge_weight)
        s = torch.softmax(self.gnn_pool(graph, feat, edge_weight=edge_weight), -1)  # [N, K]
        z = self.gnn_embed(graph, feat, edge_weight=edge_weight)
        x, a, ss = self._products(graph, s, z, edge_weight)
        entropy = -(s * (s + 1e-15).log()).sum(-1)
        aux = {"link": self._link_loss(graph, s, ss, edge_weight), "entropy": entropy.sum() / max(len(s), 1)}
        return self._pooled(x, a, s, aux)

    def _link_loss(self, graph: dgl.DGLGraph, s: Tensor, ss: Tensor, weight: Tensor | None) -> Tensor:
        """``||A - S S^T||^2 = ||A||^2 - 2 <A, S S^T> + ||S^T S||^2`` needs no N x N matrix."""
        structure = _dgl.structure(graph)
        weight = s.new_ones(graph.num_edges()) if weight is None else weight
        pair = (structure.src * structure.num_dst + structure.dst).unique(return_inverse=True)[1].to(s.device)
        entry = weight.new_zeros(len(weight)).index_add(0, pair, weight)  # parallel edges share an entry of A
        square = entry.square().sum() - 2 * (weight * ops.sddmm(graph, s, s)).sum() + ss.square().sum()
        return root(square) / max(int(ops.offsets(graph).diff().square().sum()), 1)


@register(
    "mincut",
    kind="pool",
    title="Spectral Clustering with Graph Neural Networks for Graph Pooling",
    arxiv="1907.00481",
    traits={"changes_graph"},
    example={"num_clusters": 3},
)
class MinCutPool(_Clusters):
    """Cluster by a relaxed normalised cut: ``S = softmax(MLP(X))``, ``X' = S^T X``, ``A' = S^T A S``.

    ``A'`` loses its diagonal and is normalised by the roots of its row sums. ``aux`` holds the means over graphs of
    ``cut = -tr(S^T A S) / tr(S^T D S)`` (D the weighted out-degrees; 0 for a graph without edges) and ``orthogonal =
    || S^T S / ||S^T S||_F - I / sqrt(K) ||_F``.

    Parameters
    ----------
    in_feats : int
        Width D.
    num_clusters : int, default 10
        K.
    mlp : nn.Module, optional
        ``[N, D] -> [N, K]``; one linear map without.

    Raises
    ------
    GraphKitError
        On a block, for fewer than 1 cluster, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> MinCutPool(4, num_clusters=2)(dgl.graph(([0, 1], [1, 2])), torch.randn(3, 4)).node.shape
    torch.Size([2, 4])
    """

    def __init__(self, in_feats: int, num_clusters: int = 10, mlp: nn.Module | None = None) -> None:
        super().__init__(in_feats, num_clusters)
        self.mlp = nn.Linear(in_feats, num_clusters) if mlp is None else mlp

    def forward(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> Pooled:
        """Return the :class:`Pooled` graph for ``feat [N, D]``; ``edge_weight [E]`` are the entries of A."""
        self.check(graph, feat, edge_weight)
        s = torch.softmax(self.mlp(feat), -1)  # [N, K]
        x, a, ss = self._products(graph, s, feat, edge_weight)
        degree = ops.degrees(graph, "out", edge_weight, like=feat)
        cut = ops.segment_reduce(degree * s.square().sum(-1), ops.offsets(graph))  # tr(S^T D S), [B]
        eye = torch.eye(self.num_clusters, dtype=s.dtype, device=s.device)
        size = root(ss.square().sum((1, 2)))[:, None, None]
        off = root((ratio(ss, size) - eye / self.num_clusters**0.5).square().sum((1, 2)))
        graphs = max(len(x), 1)
        aux = {"cut": -ratio(a.diagonal(dim1=1, dim2=2).sum(-1), cut).sum() / graphs, "orthogonal": off.sum() / graphs}
        a = a * (1 - eye)
        d = root(a.sum(-1))
        return self._pooled(x, ratio(a, d[:, :, None] * d[:, None, :]), s, aux)
