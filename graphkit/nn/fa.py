"""Frequency adaptation: Beyond Low-frequency Information in Graph Convolutional Networks, 2101.00797."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_feat, check_rate
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import Propagation, scale
from graphkit.nn.layer import Layer, glorot

if TYPE_CHECKING:
    import dgl


@register(
    "faconv",
    kind="layer",
    title="Beyond Low-frequency Information in Graph Convolutional Networks",
    arxiv="2101.00797",
    keeps_width=True,
)
class FAConv(Layer):
    """Signed shares: ``h_v = eps x0_v + sum_u w_uv tanh(a_src . x_u + a_dst . x_v) / sqrt(d_u d_v) x_u``.

    Loops are included. A negative share subtracts the neighbour, which keeps high frequencies; ``x0`` are the rows that
    entered the first of these layers. Degrees are of the unweighted graph.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    eps : float, default 0.1
        Share of ``x0``.
    dropout : float, default 0.0
        Of the shares.
    self_loops : bool, default True

    Raises
    ------
    GraphKitError
        For an ``out_feats`` that differs, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> FAConv(4)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 4])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None = None, eps: float = 0.1, dropout: float = 0.0,
        self_loops: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, in_feats if out_feats is None else out_feats)
        if self.out_feats != in_feats:
            raise GraphKitError(f"FAConv keeps the width: out_feats={out_feats} is not in_feats={in_feats}")
        check_rate("dropout", dropout)
        self.eps, self.dropout, self.self_loops = eps, dropout, self_loops
        self.norm = Propagation("both", self_loops)
        self.attn = nn.Parameter(torch.empty(in_feats, 2))  # a_src, a_dst
        glorot(self.attn)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
        initial: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, D]`` for ``feat [Nsrc, D]`` and ``edge_weight [E]``; ``initial`` is ``x0``, or feat.

        On a block, ``initial`` has the rows of the sources or of the targets.
        """
        self.check(graph, feat, edge_weight=edge_weight)
        first = ops.dst_rows(graph, feat if initial is None else initial)
        check_feat("initial", first, graph.num_dst_nodes(), self.in_feats)
        from_src, from_dst = (feat @ self.attn).split(1, -1)  # [Nsrc, 1] each
        from_dst = ops.dst_rows(graph, from_dst)
        s, t = self.norm.scales(graph, feat, None)
        x = scale(feat, s)
        share = self._drop(torch.tanh(ops.sddmm(graph, from_src, from_dst, "add"))).squeeze(-1)  # [E]
        h = ops.spmm(graph, x, scale(share, edge_weight))
        if self.self_loops:
            h = h + self._drop(torch.tanh(ops.dst_rows(graph, from_src) + from_dst)) * ops.dst_rows(graph, x)
        return scale(h, t) + self.eps * first

    def _drop(self, share: Tensor) -> Tensor:
        return ops.dropout(share, self.dropout, self.training)
