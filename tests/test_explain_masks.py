"""Explainers on tiny graphs where the answer is known by hand or by brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.explain import GNNExplainer, IntegratedGradients, Target, ask
from graphkit.explain.neighbourhood import neighbourhood, tie_directions

METHODS = ("gnnexplainer", "saliency", "integrated-gradients")


class Sum(nn.Module):
    """Weighted sum aggregation, ``layers`` times, then a linear map: edges matter exactly as far as it looks."""

    def __init__(self, width: int, classes: int, layers: int = 1, norm: bool = False) -> None:
        super().__init__()
        self.num_layers, self.norm = layers, norm
        self.map = nn.Linear(width, classes)

    def forward(self, batch):
        src, dst = batch.graph.edges(order="eid")
        weight = batch.edge_weight if batch.edge_weight is not None else batch.feat.new_ones(len(src))
        x, scale = batch.feat, None
        if self.norm:
            degree = torch.bincount(src, minlength=len(x)) + torch.bincount(dst, minlength=len(x)) + 1
            scale = degree.to(x).rsqrt()[:, None]
        for _ in range(self.num_layers):
            y = x if scale is None else x * scale
            x = x + torch.zeros_like(x).index_add(0, dst, weight[:, None] * y[src])
        return self.map(x)


def undirected(pairs, num_nodes, feat):
    src, dst = (torch.tensor(ends) for ends in zip(*pairs, strict=True))
    graph = gk._dgl.from_arrays(torch.cat([src, dst]), torch.cat([dst, src]), num_nodes)
    graph.ndata["feat"] = feat
    return graph


@pytest.fixture
def one_cause():
    """Node 0 has five neighbours; only node 3 carries the feature that makes it class 1."""
    feat = torch.zeros(7, 3)
    feat[3, 1] = 1.0
    feat[:, 2] = 0.1
    graph = undirected([(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (5, 6)], 7, feat)
    model = Sum(3, 2)
    with torch.no_grad():
        model.map.weight.copy_(torch.tensor([[0.0, -4.0, 0.0], [0.0, 4.0, 0.0]]))
        model.map.bias.copy_(torch.tensor([1.0, -1.0]))
    return model, graph


@pytest.mark.parametrize("method", METHODS)
def test_the_one_edge_that_matters_comes_first(one_cause, method):
    model, graph = one_cause
    # On six nodes the paper's size weight is below the entropy's: it would let every mask go to 1.
    why = gk.explain(model, graph, node=0, method=method, **({"size": 0.2} if method == "gnnexplainer" else {}))
    top = why.top_edges(1)
    assert {int(top.src[0]), int(top.dst[0])} == {0, 3}
    assert why.prediction.reading.label == 1
    assert why.edge_mask.shape == (graph.num_edges(),)
    assert why.node_mask.shape == (graph.num_nodes(),)
    assert int(why.top_features(1).feature[0]) == 1
    # Nothing more than one hop away can matter.
    src, dst = graph.edges(order="eid")
    assert bool((why.edge_mask[(src == 5) & (dst == 6)] == 0).all())
    assert why.fidelity(k=1)["plus"] == pytest.approx(why.prediction.value - torch.sigmoid(torch.tensor(-2.0)).item())
    assert why.fidelity(k=1)["minus"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_best_single_edge_agrees_with_removing_each(method):
    torch.manual_seed(3)
    pairs = [(0, i) for i in range(1, 7)]
    graph = undirected(pairs, 7, torch.randn(7, 4))
    model = Sum(4, 3)
    why = gk.explain(model, graph, node=0, method=method, **({"epochs": 300} if method == "gnnexplainer" else {}))
    question = why.question
    keep = ~torch.eye(question.num_groups, dtype=torch.bool)
    drop = float(question.reading.probability(question.reference)) - question.probability(
        keep=question.group_keep(keep)
    )
    ranked = why.ranked_groups().tolist()
    if method == "gnnexplainer":  # the loss rewards whatever raises the answer: its first edge must be one of these
        assert drop[ranked[0]] > 0
    else:
        assert drop.abs().argmax() in ranked[:2]


def test_masks_fully_open_give_the_unmasked_answer(one_cause):
    model, graph = one_cause
    question = gk.explain(model, graph, node=0, epochs=0).question
    with question.open():
        loss = GNNExplainer(size=0, ent=0, feat_size=0).loss(
            question, torch.full((question.num_groups,), 20.0), torch.full((3,), 20.0)
        )
    assert loss.item() == pytest.approx(-float(question.reading.log_probability(question.reference)), abs=1e-6)


def test_isolated_target_has_no_edges_to_blame():
    graph = gk._dgl.from_arrays([0], [1], 3)
    graph.ndata["feat"] = torch.eye(3)
    for method in METHODS:
        why = gk.explain(Sum(3, 2), graph, node=2, method=method, **({"epochs": 3} if method == "gnnexplainer" else {}))
        assert why.num_edges == 0
        assert len(why.top_edges()) == 0
        assert why.fidelity()["plus"] == 0
        assert bool((why.edge_mask == 0).all())


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_cut_out_subgraph_gives_the_answer_of_the_whole_graph(layers):
    torch.manual_seed(0)
    src, dst = torch.randint(0, 60, (2, 90))
    graph = gk._dgl.from_arrays(src, dst, 60)
    graph.ndata["feat"] = torch.randn(60, 4)
    model = Sum(4, 3, layers, norm=True)
    whole = model(gk.Batch(graph, graph.ndata["feat"]))
    for node in range(0, 60, 7):
        question = ask(model, gk.Batch(graph, graph.ndata["feat"]), Target("node", (node,)))
        with question.open(), torch.no_grad():
            assert torch.allclose(question.rows()[0], whole[node], atol=1e-5)
        assert question.num_nodes < 60 or layers > 1


def test_a_model_that_looks_farther_than_it_says_keeps_the_whole_graph():
    graph = undirected([(i, i + 1) for i in range(9)], 10, torch.randn(10, 4, generator=torch.manual_seed(0)))
    model = Sum(4, 3, layers=4)
    honest = gk.explain(model, graph, node=0, method="saliency")
    forward = model.forward

    class Liar(nn.Module):
        num_layers = 1

        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, batch):
            return forward(batch)

    lying = gk.explain(Liar(), graph, node=0, method="saliency")
    assert lying.num_edges == 9
    assert torch.allclose(honest.edge_mask, lying.edge_mask)


def test_copies_side_by_side_answer_as_one_by_one():
    torch.manual_seed(1)
    graph = undirected([(0, 1), (1, 2), (2, 3), (3, 0), (1, 3)], 5, torch.randn(5, 4))
    model = Sum(4, 3, 2, norm=True)
    question = gk.explain(model, graph, node=1, method="saliency").question
    kept = torch.tensor(list(itertools.product([False, True], repeat=question.num_groups)))
    with question.open(), torch.no_grad():
        together = question.rows(keep=question.group_keep(kept))
        apart = torch.cat([question.rows(keep=question.group_keep(row[None])) for row in kept])
    assert torch.allclose(together, apart, atol=1e-6)
    assert torch.allclose(together[-1:], question.reference, atol=1e-5)


@pytest.mark.parametrize("over", ["edges", "features", "both", "joint"])
@pytest.mark.parametrize("rule", ["gauss", "midpoint", "trapezoid", "right"])
def test_integrated_gradients_are_complete(one_cause, over, rule):
    model, graph = one_cause
    why = gk.explain(model, graph, node=0, method="integrated-gradients", steps=200, over=over, rule=rule)
    paths = [part for part in why.info.values() if isinstance(part, dict) and "gap" in part]
    assert len(paths) == (2 if over == "both" else 1)
    assert all(part["gap"] < 0.02 for part in paths)
    if over in {"edges", "both"}:
        first = why._first_of_groups()
        assert float(why.effect[first].sum()) == pytest.approx(why.info["edges"]["total"], rel=0.02)


@pytest.mark.parametrize("name", ["gcn", "gin", "sage", "gat"])
@pytest.mark.parametrize("rule", ["gauss", "midpoint", "trapezoid"])
def test_200_steps_over_edges_miss_less_than_a_hundredth_of_a_trained_answer(name, rule, trained_on_karate):
    run = trained_on_karate(name)
    options = {"over": "edges", "steps": 200, "max_steps": 200, "rule": rule}
    for why in gk.explain(run, nodes=[0, 8, 16, 31], method="integrated-gradients", **options):
        assert why.info["edges"]["gap"] < 0.01
        first = why._first_of_groups()
        assert float(why.effect[first].sum()) == pytest.approx(why.info["edges"]["total"], rel=0.01, abs=1e-4)


@pytest.fixture(scope="module")
def trained_on_karate():
    data, runs = gk.load("karate"), {}

    def run(name):
        if name not in runs:
            runs[name] = gk.fit(name, data, epochs=40, progress=False, seed=0)
        return runs[name]

    return run


def test_integrated_gradients_of_a_linear_model_are_gradient_times_input():
    torch.manual_seed(0)
    graph = undirected([(0, 1), (0, 2), (2, 3)], 4, torch.randn(4, 3, dtype=torch.float64))
    model = Sum(3, 2).double()
    for steps in (1, 7):
        ig = gk.explain(model, _batch(graph), node=0, method="integrated-gradients", steps=steps, of="logit")
        slope = gk.explain(model, _batch(graph), node=0, method="saliency", times_input=True)
        assert torch.allclose(ig.effect, slope.effect, atol=1e-6)
        assert torch.allclose(ig.node_feat, slope.node_feat, atol=1e-6)


def _batch(graph):
    return gk.Batch(graph, graph.ndata["feat"])


def test_same_seed_gives_the_same_masks_and_leaves_the_model_as_it_was(one_cause):
    model, graph = one_cause
    model.train()
    before = [p.clone() for p in model.parameters()]
    first = gk.explain(model, graph, node=0, seed=5)
    torch.manual_seed(123)
    again = gk.explain(model, graph, node=0, seed=5)
    other = gk.explain(model, graph, node=0, seed=6)
    assert torch.equal(first.edge_mask, again.edge_mask)
    assert torch.equal(first.feat_mask, again.feat_mask)
    assert not torch.equal(first.edge_mask, other.edge_mask)
    assert model.training
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_the_models_own_answer_is_explained_and_another_class_on_request(one_cause):
    model, graph = one_cause
    graph.ndata["label"] = torch.zeros(7, dtype=torch.int64)
    own = gk.explain(model, graph, node=0, epochs=1)
    assert (own.prediction.reading.label, own.prediction.true_label) == (1, 0)
    other = gk.explain(model, graph, node=0, epochs=1, target_class=0)
    assert other.prediction.reading.label == 0
    assert other.prediction.value == pytest.approx(1 - own.prediction.value, abs=1e-6)
    assert "asked for" in other.summary()


def test_robust_fidelity_identities(one_cause):
    model, graph = one_cause
    why = gk.explain(model, graph, node=0, method="saliency")
    classical = why.fidelity(k=2)
    assert why.fidelity(k=2, remove=1.0, keep=0.0, samples=7) == classical
    assert why.fidelity(k=2, remove=0.0)["plus"] == pytest.approx(0.0, abs=1e-7)
    assert why.fidelity(k=2, keep=1.0)["minus"] == pytest.approx(0.0, abs=1e-7)
    half = why.fidelity(k=1, remove=0.5, samples=4000)
    assert half["plus"] == pytest.approx(why.fidelity(k=1)["plus"] / 2, abs=0.03)
    # A plain sum has no norms and no softmax: weight 0 is removal.
    assert why.fidelity(k=2, frozen=True) == pytest.approx(classical)
    assert why.fidelity(fraction=1.0)["sparsity"] == 0


def test_directions_are_tied_only_where_every_edge_has_one_back():
    src, dst = torch.tensor([0, 1, 1, 2]), torch.tensor([1, 0, 2, 1])
    assert tie_directions(src, dst, 3).tolist() == [0, 0, 1, 1]
    assert tie_directions(src[:3], dst[:3], 3).tolist() == [0, 1, 2]
    assert tie_directions(src, dst, 3, typed=True).tolist() == [0, 1, 2, 3]
    assert tie_directions(src, dst, 3, torch.tensor([1, 0, -1, -1]), typed=True).tolist() == [0, 0, 1, 2]


def test_neighbourhood_follows_edges_backwards_only():
    src, dst = torch.tensor([0, 1, 2, 2]), torch.tensor([1, 2, 3, 2])
    part = neighbourhood(src, dst, 5, torch.tensor([2]), 2)
    assert part.nodes.tolist() == [0, 1, 2]
    assert part.hops.tolist() == [2, 1, 0]
    assert part.edges.tolist() == [0, 1]  # the self-loop at 2 is not masked


class Deaf(Sum):
    """Ignores edge weights without saying so."""

    def forward(self, batch):
        return super().forward(batch.replace(edge_weight=None))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "exactly one"),
        ({"node": 0, "graph": 0}, "node= and graph="),
        ({"node": 99}, "node 99 is not in the graph of 7 nodes; ids run from 0 to 6"),
        ({"node": -1}, "node -1"),
        ({"node": "a"}, "expected an integer id"),
        ({"pair": (0, 99)}, "node 99"),
        ({"pair": 3}, "two node ids"),
        ({"edge": 400}, "edge 400"),
        ({"node": 0, "rel": 1}, "rel= names the relation of a pair"),
        ({"node": 0, "method": "gnnexplainr"}, "gnnexplainer"),
        ({"node": 0, "epoch": 3}, "epochs"),
        ({"node": 0, "norm": "recompute"}, "degree norms"),
        ({"node": 0, "target_class": 7}, "target_class 7"),
        ({"node": 0, "epochs": -1}, "epochs"),
        ({"node": 0, "directions": "both"}, "directions"),
        ({"graph": 3}, "set of graphs"),
    ],
)
def test_bad_input_gets_one_clear_sentence(one_cause, arguments, sentence):
    model, graph = one_cause
    with pytest.raises(GraphKitError, match=sentence.replace("(", r"\(").replace("=", "=")) as caught:
        gk.explain(model, graph, **arguments)
    assert "\n" not in str(caught.value)


def test_models_that_ignore_edge_weights_are_refused(one_cause):
    _, graph = one_cause
    with pytest.raises(GraphKitError, match="does not change with any edge weight"):
        gk.explain(Deaf(3, 2), graph, node=0)


def test_baseline_of_another_width_is_refused(one_cause):
    model, graph = one_cause
    with pytest.raises(GraphKitError, match="one row of 3 features"):
        gk.explain(model, graph, node=0, method="integrated-gradients", baseline=torch.zeros(5))
    assert IntegratedGradients(baseline="mean").over == "both"


def test_explainers_are_registered_with_their_papers():
    from graphkit.core.registry import entries

    found = entries("explainer")
    assert set(METHODS) <= set(found)
    assert found["gnnexplainer"].arxiv == "1903.03894"
    assert found["integrated-gradients"].arxiv == "1703.01365"
