"""Layers that propagate K hops by themselves: APPNP (1810.05997) and DAGNN (2007.09296)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_rate
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import Propagation
from graphkit.nn.layer import Layer

if TYPE_CHECKING:
    import dgl

K_HOPS = "propagates k hops by itself, and a block holds one"


class _Hops(Layer):
    """What both share: ``k`` products with ``S = D^-1/2 (A + I) D^-1/2`` that keep the width."""

    def __init__(self, in_feats: int, out_feats: int | None, k: int, norm: str, self_loops: bool) -> None:
        super().__init__(in_feats, in_feats if out_feats is None else out_feats)
        if self.out_feats != in_feats:
            raise GraphKitError(
                f"{type(self).__name__} keeps the width: out_feats={out_feats} is not in_feats={in_feats}"
            )
        if k < 0:
            raise GraphKitError(f"k={k} is no number of hops; expected 0 or more")
        self.k = k
        self.propagate = Propagation(norm, self_loops)

    def check(self, graph: dgl.DGLGraph, feat: Tensor, *args: Tensor | None, **kwargs: Tensor | None) -> None:
        """Raise unless the input has the expected shapes and the graph is no block."""
        self.refuse_blocks(graph, f"it {K_HOPS}")
        super().check(graph, feat, *args, **kwargs)

    def extra_repr(self) -> str:
        """Return width and hops, as ``print`` shows them."""
        return f"{self.in_feats}, k={self.k}"


@register(
    "appnpconv",
    kind="layer",
    title="Predict then Propagate: Graph Neural Networks meet Personalized PageRank",
    arxiv="1810.05997",
    declines={"blocks": K_HOPS},
    example={"k": 3},
    keeps_width=True,
)
class APPNPConv(_Hops):
    """Personalised propagation: ``H_0 = X``, ``H_{i+1} = (1 - alpha) S H_i + alpha X``, ``k`` times.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    k : int, default 10
        Hops.
    alpha : float, default 0.1
        Share of the own row at every hop.
    edge_drop : float, default 0.0
        Dropout of the entries of ``S``, drawn anew at every hop.
    norm : str, default "both"
    self_loops : bool, default True

    Raises
    ------
    GraphKitError
        On a block, for an ``out_feats`` that differs, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> APPNPConv(4, k=2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 4])
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int | None = None,
        k: int = 10,
        alpha: float = 0.1,
        edge_drop: float = 0.0,
        norm: str = "both",
        self_loops: bool = True,
    ) -> None:
        super().__init__(in_feats, out_feats, k, norm, self_loops)
        check_rate("edge_drop", edge_drop)
        self.alpha, self.edge_drop = alpha, edge_drop

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, ..., D]`` for ``feat [N, ..., D]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        h = feat
        for _ in range(self.k):
            h = (1 - self.alpha) * self.propagate(graph, h, self._drop(graph, feat, edge_weight)) + self.alpha * feat
        return h

    def _drop(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None) -> Tensor | None:
        if not (self.training and self.edge_drop):
            return edge_weight
        kept = ops.dropout(feat.new_ones(graph.num_edges()), self.edge_drop)
        return kept if edge_weight is None else kept * edge_weight


@register(
    "dagnnconv",
    kind="layer",
    title="Towards Deeper Graph Neural Networks",
    arxiv="2007.09296",
    declines={"blocks": K_HOPS},
    example={"k": 3},
    keeps_width=True,
)
class DAGNNConv(_Hops):
    """Gated sum of hops: ``H_0 = Z``, ``H_i = S H_{i-1}``, ``h_v = sum_{i=0..k} sigmoid(s . H_iv + b) H_iv``.

    One vector ``s`` and one number ``b`` serve all nodes and hops; the gates of the hops are independent.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    k : int, default 10
        Hops; hop 0 counts beside them.
    norm : str, default "both"
    self_loops : bool, default True

    Raises
    ------
    GraphKitError
        On a block, for an ``out_feats`` that differs, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> DAGNNConv(4, k=2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 4])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None = None, k: int = 10, norm: str = "both", self_loops: bool = True
    ) -> None:
        super().__init__(in_feats, out_feats, k, norm, self_loops)
        self.gate = nn.Linear(in_feats, 1)  # s and b

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, ..., D]`` for ``feat [N, ..., D]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        h = feat
        out = torch.sigmoid(self.gate(h)) * h
        for _ in range(self.k):
            h = self.propagate(graph, h, edge_weight)  # S H
            out = out + torch.sigmoid(self.gate(h)) * h
        return out
