"""What the specifications say of the wider set of convolutions, against dense matrices and loops over nodes."""

import dgl
import pytest
import torch

from graphkit import _dgl
from graphkit import nn as gnn
from graphkit.core.errors import GraphKitError
from graphkit.sampling import sample_block
from graphkit.testing import sample


def close(got, expected, tolerance=1e-9):
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=tolerance, rtol=tolerance)


def dense(graph):
    """``A[u, v]``: edges from u to v."""
    a = torch.zeros(graph.num_nodes(), graph.num_nodes(), dtype=torch.float64)
    return a.index_put_(graph.edges(), torch.ones(graph.num_edges()).double(), accumulate=True)


def magnetic(a, q):
    """``M`` of the specification, complex ``[N, N]``."""
    s = (a + a.T) / 2
    d = s.sum(1)
    root = torch.where(d > 0, d.clamp(min=1e-9).rsqrt(), 0.0)
    return root[:, None] * s * torch.exp(2j * torch.pi * q * (a - a.T)) * root


@pytest.mark.parametrize("q", [0.0, 0.1, 0.25])
@pytest.mark.parametrize("complex_input", [False, True])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_magnet_is_the_filter_of_its_dense_laplacian(q, complex_input, k):
    case = sample(in_feats=6, nodes=7, edges=25)
    layer = gnn.MagNetConv(6, 4, k, q, complex_input, activation=False).double()
    m = magnetic(dense(case.graph), q)
    assert torch.allclose(m, m.conj().T)
    eigenvalues = 1 - torch.linalg.eigvalsh(m)
    assert eigenvalues.min() > -1e-9 and eigenvalues.max() < 2 + 1e-9
    x = torch.complex(*case.feat.chunk(2, 1)) if complex_input else case.feat + 0j
    terms = [x, -m @ x]
    while len(terms) < k:
        terms.append(-2 * m @ terms[-1] - terms[-2])
    z = sum(t @ (w + 0j) for t, w in zip(terms, layer.weight, strict=False))
    close(layer(case.graph, case.feat), torch.cat([z.real, z.imag], 1))
    layer.activation = True
    z = z * (z.real >= 0)
    close(layer(case.graph, case.feat), torch.cat([z.real, z.imag], 1))


def test_magnet_hears_the_conjugate_along_turned_edges():
    case = sample(in_feats=5)
    layer = gnn.MagNetConv(5, 6, activation=False, bias=False).double()
    sign = torch.tensor([1.0, -1.0]).double().repeat_interleave(3)
    close(layer(_dgl.reverse(case.graph), case.feat), layer(case.graph, case.feat) * sign)


@pytest.mark.parametrize("layer", ["DirConv", "MagNetConv"])
def test_weights_of_0_on_every_edge_of_a_node_silence_it_in_both_directions(layer):
    case = sample(in_feats=4)
    layer = getattr(gnn, layer)(4, 6).double()
    node = int((case.graph.in_degrees() * case.graph.out_degrees()).argmax())
    src, dst = case.graph.edges()
    weight = ((src != node) & (dst != node)).double()
    other = case.feat + 1
    other[node] = case.feat[node]
    heard = [layer(case.graph, feat, edge_weight=weight)[node] for feat in (case.feat, other)]
    close(heard[0], heard[1])


@pytest.mark.parametrize("sizes", [(4, 6), (6, 4)])
def test_dir_is_its_dense_formula_and_the_undirected_one_with_tied_weights(sizes):
    case = sample(in_feats=sizes[0])
    layer = gnn.DirConv(*sizes, alpha=0.3).double()
    a, x = dense(case.graph), case.feat
    s = a.sum(1).clamp(min=1).rsqrt()[:, None] * a * a.sum(0).clamp(min=1).rsqrt()  # D_out^-1/2 A D_in^-1/2
    expected = x @ layer.fc_self.weight.T + 0.3 * s.T @ x @ layer.weight_in + 0.7 * s @ x @ layer.weight_out
    close(layer(case.graph, x), expected + layer.bias)
    both = dgl.to_bidirected(case.graph)
    tied, plain = gnn.DirConv(*sizes, root_weight=False).double(), gnn.GCNConv(*sizes, self_loops=False).double()
    with torch.no_grad():
        tied.weight_in.copy_(plain.weight)
        tied.weight_out.copy_(plain.weight)
    close(tied(both, x), plain(both, x))


def test_h2gcn_hears_strict_second_neighbours():
    case = sample(in_feats=4, nodes=9, edges=18)
    layer = gnn.H2GCNConv(4, 6).double()
    a = (dense(case.graph) > 0).double()
    two = ((a @ a > 0) & (a == 0) & ~torch.eye(9).bool()).double()
    assert two.any() and torch.equal(dense(_dgl.two_hops(case.graph)), two)
    got = case.feat @ layer.weight[0] + layer.bias
    for matrix, weight in ((dense(case.graph), layer.weight[1]), (two, layer.weight[2])):
        s = matrix.sum(1).clamp(min=1).rsqrt()[:, None] * matrix * matrix.sum(0).clamp(min=1).rsqrt()
        got = got + s.T @ case.feat @ weight
    close(layer(case.graph, case.feat), got)
    with pytest.raises(GraphKitError, match="takes no edge_weight"):
        layer(case.graph, case.feat, edge_weight=torch.ones(18).double())


def test_linkx_follows_its_nodes_by_their_ids():
    case = sample(in_feats=4)
    layer, ids = gnn.LINKXConv(4, 6, 8).double(), torch.arange(8)
    expected = layer(case.graph, case.feat)
    moved, place = case.shuffled()
    ids = torch.empty(8).long().index_put_((place,), torch.arange(8))
    close(layer(moved.graph, moved.feat, node_ids=ids)[place], expected)
    targets = torch.tensor([4, 7, 0])
    block, nodes, _ = sample_block(case.graph, targets, fanout=-1)
    close(layer(block, case.feat[nodes], node_ids=nodes), expected[targets])
    small = sample(in_feats=4, nodes=5)
    with pytest.raises(GraphKitError, match="made for a graph of 8 nodes, got 5"):
        layer(small.graph, small.feat)
    with pytest.raises(GraphKitError, match="node_ids holds id 9"):
        layer(small.graph, small.feat, node_ids=torch.arange(5, 10))


@pytest.mark.parametrize("aggregator", ["sum", "mean", "sym", "max"])
def test_sir_is_its_formula_edge_by_edge(aggregator):
    case = sample(in_feats=4, edge_feats=2)
    layer = gnn.SIRConv(4, 6, 5, aggregator=aggregator, edge_feats=2).double()
    src, dst = case.graph.edges(order="eid")
    inner = (layer.fc_query(case.feat)[dst] + layer.fc_key(case.feat)[src] + layer.fc_edge(case.edge_feat)).relu()
    rows = []
    for node in range(8):
        at = dst == node
        message = inner[at]
        if aggregator == "max":
            rows.append(layer.fc_relay(message).amax(0) if at.any() else torch.zeros(6).double())
            continue
        if aggregator == "sym":
            scale = case.graph.out_degrees()[src[at]] * case.graph.in_degrees()[node]
            message = message * scale.double().rsqrt()[:, None]
        heard = message.sum(0)
        rows.append(layer.fc_relay(heard / max(int(at.sum()), 1) if aggregator == "mean" else heard))
    close(layer(case.graph, case.feat, case.edge_feat), torch.stack(rows))


def test_sir_counts_edges_between_different_labels():
    graph = dgl.rand_graph(40, 200)
    label = torch.randint(3, (40,))
    layer = gnn.SIRConv(3, 1, 3, inner_bias=False, outer_bias=False)
    with torch.no_grad():
        layer.fc_query.weight.copy_(torch.eye(3))
        layer.fc_key.weight.copy_(-torch.eye(3))
        layer.fc_relay.weight.fill_(1.0)
    src, dst = graph.edges()
    assert int(layer(graph, torch.eye(3)[label]).sum()) == int((label[src] != label[dst]).sum())


@pytest.mark.parametrize("aggregator", ["sum", "max"])
def test_applying_the_last_map_of_sir_early_matters_for_max_only(aggregator):
    case = sample(in_feats=4)
    layer = gnn.SIRConv(4, 6, 5, aggregator=aggregator, outer_bias=False).double()
    bare = gnn.SIRConv(4, 5, 5, aggregator=aggregator, outer_bias=False).double()
    bare.fc_query, bare.fc_key = layer.fc_query, layer.fc_key
    with torch.no_grad():
        bare.fc_relay.weight.copy_(torch.eye(5))
    late = bare(case.graph, case.feat) @ layer.fc_relay.weight.T
    assert torch.allclose(layer(case.graph, case.feat), late) == (aggregator == "sum")


def test_a_linear_sir_is_a_graph_convolution():
    case = sample(in_feats=4)
    graph = dgl.add_self_loop(case.graph)
    layer = gnn.SIRConv(4, 6, 4, "none", "sym", inner_bias=False, outer_bias=False).double()
    plain = gnn.GCNConv(4, 6).double()
    with torch.no_grad():
        layer.fc_query.weight.zero_()
        layer.fc_key.weight.copy_(torch.eye(4))
        layer.fc_relay.weight.copy_(plain.weight.T)
    close(layer(graph, case.feat), plain(case.graph, case.feat))
