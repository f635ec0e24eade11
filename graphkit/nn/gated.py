"""GatedGCN: Residual Gated Graph ConvNets (1711.07553), with edge states as in Benchmarking GNNs (2003.00982)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.registry import register
from graphkit.nn.layer import Layer

if TYPE_CHECKING:
    import dgl


@register(
    "gatedgcnconv",
    kind="layer",
    title="Residual Gated Graph ConvNets",
    arxiv="1711.07553",
    example={"edge_feats": 2},
)
class GatedGCNConv(Layer):
    """Gates from edge states: ``h_v = A x_v + sum_u w_uv s_uv * B x_u / (sum_u s_uv + eps)``, ``s = sigmoid(e')``.

    ``e'_uv = C e_uv + D x_u + E x_v`` is the new edge state. Norm, activation and residual are the caller's.

    Parameters
    ----------
    in_feats, out_feats : int
    edge_feats : int, default 0
        Width of ``edge_feat``; without edge features ``e' = D x_u + E x_v``.
    eps : float, default 1e-6
    bias : bool, default True

    Raises
    ------
    GraphKitError
        For a wrong width or length of either features, or integer features.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> h, e = GatedGCNConv(4, 2, edge_feats=3)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), torch.ones(2, 3))
    >>> h.shape, e.shape
    (torch.Size([3, 2]), torch.Size([2, 2]))
    """

    updates_edges: ClassVar[bool] = True

    def __init__(
        self, in_feats: int, out_feats: int, edge_feats: int = 0, eps: float = 1e-6, bias: bool = True
    ) -> None:
        super().__init__(in_feats, out_feats, edge_feats)
        self.eps = eps
        self.fc = nn.Linear(in_feats, 4 * out_feats, bias=bias)  # A, B, D, E by one product
        self.fc_edge = nn.Linear(edge_feats, out_feats, bias=bias) if edge_feats else None  # C

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Return ``[Ndst, out_feats]`` and ``[E, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        # Only sources need B and D, only targets A and E; the op reads B x beside D x.
        (a, both, e), (a_bias, both_bias, e_bias) = self._split(self.fc.weight), self._split(self.fc.bias)
        target = ops.dst_rows(graph, feat)
        heard, total, state = ops.gated_sum(
            graph, F.linear(feat, both, both_bias), F.linear(target, e, e_bias),
            edge_feat if self.fc_edge is not None else None, edge_weight,
            None if self.fc_edge is None else (self.fc_edge.weight, self.fc_edge.bias),
        )  # fmt: skip
        return F.linear(target, a, a_bias) + heard / (total + self.eps), state

    def _split(self, rows: Tensor | None) -> Sequence[Tensor | None]:
        width = self.out_feats
        return (None, None, None) if rows is None else rows.split([width, 2 * width, width])
