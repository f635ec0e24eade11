"""Sheaf4Rec: the sheaf Laplacian of scalar and wider stalks, and what it learns."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit import _dgl
from graphkit.core.batch import Batch, Pairs
from graphkit.core.errors import GraphKitError
from graphkit.models import build
from graphkit.models.recommend.sheaf4rec import SheafDiffusion
from graphkit.nn.gcn import Propagation
from graphkit.nn.sheaf import SheafLaplacian
from tests.tastes import tastes

N, D = 9, 6


@pytest.fixture(scope="module")
def graph():
    """Users 0 to 3 and items 4 to 8, both directions of each link; item 8 is nobody's."""
    src, dst = torch.tensor([(0, 4), (0, 5), (1, 5), (1, 6), (2, 6), (2, 4), (3, 7), (3, 4)]).T
    return _dgl.from_arrays(torch.cat([src, dst]), torch.cat([dst, src]), N)


def rows(width=D):
    return torch.randn(N, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def layer(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SheafDiffusion(D, **options).double()


def dense(laplacian, stalk, width):
    """The matrix of the Laplacian, by applying it to the unit vectors."""
    unit = torch.eye(N * stalk, dtype=torch.float64).reshape(N * stalk, N, stalk, 1)
    return torch.stack([laplacian(u.expand(-1, -1, width))[..., 0].reshape(-1) for u in unit], 1)


def test_maps_of_one_make_it_a_graph_convolution_with_loops(graph):
    x, one = rows(), torch.ones(graph.num_edges(), 1, dtype=torch.float64)
    conv = layer()
    with torch.no_grad():
        conv.linear.weight.copy_(torch.eye(D))
        conv.linear.bias.zero_()
    conv.laplacian = lambda g, feat, weight=None: SheafLaplacian(g, one, one, weight)
    assert float((conv(graph, x) - Propagation("both", self_loops=True)(graph, x)).abs().max()) <= 1e-6
    a = torch.eye(N, dtype=torch.float64)
    a[graph.edges()[1], graph.edges()[0]] = 1.0
    root = a.sum(1).rsqrt()
    delta = dense(SheafLaplacian(graph, one, one), 1, 1)
    assert torch.allclose(delta, torch.eye(N, dtype=torch.float64) - root[:, None] * a * root[None], atol=1e-12)


@pytest.mark.parametrize(("stalk", "maps"), [(1, "diagonal"), (2, "diagonal"), (3, "orthogonal"), (2, "general")])
def test_the_laplacian_is_symmetric_positive_and_bounded(graph, stalk, maps):
    delta = dense(layer(stalk=stalk, maps=maps).laplacian(graph, 3 * rows()), stalk, 1)
    assert float((delta - delta.T).abs().max()) < 1e-12
    values = torch.linalg.eigvalsh(delta)
    assert float(values.min()) >= -1e-6 and float(values.max()) <= 2


@pytest.mark.parametrize(("stalk", "maps"), [(1, "diagonal"), (3, "orthogonal"), (2, "general")])
def test_the_energy_is_the_disagreement_over_edges(graph, stalk, maps):
    conv, x = layer(stalk=stalk, maps=maps), 2 * rows()
    at_dst, at_src = conv.maps(graph, x)
    y = x.unflatten(-1, (stalk, -1))
    plain = SheafLaplacian(graph, at_dst, at_src, normalised=False)
    src, dst = graph.edges()
    here, there = (
        (f @ y[ids] if f.dim() == 3 else f.unsqueeze(-1) * y[ids]) for f, ids in ((at_dst, dst), (at_src, src))
    )
    gap = (here - there).square().sum() / 2  # every edge is stored twice
    assert float((y * plain(y)).sum()) == pytest.approx(float(gap), abs=1e-5)


def test_a_map_for_each_end_of_an_edge(graph):
    at_dst, at_src = layer().maps(graph, rows())
    back = graph.edge_ids(graph.edges()[1], graph.edges()[0])
    assert torch.allclose(at_dst[back], at_src) and not torch.allclose(at_dst, at_src, atol=1e-3)


def test_stalks_of_one_are_the_papers_scalars(graph):
    """The formula of the paper, dense: F = tanh(a . [x_v || x_u]), Delta = (D + I)^-1/2 L (D + I)^-1/2."""
    x, expected = rows(), None
    for maps in ("diagonal", "general"):
        conv = layer(stalk=1, maps=maps)
        a = conv.maps.weight[..., 0]
        f = torch.tanh((x @ a[0])[:, None] + (x @ a[1])[None]) * torch.zeros(N, N).double()
        linked = torch.zeros(N, N, dtype=torch.float64)
        linked[graph.edges()[0], graph.edges()[1]] = 1.0
        f = torch.tanh((x @ a[0])[:, None] + (x @ a[1])[None]) * linked  # f[v, u] at end v of {v, u}
        degree = f.square().sum(1)
        root = (degree + 1).rsqrt()
        delta = root[:, None] * (torch.diag(degree) - f * f.T) * root[None]
        y = x @ conv.linear.weight.T + conv.linear.bias
        expected = x - delta @ y
        assert torch.allclose(conv(graph, x), expected, atol=1e-10), maps


def test_orthogonal_maps_are_orthogonal(graph):
    for maps in layer(stalk=3, maps="orthogonal").maps(graph, 5 * rows()):
        assert float((maps.mT @ maps - torch.eye(3)).abs().max()) <= 1e-5


def test_layers_are_joined_or_averaged(graph):
    pairs, feat = Pairs(torch.tensor([0]), torch.tensor([5])), torch.zeros(N, 0)
    spec = gk.Spec("link", 0, 1, num_nodes=N)
    joined = build("sheaf4rec", spec, hidden=4, num_layers=2)
    out = joined(Batch(graph, feat, pairs=pairs)).encoded
    assert out.node.shape == (N, 12) and torch.equal(out.node[:, :4], joined.inputs.weight)
    mean = build("sheaf4rec", spec, hidden=4, num_layers=2, combine="mean")
    mean.load_state_dict(joined.state_dict())
    got = mean(Batch(graph, feat, pairs=pairs)).encoded.node
    assert torch.allclose(got, out.node.reshape(N, 3, 4).mean(1), atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"stalk": 1}, {"stalk": 3, "maps": "orthogonal"}, {"stalk": 2, "maps": "general", "combine": "mean"}],
    ids=str,
)
def test_the_laws_hold_for_every_kind_of_maps(options):
    assert "gradients" in gk.testing.check_model("sheaf4rec", "link", **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"stalk": 5, "hidden": 8}, "stalk=5 does not divide the width 8"),
        ({"maps": "full"}, "unknown maps 'full'"),
        ({"maps": "orthogonal"}, "orthogonal maps of stalk=1"),
        ({"combine": "sum"}, "unknown combine 'sum'"),
    ],
)
def test_wrong_arguments_get_one_sentence(options, sentence):
    with pytest.raises(GraphKitError, match=sentence):
        build("sheaf4rec", gk.Spec("link", 0, 1, num_nodes=N), **options)


#: Settings chosen on the validation part of seed 0; the width is that of LightGCN beside it.
LEARN = {"lr": 0.01, "batch_size": 1024, "hidden": 32, "progress": False}


def test_sheaf4rec_learns_tastes_as_lightgcn_does():
    data = tastes()
    sheaf = gk.fit("sheaf4rec", data, epochs=18, decay=0.5, combine="mean", **LEARN)
    light = gk.fit("lightgcn", data, epochs=18, **LEARN)
    popular = gk.fit("popularity", data, progress=False)
    found, beside, least = (run.metrics["test/recall@20"] for run in (sheaf, light, popular))
    assert found >= 3 * least and found >= 0.95 * beside
