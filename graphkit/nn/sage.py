"""GraphSAGE: Inductive Representation Learning on Large Graphs, 1706.02216."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.check import check_choice
from graphkit.core.registry import register
from graphkit.nn.layer import Layer

if TYPE_CHECKING:
    import dgl


@register("sageconv", kind="layer", title="Inductive Representation Learning on Large Graphs", arxiv="1706.02216")
class SAGEConv(Layer):
    """Own row beside the neighbours' aggregate: ``h_v = W_self x_v + W_neigh agg_{u -> v} w_uv x_u + b``.

    The mean divides by the number of incoming edges, whatever their weights. The maximum is of the rows themselves
    (PyG's definition; DGL's ``pool`` puts a linear map and a ReLU before it).

    Parameters
    ----------
    in_feats, out_feats : int
    aggregator : str, default "mean"
        ``mean``, ``sum`` or ``max``.
    normalize : bool, default False
        Scale the rows to length 1, as the paper does.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        For an unknown aggregator, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> SAGEConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, aggregator: str = "mean", normalize: bool = False, bias: bool = True
    ) -> None:
        super().__init__(in_feats, out_feats)
        check_choice("aggregator", aggregator, ("mean", "sum", "max"))
        self.aggregator, self.normalize = aggregator, normalize
        self.fc_self = nn.Linear(in_feats, out_feats, bias=bias)
        self.fc_neigh = nn.Linear(in_feats, out_feats, bias=False)

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
        if self.aggregator != "max" and self.in_feats > self.out_feats:  # agg(X) W = agg(X W) where agg is linear
            neigh = ops.spmm(graph, self.fc_neigh(feat), edge_weight, self.aggregator)
        else:
            neigh = self.fc_neigh(ops.spmm(graph, feat, edge_weight, self.aggregator))
        h = self.fc_self(ops.dst_rows(graph, feat)).add_(neigh)  # no third array of this size
        return F.normalize(h, dim=-1) if self.normalize else h
