"""Hops apart: Beyond Homophily in Graph Neural Networks, 2006.11468."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from graphkit import _dgl
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import Propagation
from graphkit.nn.layer import Layer, glorot
from graphkit.nn.propagate import K_HOPS

if TYPE_CHECKING:
    import dgl

NO_ONE_WEIGHT = "a node two hops away is heard once, over all paths together, which have no one weight"


@register(
    "h2gcnconv",
    kind="layer",
    title="Beyond Homophily in Graph Neural Networks: Current Limitations and Effective Designs",
    arxiv="2006.11468",
    declines={"blocks": f"it {K_HOPS}", "edge_weight": NO_ONE_WEIGHT},
)
class H2GCNConv(Layer):
    """Own row, neighbours and strict second neighbours apart: ``H = X W_0 + S_1 X W_1 + S_2 X W_2 + b``.

    ``S_i = D_i^-1/2 A_i D_i^-1/2`` without loops; ``A_2`` joins v to each u that a path of two edges leads from, unless
    u is v or a neighbour. The paper's ``[X || S_1 X || S_2 X]``, its linear map included. ``A_2`` is made once for each
    graph and can have the sum of squared degrees as edges.

    Parameters
    ----------
    in_feats, out_feats : int
    norm : str, default "both"
        As for :class:`Propagation`, without ``recompute``.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block, with ``edge_weight``, for an unknown norm, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> H2GCNConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    k: ClassVar[int] = 2

    def __init__(self, in_feats: int, out_feats: int, norm: str = "both", bias: bool = True) -> None:
        super().__init__(in_feats, out_feats)
        self.propagate = Propagation(norm, self_loops=False)
        self.weight = nn.Parameter(torch.empty(3, in_feats, out_feats))
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights Glorot-uniform; the bias becomes 0."""
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
        """Return ``[N, ..., out_feats]`` for ``feat [N, ..., in_feats]``."""
        self.refuse_blocks(graph, f"it {K_HOPS}")
        self.check(graph, feat)
        if edge_weight is not None:
            raise GraphKitError(f"H2GCNConv takes no edge_weight: {NO_ONE_WEIGHT}")
        h = feat @ self.weight[0]
        for hop, weight in ((graph, self.weight[1]), (_dgl.two_hops(graph), self.weight[2])):
            if self.in_feats > self.out_feats:
                h = h + self.propagate(hop, feat @ weight)
            else:
                h = h + self.propagate(hop, feat) @ weight
        return h if self.bias is None else h + self.bias
