"""Set2Set: Order Matters: Sequence to sequence for sets, 1511.06391."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.registry import register
from graphkit.nn.pool.simple import Pool

if TYPE_CHECKING:
    import dgl


@register("set2set", kind="pool", title="Order Matters: Sequence to sequence for sets", arxiv="1511.06391")
class Set2Set(Pool):
    """Read a set in several steps of attention, each asking what the last answer suggests.

    ``q_t = LSTM([q_{t-1} || r_{t-1}])``, ``r_t = sum_v softmax_{v in b}(x_v . q_t) x_v``, from zeros; the result is
    ``[q_T || r_T]``, twice as wide as the input. The LSTM has one state per graph.

    Parameters
    ----------
    in_feats : int
    n_iters : int, default 3
        Steps T.
    n_layers : int, default 1
        Layers of the LSTM.

    Raises
    ------
    GraphKitError
        For a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> Set2Set(4)(dgl.graph(([0], [1])), torch.ones(2, 4)).shape
    torch.Size([1, 8])
    """

    def __init__(self, in_feats: int, n_iters: int = 3, n_layers: int = 1) -> None:
        super().__init__(in_feats)
        self.out_feats = 2 * in_feats
        self.n_iters, self.n_layers = n_iters, n_layers
        self.lstm = nn.LSTM(2 * in_feats, in_feats, n_layers)

    def forward(self, graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
        """Return ``[B, 2 D]`` for ``feat [N, D]``."""
        self.check(graph, feat)
        offsets = ops.offsets(graph)
        graphs, owner = len(offsets) - 1, ops.segment_ids(offsets)
        state = (feat.new_zeros(self.n_layers, graphs, self.in_feats),) * 2
        star = feat.new_zeros(graphs, self.out_feats)
        for _ in range(self.n_iters):
            q, state = self.lstm(star[None], state)
            q = q[0]  # [B, D]
            alpha = ops.segment_softmax((feat * q[owner]).sum(-1), offsets)  # [N]
            r = ops.segment_reduce(alpha[:, None] * feat, offsets, "sum")  # [B, D]
            star = torch.cat([q, r], -1)
        return star
