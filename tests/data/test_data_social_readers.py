"""Readers of social networks: sound files of each format, and every way they can be unsound."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from graphkit.core.errors import DataError
from graphkit.data import from_files

from .test_data_readers import write

# --- MUSAE -----------------------------------------------------------------------------------------------------------

MUSAE = {
    "x_edges.csv": "from,to\n0,1\n1,2\n2,2\n",
    "x_features.json": '{"1": [0, 3, 3], "0": [1], "2": []}',
    "x_target.csv": 'name,id,kind,size\n"a, b",2,shop,5\nc,0,club,1.5\nd,1,club,2\nd,1,club,2\n',
}


def musae(folder, target="kind", **changes):
    options = {"regression": True} if target == "size" else {}
    return from_files("musae", write(folder, MUSAE, **changes), target=target, **options)


def test_musae_follows_node_numbers_and_counts_repeated_rows(tmp_path):
    data = musae(tmp_path)
    assert data.labels.tolist() == [0, 0, 1] and data.names["class"] == ["club", "shop"]
    assert data.graph.ndata["feat"].tolist() == [[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    assert data.report == {"raw_edges": 3, "self_loops": 1, "repeated_edges": 0, "repeated_targets": 1}
    assert musae(tmp_path, "size").labels.tolist() == [[1.5], [2.0], [5.0]]
    assert from_files("musae", tmp_path, target="kind", width=6).spec().in_feats == 6


def test_musae_takes_crlf(tmp_path):
    crlf = {name: text.replace("\n", "\r\n") for name, text in MUSAE.items()}
    assert musae(tmp_path, **crlf).graph.num_edges() == 4


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x_target.csv", "id,sort\n0,a\n", "x_target.csv, line 1: no column 'kind'.* 'id', 'sort'"),
        ("x_target.csv", "id;kind\n0;a\n", "x_target.csv, line 1: no column 'id'.* 'id;kind'"),
        ("x_target.csv", "id,kind\n0,a\n1,b\n3,b\n", r"x_target.csv, line 4: node 3; expected each of 0 to 2"),
        ("x_target.csv", "id,kind\n0,a\n0,b\n1,a\n2,a\n", "x_target.csv, line 2: node 0 has another kind in a later"),
        ("x_target.csv", "id,kind\n0,a\nzero,b\n", "x_target.csv, line 3: 'zero' in column 'id' is not a whole number"),
        ("x_target.csv", "id,kind\n0,a\n,b\n", "line 3: '' in column 'id' is not a whole number"),
        ("x_edges.csv", "from,to\n0,1\n\n0,7\n", "x_edges.csv, line 4: the ids 0, 7; expected ids from 0 to 2"),
        ("x_edges.csv", "from,to\n0,1\n0\t2\n", "x_edges.csv, line 3: 1 columns where 2 were expected"),
        ("x_edges.csv", None, r"expected one file \.\.\._edges.csv among the raw files, found 0"),
        ("x_features.json", '{"1": [0, 3', "x_features.json is not a JSON mapping"),
        ("x_features.json", "[1, 2]", "x_features.json is not a JSON mapping"),
        ("x_features.json", '{"9": [1]}', "x_features.json has features of node 9; expected nodes from 0 to 2"),
        ("x_features.json", '{"0": [-1]}', "x_features.json has features from -1"),
    ],
)
def test_unsound_musae(tmp_path, name, content, says):
    with pytest.raises(DataError, match=says):
        musae(tmp_path, **{name: content})


# --- airports --------------------------------------------------------------------------------------------------------

AIR = {"x.edgelist": "30 10\n10 20\n20 10\n10 10\n", "labels-x.txt": "node label\n10 1\n30 0\n20 3\n"}


def test_airports_keep_the_ids_that_skip(tmp_path):
    data = from_files("airports", write(tmp_path, AIR), features="degree")
    assert data.names["node"] == ["10", "20", "30"] and data.labels.tolist() == [1, 2, 0]
    assert data.report == {"raw_edges": 4, "self_loops": 1, "repeated_edges": 0} and data.graph.num_edges() == 4
    assert data.graph.ndata["feat"].argmax(1).tolist() == [2, 1, 1]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("labels-x.txt", "node\tlabel\n10\t1\n", "labels-x.txt, line 1: no column 'node'; .* cut at ' '"),
        ("labels-x.txt", "node label\n10 1\n10 2\n", "labels-x.txt, line 3: node 10 repeats"),
        ("labels-x.txt", "node label\n10 1\n20\n", "labels-x.txt, line 3: 1 columns where 2"),
        ("labels-x.txt", "node label\n", "x.edgelist, line 1: the nodes 30 and 10, not both of which have a label"),
        ("x.edgelist", "10 20\n10,30\n", "x.edgelist, line 2: 1 columns where 2"),
        ("x.edgelist", "10 20\n\n10 40\n", "x.edgelist, line 3: the nodes 10 and 40, not both of which have a label"),
    ],
)
def test_unsound_airports(tmp_path, name, content, says):
    with pytest.raises(DataError, match=says):
        from_files("airports", write(tmp_path, AIR, **{name: content}))


# --- multi-label -----------------------------------------------------------------------------------------------------


def test_multilabel_mat_gives_one_column_a_group(tmp_path):
    net = scipy.sparse.csc_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=float))
    group = scipy.sparse.csc_matrix(np.array([[1, 0], [1, 1], [0, 0]], dtype=float))
    scipy.io.savemat(tmp_path / "x.mat", {"network": net, "group": group})
    data = from_files("multilabel-mat", tmp_path, split={"train": [0]})
    assert data.labels.tolist() == [[1, 0], [1, 1], [0, 0]] and data.report["without_label"] == 1
    assert data.spec().out_feats == 2
    scipy.io.savemat(tmp_path / "x.mat", {"network": net, "group": group[:2]})
    with pytest.raises(DataError, match=r"expected a square 'network' and as many rows in 'group', found \(3, 3\), "):
        from_files("multilabel-mat", tmp_path)
    scipy.io.savemat(tmp_path / "x.mat", {"network": net})
    with pytest.raises(DataError, match=r"found .*none"):
        from_files("multilabel-mat", tmp_path)
    whole = (tmp_path / "x.mat").read_bytes()
    (tmp_path / "x.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated or not a MATLAB 5 file"):
        from_files("multilabel-mat", tmp_path)


# --- GML -------------------------------------------------------------------------------------------------------------

GML = """Creator "someone"
# a remark
graph
[
  directed 1
  node [ id 5 label "A &amp; B" value "x" ]
  node [ id 7 label "C" value "w" graphics [ x 1.0 ] ]
  node [ id 2 label "D
E" value "x" ]
  edge [ source 5 target 7 value 2.5 ]
  edge [ source 5 target 7 value 9 ]
  edge [ source 7 target 5 value 1 ]
]
"""


def test_gml_numbers_nodes_in_file_order_and_merges_repeats(tmp_path):
    folder = write(tmp_path, {"x.gml": GML.replace("\n", "\r\n")})
    data = from_files("gml", folder, label="value", weight="value", split={"train": [0]})
    assert data.names["class"] == ["w", "x"] and data.labels.tolist() == [1, 0, 1]
    assert data.names["node"][:2] == ["A & B", "C"] and data.graph.num_edges() == 2
    assert data.graph.edata["weight"].tolist() == [2.5, 2.5] and data.report["repeated_edges"] == 1
    one_way = from_files("gml", folder, weight="value", directed=True, largest_component=True, task="node")
    assert one_way.graph.num_nodes() == 2 and one_way.graph.num_edges() == 2
    assert sorted(one_way.graph.edata["weight"].tolist()) == [1.0, 2.5]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\n]\n", "\n", "x.gml ends at line 12, but the list that opens in line 4 does not close"),
        ("graph\n[", "graph\n", r"x.gml, line 6: \[ where a key was expected"),
        ("node [ id 7", "node [ nr 7", "x.gml, line 7: the node has no 'id'; it has nr, label"),
        ("node [ id 7", "node [ id 5", "x.gml, line 7: the node id 5 repeats"),
        ('label "C" value "w"', 'label "C"', "x.gml, line 7: the node has no 'value'"),
        ("target 7 value 9", "target 8 value 9", "x.gml, line 11: the edge's target is 8, which is no node's id"),
        ("value 9", 'value "much"', "x.gml, line 11: the edge's value is 'much'; expected a number"),
        ("value 9", "", "x.gml, line 11: the edge has no 'value'"),
        ("node [ id 7", "node 3 node [ id 7", "x.gml, line 7: node 3; expected a list in brackets"),
        ('E" value', "E value", "x.gml, line .*: the text of .* does not end|where a key was expected"),
        ("graph", "chart", "x.gml holds 0 graphs; expected one"),
        ("  directed 1", '  "directed" 1', 'x.gml, line 5: "directed" where a key was expected'),
    ],
)
def test_unsound_gml(tmp_path, old, new, says):
    folder = write(tmp_path, {"x.gml": GML.replace(old, new, 1) if old != "\n]\n" else GML.rstrip()[:-1]})
    with pytest.raises(DataError, match=says):
        from_files("gml", folder, label="value", weight="value")
