"""Attention within each graph of a batch equals torch's dense attention, wastes little padding, and has its limits."""

import dgl
import pytest
import torch

from graphkit import nn as gnn
from graphkit import ops
from graphkit.nn.global_attention import by_size

SIZES = [3, 0, 40, 1, 17, 2]


@pytest.fixture
def batch():
    graph = dgl.batch([dgl.graph(([], []), num_nodes=n) for n in SIZES])
    return graph, torch.randn(sum(SIZES), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("heads", [1, 2])
def test_graph_attention_is_torch_attention(batch, heads):
    graph, feat = batch
    ours = gnn.GraphAttention(4, num_heads=heads).double()
    twin = torch.nn.MultiheadAttention(4, heads, batch_first=True).double()
    with torch.no_grad():
        twin.in_proj_weight.copy_(torch.cat([fc.weight for fc in (ours.fc_query, ours.fc_key, ours.fc_value)]))
        twin.in_proj_bias.copy_(torch.cat([ours.fc_query.bias, torch.zeros(4), ours.fc_value.bias]))
        twin.out_proj.load_state_dict(ours.fc_out.state_dict())
    got = ours(graph, feat)
    for part, rows in zip(got.split(SIZES), feat.split(SIZES), strict=True):
        if len(rows):
            assert torch.allclose(part, twin(rows[None], rows[None], rows[None])[0][0], atol=1e-9)


def test_performer_draws_near_to_softmax_attention(batch):
    graph, feat = batch
    feat = feat / 2  # the variance of the features grows exponentially with the rows' squared length
    torch.manual_seed(0)
    soft = gnn.GraphAttention(4, num_heads=2).double()
    errors = []
    for features in (8, 20_000):
        linear = gnn.PerformerAttention(4, num_heads=2, num_features=features).double()
        linear.load_state_dict({**soft.state_dict(), "projection": linear.projection})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            linear.redraw()
        errors.append(float((linear(graph, feat) - soft(graph, feat)).detach().abs().max()))
    assert errors[1] < errors[0] / 5  # Monte Carlo: the expected factor is sqrt(20,000 / 8) = 50


def test_performer_features_are_orthogonal_within_a_block():
    w = gnn.PerformerAttention(8, num_features=8).projection.double()
    off = w @ w.T
    assert (off - off.diag().diag()).abs().max() < 1e-4 * off.diag().max()


def test_performer_survives_large_rows(batch):
    graph, feat = batch
    linear = gnn.PerformerAttention(4)
    assert torch.isfinite(linear(graph, 300 * feat.float())).all()


def test_graphs_of_unequal_sizes_share_no_padding():
    sizes = torch.tensor([1000, *[5] * 1000])
    offsets = torch.cat([torch.zeros(1).long(), sizes.cumsum(0)])
    cells = []

    def attend(mask, x):
        cells.append(mask.numel())
        return x

    x = torch.randn(int(sizes.sum()), 2)
    assert torch.equal(by_size(offsets, attend, x), x)
    assert sum(cells) < 2 * len(x)


def test_virtual_node_hands_its_state_on(batch):
    graph, feat = batch
    layer = gnn.VirtualNode(4).double()
    total = ops.segment_reduce(feat, ops.offsets(graph))
    state = layer.read(graph, feat)
    assert torch.allclose(layer.read(graph, feat, state), layer.mlp(total + state))
    assert torch.allclose(layer(graph, feat), feat + torch.repeat_interleave(state, torch.tensor(SIZES), 0))
