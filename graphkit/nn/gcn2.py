"""GCNII: Simple and Deep Graph Convolutional Networks, 2007.02133."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_feat
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import Propagation
from graphkit.nn.layer import Layer, glorot

if TYPE_CHECKING:
    import dgl


@register(
    "gcn2conv",
    kind="layer",
    title="Simple and Deep Graph Convolutional Networks",
    arxiv="2007.02133",
    example={"alpha": 0.2, "theta": 0.7},
    keeps_width=True,
)
class GCN2Conv(Layer):
    """GCNII: ``H' = ((1 - beta) I + beta W) ((1 - alpha) S H + alpha H_0)``, with ``beta = log(theta / layer + 1)``.

    ``H_0`` are the rows that entered the first of these layers; ``S = D^-1/2 (A + I) D^-1/2``.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    alpha : float, default 0.1
        Share of ``H_0``.
    theta : float, default 0.5
    layer : int, default 1
        Which layer of the network this is, from 1: later ones change the rows less.
    shared_weights : bool, default True
        Without, ``H_0`` has a weight of its own (the paper's variant GCNII*).
    norm : str, default "both"
        As for :class:`Propagation`.
    self_loops : bool, default True

    Raises
    ------
    GraphKitError
        For an ``out_feats`` that differs, a ``layer`` below 1, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> GCN2Conv(4, layer=2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), initial=torch.zeros(3, 4)).shape
    torch.Size([3, 4])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None = None, alpha: float = 0.1, theta: float = 0.5, layer: int = 1,
        shared_weights: bool = True, norm: str = "both", self_loops: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, in_feats if out_feats is None else out_feats)
        if self.out_feats != in_feats:
            raise GraphKitError(f"GCN2Conv keeps the width: out_feats={out_feats} is not in_feats={in_feats}")
        if layer < 1 or not theta > 0:
            raise GraphKitError(f"layer={layer}, theta={theta} give no beta; expected layer from 1 and theta above 0")
        self.alpha, self.beta = alpha, log(theta / layer + 1)
        self.propagate = Propagation(norm, self_loops)
        self.weight = nn.Parameter(torch.empty(in_feats, in_feats))
        self.initial_weight = None if shared_weights else nn.Parameter(torch.empty(in_feats, in_feats))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights Glorot-uniform."""
        glorot(self.weight, self.initial_weight)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
        initial: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, ..., D]`` for ``feat [Nsrc, ..., D]``, ``edge_weight [E]``; ``initial`` is ``H_0``, or feat.

        On a block, ``initial`` has the rows of the sources or of the targets.
        """
        self.check(graph, feat, edge_weight=edge_weight)
        x = ops.dst_rows(graph, feat if initial is None else initial)
        check_feat("initial", x, graph.num_dst_nodes(), self.in_feats)
        h, x = (1 - self.alpha) * self.propagate(graph, feat, edge_weight), self.alpha * x
        if self.initial_weight is None:
            return self._mix(h + x, self.weight)
        return self._mix(h, self.weight) + self._mix(x, self.initial_weight)

    def _mix(self, rows: Tensor, weight: Tensor) -> Tensor:
        return (1 - self.beta) * rows + self.beta * (rows @ weight)
