"""Pools that change the graph give PyG's numbers; sparsemax, Hopfield pooling and SortPool keep their identities."""

import dgl
import pytest
import torch

from graphkit import GraphKitError, ops
from graphkit import nn as gnn
from graphkit.heads import GraphHead
from graphkit.testing import sample

pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")


@pytest.fixture
def cases():
    return [sample(seed, nodes=nodes, edges=3 * nodes, in_feats=5) for seed, nodes in ((0, 9), (1, 4), (2, 7))]


@pytest.fixture
def batch(cases):
    graph = dgl.batch([case.graph for case in cases])
    owner = torch.arange(3).repeat_interleave(torch.tensor([9, 4, 7]))
    return graph, torch.cat([case.feat for case in cases]), owner


def close(got, expected):
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-5, rtol=1e-5)


def index(graph):
    return torch.stack(graph.edges(order="eid"))


def simple(case):
    """The case without parallel edges."""
    src, dst = case.graph.edges()
    ends = torch.unique(torch.stack([src, dst]), dim=1)
    return dgl.graph((ends[0], ends[1]), num_nodes=case.graph.num_nodes())


def dense(graph, weight=None):
    a = torch.zeros(graph.num_nodes(), graph.num_nodes(), dtype=torch.float64)
    value = torch.ones(graph.num_edges()).double() if weight is None else weight
    return a.index_put(graph.edges(order="eid"), value, accumulate=True)


@pytest.mark.parametrize("ratio", [0.5, 3])
def test_topk(batch, ratio):
    graph, feat, owner = batch
    ours, theirs = gnn.TopKPool(5, ratio).double(), pyg.TopKPooling(5, ratio).double()
    with torch.no_grad():
        theirs.select.weight.copy_(ours.weight[None])
    weight = torch.rand(graph.num_edges()).double()
    got = ours(graph, feat, weight)
    x, edges, attr, belongs, kept, _ = theirs(feat, index(graph), weight, owner)
    close(got.node, x)
    assert torch.equal(index(got.graph), edges) and torch.equal(got.kept, kept)
    close(got.edge_weight, attr)
    assert torch.equal(got.graph.batch_num_nodes(), belongs.bincount())


def test_sag(batch):
    graph, feat, owner = batch
    ours = gnn.SAGPool(5, 0.5, gnn.SAGEConv(5, 1, "sum")).double()
    theirs = pyg.SAGPooling(5, 0.5).double()
    with torch.no_grad():
        theirs.gnn.lin_rel.weight.copy_(ours.gnn.fc_neigh.weight)
        theirs.gnn.lin_rel.bias.copy_(ours.gnn.fc_self.bias)
        theirs.gnn.lin_root.weight.copy_(ours.gnn.fc_self.weight)
        theirs.select.weight.fill_(1.0)  # PyG learns a sign, which the paper does not have
    got, expected = ours(graph, feat), theirs(feat, index(graph), batch=owner)
    close(got.node, expected[0])
    assert torch.equal(index(got.graph), expected[1])


def test_asap(cases):
    case = cases[0]
    graph = simple(case)
    ours, theirs = gnn.ASAPool(5).double(), pyg.ASAPooling(5).double()
    score = theirs.gnn_score
    torch.nn.init.ones_(theirs.select.weight)  # PyG learns a sign, which the paper does not have
    for mine, other in (
        (ours.fc_master, theirs.lin), (ours.attn, theirs.att), (ours.fit_src, score.lin1),
        (ours.fit_dst, score.lin2), (ours.fit_own, score.lin3),
    ):  # fmt: skip
        other.load_state_dict(mine.state_dict())
    got = ours(graph, case.feat)
    x, edges, value, _, kept = theirs(case.feat, index(graph), torch.ones(graph.num_edges()).double())
    close(got.node, x)
    assert torch.equal(got.kept, kept)
    there = torch.zeros(len(kept), len(kept)).double().index_put(tuple(edges), value)
    close(dense(got.graph, got.edge_weight), there)


def test_diff(cases):
    case = cases[0]
    graph = simple(case)
    ours = gnn.DiffPool(5, num_clusters=3).double()
    got = ours(graph, case.feat)
    logits, z = ours.gnn_pool(graph, case.feat), ours.gnn_embed(graph, case.feat)
    x, a, link, entropy = pyg.dense_diff_pool(z, dense(graph), logits)
    close(got.node, x[0])
    close(got.edge_weight.view(3, 3), a[0])
    close(got.aux["link"], link)
    close(got.aux["entropy"], entropy)


def test_link_loss_counts_parallel_edges_as_one_entry():
    graph, s = dgl.graph(([0, 0, 1], [1, 1, 0])), torch.softmax(torch.randn(2, 3).double(), -1)
    pool, weight = gnn.DiffPool(2, num_clusters=3).double(), torch.tensor([0.5, 2.0, 3.0]).double()
    a = torch.tensor([[0.0, 2.5], [3.0, 0.0]]).double()
    close(pool._link_loss(graph, s, (s.T @ s)[None], weight), (a - s @ s.T).norm() / 4)


def test_mincut(cases):
    case = cases[0]
    graph = simple(case)
    weight = 0.5 + torch.rand(graph.num_edges()).double()
    ours = gnn.MinCutPool(5, num_clusters=3).double()
    got = ours(graph, case.feat, weight)
    x, a, cut, orthogonal = pyg.dense_mincut_pool(case.feat, dense(graph, weight), ours.mlp(case.feat))
    close(got.node, x[0])
    close(got.edge_weight.view(3, 3), a[0])
    close(got.aux["cut"], cut)
    close(got.aux["orthogonal"], orthogonal)


@pytest.mark.parametrize("k", [2, 6, 12])
def test_sort(batch, k):
    graph, feat, owner = batch
    close(gnn.SortPool(5, k)(graph, feat), pyg.aggr.SortAggregation(k)(feat, owner))


def test_sort_of_negative_rows_and_empty_graphs():
    graph = dgl.batch([dgl.graph(([], []), num_nodes=n) for n in (0, 2, 0)])
    out = gnn.SortPool(1, k=2)(graph, torch.tensor([[-5.0], [-1.0]]))
    assert out.tolist() == [[0.0, 0.0], [-1.0, -5.0], [0.0, 0.0]]


def projection(z):
    """The simplex point nearest to z, by bisection on the threshold."""
    low, high = z.min() - 1, z.max()
    for _ in range(80):
        tau = (low + high) / 2
        low, high = (tau, high) if (z - tau).clamp(min=0).sum() > 1 else (low, tau)
    return (z - tau).clamp(min=0)


def test_sparsemax_is_the_projection_onto_the_simplex():
    sizes = torch.tensor([0, 1, 200, 0, 7, 30])
    offsets = torch.cat([torch.zeros(1).long(), sizes.cumsum(0)])
    z = 3 * torch.randn(int(sizes.sum()), 2, dtype=torch.float64)
    got = ops.segment_sparsemax(z, offsets)
    for part, values in zip(got.split(sizes.tolist()), z.split(sizes.tolist()), strict=True):
        for column in range(2 if len(part) else 0):
            assert torch.allclose(part[:, column], projection(values[:, column]), atol=1e-9)
    shifted = ops.segment_sparsemax(z + 1e3, offsets)
    assert torch.allclose(shifted, got, atol=1e-9)
    assert (got == 0).double().mean() > 0.3


def test_sparsemax_has_derivatives_of_both_orders():
    z, offsets = torch.randn(9, 2, dtype=torch.float64, requires_grad=True), torch.tensor([0, 4, 4, 9])
    assert torch.autograd.gradcheck(lambda x: ops.segment_sparsemax(x, offsets), z)
    assert torch.autograd.gradgradcheck(lambda x: ops.segment_sparsemax(x, offsets), z)


def test_edge_sparsemax_is_that_of_each_destination():
    graph = sample(nodes=9, edges=40).graph
    score = torch.randn(40, dtype=torch.float64)
    got, dst = ops.edge_sparsemax(graph, score), graph.edges(order="eid")[1]
    for node in range(8):
        assert torch.allclose(got[dst == node], projection(score[dst == node]), atol=1e-9)
    empty = dgl.graph(([], []), num_nodes=2)
    assert ops.edge_sparsemax(empty, score[:0]).shape == (0,)


@pytest.mark.parametrize("heads", [1, 2])
def test_hopfield_of_one_step_is_torch_attention(batch, heads):
    graph, feat, _ = batch
    feat = feat[:, :4]
    pool = gnn.HopfieldPool(4, heads, quantity=3).double()
    with torch.no_grad():
        for p in pool.parameters():
            p.add_(0.3 * torch.randn_like(p))
    twin = torch.nn.MultiheadAttention(4, heads, batch_first=True).double()
    with torch.no_grad():
        twin.in_proj_weight.copy_(torch.cat([pool.fc_query.weight, pool.fc_key.weight, pool.fc_value.weight]))
        twin.in_proj_bias.copy_(torch.cat([pool.fc_query.bias, torch.zeros(4).double(), pool.fc_value.bias]))
        twin.out_proj.load_state_dict(pool.fc_out.state_dict())
    dense, mask = ops.to_dense(feat, ops.offsets(graph))
    query = pool.norm_query(pool.query).expand(3, 3, 4)
    expected = twin(query, pool.norm_key(dense), pool.norm_value(dense), key_padding_mask=~mask)[0]
    close(pool(graph, feat), expected.flatten(1))


def test_hopfield_steps_repeat_the_update():
    graph, feat = dgl.graph(([], []), num_nodes=6), torch.randn(6, 4).double()
    pool = gnn.HopfieldPool(4, beta=2.0, steps=2).double()
    key, value = pool.fc_key(pool.norm_key(feat)), pool.fc_value(pool.norm_value(feat))
    q = pool.fc_query(pool.norm_query(pool.query))
    for memory in (key, key, value):
        q = torch.softmax(2.0 * q @ key.T, -1) @ memory
    close(pool(graph, feat), pool.fc_out(q))


def test_a_readout_must_give_rows():
    with pytest.raises(GraphKitError, match="smaller graph"):
        GraphHead(4, 3, readout="topk")


@pytest.mark.parametrize("ratio", [0.0, 1.5, -2])
def test_ratio_out_of_range(ratio):
    with pytest.raises(GraphKitError, match="ratio"):
        gnn.TopKPool(4, ratio)
