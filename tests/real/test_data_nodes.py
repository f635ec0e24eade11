"""Graphs with node labels whose raw files are in the mirror: what the NOTES found in them, read by our readers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.data import card, names

pytestmark = pytest.mark.real

#: raw lines, self-loops, repeated lines; sizes of classes.
FOUND = {
    "texas": (325, 16, 0, [33, 1, 18, 101, 30]),
    "cornell": (298, 3, 0, [38, 16, 30, 82, 17]),
    "actor": (33391, 122, 33391 - 30019, [853, 1337, 1630, 1815, 1965]),
    "chameleon": (36101, 50, 0, [456, 460, 453, 521, 387]),
    "squirrel": (217073, 140, 0, [1042, 1040, 1039, 1040, 1040]),
    "minesweeper": (39402, 0, 0, [8000, 2000]),
    "tolokers": (519000, 0, 0, [9192, 2566]),
    "chameleon-filtered": (8854, 0, 0, [242, 134, 209, 164, 141]),
    "squirrel-filtered": (46998, 0, 0, [756, 516, 397, 321, 233]),
    "citeseer-gnnbench": (4715, 124, 0, None),
    "dblp": (105734, 0, 0, [7920, 5645, 1982, 2169]),
    "amazon-photo": (143663, 1, 0, None),
}


@pytest.mark.parametrize("name", FOUND)
def test_raw_lines_loops_and_classes_are_those_of_the_notes(name):
    data = gk.load(name)
    raw, loops, repeated, classes = FOUND[name]
    assert [data.report[key] for key in ("raw_edges", "self_loops", "repeated_edges")] == [raw, loops, repeated]
    assert classes is None or torch.bincount(data.labels).tolist() == classes
    assert data.graph.num_edges() == 2 * card(name).published["undirected_edges"]
    assert not (data.graph.edges()[0] == data.graph.edges()[1]).any()


@pytest.mark.parametrize("name", [n for n in names() if "components" in card(n).published])
def test_components_are_those_of_the_notes(name):
    if name in ("coauthor-cs", "coauthor-physics"):
        pytest.skip("large; the counts test loads it")
    data = gk.load(name)
    src, dst = (ids.numpy() for ids in data.graph.edges())
    size = data.graph.num_nodes()
    matrix = scipy.sparse.coo_array((np.ones(len(src)), (src, dst)), shape=(size, size))
    assert scipy.sparse.csgraph.connected_components(matrix)[0] == card(name).published["components"]


def test_the_largest_component_of_citeseer_has_2110_nodes():
    assert gk.load("citeseer-gnnbench", largest_component=True).graph.num_nodes() == 2110


def test_directed_forms_keep_direction():
    for name in ("chameleon-filtered", "squirrel-filtered"):
        data = gk.load(name, directed=True)
        assert data.report["raw_edges"] == card(name).published["directed_edges"]
        assert data.report["self_loops"] == {"chameleon-filtered": 50, "squirrel-filtered": 140}[name]
        assert data.graph.num_edges() == data.report["raw_edges"] - data.report["self_loops"]
    assert gk.load("chameleon", directed=True).graph.num_edges() == 36101 - 50


@pytest.mark.parametrize("name", ["texas", "cornell", "actor", "chameleon"])
def test_ten_splits_cover_every_node_once(name):
    data = gk.load(name)
    for k in range(10):
        parts = data.fold(k).splits.values()
        assert len(torch.cat(list(parts)).unique()) == data.graph.num_nodes()


def test_texas_has_a_class_of_one_and_both_forms_of_cora_the_same_classes():
    assert int((gk.load("texas").labels == 1).sum()) == 1
    planetoid, npz = (torch.bincount(gk.load(name).labels).sort().values for name in ("cora", "cora-gnnbench"))
    assert planetoid.tolist() == npz.tolist()


@pytest.mark.parametrize("name", [n for n in names("node") if not card(n).verified])
def test_what_nobody_vouches_for_is_not_loaded_unasked(name):
    with pytest.raises(GraphKitError, match="nothing vouches for"):
        gk.load(name)
