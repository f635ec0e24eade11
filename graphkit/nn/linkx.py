"""LINKX: Large Scale Learning on Non-Homophilous Graphs, 2110.14446."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_ids
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.layer import Layer
from graphkit.nn.mlp import MLP

if TYPE_CHECKING:
    import dgl

OWN_ROW = "each node of the graph has weights of its own, which node_ids finds elsewhere"


@register(
    "linkxconv",
    kind="layer",
    title="Large Scale Learning on Non-Homophilous Graphs: New Benchmarks and Strong Simple Methods",
    arxiv="2110.14446",
    declines=dict.fromkeys(("equivariance", "batching", "blocks", "isolated", "forces"), OWN_ROW),
    example={"num_nodes": 8},
)
class LINKXConv(Layer):
    """Rows of the adjacency as features: ``h_v = (I + W_A) a_v + (I + W_X) MLP(x_v) + b``.

    ``a_v = sum_u w_uv T_u + c``, where ``T`` has a row for each of the ``num_nodes`` nodes, so the layer is for one
    graph. Non-linearity and final MLP are the caller's.

    Parameters
    ----------
    in_feats, out_feats : int
    num_nodes : int
        Nodes of the one graph.
    num_layers : int, default 1
        Linear maps of the MLP.

    Raises
    ------
    GraphKitError
        For a graph of another number of nodes without ``node_ids``, ids out of range, a wrong width or length, or
        integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> LINKXConv(4, 2, num_nodes=3)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, out_feats: int, num_nodes: int, num_layers: int = 1) -> None:
        super().__init__(in_feats, out_feats)
        if num_nodes < 1:
            raise GraphKitError(f"num_nodes={num_nodes} is no number of nodes; expected at least 1")
        self.num_nodes = num_nodes
        self.table = nn.Parameter(torch.empty(num_nodes, out_feats))  # T
        self.bias = nn.Parameter(torch.empty(out_feats))  # c
        self.mlp = MLP(in_feats, out_feats, num_layers=num_layers)
        self.fc_graph = nn.Linear(out_feats, out_feats)  # W_A, b
        self.fc_feat = nn.Linear(out_feats, out_feats, bias=False)  # W_X
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw table and bias as :class:`torch.nn.Linear` would draw those of a map from ``num_nodes`` columns."""
        for parameter in (self.table, self.bias):
            nn.init.uniform_(parameter, -(self.num_nodes**-0.5), self.num_nodes**-0.5)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
        node_ids: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_weight [E]``, ids ``[Nsrc]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        if node_ids is None and graph.num_src_nodes() != self.num_nodes:
            raise GraphKitError(
                f"LINKXConv was made for a graph of {self.num_nodes} nodes, got {graph.num_src_nodes()}; pass node_ids"
            )
        if node_ids is not None:
            check_ids("node_ids", node_ids, self.num_nodes, graph.num_src_nodes())
        table = self.table if node_ids is None else self.table[node_ids]
        a = ops.spmm(graph, table, edge_weight) + self.bias
        x = self.mlp(ops.dst_rows(graph, feat))
        return a + self.fc_graph(a) + x + self.fc_feat(x)
