"""Planted motifs and published ground truth of explanations."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError, UnsafeFileError
from graphkit.data import from_files


def motif_degrees(data):
    """Return how many motif edges each node has."""
    graph = data.graph
    return torch.bincount(graph.edges()[1][graph.edata["motif_edge"]], minlength=graph.num_nodes())


@pytest.mark.parametrize(
    ("name", "motifs", "edges", "degrees"),
    [("tree-cycles", 60, 360, {2}), ("tree-grid", 80, 960, {2, 3, 4})],
)
def test_motifs_on_trees(name, motifs, edges, degrees):
    data = gk.load(name)
    graph = data.graph
    assert int(graph.edata["motif_edge"].sum()) == 2 * edges and len(graph.ndata["motif"].unique()) == motifs + 1
    degree = motif_degrees(data)
    assert bool((degree[data.labels == 0] == 0).all()) and set(degree[data.labels == 1].tolist()) == degrees
    src, dst = graph.edges()
    inside = graph.edata["motif_edge"]
    assert torch.equal(graph.ndata["motif"][src[inside]], graph.ndata["motif"][dst[inside]])
    assert torch.equal(inside, inside[graph.edata["reverse_id"]])
    assert not torch.equal(gk.load(name, graph_seed=1).graph.edges()[0][:900], src[:900])
    with pytest.raises(GraphKitError, match="expected at most one for each of 7 nodes"):
        gk.load(name, depth=2)


def test_tree_cycles_can_have_as_many_edges_as_the_published_file():
    assert gk.load("tree-cycles", extra=0.0441).graph.num_edges() == 2 * 971


def test_ba_community_joins_two_ba_shapes():
    data = gk.load("ba-community")
    graph, community = data.graph, data.graph.ndata["community"]
    src, dst = graph.edges()
    assert int((community[src] != community[dst]).sum()) == 700 and int(graph.edata["motif_edge"].sum()) == 1920
    assert torch.bincount(data.labels).tolist() == [300, 160, 160, 80] * 2
    assert torch.equal(data.labels // 4, community) and len(graph.ndata["house"].unique()) == 161
    feat = graph.ndata["feat"]
    for half in (0, 1):
        assert torch.allclose(feat[community == half][:, :2].mean(0), torch.full((2,), 2.0 * half - 1), atol=0.1)
    assert torch.allclose(feat[:, :2][community == 0].std(0), torch.full((2,), 0.5**0.5), atol=0.06)
    with pytest.raises(GraphKitError, match="width=1; expected at least 2"):
        gk.load("ba-community", width=1)


def test_ba_2motifs_holds_one_motif_a_graph():
    data = gk.load("ba-2motifs", num_graphs=20)
    assert torch.bincount(data.labels).tolist() == [10, 10]
    for i in range(20):
        marked = int(data[i].edata["motif_edge"].sum()) // 2
        assert marked == (5 if data.labels[i] else 6) and data[i].num_edges() // 2 == 20 + marked
        assert data[i].ndata["motif"].tolist() == [False] * 20 + [True] * 5


def syn(folder, change=None, zipped=True):
    adjacency = np.zeros((4, 4))
    adjacency[[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]] = 1
    marks = np.zeros((4, 4))
    marks[1, 2] = 1
    y = np.eye(2)[[0, 1, 1, 0]]
    masks = [np.array(rows, dtype=bool) for rows in ([1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1])]
    held = [adjacency, np.ones((4, 3)), *(y * mask[:, None] for mask in masks), *masks, marks]
    if change:
        change(held)
    content = pickle.dumps(tuple(held))
    if zipped:
        with zipfile.ZipFile(folder / "datasets.zip", "w") as archive:
            archive.writestr("syn1.pkl", content)
    else:
        (folder / "syn1.pkl").write_bytes(content)
    return folder


@pytest.mark.parametrize("zipped", [True, False])
def test_marks_of_one_direction_become_both(tmp_path, zipped):
    data = from_files("gnnexplainer-pickle", syn(tmp_path, zipped=zipped))
    assert data.labels.tolist() == [0, 1, 1, 0] and data.split_name == "public"
    assert {name: ids.tolist() for name, ids in data.splits.items()} == {"train": [0, 1], "val": [2], "test": [3]}
    src, dst = data.graph.edges()
    marked = data.graph.edata["motif_edge"]
    assert sorted(zip(src[marked].tolist(), dst[marked].tolist(), strict=True)) == [(1, 2), (2, 1)]


def _set(place, value):
    return lambda held: held.__setitem__(place, value)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda held: held.pop(), DataError, "syn1.pkl is no tuple of 9 arrays"),
        (_set(1, np.ones((3, 3))), DataError, "shapes contradict each other"),
        (_set(8, np.eye(4)), DataError, "marks edges that are not there"),
        (_set(1, print), UnsafeFileError, "asks for builtins.print"),
    ],
)
def test_unsound_pickles(tmp_path, change, error, says):
    with pytest.raises(error, match=says):
        from_files("gnnexplainer-pickle", syn(tmp_path, change))


def test_unsound_archives(tmp_path):
    syn(tmp_path)
    with pytest.raises(DataError, match=r"datasets.zip holds no syn2.pkl"):
        from_files("gnnexplainer-pickle", tmp_path, member="syn2")
    (tmp_path / "datasets.zip").write_bytes((tmp_path / "datasets.zip").read_bytes()[:100])
    with pytest.raises(DataError, match=r"datasets.zip is truncated or not a zip archive"):
        from_files("gnnexplainer-pickle", tmp_path)


def mutagenicity(folder, marks="0\n0\n1\n1\n"):
    with zipfile.ZipFile(folder / "Mutagenicity.zip", "w") as archive:
        for part, text in {
            "A": "1, 2\n2, 1\n3, 4\n4, 3\n",
            "graph_indicator": "1\n1\n2\n2\n",
            "graph_labels": "0\n1\n",
            "edge_gt": marks,
        }.items():
            archive.writestr(f"Mutagenicity_{part}.txt", text)
    return folder


def test_mutagenicity_marks_edges(tmp_path):
    data = from_files("mutagenicity-gt", mutagenicity(tmp_path), split={"train": [0]})
    assert data[0].edata["motif_edge"].tolist() == [False, False]
    assert data[1].edata["motif_edge"].tolist() == [True, True]
    assert data.collated.graph_fields["has_motif"].tolist() == [False, True]
    with pytest.raises(DataError, match=r"edge_gt.txt has 3 lines where 4 were expected"):
        from_files("mutagenicity-gt", mutagenicity(tmp_path, "0\n0\n1\n"))


def graphxai(folder, marks=None, csv="mol_id,smiles,label\na,OCC,1.0\nb,CC,0\n"):
    if marks is None:
        first = np.array([[1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=np.float32)  # O-C, C-C and both
        marks = [{"nodes": first}, {"nodes": np.zeros((2, 1), np.float32)}]
    (folder / "x_smiles.csv").write_text(csv)
    held = np.empty((len(marks), 1), dtype=object)
    held[:, 0] = marks
    buffer = io.BytesIO()
    np.savez(buffer, datadict_list=held)
    (folder / "true_raw_attribution_datadicts.npz").write_bytes(buffer.getvalue())
    return folder


def test_molecules_carry_their_smallest_explanations(tmp_path):
    pytest.importorskip("rdkit")
    data = from_files("graphxai", graphxai(tmp_path), split={"train": [0]})
    assert data.collated.graph_fields["explanations"].tolist() == [2, 0] and data.labels.tolist() == [1, 0]
    bits = data[0].ndata["explanation"].tolist()
    assert bits[1] == 3 and sorted((bits[0], bits[2])) == [1, 2]
    assert bool(data[0].edata["motif_edge"].all()) and not bool(data[1].edata["motif_edge"].any())


def test_unsound_marks(tmp_path):
    pytest.importorskip("rdkit")
    one = {"nodes": np.zeros((2, 1), np.float32)}
    with pytest.raises(DataError, match=r"row 0: marks of shape \(2, 1\) for 3 atoms"):
        from_files("graphxai", graphxai(tmp_path, [one, one]))
    with pytest.raises(DataError, match="holds 1 marks for 2 molecules"):
        from_files("graphxai", graphxai(tmp_path, [one]))
    with pytest.raises(DataError, match=r"x_smiles.csv, line 3: the label '2'; expected 0 or 1"):
        from_files("graphxai", graphxai(tmp_path, csv="mol_id,smiles,label\na,OCC,1\nb,CC,2\n"))
    with pytest.raises(UnsafeFileError, match=r"asks for builtins.print"):
        from_files("graphxai", graphxai(tmp_path, [print, one]))
