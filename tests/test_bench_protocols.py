"""Protocols on tiny data: what each trains on, chooses by and reads."""

from __future__ import annotations

import networkx as nx
import pytest
import torch

import graphkit as gk
from graphkit.bench import protocols
from graphkit.bench.recipe import Recipe
from graphkit.core.errors import UnknownNameError


@pytest.fixture
def recipe(monkeypatch):
    """A recipe for GIN on 40 rings and paths, two folds of two epochs."""
    graphs = [gk.graphs.from_networkx(nx.cycle_graph(n) if n % 2 else nx.path_graph(n)) for n in range(4, 44)]
    for graph in graphs:
        graph.ndata["feat"] = torch.ones(graph.num_nodes(), 1)
    labels = torch.tensor([n % 2 for n in range(4, 44)])
    data = gk.Dataset.from_graphs(graphs, labels=labels, splits="stratified10")
    monkeypatch.setattr(protocols, "_load", lambda recipe, seed: data)
    sizes = {"hidden": 4, "num_layers": 2}
    return Recipe("toy", "gin", "toy", "graph", "", ("test/accuracy",), fit={"epochs": 3}, arguments=sizes,
                  options={"folds": 2})  # fmt: skip


def test_test_selected_reads_all_folds_at_the_best_epoch_of_their_average(recipe):
    found = protocols.find("folds-test-selected")(recipe, 0)
    folds = found.details["folds"]["test/accuracy"]
    assert len(folds) == 2 and found.metrics["test/accuracy"] == pytest.approx(sum(folds) / 2)
    assert found.details["epoch"] in range(3)


def test_inner_validation_never_sees_the_test_part(recipe, monkeypatch):
    seen = []
    real = protocols._fit

    def watch(recipe, data, seed, track=("val",)):
        seen.append({name: set(ids.tolist()) for name, ids in data.splits.items()})
        assert track == ("val",)
        return real(recipe, data, seed, track)

    monkeypatch.setattr(protocols, "_fit", watch)
    found = protocols.find("folds-inner-val")(recipe, 0)
    assert len(found.details["folds"]["test/accuracy"]) == 2
    for parts in seen:
        assert not parts["test"] & (parts["train"] | parts["val"]) and not parts["train"] & parts["val"]
        assert len(parts["val"]) == 4 and len(parts["train"]) == 32
    assert seen[0]["test"] != seen[1]["test"]


def test_the_two_fold_protocols_share_their_test_parts(recipe, monkeypatch):
    seen: dict[tuple, list] = {}

    def watch(recipe, data, seed, track=("val",)):
        seen.setdefault(track, []).append(data.splits["test"].tolist())
        raise StopIteration

    monkeypatch.setattr(protocols, "_fit", watch)
    for name in ("folds-test-selected", "folds-inner-val"):
        with pytest.raises(RuntimeError):
            protocols.find(name)(recipe, 0)
    assert seen[("val",)] == seen[("test",)]


def test_best_val_reads_the_run(recipe):
    found = protocols.find("best-val")(recipe, 0)
    assert 0 <= found.metrics["test/accuracy"] <= 1 and found.details["epochs"] == 3 and found.fingerprint


def test_an_unknown_protocol_or_metric_is_told(recipe):
    with pytest.raises(UnknownNameError, match="best-val"):
        protocols.find("best-vall")
    import dataclasses

    with pytest.raises(UnknownNameError, match="metric in toy"):
        protocols.find("best-val")(dataclasses.replace(recipe, metrics=("test/acuracy",)), 0)
