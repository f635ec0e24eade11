"""Bad input, reader by reader: every text format is broken in every way that its form allows, and says where."""

from __future__ import annotations

import gzip
import json
import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from graphkit.core.errors import DataError, GraphKitError, UnsafeFileError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import entries
from graphkit.data.loading import _call
from graphkit.data.store import Files

from .test_data_feedback_readers import RATINGS, SIGNED
from .test_data_frames_and_pairs import FRAME
from .test_data_hypergraphs import CONTENT, EDGES
from .test_data_instances import EUC, PUZZLE, SOLUTION
from .test_data_nasbench import CELL
from .test_data_node_readers import GEOM
from .test_data_readers import CSV, FOLD, GIN, TU, planetoid, write
from .test_data_relational_readers import PATHS, RDF
from .test_data_series import STATIC
from .test_data_social_readers import AIR, GML, MUSAE
from .test_data_streams import JODIE
from .test_data_wikivitals import PARTS


@dataclass
class Sample:
    """A sound folder, and where one of its text files is broken.

    ``line`` holds numbers or names between ``cut``; ``blank`` says whether a blank line may stand anywhere in the file,
    ``needed`` a column of the header that must be there, ``number`` whether the line's last cell is a number.
    """

    files: dict
    file: str
    line: int
    cut: str = ","
    options: dict = field(default_factory=dict)
    blank: bool = True
    needed: str = ""
    number: bool = True
    ragged: bool = True


PAIRS = "drugbank_id_1,drugbank_id_2,smiles_2,smiles_1,label\nA,B,C=O,CCO,0\nB,A,CCO,C=O,1\n"
DRUGS = {f"X_{part}.csv": PAIRS for part in ("train", "valid", "test")}
SENSORS = {
    "adj_mx.pkl": pickle.dumps([["s7", "s3"], {"s7": 0, "s3": 1}, np.eye(2, dtype=np.float32)], protocol=2),
    "graph_sensor_locations.csv": "index,sensor_id,latitude,longitude\n0,s3,1.5,2\n1,s7,3,4\n",
    "speed.csv": "s3,s7\n" + "".join(f"{t},{100 + t}\n" for t in range(30)),
}
SPEEDS = {"x_adj.csv": "1,0.5\n0.5,1\n", "x_speed.csv": "9,4\n" + "".join(f"{t},{t + 1}\n" for t in range(30))}
SIMPLICES = {"x-nverts.txt": "2\n1\n3\n", "x-simplices.txt": "1\n2\n3\n1\n2\n3\n", "x-times.txt": "5\n6\n7\n"}
TRIPLES = {f"{part}.txt": "a\tr\tb\nb\ts\tc\n" for part in ("train", "valid", "test")}
STREAM = JODIE + "0,0,0.0,0,0.5,1\n1,1,36.0,1,-1,2\n0,1,36.5,0,3,4\n2,0,77.0,0,5,6\n"
CELLS = {"a.csv": f"arch,cellstr,cifar10-test\n0,{CELL},90.5\n1,{CELL},80.5\n"}
SUDOKUS = f"quizzes,solutions\n{PUZZLE.replace('.', '0')},{SOLUTION}\n{PUZZLE.replace('.', '0')},{SOLUTION}\n"
MOLECULE = "a\n\n\n  2  1  0  0 V2000\n 0.0 0.0 0.0 C 0\n 1.1 0.0 0.0 O 0\n  1  2  2  0\nM  END\n$$$$\n"
SDF = {"x.sdf": MOLECULE * 2, "x.csv": "id,y\na,1.5\nb,2.5\n"}
PROGRAM = "NAME a\nROWS\n N cost\n L lim\nCOLUMNS\n x cost 1 lim 1\n y cost 2 lim 1\nRHS\n RHS lim 4\nENDATA\n"
VITALS = {name: text for name, text in PARTS.items() if name != "__links_filtered_2.txt"}
INDEX = "ind.toy.test.index"

#: Reader and file to what is broken. A reader stands here once for every text file that it reads.
SAMPLES = {
    "airports edges": Sample(AIR, "x.edgelist", 2, " "),
    "airports labels": Sample(AIR, "labels-x.txt", 3, " "),
    "dcrnn places": Sample(SENSORS, "graph_sensor_locations.csv", 3),
    "dcrnn speeds": Sample(SENSORS, "speed.csv", 3),
    "dimacs-graphs": Sample({"a.clq": "c x\np col 4 3\ne 2 1\ne 3 1\ne 4 1\n"}, "a.clq", 4, " "),
    "dimacs-cnf": Sample({"a.cnf": "c x\np cnf 2 2\n1 -2 0\n-1 2 0\n"}, "a.cnf", 3, " ", ragged=False),
    "drug-pairs": Sample(DRUGS, "X_valid.csv", 3, needed="smiles_2"),
    "entity-rdf triples": Sample(RDF, "x_stripped.nt", 5, " ", {"node": "person", "label": "group"}, number=False),
    "entity-rdf labels": Sample(
        RDF, "completeDataset.tsv", 3, "\t", {"node": "person", "label": "group"}, needed="person", number=False
    ),
    "events": Sample({"events.csv": STREAM}, "events.csv", 3, options={"order": "jodie"}),
    "extxyz": Sample({"train.xyz": FRAME}, "train.xyz", 4, " ", blank=False),
    "extremal-table": Sample({"t.csv": "n,edges\n3,2\n4,3\n5,5\n"}, "t.csv", 3, needed="n"),
    "geom-gcn-text edges": Sample(GEOM, "out1_graph_edges.txt", 3, "\t"),
    "geom-gcn-text nodes": Sample(GEOM, "out1_node_feature_label.txt", 3, "\t"),
    "gin": Sample(GIN | FOLD, "X.txt", 4, " ", blank=False),
    "gin folds": Sample(GIN | FOLD, "10fold_idx/train_idx-1.txt", 1, " ", ragged=False),
    "gml": Sample({"x.gml": GML}, "x.gml", 10, " ", number=False, ragged=False),
    "graph6": Sample({"a.g6": "Bw\nA_\n"}, "a.g6", 1, "w", ragged=False),
    "hypergraph-content nodes": Sample({"x.content": CONTENT, "x.edges": EDGES}, "x.content", 2, " "),
    "hypergraph-content edges": Sample({"x.content": CONTENT, "x.edges": EDGES}, "x.edges", 2, "\t"),
    "moleculenet-csv": Sample(
        {"m.csv": CSV.replace("\r\n\r\n", "\r\n").replace("C1CC", "CCC")}, "m.csv", 3, options={"targets": ["y", "z"]},
        needed="y",
    ),
    "mps": Sample({"a.mps": PROGRAM}, "a.mps", 6, " "),
    "multi-path": Sample(PATHS, "t_k_2_b_3.csv", 2, needed="edge_labels", number=False),
    "musae edges": Sample(MUSAE, "x_edges.csv", 3, options={"target": "kind"}),
    "musae targets": Sample(MUSAE, "x_target.csv", 3, options={"target": "size", "regression": True}, needed="size"),
    "nasbench201": Sample(CELLS, "a.csv", 3, options={"targets": "cifar10-test"}, needed="cellstr"),
    "planetoid": Sample({}, INDEX, 2, " ", {"num_val": 1}, ragged=False),
    "ratings": Sample({"x.dat": RATINGS}, "x.dat", 3, "\t"),
    "scholp": Sample(SIMPLICES, "x-simplices.txt", 2, " ", ragged=False),
    "scholp times": Sample(SIMPLICES, "x-times.txt", 2, " ", ragged=False),
    "signed-csv": Sample({"x.csv": SIGNED.replace("\n\n", "\n")}, "x.csv", 2),
    "sdf targets": Sample(SDF, "x.csv", 3, options={"targets": ["y"]}, needed="y"),
    "smiles-list": Sample({"a.txt": "CC 1.5\nCO 2\nCN -1\n"}, "a.txt", 2, " ", {"train": "a.txt", "target": "y"}),
    "sudoku lines": Sample({"a.txt": f"{PUZZLE}\n{PUZZLE}\n"}, "a.txt", 2, PUZZLE[3], ragged=False),
    "sudoku table": Sample({"a.csv": SUDOKUS}, "a.csv", 3, needed="solutions"),
    "tgcn edges": Sample(SPEEDS, "x_adj.csv", 2),
    "tgcn speeds": Sample(SPEEDS, "x_speed.csv", 3),
    "tgb": Sample({"x_edgelist_v2.csv": STREAM}, "x_edgelist_v2.csv", 3, options={"order": "jodie"}),
    "triples": Sample(TRIPLES, "valid.txt", 2, "\t", number=False),
    "tsplib": Sample({"a.tsp": EUC}, "a.tsp", 7, " "),
    **{
        f"tu {part}": Sample(TU, f"DS_{part}.txt", 2, ",", ragged=part in ("A", "node_attributes"))
        for part in ("A", "graph_indicator", "graph_labels", "node_labels", "edge_labels", "node_attributes")
    },
    "wikivitals links": Sample(VITALS, "__links_filtered_1.txt", 2, "\t"),
    "wikivitals classes": Sample(VITALS, "__classes0.txt", 2, "\t", number=False),
}  # fmt: skip
#: Readers of text that is no lines of a table; broken below, each in its own way.
DOCUMENTS = {"pygt-json"}
#: Readers of archives, arrays and pickles: refused off the allow-list or cut short in their own tests and below.
BINARY = {
    "aqsol", "attack-npz", "brec", "clutrr", "csl", "gnn-benchmark-npz", "gnnexplainer-pickle", "graphxai",
    "heterophilous-npz", "hypergcn", "md17", "multilabel-mat", "mutagenicity-gt", "nasbench-graph", "onnx", "regenn",
    "seal-mat", "substructure-counting", "zinc",
}  # fmt: skip
#: What reads no files of a user's: generated, shipped, or read by another package.
MADE = {
    "ba-2motifs", "ba-community", "ba-shapes", "conditional-motif", "cycles", "digits", "digits-networks", "digits-zoo",
    "fading-popularity", "karate", "les-miserables", "ogb-node", "periodic-pairs", "sbm-cluster", "sbm-pattern",
    "sequential-toy", "subgraph-pairs", "subgraph-pairs-tu", "tree-cycles", "tree-grid",
    "tree-neighbours-match", "twin-closure",
}  # fmt: skip
#: Readers of a folder of many tables, each of which is broken in the tests of that form.
FOLDERS = {"ogb-csv-graph", "ogb-csv-node", "ogb-link", "wikivitals"}


def lay(folder: Path, key: str, **changes) -> Path:
    sample = SAMPLES[key]
    made = planetoid(folder) if key.startswith("planetoid") else write(folder, sample.files)
    return write(made, changes)


def text_of(key: str) -> str:
    return "5\n3\n" if key.startswith("planetoid") else SAMPLES[key].files[SAMPLES[key].file]


def raw(folder: Path, key: str):
    name = key.split()[0]
    if name in ("drug-pairs", "moleculenet-csv", "smiles-list"):
        pytest.importorskip("rdkit")
    return _call(entries("reader")[name].obj, Files(folder), SAMPLES[key].options)


def same(one, other) -> bool:
    pairs = [(one.collated.src, other.collated.src), (one.collated.dst, other.collated.dst)]
    for part in ("node_fields", "edge_fields", "graph_fields"):
        fields, others = getattr(one.collated, part), getattr(other.collated, part)
        assert set(fields) == set(others)
        pairs += [(fields[name], others[name]) for name in fields]
    return all(torch.equal(a.nan_to_num(-7.5), b.nan_to_num(-7.5)) for a, b in pairs)


def refused(folder: Path, key: str, line: int | None) -> str:
    """Read a broken folder: it must be refused with a sentence that names the file and, if given, the line."""
    with pytest.raises(DataError) as caught:
        raw(folder, key)
    told = str(caught.value)
    assert Path(SAMPLES[key].file).name in told, told
    assert line is None or re.search(rf"\bline {line}\b", told), told
    assert "\n" not in told and "Error:" not in told, told
    return told


def test_every_reader_of_text_is_broken_here():
    shown = {key.split()[0] for key in SAMPLES}
    assert shown | DOCUMENTS | BINARY | MADE | FOLDERS >= set(entries("reader")), "a reader without a sample"
    assert not shown & (DOCUMENTS | BINARY | MADE)


@pytest.mark.parametrize("key", SAMPLES)
def test_crlf_blank_lines_at_the_end_and_gzip_change_nothing(tmp_path, key):
    sample, plain = SAMPLES[key], raw(lay(tmp_path / "plain", key), key)
    text = text_of(key).replace("\r\n", "\n")
    assert same(plain, raw(lay(tmp_path / "crlf", key, **{sample.file: text.replace("\n", "\r\n")}), key))
    assert same(plain, raw(lay(tmp_path / "blank", key, **{sample.file: text + "\n\n"}), key))
    packed = lay(tmp_path / "packed", key, **{f"{sample.file}.gz": gzip.compress(text.encode())})
    (packed / sample.file).unlink()
    assert same(plain, raw(packed, key))


@pytest.mark.parametrize("key", [key for key in SAMPLES if SAMPLES[key].blank])
def test_blank_lines_inside_change_nothing(tmp_path, key):
    rows = text_of(key).replace("\r\n", "\n").splitlines()
    at = SAMPLES[key].line - 1
    text = "\n".join([*rows[:at], "", "  ", *rows[at:], ""])
    assert same(raw(lay(tmp_path / "a", key), key), raw(lay(tmp_path / "b", key, **{SAMPLES[key].file: text}), key))


@pytest.mark.parametrize("key", SAMPLES)
def test_gzip_that_ends_early_is_told(tmp_path, key):
    name = SAMPLES[key].file
    folder = lay(tmp_path, key, **{f"{name}.gz": gzip.compress(text_of(key).encode() * 30)[:-9]})
    (folder / name).unlink()
    assert "ends early" in refused(folder, key, None)


def broken(key: str, change) -> str:
    rows = text_of(key).replace("\r\n", "\n").split("\n")
    rows[SAMPLES[key].line - 1] = change(rows[SAMPLES[key].line - 1])
    return "\n".join(rows)


@pytest.mark.parametrize("key", [key for key in SAMPLES if SAMPLES[key].ragged])
def test_a_ragged_row_is_told(tmp_path, key):
    sample = SAMPLES[key]
    text = broken(key, lambda row: row.rpartition(sample.cut)[0])
    refused(lay(tmp_path, key, **{sample.file: text}), key, sample.line)


@pytest.mark.parametrize("key", [key for key in SAMPLES if SAMPLES[key].number])
def test_a_cell_that_is_no_number_is_told(tmp_path, key):
    sample = SAMPLES[key]
    text = broken(key, lambda row: row.rpartition(sample.cut)[0] + sample.cut + "?!")
    refused(lay(tmp_path, key, **{sample.file: text}), key, sample.line)


@pytest.mark.parametrize("key", [key for key in SAMPLES if SAMPLES[key].ragged])
def test_a_wrong_delimiter_is_told_at_the_first_line_that_shows_it(tmp_path, key):
    sample = SAMPLES[key]
    text = text_of(key).replace(sample.cut, "|")
    told = refused(lay(tmp_path, key, **{sample.file: text}), key, None)
    assert re.search(r"\bline \d+\b", told), told


@pytest.mark.parametrize("key", [key for key in SAMPLES if SAMPLES[key].needed])
def test_a_missing_column_is_told(tmp_path, key):
    sample = SAMPLES[key]
    text = text_of(key).replace(sample.needed, "other", 1)
    told = refused(lay(tmp_path, key, **{sample.file: text}), key, 1)
    assert f"column {sample.needed!r}" in told, told


@pytest.mark.parametrize("key", SAMPLES)
def test_a_file_of_noise_is_one_sentence(tmp_path, key):
    rng = numpy_generator(0, "noise", key)
    for content in (b"", b"\x00\xff\xfe\n" * 3, rng.bytes(300), b"{}", b"<html>not found</html>\n"):
        folder = lay(tmp_path, key, **{SAMPLES[key].file: content})
        try:
            raw(folder, key)
        except GraphKitError as error:
            assert "\n" not in str(error)


# --- what a form allows, kept or merged as the reader says, and counted ----------------------------------------------

#: Reader, files, what its report counts, and edges kept: the self-loop goes or stays, the repeated edge counts once.
EDGES_OF = {
    "airports": (AIR, {}, {"self_loops": 1, "repeated_edges": 0}, 4),
    "airports twice": (
        AIR | {"x.edgelist": "30 10\n30 10\n10 30\n10 10\n10 20\n"}, {}, {"self_loops": 1, "repeated_edges": 1}, 4
    ),
    "geom-gcn-text": (GEOM, {}, {"self_loops": 1, "repeated_edges": 1}, 4),
    "musae": (MUSAE, {"target": "kind"}, {"self_loops": 1, "repeated_edges": 0}, 4),
    "tu": (TU, {}, {"self_loops": 0, "repeated_edges": 1, "isolated_nodes": 1}, 6),
    "gin": (GIN | FOLD, {}, {"self_loops": 0}, 6),
    "gml": ({"x.gml": GML}, {}, {"self_loops": 0, "repeated_edges": 1}, 2),
    "hypergraph-content": ({"x.content": CONTENT, "x.edges": EDGES}, {}, {"repeated_members": 1}, 3),
    "ratings": ({"x.dat": RATINGS}, {}, {"repeated_edges": 1}, 10),
    "signed-csv": ({"x.csv": SIGNED + "7,7,1,40.0\n"}, {}, {"self_loops": 1}, 4),
    "pygt-json": ({"x.json": json.dumps(STATIC)}, {}, {"self_loops": 1}, 3),
    "drug-pairs": (DRUGS, {}, {"repeated_pairs": 0, "pairs_in_two_files_same": 6}, None),
}  # fmt: skip


@pytest.mark.parametrize("key", EDGES_OF)
def test_self_loops_and_repeats_are_kept_or_merged_and_counted(tmp_path, key):
    files, options, counted, edges = EDGES_OF[key]
    if key == "drug-pairs":
        pytest.importorskip("rdkit")
    made = _call(entries("reader")[key.split()[0]].obj, Files(write(tmp_path, files)), options)
    assert {name: made.report[name] for name in counted} == counted
    assert edges is None or made.collated.num_edges == edges


#: Reader, files, options, and the nodes and edges of each graph: some have no edge, or no node at all.
EMPTY = {
    "tu": (TU, {}, [3, 2, 1], [4, 2, 0]),
    "gin": ({"X.txt": "3\n1 7\n0 0\n0 1\n2 4\n1 1 1\n1 1 0\n"}, {}, [1, 0, 2], [0, 0, 2]),
    "graph6": ({"a.g6": "Bw\nA?\n?\n@\n"}, {}, [3, 2, 0, 1], [6, 0, 0, 0]),
    "dimacs-graphs": ({"a.clq": "p edge 2 0\n", "b.clq": "p edge 2 1\ne 1 2\n"}, {}, [2, 2], [0, 2]),
    "multi-path": (PATHS, {}, [3, 2, 2], [2, 0, 1]),
    "moleculenet-csv": ({"m.csv": "smiles,y\nC,1\nCC,0\n"}, {"targets": "y"}, [1, 2], [0, 2]),
}


@pytest.mark.parametrize("key", EMPTY)
def test_empty_graphs_stay_where_they_stand_in_a_set(tmp_path, key):
    files, options, nodes, edges = EMPTY[key]
    if key == "moleculenet-csv":
        pytest.importorskip("rdkit")
    made = _call(entries("reader")[key].obj, Files(write(tmp_path, files)), options).collated
    assert (made.node_counts.tolist(), made.edge_counts.tolist()) == (nodes, edges)
    batch, *_ = made.batch(list(range(len(made))))
    assert batch.batch_num_nodes().tolist() == nodes and batch.batch_num_edges().tolist() == edges


HYPER = {"x.content": CONTENT, "x.edges": EDGES}
#: Ids that skip or repeat: refused at their line, or numbered anew with their names kept.
IDS = {
    "tu skips a graph": ("tu", TU, "DS_graph_indicator.txt", "1\n1\n1\n3\n3\n3\n", "line 4"),
    "tu goes back": ("tu", TU, "DS_graph_indicator.txt", "1\n1\n2\n1\n2\n3\n", "line 4"),
    "tu begins at 0": ("tu", TU, "DS_graph_indicator.txt", "0\n1\n1\n2\n2\n3\n", "line 1"),
    "tu names a node too many": ("tu", TU, "DS_A.txt", "1, 2\n2, 7\n", "line 2"),
    "geom skips": ("geom-gcn-text", GEOM, "out1_node_feature_label.txt",
                   "node_id\tfeature\tlabel\n2\t0,1\t1\n0\t1,0\t0\n4\t0,0\t1\n", "line 4"),
    "geom repeats": ("geom-gcn-text", GEOM, "out1_node_feature_label.txt",
                     "node_id\tfeature\tlabel\n1\t0,1\t1\n0\t1,0\t0\n1\t0,0\t1\n", "line 4"),
    "musae skips": ("musae", MUSAE, "x_target.csv", "id,kind\n0,a\n1,b\n3,b\n", "line 4"),
    "hypergraph skips": ("hypergraph-content", HYPER, "x.content", "0 1 0\n2 1 0\n", "line 2"),
    "hypergraph repeats": ("hypergraph-content", HYPER, "x.content", "0 1 0\n0 1 0\n", "line 2"),
    "airports repeats": ("airports", AIR, "labels-x.txt", "node label\n10 1\n30 0\n10 3\n", "line 4"),
    "tsplib skips": ("tsplib", {"a.tsp": EUC}, "a.tsp", EUC.replace("2 3 4", "9 3 4"), "line 7"),
    "planetoid repeats": ("planetoid", None, INDEX, "5\n5\n", "line 2"),
}  # fmt: skip


@pytest.mark.parametrize("key", IDS)
def test_ids_that_skip_or_repeat_are_told(tmp_path, key):
    reader, files, name, text, line = IDS[key]
    folder = write(planetoid(tmp_path) if files is None else write(tmp_path, files), {name: text})
    options = {"target": "kind"} if reader == "musae" else {}
    with pytest.raises(DataError, match=rf"{re.escape(name)}\b.*{line}\b"):
        _call(entries("reader")[reader].obj, Files(folder), options)


def test_ids_that_skip_are_fine_where_they_are_names(tmp_path):
    made = _call(entries("reader")["airports"].obj, Files(write(tmp_path, AIR)), {})
    assert made.names["node"] == ["10", "20", "30"]


#: Labels that some rows lack: -1 or NaN where the form has a place for that, else refused.
def test_labels_missing_for_some_nodes_are_told_apart_or_refused(tmp_path):
    made = raw(lay(tmp_path / "a", "planetoid"), "planetoid")
    assert (made.collated.node_fields["label"] == -1).tolist() == [False] * 4 + [True, False]
    made = raw(lay(tmp_path / "b", "entity-rdf labels"), "entity-rdf labels")
    assert int((made.collated.node_fields["label"] >= 0).sum()) == 2 < made.collated.num_nodes
    key = "tu graph_labels"
    told = refused(lay(tmp_path / "c", key, **{"DS_graph_labels.txt": "1\n-1\n"}), key, None)
    assert "2 lines where 3 were expected" in told
    few = lay(tmp_path / "d", "airports labels", **{"labels-x.txt": "node label\n10 1\n30 0\n"})
    told = refused(few, "airports edges", 2)
    assert "the nodes 10 and 20, not both of which have a label" in told


# --- documents, pickles, missing files -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"edges": [[0, 1]', '{"edges": 3}', "[]", "", "\x00"])
def test_a_document_that_is_cut_or_no_document_is_told(tmp_path, text):
    with pytest.raises(DataError, match=r"x\.json"):
        _call(entries("reader")["pygt-json"].obj, Files(write(tmp_path, {"x.json": text})), {})


#: Files that are optional, or one of several.
SPARED = {
    "entity-rdf labels", "dcrnn places", "dcrnn speeds", "drug-pairs", "gin folds", "multi-path", "tu node_labels",
    "tu edge_labels", "tu node_attributes",
}  # fmt: skip


@pytest.mark.parametrize("key", [key for key in SAMPLES if key not in SPARED])
def test_a_missing_file_is_named_or_asked_for(tmp_path, key):
    folder = lay(tmp_path, key)
    (folder / SAMPLES[key].file).unlink()
    with pytest.raises(DataError, match=r"missing|expected|found|no file|nothing"):
        raw(folder, key)


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


#: Reader, its other files, and the pickle that is hostile.
PICKLES = {
    "planetoid": (None, "ind.toy.graph"),
    "dcrnn": (SENSORS, "adj_mx.pkl"),
    "hypergcn": ({}, "hypergraph.pickle"),
    "nasbench-graph": ({}, "cora.bench"),
    "csl": ({}, "graphs_Kary_Deterministic_Graphs.pkl"),
    "gnnexplainer-pickle": ({}, "syn1.pkl"),
}


@pytest.mark.parametrize("reader", PICKLES)
def test_a_hostile_pickle_is_refused_by_every_reader_of_pickles(tmp_path, reader):
    files, name = PICKLES[reader]
    folder = planetoid(tmp_path / "a") if files is None else write(tmp_path / "a", files)
    write(folder, {name: pickle.dumps([Hostile(tmp_path / "made")], protocol=2)})
    with pytest.raises(UnsafeFileError, match=rf"{re.escape(name)} asks for (posix|nt)\.mkdir.*nothing was executed"):
        _call(entries("reader")[reader].obj, Files(folder), {"dataset": "cora"} if reader == "nasbench-graph" else {})
    assert not (tmp_path / "made").exists()
