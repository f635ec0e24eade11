"""Labelled entities and relational reasoning in the mirror: what the NOTES found in them, read by our readers."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.data import card

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", ["aifb", "mutag-rdf"])
def test_entities_are_those_of_the_notes(name):
    data = gk.load(name)
    published = card(name).published
    sizes = torch.bincount(data.labels[data.labels >= 0])
    assert sorted(sizes.tolist()) == sorted(published["class_sizes"])
    assert int(data.graph.ndata["ntype"].sum()) == published["literals"] and data.report["repeated_edges"] == 0
    leaks = ("affiliation", "employs", "isMutagenic")
    assert not [r for r in data.names["relation"] if r.rpartition("#")[2] in leaks]


def test_clutrr_counts_by_length():
    data = gk.load("clutrr")
    steps = data.collated.graph_fields["steps"]
    held = torch.bincount(steps[data.splits["test"]], minlength=11)[2:].tolist()
    assert held == card("clutrr").published["test_by_steps"]
    trained = data.splits["train"]
    assert len(data.labels[trained].unique()) == 18 and set(steps[trained].tolist()) == {2, 3}


def test_clutrr_robust_states_relations_along_the_path_only():
    data = gk.load("clutrr-robust")
    story = data.collated.graph_fields["story"][data.splits["test"]]
    assert torch.bincount(story).tolist() == [0, 146, 101, 100, 100] and data.report["unstated"] > 0
    clean = (data.collated.graph_fields["story"] == 1).nonzero()[:, 0]
    _, _, edges, _ = data.collated.batch(clean)
    assert data.names["relation"].index("(unstated)") not in edges["etype"].tolist()


@pytest.mark.parametrize("name", ["rcc8", "interval"])
def test_graphs_up_to_four_steps_have_steps_times_paths_edges(name):
    data = gk.load(name)
    fields, published = data.collated.graph_fields, card(name).published
    short = fields["steps"] <= 4
    assert (data.collated.edge_counts == fields["steps"] * fields["paths"])[short].all()
    _, counts = torch.stack([fields["steps"], fields["paths"]]).unique(dim=1, return_counts=True)
    assert counts.unique().tolist() == [published["rows_per_file"]] and data.num_classes == published["relations"]
    long = data.collated.edge_counts[~short]
    assert int(long.min()) >= 8 and int(long.max()) <= 41
