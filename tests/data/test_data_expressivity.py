"""Readers of graphs that test expressivity: sound files of each format, and the ways they can be unsound."""

from __future__ import annotations

import io
import pickle

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.core.errors import DataError, GraphKitError, UnsafeFileError
from graphkit.data import from_files
from graphkit.data.readers.graph6 import decode


def npy(values) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 80), st.integers(0, 2**32))
def test_graph6_gives_back_what_networkx_wrote(size, seed):
    graph = networkx.gnp_random_graph(size, 0.3, seed=seed)
    text = networkx.to_graph6_bytes(graph, header=False).decode().strip()
    n, edges = decode(text)
    assert n == size and {tuple(edge) for edge in edges.tolist()} == {tuple(sorted(e)) for e in graph.edges}


def test_graph6_files_with_header_blank_lines_and_crlf(tmp_path):
    (tmp_path / "a.g6").write_bytes(b">>graph6<<Bw\r\n\r\nA_\r\n")
    (tmp_path / "b.g6").write_bytes(b"A?\n")
    data = from_files("graph6", tmp_path, split={"train": [0]})
    assert data.collated.node_counts.tolist() == [3, 2, 2] and data.collated.edge_counts.tolist() == [6, 2, 0]
    assert data.collated.graph_fields["file"].tolist() == [0, 0, 1] and data.labels is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Bw\nB\n", "a.g6, line 2: 0 characters of edges where 3 nodes need 1; it may be truncated"),
        (b"B w\n", "a.g6, line 1: 'B w' is not graph6"),
        (b"Bww\n", "line 1: 2 characters of edges where 3 nodes need 1"),
    ],
)
def test_unsound_graph6_names_file_and_line(tmp_path, content, says):
    (tmp_path / "a.g6").write_bytes(content)
    with pytest.raises(DataError, match=says):
        from_files("graph6", tmp_path)


def brec(folder, **changes):
    one = {"basic": ["Bw", "B?"], "str": ["Bw", "BW"], "4vtx": ["A_", "A?"], "dr": [b"A_", b"A?"]}
    two = {"regular": [[b"Bw", b"BW"]], "extension": [["A_", "A?"]], "cfi": [[b"A_", b"A?"]]}
    for name, values in {**one, **two}.items():
        (folder / f"{name}.npy").write_bytes(npy(np.array(values)))
    for name, content in changes.items():
        (folder / f"{name}.npy").write_bytes(content)
    return folder


def test_brec_numbers_pairs_and_parts(tmp_path):
    data = from_files("brec", brec(tmp_path), split="paired")
    fields = data.collated.graph_fields
    assert len(data) == 14 and fields["pair"].tolist() == [i // 2 for i in range(14)]
    assert data.names["part"][int(fields["part"][2])] == "regular"
    assert from_files("brec", tmp_path, split={"train": [0]}, part="cfi").collated.node_counts.tolist() == [2, 2]
    for part in data.splits.values():
        assert len(part) % 2 == 0 and len((part // 2).unique()) == len(part) // 2


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (npy(np.array(["Bw", "B"])), DataError, "basic.npy, graph 1: 0 characters"),
        (npy(np.array(["Bw"])), DataError, "basic.npy holds 1 values"),
        (npy(np.arange(4)), DataError, "expected pairs of strings"),
        (npy(np.array(["Bw", "B?"]))[:-4], DataError, "basic.npy is truncated or not an array of strings"),
        (npy(np.array([print, 1], dtype=object)), DataError, "basic.npy is truncated or not an array of strings"),
    ],
)
def test_unsound_brec_files(tmp_path, content, error, says):
    with pytest.raises(error, match=says):
        from_files("brec", brec(tmp_path, basic=content))


def csl(folder, graphs=None, train="0,1,2\n", test="5,6"):
    ring = scipy.sparse.coo_matrix(np.eye(5) + np.roll(np.eye(5), 1, 0) + np.roll(np.eye(5), -1, 0))
    pickled = pickle.dumps([ring] * 20, protocol=2) if graphs is None else graphs
    (folder / "graphs_Kary.pkl").write_bytes(pickled)
    for part, text in {"train": train, "val": "3,4\n", "test": test}.items():
        (folder / f"CSL_{part}.index").write_text(text)
    return folder


def test_csl_drops_the_diagonal_and_reads_folds(tmp_path):
    data = from_files("csl", csl(tmp_path), split="folds")
    assert data.labels.tolist() == [c for c in range(10) for _ in range(2)]
    assert data.collated.edge_counts.tolist() == [10] * 20 and data.report["self_loops"] == 100
    assert {name: part.tolist() for name, part in data.splits.items()} == {
        "train": [0, 1, 2], "val": [3, 4], "test": [5, 6],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"train": "0,1\n0,2\n"}, DataError, "unequal numbers of folds: 2 in train, 1 in val, 1 in test"),
        ({"train": "0,x\n"}, DataError, "CSL_train.index, line 1: expected whole numbers"),
        ({"train": "0,20\n"}, DataError, "CSL_train.index, line 1: graph 20; expected ids from 0 to 19"),
        ({"test": "2,6"}, DataError, "fold 0 of .* repeats graphs"),
        ({"graphs": pickle.dumps([print] * 10)}, UnsafeFileError, "graphs_Kary.pkl asks for builtins.print"),
        ({"graphs": pickle.dumps({"a": 1})}, DataError, "is no list of sparse matrices"),
        ({"graphs": b"\x80\x02]"}, DataError, "graphs_Kary.pkl is truncated"),
    ],
)
def test_unsound_csl_files(tmp_path, changes, error, says):
    with pytest.raises(error, match=says):
        from_files("csl", csl(tmp_path, **changes))


def substructures(folder, drop=None, cut=0):
    import dgl

    graphs = [dgl.graph(([0, 1, 1, 2], [1, 0, 2, 1]), num_nodes=4) for _ in range(4)]
    counts = ("triangle", "tailed_triangle", "star", "chordal_cycle", "attributed_triangle")
    labels = {name: torch.arange(4.0) for name in counts if name != drop}
    dgl.save_graphs(str(folder / "d.bin"), graphs, labels)
    content = (folder / "d.bin").read_bytes()
    (folder / "d.bin").write_bytes(content[: len(content) - cut])
    for part, text in {"train": "0\n1\n", "val": "2\n", "test": "3\n"}.items():
        (folder / f"d_{part}.txt").write_text(text)
    return folder


def test_substructure_counts_and_their_split(tmp_path):
    data = from_files("substructure-counting", substructures(tmp_path), split="public")
    assert data.labels.shape == (4, 5) and data.splits["test"].tolist() == [3]
    assert data.collated.edge_counts.tolist() == [4] * 4 and "reverse_id" in data[0].edata
    scaled = from_files("substructure-counting", tmp_path, split="public", normalize=True)
    assert torch.allclose(scaled.labels[:2].std(dim=0), torch.ones(5))


def test_unsound_substructure_files(tmp_path):
    with pytest.raises(DataError, match=r"d.bin has no counts of star"):
        from_files("substructure-counting", substructures(tmp_path, drop="star"))
    with pytest.raises(DataError, match=r"d.bin is truncated or not a file of graphs"):
        from_files("substructure-counting", substructures(tmp_path, cut=200))
    substructures(tmp_path)
    (tmp_path / "d_val.txt").write_text("7\n")
    with pytest.raises(DataError, match=r"d_val.txt names graph 7; expected ids from 0 to 3"):
        from_files("substructure-counting", tmp_path)
    (tmp_path / "d.bin").write_bytes(b"nothing like it")
    with pytest.raises(DataError, match=r"d.bin is not a file of graphs that DGL wrote"):
        from_files("substructure-counting", tmp_path)


def test_pairs_need_an_even_number_of_graphs(tmp_path):
    (tmp_path / "a.g6").write_bytes(b"Bw\nA_\nA?\n")
    with pytest.raises(GraphKitError, match="has 3 graphs; pairs need an even number"):
        from_files("graph6", tmp_path, split="paired")
