"""Graphs perturbed beforehand: sound files, and files that contradict each other."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse

from graphkit.core.errors import DataError, GraphKitError, UnsafeFileError
from graphkit.data import from_files


def csr(prefix, rows):
    matrix = scipy.sparse.csr_matrix(np.array(rows, dtype=np.float32))
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": matrix.shape}
    return {f"{prefix}{name}": value for name, value in parts.items()}


def attacked(folder, split=None, targets=(1,), changed=None, **arrays):
    """Write a path 0 - 1 - 2 with a loop at 1, and 3 alone; the attack moves one edge."""
    adjacency = csr("adj_", [[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    held = {**adjacency, **csr("attr_", np.eye(4)), "labels": np.array([0, 1, 1, 0]), **arrays}
    np.savez(folder / "x.npz", **held)
    for part in ("splits", "nettack"):
        (folder / part).mkdir(exist_ok=True)
    split = {"idx_train": [0], "idx_val": [1], "idx_test": [2]} if split is None else split
    (folder / "splits" / "x_prognn_splits.json").write_text(split if isinstance(split, str) else json.dumps(split))
    (folder / "nettack" / "x_nettacked_nodes.json").write_text(json.dumps({"attacked_test_nodes": list(targets)}))
    changed = [[0, 1, 1], [1, 0, 0], [1, 0, 0]] if changed is None else changed
    np.savez(folder / "nettack" / "x_nettack_adj_2.0.npz", **csr("", changed))
    return folder


def test_the_clean_graph_is_its_largest_component(tmp_path):
    data = from_files("attack-npz", attacked(tmp_path), base="x")
    assert data.graph.num_nodes() == 3 and data.graph.num_edges() == 4 and data.split_name == "public"
    assert data.labels.tolist() == [0, 1, 1] and data.graph.ndata["feat"].shape == (3, 4)
    assert bool(data.graph.edata["clean"].all()) and data.report["outside_largest_component"] == 1
    alone = from_files("attack-npz", tmp_path, base="x", features=False)
    assert alone.graph.ndata["feat"].shape == (3, 3)


def test_an_attack_counts_what_it_added_and_removed(tmp_path):
    data = from_files("attack-npz", attacked(tmp_path), base="x", attack="nettack", budget=2)
    assert (data.report["added"], data.report["removed"]) == (1, 1)
    src, dst = data.graph.edges()
    new = ~data.graph.edata["clean"]
    assert sorted(zip(src[new].tolist(), dst[new].tolist(), strict=True)) == [(0, 2), (2, 0)]
    assert data.graph.ndata["target"].tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"split": {"idx_train": [0], "idx_val": [1], "idx_test": [3]}},
            "names node 3 in 'idx_test'; expected ids from 0",
        ),
        ({"split": {"idx_train": [0]}}, "holds no ids 'idx_val'"),
        ({"split": '{"idx_train": [0'}, "splits.json is truncated or not JSON"),
        ({"split": "[1]"}, "splits.json holds no mapping"),
        ({"targets": (9,)}, "nettacked_nodes.json names node 9"),
        ({"changed": np.ones((2, 2))}, "adj_2.0.npz has 2 nodes where 3 were expected"),
        ({"adj_indices": np.array([1, 9, 2])}, "x.npz does not hold a CSR matrix"),
    ],
)
def test_unsound_attacks(tmp_path, changes, says):
    with pytest.raises(DataError, match=says):
        from_files("attack-npz", attacked(tmp_path, **changes), base="x", attack="nettack", budget=2)


def test_unknown_attacks_and_unsafe_names(tmp_path):
    with pytest.raises(GraphKitError, match="unknown attack 'metattack'"):
        from_files("attack-npz", attacked(tmp_path), base="x", attack="metattack")
    with pytest.raises(GraphKitError, match="unknown budget of nettack '7'"):
        from_files("attack-npz", tmp_path, base="x", attack="nettack", budget=7)
    with pytest.raises(UnsafeFileError, match=r"asks for builtins.print"):
        from_files("attack-npz", attacked(tmp_path, idx_to_node=np.array(print, dtype=object)), base="x")
