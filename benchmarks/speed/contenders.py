"""The table of contenders: layer, then library, then how to make one step of it.

A row asks for ``Inputs`` and gives a closure; nothing is made until a row is run. ``i.x`` has the size's width in,
``i.h`` its width out (for layers that keep the width), ``i.e`` are edge features.
"""

from __future__ import annotations

from collections.abc import Callable

import dgl
import dgl.nn as dnn
import torch
import torch_geometric.nn as pyg
from cases import AGGREGATORS, SCALERS, Cheb, Inputs, Twice, csr, edge_network, linear, ours, step, theirs
from torch import nn

from graphkit import nn as gk

Make = Callable[[Inputs], Callable[[], None]]


def _two(i: Inputs) -> tuple[int, int]:
    return i.size.d_in, i.size.d_out


def _edge_conv(i: Inputs) -> nn.Module:
    return nn.Linear(2 * i.size.d_in, i.size.d_out)


CONTENDERS: dict[str, dict[str, Make]] = {
    "GCN": {
        "graphkit": lambda i: ours(gk.GCNConv(*_two(i), self_loops=False), i, i.x),
        "dgl": lambda i: ours(dnn.GraphConv(*_two(i), allow_zero_in_degree=True), i, i.x),
        "pyg": lambda i: theirs(pyg.GCNConv(*_two(i), add_self_loops=False), i, i.x),
        "pyg-csr": lambda i: csr(pyg.GCNConv(*_two(i), add_self_loops=False), i, i.x),
    },
    "SAGE": {
        "graphkit": lambda i: ours(gk.SAGEConv(*_two(i)), i, i.x),
        "dgl": lambda i: ours(dnn.SAGEConv(*_two(i), "mean"), i, i.x),
        "pyg": lambda i: theirs(pyg.SAGEConv(*_two(i)), i, i.x),
        "pyg-csr": lambda i: csr(pyg.SAGEConv(*_two(i)), i, i.x),
    },
    "SAGE max": {
        "graphkit": lambda i: ours(gk.SAGEConv(*_two(i), "max"), i, i.x),
        "pyg": lambda i: theirs(pyg.SAGEConv(*_two(i), "max"), i, i.x),
    },
    "GIN": {
        "graphkit": lambda i: ours(gk.GINConv(*_two(i), mlp=linear(i.size)), i, i.x),
        "dgl": lambda i: ours(dnn.GINConv(linear(i.size)), i, i.x),
        "pyg": lambda i: theirs(pyg.GINConv(linear(i.size)), i, i.x),
        "pyg-csr": lambda i: csr(pyg.GINConv(linear(i.size)), i, i.x),
    },
    "GAT": {
        "graphkit": lambda i: ours(gk.GATConv(*_two(i), i.size.heads, self_loops=False), i, i.x),
        "dgl": lambda i: ours(
            dnn.GATConv(i.size.d_in, i.size.d_out // i.size.heads, i.size.heads, allow_zero_in_degree=True), i, i.x
        ),
        "pyg": lambda i: theirs(
            pyg.GATConv(i.size.d_in, i.size.d_out // i.size.heads, i.size.heads, add_self_loops=False), i, i.x
        ),
    },
    "GATv2": {
        "graphkit": lambda i: ours(gk.GATv2Conv(*_two(i), i.size.heads, self_loops=False), i, i.x),
        "dgl": lambda i: ours(
            dnn.GATv2Conv(i.size.d_in, i.size.d_out // i.size.heads, i.size.heads, allow_zero_in_degree=True), i, i.x
        ),
        "pyg": lambda i: theirs(
            pyg.GATv2Conv(i.size.d_in, i.size.d_out // i.size.heads, i.size.heads, add_self_loops=False), i, i.x
        ),
    },
    "Transformer": {
        "graphkit": lambda i: ours(gk.TransformerConv(*_two(i), i.size.heads), i, i.x),
        # The nearest that DGL has: one projection where the others make four.
        "dgl": lambda i: ours(
            dnn.DotGatConv(i.size.d_in, i.size.d_out // i.size.heads, i.size.heads, allow_zero_in_degree=True), i, i.x
        ),
        "pyg": lambda i: theirs(pyg.TransformerConv(i.size.d_in, i.size.d_out // i.size.heads, i.size.heads), i, i.x),
    },
    "GatedGCN, no edges": {
        "graphkit": lambda i: ours(gk.GatedGCNConv(*_two(i)), i, i.x),
        "pyg": lambda i: theirs(pyg.ResGatedGraphConv(*_two(i)), i, i.x),
    },
    "Transformer, edges": {
        "graphkit": lambda i: ours(
            gk.TransformerConv(*_two(i), i.size.heads, edge_feats=i.size.edge_feats), i, i.x, i.e
        ),
        "pyg": lambda i: theirs(
            pyg.TransformerConv(
                i.size.d_in, i.size.d_out // i.size.heads, i.size.heads, edge_dim=i.size.edge_feats
            ), i, i.x, i.e
        ),
    },
    "GINE": {
        "graphkit": lambda i: ours(
            gk.GINEConv(*_two(i), edge_feats=i.size.edge_feats, mlp=linear(i.size)), i, i.x, i.e
        ),
        # DGL's takes edge features of the width of the nodes': the projection is made outside it.
        "dgl": lambda i: ours(ProjectedGINE(i), i, i.x, i.e),
        "pyg": lambda i: theirs(pyg.GINEConv(linear(i.size), edge_dim=i.size.edge_feats), i, i.x, i.e),
    },
    "GatedGCN": {
        "graphkit": lambda i: ours(gk.GatedGCNConv(*_two(i), edge_feats=i.size.edge_feats), i, i.x, i.e),
        "dgl": lambda i: ours(
            dnn.GatedGCNConv(
                i.size.d_in, i.size.edge_feats, i.size.d_out, batch_norm=False, residual=False, activation=None
            ), i, i.x, i.e
        ),
        "pyg": lambda i: theirs(pyg.ResGatedGraphConv(*_two(i), edge_dim=i.size.edge_feats), i, i.x, i.e),
    },
    "GEN softmax": {
        "graphkit": lambda i: ours(gk.GENConv(*_two(i), edge_feats=i.size.edge_feats), i, i.x, i.e),
        "pyg": lambda i: theirs(pyg.GENConv(*_two(i), edge_dim=i.size.edge_feats), i, i.x, i.e),
    },
    "GEN power": {
        "graphkit": lambda i: ours(
            gk.GENConv(*_two(i), "power", p=2.0, edge_feats=i.size.edge_feats), i, i.x, i.e
        ),
        "pyg": lambda i: theirs(
            pyg.GENConv(*_two(i), aggr="powermean", p=2.0, edge_dim=i.size.edge_feats), i, i.x, i.e
        ),
    },
    "PNA": {
        "graphkit": lambda i: ours(gk.PNAConv(*_two(i), delta=i.delta), i, i.x),
        "dgl": lambda i: ours(dnn.PNAConv(*_two(i), AGGREGATORS, SCALERS, i.delta, residual=False), i, i.x),
        "dense": lambda i: step(PNADense(i), i.x),
        "pyg": lambda i: theirs(pyg.PNAConv(*_two(i), AGGREGATORS, SCALERS, i.degree_counts), i, i.x),
    },
    "SGC": {
        "graphkit": lambda i: ours(gk.SGConv(*_two(i), self_loops=False), i, i.x),
        "dgl": lambda i: ours(dnn.SGConv(*_two(i), k=2, allow_zero_in_degree=True), i, i.x),
        "pyg": lambda i: theirs(pyg.SGConv(*_two(i), K=2, add_self_loops=False), i, i.x),
        "pyg-csr": lambda i: csr(pyg.SGConv(*_two(i), K=2, add_self_loops=False), i, i.x),
    },
    "APPNP": {
        "graphkit": lambda i: ours(gk.APPNPConv(i.size.d_out, self_loops=False), i, i.h),
        "dgl": lambda i: ours(dnn.APPNPConv(10, 0.1), i, i.h),
        "pyg": lambda i: theirs(pyg.APPNP(10, 0.1, add_self_loops=False), i, i.h),
        "pyg-csr": lambda i: csr(pyg.APPNP(10, 0.1, add_self_loops=False), i, i.h),
    },
    "Cheb": {
        "graphkit": lambda i: ours(gk.ChebConv(*_two(i), k=3), i, i.x),
        "dgl": lambda i: ours(Cheb(*_two(i), 3), i, i.x),
        "pyg": lambda i: theirs(pyg.ChebConv(*_two(i), K=3), i, i.x),
    },
    "TAG": {
        "graphkit": lambda i: ours(gk.TAGConv(*_two(i), k=2), i, i.x),
        "dgl": lambda i: ours(dnn.TAGConv(*_two(i), k=2), i, i.x),
        "pyg": lambda i: theirs(pyg.TAGConv(*_two(i), K=2), i, i.x),
        "pyg-csr": lambda i: csr(pyg.TAGConv(*_two(i), K=2), i, i.x),
    },
    "ARMA": {
        "graphkit": lambda i: ours(gk.ARMAConv(*_two(i)), i, i.x),
        "pyg": lambda i: theirs(pyg.ARMAConv(*_two(i)), i, i.x),
    },
    "GCNII": {
        "graphkit": lambda i: ours(gk.GCN2Conv(i.size.d_out, self_loops=False), i, i.h),
        "dgl": lambda i: ours(
            Twice(dnn.GCN2Conv(i.size.d_out, 1, 0.1, 0.5, allow_zero_in_degree=True, bias=False)), i, i.h
        ),
        "pyg": lambda i: theirs(Twice(pyg.GCN2Conv(i.size.d_out, 0.1, 0.5, 1, add_self_loops=False)), i, i.h),
        "pyg-csr": lambda i: csr(Twice(pyg.GCN2Conv(i.size.d_out, 0.1, 0.5, 1, add_self_loops=False)), i, i.h),
    },
    "MixHop": {
        "graphkit": lambda i: ours(gk.MixHopConv(i.size.d_in, 3 * i.size.d_out, self_loops=False), i, i.x),
        "pyg": lambda i: theirs(pyg.MixHopConv(*_two(i), add_self_loops=False), i, i.x),
    },
    "Dir-GNN": {
        "graphkit": lambda i: ours(gk.DirConv(*_two(i)), i, i.x),
        "pyg": lambda i: theirs(pyg.DirGNNConv(pyg.GCNConv(*_two(i), add_self_loops=False)), i, i.x),
    },
    "FA": {
        "graphkit": lambda i: ours(gk.FAConv(i.size.d_out, self_loops=False), i, i.h),
        "pyg": lambda i: theirs(Twice(pyg.FAConv(i.size.d_out, add_self_loops=False)), i, i.h),
    },
    "EdgeConv, MLP": {
        "graphkit": lambda i: ours(gk.EdgeConv(i.size.d_out, i.size.d_out), i, i.h),
        "pyg": lambda i: theirs(pyg.EdgeConv(gk.MLP(2 * i.size.d_out, i.size.d_out, i.size.d_out)), i, i.h),
    },
    "EdgeConv, linear": {
        "graphkit": lambda i: ours(gk.EdgeConv(*_two(i), num_layers=1), i, i.x),
        "dgl": lambda i: ours(dnn.EdgeConv(*_two(i), allow_zero_in_degree=True), i, i.x),
        "pyg": lambda i: theirs(pyg.EdgeConv(_edge_conv(i)), i, i.x),
    },
    "CFConv": {
        "graphkit": lambda i: ours(gk.CFConv(i.size.d_out, i.size.d_out, i.size.edge_feats), i, i.h, i.e),
        "dgl": lambda i: ours(
            dnn.CFConv(i.size.d_out, i.size.edge_feats, i.size.d_out, i.size.d_out), i, i.h, i.e
        ),
    },
    "NNConv": {
        "graphkit": lambda i: ours(gk.NNConv(i.size.d_out, i.size.d_out, i.size.edge_feats), i, i.h, i.e),
        "dgl": lambda i: ours(
            dnn.NNConv(i.size.d_out, i.size.d_out, edge_network(i.size), "sum"), i, i.h, i.e
        ),
        "pyg": lambda i: theirs(
            pyg.NNConv(i.size.d_out, i.size.d_out, edge_network(i.size)), i, i.h, i.e
        ),
    },
    "Linear alone": {"graphkit": lambda i: step(linear(i.size), i.x)},
}  # fmt: skip


class ProjectedGINE(nn.Module):
    """DGL's GINEConv behind a projection of the edge features, as ours and PyG's have inside."""

    def __init__(self, i: Inputs) -> None:
        super().__init__()
        self.edge, self.layer = nn.Linear(i.size.edge_feats, i.size.d_in), dnn.GINEConv(linear(i.size))

    def forward(self, graph: dgl.DGLGraph, feat: torch.Tensor, edge_feat: torch.Tensor) -> torch.Tensor:
        """As ours."""
        return self.layer(graph, feat, self.edge(edge_feat))


class PNADense(nn.Module):
    """The products with PNA's weights alone, as our layer runs them, on rows that are there already."""

    def __init__(self, i: Inputs) -> None:
        super().__init__()
        self.layer = gk.PNAConv(*_two(i), delta=i.delta)
        self.heard = torch.randn(i.size.nodes, self.layer.fc_out.in_features, requires_grad=True)
        self.shift = nn.Linear(i.size.d_in, self.layer.fc_out.out_features, bias=False)

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        """All four products."""
        layer = self.layer
        made = layer.fc_src(feat).sum() + self.shift(feat).sum()
        return made + layer.fc_self(feat).sum() + layer.fc_out(self.heard).sum()
