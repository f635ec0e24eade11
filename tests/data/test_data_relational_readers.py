"""RDF with labelled entities, and graphs that ask for a relation: sound files, and every way they can be unsound."""

from __future__ import annotations

import io
import zipfile

import pytest

from graphkit.core.errors import DataError, UnknownNameError, UnsafeFileError
from graphkit.data import from_files

from .test_data_readers import write

# --- RDF -------------------------------------------------------------------------------------------------------------

RDF = {
    "x_stripped.nt": '<u:b> <u:knows> <u:a> .\n# a remark\n\n<u:a> <u:age> "7 \\" <u:x> ."^^<u:int> .\n'
    '_:n1 <u:knows> <u:a> .\n<u:b> <u:knows> <u:a> .\n<u:a> <u:says> "hi"@en .\n<u:b> <u:likes> <u:a> .\n',
    "completeDataset.tsv": "id\tperson\tgroup\n1\tu:a\t0\n2\tu:b\t1\n",
    "trainingSet.tsv": "person\tid\tgroup\nu:b\t2.0\t1.0\n",
    "testSet.tsv": "person\tid\tgroup\nu:a\t1.0\t0.0\n",
}


def rdf(folder, **changes):
    return from_files("entity-rdf", write(folder, RDF, **changes), node="person", label="group")


def test_rdf_makes_nodes_of_resources_and_literals_and_labels_some(tmp_path):
    data = rdf(tmp_path)
    assert data.names["node"] == ['"7 \\" <u:x> ."^^<u:int>', '"hi"@en', "u:a", "u:b", "_:n1"]
    assert data.names["relation"] == ["u:age", "u:knows", "u:likes", "u:says"] and data.names["class"] == ["0", "1"]
    assert data.graph.ndata["ntype"].tolist() == [1, 1, 0, 0, 0] and data.labels.tolist() == [-1, -1, 0, 1, -1]
    assert data.graph.num_edges() == 5 and data.report["repeated_edges"] == 1 and data.report["literals"] == 2
    assert data.split_name == "public" and [p.tolist() for p in data.splits.values()] == [[3], [], [2]]
    src, dst = data.graph.edges()
    assert sorted(zip(src.tolist(), data.graph.edata["etype"].tolist(), dst.tolist(), strict=True)) == [
        (2, 0, 0), (2, 3, 1), (3, 1, 2), (3, 2, 2), (4, 1, 2),
    ]  # fmt: skip


def test_rdf_takes_crlf(tmp_path):
    crlf = {name: text.replace("\n", "\r\n") for name, text in RDF.items()}
    assert rdf(tmp_path, **crlf).graph.num_edges() == 5


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x_stripped.nt", "<u:a> <u:b> <u:c> .\n<u:a> <u:b> <u:c>\n", "x_stripped.nt, line 2: expected subject, predi"),
        ("x_stripped.nt", '<u:a> <u:b> "open .\n', "x_stripped.nt, line 1: expected subject"),
        ("x_stripped.nt", "u:a u:b u:c .\n", "x_stripped.nt, line 1: expected subject"),
        ("completeDataset.tsv", "id,person,group\n1,u:a,0\n", "completeDataset.tsv, line 1: no column 'person'"),
        ("completeDataset.tsv", "person\tgroup\nu:a\n", "completeDataset.tsv, line 2: 1 columns where 2"),
        ("completeDataset.tsv", "person\tgroup\nu:z\t1\n", "completeDataset.tsv, line 2: u:z is not in the graph"),
        ("completeDataset.tsv", "person\tgroup\nu:a\t1\nu:a\t1\n", "completeDataset.tsv, line 3: u:a repeats"),
        ("testSet.tsv", "person\tgroup\nu:b\t1\n", "testSet.tsv, line 2: u:b is in the training part too"),
        ("testSet.tsv", "person\tgroup\nu:a\t1\n", "testSet.tsv, line 2: u:a has another label in completeDataset"),
        ("x_stripped.nt", None, "expected one file of N-Triples among the raw files, found 0"),
    ],
)
def test_unsound_rdf(tmp_path, name, content, says):
    with pytest.raises(DataError, match=says):
        rdf(tmp_path, **{name: content})


# --- CLUTRR ----------------------------------------------------------------------------------------------------------

HEAD = "id,story_edges,edge_types,query_edge,target,task_name,proof_state\n"
TRAIN = HEAD + '1,"[(0, 1), (1, 2)]","[\'aunt\', ""son""]","(0, 2)",cousin,task_1.2,gives it away\n'
TEST = HEAD + '2,"[(1, 0)]",[\'son\'],"(1, 0)",son,task_1.10,x\n'


def clutrr(folder, train=TRAIN, test=TEST, extra="config.json", **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in (("1.2_train.csv", train), ("1.10_test.csv", test), (extra, "{}")):
            if text is not None:
                archive.writestr(name, text)
    return from_files("clutrr", write(folder, {"data.zip": buffer.getvalue()}), split="public", **options)


def test_clutrr_marks_the_query_and_reads_no_answer(tmp_path):
    data = clutrr(tmp_path)
    fields = data.collated.graph_fields
    assert [p.tolist() for p in data.splits.values()] == [[1], [], [0]] and fields["steps"].tolist() == [10, 2]
    assert fields["query"].tolist() == [[1, 0], [0, 2]] and data.names["class"] == ["cousin", "son"]
    g = data[1]
    assert g.ndata["feat"].tolist() == [[1, 0], [0, 0], [0, 1]]
    assert [data.names["relation"][t] for t in g.edata["etype"].tolist()] == ["aunt", "son"]
    assert [ids.tolist() for ids in g.edges()] == [[0, 1], [1, 2]] and set(fields) == {
        "label", "query", "steps", "story",
    }  # fmt: skip


def test_clutrrs_edges_without_a_relation_are_refused_or_kept_apart(tmp_path):
    short = TEST.replace("[(1, 0)]", "[(1, 0), (2, 0)]")
    with pytest.raises(DataError, match=r"data.zip:1.10_test.csv, line 2: 2 edges but 1 relations"):
        clutrr(tmp_path, test=short)
    data = clutrr(tmp_path, test=short, untyped="keep")
    assert data.report["unstated"] == 1 and data[0].num_edges() == 2
    assert data.names["relation"] == ["(unstated)", "aunt", "son"]
    with pytest.raises(UnknownNameError, match="unknown untyped 'drop'"):
        clutrr(tmp_path, untyped="drop")


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (TEST.replace("query_edge", "query"), "line 1: no column 'query_edge'; it has 'id', 'story_edges'"),
        (TEST.replace(",x\n", "\n"), "line 2: 6 columns where 7 were expected"),
        (TEST.replace("[(1, 0)]", "[(1, zero)]"), r"line 2: story_edges is '\[\(1, zero\)\]'; expected"),
        (TEST.replace("['son']", "__import__('os')"), 'line 2: edge_types is "__import__'),
        (TEST.replace('"(1, 0)"', "1"), "line 2: query_edge is '1'; expected"),
        (TEST.replace(",son,", ",,"), "line 2: target is empty"),
        (TEST.replace("task_1.10", "task"), "task_name is 'task'; expected such as 'task_1.2'"),
        (None, "holds 1 stories to train on and 0 to test"),
    ],
)
def test_unsound_clutrr(tmp_path, test, says):
    with pytest.raises(DataError, match=says):
        clutrr(tmp_path, test=test)


def test_clutrr_archives_that_are_cut_or_climb_out(tmp_path):
    with pytest.raises(UnsafeFileError, match=r"whose path leaves the archive"):
        clutrr(tmp_path, extra="../up.csv")
    whole = (tmp_path / "data.zip").read_bytes()
    (tmp_path / "data.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated or not a zip archive"):
        from_files("clutrr", tmp_path)


# --- several paths ---------------------------------------------------------------------------------------------------

PATHS = {
    "t_k_10_b_1.csv": ',edges,edge_labels,query_edge,query_label\r\n0,"[(0, 1)]",[\'=\'],"(0, 1)",=\r\n',
    "t_k_2_b_3.csv": ",edges,edge_labels,query_edge,query_label\n"
    '0,"[(0, 1), (1, 2)]","[\'EQ\', \'DC\']","(0, 2)",DC\n\n'
    '1,[],[],"(0, 1)",EQ\n',
    "notes.txt": "nothing",
}


def test_several_paths_keep_length_and_number_and_empty_graphs(tmp_path):
    data = from_files("multi-path", write(tmp_path, PATHS), split={"train": [0]})
    fields = data.collated.graph_fields
    assert fields["steps"].tolist() == [2, 2, 10] and fields["paths"].tolist() == [3, 3, 1]
    assert data[1].num_edges() == 0 and data[1].num_nodes() == 2 and data.names["class"] == ["=", "DC", "EQ"]
    with pytest.raises(DataError, match=r"t_k_2_b_3.csv, line 1: no column 'edge_labels'"):
        from_files("multi-path", write(tmp_path, {"t_k_2_b_3.csv": "edges,query_edge\n"}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found none"):
        from_files("multi-path", tmp_path / "empty")
