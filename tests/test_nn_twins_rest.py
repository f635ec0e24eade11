"""What PyG and DGL have beside the other twin tests; and a list of who is whose twin, which no layer escapes."""

import importlib

import dgl
import dgl.nn as dnn
import pytest
import torch

from graphkit import nn as gnn
from graphkit.core.registry import entries
from graphkit.testing import sample

pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")

#: The test that sets each layer and pool beside PyG's or DGL's, as "file test ...".
TWINS = {
    "appnpconv": "twins test_appnp, twins_pyg test_appnp",
    "armaconv": "more_twins test_arma",
    "batchnorm": "twins_rest test_batch_norm",
    "cfconv": "more_twins test_cf_conv",
    "chebconv": "more_twins test_cheb, more_twins test_cheb_of_dgl",
    "dirconv": "more_twins test_dir_of_means",
    "edgeconv": "more_twins test_edge_conv, more_twins test_edge_conv_of_dgl",
    "faconv": "more_twins test_fa",
    "gatconv": "twins test_gat, twins_pyg test_gat, twins_pyg test_gat_with_edge_features",
    "gatedgcnconv": "more_twins test_gated_gcn",
    "gatv2conv": "twins test_gatv2, twins_pyg test_gatv2_with_edge_features",
    "gcn2conv": "more_twins test_gcn2, twins_rest test_gcn2_of_dgl",
    "gcnconv": "twins test_gcn, twins_pyg test_gcn",
    "genconv": "more_twins test_gen, more_twins test_gen_with_message_norm, twins_rest test_gen_of_sums",
    "ginconv": "twins test_gin, twins_pyg test_gin",
    "gineconv": "twins test_gine, twins_pyg test_gine",
    "graphnorm": "norm_twins test_graph_norm",
    "hchaconv": "hyper test_attention_is_pygs",
    "hgnnconv": "hyper test_hgnn_right_is_pygs_hypergraph_conv",
    "hgtconv": "relational test_hgt_is_dgls, twins_rest test_hgt_of_pyg",
    "layernorm": "norm_twins test_layer_norm",
    "linkxconv": "more_twins test_linkx",
    "mixhopconv": "more_twins test_mixhop",
    "nnconv": "more_twins test_nn_conv, twins_rest test_nn_conv_of_dgl",
    "pairnorm": "norm_twins test_pair_norm",
    "pnaconv": "more_twins test_pna, more_twins test_pna_towers, twins_rest test_pna_of_dgl",
    "relgatconv": "relational test_rgat_is_pygs",
    "relgraphconv": "twins test_rgcn, twins_pyg test_rgcn_per_relation",
    "sageconv": "twins test_sage, twins_pyg test_sage",
    "sgconv": "more_twins test_sgc, twins_rest test_sgc_and_tag_of_dgl",
    "tagconv": "more_twins test_tag, twins_rest test_sgc_and_tag_of_dgl",
    "transformerconv": "more_twins test_transformer",
}
POOL_TWINS = {
    "asap": "pool_twins test_asap",
    "attention": "twins test_attention_pool, twins_rest test_readouts",
    "diff": "pool_twins test_diff",
    "max": "twins_rest test_readouts",
    "mean": "twins_rest test_readouts",
    "mincut": "pool_twins test_mincut",
    "sag": "pool_twins test_sag",
    "set2set": "twins test_set2set, twins_pyg test_set2set",
    "sort": "pool_twins test_sort",
    "sum": "twins_rest test_readouts",
    "topk": "pool_twins test_topk",
}
#: Layers and pools that neither library has, or defines otherwise; their own tests hold them to their formulas.
ALONE = {
    "alldeepsetsconv": "neither has it",
    "allsettransformerconv": "neither has it on hypergraphs",
    "cognnconv": "neither has it",
    "compgcnconv": "neither has it",
    "dagnnconv": "neither has it",
    "graphattention": "torch has it: global_attention test_graph_attention_is_torch_attention",
    "h2gcnconv": "neither has it",
    "hnhnconv": "neither has it",
    "hypergcnconv": "neither has it",
    "hopfield": "torch has its one step: pool_twins test_hopfield_of_one_step_is_torch_attention",
    "magnetconv": "neither has it",
    "performerattention": "PyG's draws the features of another kernel, ReLU(W x), which is no softmax",
    "sheafconv": "neither has it",
    "sirconv": "neither has it",
    "sparsemax": "neither has it",
    "unigatconv": "neither has it",
    "unigcnconv": "neither has it",
    "uniginconv": "neither has it",
    "unisageconv": "neither has it",
    "virtualnode": "PyG's is a transform of the data",
}


def copy(target, source):
    with torch.no_grad():
        target.copy_(source.reshape(target.shape))


def close(got, expected):
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-5, rtol=1e-5)


def index(graph):
    return torch.stack(graph.edges(order="eid"))


@pytest.fixture
def case():
    return sample(in_feats=5, edge_feats=3, nodes=9, edges=30)


@pytest.fixture
def undirected(case):
    """On which all definitions of a degree agree."""
    return case.replace(graph=dgl.to_bidirected(case.graph), edge_feat=None)


@pytest.mark.parametrize("kind", ["layer", "pool"])
def test_every_layer_has_its_twin_or_none_exists(kind):
    """A layer that PyG or DGL also has is set beside it by a test that exists."""
    twins = TWINS if kind == "layer" else POOL_TWINS
    known = set(entries(kind))
    assert known - set(twins) - set(ALONE) == set()
    assert set(twins) - known == set()
    assert set(twins) & set(ALONE) == set()
    for tests in twins.values():
        for test in tests.split(", "):
            file, function = test.split(" ")
            assert callable(getattr(importlib.import_module(f"tests.test_nn_{file}"), function))


def test_no_name_in_the_lists_is_made_up():
    assert set(ALONE) <= {*entries("layer"), *entries("pool")}


@pytest.mark.parametrize("train", [False, True])
def test_batch_norm(case, train):
    ours, theirs = gnn.BatchNorm(5).double().train(train), pyg.BatchNorm(5).double().train(train)
    torch.nn.init.uniform_(ours.rows.weight)
    torch.nn.init.uniform_(ours.rows.running_mean)
    theirs.module.load_state_dict(ours.rows.state_dict())
    close(ours(case.graph, case.feat), theirs(case.feat))
    close(ours.rows.running_var, theirs.module.running_var)
    one = pyg.BatchNorm(5, allow_single_element=True).double().train(train)
    one.module.load_state_dict(ours.rows.state_dict())
    close(ours(dgl.graph(([], []), num_nodes=1), case.feat[:1]), one(case.feat[:1]))


def test_gen_of_sums(case):
    ours = gnn.GENConv(5, 6, "sum", edge_feats=3, norm=None, bias=False).double()
    theirs = pyg.GENConv(5, 6, "add", norm=None, edge_dim=3).double()
    theirs.lin_src.load_state_dict(ours.fc.state_dict())
    theirs.lin_dst.load_state_dict(ours.fc.state_dict())
    theirs.lin_edge.load_state_dict(ours.fc_edge.state_dict())
    for linear, other in zip(ours.mlp.linears, [theirs.mlp[0], theirs.mlp[-1]], strict=True):
        other.load_state_dict(linear.state_dict())
    close(ours(case.graph, case.feat, case.edge_feat), theirs(case.feat, index(case.graph), case.edge_feat))


@pytest.mark.parametrize("shared", [False, True])
def test_gcn2_of_dgl(undirected, shared):
    ours = gnn.GCN2Conv(5, alpha=0.2, theta=0.7, layer=3, shared_weights=shared).double()
    theirs = dnn.GCN2Conv(5, 3, 0.2, 0.7, project_initial_features=shared, bias=False).double()
    copy(theirs.weight1, ours.weight)
    if not shared:
        copy(theirs.weight2, ours.initial_weight)
    initial, looped = torch.randn(9, 5).double(), dgl.add_self_loop(undirected.graph)
    close(ours(undirected.graph, undirected.feat, initial=initial), theirs(looped, undirected.feat, initial))


def test_sgc_and_tag_of_dgl(undirected):
    ours, theirs = gnn.SGConv(5, 6, k=3).double(), dnn.SGConv(5, 6, 3).double()
    copy(theirs.fc.weight, ours.weight[0].T)
    copy(theirs.fc.bias, ours.bias)
    close(ours(undirected.graph, undirected.feat), theirs(dgl.add_self_loop(undirected.graph), undirected.feat))
    ours, theirs = gnn.TAGConv(5, 6, k=3).double(), dnn.TAGConv(5, 6, 3).double()
    copy(theirs.lin.weight, ours.weight.flatten(0, 1).T)
    copy(theirs.lin.bias, ours.bias)
    close(ours(undirected.graph, undirected.feat), theirs(undirected.graph, undirected.feat))


@pytest.mark.parametrize("aggregator", ["mean", "sum"])
def test_nn_conv_of_dgl(case, aggregator):
    """DGL's maximum is of each product of an entry of the matrix and the row, ours (and PyG's) of whole messages."""
    ours = gnn.NNConv(5, 6, 3, 7, aggregator).double()
    last = torch.nn.Linear(7, 30).double()
    copy(last.weight, ours.weight[1:].flatten(1).T)
    copy(last.bias, ours.weight[0].flatten())
    network = torch.nn.Sequential(ours.fc_edge, torch.nn.ReLU(), last)
    theirs = dnn.NNConv(5, 6, network, aggregator, residual=True).double()
    copy(theirs.res_fc.weight, ours.fc_root.weight)
    close(ours(case.graph, case.feat, case.edge_feat), theirs(case.graph, case.feat, case.edge_feat))


def test_pna_of_dgl(case):
    # Without the deviation, to whose variance DGL adds 1e-30 and we 1e-5; PyG's test has it.
    aggregators, scalers = ["mean", "min", "max", "sum"], ["identity", "amplification", "attenuation"]
    ours = gnn.PNAConv(5, 6, aggregators, scalers, 0.8, edge_feats=3).double()
    theirs = dnn.PNAConv(5, 6, aggregators, scalers, 0.8, edge_feat_size=3, residual=False).double()
    (tower,) = theirs.towers
    theirs.mixing_layer, tower.batchnorm = torch.nn.Identity(), torch.nn.Identity()
    copy(tower.M.weight, torch.cat([ours.fc_src.weight, ours.fc_dst.weight, ours.fc_edge.weight], 1))
    copy(tower.M.bias, ours.fc_src.bias)
    copy(tower.U.weight, torch.cat([ours.fc_self.weight, *ours.fc_out.weight.chunk(3)], 1))
    copy(tower.U.bias, ours.fc_self.bias)
    got = ours(case.graph, case.feat, case.edge_feat)
    # DGL divides by the square root of the graph's size, and leaves out the node without edges.
    close(got[:-1], 3 * theirs(case.graph, case.feat, case.edge_feat)[:-1])


def test_hgt_of_pyg():
    sizes, width, heads = {"a": 5, "b": 4}, 6, 2
    relations = [("a", "r0", "b"), ("b", "r1", "a"), ("a", "r2", "a")]
    draw = torch.Generator().manual_seed(0)
    ends = {r: torch.stack([torch.randint(sizes[r[i]], (12,), generator=draw) for i in (0, 2)]) for r in relations}
    feat = {name: torch.randn(n, width, generator=draw).double() for name, n in sizes.items()}
    theirs = pyg.HGTConv(width, width, (list(sizes), relations), heads).double()
    ours = gnn.HGTConv(width, width, 3, 2, heads, activation="gelu").double()
    for name, kind in (("a", 0), ("b", 1)):
        for part, mine in zip(theirs.kqv_lin.lins[name].weight.chunk(3), ["key", "query", "value"], strict=True):
            copy(getattr(ours, f"fc_{mine}").weight[kind], part.T)
        copy(ours.fc_out.weight[kind], theirs.out_lin.lins[name].weight.T)
        torch.nn.init.zeros_(theirs.kqv_lin.lins[name].bias)
        torch.nn.init.zeros_(theirs.out_lin.lins[name].bias)
        torch.nn.init.normal_(theirs.skip[name])
        copy(ours.skip[kind], theirs.skip[name])
    for at, relation in enumerate(relations):
        place = theirs.edge_types_map[relation]
        for head in range(heads):
            copy(ours.weight_attn[head, at], theirs.k_rel.weight[head * 3 + place])
            copy(ours.weight_message[head, at], theirs.v_rel.weight[head * 3 + place])
        torch.nn.init.uniform_(theirs.p_rel["__".join(relation)])
        copy(ours.prior[at], theirs.p_rel["__".join(relation)])
    expected = theirs(feat, ends)
    begin = {"a": 0, "b": 5}
    src, dst = (torch.cat([begin[r[end]] + ends[r][i] for r in relations]) for i, end in ((0, 0), (1, 2)))
    graph, ntype = dgl.graph((src, dst), num_nodes=9), torch.tensor([0] * 5 + [1] * 4)
    got = ours(graph, torch.cat([*feat.values()]), etype=torch.arange(3).repeat_interleave(12), ntype=ntype)
    close(got, torch.cat([expected["a"], expected["b"]]))


def test_readouts():
    cases = [sample(seed, nodes=n, in_feats=5) for seed, n in ((0, 8), (1, 3), (2, 5))]
    graph, feat = dgl.batch([c.graph for c in cases]), torch.cat([c.feat for c in cases])
    owner = torch.arange(3).repeat_interleave(graph.batch_num_nodes())
    for name, of_dgl in (("Sum", dnn.SumPooling), ("Mean", dnn.AvgPooling), ("Max", dnn.MaxPooling)):
        got = getattr(gnn, f"{name}Pool")(5)(graph, feat)
        close(got, of_dgl()(graph, feat))
        close(got, getattr(pyg.aggr, f"{name}Aggregation")()(feat, owner))
    ours = gnn.AttentionPool(5).double()
    close(ours(graph, feat), pyg.aggr.AttentionalAggregation(ours.gate)(feat, owner))
