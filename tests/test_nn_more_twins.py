"""The wider set of convolutions gives PyG's and DGL's numbers once the weights are copied; where they coincide."""

import dgl
import dgl.nn as dnn
import pytest
import torch

from graphkit import nn as gnn
from graphkit.testing import sample

pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")

SIZES = [(5, 6), (6, 4)]
sizes = pytest.mark.parametrize("sizes", SIZES, ids=["wider", "narrower"])


def copy(target, source):
    with torch.no_grad():
        target.copy_(source.reshape(target.shape))


def close(got, expected, tolerance=1e-5):
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=tolerance, rtol=tolerance)


def directed(in_feats, edge_feats=3):
    return sample(in_feats=in_feats, edge_feats=edge_feats, nodes=9, edges=30)


def undirected(in_feats):
    """Both directions of every edge with one weight, on which all definitions of a degree agree."""
    case = directed(in_feats)
    src, dst = case.graph.edges(order="eid")
    graph = dgl.graph((torch.cat([src, dst]), torch.cat([dst, src])), num_nodes=9)
    return case.replace(graph=graph), torch.rand(30).double().repeat(2) + 0.1


def index(case):
    return torch.stack(case.graph.edges(order="eid"))


@sizes
def test_sgc(sizes):
    case, weight = undirected(sizes[0])
    ours, theirs = gnn.SGConv(*sizes, k=3, norm="recompute").double(), pyg.SGConv(*sizes, K=3).double()
    copy(theirs.lin.weight, ours.weight[0].T)
    copy(theirs.lin.bias, ours.bias)
    close(ours(case.graph, case.feat, edge_weight=weight), theirs(case.feat, index(case), weight))


@sizes
def test_tag(sizes):
    case, weight = undirected(sizes[0])
    ours, theirs = gnn.TAGConv(*sizes, k=3, norm="recompute").double(), pyg.TAGConv(*sizes, K=3).double()
    for lin, mine in zip(theirs.lins, ours.weight, strict=True):
        copy(lin.weight, mine.T)
    close(ours(case.graph, case.feat, edge_weight=weight), theirs(case.feat, index(case), weight))


@sizes
@pytest.mark.parametrize("lambda_max", [2.0, 1.7])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_cheb(sizes, lambda_max, k):
    case, weight = undirected(sizes[0])
    ours = gnn.ChebConv(*sizes, k=k, lambda_max=lambda_max, norm="recompute").double()
    theirs = pyg.ChebConv(*sizes, K=k).double()
    for lin, mine in zip(theirs.lins, ours.weight, strict=True):
        copy(lin.weight, mine.T)
    got = ours(case.graph, case.feat, edge_weight=weight)
    close(got, theirs(case.feat, index(case), weight, lambda_max=lambda_max))


@pytest.mark.parametrize("powers", [(0, 1, 2), (1,), (3, 0, 1)])
@pytest.mark.parametrize("width", [2, 6])
def test_mixhop(powers, width):
    case, weight = undirected(5)
    ours = gnn.MixHopConv(5, width * len(powers), powers, norm="recompute").double()
    theirs = pyg.MixHopConv(5, width, list(powers)).double()
    for power, mine in zip(powers, ours.weight, strict=True):
        copy(theirs.lins[power].weight, mine.T)
    if 0 not in powers:  # PyG keeps the identity there, and does not use it
        assert 0 not in theirs.powers
    close(ours(case.graph, case.feat, edge_weight=weight), theirs(case.feat, index(case), weight))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_arma(shared, layers):
    case, weight = undirected(5)
    ours = gnn.ARMAConv(5, 6, 2, layers, shared, norm="recompute").double()
    theirs = pyg.ARMAConv(5, 6, 2, layers, shared).double()
    for name in ("init_weight", "root_weight", "bias"):
        copy(getattr(theirs, name), getattr(ours, name))
    if ours.weight is not None:
        copy(theirs.weight, ours.weight)
    close(ours(case.graph, case.feat, edge_weight=weight), theirs(case.feat, index(case), weight))


@pytest.mark.parametrize("shared", [False, True])
def test_gcn2(shared):
    case, weight = undirected(5)
    ours = gnn.GCN2Conv(5, alpha=0.2, theta=0.7, layer=3, shared_weights=shared, norm="recompute").double()
    theirs = pyg.GCN2Conv(5, 0.2, 0.7, 3, shared).double()
    copy(theirs.weight1, ours.weight)
    if not shared:
        copy(theirs.weight2, ours.initial_weight)
    initial = torch.randn(9, 5).double()
    got = ours(case.graph, case.feat, edge_weight=weight, initial=initial)
    close(got, theirs(case.feat, initial, index(case), weight))


def test_cheb_of_dgl():
    case, _ = undirected(5)
    ours, theirs = gnn.ChebConv(5, 6, k=3).double(), dnn.ChebConv(5, 6, 3, activation=None).double()
    copy(theirs.linear.weight, ours.weight.flatten(0, 1).T)
    copy(theirs.linear.bias, ours.bias)
    close(ours(case.graph, case.feat), theirs(case.graph, case.feat, lambda_max=[2.0]))


def test_gated_gcn():
    case = directed(5)
    ours = gnn.GatedGCNConv(5, 6, edge_feats=3).double()
    theirs = dnn.GatedGCNConv(5, 3, 6, dropout=0, batch_norm=False, residual=False, activation=None).double()
    for name, weight, bias in zip("ABDE", ours.fc.weight.chunk(4), ours.fc.bias.chunk(4), strict=True):
        copy(getattr(theirs, name).weight, weight)
        copy(getattr(theirs, name).bias, bias)
    theirs.C.load_state_dict(ours.fc_edge.state_dict())
    got, expected = ours(case.graph, case.feat, case.edge_feat), theirs(case.graph, case.feat, case.edge_feat)
    close(got[0], expected[0])
    close(got[1], expected[1])


@sizes
@pytest.mark.parametrize("edge_feats", [0, 3])
def test_pna(sizes, edge_feats):
    torch.manual_seed(0)  # neighbours that a map brings close together have another std in PyG
    case = directed(sizes[0])
    aggregators, scalers = ["mean", "min", "max", "sum", "std"], ["identity", "amplification", "attenuation"]
    degrees = case.graph.in_degrees()
    ours = gnn.PNAConv(*sizes, aggregators, scalers, gnn.pna.log_degree(case.graph), edge_feats).double()
    theirs = pyg.PNAConv(*sizes, aggregators, scalers, degrees.bincount(), edge_dim=edge_feats or None).double()
    theirs.lin = torch.nn.Identity()
    pre, post = theirs.pre_nns[0][0], theirs.post_nns[0][0]
    parts = [ours.fc_dst.weight, ours.fc_src.weight]
    if edge_feats:
        with torch.no_grad():
            theirs.edge_encoder.bias.zero_()
        copy(theirs.edge_encoder.weight, ours.fc_edge.weight)
        parts.append(torch.eye(sizes[0]).double())
    copy(pre.weight, torch.cat(parts, 1))
    copy(pre.bias, ours.fc_src.bias)
    copy(post.weight, torch.cat([ours.fc_self.weight, *ours.fc_out.weight.chunk(3)], 1))
    copy(post.bias, ours.fc_self.bias)
    case.feat *= 10  # so that PyG's clamp under the root and our addition there agree
    case.edge_feat *= 10
    got = ours(case.graph, case.feat, case.edge_feat if edge_feats else None)
    alone = degrees < 2  # a single neighbour: PyG gives a standard deviation of 0, we sqrt(1e-5)
    expected = theirs(case.feat, index(case), case.edge_feat if edge_feats else None)
    close(got[~alone], expected[~alone], 1e-4)
    assert (got - expected).abs().max() < 0.1


@pytest.mark.parametrize("divide", [False, True])
@pytest.mark.parametrize("edge_feats", [0, 3])
def test_pna_towers(divide, edge_feats):
    torch.manual_seed(0)
    case, towers = directed(6), 2
    aggregators, scalers = ["mean", "max", "sum", "std"], ["identity", "attenuation"]
    degrees = case.graph.in_degrees()
    delta = gnn.pna.log_degree(case.graph)
    ours = gnn.PNAConv(6, 4, aggregators, scalers, delta, edge_feats, towers=towers, divide_input=divide).double()
    theirs = pyg.PNAConv(
        6, 4, aggregators, scalers, degrees.bincount(), edge_dim=edge_feats or None, towers=towers, divide_input=divide
    ).double()
    theirs.lin.load_state_dict(ours.fc_mix.state_dict())
    if edge_feats:
        with torch.no_grad():
            theirs.edge_encoder.bias.zero_()
    edge = [None] * towers if not edge_feats else ours.fc_edge.weight.chunk(towers)
    maps = [ours.fc_dst.weight, ours.fc_src.weight, ours.fc_src.bias, ours.fc_self.weight, ours.fc_self.bias]
    split = zip(*(x.chunk(towers) for x in (*maps, ours.fc_out.weight)), edge, strict=True)
    for pre, post, (dst, src, bias, own, own_bias, out, edge_part) in zip(
        theirs.pre_nns, theirs.post_nns, split, strict=True
    ):
        parts = [dst, src]
        if edge_feats:  # PyG encodes edges once and maps them for each tower; the product is our map
            parts.append(edge_part @ torch.linalg.pinv(theirs.edge_encoder.weight.detach()))
        copy(pre[0].weight, torch.cat(parts, 1))
        copy(pre[0].bias, bias)
        copy(post[0].weight, torch.cat([own, *out.chunk(len(scalers))], 1))
        copy(post[0].bias, own_bias)
    edges = case.edge_feat * 10 if edge_feats else None
    got, expected = ours(case.graph, case.feat * 10, edges), theirs(case.feat * 10, index(case), edges)
    alone = degrees < 2
    close(got[~alone], expected[~alone], 1e-4)
    assert (got - expected).abs().max() < 0.1


@sizes
@pytest.mark.parametrize(
    ("aggregator", "options"),
    [("softmax", {"t": 0.7}), ("power", {"p": 2.0}), ("mean", {}), ("max", {})],
)
@pytest.mark.parametrize("edge_feats", [0, 3])
def test_gen(sizes, aggregator, options, edge_feats):
    case = directed(sizes[0])
    mine = {{"t": "beta"}.get(name, name): value for name, value in options.items()}
    ours = gnn.GENConv(*sizes, aggregator, edge_feats=edge_feats, norm=None, bias=False, eps=0.05, **mine).double()
    theirs = pyg.GENConv(*sizes, aggregator, norm=None, eps=0.05, edge_dim=edge_feats or None, **options).double()
    if ours.fc is not None:
        theirs.lin_src.load_state_dict(ours.fc.state_dict())
        theirs.lin_dst.load_state_dict(ours.fc.state_dict())
    if edge_feats:
        theirs.lin_edge.load_state_dict(ours.fc_edge.state_dict())
    for linear, other in zip(ours.mlp.linears, [theirs.mlp[0], theirs.mlp[-1]], strict=True):
        other.load_state_dict(linear.state_dict())
    edges = case.edge_feat if edge_feats else None
    # PyG cuts the mean off below 1e-4, so eps is large here.
    heard = case.graph.in_degrees() > 0  # PyG's power mean of nothing is 1e-4 ** (1 / p)
    close(ours(case.graph, case.feat, edges)[heard], theirs(case.feat, index(case), edges)[heard])


def test_gen_with_message_norm():
    case = directed(5)  # of one width: PyG takes the length of the row that came in
    ours = gnn.GENConv(5, 5, msg_norm=True, norm=None, bias=False).double()
    theirs = pyg.GENConv(5, 5, msg_norm=True, norm=None).double()
    for linear, other in zip(ours.mlp.linears, [theirs.mlp[0], theirs.mlp[-1]], strict=True):
        other.load_state_dict(linear.state_dict())
    close(ours(case.graph, case.feat), theirs(case.feat, index(case)))


def test_gen_softmax_with_great_differences_between_rows():
    """A graph whose rows differ by more than the exponential can tell apart: node by node it would divide 0 by 0."""
    graph, feat = dgl.graph(([0, 1, 2], [3, 3, 4])), torch.tensor([[1.0], [2.0], [300.0], [0.0], [0.0]])
    layer = gnn.GENConv(1, 1, beta=1.0, norm=None, eps=0.0)
    heard = layer._of_nodes(graph, feat, None)
    share = torch.softmax(torch.tensor([1.0, 2.0]), 0)
    close(heard[3:, 0], torch.stack([(share * torch.tensor([1.0, 2.0])).sum(), torch.tensor(300.0)]))


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("edge_feats", [0, 3, 8])
@pytest.mark.parametrize("concat", [False, True])
def test_transformer(gate, edge_feats, concat):
    case = directed(5, edge_feats or 1)
    ours = gnn.TransformerConv(5, 12, 3, edge_feats, concat, gate=gate).double()
    theirs = pyg.TransformerConv(5, 4 if concat else 12, 3, concat, gate, edge_dim=edge_feats or None).double()
    for name, mine in (("query", "query"), ("key", "key"), ("value", "value"), ("edge", "edge"), ("skip", "skip")):
        if getattr(ours, f"fc_{mine}") is not None:
            getattr(theirs, f"lin_{name}").load_state_dict(getattr(ours, f"fc_{mine}").state_dict())
    if gate:
        theirs.lin_beta.load_state_dict(ours.fc_gate.state_dict())
    edges = case.edge_feat if edge_feats else None
    close(ours(case.graph, case.feat, edges), theirs(case.feat, index(case), edges))


@pytest.mark.parametrize("aggregator", ["max", "mean", "sum"])
@pytest.mark.parametrize("layers", [1, 3])
def test_edge_conv(aggregator, layers):
    case = directed(5)
    ours = gnn.EdgeConv(5, 6, 7, layers, aggregator).double()
    theirs = pyg.EdgeConv(torch.nn.Linear(1, 1), aggregator)
    theirs.nn = ours.mlp
    close(ours(case.graph, case.feat), theirs(case.feat, index(case)))


def test_edge_conv_of_dgl():
    case = directed(5)
    ours, theirs = gnn.EdgeConv(5, 6, num_layers=1).double(), dnn.EdgeConv(5, 6, allow_zero_in_degree=True).double()
    own, other = ours.mlp.linears[0].weight.split(5, 1)
    copy(theirs.phi.weight, own)
    copy(theirs.theta.weight, -other)  # DGL subtracts the other way round
    copy(theirs.theta.bias, ours.mlp.linears[0].bias)
    with torch.no_grad():
        theirs.phi.bias.zero_()
    close(ours(case.graph, case.feat), theirs(case.graph, case.feat))


@sizes
@pytest.mark.parametrize("hidden", [None, 7])
@pytest.mark.parametrize("aggregator", ["max", "mean", "sum"])
def test_nn_conv(sizes, hidden, aggregator):
    case = directed(sizes[0])
    ours = gnn.NNConv(*sizes, 3, hidden, aggregator).double()
    last = torch.nn.Linear(hidden or 3, sizes[0] * sizes[1]).double()
    copy(last.weight, ours.weight[1:].flatten(1).T)
    copy(last.bias, ours.weight[0].flatten())
    network = last if hidden is None else torch.nn.Sequential(ours.fc_edge, torch.nn.ReLU(), last)
    theirs = pyg.NNConv(*sizes, torch.nn.Linear(1, 1), aggregator).double()
    theirs.nn = network
    theirs.lin.load_state_dict(ours.fc_root.state_dict())
    close(ours(case.graph, case.feat, case.edge_feat), theirs(case.feat, index(case), case.edge_feat))


def test_cf_conv():
    case = directed(5)
    ours, theirs = gnn.CFConv(5, 6, 3, hidden=7).double(), dnn.CFConv(5, 3, 7, 6).double()
    theirs.project_edge[0].load_state_dict(ours.filter[0].state_dict())
    theirs.project_edge[2].load_state_dict(ours.filter[1].state_dict())
    theirs.project_node.load_state_dict(ours.fc.state_dict())
    theirs.project_out[0].load_state_dict(ours.fc_out.state_dict())
    close(ours(case.graph, case.feat, case.edge_feat), theirs(case.graph, case.feat, case.edge_feat))


@pytest.mark.parametrize("loops", [False, True])
def test_fa(loops):
    case, _ = undirected(5)
    ours = gnn.FAConv(5, eps=0.3, self_loops=loops).double()
    theirs = pyg.FAConv(5, eps=0.3, add_self_loops=loops).double()
    copy(theirs.att_l.weight, ours.attn[:, 0])
    copy(theirs.att_r.weight, ours.attn[:, 1])
    initial = torch.randn(9, 5).double()
    close(ours(case.graph, case.feat, initial=initial), theirs(case.feat, initial, index(case)))


def test_linkx():
    case = directed(5)
    ours = gnn.LINKXConv(5, 6, 9).double()
    theirs = pyg.models.LINKX(9, 5, 6, 6, 1).double()
    theirs.final_mlp = torch.nn.Identity()
    copy(theirs.edge_lin.weight, ours.table)
    copy(theirs.edge_lin.bias, ours.bias)
    theirs.node_mlp.lins[0].load_state_dict(ours.mlp.linears[0].state_dict())
    theirs.cat_lin1.load_state_dict(ours.fc_graph.state_dict())
    copy(theirs.cat_lin2.weight, ours.fc_feat.weight)
    with torch.no_grad():
        theirs.cat_lin2.bias.zero_()
    weight = torch.rand(30).double()
    close(ours(case.graph, case.feat, edge_weight=weight).relu(), theirs(case.feat, index(case), weight))


@sizes
def test_dir_of_means(sizes):
    case = directed(sizes[0])
    ours = gnn.DirConv(*sizes, alpha=0.3, norm="right").double()
    theirs = pyg.DirGNNConv(pyg.SAGEConv(*sizes, root_weight=False, bias=False), alpha=0.7).double()
    copy(theirs.conv_in.lin_l.weight, ours.weight_in.T)
    copy(theirs.conv_out.lin_l.weight, ours.weight_out.T)
    copy(theirs.lin.weight, ours.fc_self.weight)
    copy(theirs.lin.bias, ours.bias)
    close(ours(case.graph, case.feat), theirs(case.feat, index(case)))
