"""Many targets in one call: one optimisation over stacked graphs, with the masks that each would get alone."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.explain import GNNExplainer, PGExplainer, Source, Target
from graphkit.explain.judging import group_scores
from graphkit.explain.masks import apart
from graphkit.explain.stack import Stack


@pytest.fixture(scope="module")
def karate():
    return gk.load("karate")


@pytest.fixture(scope="module")
def featured():
    torch.manual_seed(0)
    src, dst = torch.randint(0, 40, (2, 70))
    graph = gk._dgl.from_arrays(torch.cat([src, dst]), torch.cat([dst, src]), 40)
    graph.ndata["feat"] = torch.randn(40, 5)
    return gk.Dataset.from_graph(graph, labels=torch.arange(40) % 3)


@pytest.fixture(scope="module")
def rings():
    graphs = []
    for n in range(4, 10):
        ring = torch.arange(n)
        src, dst = torch.cat([ring, (ring + 1) % n]), torch.cat([(ring + 1) % n, ring])
        graph = gk._dgl.from_arrays(src, dst, n)
        graph.ndata["feat"] = torch.randn(n, 5, generator=torch.manual_seed(n))
        graphs.append(graph)
    return gk.Dataset.from_graphs(graphs, labels=[0, 1, 0, 1, 0, 1])


def same(many, one):
    assert many.target == one.target
    assert torch.allclose(many.edge_mask, one.edge_mask, atol=1e-5)
    if one.feat_mask is not None:
        assert torch.allclose(many.feat_mask, one.feat_mask, atol=1e-5)
    assert many.info["loss"] == pytest.approx(one.info["loss"], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["gcn", "gat", "gin", "sage", "appnp"])
@pytest.mark.parametrize("mode", ["multiply", "marginal", "none"])
def test_masks_of_many_nodes_are_those_of_each_alone(featured, name, mode):
    torch.manual_seed(0)
    model = gk.models.build(name, featured)
    options = {"epochs": 8, "feat_mode": mode, "laplacian": 0.5, "feat_ent": 0.1}
    nodes = [3, 17, 5, 30]
    together = gk.explain(model, featured, nodes=nodes, **options)
    assert [why.target.ids[0] for why in together] == nodes
    for why in together:
        same(why, gk.explain(model, featured, node=why.target.ids[0], **options))


def test_masks_of_many_graphs_and_pairs_are_those_of_each_alone(karate, rings):
    torch.manual_seed(0)
    model = gk.models.build("gin", rings)
    for why in gk.explain(model, rings, graphs=[0, 3, 5], epochs=6, ent_over="edges"):
        same(why, gk.explain(model, rings, graph=why.target.ids[0], epochs=6, ent_over="edges"))
    links = gk.load("karate", task="link")
    model = gk.models.build("gae", links)
    for why in gk.explain(model, links, pairs=[(8, 20), (0, 33)], epochs=6):
        same(why, gk.explain(model, links, pair=why.target.ids, epochs=6))


def test_directions_apart_are_the_masks_of_single_edges(featured):
    model = gk.models.build("gcn", featured)
    options = {"epochs": 12, "directions": "apart"}
    for node, why in zip((0, 3), gk.explain(model, featured, nodes=[0, 3], **options), strict=True):
        alone = gk.explain(model, featured, node=node, **options)
        assert torch.allclose(why.edge_mask, alone.edge_mask, atol=1e-5)
        question = why.question
        ways = apart(question)
        rim = (question.group >= 0) & (question.hops[question.dst] == model.num_layers)
        assert bool(rim.any())
        assert bool((ways.group[rim] == -1).all())  # what arrives there goes no further
        assert ways.num_groups == int(((question.group >= 0) & ~rim).sum())
        one_way = torch.bincount(question.group[rim], minlength=question.num_groups) == 1
        scores = group_scores(why)
        assert float(scores[one_way].max()) <= 0.5  # the mean of a mask and of 0
        assert float(scores.max()) > 0.5


@pytest.mark.parametrize("name", ["gcn", "gat", "gatv2", "sage", "gin"])
def test_layers_see_only_what_their_output_is_read_from(featured, name):
    torch.manual_seed(0)
    model = gk.models.build(name, featured).eval()
    source = Source(model, featured)
    questions = [source.question(Target("node", (i,))) for i in range(0, 40, 3)]
    stack = Stack(questions)
    assert stack._layered
    assert len(stack.node_owner) <= sum(q.num_nodes for q in questions)
    assert torch.allclose(stack.rows(), stack.reference, atol=1e-5)
    values = torch.rand(stack.num_groups, generator=torch.manual_seed(1))
    with torch.no_grad():
        together = stack.rows(values)
        parts = values.split([q.num_groups for q in questions])
        apart = [q.rows(weight=q.weights(v[None])) for q, v in zip(questions, parts, strict=True)]
    assert torch.allclose(together, torch.cat(apart), atol=1e-5)


def test_isolated_and_repeated_targets_may_be_among_them(featured):
    graph = gk._dgl.from_arrays([0, 1, 1, 2], [1, 0, 2, 1], 4)
    graph.ndata["feat"] = torch.eye(4)
    data = gk.Dataset.from_graph(graph, labels=torch.tensor([0, 1, 0, 1]))
    model = gk.models.build("gcn", data)
    lone, first, second = gk.explain(model, data, nodes=[3, 1, 1], epochs=3)
    assert lone.num_edges == 0
    assert bool((lone.edge_mask == 0).all())
    assert torch.allclose(first.edge_mask, second.edge_mask, atol=1e-6)
    assert gk.explain(model, data, nodes=[], epochs=3) == []


@pytest.mark.parametrize("method", ["saliency", "goat", "occlusion", "random", "pgexplainer"])
def test_other_explainers_go_through_them_one_by_one(featured, method):
    torch.manual_seed(0)
    model = gk.models.build("gcn", featured)
    options = {"epochs": 2, "instances": 4} if method == "pgexplainer" else {}
    for why in gk.explain(model, featured, nodes=[4, 9], method=method, **options):
        one = gk.explain(model, featured, node=why.target.ids[0], method=method, **options)
        assert torch.allclose(why.edge_mask, one.edge_mask, atol=1e-6)
        assert why.method == method


def test_an_explainer_made_once_is_taken_as_it_is(featured):
    torch.manual_seed(0)
    model = gk.models.build("gcn", featured)
    made = PGExplainer(epochs=2, instances=4)
    first = gk.explain(model, featured, node=4, method=made)
    fitted = made._fitted
    gk.explain(model, featured, node=9, method=made)
    assert made._fitted is fitted
    assert first.method == "pgexplainer"
    assert "_fitted" not in first.info["options"]
    assert gk.explain(model, featured, node=4, method=GNNExplainer(epochs=2)).info["options"]["epochs"] == 2


def test_a_progress_bar_goes_to_the_error_stream(featured, capfd):
    model = gk.models.build("gcn", featured)
    gk.explain(model, featured, nodes=[1, 2], method="saliency", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "explaining" in err
    gk.explain(model, featured, nodes=[1, 2], method="saliency", progress=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"nodes": [1], "node": 2}, "nodes= and node="),
        ({"nodes": [1], "graphs": [2]}, "nodes= and graphs="),
        ({"nodes": 3}, "expected a sequence of targets"),
        ({"nodes": "12"}, "expected a sequence of targets"),
        ({"nodes": [1, 99]}, "node 99 is not in the graph of 40 nodes"),
        ({"nodes": [0.5]}, "expected an integer id"),
        ({"nodes": [1], "method": 7}, "name of an explainer"),
        ({"nodes": [1], "method": GNNExplainer()} | {"epochs": 3}, "epochs"),
    ],
)
def test_bad_input_gets_one_clear_sentence(featured, arguments, sentence):
    model = gk.models.build("gcn", featured)
    with pytest.raises(GraphKitError, match=sentence) as caught:
        gk.explain(model, featured, **arguments)
    assert "\n" not in str(caught.value)
