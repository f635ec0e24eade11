"""Readers of single graphs with node features: sound files of each format, and every way they can be unsound."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.sparse

from graphkit.core.errors import ChecksumError, DataError, UnknownNameError, UnsafeFileError
from graphkit.data import from_files, tables
from graphkit.data.cards import Card, FileEntry, Source
from graphkit.data.store import CardFiles

from .test_data_readers import write


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def masks(train, val, test, total=4) -> bytes:
    parts = {"train": train, "val": val, "test": test}
    return npz(**{f"{name}_mask": np.isin(np.arange(total), ids) for name, ids in parts.items()})


# --- Geom-GCN --------------------------------------------------------------------------------------------------------

GEOM = {
    "out1_graph_edges.txt": "node_id\tnode_id\n0\t1\n1\t0\n1\t2\n1\t2\n3\t3\n",
    "out1_node_feature_label.txt": "node_id\tfeature\tlabel\n2\t0,1,0\t1\n0\t1,0,0\t0\n1\t0,0,1\t1\n3\t1,1,0\t0\n",
    "splits/toy_split_0.6_0.2_10.npz": masks([1], [2], [3]),
    "splits/toy_split_0.6_0.2_2.npz": masks([0, 1], [2], [3]),
}


def test_geom_gcn_text_follows_ids_drops_loops_and_orders_folds_by_number(tmp_path):
    data = from_files("geom-gcn-text", write(tmp_path, GEOM), split="geom-gcn")
    assert data.labels.tolist() == [0, 1, 1, 0] and data.graph.ndata["feat"][2].tolist() == [0, 1, 0]
    assert data.report == {"raw_edges": 5, "self_loops": 1, "repeated_edges": 1} and data.graph.num_edges() == 4
    assert data.splits["train"].tolist() == [0, 1] and data.fold(1).splits["train"].tolist() == [1]
    one_way = from_files("geom-gcn-text", tmp_path, split="geom-gcn", directed=True)
    assert sorted(zip(*(ids.tolist() for ids in one_way.graph.edges()), strict=True)) == [(0, 1), (1, 0), (1, 2)]
    assert not one_way.undirected and "reverse_id" not in one_way.graph.edata


def test_geom_gcn_text_of_active_features_and_crlf(tmp_path):
    nodes = "node_id\tfeature\tlabel\n0\t3,1\t0\n1\t0\t1\n2\t2,2\t0\n3\t1\t1\n".replace("\n", "\r\n")
    folder = write(tmp_path, GEOM, **{"out1_node_feature_label.txt": nodes})
    data = from_files("geom-gcn-text", folder, split="geom-gcn", features="indices")
    assert data.graph.ndata["feat"].tolist() == [[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]]
    with pytest.raises(UnknownNameError, match="unknown features 'sparse'"):
        from_files("geom-gcn-text", folder, features="sparse")


NODES, EDGES = "out1_node_feature_label.txt", "out1_graph_edges.txt"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (EDGES, "0\t1\n", f"{EDGES}, line 1: no column 'node_id'"),
        (EDGES, "node_id\tnode_id\n\n0\t4\n", f"{EDGES}, line 3: the ids 0, 4; expected ids from 0 to 3"),
        (EDGES, "node_id\tnode_id\n0\t1\n0 2\n", f"{EDGES}, line 3: 1 columns where 2 were expected"),
        (EDGES, "node_id\tnode_id\n0\tx\n", f"{EDGES}, line 2: 'x' is not a number"),
        (NODES, "node_id\tfeature\n0\t1\n", f"{NODES}, line 1: no column 'label'"),
        (NODES, "node_id\tfeature\tlabel\n0\t1,0\t0\n1\t1,0,1\t0\n", f"{NODES}, line 3: 3 columns where 2"),
        (NODES, "node_id\tfeature\tlabel\n0\t1\t0\n0\t1\t0\n", f"{NODES}, line 3: the id 0 repeats"),
        (NODES, "node_id\tfeature\tlabel\n0\t1\t0\n2\t1\t0\n", f"{NODES}, line 3: the id 2 leaves a gap"),
        (NODES, "node_id\tfeature\tlabel\n0\t1\n", f"{NODES}, line 2: 2 columns where node_id, feature and label"),
        (NODES, "node_id\tfeature\tlabel\n0\t1\tnone\n", f"{NODES}, line 2: 'none' is not a number"),
        (NODES, "node_id\tfeature\tlabel\n", f"{NODES} holds no nodes"),
        (NODES, "", f"{NODES}, line 1: no column 'node_id'; the header, cut at .*, is nothing"),
        ("splits/toy_split_0.6_0.2_2.npz", masks([0], [1], [2], 5), "does not hold three masks of 4 nodes"),
    ],
)
def test_unsound_geom_gcn_text(tmp_path, name, content, says):
    with pytest.raises(DataError, match=says):
        from_files("geom-gcn-text", write(tmp_path, GEOM, **{name: content}))


@pytest.mark.parametrize("text", ["1,x", "1,-2"])
def test_active_features_that_are_no_numbers(tmp_path, text):
    folder = write(tmp_path, GEOM, **{NODES: f"node_id\tfeature\tlabel\n0\t{text}\t0\n"})
    with pytest.raises(DataError, match=f"{NODES}, line 2: "):
        from_files("geom-gcn-text", folder, features="indices")


# --- heterophilous graphs --------------------------------------------------------------------------------------------


def heterophilous(**changes) -> bytes:
    part = np.eye(3, dtype=bool)
    arrays = {
        "node_features": np.eye(3, 2), "node_labels": np.array([0, 1, 0]), "edges": np.array([[0, 1], [1, 2]]),
        "train_masks": part[[0, 1]], "val_masks": part[[1, 2]], "test_masks": part[[2, 0]],
    }  # fmt: skip
    return npz(**{name: value for name, value in {**arrays, **changes}.items() if value is not None})


def test_heterophilous_npz_keeps_its_folds_and_its_directed_sister(tmp_path):
    both = {"toy.npz": heterophilous(), "toy_directed.npz": heterophilous(edges=np.array([[0, 1], [1, 0], [2, 2]]))}
    data = from_files("heterophilous-npz", write(tmp_path, both), split="folds", fold=1)
    assert data.graph.num_edges() == 4 and [part.tolist() for part in data.splits.values()] == [[1], [2], [0]]
    one_way = from_files("heterophilous-npz", tmp_path, split="folds", directed=True)
    assert one_way.graph.num_edges() == 2 and one_way.report["self_loops"] == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (heterophilous(edges=None), "toy.npz has no array 'edges'; it has node_features"),
        (heterophilous(edges=np.array([[0, 3]])), "destination 3; expected ids from 0 to 2"),
        (heterophilous(edges=np.arange(3)), "its arrays contradict each other: .*edges \\(3,\\)"),
        (heterophilous(val_masks=np.zeros((1, 3))), "contradict each other"),
        (heterophilous(node_features=np.full((3, 1), np.nan)), "toy.npz: node_features holds NaN"),
        (heterophilous()[:400], "truncated or not an npz"),
    ],
)
def test_unsound_heterophilous_npz(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        from_files("heterophilous-npz", write(tmp_path, {"toy.npz": content}))


# --- gnn-benchmark ---------------------------------------------------------------------------------------------------


def gnnbench(joint: str = "_", **changes) -> bytes:
    matrices = {
        "adj": scipy.sparse.csr_matrix(np.array([[1, 2, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])),
        "attr": scipy.sparse.csr_matrix(np.array([[1, 0], [0, 0], [0, 3], [1, 1]], dtype=np.float64)),
    }
    arrays = {"labels": np.array([0, 1, 1, 0])}
    for part, matrix in matrices.items():
        for key in ("data", "indices", "indptr", "shape"):
            arrays[f"{part}{joint}{key}"] = np.asarray(getattr(matrix, key))
    return npz(**{name: value for name, value in {**arrays, **changes}.items() if value is not None})


@pytest.mark.parametrize("joint", ["_", "_matrix."])
def test_gnn_benchmark_npz_in_both_spellings(tmp_path, joint):
    folder = write(tmp_path, {"toy.npz": gnnbench(joint, class_names=np.array(["a", "b"], dtype=object))})
    data = from_files("gnn-benchmark-npz", folder)
    assert data.graph.num_edges() == 4 and data.names["class"] == ["a", "b"]
    assert data.graph.ndata["feat"].tolist() == [[1, 0], [0, 0], [0, 3], [1, 1]]
    assert data.report == {"raw_edges": 4, "self_loops": 1, "repeated_edges": 0, "isolated_nodes": 1}
    part = from_files("gnn-benchmark-npz", folder, largest_component=True, directed=True)
    assert part.graph.num_nodes() == 3 and part.graph.num_edges() == 3 and part.labels.tolist() == [0, 1, 1]


class Touch:
    def __reduce__(self):
        return (open, ("/nowhere/at/all", "w"))


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (gnnbench(adj_indptr=None), DataError, "toy.npz has no array 'adj_indptr'"),
        (gnnbench(adj_indices=np.array([0, 1, 2, 9])), DataError, "the parts of adj contradict each other"),
        (gnnbench(adj_indptr=np.array([0, 2, 1, 4, 4])), DataError, "the parts of adj contradict each other"),
        (gnnbench(labels=np.arange(3)), DataError, "do not describe the same nodes"),
        (gnnbench(names=np.array([Touch()], dtype=object)), UnsafeFileError, "asks for .*open"),
        (gnnbench()[:900], DataError, "truncated or not an npz"),
    ],
)
def test_unsound_gnn_benchmark_npz(tmp_path, content, error, says):
    with pytest.raises(error, match=says):
        from_files("gnn-benchmark-npz", write(tmp_path, {"toy.npz": content}))


# --- tables and sources ----------------------------------------------------------------------------------------------


def test_a_header_may_follow_blank_lines_and_a_byte_order_mark():
    header, body = tables.headed(b"\n\n\xef\xbb\xbfa,b\n1,2\n", "x", ["a", "b"], ",")
    assert header == ["a", "b"] and tables.lines(body) == [(4, "1,2")]


def test_a_published_form_that_nobody_has_seen_is_not_taken_as_vouched_for(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("GRAPHKIT_HOME", str(tmp_path / "home"))
    there = write(tmp_path / "published", {"a.npz": gnnbench()}) / "a.npz"
    monkeypatch.setattr("graphkit.data.store.download", lambda url, folder, quiet=False: there.read_bytes())
    sources = (Source(mirror="a.npz", sha256="0" * 64, content_sha256="0" * 64), Source(url="https://x/a.npz"))
    card = Card("a", "a", "gnn-benchmark-npz", ("node",), "f", "d", files=(FileEntry("a.npz", sources=sources),))
    with pytest.raises(ChecksumError, match=r"nothing vouches for https://x/a.npz.*verify=False"):
        CardFiles(card).read("a.npz")
    files = CardFiles(card, verify=False)
    assert files.read("a.npz") == there.read_bytes() and set(files.unverified) == {"a.npz"}
