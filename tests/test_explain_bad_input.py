"""What cannot be explained is refused in one sentence, and what is merely empty is an empty explanation."""

from __future__ import annotations

import math

import pytest
import torch

import graphkit as gk
from graphkit import ops
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import entries

METHODS = sorted(entries("explainer"))
#: Explainers that follow gradients of the answer by edge weights.
BY_GRADIENT = [
    "gnnexplainer",
    "goat",
    "input-x-gradient",
    "integrated-gradients",
    "pattern-attribution",
    "patternnet",
    "pgexplainer",
    "saliency",
]
SHORT = {
    "gnnexplainer": {"epochs": 3},
    "pgexplainer": {"epochs": 3, "instances": 3},
    "subgraphx": {"rollouts": 1, "samples": 2},
}


def dataset(src, dst, n, width=3):
    torch.manual_seed(0)
    graph = gk._dgl.from_arrays(src, dst, n)
    graph.ndata["feat"] = torch.randn(n, width)
    return gk.Dataset.from_graph(graph, labels=torch.arange(n) % 2)


@pytest.fixture(scope="module")
def ring():
    """A ring of seven, and an eighth node on its own."""
    src = list(range(7))
    dst = [(i + 1) % 7 for i in src]
    return dataset(src + dst, dst + src, 8)


def model_for(method, data):
    torch.manual_seed(0)
    return gk.models.build("gat" if method == "attention" else "gcn", data, num_layers=2, hidden=8).eval()


class Sum(torch.nn.Module):
    """Adds up the features of neighbours."""

    num_layers = 1

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, batch):
        return ops.spmm(batch.graph, self.linear(batch.feat), batch.edge_weight)


class Silent(Sum):
    """Honours edge weights and gives no gradient for them."""

    def forward(self, batch):
        with torch.no_grad():
            return super().forward(batch)


class Deaf(Sum):
    """Ignores edge weights without saying so."""

    def forward(self, batch):
        return super().forward(batch.replace(edge_weight=None))


def refused(match, *args, **options):
    with pytest.raises(GraphKitError, match=match) as caught:
        gk.explain(*args, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_a_target_out_of_range_is_refused_by_every_explainer(ring, method):
    model = model_for(method, ring)
    refused("node 8 is not in the graph of 8 nodes; ids run from 0 to 7", model, ring, node=8, method=method)
    refused("node 9", model, ring, nodes=[0, 9], method=method)


@pytest.mark.parametrize("method", METHODS)
def test_a_graph_without_edges_gets_an_empty_explanation(method):
    data = dataset([], [], 4)
    why = gk.explain(model_for(method, data), data, node=1, method=method, **SHORT.get(method, {}))
    assert (why.num_edges, why.edge_mask.shape, len(why.top_edges())) == (0, (0,), 0)
    assert why.fidelity()["plus"] == 0.0
    assert "0 edges" in repr(why)


@pytest.mark.parametrize("method", METHODS)
def test_an_isolated_target_gets_an_empty_explanation(ring, method):
    why = gk.explain(model_for(method, ring), ring, node=7, method=method, **SHORT.get(method, {}))
    assert (why.num_edges, float(why.edge_mask.sum()), len(why.top_edges())) == (0, 0.0, 0)
    assert math.isfinite(why.prediction.value)


@pytest.mark.parametrize("method", BY_GRADIENT)
def test_a_model_without_gradients_is_told_from_one_that_ignores_edges(ring, method):
    torch.manual_seed(0)
    options = SHORT.get(method, {})
    refused("gives no gradient for them.*occlusion", Silent(), ring, node=0, method=method, **options)
    refused("does not change with any edge weight", Deaf(), ring, node=0, method=method, **options)


@pytest.mark.parametrize("method", ["occlusion", "counterfactual", "subgraphx"])
def test_explainers_that_remove_edges_need_no_gradients(ring, method):
    torch.manual_seed(0)
    why = gk.explain(Silent(), ring, node=0, method=method, **SHORT.get(method, {}))
    assert float(why.edge_mask.max()) > 0


def test_a_model_that_declines_weights_is_refused_by_name(ring):
    refusing = [name for name, entry in entries("model").items() if "edge_weight" in entry.declines]
    assert refusing
    known = Sum()
    known.name = refusing[0]
    refused(f"{refusing[0]}.*takes no edge weights", known, ring, node=0, method="saliency")


@pytest.mark.parametrize("method", METHODS)
def test_features_of_another_width_are_refused(ring, method):
    other = dataset([0, 1], [1, 0], 2, width=5)
    refused(r"feat has shape \[2, 5\]; expected \[rows, 3\]", model_for(method, ring), other, node=0, method=method)


def test_a_run_says_what_it_was_trained_on(ring, tmp_path):
    run = gk.fit("gcn", ring.with_split(gk.Dataset.from_graph(ring.graph, labels=ring.labels).splits), epochs=1,
                 progress=False, run_dir=tmp_path / "run")  # fmt: skip
    refused(r"feat has shape \[2, 5\]; expected \[rows, 3\]", run, dataset([0, 1], [1, 0], 2, width=5), node=0)


def test_no_more_edges_than_there_are_are_counted(ring):
    why = gk.explain(model_for("saliency", ring), ring, node=0, method="saliency")
    total = why.num_edges
    assert 0 < total < 50
    assert len(why.top_edges(50)) == total
    found = why.fidelity(k=50)
    assert (found["k"], found["sparsity"]) == (total, 0.0)
    assert found["minus"] == pytest.approx(0.0, abs=1e-6)
    for asked in (lambda: why.top_edges(-1), lambda: why.fidelity(k=-1), lambda: why.fidelity(fraction=1.5)):
        with pytest.raises(GraphKitError, match="expected") as caught:
            asked()
        assert "\n" not in str(caught.value)
