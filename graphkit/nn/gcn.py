"""Graph convolution: Semi-Supervised Classification with Graph Convolutional Networks, 1609.02907."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.layer import Layer, glorot

if TYPE_CHECKING:
    import dgl

NORMS = ("both", "right", "none", "recompute")


class Propagation(nn.Module):
    """Multiply rows by a normalised adjacency with loops: ``h_v = sum_u s_u w_uv x_u t_v + s_v x_v t_v``.

    ``both``: ``s = d_out^-1/2``, ``t = d_in^-1/2``; ``right``: ``s = 1``, ``t = 1 / d_in``; ``none``: both 1. Degrees
    are of the unweighted graph, loops included. ``recompute`` is ``both`` with degrees that sum ``w``. A source is
    scaled by its out-degree and a target by its in-degree, as DGL does; PyG takes in-degrees for both, which differs
    on directed graphs only. A degree of 0 counts as 1 where there are no loops.

    Parameters
    ----------
    norm : str, default "both"
    self_loops : bool, default True
        Add a loop of weight 1 at every node (computed, not stored; loops that the graph has come on top).

    Raises
    ------
    GraphKitError
        For an unknown norm, or ``recompute`` on a block, which does not know its nodes' weighted degrees.

    Examples
    --------
    >>> import graphkit, dgl
    >>> Propagation("right")(dgl.graph(([0], [1])), torch.tensor([[1.0], [3.0]])).tolist()
    [[1.0], [2.0]]
    """

    def __init__(self, norm: str = "both", self_loops: bool = True) -> None:
        super().__init__()
        check_choice("norm", norm, NORMS)
        self.norm, self.self_loops = norm, self_loops

    def scales(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return ``s [Nsrc]`` and ``t [Ndst]``, each None where it is 1."""
        if self.norm == "none":
            return None, None
        weight = edge_weight if self.norm == "recompute" else None
        loop = float(self.self_loops)
        d_in = ops.degrees(graph, "in", weight, feat) + loop
        if self.norm == "right":
            return None, d_in.clamp(min=1).reciprocal()
        d_out = ops.degrees(graph, "out", weight, feat) + loop
        return _inverse_root(d_out, weight is not None), _inverse_root(d_in, weight is not None)

    def forward(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Return ``[Ndst, ..., D]`` for ``feat [Nsrc, ..., D]``."""
        if self.norm == "recompute" and graph.is_block:
            raise GraphKitError("norm='recompute' does not run on blocks, which lack weighted degrees; use norm='both'")
        s, t = self.scales(graph, feat, edge_weight)
        return ops.scaled_spmm(graph, feat, s, t, edge_weight, self.self_loops)

    def extra_repr(self) -> str:
        """Return the norm, as ``print`` shows it."""
        return f"norm={self.norm!r}, self_loops={self.self_loops}"


def scale(feat: Tensor, factor: Tensor | None) -> Tensor:
    """Multiply each row of ``feat [N, ..., D]`` by its ``factor [N]``; None leaves it."""
    if factor is None:
        return feat
    return feat * factor.to(feat.dtype).view(-1, *[1] * (feat.dim() - 1))


def _inverse_root(degree: Tensor, weighted: bool) -> Tensor:
    if not weighted:
        return degree.clamp(min=1).rsqrt()
    # Weighted degrees may be 0 or less: such rows get 0. The inner where keeps the gradient of the others finite.
    positive = degree > 0
    return torch.where(positive, torch.where(positive, degree, 1.0).rsqrt(), 0.0)


@register(
    "gcnconv",
    kind="layer",
    title="Semi-Supervised Classification with Graph Convolutional Networks",
    arxiv="1609.02907",
)
class GCNConv(Layer):
    """Graph convolution: ``H = D^-1/2 (A + I) D^-1/2 X W + b``.

    ``edge_weight`` multiplies messages after the degree norms, which come from the unweighted graph; PyG's and DGL's
    weighted degrees are ``norm="recompute"``. The dense product comes first where it narrows the rows.

    Parameters
    ----------
    in_feats, out_feats : int
    norm : str, default "both"
        ``both``, ``right`` (mean), ``none`` (sum) or ``recompute``; see :class:`Propagation`.
    self_loops : bool, default True
    bias : bool, default True
        Added after aggregation.

    Raises
    ------
    GraphKitError
        For an unknown norm, a wrong width or length, integer features, or ``recompute`` on a block.

    Examples
    --------
    >>> import graphkit, dgl
    >>> GCNConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, norm: str = "both", self_loops: bool = True, bias: bool = True
    ) -> None:
        super().__init__(in_feats, out_feats)
        self.propagate = Propagation(norm, self_loops)
        self.weight = nn.Parameter(torch.empty(in_feats, out_feats))
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight Glorot-uniform; the bias becomes 0."""
        glorot(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, ..., out_feats]`` for ``feat [Nsrc, ..., in_feats]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        if self.in_feats > self.out_feats:
            h = self.propagate(graph, feat @ self.weight, edge_weight)  # S (X W)
            return h if self.bias is None else h.add_(self.bias)
        h = self.propagate(graph, feat, edge_weight)
        return F.linear(h, self.weight.T, self.bias)  # (S X) W
