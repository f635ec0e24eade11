"""Explanations of registered systems at every level."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import entries

METHODS = ("gnnexplainer", "saliency", "integrated-gradients")
FEW = {"gnnexplainer": {"epochs": 3}, "saliency": {}, "integrated-gradients": {"steps": 8}}


@pytest.fixture(scope="module")
def karate():
    return gk.load("karate")


@pytest.fixture(scope="module")
def links():
    return gk.load("karate", task="link")


@pytest.fixture(scope="module")
def typed(karate):
    """Karate with two kinds of edges."""
    src, dst = karate.graph.edges(order="eid")
    graph = gk._dgl.from_arrays(src, dst, 34)
    graph.ndata["feat"] = torch.eye(34)
    graph.edata["etype"] = (src + dst) % 2
    return gk.Dataset.from_graph(graph, labels=karate.labels)


@pytest.fixture(scope="module")
def triangles():
    """Rings of growing length, with and without a tail."""
    graphs = []
    for n in range(4, 10):
        ring = torch.arange(n)
        src, dst = torch.cat([ring, (ring + 1) % n]), torch.cat([(ring + 1) % n, ring])
        graph = gk._dgl.from_arrays(src, dst, n)
        graph.ndata["feat"] = torch.randn(n, 5, generator=torch.manual_seed(n))
        graphs.append(graph)
    return gk.Dataset.from_graphs(graphs, labels=[0, 1, 0, 1, 0, 1])


def systems(level):
    known = entries("model").items()
    return [name for name, e in known if level in e.options["levels"] and not e.options.get("hypergraph")]


#: Options that keep the other explainers short.
BRIEF = {
    "pgexplainer": {"epochs": 2, "instances": 2},
    "subgraphx": {"rollouts": 1, "samples": 2, "start_nodes": 8},
    "counterfactual": {"max_size": 2},
    "occlusion": {"features": False},
}


def answers_or_refuses(name, model, data, target, edges):
    """Every other explainer gives finite scores, or says in one sentence why it does not apply."""
    for method in set(entries("explainer")) - set(METHODS):
        try:
            why = gk.explain(model, data, method=method, **target, **BRIEF.get(method, {}))
        except GraphKitError as error:
            assert "\n" not in str(error)
            assert method not in {"random", "occlusion", "subgraphx"}, f"{method} applies to {name}: {error}"
            continue
        assert why.edge_mask.shape == (edges,)
        assert bool(torch.isfinite(why.edge_mask).all()), (name, method)


def check(name, model, data, target, edges):
    answers_or_refuses(name, model, data, target, edges)
    entry = entries("model")[name]
    for method in METHODS:
        if "edge_weight" in entry.declines and getattr(model, "needs_graph", True):
            with pytest.raises(GraphKitError, match="takes no edge weights"):
                gk.explain(model, data, method=method, **target)
            continue
        why = gk.explain(model, data, method=method, **target, **FEW[method])
        assert why.edge_mask.shape == (edges,)
        assert bool(torch.isfinite(why.edge_mask).all())
        assert bool((why.edge_mask > 0).any()) == getattr(model, "needs_graph", True)
        assert 0 <= why.prediction.value <= 1
        assert abs(why.fidelity(k=3)["probability"] - why.prediction.value) < 1e-6


@pytest.mark.parametrize("name", systems("node"))
def test_node_predictions(name, karate, typed):
    torch.manual_seed(0)
    data = typed if name == "rgcn" else karate
    check(name, gk.models.build(name, data), data, {"node": 8}, data.graph.num_edges())


@pytest.mark.parametrize("name", [name for name in systems("link") if name != "rgcn"])
def test_link_predictions(name, links):
    torch.manual_seed(0)
    check(name, gk.models.build(name, links), links, {"pair": (8, 20)}, links.graph.num_edges())


@pytest.fixture(scope="module")
def typed_rings(triangles):
    """The same rings with two kinds of edges."""
    graphs = [triangles[i] for i in range(6)]
    for graph in graphs:
        src, dst = graph.edges(order="eid")
        graph.edata["etype"] = (src + dst) % 2
    return gk.Dataset.from_graphs(graphs, labels=[0, 1, 0, 1, 0, 1])


#: Systems that score pairs of graphs, or pairs of nodes in each graph: rings have none.
OF_PAIRS = {"isonetpp", "epignn", "cgib"}
#: Systems that answer for the edges of a graph, not for the graph.
OF_EDGES = {"hypercluster"}
#: Systems that read the weights of perceptrons: rings are none.
OF_WEIGHTS = {"dwsnet"}


@pytest.mark.parametrize("name", sorted(set(systems("graph")) - OF_PAIRS - OF_EDGES - OF_WEIGHTS))
def test_graph_predictions(name, triangles, typed_rings):
    torch.manual_seed(0)
    triangles = typed_rings if name == "rgcn" else triangles
    check(name, gk.models.build(name, triangles), triangles, {"graph": 2}, triangles[2].num_edges())


def test_recomputed_norms_are_another_question(karate):
    torch.manual_seed(0)
    model = gk.models.build("gcn", karate)
    frozen = gk.explain(model, karate, node=8, method="saliency")
    recomputed = gk.explain(model, karate, node=8, method="saliency", norm="recompute")
    assert not torch.allclose(frozen.edge_mask, recomputed.edge_mask)
    assert {getattr(m, "norm", "both") for m in model.modules()} == {"both"}


def test_an_edge_of_a_link_model_is_its_pair(links):
    torch.manual_seed(0)
    model = gk.models.build("gae", links)
    src, dst = links.graph.find_edges(5)
    by_edge = gk.explain(model, links, edge=5, method="saliency")
    by_pair = gk.explain(model, links, pair=(int(src), int(dst)), method="saliency")
    assert by_edge.target == by_pair.target
    assert torch.equal(by_edge.edge_mask, by_pair.edge_mask)


def test_a_removed_target_edge_cannot_explain_itself(links):
    torch.manual_seed(0)
    model = gk.models.build("gae", links)
    src, dst = (int(end) for end in links.graph.find_edges(5))
    why = gk.explain(model, links, pair=(src, dst), method="saliency", remove_target=True)
    left, right = links.graph.edges(order="eid")
    own = ((left == src) & (right == dst)) | ((left == dst) & (right == src))
    assert bool(own.any())
    assert bool((why.edge_mask[own] == 0).all())
    assert bool((why.edge_mask[~own] > 0).any())
    table = why.top_edges(4)
    assert table.src.tolist() == left[table.edge.tolist()].tolist()


def test_a_run_is_explained_with_its_own_data(karate, tmp_path):
    run = gk.fit("gcn", karate, epochs=2, progress=False, run_dir=tmp_path / "run")
    why = gk.explain(run, node=3, epochs=2)
    assert why.prediction.value == pytest.approx(float(run.predict(nodes=[3]).max()), abs=1e-4)
    again = gk.explain(tmp_path / "run", node=3, epochs=2)
    assert torch.equal(why.edge_mask, again.edge_mask)


def test_the_kind_of_target_must_go_with_the_data(triangles):
    model = gk.models.build("gin", triangles)
    with pytest.raises(GraphKitError, match="set of graphs"):
        gk.explain(model, triangles, node=0)
    with pytest.raises(GraphKitError, match="graph 6 is not in the set of 6 graphs"):
        gk.explain(model, triangles, graph=6)


def test_a_link_that_the_model_denies_is_explained_too(links):
    torch.manual_seed(0)
    model = gk.models.build("gcn", links, decoder=gk.heads.MLPDecoder(16)).eval()
    torch.nn.init.constant_(model.head.decoder.mlp.linears[-1].bias, -5.0)
    batch = gk.sampling.full_batch(links, "test")
    assert model(batch).pred[0] < 0
    pair = int(batch.pairs.src[0]), int(batch.pairs.dst[0])
    assert gk.explain(model, links, pair=pair, method="saliency").edge_mask.abs().max() > 0
