"""Cooperative layers: what each pair of choices keeps, and that training reaches the choosers."""

import dgl
import pytest
import torch
from torch import nn

from graphkit import GraphKitError
from graphkit import nn as gnn
from graphkit.core.random import generator
from graphkit.core.registry import entries
from graphkit.testing import check_layer, sample


class Fixed(nn.Module):
    """Chooses what it is told."""

    def __init__(self, does):
        super().__init__()
        self.does = torch.as_tensor(does)

    def forward(self, graph, feat, edge_weight=None):
        yes = self.does.to(feat).expand(len(feat))
        return torch.stack([yes, 1 - yes], 1) * 100


def forced(env, listen, broadcast):
    return gnn.CoGNNConv(env.in_feats, env.out_feats, env, Fixed(listen), Fixed(broadcast)).double()


ENVS = [
    gnn.SAGEConv(5, 6).double(),
    gnn.GCNConv(5, 6).double(),
    gnn.GINConv(5, 6).double(),
    gnn.GATConv(5, 6, num_heads=2, self_loops=False).double(),
]


@pytest.mark.parametrize("env", ENVS, ids=lambda env: type(env).__name__)
@pytest.mark.parametrize("train", [False, True])
def test_when_all_do_both_the_layer_is_its_environment(env, train):
    case = sample(in_feats=5)
    layer = forced(env, 1, 1).train(train)
    torch.testing.assert_close(layer(case.graph, case.feat), env(case.graph, case.feat))


def test_when_all_isolate_themselves_no_row_leaves_its_node():
    case = sample(in_feats=5)
    empty = dgl.graph(([], []), num_nodes=len(case.feat))
    for env in ENVS[::2]:  # sums and means; a norm by degrees would still know the graph's
        for listen, broadcast in ((0, 0), (1, 0), (0, 1)):
            got = forced(env, listen, broadcast)(case.graph, case.feat)
            torch.testing.assert_close(got, env(empty, case.feat))


@pytest.mark.parametrize(("listen", "broadcast", "kept"), [
    ([0, 1, 0], [1, 0, 1], [(0, 1), (2, 1)]),  # the middle listens
    ([1, 0, 1], [0, 1, 0], [(1, 0), (1, 2)]),  # the middle broadcasts
    ([1, 1, 1], [1, 1, 1], [(0, 1), (1, 0), (1, 2), (2, 1)]),
    ([1, 0, 1], [1, 0, 1], []),  # the middle is alone, and the ends hear nobody else
])  # fmt: skip
def test_which_edges_of_a_path_are_kept(listen, broadcast, kept):
    path = dgl.graph(([0, 1, 1, 2], [1, 0, 2, 1]))
    feat = torch.tensor([[1.0], [10.0], [100.0]], dtype=torch.float64)
    env = gnn.SAGEConv(1, 1, "sum", bias=False).double()
    expected = env.fc_self(feat) + env.fc_neigh(
        torch.stack([sum((feat[u] for u, v in kept if v == node), torch.zeros(1)) for node in range(3)]).double()
    )
    torch.testing.assert_close(forced(env, listen, broadcast)(path, feat), expected)


def test_training_reaches_both_choosers_and_prediction_neither():
    case = sample(in_feats=5, edges=30)
    torch.manual_seed(0)  # of another draw everybody may be alone
    layer = gnn.CoGNNConv(5, 6, learn_tau=True).double()
    layer(case.graph, case.feat).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0, name
    layer.zero_grad()
    layer.eval()(case.graph, case.feat).square().sum().backward()
    assert all(p.grad is None for net in (layer.listen, layer.broadcast) for p in net.parameters())


def test_draws_follow_the_softmax_and_eval_mode_draws_when_asked():
    graph = dgl.graph(([], []), num_nodes=20000)

    class Tilted(nn.Module):
        def forward(self, graph, feat, edge_weight=None):
            return torch.stack([feat[:, 0], torch.zeros(len(feat))], 1)

    layer = gnn.CoGNNConv(1, 1, listen=Tilted(), broadcast=Tilted(), evaluate="sample").eval()
    torch.manual_seed(0)
    listens, broadcasts = layer.actions(graph, torch.full((20000, 1), 0.7))
    assert set(listens.tolist()) == {0.0, 1.0}
    assert abs(listens.mean() - torch.sigmoid(torch.tensor(0.7))) < 0.02
    assert abs((listens * broadcasts).mean() - torch.sigmoid(torch.tensor(0.7)) ** 2) < 0.02  # apart from each other
    likelier = gnn.CoGNNConv(1, 1, listen=Tilted(), broadcast=Tilted()).eval()
    assert likelier.actions(graph, torch.full((20000, 1), 0.7))[0].min() == 1


def test_layers_share_their_choosers():
    listen, broadcast = gnn.ActionNet(5), gnn.ActionNet(5)
    layers = nn.ModuleList(gnn.CoGNNConv(5, 5, listen=listen, broadcast=broadcast) for _ in range(3))
    alone = sum(p.numel() for p in layers[0].parameters())
    own = sum(p.numel() for net in (listen, broadcast) for p in net.parameters())
    assert sum(p.numel() for p in layers.parameters()) == 3 * (alone - own) + own


def test_the_laws_hold_around_another_environment():
    def make(in_feats, out_feats):
        env = gnn.GENConv(in_feats, out_feats, edge_feats=3)
        return gnn.CoGNNConv(in_feats, out_feats, env, gnn.ActionNet(in_feats, 4, 2, "sum"))

    assert "edge_weight" in check_layer(make, declines=entries("layer")["cognnconv"].declines)


def stars(seed, trees=80):
    """Hubs with leaves under a root: only the hubs' rows count, and a mean over all children cannot single them out."""
    draw, src, dst, feats, target, roots, at = generator(seed, "stars"), [], [], [], [], [], 0
    for _ in range(trees):
        children = int(torch.randint(4, 9, (), generator=draw))
        rows = torch.rand(children, 2, generator=draw) * 4 - 2
        hubs = torch.randperm(children, generator=draw)[:2].tolist()
        roots.append(at)
        feats.append(torch.zeros(1, 2))
        next_free = at + 1 + children
        for child in range(children):
            src, dst = [*src, at + 1 + child], [*dst, at]
            leaves = 5 if child in hubs else 1
            src, dst = [*src, *range(next_free, next_free + leaves)], [*dst, *[at + 1 + child] * leaves]
            next_free += leaves
        feats += [rows, torch.zeros(next_free - at - 1 - children, 2)]
        target.append(rows[hubs].mean(0))
        at = next_free
    both = (torch.tensor(src + dst), torch.tensor(dst + src))
    return dgl.graph(both, num_nodes=at), torch.cat(feats), torch.tensor(roots), torch.stack(target)


def test_choosing_by_degree_beats_the_mean_of_all_neighbours():
    """A small RootNeighbors: the root must average the children that have many children themselves."""
    train, test = stars(0), stars(1)

    def error(build):
        torch.manual_seed(0)
        layer, out = build(), nn.Linear(32, 2)
        optimizer = torch.optim.Adam([*layer.parameters(), *out.parameters()], lr=0.02)
        for _ in range(250):
            graph, feat, roots, target = train
            optimizer.zero_grad()
            loss = (out(torch.relu(layer(graph, feat)))[roots] - target).abs().mean()
            loss.backward()
            optimizer.step()
        graph, feat, roots, target = test
        layer.eval()
        with torch.no_grad():
            return float((out(torch.relu(layer(graph, feat)))[roots] - target).abs().mean())

    def sums():
        return gnn.ActionNet(2, 8, 2, "sum")

    plain = error(lambda: gnn.SAGEConv(2, 32))
    chosen = error(lambda: gnn.CoGNNConv(2, 32, gnn.SAGEConv(2, 32, "sum"), sums(), sums()))
    assert chosen < 0.75 * plain, (chosen, plain)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tau": 0.001}, "expected a temperature of at least 0.01"),
        ({"env": gnn.SAGEConv(5, 4)}, "env maps 5 to 4; expected 5 to 6"),
        ({"evaluate": "mean"}, "expected one of: argmax, sample"),
    ],
)
def test_wrong_arguments_get_one_sentence(options, words):
    with pytest.raises(GraphKitError, match=words):
        gnn.CoGNNConv(5, 6, **options)
