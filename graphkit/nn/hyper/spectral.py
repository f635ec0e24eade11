"""Hypergraph convolution: HGNN (1809.09401), HNHN (2006.12278), hypergraph attention (1901.08150)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.check import check_choice, check_heads, check_size
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.hyper.base import TWO_HOPS, HyperLayer, inverse, mean_members
from graphkit.nn.mlp import make_activation

if TYPE_CHECKING:
    import dgl


@register(
    "hgnnconv",
    kind="layer",
    title="Hypergraph Neural Networks",
    arxiv="1809.09401",
    declines={"blocks": TWO_HOPS},
    hypergraph=True,
)
class HGNNConv(HyperLayer):
    """Hypergraph convolution: ``X' = D_v^-1/2 H W D_e^-1 H^T D_v^-1/2 X Theta + b``.

    ``D_v`` are the nodes' degrees, weighted by ``W = diag(hyperedge_weight)``, ``D_e`` the hyperedges' sizes. A node in
    no hyperedge gets ``b``.

    Parameters
    ----------
    in_feats, out_feats : int
    norm : str, default "both"
        ``both``, or ``right``: ``D_v^-1 H W D_e^-1 H^T X Theta`` (HGNN+, a mean of means).
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block or another graph, for an unknown norm, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> HGNNConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, out_feats: int, norm: str = "both", bias: bool = True) -> None:
        super().__init__(in_feats, out_feats)
        check_choice("norm", norm, ("both", "right"))
        self.norm = norm
        self.fc = nn.Linear(in_feats, out_feats, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_feats)) if bias else None

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        hyperedge_weight: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]``, ``edge_weight [E]``, ``hyperedge_weight [M]``."""
        into, back = self.sides(graph, feat, None, edge_weight, hyperedge_weight)
        if hyperedge_weight is None:
            degree = ops.degrees(back, "in", like=feat)
        else:
            degree = ops.spmm(back, hyperedge_weight[:, None].to(feat))[:, 0]
        d = inverse(degree)
        root = torch.where(d > 0, torch.where(d > 0, d, 1.0).sqrt(), 0.0)
        x = self.fc(feat)
        x = scale(x, root) if self.norm == "both" else x
        x = scale(mean_members(into, x, edge_weight), hyperedge_weight)  # W D_e^-1 H^T ...
        x = scale(ops.spmm(back, x, edge_weight), root if self.norm == "both" else d)
        return x if self.bias is None else x + self.bias


@register(
    "hnhnconv",
    kind="layer",
    title="HNHN: Hypergraph Networks with Hyperedge Neurons",
    arxiv="2006.12278",
    declines={"blocks": TWO_HOPS},
    hypergraph=True,
)
class HNHNConv(HyperLayer):
    """Hyperedges as neurons: ``Z = act(mean_{v in e} x_v W_1 + b_1)``, ``x'_v = mean_{e with v} Z_e W_2 + b_2``.

    The means are weighted: of members by ``d_v^beta``, of hyperedges by ``|e|^alpha``. The outer non-linearity is the
    caller's, as for other layers.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, optional
        Width of Z; ``out_feats`` without.
    alpha, beta : float, default 0.0
    activation : str, default "relu"

    Raises
    ------
    GraphKitError
        On a block or another graph, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> HNHNConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int | None = None, alpha: float = 0.0, beta: float = 0.0,
        activation: str = "relu",
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats)
        self.alpha, self.beta = alpha, beta
        width = hidden or out_feats
        check_size("hidden", width)
        self.fc_edge, self.fc_node = nn.Linear(in_feats, width), nn.Linear(width, out_feats)
        self.activation = make_activation(activation)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]`` and ``edge_weight [E]``."""
        into, back = self.sides(graph, feat, None, edge_weight)
        z = self._mean(into, feat, self.beta, edge_weight)  # [M, in]
        z = self.activation(self.fc_edge(z))
        return self.fc_node(self._mean(back, z, self.alpha, edge_weight))

    def _mean(self, relation: dgl.DGLGraph, x: Tensor, power: float, edge_weight: Tensor | None) -> Tensor:
        if power == 0:
            return mean_members(relation, x, edge_weight)
        share = ops.degrees(relation, "out", like=x).clamp(min=1).pow(power)[:, None]
        return ops.spmm(relation, share * x, edge_weight) * inverse(ops.spmm(relation, share))


@register(
    "hchaconv",
    kind="layer",
    title="Hypergraph Convolution and Hypergraph Attention",
    arxiv="1901.08150",
    declines={"blocks": TWO_HOPS},
    example={"num_heads": 2},
    hypergraph=True,
)
class HCHAConv(HyperLayer):
    """Hypergraph convolution over learned memberships: ``X' = D_v^-1 A D_e^-1 A^T X Theta + b``, A in place of H.

    ``A_ve = softmax(leaky_relu(a . [x_v Theta || z_e]))``, ``z_e = edge_feat_e Theta_e``, or without hyperedge features
    the mean of the members' ``x Theta``; memberships' weights multiply A both ways.

    Parameters
    ----------
    in_feats, out_feats : int
        ``out_feats`` is the width of all heads together.
    num_heads : int, default 1
    over : str, default "hyperedges"
        The softmax runs over the ``hyperedges`` of a node, as in the paper, or the ``members`` of a hyperedge (PyG's
        default).
    negative_slope : float, default 0.2
    edge_feats : int, default 0
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block or another graph, for heads that do not divide the width, a wrong width or length, or integers.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> HCHAConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_heads: int = 1, over: str = "hyperedges",
        negative_slope: float = 0.2, edge_feats: int = 0, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, edge_feats)
        check_heads(out_feats, num_heads)
        check_choice("over", over, ("hyperedges", "members"))
        self.num_heads, self.over, self.negative_slope = num_heads, over, negative_slope
        self.fc = nn.Linear(in_feats, out_feats, bias=False)
        self.fc_edge = nn.Linear(edge_feats, out_feats, bias=False) if edge_feats else None
        self.attn_node = nn.Parameter(torch.empty(num_heads, out_feats // num_heads))
        self.attn_edge = nn.Parameter(torch.empty(num_heads, out_feats // num_heads))
        self.bias = nn.Parameter(torch.zeros(out_feats)) if bias else None
        nn.init.xavier_uniform_(self.attn_node)
        nn.init.xavier_uniform_(self.attn_edge)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]``, ``edge_feat [M, De]``, ``edge_weight [E]``."""
        into, back = self.sides(graph, feat, edge_feat, edge_weight)
        x = self.fc(feat)
        z = mean_members(into, x, None) if self.fc_edge is None else self.fc_edge(edge_feat)
        x, z = (y.unflatten(-1, (self.num_heads, -1)) for y in (x, z))  # [N, H, d], [M, H, d]
        s_node, s_edge = (x * self.attn_node).sum(-1, keepdim=True), (z * self.attn_edge).sum(-1, keepdim=True)
        score = F.leaky_relu(ops.sddmm(into, s_node, s_edge, "add")[..., 0], self.negative_slope)  # [E, H]
        alpha = ops.edge_softmax(back if self.over == "hyperedges" else into, score)
        alpha = alpha if edge_weight is None else alpha * edge_weight[:, None]
        x = scale(ops.spmm(into, x, alpha), inverse(ops.degrees(into, "in", like=feat)))
        x = scale(ops.spmm(back, x, alpha), inverse(ops.degrees(back, "in", like=feat))).flatten(1)
        return x if self.bias is None else x + self.bias
