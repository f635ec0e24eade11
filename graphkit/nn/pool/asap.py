"""ASAPool: ASAP: Adaptive Structure Aware Pooling for Learning Hierarchical Graph Representations, 1911.07979."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import _dgl, ops
from graphkit.core.check import check_rate
from graphkit.core.registry import register
from graphkit.nn.dropout import Dropout
from graphkit.nn.pool.coarsen import GraphPool, Pooled, batched, check_ratio, choose

if TYPE_CHECKING:
    import dgl


@register(
    "asap",
    kind="pool",
    title="ASAP: Adaptive Structure Aware Pooling for Learning Hierarchical Graph Representations",
    arxiv="1911.07979",
    traits={"changes_graph"},
)
class ASAPool(GraphPool):
    """Make each node's neighbourhood (with itself) a cluster, keep the fittest: ``x^c_v = sum_u S_uv x_u``.

    ``S_uv = softmax_u(leaky_relu(a . [W m_v || x_u] + b))`` with ``m_v = max_u x_u``; ``fit_v = sigmoid(sum_u w_uv
    (w_1 . x^c_u - w_2 . x^c_v) + w_3 . x^c_v)``; ``x'_v = fit_v x^c_v`` and ``A' = S^T A S`` of the kept ones, without
    loops, where A holds the loops.

    Parameters
    ----------
    in_feats : int
        Width D.
    ratio : float or int, default 0.5
        As for :class:`~graphkit.nn.pool.select.TopKPool`.
    negative_slope : float, default 0.2
    attn_drop : float, default 0.0

    Raises
    ------
    GraphKitError
        On a block, for another ratio, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ASAPool(4)(dgl.graph(([0, 1], [1, 2])), torch.randn(3, 4)).node.shape
    torch.Size([2, 4])
    """

    def __init__(self, in_feats: int, ratio: float = 0.5, negative_slope: float = 0.2, attn_drop: float = 0.0) -> None:
        super().__init__(in_feats)
        check_ratio(ratio)
        check_rate("attn_drop", attn_drop)
        self.ratio, self.negative_slope = ratio, negative_slope
        self.fc_master = nn.Linear(in_feats, in_feats)
        self.attn = nn.Linear(2 * in_feats, 1)
        self.fit_src, self.fit_own = nn.Linear(in_feats, 1), nn.Linear(in_feats, 1)
        self.fit_dst = nn.Linear(in_feats, 1, bias=False)
        self.dropout = Dropout(attn_drop)

    def forward(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> Pooled:
        """Return the :class:`Pooled` graph for ``feat [N, D]``; ``edge_weight [E]`` are the entries of A."""
        self.check(graph, feat, edge_weight)
        looped, weight = ops.add_self_loops(graph), ops.pad_self_loops(graph, edge_weight)
        master = self.fc_master(ops.spmm(looped, feat, reduce="max"))
        of_master, of_member = self.attn.weight.squeeze(0).split(self.in_feats)
        score = ops.sddmm(looped, (feat @ of_member)[:, None], (master @ of_master)[:, None], "add")[:, 0]  # [E]
        share = ops.edge_softmax(looped, F.leaky_relu(score + self.attn.bias, self.negative_slope))
        share = self.dropout(share)
        x = ops.spmm(looped, feat, share)  # [N, D]
        one = feat.new_ones(looped.num_edges()) if weight is None else weight
        fit = ops.spmm(looped, self.fit_src(x), one) - ops.edge_reduce(looped, one)[:, None] * self.fit_dst(x)
        fit = torch.sigmoid(fit + self.fit_own(x))[:, 0]  # [N]
        kept, sizes = choose(fit, ops.offsets(graph), self.ratio)
        small, new_weight = _coarse(looped, share, one, kept, sizes)
        return Pooled(small, x[kept] * fit[kept, None], edge_weight=new_weight, kept=kept)


def _coarse(
    graph: dgl.DGLGraph, share: Tensor, weight: Tensor, kept: Tensor, sizes: Tensor
) -> tuple[dgl.DGLGraph, Tensor]:
    """Return the graph of ``S^T A S`` over the kept clusters, without loops, and its weights."""
    structure, clusters = _dgl.structure(graph), len(kept)
    src, dst = structure.src.to(share.device), structure.dst.to(share.device)
    place = torch.full_like(structure.in_degrees, -1, device=share.device)
    place = place.index_copy(0, kept, torch.arange(clusters, device=share.device))
    inside = (place[dst] >= 0).nonzero().squeeze(1)
    inside = inside[src[inside].argsort(stable=True)]  # entries of S by member
    member, cluster, part = src[inside], place[dst[inside]], share[inside]
    start = torch.cat([member.new_zeros(1), member.bincount(minlength=structure.num_src).cumsum(0)])

    left, right = _join(dst, start)  # A S
    (node, to), value = _coalesce(src[left], cluster[right], weight[left] * part[right], clusters)
    left, right = _join(node, start)  # S^T (A S)
    (frm, to), value = _coalesce(cluster[right], to[left], part[right] * value[left], clusters)
    other = (frm != to).nonzero().squeeze(1)
    return batched(frm[other].cpu(), to[other].cpu(), sizes.cpu()), value[other]


def _join(key: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Pair each row i with every row ``start[key[i]] .. start[key[i] + 1] - 1`` of a sorted table."""
    count = start.diff()[key]
    left = torch.repeat_interleave(torch.arange(len(key), device=key.device), count)
    before = (count.cumsum(0) - count)[left]
    return left, start[key][left] + torch.arange(len(left), device=key.device) - before


def _coalesce(row: Tensor, column: Tensor, value: Tensor, columns: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Add up the values of equal places of a sparse matrix."""
    place, entry = torch.unique(row * max(columns, 1) + column, return_inverse=True)
    total = value.new_zeros(len(place)).index_add(0, entry, value)
    return (place // max(columns, 1), place % max(columns, 1)), total
