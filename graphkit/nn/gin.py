"""Graph isomorphism convolutions, without edge features (1810.00826) and with them (1905.12265)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.registry import register
from graphkit.nn.layer import Layer
from graphkit.nn.mlp import MLP

if TYPE_CHECKING:
    import dgl


class _Isomorphism(Layer):
    """What both share: the MLP and the weight ``1 + eps`` of the node's own row."""

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        hidden: int | None,
        eps: float,
        train_eps: bool,
        norm: str | None,
        mlp: nn.Module | None,
        edge_feats: int = 0,
    ) -> None:
        super().__init__(in_feats, out_feats, edge_feats)
        self.mlp = MLP(in_feats, out_feats, hidden, norm=norm) if mlp is None else mlp
        start = torch.tensor(float(eps))
        if train_eps:
            self.eps = nn.Parameter(start)
        else:
            self.register_buffer("eps", start)

    def _update(self, graph: dgl.DGLGraph, feat: Tensor, received: Tensor) -> Tensor:
        own = ops.dst_rows(graph, feat)
        if isinstance(self.eps, nn.Parameter):
            return self.mlp((1 + self.eps) * own + received)
        return self.mlp(torch.add(received, own, alpha=1 + float(self.eps)))  # no array of the scaled rows


@register("ginconv", kind="layer", title="How Powerful are Graph Neural Networks?", arxiv="1810.00826")
class GINConv(_Isomorphism):
    """Graph isomorphism convolution: ``h_v = MLP((1 + eps) x_v + sum_{u -> v} w_uv x_u)``.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, optional
        Width inside the MLP; ``out_feats`` without.
    eps : float, default 0.0
    train_eps : bool, default False
        Learn ``eps``.
    norm : str, optional
        Norm inside the MLP: ``"batch"`` or ``"layer"``.
    mlp : nn.Module, optional
        Takes the place of the two-layer MLP.

    Raises
    ------
    GraphKitError
        For a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> GINConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        hidden: int | None = None,
        eps: float = 0.0,
        train_eps: bool = False,
        norm: str | None = None,
        mlp: nn.Module | None = None,
    ) -> None:
        super().__init__(in_feats, out_feats, hidden, eps, train_eps, norm, mlp)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        first = self.mlp.linears[0] if isinstance(self.mlp, MLP) else self.mlp
        if not isinstance(first, nn.Linear) or first.in_features <= first.out_features:
            return self._update(graph, feat, ops.spmm(graph, feat, edge_weight))
        z = feat @ first.weight.T  # W ((1 + eps) x + A x) = (1 + eps) W x + A W x, on narrower rows
        h = (1 + self.eps) * ops.dst_rows(graph, z) + ops.spmm(graph, z, edge_weight)
        h = h if first.bias is None else h + first.bias
        return self.mlp.after_first(h) if isinstance(self.mlp, MLP) else h


@register(
    "gineconv",
    kind="layer",
    title="Strategies for Pre-training Graph Neural Networks",
    arxiv="1905.12265",
    example={"edge_feats": 2},
)
class GINEConv(_Isomorphism):
    """GIN with edge features: ``h_v = MLP((1 + eps) x_v + sum_{u -> v} w_uv relu(x_u + W e_uv))``.

    Parameters
    ----------
    in_feats, out_feats : int
    edge_feats : int, default 0
        Width of ``edge_feat``; with 0 the messages are ``relu(x_u)``.
    hidden, eps, train_eps, norm, mlp
        As for :class:`GINConv`.

    Raises
    ------
    GraphKitError
        For a wrong width or length of either features, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g = dgl.graph(([0, 1], [1, 2]))
    >>> GINEConv(4, 2, edge_feats=3)(g, torch.ones(3, 4), torch.ones(2, 3)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        edge_feats: int = 0,
        hidden: int | None = None,
        eps: float = 0.0,
        train_eps: bool = False,
        norm: str | None = None,
        mlp: nn.Module | None = None,
    ) -> None:
        super().__init__(in_feats, out_feats, hidden, eps, train_eps, norm, mlp, edge_feats)
        self.fc_edge = nn.Linear(edge_feats, in_feats) if edge_feats else None

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        if self.fc_edge is None:
            return self._update(graph, feat, ops.spmm(graph, F.relu(feat), edge_weight))
        linear = self.fc_edge.weight, self.fc_edge.bias
        assert edge_feat is not None
        return self._update(graph, feat, ops.relu_reduce(graph, feat, edge_feat, edge_weight, linear=linear))
