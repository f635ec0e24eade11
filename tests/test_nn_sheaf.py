"""Sheaf diffusion: the Laplacian's identities, its three kinds of maps, and what no plain diffusion can separate."""

import dgl
import pytest
import torch

from graphkit import GraphKitError
from graphkit import nn as gnn
from graphkit.core.random import generator
from graphkit.nn.roots import inverse_root
from graphkit.nn.sheaf import reflections

KINDS = ("diagonal", "orthogonal", "general")


def undirected(nodes=9, edges=14, seed=0):
    """Return a simple graph, each edge stored both ways: edge E + i is edge i turned round."""
    pairs = torch.combinations(torch.arange(nodes))
    src, dst = pairs[torch.randperm(len(pairs), generator=generator(seed, "pairs"))[:edges]].T
    return dgl.graph((torch.cat([src, dst]), torch.cat([dst, src])), num_nodes=nodes)


def maps(kind, edges, d, seed=0):
    """Draw maps of the edges' two ends such that both copies of an edge agree."""
    draw = generator(seed, "maps", kind)
    sizes = {"diagonal": d, "orthogonal": d * (d - 1) // 2, "general": d * d}
    ends = [torch.randn(edges // 2, sizes[kind], generator=draw, dtype=torch.float64) for _ in range(2)]
    if kind == "orthogonal":
        ends = [reflections(end, d) for end in ends]
    if kind == "general":
        ends = [end.view(-1, d, d) for end in ends]
    return torch.cat(ends), torch.cat(ends[::-1])  # at_dst, at_src


def matrix(laplacian, nodes, d):
    """Return the whole ``[N d, N d]`` matrix."""
    unit = torch.eye(nodes * d, dtype=torch.float64)
    return laplacian(unit.view(nodes, d, nodes * d)).reshape(nodes * d, nodes * d)


def coboundary(graph, at_dst, at_src, d):
    """Return ``B [E d / 2, N d]``, whose row block of edge u - v is ``F_v x_v - F_u x_u``."""
    src, dst = graph.edges(order="eid")
    half = graph.num_edges() // 2
    out = torch.zeros(half, d, graph.num_nodes(), d, dtype=torch.float64)
    for e in range(half):
        out[e, :, dst[e]] += at_dst[e] if at_dst.dim() == 3 else torch.diag(at_dst[e])
        out[e, :, src[e]] -= at_src[e] if at_src.dim() == 3 else torch.diag(at_src[e])
    return out.view(half * d, -1)


def close(got, expected, tolerance=1e-9):
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_the_laplacian_is_symmetric_and_the_square_of_its_coboundary(kind):
    graph, d = undirected(), 3
    ends = maps(kind, graph.num_edges(), d)
    plain = matrix(gnn.SheafLaplacian(graph, *ends, normalised=False), 9, d)
    close(plain, plain.T)
    border = coboundary(graph, *ends, d)
    close(plain, border.T @ border)
    normed = matrix(gnn.SheafLaplacian(graph, *ends), 9, d)
    values = torch.linalg.eigvalsh(normed)
    assert values.min() > -1e-9
    assert values.max() < 2 + 1e-9
    blocks = torch.block_diag(*(plain[i * d : i * d + d, i * d : i * d + d] for i in range(9)))
    root = inverse_root(blocks + torch.eye(9 * d, dtype=torch.float64))
    close(normed, root @ plain @ root)


def test_the_trivial_sheaf_gives_the_graph_laplacians():
    graph = undirected()
    one = torch.ones(graph.num_edges(), 1, dtype=torch.float64)
    a = graph.adj_external().to_dense().double()
    degree = a.sum(1)
    close(matrix(gnn.SheafLaplacian(graph, one, one, normalised=False), 9, 1), torch.diag(degree) - a)
    root = torch.diag(degree.clamp(min=1).rsqrt())
    some = torch.diag((degree > 0).double())
    close(matrix(gnn.SheafLaplacian(graph, one, one, augmented=False), 9, 1), some - root @ a @ root)
    root = torch.diag((degree + 1).rsqrt())
    eye = torch.eye(9, dtype=torch.float64)
    close(matrix(gnn.SheafLaplacian(graph, one, one), 9, 1), eye - root @ (a + eye) @ root)


def test_edge_weights_multiply_the_terms_of_edges():
    graph = undirected()
    ends = maps("general", graph.num_edges(), 2)
    weight = torch.rand(graph.num_edges() // 2, dtype=torch.float64).repeat(2)
    got = matrix(gnn.SheafLaplacian(graph, *ends, weight, normalised=False), 9, 2)
    border = coboundary(graph, *ends, 2)
    close(got, border.T @ (weight[: len(weight) // 2].repeat_interleave(2)[:, None] * border))


@pytest.mark.parametrize("size", [2, 3, 5])
def test_products_of_reflections_are_orthogonal_and_any_numbers_give_some(size):
    numbers = torch.randn(20, size * (size - 1) // 2, dtype=torch.float64) * 3
    q = reflections(numbers, size)
    close(q.mT @ q, torch.eye(size, dtype=torch.float64).expand(20, size, size), 1e-12)
    expected = torch.eye(size, dtype=torch.float64)
    tail = numbers[0]
    for k in range(size - 1):
        v = torch.cat([torch.zeros(k), torch.ones(1), tail[: size - 1 - k]]).double()
        tail = tail[size - 1 - k :]
        expected = expected @ (torch.eye(size, dtype=torch.float64) - 2 * torch.outer(v, v) / v.dot(v))
    close(q[0], expected)


@pytest.mark.parametrize("d", [2, 3])
def test_on_a_tree_orthogonal_maps_leave_a_kernel_of_the_stalks_dimension(d):
    parent = torch.tensor([0, 0, 1, 1, 2, 5])
    child = torch.arange(1, 7)
    tree = dgl.graph((torch.cat([parent, child]), torch.cat([child, parent])))
    values = torch.linalg.eigvalsh(matrix(gnn.SheafLaplacian(tree, *maps("orthogonal", 12, d), normalised=False), 7, d))
    assert int((values < 1e-9).sum()) == d


def test_another_basis_at_every_node_conjugates_the_laplacian():
    graph, d = undirected(), 3
    at_dst, at_src = maps("orthogonal", graph.num_edges(), d)
    basis = reflections(torch.randn(9, d, dtype=torch.float64), d)
    src, dst = graph.edges(order="eid")
    turned = gnn.SheafLaplacian(graph, at_dst @ basis[dst].mT, at_src @ basis[src].mT)
    x = torch.randn(9, d, 4, dtype=torch.float64)
    close(turned(basis @ x), basis @ gnn.SheafLaplacian(graph, at_dst, at_src)(x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_layer_is_its_formula_edge_by_edge(kind):
    graph, d = undirected(), 2
    layer = gnn.SheafConv(6, stalk=d, maps=kind).double()
    with torch.no_grad():
        layer.eps.uniform_(-1, 1)
        layer.left.add_(0.3 * torch.randn(d, d))
    feat = torch.randn(9, 6, dtype=torch.float64)
    src, dst = graph.edges(order="eid")
    v = torch.cat([*layer.maps.weight])  # [2 * 6, size]

    def shaped(own, other):
        numbers = torch.tanh(torch.cat([feat[own], feat[other]]) @ v)
        if kind == "diagonal":
            return torch.diag(numbers)
        return numbers.view(d, d) if kind == "general" else reflections(numbers[None], d)[0]

    laplacian = torch.zeros(9, d, 9, d, dtype=torch.float64)
    total = torch.eye(d, dtype=torch.float64).repeat(9, 1, 1)
    for s, t in zip(src.tolist(), dst.tolist(), strict=True):
        here, there = shaped(t, s), shaped(s, t)
        laplacian[t, :, t] += here.T @ here
        laplacian[t, :, s] -= here.T @ there
        total[t] += here.T @ here
    root = torch.block_diag(*map(inverse_root, total))
    x = feat.view(9, d, 3)
    moved = root @ laplacian.view(9 * d, 9 * d) @ root @ (layer.left @ x @ layer.right).reshape(9 * d, 3)
    expected = (1 + torch.tanh(layer.eps))[:, None] * x - torch.nn.functional.elu(moved).view(9, d, 3)
    close(layer(graph, feat), expected.flatten(1))


def test_general_maps_that_are_diagonal_are_the_diagonal_ones():
    graph, d = undirected(), 3
    ends = maps("diagonal", graph.num_edges(), d)
    x = torch.randn(9, d, 2, dtype=torch.float64)
    full = gnn.SheafLaplacian(graph, *map(torch.diag_embed, ends))
    close(full(x), gnn.SheafLaplacian(graph, *ends)(x))


def test_orthogonal_maps_need_no_root_of_a_matrix():
    graph, d = undirected(), 3
    ends, weight = maps("orthogonal", graph.num_edges(), d), torch.rand(graph.num_edges(), dtype=torch.float64)
    x = torch.randn(9, d, 2, dtype=torch.float64)
    known = gnn.SheafLaplacian(graph, *ends, weight, orthogonal=True)
    close(known(x), gnn.SheafLaplacian(graph, *ends, weight)(x))


def test_a_sheaf_of_opposite_signs_separates_the_sides_of_a_bipartite_graph():
    """Plain diffusion cannot: it only smooths."""
    draw = generator(0, "bipartite")
    left, right = (torch.rand(100, 100, generator=draw) < 0.1).nonzero().T
    right = right + 100
    graph = dgl.graph((torch.cat([left, right]), torch.cat([right, left])), num_nodes=200)
    side = (torch.arange(200) >= 100).float()
    start = (side + 2 * torch.randn(200, generator=draw)).view(200, 1, 1)

    def accuracy(at_dst, at_src):
        laplacian, x = gnn.SheafLaplacian(graph, at_dst, at_src, augmented=False), start
        for _ in range(400):
            x = x - 0.5 * laplacian(x)
        # Rows of the limit grow with the root of the degree, which the normalised Laplacian brings in.
        x = x.flatten() / graph.in_degrees().clamp(min=1).sqrt()
        right_way = ((x > x.mean()).float() == side).float().mean()
        return max(right_way, 1 - right_way)

    one = torch.ones(graph.num_edges(), 1)
    sign = 1 - 2 * side[graph.edges()[1]].view(-1, 1)
    assert accuracy(one, one) < 0.7
    assert accuracy(sign, -sign) == 1


def test_the_inverse_root_has_derivatives_of_both_orders_where_eigenvalues_repeat():
    a = torch.randn(3, 4, 4, dtype=torch.float64)
    a = a @ a.mT
    a[0] = 2 * torch.eye(4)
    a[1] = torch.diag(torch.tensor([3.0, 3.0, 1.0, 1.0]))
    a.requires_grad_()

    def f(m):
        return inverse_root((m + m.mT) / 2)

    close(f(a) @ f(a) @ a, torch.eye(4, dtype=torch.float64).expand(3, 4, 4))
    assert torch.autograd.gradcheck(f, a)
    assert torch.autograd.gradgradcheck(f, a)


def test_the_inverse_root_of_a_singular_matrix_is_that_of_its_range():
    low = torch.randn(4, 2, dtype=torch.float64)
    a = low @ low.T
    root = inverse_root(a)
    close(root @ root, torch.linalg.pinv(a), 1e-7)
    zero = torch.zeros(2, 2, requires_grad=True)
    inverse_root(zero).sum().backward()
    assert zero.grad.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gnn.SheafConv(6, stalk=4), "stalk=4 does not divide in_feats=6"),
        (lambda: gnn.SheafConv(6, maps="full"), "expected one of: diagonal, general, orthogonal"),
        (lambda: gnn.SheafConv(6, 4), "keeps the width"),
        (lambda: gnn.SheafConv(6, stalk=1, maps="orthogonal"), "nothing to learn"),
        (lambda: gnn.SheafLaplacian(undirected(), torch.ones(3, 1), torch.ones(3, 1)), "each of the 28 edges"),
        (lambda: gnn.SheafLaplacian(undirected(), torch.ones(28, 1), torch.ones(28, 2)), "of one shape"),
    ],
)
def test_wrong_arguments_get_one_sentence(make, words):
    with pytest.raises(GraphKitError, match=words):
        make()
