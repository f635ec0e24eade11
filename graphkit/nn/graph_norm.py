"""Norms that read all nodes of a graph: GraphNorm (2009.03294), PairNorm (1909.12223), layer norm (1607.06450)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.layer import Layer

if TYPE_CHECKING:
    import dgl

WHOLE = "reads all nodes of a graph, and a block holds some"
NO_EDGES = "reads no edges"


class WholeGraph(Layer):
    """Base of layers that read all nodes of each graph of a batch at once, and no edges; they keep the width.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    """

    whole_graph: ClassVar[bool] = True

    def __init__(self, in_feats: int, out_feats: int | None = None) -> None:
        super().__init__(in_feats, in_feats if out_feats is None else out_feats)
        if self.out_feats != in_feats:
            raise GraphKitError(
                f"{type(self).__name__} keeps the width: out_feats={out_feats} is not in_feats={in_feats}"
            )

    def parts(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Check the input; return the offsets ``[B + 1]`` of the graphs' nodes and the graph ``[N]`` of each node."""
        self.refuse_blocks(graph, f"it {WHOLE}")
        self.check(graph, feat, edge_weight=edge_weight)
        offsets = ops.offsets(graph)
        return offsets, ops.segment_ids(offsets).to(feat.device)


@register(
    "graphnorm",
    kind="layer",
    title="GraphNorm: A Principled Approach to Accelerating Graph Neural Network Training",
    arxiv="2009.03294",
    declines={"blocks": WHOLE, "edge_weight": NO_EDGES},
    keeps_width=True,
)
class GraphNorm(WholeGraph):
    """Normalise each column over the nodes of its graph: ``gamma (x - alpha mean_b) / sqrt(var_b + eps) + beta``.

    ``alpha`` is learned for each column, and ``var_b = mean_{v in b} (x_v - alpha mean_b)^2``.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    eps : float, default 1e-5

    Raises
    ------
    GraphKitError
        On a block, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> GraphNorm(1)(dgl.graph(([0], [1])), torch.tensor([[1.0], [3.0]])).round().tolist()
    [[-1.0], [1.0]]
    """

    def __init__(self, in_feats: int, out_feats: int | None = None, eps: float = 1e-5) -> None:
        super().__init__(in_feats, out_feats)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(in_feats))
        self.bias = nn.Parameter(torch.zeros(in_feats))
        self.mean_scale = nn.Parameter(torch.ones(in_feats))

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, ..., D]`` for ``feat [N, ..., D]``."""
        offsets, owner = self.parts(graph, feat, edge_weight)
        mean = ops.segment_reduce(feat, offsets, "mean")  # [B, D]
        x = feat - self.mean_scale * mean[owner]
        var = ops.segment_reduce(x.square(), offsets, "mean")
        return self.weight * x * (var + self.eps).rsqrt()[owner] + self.bias


@register(
    "pairnorm",
    kind="layer",
    title="PairNorm: Tackling Oversmoothing in GNNs",
    arxiv="1909.12223",
    declines={"blocks": WHOLE, "edge_weight": NO_EDGES},
    keeps_width=True,
)
class PairNorm(WholeGraph):
    """Keep the mean distance of pairs: ``x = x - mean_b``, then ``s x_v / sqrt(eps + mean_{u in b} ||x_u||^2)``.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    scale : float, default 1.0
        ``s``.
    individually : bool, default False
        Divide each row by its own length instead (PairNorm-SI): ``s x_v / sqrt(eps^2 + ||x_v||^2)``.
    eps : float, default 1e-5

    Raises
    ------
    GraphKitError
        On a block, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> PairNorm(1)(dgl.graph(([0], [1])), torch.tensor([[1.0], [5.0]])).round().tolist()
    [[-1.0], [1.0]]
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int | None = None,
        scale: float = 1.0,
        individually: bool = False,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(in_feats, out_feats)
        self.scale, self.individually, self.eps = scale, individually, eps

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, ..., D]`` for ``feat [N, ..., D]``."""
        offsets, owner = self.parts(graph, feat, edge_weight)
        x = feat - ops.segment_reduce(feat, offsets, "mean")[owner]
        square = x.square().sum(-1, keepdim=True)  # [N, 1]
        if self.individually:
            return self.scale * x * (self.eps**2 + square).rsqrt()
        return self.scale * x * (self.eps + ops.segment_reduce(square, offsets, "mean")).rsqrt()[owner]


@register(
    "layernorm",
    kind="layer",
    title="Layer Normalization",
    arxiv="1607.06450",
    declines={"blocks": WHOLE, "edge_weight": NO_EDGES},
    keeps_width=True,
)
class LayerNorm(WholeGraph):
    """Normalise all numbers of a graph, or of a row: ``gamma (x - mean) / sqrt(var + eps) + beta``.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    over : str, default "graph"
        ``graph``: mean and variance of all rows and columns of a graph; ``node``: of each row (which
        ``torch.nn.LayerNorm`` also does, without a graph).
    eps : float, default 1e-5

    Raises
    ------
    GraphKitError
        On a block, for an unknown ``over``, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> LayerNorm(1)(dgl.graph(([0], [1])), torch.tensor([[1.0], [3.0]])).round().tolist()
    [[-1.0], [1.0]]
    """

    def __init__(self, in_feats: int, out_feats: int | None = None, over: str = "graph", eps: float = 1e-5) -> None:
        super().__init__(in_feats, out_feats)
        check_choice("over", over, ("graph", "node"))
        self.over, self.eps = over, eps
        self.weight = nn.Parameter(torch.ones(in_feats))
        self.bias = nn.Parameter(torch.zeros(in_feats))

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, ..., D]`` for ``feat [N, ..., D]``."""
        offsets, owner = self.parts(graph, feat, edge_weight)
        if self.over == "node":
            return nn.functional.layer_norm(feat, (self.in_feats,), self.weight, self.bias, self.eps)
        mean = ops.segment_reduce(feat.mean(-1, keepdim=True), offsets, "mean")  # [B, 1]
        x = feat - mean[owner]
        var = ops.segment_reduce(x.square().mean(-1, keepdim=True), offsets, "mean")
        return self.weight * x * (var + self.eps).rsqrt()[owner] + self.bias
