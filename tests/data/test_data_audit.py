"""What an audit finds: each known trap, in the real files and in small ones made here; and none in clean sets."""

from __future__ import annotations

import csv
import gzip
import io
import json

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit import cli
from graphkit.cli.output import plain
from graphkit.data.auditing import SEVERITIES, audit_pairs, codes
from graphkit.graphs import graph


@pytest.mark.parametrize("name", ["ba-shapes", "tree-cycles", "tree-grid", "digits"])
def test_a_clean_generated_set_has_no_trap(name):
    for seed in (0, 1):
        assert gk.data.audit(gk.load(name, seed=seed)).traps == []


def test_every_finding_has_a_severity_a_number_and_one_sentence():
    made = gk.data.audit("karate")
    assert {"class-balance", "licence", "baseline"} <= {finding.check for finding in made}
    order = [SEVERITIES.index(finding.severity) for finding in made]
    assert order == sorted(order)
    assert all(finding.text.endswith(".") and np.isfinite(finding.number) for finding in made)
    assert json.loads(json.dumps(plain(made.record())))["name"] == "karate"


# --- made here -------------------------------------------------------------------------------------------------------


def test_twin_nodes_across_the_split_are_a_trap_and_within_training_are_not():
    """Nodes 0..19 come in pairs with the neighbours 20, 21 + i // 2 and one label."""
    src = [i for i in range(20) for _ in range(2)]
    dst = [end for i in range(20) for end in (20, 21 + i // 2)]
    g, labels = graph(src, dst, 31, undirected=True), [0] * 10 + [1] * 21
    across = {"train": [*range(0, 20, 2), 20, 21], "test": list(range(1, 20, 2))}
    made = gk.data.audit(gk.Dataset.from_graph(g, labels=labels, splits=across))
    assert made["twin-nodes"].severity == "trap" and made["twin-nodes"].number == 20
    inside = {"train": list(range(20)), "test": list(range(20, 31))}
    assert gk.data.audit(gk.Dataset.from_graph(g, labels=labels, splits=inside))["twin-nodes"].severity == "note"


def test_a_feature_that_is_the_label_is_found():
    labels = torch.arange(60) % 2
    g = graph(list(range(59)), list(range(1, 60)), undirected=True)
    g.ndata["feat"] = torch.stack([torch.rand(60), labels.float() * 3 + 1], 1)
    made = gk.data.audit(gk.Dataset.from_graph(g, labels=labels))
    assert made["label-in-features"].severity == "trap" and "column 1" in made["label-in-features"].text


def test_copies_of_graphs_are_found_whatever_the_order_of_their_nodes():
    rng = np.random.default_rng(0)
    graphs = []
    for i in range(20):
        src, dst = np.triu_indices(8, 1)
        keep = np.random.default_rng(i).random(len(src)) < 0.5
        for _ in range(2):
            place = rng.permutation(8)
            graphs.append(graph(place[src[keep]].tolist(), place[dst[keep]].tolist(), 8, undirected=True))
    labels = [0, 1] * 20
    data = gk.Dataset.from_graphs(graphs, labels, {"train": list(range(0, 40, 2)), "test": list(range(1, 40, 2))})
    made = gk.data.audit(data)
    assert made["twin-graphs"].number == 40 and made["twin-graphs"].severity == "trap"
    assert made["contradicting-graphs"].number == 40 and "50.0 %" in made["contradicting-graphs"].text


def test_graph_codes_tell_features_and_edge_features_apart():
    one, other = (graph([0, 1], [1, 2], 3, undirected=True) for _ in range(2))
    for g, values in ((one, [1.0, 2.0, 3.0]), (other, [3.0, 2.0, 1.0])):
        g.ndata["feat"] = torch.tensor(values).unsqueeze(1)
    third = graph([0, 1], [1, 2], 3, undirected=True)
    third.ndata["feat"] = torch.tensor([[2.0], [1.0], [3.0]])
    full = gk.Dataset.from_graphs([one, other, third] * 4, labels=[0, 1, 0] * 4).collated
    a, b, c = codes.graphs(full, True)[:3].tolist()
    assert a == b != c


def test_absent_classes_isolated_and_unlabelled_nodes_are_counted():
    g = graph([0, 1, 2], [1, 2, 3], 12, undirected=True)
    labels = [0, 1, 0, 1, 0, 1, 0, 1, 2, 2, -1, -1]
    parts = {"train": [0, 1, 2, 3], "val": [4, 5], "test": [6, 7, 8, 9]}
    made = gk.data.audit(gk.Dataset.from_graph(g, labels=labels, splits=parts))
    assert (made["isolated"].number, made["unlabelled"].number) == (8, 2)
    assert made["absent-classes"].severity == "trap" and "train: 2 " in made["absent-classes"].text


def test_a_part_with_one_of_two_classes_alone_is_a_trap():
    """BBBP's test part was one once, by scaffolds of one size in another order than the published one."""
    labels = torch.tensor([[0.0, 1], [1, 0], [1, 0], [1, float("nan")], [0, 1], [1, 0]])
    parts = {"train": [0, 1], "val": [2, 3], "test": [4, 5]}
    graphs = [graph([0], [1]) for _ in labels]
    found = gk.data.audit(gk.Dataset.from_graphs(graphs, labels=labels, splits=parts))
    assert [(f.severity, f.number, " in val: " in f.text) for f in found if f.check == "absent-classes"] == [
        ("trap", 2, True)
    ]
    labels[3, 0] = 0
    found = gk.data.audit(gk.Dataset.from_graphs(graphs, labels=labels, splits=parts))
    assert [(f.severity, f.number) for f in found if f.check == "absent-classes"] == [("note", 1)]


def test_labelled_pairs_in_two_parts_are_told_apart_by_their_labels():
    parts = {
        "train": (["a", "a", "b", "a"], ["b", "c", "c", "b"], [1, 0, 1, 1]),
        "test": (["b", "c", "d"], ["a", "a", "a"], [0, 0, 1]),
    }
    found = {f.check: (f.severity, f.number) for f in audit_pairs(parts)}
    assert found == {
        "contradicting-pairs": ("trap", 1),
        "pairs-in-two-parts": ("trap", 1),
        "repeated-pairs": ("note", 1),
    }
    assert "contradicting-pairs" not in {f.check for f in audit_pairs(parts, undirected=False)}


def test_a_file_of_which_nothing_is_known_is_told(tmp_path):
    data = gk.load("karate")
    data.report = {**data.report, "unverified": {"karate.txt": "0" * 64}, "repeated_edges": 7}
    made = gk.data.audit(data)
    assert made["unverified"].number == 1 and made["repeated-edges"].number == 7


def test_counts_that_are_not_the_cards_are_a_trap():
    import dataclasses

    data = gk.load("karate")
    data.card = dataclasses.replace(data.card, statistics={"nodes": 35})
    assert gk.data.audit(data)["counts"].text == "The loaded counts are not the card's: nodes 34 instead of 35."


def test_labelled_pairs_of_drugs_are_compared_by_file_where_the_split_is_another():
    """What the reader of drug pairs gives: graph fields ``drug`` and ``file``."""
    data = gk.Dataset.from_graphs([graph([0], [1], 2)] * 12, [0, 1] * 6)
    one, other = torch.arange(12) % 6, torch.arange(12) % 6 + 6
    data.collated.graph_fields |= {"drug": torch.stack([one, other], 1), "file": torch.arange(12) // 6}
    data.names = {**data.names, "file": ["a.csv", "b.csv"]}
    found = [f for f in gk.data.audit(data) if f.check == "pairs-in-two-parts"]
    assert any(f.number == 6 and "a.csv and b.csv" in f.text and f.severity == "trap" for f in found)


# --- real files ------------------------------------------------------------------------------------------------------

#: Traps of the notes beside the raw files: the check that must find each, and the number it must state.
NOTED = {
    "chameleon": {"twin-nodes": 1291, "self-loops": 50},
    "squirrel": {"twin-nodes": 2573, "self-loops": 140},
    "cora": {"repeated-edges": 302},
    "citeseer": {"isolated": 48, "unlabelled": 15, "blank-features": 15, "repeated-edges": 236},
    "texas": {"absent-classes": 1},
    "imdb-binary": {"twin-graphs": 579, "contradicting-graphs": 318, "repeated-edges": 193062},
    "enzymes": {"isolated": 106},
    "aids": {"isolated": 210, "easy-task": 0.985},
    "wn18rr": {"unseen-entities": 210},
    "fb15k-237": {"unseen-entities": 9},
    "esol": {"without-bonds": 1},
    "freesolv": {"without-bonds": 3},
    "cora-cocitation": {"isolated": 2708 - 1434},
    "citeseer-cocitation": {"isolated": 3312 - 1458},
    "mushroom": {"single-members": None},
}
TRAPS = {
    "chameleon": {"twin-nodes"},
    "squirrel": {"twin-nodes"},
    "imdb-binary": {"twin-graphs", "contradicting-graphs"},
    "wn18rr": {"unseen-entities"},
    "texas": {"absent-classes"},
    "cora": set(),
    "citeseer": set(),
}


@pytest.mark.real
@pytest.mark.parametrize("name", NOTED)
def test_the_traps_of_the_notes_are_found(mirror, name):
    made = gk.data.audit(name)
    for check, number in NOTED[name].items():
        assert made[check].number == pytest.approx(number, abs=1e-3) if number else check in made
    if name in TRAPS:
        assert {finding.check for finding in made.traps} == TRAPS[name]


def _rows(path) -> tuple[list[str], list[str], list[int]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    table = list(csv.DictReader(io.StringIO(text)))
    one, other = list(table[0])[:2]
    named = [key for key in table[0] if key.lower() == "label"]
    keys = (one, other, named[0])
    return tuple([row[key] for row in table] for key in keys)  # type: ignore[return-value]


@pytest.mark.real
def test_the_drug_pair_files_contradict_or_repeat_each_other(mirror):
    def audited(folder: str) -> list:
        files = sorted(path for path in (mirror / "molecules" / folder).glob("*.csv.gz"))
        parts = {path.name.split(".")[0]: _rows(path) for path in files}
        return audit_pairs({n: (u, v, [int(float(x)) for x in y]) for n, (u, v, y) in parts.items()}, undirected=False)

    def numbers(found, check: str) -> list[int]:
        return sorted(f.number for f in found if f.check == check)

    found = audited("ddi_chchminer")  # 339 pairs of validation and test; the notes give them all opposite labels
    assert numbers(found, "contradicting-pairs") == [1, 50, 61]
    assert numbers(found, "pairs-in-two-parts") == [338]
    assert numbers(found, "repeated-pairs") == [10, 198, 281]
    found = audited("ddi_zhang")
    assert numbers(found, "pairs-in-two-parts") == [13727] and not numbers(found, "contradicting-pairs")


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_audit_command_fits_80_columns_and_speaks_json(capsys):
    assert cli.run(["audit", "karate"]) == 0
    out = capsys.readouterr().out
    assert "No trap found." in out and max(map(len, out.splitlines())) <= 80
    assert cli.run(["audit", "ba-shapes", "--seed", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["traps"] == 0 and {"check", "severity", "number", "text"} == set(found["findings"][0])
    assert cli.run(["audit", "karat"]) == 2
    assert "did you mean 'karate'?" in capsys.readouterr().err
