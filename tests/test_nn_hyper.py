"""Hypergraph layers equal their dense formulas and PyG's layer, and keep the identities of the survey."""

import dgl
import pytest
import torch

from graphkit import _dgl, ops
from graphkit import nn as gnn
from graphkit.testing.hyper import HyperSample, hyper_sample


@pytest.fixture
def case():
    return hyper_sample(nodes=7, hyperedges=5, members=16, in_feats=4, edge_feats=4)


def incidence(case):
    h = torch.zeros(len(case.feat), len(case.edge_feat), dtype=torch.float64)
    h[case.node, case.hyperedge] = 1
    return h


def close(got, expected, tolerance=1e-9):
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=tolerance, rtol=tolerance)


def inverse(d):
    return torch.where(d > 0, 1 / d.clamp(min=1e-9), 0.0)


def test_hgnn_is_its_matrix_product(case):
    layer, h = gnn.HGNNConv(4, 3).double(), incidence(case)
    w = torch.rand(5).double()
    d = inverse(h @ w).sqrt()
    operator = d[:, None] * h * w @ (inverse(h.sum(0))[:, None] * h.T) * d
    close(layer(case.graph, case.feat, hyperedge_weight=w), operator @ layer.fc(case.feat) + layer.bias)


def test_hgnn_of_pairs_is_half_of_gcn(case):
    edges = torch.tensor([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)])
    pairs = HyperSample(edges.flatten(), torch.arange(5).repeat_interleave(2), case.feat[:4], torch.zeros(5, 0))
    a = torch.zeros(4, 4).double()
    a[edges[:, 0], edges[:, 1]] = a[edges[:, 1], edges[:, 0]] = 1
    d = a.sum(0).rsqrt()
    layer = gnn.HGNNConv(4, 3, bias=False).double()
    expected = (torch.eye(4).double() + d[:, None] * a * d) / 2 @ layer.fc(pairs.feat)
    close(layer(pairs.graph, pairs.feat), expected)


def test_a_hyperedge_twice_is_one_of_weight_two():
    one = HyperSample(
        torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 1]), torch.randn(3, 4).double(), torch.zeros(2, 0)
    )
    two = HyperSample(torch.tensor([0, 1, 1, 2, 0, 1]), torch.tensor([0, 0, 1, 1, 2, 2]), one.feat, torch.zeros(3, 0))
    layer, weight = gnn.HGNNConv(4, 3).double(), torch.tensor([2.0, 1.0]).double()
    close(layer(two.graph, two.feat), layer(one.graph, one.feat, hyperedge_weight=weight))


def test_hgnn_plus_is_a_mean_of_means(case):
    layer = gnn.HGNNConv(4, 4, norm="right", bias=False).double()
    torch.nn.init.eye_(layer.fc.weight)
    out = layer(case.graph, torch.ones(7, 4).double())
    close(out[:, 0], (incidence(case).sum(1) > 0).double())


def test_hnhn_is_its_matrix_product(case):
    layer, h = gnn.HNHNConv(4, 3, alpha=0.5, beta=-0.5).double(), incidence(case)
    left, right = h * h.sum(1).clamp(min=1)[:, None] ** -0.5, h * h.sum(0).clamp(min=1) ** 0.5
    z = torch.relu(layer.fc_edge(inverse(left.sum(0))[:, None] * (left.T @ case.feat)))
    close(layer(case.graph, case.feat), layer.fc_node(inverse(right.sum(1))[:, None] * (right @ z)))


@pytest.mark.parametrize("over", ["members", "hyperedges"])
def test_attention_is_pygs(case, over):
    pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")
    mode = {"members": "node", "hyperedges": "edge"}[over]
    ours = gnn.HCHAConv(4, 6, num_heads=2, over=over, edge_feats=4).double()
    theirs = pyg.HypergraphConv(4, 3, use_attention=True, attention_mode=mode, heads=2).double()
    with torch.no_grad():
        ours.fc_edge.weight.copy_(ours.fc.weight)  # PyG has one map for both
        theirs.lin.weight.copy_(ours.fc.weight)
        theirs.att.copy_(torch.cat([ours.attn_node, ours.attn_edge], -1)[None])
    index = torch.stack([case.node, case.hyperedge])
    got = ours(case.graph, case.feat, case.edge_feat)
    close(got, theirs(case.feat, index, hyperedge_attr=case.edge_feat), 1e-5)


def test_hgnn_right_is_pygs_hypergraph_conv(case):
    pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")
    ours, theirs = gnn.HGNNConv(4, 3, norm="right").double(), pyg.HypergraphConv(4, 3).double()
    with torch.no_grad():
        theirs.lin.weight.copy_(ours.fc.weight)
    index = torch.stack([case.node, case.hyperedge])
    close(ours(case.graph, case.feat), theirs(case.feat, index, num_edges=5), 1e-5)


def test_unigcn_unisage_unigin_are_their_sums(case):
    h = incidence(case)
    degree, size = h.sum(1), h.sum(0)
    of_edge = (inverse(size) * (h.T @ degree)).clamp(min=1)
    for layer in (gnn.UniGCNConv(4, 3), gnn.UniSAGEConv(4, 3), gnn.UniGINConv(4, 3, eps=0.5)):
        layer = layer.double()
        x = layer.fc(case.feat)
        mean = inverse(size)[:, None] * (h.T @ x)
        if isinstance(layer, gnn.UniGCNConv):
            expected = degree.clamp(min=1).rsqrt()[:, None] * (h @ (of_edge.rsqrt()[:, None] * mean))
        else:
            expected = (1 + getattr(layer, "eps", 0)) * x + h @ mean
        close(layer(case.graph, case.feat), expected + layer.bias)


@pytest.mark.parametrize("size", [1, 300])
def test_unigat_is_a_softmax_over_the_hyperedges_of_a_node_and_itself(case, size):
    """Also where the exponents would overflow."""
    layer = gnn.UniGATConv(4, 6, num_heads=2).double()
    with torch.no_grad():
        layer.attn_node.mul_(size)
        layer.attn_edge.mul_(size)
    h = incidence(case)
    x = layer.fc(case.feat).view(-1, 2, 3)
    mean = torch.einsum("ve,vhd->ehd", h * inverse(h.sum(0)), x)
    expected = torch.empty_like(x)
    for v in range(len(x)):
        rows = torch.cat([mean[h[v] > 0], x[v : v + 1]])
        score = (x[v] * layer.attn_node).sum(-1) + (rows * layer.attn_edge).sum(-1)
        alpha = torch.softmax(torch.nn.functional.leaky_relu(score, 0.2), 0)
        expected[v] = (alpha[..., None] * rows).sum(0)
    close(layer(case.graph, case.feat), expected.flatten(1) + layer.bias)


def test_allset_tells_a_triangle_of_pairs_from_a_triple(case):
    triple = HyperSample(torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0]), case.feat[:3], torch.zeros(1, 0))
    ends = torch.tensor([0, 1, 1, 2, 2, 0])
    pairs = HyperSample(ends, torch.tensor([0, 0, 1, 1, 2, 2]), case.feat[:3], torch.zeros(3, 0))
    torch.manual_seed(0)  # of another draw every ReLU may be off
    layer = gnn.AllDeepSetsConv(4, 3).double()
    assert not torch.allclose(layer(triple.graph, triple.feat), layer(pairs.graph, pairs.feat))


def test_allset_with_identity_maps_is_h_ht_x(case):
    layer = gnn.AllDeepSetsConv(4, 4).double()
    for one in (layer.into, layer.back):
        one.inner = one.outer = torch.nn.Identity()
    h, feat = incidence(case), case.feat.abs()  # which the ReLU between leaves alone
    close(layer(case.graph, feat), h @ h.T @ feat)


def test_allset_transformer_attends_to_members(case):
    layer = gnn.AllSetTransformerConv(4, 6, num_heads=2).double().into
    out = layer(_dgl.relations(case.graph)["in"], case.feat)
    members = case.feat[case.node[case.hyperedge == 0]]
    score = torch.nn.functional.leaky_relu((layer.fc_key(members).view(-1, 2, 3) * layer.seed).sum(-1), 0.2)
    read = (torch.softmax(score, 0)[..., None] * layer.fc_value(members).view(-1, 2, 3)).sum(0)
    o = layer.norm_seed(layer.seed.flatten() + read.flatten())
    close(out[0], layer.norm_out(o + torch.relu(layer.fc_out(o))))


def test_relations_are_cut_out_once_and_let_go():
    from graphkit._dgl import slices

    graph = dgl.heterograph({("a", "to", "b"): ([0], [1])})
    first = _dgl.relations(graph)["to"]
    assert _dgl.relations(graph)["to"] is first
    assert ops.spmm(first, torch.ones(1, 2)).tolist() == [[0.0, 0.0], [1.0, 1.0]]
    key = id(graph._graph)
    graph.add_edges([0], [0], etype="to")
    assert _dgl.relations(graph)["to"].num_edges() == 2
    assert key not in slices._SLICES
