"""Node sets that the package ogb reads: what becomes of what it gives, with a stand-in for the package."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import graphkit as gk
from graphkit.core.errors import ChecksumError, DataError, GraphKitError


class Package(types.ModuleType):
    graph: dict = {}
    labels = np.array([[0.0], [np.nan], [2.0]])

    class NodePropPredDataset:
        def __init__(self, name, root):
            assert name == "ogbn-arxiv" and root.endswith("ogb")

        def __getitem__(self, index):
            return Package.graph, Package.labels

        def get_idx_split(self):
            return {"train": np.array([2]), "valid": np.array([], dtype=int), "test": np.array([0])}


@pytest.fixture
def package(monkeypatch):
    Package.graph = {
        "edge_index": np.array([[0, 1, 2, 2], [1, 0, 2, 1]]), "edge_feat": np.arange(4).reshape(4, 1),
        "node_feat": np.eye(3, dtype=np.float64), "num_nodes": 3,
    }  # fmt: skip
    Package.labels = np.array([[0.0], [np.nan], [2.0]])
    made = Package("ogb.nodeproppred")
    monkeypatch.setitem(sys.modules, "ogb", types.ModuleType("ogb"))
    monkeypatch.setitem(sys.modules, "ogb.nodeproppred", made)
    return made


def test_ogb_gives_a_graph_in_both_directions_and_its_split(package):
    data = gk.load("ogbn-arxiv", verify=False)
    assert data.labels.tolist() == [0, -1, 2] and data.graph.num_edges() == 4 and data.report["self_loops"] == 1
    assert [part.tolist() for part in data.splits.values()] == [[2], [], [0]] and data.split_name == "public"
    one_way = gk.load("ogbn-arxiv", verify=False, directed=True)
    assert one_way.graph.num_edges() == 3 and one_way.graph.edata["feat"].dtype.is_floating_point


def test_ogb_keeps_several_targets_and_no_features(package):
    Package.graph["node_feat"] = None
    Package.labels = np.array([[0, 1], [1, 1], [0, 0]])
    data = gk.load("ogbn-arxiv", verify=False)
    assert data.labels.tolist() == [[0, 1], [1, 1], [0, 0]] and data.spec().in_feats == 0


def test_ogb_is_not_loaded_unasked_nor_with_several_types(package):
    with pytest.raises(ChecksumError, match=r"nothing vouches for ogbn-arxiv.*verify=False"):
        gk.load("ogbn-arxiv")
    Package.graph = {"edge_index_dict": {}, "num_nodes": {"a": 1}}
    with pytest.raises(DataError, match="several types of nodes"):
        gk.load("ogbn-arxiv", verify=False)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ogb", None)
    monkeypatch.setitem(sys.modules, "ogb.nodeproppred", None)
    with pytest.raises(GraphKitError, match=r"the dataset ogbn-arxiv needs ogb.*graphkit\[ogb\]"):
        gk.load("ogbn-arxiv", verify=False)
