"""Norms over graphs give PyG's numbers."""

import dgl
import pytest
import torch

from graphkit import nn as gnn

pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")


@pytest.fixture
def case():
    graph = dgl.batch([dgl.graph(([0], [1]), num_nodes=n) for n in (3, 2, 6)])
    owner = torch.arange(3).repeat_interleave(torch.tensor([3, 2, 6]))
    return graph, torch.randn(11, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), owner


def close(got, expected):
    assert torch.allclose(got, expected, atol=1e-5, rtol=1e-5)


def test_graph_norm(case):
    graph, feat, owner = case
    ours, theirs = gnn.GraphNorm(5).double(), pyg.GraphNorm(5).double()
    with torch.no_grad():
        for p in ours.parameters():
            p.uniform_()
    theirs.load_state_dict(ours.state_dict())
    close(ours(graph, feat), theirs(feat, owner))


def test_layer_norm(case):
    graph, feat, owner = case
    close(gnn.LayerNorm(5).double()(graph, feat), pyg.LayerNorm(5).double()(feat, owner))


def test_layer_norm_of_rows(case):
    graph, feat, owner = case
    close(gnn.LayerNorm(5, over="node").double()(graph, feat), pyg.LayerNorm(5, mode="node").double()(feat, owner))


@pytest.mark.parametrize("individually", [False, True])
def test_pair_norm(case, individually):
    graph, feat, owner = case
    close(gnn.PairNorm(5, None, 2.0, individually)(graph, feat), pyg.PairNorm(2.0, individually)(feat, owner))


def test_pair_norm_keeps_the_mean_square_of_rows(case):
    graph, feat, _ = case
    out = gnn.PairNorm(5, scale=3.0, eps=0.0)(graph, feat)
    assert torch.allclose(out[:3].square().sum(-1).mean(), torch.tensor(9.0).double())
