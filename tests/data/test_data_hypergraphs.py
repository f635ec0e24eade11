"""Hypergraphs: builders, the readers of each raw format, and tasks on nodes and on hyperedges."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError, UnknownNameError, UnsafeFileError
from graphkit.data import from_files
from graphkit.graphs import clique_expansion, dual, from_hyperedges, from_incidence, graph, members
from graphkit.graphs.hypergraph import flatten, unflatten

HYPEREDGES = st.lists(st.lists(st.integers(0, 7), max_size=5), max_size=8)
FOLDS = {"fold": 0, "val_ratio": 0.0}


# --- builders --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(HYPEREDGES)
def test_members_come_back_and_the_dual_of_the_dual_is_the_same(lists):
    wanted = [sorted(set(one)) for one in lists]
    fields = {"feat": torch.arange(8.0)[:, None]}, {"time": torch.arange(len(lists))}
    made = from_hyperedges(lists, 8, *fields)
    assert members(made) == wanted
    turned = dual(made)
    assert members(turned) == [[j for j, one in enumerate(wanted) if i in one] for i in range(8)]
    back = dual(turned)
    assert members(back) == wanted
    assert torch.equal(back.nodes["node"].data["feat"], fields[0]["feat"])
    assert torch.equal(back.nodes["hyperedge"].data["time"], fields[1]["time"])
    src, dst = made.edges(etype="in", order="eid")
    other = made.edges(etype="has", order="eid")
    assert torch.equal(src, other[1]) and torch.equal(dst, other[0])


@settings(max_examples=60, deadline=None)
@given(HYPEREDGES)
def test_clique_expansion_counts_shared_hyperedges(lists):
    flat = clique_expansion(from_hyperedges(lists, 8))
    made = np.zeros((8, 8))
    src, dst = flat.edges()
    made[src.numpy(), dst.numpy()] = flat.edata["weight"].numpy()
    wanted = sum(
        (np.outer(x, x) for x in (np.isin(np.arange(8), one).astype(float) for one in lists)), np.zeros((8, 8))
    )
    np.fill_diagonal(wanted, 0)
    assert (made == wanted).all()
    twin = flat.edata["reverse_id"]
    assert torch.equal(src[twin], dst)


@settings(max_examples=40, deadline=None)
@given(HYPEREDGES)
def test_the_flat_form_loses_nothing(lists):
    made = from_hyperedges(lists, 8, {"label": torch.arange(8)}, {"time": torch.arange(len(lists))})
    src, dst, fields = flatten(made)
    back = unflatten(graph(src, dst, 8 + len(lists), fields))
    assert members(back) == members(made)
    assert back.nodes["node"].data["label"].tolist() == list(range(8))
    assert back.nodes["hyperedge"].data["time"].tolist() == list(range(len(lists)))


def test_bad_hypergraphs_are_told():
    with pytest.raises(GraphKitError, match=r"node\[1\] is 9, but there are 4 nodes"):
        from_hyperedges([[0, 9]], 4)
    with pytest.raises(GraphKitError, match="node has 2 rows and hyperedge 1"):
        from_incidence([0, 1], [0])
    with pytest.raises(GraphKitError, match="node field 'feat' has shape"):
        from_hyperedges([[0, 1]], node_fields={"feat": [1.0]})
    with pytest.raises(GraphKitError, match="expected a hypergraph"):
        dual(graph([0], [1]))


def test_a_users_own_hypergraph():
    made = from_hyperedges([[0, 1], [1, 2], [0, 3], [2, 3]], hyperedge_fields={"time": [3, 1, 2, 2]})
    data = gk.Dataset.from_graph(made, labels=[0, 1, 0, -1], splits={"train": [0, 1], "test": [2]})
    assert data.labels.tolist() == [0, 1, 0, -1] and data.num_hyperedges == 4 and data.num_rows == 4
    assert data.spec().num_nodes == 4 and data.spec().out_feats == 2
    assert members(data.graph) == [[1, 2], [0, 3], [2, 3], [0, 1]]
    with pytest.raises(GraphKitError, match="there are 4 nodes"):
        gk.Dataset.from_graph(made, labels=[0, 1, 0, 1], splits={"train": [5]})
    timed = gk.Dataset.from_graph(made, "hyperedge", ratio=(0.3, 0.5, 0.2))
    assert [timed.splits[part].tolist() for part in ("train", "val", "test")] == [[0], [1, 2], [3]]
    assert members(timed.graph) == [[1, 2], [], [], []] and timed.graph.num_nodes("hyperedge") == 4
    assert timed.graph.nodes["hyperedge"].data["time"].tolist() == [1, 2, 2, 3]
    with pytest.raises(GraphKitError, match="the hyperedges of graph have no field 'time'"):
        gk.Dataset.from_graph(from_hyperedges([[0, 1]]), "hyperedge")


def test_a_system_for_graphs_says_that_it_cannot_read_a_hypergraph():
    made = from_hyperedges([[0, 1], [1, 2], [0, 3], [2, 3]], node_fields={"feat": torch.eye(4)})
    data = gk.Dataset.from_graph(made, labels=[0, 1, 0, 1], splits={"train": [0, 1], "test": [2, 3]})
    with pytest.raises(GraphKitError, match=r"is a hypergraph.*clique_expansion"):
        gk.fit("gcn", data, epochs=1, progress=False)
    flat = gk.Dataset.from_graph(clique_expansion(data.graph), splits=data.splits)
    assert "test/accuracy" in gk.fit("gcn", flat, epochs=1, progress=False).metrics


# --- HyperGCN --------------------------------------------------------------------------------------------------------


def hypergcn(folder: Path, **changes) -> Path:
    content = {
        "hypergraph.pickle": {"ann": [0, 1], "bob": {3, 1, 2}, "cy": [2, 2]},
        "labels.pickle": [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]],
        "features.pickle": scipy.sparse.csr_matrix(np.eye(5, 3)),
        "splits/1.pickle": {"train": [0, 1], "test": [2, 3, 4]},
        "splits/10.pickle": {"train": [4], "test": [0]},
        "splits/2.pickle": {"train": [2, 1], "test": [0]},
    }
    for name, value in {**content, **changes}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if value is not None:
            (folder / name).write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=2))
    return folder


def test_hypergcn_pickles(tmp_path):
    data = from_files("hypergcn", hypergcn(tmp_path), split="folds", fold=1, val_ratio=0.0)
    assert data.statistics() == {"nodes": 5, "hyperedges": 3, "memberships": 6, "features": 3, "classes": 2}
    assert members(data.graph) == [[0, 1], [1, 2, 3], [2]] and data.labels.tolist() == [0, 1, 0, 1, 0]
    assert data.splits["train"].tolist() == [1, 2] and data.fold(2).splits["train"].tolist() == [4]
    assert data.report["repeated_members"] == 1 and data.report["nodes_in_no_hyperedge"] == 1
    assert data.names["hyperedge"] == ["ann", "bob", "cy"]
    assert data.graph.nodes["node"].data["feat"].shape == (5, 3)
    assert "feat" not in data.graph.nodes["hyperedge"].data and data.original is data.graph
    numbered = from_files("hypergcn", hypergcn(tmp_path, **{"labels.pickle": [0, 1, 0, 1, 0]}), split="folds", **FOLDS)
    assert torch.equal(numbered.labels, data.labels)


class Evil:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("hypergraph.pickle", {"a": [0, 7]}, DataError, "hyperedge 'a' has the member 7; expected ids from 0 to 4"),
        ("hypergraph.pickle", {"a": [0, -1]}, DataError, "has the member -1"),
        ("hypergraph.pickle", {"a": [0.5]}, DataError, "members that are no whole numbers"),
        ("hypergraph.pickle", {"a": 3}, DataError, "hyperedge 'a' is no collection"),
        ("hypergraph.pickle", [[0, 1]], DataError, "holds a list; expected a dict"),
        ("hypergraph.pickle", {"a": Evil()}, UnsafeFileError, "not on the allow-list"),
        ("hypergraph.pickle", pickle.dumps({"a": [0]})[:-4], DataError, "truncated or not a pickle"),
        ("labels.pickle", [[1, 1], [0, 1]], DataError, "its class, as a number or a one-hot list"),
        ("labels.pickle", [[1], [0, 1]], DataError, "its class, as a number or a one-hot list"),
        ("features.pickle", np.eye(3), DataError, "has 3 rows; expected 5"),
        ("splits/2.pickle", {"train": [0]}, DataError, "has no part 'test'"),
        ("splits/2.pickle", {"train": [0], "test": [9]}, DataError, "names nodes out of range"),
    ],
)
def test_unsound_pickles_are_told(tmp_path, name, value, error, says):
    with pytest.raises(error, match=says) as caught:
        from_files("hypergcn", hypergcn(tmp_path, **{name: value}), split="folds", **FOLDS)
    assert name in str(caught.value)


# --- content and edges -----------------------------------------------------------------------------------------------

CONTENT = "1\t0.5\t1\t1.0\n0 2 3 0.0\n\n2\t1e-3\t0\t1.0\n"
EDGES = "0\t3\n1\t3\n2\t5\n2\t5\n"


def content(folder: Path, nodes: str = CONTENT, edges: str = EDGES):
    (folder / "x.content").write_text(nodes)
    (folder / "x.edges").write_text(edges)
    return from_files("hypergraph-content", folder, split={"train": [0], "test": [1, 2]})


def test_content_and_edges(tmp_path):
    data = content(tmp_path)
    assert data.statistics() == {"nodes": 3, "hyperedges": 2, "memberships": 3, "features": 2, "classes": 2}
    assert members(data.graph) == [[0, 1], [2]] and data.labels.tolist() == [0, 1, 1]
    assert data.graph.nodes["node"].data["feat"][:, 0].tolist() == pytest.approx([2, 0.5, 1e-3])
    assert data.report["unused_hyperedge_ids"] == 1 and data.report["repeated_members"] == 1
    assert content(tmp_path, CONTENT.replace("\n", "\r\n")).collated.num_edges == 3


@pytest.mark.parametrize(
    ("nodes", "edges", "says"),
    [
        ("0 1 0\n2 1 0\n", EDGES, "x.content, line 2: node 2 where 1 was expected"),
        ("0 1 0\n0 1 0\n", EDGES, "x.content, line 2: node 0 where 1 was expected"),
        ("0 1 0\n1 1\n", EDGES, "x.content, line 2: 2 columns where 3 were expected"),
        ("0 1 0\n1 1 0.5\n", EDGES, "x.content, line 2: class 0.5 is no whole number"),
        ("0 x 0\n", EDGES, "x.content, line 1: 'x' is not a number"),
        ("", EDGES, "x.content holds no nodes"),
        (CONTENT, "0 3\n9 3\n", "x.edges, line 2: node 9; expected ids from 0 to 2"),
        (CONTENT, "0 3\n1 2\n", "x.edges, line 2: hyperedge 2; expected ids from 3 on"),
        (CONTENT, "0 3\n1\n", "x.edges, line 2: 1 columns where 2 were expected"),
    ],
)
def test_unsound_tables_name_file_and_line(tmp_path, nodes, edges, says):
    with pytest.raises(DataError, match=says):
        content(tmp_path, nodes, edges)


# --- ScHoLP ----------------------------------------------------------------------------------------------------------


def scholp(folder: Path, lists: list[list[int]], when: list[int], **changes) -> Path:
    parts = {
        "nverts": [len(one) for one in lists],
        "simplices": [node for one in lists for node in one],
        "times": when,
    }
    for name, values in parts.items():
        (folder / f"x-{name}.txt").write_text("".join(f"{value}\n" for value in values))
    for name, text in changes.items():
        (folder / f"x-{name.replace('_', '-')}.txt").write_text(text)
    return folder


def test_simplices_are_sorted_by_time(tmp_path):
    lists, times = [[1, 4], [9, 4, 1], [4, 1], [9]], [5, 2, 7, 5]
    where = scholp(tmp_path, lists, times, node_labels="1 ann e\n4\tbob\n")
    data = from_files("scholp", where, ratio=(0.5, 0.0, 0.5), repeated="keep")
    assert data.times.tolist() == [2, 5, 5, 7] and data.names["node"] == ["ann e", "bob", "9"]
    assert members(data.original) == [[0, 1, 2], [0, 1], [2], [0, 1]]
    assert members(data.graph) == [[0, 1, 2], [0, 1], [2], []]
    assert data.report["out_of_order"] == 2 and data.report["distinct_simplices"] == 3
    first = from_files("scholp", where, repeated="first", split={"train": [0], "test": [1, 2]})
    assert members(first.original) == [[0, 1, 2], [0, 1], [2]]
    with pytest.raises(UnknownNameError, match="unknown repeated 'last'"):
        from_files("scholp", where, repeated="last")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sets(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 6)), min_size=1, max_size=20)
)
def test_simplices_come_back_as_they_were_written(tmp_path_factory, timed):
    folder = scholp(tmp_path_factory.mktemp("x"), [list(s) for s, _ in timed], [t for _, t in timed])
    data = from_files("scholp", folder, split={"train": [0]})
    back = [[int(data.names["node"][i]) for i in one] for one in members(data.original)]
    assert back == [sorted(s) for s, _ in sorted(timed, key=lambda one: one[1])]
    assert data.times.tolist() == sorted(t for _, t in timed)
    assert data.report["distinct_simplices"] == len({frozenset(s) for s, _ in timed})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"times": "1\n"}, "x-times.txt has 1 lines; expected 2"),
        ({"simplices": "1\n2\n"}, "x-simplices.txt has 2 lines; expected 3"),
        ({"simplices": "1\n0\n2\n"}, "x-simplices.txt, line 2: node 0"),
        ({"nverts": "3\n0\n"}, "x-nverts.txt, line 2: a simplex of 0 nodes"),
        ({"nverts": ""}, "x-nverts.txt holds no simplices"),
        ({"times": "1\nx\n"}, "x-times.txt, line 2: 'x' is not a number"),
        ({"node_labels": "1 a\nb\n"}, "x-node-labels.txt, line 2: 'b' does not begin with a node id"),
    ],
)
def test_unsound_simplices_name_file_and_line(tmp_path, changes, says):
    with pytest.raises(DataError, match=says):
        from_files("scholp", scholp(tmp_path, [[1, 2], [3]], [1, 2], **changes))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(DataError, match=r"expected one file \*-nverts.txt among the raw files, found 0"):
        from_files("scholp", tmp_path)
    with pytest.raises(DataError, match=r"expected one \.content file among the raw files, found 0"):
        from_files("hypergraph-content", tmp_path)
    with pytest.raises(DataError, match=r"hypergraph\.pickle is missing"):
        from_files("hypergcn", tmp_path)


@pytest.mark.real
def test_hypergraphs_hold_what_the_notes_say():
    data = gk.load("cora-coauthorship", fold=9, val_ratio=0.0)
    assert data.report["nodes_in_no_hyperedge"] == 2708 - 2388 and data.report["largest_hyperedge"] == 43
    assert [len(part) for part in data.splits.values()] == [140, 0, 2568]
    assert gk.load("email-enron").report["distinct_simplices"] == 1512
    assert gk.load("mushroom").report["hyperedges_of_one"] == 6
