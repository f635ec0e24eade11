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
