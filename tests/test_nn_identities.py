"""What the papers and specifications say must come out exactly."""

import dgl
import networkx as nx
import pytest
import torch

from graphkit import nn as gnn
from graphkit.core.errors import GraphKitError
from graphkit.graphs import from_networkx
from graphkit.testing import sample


def dense_s(graph, weight=None):
    """The dense normalised adjacency with loops, row v summing over sources."""
    n = graph.num_nodes()
    src, dst = graph.edges(order="eid")
    plain = torch.zeros(n, n, dtype=torch.float64).index_put_(
        (dst, src), torch.ones(len(src)).double(), accumulate=True
    )
    values = torch.ones(len(src)).double() if weight is None else weight.double()
    a = torch.zeros(n, n, dtype=torch.float64).index_put_((dst, src), values, accumulate=True)
    d_in, d_out = (plain + torch.eye(n)).sum(1), (plain + torch.eye(n)).sum(0)
    return d_in.rsqrt()[:, None] * (a + torch.eye(n)) * d_out.rsqrt()[None]


def test_gcn_equals_its_formula_on_a_directed_weighted_graph():
    case = sample(in_feats=4)
    weight = torch.rand(20).double()
    layer = gnn.GCNConv(4, 3).double()
    expected = dense_s(case.graph, weight) @ case.feat @ layer.weight + layer.bias
    assert torch.allclose(layer(case.graph, case.feat, edge_weight=weight), expected)


@pytest.mark.parametrize("k", [0, 1, 5])
def test_dagnn_with_open_gates_sums_all_hops(k):
    case = sample(in_feats=4)
    layer = gnn.DAGNNConv(4, k=k).double()
    torch.nn.init.zeros_(layer.gate.weight)
    torch.nn.init.constant_(layer.gate.bias, 40.0)
    s = dense_s(case.graph)
    expected = sum(torch.linalg.matrix_power(s, i) @ case.feat for i in range(k + 1))
    assert torch.allclose(layer(case.graph, case.feat), expected, atol=1e-5)


def test_dagnn_gates_are_independent_sigmoids():
    case = sample(in_feats=4)
    layer = gnn.DAGNNConv(4, k=3).double()
    s = dense_s(case.graph)
    hops = torch.stack([torch.linalg.matrix_power(s, i) @ case.feat for i in range(4)], 1)  # [N, K + 1, D]
    gates = torch.sigmoid(layer.gate(hops))
    assert torch.allclose(layer(case.graph, case.feat), (gates * hops).sum(1))


def test_many_hops_reach_the_rank_one_limit_on_karate():
    graph = from_networkx(nx.karate_club_graph())
    degree = graph.in_degrees().double() + 1
    limit = torch.outer(degree.sqrt(), degree.sqrt()) / degree.sum()
    layer = gnn.APPNPConv(34, k=200, alpha=0.0).double()
    assert torch.allclose(layer(graph, torch.eye(34).double()), limit, atol=1e-4)


def test_appnp_reaches_personalised_pagerank():
    case = sample(in_feats=4)
    s = dense_s(case.graph)
    exact = 0.2 * torch.linalg.inv(torch.eye(8) - 0.8 * s) @ case.feat
    got = gnn.APPNPConv(4, k=150, alpha=0.2).double()(case.graph, case.feat)
    assert torch.allclose(got, exact, atol=1e-5)


def dense_rgcn(layer, case, matrices, norm):
    src, dst = case.graph.edges(order="eid")
    out = case.feat @ layer.loop_weight + layer.bias
    for e in range(len(src)):
        same = (dst == dst[e]) & ((case.etype == case.etype[e]) | (norm == "total"))
        out = out.index_add(0, dst[e : e + 1], (case.feat[src[e]] @ matrices[case.etype[e]])[None] / same.sum())
    return out


@pytest.mark.parametrize("sizes", [(6, 4), (4, 6)])
@pytest.mark.parametrize("norm", ["per_relation", "total"])
@pytest.mark.parametrize("regularizer", [None, "basis", "bdd"])
def test_rgcn_equals_a_loop_over_edges(regularizer, norm, sizes):
    case = sample(in_feats=sizes[0], num_rels=3)
    layer = gnn.RelGraphConv(*sizes, 3, regularizer, 2 if regularizer else None, norm).double()
    if regularizer == "basis":
        matrices = torch.einsum("rb,bio->rio", layer.coeff, layer.weight)
    elif regularizer == "bdd":
        matrices = torch.stack([torch.block_diag(*blocks) for blocks in layer.weight])
    else:
        matrices = layer.weight
    expected = dense_rgcn(layer, case, matrices, norm)
    assert torch.allclose(layer(case.graph, case.feat, etype=case.etype), expected, atol=1e-8)


def test_rgcn_with_unit_bases_is_the_free_one():
    case = sample(in_feats=4, num_rels=3)
    free, basis = gnn.RelGraphConv(4, 5, 3).double(), gnn.RelGraphConv(4, 5, 3, "basis").double()
    state = free.state_dict() | {"coeff": torch.eye(3).double()}
    basis.load_state_dict(state)
    args = (case.graph, case.feat)
    assert torch.allclose(basis(*args, etype=case.etype), free(*args, etype=case.etype))


def test_rgcn_of_one_relation_is_sage():
    case = sample(in_feats=4, num_rels=1)
    rgcn, sage = gnn.RelGraphConv(4, 5, 1).double(), gnn.SAGEConv(4, 5).double()
    with torch.no_grad():
        sage.fc_self.weight.copy_(rgcn.loop_weight.T)
        sage.fc_self.bias.copy_(rgcn.bias)
        sage.fc_neigh.weight.copy_(rgcn.weight[0].T)
    assert torch.allclose(rgcn(case.graph, case.feat, etype=case.etype), sage(case.graph, case.feat))


def test_rgcn_does_not_see_names_of_relations():
    case = sample(in_feats=4, num_rels=3)
    layer, renamed = gnn.RelGraphConv(4, 5, 3).double(), gnn.RelGraphConv(4, 5, 3).double()
    order = torch.tensor([2, 0, 1])  # relation r becomes order[r]
    state = layer.state_dict()
    state["weight"] = torch.empty_like(layer.weight).index_copy_(0, order, layer.weight.detach())
    renamed.load_state_dict(state)
    got = renamed(case.graph, case.feat, etype=order[case.etype])
    assert torch.allclose(got, layer(case.graph, case.feat, etype=case.etype))


def test_rgcn_refuses_blocks_that_do_not_divide_the_widths():
    with pytest.raises(GraphKitError, match="do not divide both widths, 5 and 4"):
        gnn.RelGraphConv(5, 4, 3, "bdd", 2)


def test_set2set_without_weights_is_zero_beside_the_mean():
    case = sample(in_feats=4)
    pool = gnn.Set2Set(4, n_iters=4).double()
    for parameter in pool.parameters():
        torch.nn.init.zeros_(parameter)
    got = pool(case.graph, case.feat)
    assert torch.equal(got[:, :4], torch.zeros(1, 4).double())
    assert torch.allclose(got[:, 4:], case.feat.mean(0, keepdim=True), atol=1e-12)


def test_set2set_equals_a_loop_over_graphs():
    cases = [sample(seed, nodes=nodes, in_feats=4) for seed, nodes in ((0, 5), (1, 2))]
    pool = gnn.Set2Set(4, n_iters=3).double()
    rows = []
    for case in cases:
        star, state = torch.zeros(1, 1, 8).double(), None
        for _ in range(3):
            q, state = pool.lstm(star, state)
            alpha = (case.feat @ q[0, 0]).softmax(0)
            star = torch.cat([q, (alpha @ case.feat)[None, None]], -1)
        rows.append(star[0, 0])
    graph, feat = dgl.batch([case.graph for case in cases]), torch.cat([case.feat for case in cases])
    assert torch.allclose(pool(graph, feat), torch.stack(rows))


def test_pools_of_a_graph_without_nodes_are_zero():
    graph = dgl.batch([dgl.graph(([], []), num_nodes=0), dgl.graph(([], []), num_nodes=2)])
    feat = -torch.ones(2, 3)
    for pool in (gnn.SumPool(3), gnn.MeanPool(3), gnn.MaxPool(3), gnn.AttentionPool(3)):
        assert pool(graph, feat)[0].tolist() == [0, 0, 0]


def test_gat_attention_of_a_lone_node_is_its_own_row():
    layer = gnn.GATConv(4, 6, num_heads=2)
    graph, x = dgl.graph(([], []), num_nodes=1), torch.randn(1, 4)
    assert torch.allclose(layer(graph, x), x @ layer.weight, atol=1e-6)


def test_dropout_of_attention_keeps_the_mean():
    torch.manual_seed(0)
    graph, x = dgl.rand_graph(20, 400), torch.randn(20, 4)
    for make in (gnn.GATConv, gnn.GATv2Conv):
        layer = make(4, 4, attn_drop=0.5)
        exact = layer.eval()(graph, x)
        layer.train()
        mean = torch.stack([layer(graph, x) for _ in range(600)]).mean(0)
        assert (mean - exact).abs().mean() < 0.05 * exact.abs().mean() + 0.01


def test_batch_norm_takes_a_single_row_in_training():
    norm = gnn.BatchNorm(3).rows.train()
    assert norm(torch.ones(1, 3)).shape == (1, 3)
    assert norm(torch.ones(0, 3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: gnn.GCNConv(4, 2, norm="bth"), "unknown norm 'bth'"),
        (lambda: gnn.SAGEConv(4, 2, aggregator="avg"), "unknown aggregator 'avg'"),
        (lambda: gnn.GATConv(4, 7, num_heads=2), "num_heads=2 does not divide out_feats=7"),
        (lambda: gnn.GATv2Conv(4, 7, num_heads=0), "num_heads=0 does not divide"),
        (lambda: gnn.GATConv(4, 4, attn_drop=1.5), "attn_drop=1.5 is out of range"),
        (lambda: gnn.APPNPConv(4, 5), "keeps the width"),
        (lambda: gnn.DAGNNConv(4, k=-1), "k=-1 is no number of hops"),
        (lambda: gnn.GCNConv(0, 2), "in_feats=0 is no size"),
        (lambda: gnn.RelGraphConv(4, 2, 0), "num_rels=0 is no size"),
        (lambda: gnn.MLP(4, 2, norm="bath"), "unknown norm 'bath'"),
        (lambda: gnn.MLP(4, 2, activation="rleu"), "did you mean 'relu'|expected one of"),
    ],
)
def test_wrong_arguments_get_one_sentence(make, sentence):
    with pytest.raises(GraphKitError, match=sentence):
        make()


def test_layers_that_propagate_themselves_refuse_blocks():
    block = dgl.to_block(dgl.graph(([0, 1], [1, 2])))
    for layer in (gnn.APPNPConv(4), gnn.DAGNNConv(4)):
        with pytest.raises(GraphKitError, match="does not run on blocks"):
            layer(block, torch.ones(block.num_src_nodes(), 4))
    with pytest.raises(GraphKitError, match="lack weighted degrees"):
        gnn.GCNConv(4, 2, norm="recompute")(block, torch.ones(block.num_src_nodes(), 4))
