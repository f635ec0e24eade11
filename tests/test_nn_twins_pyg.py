"""Layers that PyG has too give the same numbers once the weights are copied, where the definitions coincide."""

import pytest
import torch

from graphkit import nn as gnn
from graphkit.testing import sample

pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")

IN, OUT = 5, 6


def copy(target, source):
    with torch.no_grad():
        target.copy_(source.reshape(target.shape))


def close(got, expected):
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-5, rtol=1e-5)


@pytest.fixture
def case():
    return sample(in_feats=IN, edge_feats=3, num_rels=3, nodes=9, edges=30)


@pytest.fixture
def undirected(case):
    """Both directions of every edge with one weight, on which all definitions of a degree agree."""
    import dgl

    src, dst = case.graph.edges(order="eid")
    both = (torch.cat([src, dst]), torch.cat([dst, src]))
    return case.replace(graph=dgl.graph(both, num_nodes=9)), torch.rand(30).double().repeat(2) + 0.1


def index(case):
    return torch.stack(case.graph.edges(order="eid"))


@pytest.mark.parametrize("weighted", [False, True])
def test_gcn(undirected, weighted):
    case, weight = undirected
    ours, theirs = gnn.GCNConv(IN, OUT, norm="recompute").double(), pyg.GCNConv(IN, OUT).double()
    copy(theirs.lin.weight, ours.weight.T)
    weight = weight if weighted else None
    close(ours(case.graph, case.feat, edge_weight=weight), theirs(case.feat, index(case), weight))


@pytest.mark.parametrize("aggregator", ["mean", "sum", "max"])
def test_sage(case, aggregator):
    ours, theirs = gnn.SAGEConv(IN, OUT, aggregator).double(), pyg.SAGEConv(IN, OUT, aggregator).double()
    copy(theirs.lin_l.weight, ours.fc_neigh.weight)
    copy(theirs.lin_l.bias, ours.fc_self.bias)
    copy(theirs.lin_r.weight, ours.fc_self.weight)
    close(ours(case.graph, case.feat), theirs(case.feat, index(case)))


@pytest.mark.parametrize("concat", [False, True])
def test_gat(case, concat):
    ours = gnn.GATConv(IN, OUT, num_heads=2, concat=concat).double()
    theirs = pyg.GATConv(IN, OUT // 2 if concat else OUT, 2, concat=concat).double()
    copy(theirs.lin.weight, ours.weight.T)
    copy(theirs.att_src, ours.attn_src)
    copy(theirs.att_dst, ours.attn_dst)
    close(ours(case.graph, case.feat), theirs(case.feat, index(case)))


def test_gat_with_edge_features(case):
    ours = gnn.GATConv(IN, OUT, num_heads=2, edge_feats=3, self_loops=False).double()
    theirs = pyg.GATConv(IN, OUT // 2, 2, edge_dim=3, add_self_loops=False).double()
    copy(theirs.lin.weight, ours.weight.T)
    copy(theirs.lin_edge.weight, ours.weight_edge.T)
    for mine, other in (
        (ours.attn_src, theirs.att_src),
        (ours.attn_dst, theirs.att_dst),
        (ours.attn_edge, theirs.att_edge),
    ):
        copy(other, mine)
    close(ours(case.graph, case.feat, case.edge_feat), theirs(case.feat, index(case), case.edge_feat))


def test_gatv2_with_edge_features(case):
    ours = gnn.GATv2Conv(IN, OUT, num_heads=2, edge_feats=3, self_loops=False).double()
    theirs = pyg.GATv2Conv(IN, OUT // 2, 2, edge_dim=3, add_self_loops=False).double()
    for mine, other in ((ours.fc_src, theirs.lin_l), (ours.fc_dst, theirs.lin_r)):
        other.load_state_dict(mine.state_dict())
    copy(theirs.lin_edge.weight, ours.fc_edge.weight)
    copy(theirs.att, ours.attn)
    close(ours(case.graph, case.feat, case.edge_feat), theirs(case.feat, index(case), case.edge_feat))


def test_gin(case):
    ours = gnn.GINConv(IN, OUT, eps=0.3).double()
    theirs = pyg.GINConv(ours.mlp, eps=0.3).double()  # draws the MLP anew
    close(ours(case.graph, case.feat), theirs(case.feat, index(case)))


def test_gine(case):
    ours = gnn.GINEConv(IN, OUT, edge_feats=3).double()
    theirs = pyg.GINEConv(torch.nn.Sequential(torch.nn.Linear(IN, IN)), edge_dim=3).double()  # asks nn for its width
    theirs.nn = ours.mlp
    theirs.lin.load_state_dict(ours.fc_edge.state_dict())
    close(ours(case.graph, case.feat, case.edge_feat), theirs(case.feat, index(case), case.edge_feat))


def test_appnp(undirected):
    case, _ = undirected
    close(gnn.APPNPConv(IN, k=4, alpha=0.2)(case.graph, case.feat), pyg.APPNP(4, 0.2)(case.feat, index(case)))


@pytest.mark.parametrize(
    ("regularizer", "options"), [(None, {}), ("basis", {"num_bases": 2}), ("bdd", {"num_blocks": 2})]
)
def test_rgcn_per_relation(regularizer, options):
    case = sample(in_feats=4, num_rels=3)
    ours = gnn.RelGraphConv(4, 6, 3, regularizer, 2 if regularizer else None).double()
    theirs = pyg.RGCNConv(4, 6, 3, aggr="mean", **options).double()
    copy(theirs.weight, ours.weight)
    if regularizer == "basis":
        copy(theirs.comp, ours.coeff)
    copy(theirs.root, ours.loop_weight)
    close(ours(case.graph, case.feat, etype=case.etype), theirs(case.feat, index(case), case.etype))


def test_set2set(case):
    ours, theirs = gnn.Set2Set(IN, n_iters=3).double(), pyg.aggr.Set2Set(IN, 3).double()
    theirs.lstm.load_state_dict(ours.lstm.state_dict())
    close(ours(case.graph, case.feat), theirs(case.feat, torch.zeros(9).long()))
