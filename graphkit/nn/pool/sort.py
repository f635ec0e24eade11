"""SortPool: An End-to-End Deep Learning Architecture for Graph Classification (AAAI 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit import ops
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.pool.simple import Pool

if TYPE_CHECKING:
    import dgl


def falling(score: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Sort the rows of each segment by falling score; ties keep their order.

    Parameters
    ----------
    score : Tensor
        ``[N]``.
    offsets : Tensor
        int64 ``[B + 1]``.

    Returns
    -------
    order, rank : Tensor
        int64 ``[N]``: the rows in the new order, segment by segment, and the place of each in its segment.

    Examples
    --------
    >>> [x.tolist() for x in falling(torch.tensor([1.0, 2.0, 5.0, 4.0]), torch.tensor([0, 2, 4]))]
    [[1, 0, 2, 3], [0, 1, 0, 1]]
    """
    offsets = offsets.to(score.device)
    ids = ops.segment_ids(offsets)
    order = score.detach().argsort(descending=True, stable=True)
    order = order[ids[order].argsort(stable=True)]
    return order, torch.arange(len(score), device=score.device) - offsets[ids]


@register(
    "sort", kind="pool", title="An End-to-End Deep Learning Architecture for Graph Classification", example={"k": 3}
)
class SortPool(Pool):
    """The ``k`` rows of each graph largest in the last column, side by side: ``g_b = [x_(1) || ... || x_(k)]``.

    A graph of fewer nodes is filled up with zeros.

    Parameters
    ----------
    in_feats : int
        Width D.
    k : int, default 30

    Raises
    ------
    GraphKitError
        If ``k`` is less than 1, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> SortPool(1, k=3)(dgl.graph(([0], [1])), torch.tensor([[1.0], [2.0]])).tolist()
    [[2.0, 1.0, 0.0]]
    """

    def __init__(self, in_feats: int, k: int = 30) -> None:
        super().__init__(in_feats)
        if k < 1:
            raise GraphKitError(f"k={k} is no number of nodes; expected at least 1")
        self.k, self.out_feats = k, k * in_feats

    def forward(self, graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
        """Return ``[B, k D]`` for ``feat [N, D]``."""
        self.check(graph, feat)
        offsets = ops.offsets(graph).to(feat.device)
        order, rank = falling(feat[:, -1], offsets)
        kept = rank < self.k
        place = ops.segment_ids(offsets)[kept] * self.k + rank[kept]
        rows = feat.new_zeros((len(offsets) - 1) * self.k, self.in_feats)
        return rows.index_copy(0, place, feat[order[kept]]).view(-1, self.out_feats)
