"""Layers that DGL has too give the same numbers once the weights are copied, where the definitions coincide."""

import dgl
import dgl.nn as dnn
import pytest
import torch

from graphkit import nn as gnn
from graphkit.testing import sample

IN, OUT = 5, 6


def copy(target, source):
    with torch.no_grad():
        target.copy_(source.reshape(target.shape))


def close(got, expected):
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-5, rtol=1e-5)


@pytest.fixture
def case():
    case = sample(in_feats=IN, edge_feats=3, num_rels=3, nodes=9, edges=30)
    return case.replace(feat=case.feat.float(), edge_feat=case.edge_feat.float())


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5)])
@pytest.mark.parametrize("norm", ["both", "right", "none"])
def test_gcn(norm, sizes):
    case = sample(in_feats=sizes[0])
    ours, theirs = gnn.GCNConv(*sizes, norm=norm).double(), dnn.GraphConv(*sizes, norm=norm).double()
    copy(theirs.weight, ours.weight)
    close(ours(case.graph, case.feat), theirs(dgl.add_self_loop(case.graph), case.feat))


def test_gcn_without_loops(case):
    ours = gnn.GCNConv(IN, OUT, self_loops=False)
    theirs = dnn.GraphConv(IN, OUT, allow_zero_in_degree=True)
    copy(theirs.weight, ours.weight)
    close(ours(case.graph, case.feat), theirs(case.graph, case.feat))


def test_gcn_with_frozen_norms_multiplies_messages_by_the_weight(case):
    weight = torch.rand(30)
    ours, theirs = gnn.GCNConv(IN, OUT), dnn.GraphConv(IN, OUT)
    copy(theirs.weight, ours.weight)
    padded = torch.cat([weight, torch.ones(9)])
    got = ours(case.graph, case.feat, edge_weight=weight)
    close(got, theirs(dgl.add_self_loop(case.graph), case.feat, edge_weight=padded))


def test_gcn_with_recomputed_norms_is_dgl_with_edge_weight_norm(case):
    weight = torch.rand(30) + 0.1
    ours, theirs = gnn.GCNConv(IN, OUT, norm="recompute"), dnn.GraphConv(IN, OUT, norm="none")
    copy(theirs.weight, ours.weight)
    looped, padded = dgl.add_self_loop(case.graph), torch.cat([weight, torch.ones(9)])
    norm = dnn.EdgeWeightNorm("both")(looped, padded)
    got = ours(case.graph, case.feat, edge_weight=weight)
    close(got, theirs(looped, case.feat, edge_weight=norm))


@pytest.mark.parametrize(("aggregator", "theirs"), [("mean", "mean"), ("sum", None)])
def test_sage(case, aggregator, theirs):
    ours = gnn.SAGEConv(IN, OUT, aggregator)
    if theirs is None:
        summed = torch.zeros(9, IN).index_add_(0, case.graph.edges()[1], case.feat[case.graph.edges()[0]])
        close(ours(case.graph, case.feat), ours.fc_self(case.feat) + ours.fc_neigh(summed))
        return
    twin = dnn.SAGEConv(IN, OUT, theirs)
    for mine, other in ((ours.fc_self.weight, twin.fc_self.weight), (ours.fc_neigh.weight, twin.fc_neigh.weight)):
        copy(other, mine)
    copy(twin.fc_self.bias, ours.fc_self.bias)
    close(ours(case.graph, case.feat), twin(case.graph, case.feat))


@pytest.mark.parametrize("residual", [False, True])
def test_gat(case, residual):
    ours = gnn.GATConv(IN, OUT, num_heads=2, residual=residual)
    theirs = dnn.GATConv(IN, 3, 2, residual=residual)
    copy(theirs.fc.weight, ours.weight.T)
    copy(theirs.attn_l, ours.attn_src)
    copy(theirs.attn_r, ours.attn_dst)
    if residual:
        copy(theirs.res_fc.weight, ours.res_fc.weight)
    close(ours(case.graph, case.feat), theirs(dgl.add_self_loop(case.graph), case.feat).flatten(1))


def test_gat_with_averaged_heads(case):
    ours, theirs = gnn.GATConv(IN, OUT, num_heads=2, concat=False), dnn.GATConv(IN, OUT, 2)
    copy(theirs.fc.weight, ours.weight.T)
    copy(theirs.attn_l, ours.attn_src)
    copy(theirs.attn_r, ours.attn_dst)
    close(ours(case.graph, case.feat), theirs(dgl.add_self_loop(case.graph), case.feat).mean(1))


def test_gat_with_edge_features(case):
    # DGL's EdgeGATConv also adds the edge's row to the message, so the reference is written out.
    ours = gnn.GATConv(IN, OUT, num_heads=2, self_loops=False, edge_feats=3)
    got = ours(case.graph, case.feat, case.edge_feat)
    z, e = (case.feat @ ours.weight).view(-1, 2, 3), (case.edge_feat @ ours.weight_edge).view(-1, 2, 3)
    src, dst = case.graph.edges()
    score = (z * ours.attn_src).sum(-1)[src] + (z * ours.attn_dst).sum(-1)[dst] + (e * ours.attn_edge).sum(-1)
    alpha = dgl.ops.edge_softmax(case.graph, torch.nn.functional.leaky_relu(score, 0.2)[..., None])
    expected = torch.zeros(9, 2, 3).index_add_(0, dst, alpha * z[src])
    close(got, expected.flatten(1))


@pytest.mark.parametrize("share", [False, True])
def test_gatv2(case, share):
    ours = gnn.GATv2Conv(IN, OUT, num_heads=2, share_weights=share)
    theirs = dnn.GATv2Conv(IN, 3, 2, share_weights=share)
    for mine, other in ((ours.fc_src, theirs.fc_src), (ours.fc_dst, theirs.fc_dst)):
        copy(other.weight, mine.weight)
        copy(other.bias, mine.bias)
    copy(theirs.attn, ours.attn)
    close(ours(case.graph, case.feat), theirs(dgl.add_self_loop(case.graph), case.feat).flatten(1))


def test_gin(case):
    ours = gnn.GINConv(IN, OUT, eps=0.3)
    close(ours(case.graph, case.feat), dnn.GINConv(ours.mlp, "sum", init_eps=0.3)(case.graph, case.feat))


def test_gine(case):
    ours = gnn.GINEConv(IN, OUT, edge_feats=3, eps=0.3)
    theirs = dnn.GINEConv(ours.mlp, init_eps=0.3)
    got = ours(case.graph, case.feat, case.edge_feat)
    close(got, theirs(case.graph, case.feat, ours.fc_edge(case.edge_feat)))


def test_appnp(case):
    theirs = dnn.APPNPConv(k=4, alpha=0.2)
    # DGL scales by in-degrees on both sides, hence the undirected graph.
    graph = dgl.to_bidirected(case.graph)
    got = gnn.APPNPConv(IN, k=4, alpha=0.2)(graph, case.feat)
    close(got, theirs(dgl.add_self_loop(graph), case.feat))


@pytest.mark.parametrize("sizes", [(6, 4), (4, 6)])
@pytest.mark.parametrize("regularizer", [None, "basis", "bdd"])
def test_rgcn(regularizer, sizes):
    case = sample(in_feats=sizes[0], num_rels=3)
    ours = gnn.RelGraphConv(*sizes, 3, regularizer, 2 if regularizer else None, norm="total").double()
    theirs = dnn.RelGraphConv(*sizes, 3, regularizer, 2 if regularizer else None).double()
    copy(theirs.linear_r.W, ours.weight)
    if regularizer == "basis":
        copy(theirs.linear_r.coeff, ours.coeff)
    copy(theirs.loop_weight, ours.loop_weight)
    norm = (1 / case.graph.in_degrees().clamp(min=1).double())[case.graph.edges()[1]]
    got = ours(case.graph, case.feat, etype=case.etype)
    close(got, theirs(case.graph, case.feat, case.etype, norm[:, None]))


def test_set2set():
    graphs = [sample(seed, nodes=nodes, in_feats=4) for seed, nodes in ((0, 5), (1, 3))]
    graph, feat = dgl.batch([g.graph for g in graphs]), torch.cat([g.feat for g in graphs])
    ours, theirs = gnn.Set2Set(4, n_iters=3, n_layers=2).double(), dnn.Set2Set(4, 3, 2).double()
    theirs.lstm.load_state_dict(ours.lstm.state_dict())
    close(ours(graph, feat), theirs(graph, feat))


def test_attention_pool():
    case = sample(in_feats=4)
    ours = gnn.AttentionPool(4).double()
    close(ours(case.graph, case.feat), dnn.GlobalAttentionPooling(ours.gate)(case.graph, case.feat))
