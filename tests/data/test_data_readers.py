"""Readers: sound files of each format, and every way they can be unsound."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.core.errors import DataError, GraphKitError, UnknownNameError, UnsafeFileError
from graphkit.data import from_files, tables

TU = {
    "DS_A.txt": "1, 2\n2, 1\n2, 3\n3, 2\n4, 5\n5, 4\n5, 4\n",
    "DS_graph_indicator.txt": "1\n1\n1\n2\n2\n3\n",
    "DS_graph_labels.txt": "1\n-1\n1\n",
    "DS_node_labels.txt": "5\n7\n5\n5\n9\n7\n",
    "DS_edge_labels.txt": "0\n0\n2\n2\n0\n0\n0\n",
    "DS_node_attributes.txt": "".join(f"{i}.5, -1e-3\n" for i in range(6)),
}


def write(folder: Path, files: dict, **changes) -> Path:
    for name, content in {**files, **changes}.items():
        if content is None:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def tu(folder: Path, **changes):
    return from_files("tu", write(folder, TU, **changes), split={"train": [0, 1, 2]})


# --- TU --------------------------------------------------------------------------------------------------------------


def test_tu_reads_labels_isolated_nodes_and_repeated_edges(tmp_path):
    data = tu(tmp_path)
    assert data.labels.tolist() == [1, 0, 1] and data.names["class"] == ["-1", "1"]
    assert data.collated.node_counts.tolist() == [3, 2, 1] and data.collated.edge_counts.tolist() == [4, 2, 0]
    assert data.collated.node_fields["feat"].argmax(1).tolist() == [0, 1, 0, 0, 2, 1]
    assert data.report["repeated_edges"] == 1 and data.report["isolated_nodes"] == 1
    g = data[0]
    assert g.edata["etype"].tolist() == [0, 0, 1, 1] and g.edata["feat"].shape == (4, 2)
    assert data[2].num_edges() == 0
    assert data.spec().as_dict() == {
        "level": "graph", "in_feats": 3, "out_feats": 2, "edge_feats": 2, "num_nodes": 0, "num_relations": 2,
        "class_relations": (), "num_hyperedges": 0,
    }  # fmt: skip


def test_tu_appends_attributes_if_asked(tmp_path):
    data = from_files("tu", write(tmp_path, TU), split={"train": [0]}, attributes=True)
    assert data.spec().in_feats == 5
    assert torch.allclose(data.collated.node_fields["feat"][1, 3:], torch.tensor([1.5, -1e-3]))


def test_tu_without_node_labels_takes_degrees(tmp_path):
    data = tu(tmp_path, **{"DS_node_labels.txt": None, "DS_node_attributes.txt": None})
    assert data.collated.node_fields["feat"].argmax(1).tolist() == [1, 2, 1, 1, 1, 0]


def test_crlf_and_blank_lines_are_fine(tmp_path):
    crlf = {name: text.replace("\n", "\r\n") + "\r\n" for name, text in TU.items()}
    assert tu(tmp_path, **crlf).collated.num_edges == 6


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("DS_graph_indicator.txt", "1\n1\n1\n3\n3\n4\n", "indicator.txt, line 4: graph id 3 follows 1"),
        ("DS_graph_indicator.txt", "1\n1\n1\n2\n1\n2\n", "line 5: graph id 1 follows 2"),
        ("DS_graph_indicator.txt", "0\n0\n0\n1\n1\n2\n", "line 1: graph id 0 follows 0"),
        ("DS_graph_indicator.txt", "", "is empty"),
        ("DS_graph_labels.txt", "1\n-1\n", "2 lines where 3 were expected; it may be truncated"),
        ("DS_node_labels.txt", "5\n7\n", "2 lines where 6 were expected"),
        ("DS_A.txt", "1, 2\n2, 9\n", "A.txt, line 2: nodes .2, 9.; expected ids from 1 to 6"),
        ("DS_A.txt", "1, 2\n1, 4\n", "line 2: nodes 1 and 4 belong to the graphs 1 and 2"),
        ("DS_A.txt", "1, 2\n2\n", "A.txt, line 2: 1 columns where 2 were expected"),
        ("DS_A.txt", "1; 2\n2; 1\n", "A.txt, line 1: 1 columns where 2 were expected"),
        ("DS_A.txt", "1, 2\n2, x\n", "A.txt, line 2: 'x' is not a number"),
        ("DS_A.txt", "1, 2\n2, 1.5\n", "A.txt, line 2: '1.5' is not a whole number"),
        ("DS_node_attributes.txt", "1,2\n" * 5 + "nan,2\n", "attributes.txt, line 6: 'nan' is not a finite number"),
    ],
)
def test_unsound_tu_files_name_file_and_line(tmp_path, name, content, says):
    with pytest.raises(DataError, match=says):
        tu(tmp_path, **{name: content})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"DS_graph_indicator.txt is missing"):
        tu(tmp_path, **{"DS_graph_indicator.txt": None})


def test_unknown_reader_and_option(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown reader 'tuu'"):
        from_files("tuu", tmp_path)
    with pytest.raises(UnknownNameError, match="unknown option 'atributes'"):
        from_files("tu", write(tmp_path, TU), atributes=True)
    with pytest.raises(DataError, match="is not a folder"):
        from_files("tu", tmp_path / "nowhere")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2**32)), min_size=1, max_size=6))
def test_tu_gives_back_the_graphs_that_were_written(tmp_path_factory, shapes):
    folder, rows, owner, wanted, first = tmp_path_factory.mktemp("tu"), [], [], [], 1
    for g, (size, seed) in enumerate(shapes, 1):
        upper = np.triu(np.random.default_rng(seed).random((size, size)) < 0.5, 1)
        matrix = upper | upper.T
        rows += [f"{first + u}, {first + v}" for u, v in zip(*matrix.nonzero(), strict=True)]
        owner += [str(g)] * size
        wanted.append(matrix)
        first += size
    files = {"X_A.txt": "\n".join(rows), "X_graph_indicator.txt": "\n".join(owner)}
    labels = {"X_graph_labels.txt": "\n".join(str(g % 2) for g in range(len(shapes)))}
    data = from_files("tu", write(folder, {**files, **labels}), split={"train": [0]}, features="none")
    for g, matrix in zip(data, wanted, strict=True):
        src, dst = g.edges()
        made = np.zeros_like(matrix)
        made[src.numpy(), dst.numpy()] = True
        assert (made == matrix).all() and g.num_edges() == matrix.sum()


# --- GIN -------------------------------------------------------------------------------------------------------------

GIN = {"X.txt": "2\n3 7\n0 2 1 2\n1 1 0\n0 1 0\n2 4\n1 1 1\n1 1 0\n"}
FOLD = {"10fold_idx/train_idx-1.txt": "0\n", "10fold_idx/test_idx-1.txt": "1\n"}


def test_gin_reads_graphs_and_folds(tmp_path):
    data = from_files("gin", write(tmp_path, {**GIN, **FOLD}), split="folds", val_ratio=0.0)
    assert data.collated.node_counts.tolist() == [3, 2] and data.labels.tolist() == [1, 0]
    assert data.splits["test"].tolist() == [1] and data.splits["val"].tolist() == []
    assert data.collated.node_fields["feat"].tolist()[:2] == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"X.txt": "2\n3 7\n0 2 1 2\n"}, "ends at line 3 where node 1 of graph 0 was expected; it may be truncated"),
        ({"X.txt": "1\n2 7\n0 1 5\n0 0\n"}, "line 3: expected a tag, a degree and as many neighbours from 0 to 1"),
        ({"X.txt": "1\n2 7\n0 2 1\n0 0\n"}, "line 3: expected a tag, a degree"),
        ({"X.txt": "1\ntwo 7\n"}, "line 2: expected whole numbers"),
        ({"10fold_idx/train_idx-1.txt": "0\n1\n"}, "2 of 2 graphs, 3 in all; the folds belong to another edition"),
        ({"10fold_idx/train_idx-1.txt": ""}, "1 of 2 graphs, 1 in all"),
        ({"10fold_idx/test_idx-1.txt": "5\n"}, "test_idx-1.txt names graph 5; expected ids from 0 to 1"),
    ],
)
def test_unsound_gin_files(tmp_path, change, says):
    with pytest.raises(DataError, match=says):
        from_files("gin", write(tmp_path, {**GIN, **FOLD}, **change), split="folds")


def test_folds_of_other_graphs_are_refused(tmp_path):
    folds = from_files("gin", write(tmp_path / "a", {**GIN, **FOLD}), split="folds")
    same = from_files("gin", write(tmp_path / "b", GIN), split={"train": [0, 1]})
    assert same.with_split("folds", of=folds, val_ratio=0.0).splits["test"].tolist() == [1]
    other = {"X.txt": "2\n2 4\n1 1 1\n1 1 0\n3 7\n0 2 1 2\n1 1 0\n0 1 0\n"}
    swapped = from_files("gin", write(tmp_path / "c", other), split={"train": [0, 1]})
    with pytest.raises(GraphKitError, match="refer to other graphs than c: graph 0 has 3 nodes there, 2 here"):
        swapped.with_split("folds", of=folds)


# --- the others ------------------------------------------------------------------------------------------------------

TRIPLES = {"train.txt": "a\tr\tb\r\nb\ts\tc\r\na\ts\tb\r\n", "valid.txt": "c\tr\ta\r\n", "test.txt": "007\tr\ta\r\n"}


def test_triples_keep_the_message_graph_to_training(tmp_path):
    data = from_files("triples", write(tmp_path, TRIPLES))
    assert data.names == {"entity": ["007", "a", "b", "c"], "relation": ["r", "s"]}
    assert data.graph.num_edges() == 3 and data.original.num_edges() == 5 and len(data.known) == 5
    test = data.splits["test"].pos
    assert (test.src.tolist(), test.rel.tolist(), test.dst.tolist()) == ([0], [0], [1])
    assert data.spec().num_relations == 2 and data.spec().in_feats == 0
    assert data.report["entities_not_in_training"] == 1


def test_triples_with_the_wrong_delimiter_name_the_line(tmp_path):
    with pytest.raises(DataError, match=r"valid.txt, line 2: 1 columns where head, relation and tail were expected"):
        from_files("triples", write(tmp_path, TRIPLES, **{"valid.txt": "c\tr\ta\nc r a\n"}))


def test_seal_reads_a_matrix_and_refuses_others(tmp_path):
    net = scipy.sparse.csc_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=float))
    (tmp_path / "good").mkdir()
    scipy.io.savemat(tmp_path / "good" / "x.mat", {"net": net})
    made = from_files("seal-mat", tmp_path / "good", split={"train": _all_links([(0, 1), (1, 2)])})
    assert made.graph.num_edges() == 4 and made.report["self_loops"] == 1
    (tmp_path / "other").mkdir()
    scipy.io.savemat(tmp_path / "other" / "x.mat", {"network": net})
    with pytest.raises(DataError, match="expected a square matrix 'net', found none"):
        from_files("seal-mat", tmp_path / "other")
    whole = (tmp_path / "good" / "x.mat").read_bytes()
    write(tmp_path / "cut", {"x.mat": whole[: len(whole) // 2]})
    with pytest.raises(DataError, match="truncated or not a MATLAB 5 file"):
        from_files("seal-mat", tmp_path / "cut")


def _all_links(pairs):
    from graphkit.core.batch import Pairs
    from graphkit.data import LinkSplit

    return LinkSplit(Pairs(*torch.tensor(pairs).T.contiguous()))


def planetoid(folder: Path, **changes) -> Path:
    csr, eye = scipy.sparse.csr_matrix, np.eye(2, dtype=np.int32)
    parts = {
        "x": csr(np.eye(2, 3)), "y": eye, "allx": csr(np.eye(3, 3)), "ally": eye[[0, 1, 1]],
        "tx": csr(np.full((2, 3), 2.0)), "ty": eye[[1, 0]],
        "graph": {0: [1, 1, 0], 1: [0, 5], 2: [], 5: [1], 3: [0]},
    }  # fmt: skip
    files = {f"ind.toy.{name}": pickle.dumps(value, protocol=2) for name, value in parts.items()}
    return write(folder, {**files, "ind.toy.test.index": "5\n3\n"}, **changes)


def test_planetoid_follows_the_test_index_and_fills_its_gap(tmp_path):
    data = from_files("planetoid", planetoid(tmp_path), num_val=1)
    assert data.labels.tolist() == [0, 1, 1, 0, -1, 1] and data.split_name == "public"
    assert data.graph.ndata["feat"][4].sum() == 0 and data.graph.in_degrees(4) == 0
    assert [part.tolist() for part in data.splits.values()] == [[0, 1], [2], [3, 5]]
    assert data.report | {"isolated_without_label": 1, "self_loops": 1, "repeated_edges": 1} == data.report
    assert data.graph.num_edges() == 6


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("ind.toy.test.index", "5\n", DataError, "contradict each other"),
        ("ind.toy.test.index", "5\n5\n", DataError, "line 2: the test node 5 repeats"),
        ("ind.toy.graph", b"\x80\x02}q", DataError, "ind.toy.graph is truncated or not a pickle"),
        ("ind.toy.graph", pickle.dumps({0: [77]}), DataError, "destination 77; expected ids from 0 to 5"),
        ("ind.toy.graph", b"cos\nsystem\n(S'true'\ntR.", UnsafeFileError, "asks for os.system"),
    ],
)
def test_unsound_planetoid_files(tmp_path, name, content, error, says):
    with pytest.raises(error, match=says):
        from_files("planetoid", planetoid(tmp_path, **{name: content}))


CSV = "smiles,y,z\r\nCCO,1,0.5\r\n\r\nC1CC,0,1\r\nc1ccccc1,,2\r\n"


def test_molecules_skip_and_list_what_does_not_parse(tmp_path):
    pytest.importorskip("rdkit")
    folder = write(tmp_path, {"m.csv": CSV})
    data = from_files("moleculenet-csv", folder, split={"train": [0, 1]}, targets=["y", "z"])
    assert len(data) == 2 and data.report["skipped"] == [[1, "C1CC"]] and data.names["smiles"] == ["CCO", "c1ccccc1"]
    assert data.labels.isnan().tolist() == [[False, False], [True, False]] and data.spec().out_feats == 2
    with pytest.raises(DataError, match=r"m.csv, line 4: the SMILES 'C1CC' does not parse"):
        from_files("moleculenet-csv", folder, targets="y", on_error="raise")
    with pytest.raises(DataError, match=r"m.csv, line 1: no column 'w'; .*is 'smiles', 'y', 'z'"):
        from_files("moleculenet-csv", folder, targets="w")
    with pytest.raises(DataError, match="line 2: 'CCO' in column 'smiles' is not a finite number"):
        from_files("moleculenet-csv", folder, targets="smiles")


@given(st.lists(st.lists(st.integers(-(10**9), 10**9), min_size=3, max_size=3), min_size=1, max_size=20))
def test_integer_tables_come_back(rows):
    text = "\n".join(", ".join(map(str, row)) for row in rows)
    assert tables.integers(text.encode(), "x", 3).tolist() == rows


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,-e \nx\r", max_size=60))
def test_any_text_is_a_table_or_a_clear_error(text):
    try:
        assert np.isfinite(tables.numbers(text.encode(), "x", 2)).all()
    except DataError as error:
        assert str(error).startswith("x")
