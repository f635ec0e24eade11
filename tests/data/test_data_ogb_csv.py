"""Sets of the Open Graph Benchmark in its published archives of packed tables, as the tests write them."""

from __future__ import annotations

import gzip
import zipfile

import pytest
import torch

import graphkit as gk
from graphkit.core.errors import ChecksumError, DataError
from graphkit.data import from_files
from graphkit.data import store as stores

GRAPHS = {
    "raw/edge.csv": "0,1\n1,2\n0,1\n",
    "raw/num-node-list.csv": "3\n2\n1\n",
    "raw/num-edge-list.csv": "2\n1\n0\n",
    "raw/node-feat.csv": "".join(f"{i},1\n" for i in range(6)),
    "raw/edge-feat.csv": "5\n6\n7\n",
    "raw/graph-label.csv": "0\n1\n1\n",
    "split/scaffold/train.csv": "2\n0\n",
    "split/scaffold/valid.csv": "1\n",
    "split/scaffold/test.csv": "",
}
NODES = {
    "raw/edge.csv": "0,1\n2,1\n1,2\n",
    "raw/num-node-list.csv": "3\n",
    "raw/node-feat.csv": "0.5\n1\n2\n",
    "raw/node-label.csv": "4\n0\n2\n",
    "split/time/train.csv": "0\n",
    "split/time/valid.csv": "1\n",
    "split/time/test.csv": "2\n",
}


def lay(folder, files, **changes):
    for name, text in {**files, **changes}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_a_set_of_graphs(tmp_path):
    data = from_files("ogb-csv-graph", lay(tmp_path, GRAPHS), split="public")
    assert data.collated.node_counts.tolist() == [3, 2, 1] and data.collated.edge_counts.tolist() == [4, 2, 0]
    assert data.labels.tolist() == [0, 1, 1] and [p.tolist() for p in data.splits.values()] == [[0, 2], [1], []]
    graph = data[0]
    found = dict(
        zip(zip(*(e.tolist() for e in graph.edges()), strict=True), graph.edata["feat"][:, 0].tolist(), strict=True)
    )
    assert found == {(0, 1): 5.0, (1, 0): 5.0, (1, 2): 6.0, (2, 1): 6.0} and data[1].ndata["feat"][:, 0].tolist() == [
        3,
        4,
    ]
    two = from_files("ogb-csv-graph", lay(tmp_path, GRAPHS, **{"raw/graph-label.csv": "0,\n1,0\n,1\n"}), split="public")
    assert torch.isnan(two.labels).tolist() == [[False, True], [False, False], [True, False]]
    assert from_files("ogb-csv-graph", lay(tmp_path, GRAPHS), split="public", binary=True).labels.shape == (3, 1)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("raw/edge.csv", "0,1\n1,2\n0,2\n", r"edge.csv.gz, line 3: the ids \[0, 2\] in graph 1, which has 2 nodes"),
        ("raw/edge.csv", "0,1\n1,9\n0,1\n", r"edge.csv.gz, line 2: the ids 1, 9; expected ids from 0 to 2"),
        ("raw/edge.csv", "0,1\n1,2\n", r"edge.csv.gz has 2 lines; expected 3"),
        ("raw/edge.csv", "0;1\n1;2\n0;1\n", r"edge.csv.gz, line 1: 1 columns where 2 were expected"),
        ("raw/num-node-list.csv", "3\n-2\n1\n", r"num-node-list.csv.gz, line 2: the count -2 is negative"),
        ("raw/num-edge-list.csv", "2\n1\n", r"num-edge-list.csv.gz names 2 graphs; expected 3"),
        ("raw/graph-label.csv", "0\nx\n1\n", r"graph-label.csv.gz, line 2: 'x' is not a finite number"),
        ("raw/graph-label.csv", "0\n1,1\n1\n", r"graph-label.csv.gz, line 2: 2 columns; expected 1"),
        ("raw/graph-label.csv", "0\n1\n", r"graph-label.csv.gz has 2 lines; expected 3"),
        ("raw/node-feat.csv", "1\n2\n", r"node-feat.csv.gz has 2 lines; expected 6"),
        ("split/scaffold/valid.csv", "3\n", r"valid.csv.gz, line 1: the ids 3; expected ids from 0 to 2"),
    ],
)
def test_unsound_sets_of_graphs(tmp_path, name, text, says):
    with pytest.raises(DataError, match=says):
        from_files("ogb-csv-graph", lay(tmp_path, GRAPHS, **{name: text}), split="public")


def test_one_graph(tmp_path):
    data = from_files("ogb-csv-node", lay(tmp_path, NODES))
    assert data.graph.num_edges() == 4 and data.labels.tolist() == [4, 0, 2] and data.split_name == "public"
    assert from_files("ogb-csv-node", tmp_path, directed=True).graph.num_edges() == 3
    with pytest.raises(DataError, match=r"num-node-list.csv.gz names 2 graphs; expected one"):
        from_files("ogb-csv-node", lay(tmp_path, NODES, **{"raw/num-node-list.csv": "3\n1\n"}))


def test_the_card_reads_the_published_archive(tmp_path, monkeypatch):
    archive = tmp_path / "esol.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for name, text in GRAPHS.items():
            made.writestr(f"esol/{name}.gz", gzip.compress(text.encode()))
    monkeypatch.setenv("GRAPHKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(stores, "download", lambda url, *a, **k: archive.read_bytes())
    with pytest.raises(ChecksumError, match=r"nothing vouches for.*verify=False"):
        gk.load("ogbg-molesol")
    data = gk.load("ogbg-molesol", verify=False)
    assert len(data) == 3 and data.split_name == "public" and data.labels.dtype.is_floating_point
    assert len(data.report["unverified"]) == len(GRAPHS)
