"""Every dataset whose raw files are in the mirror: counts and split sizes equal its card."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.data import card, names

SLOW = {"clintox", "coauthor-cs", "coauthor-physics", "hiv", "lipophilicity", "qm8", "sider", "tox21"}
SHIPPED = [name for name in names() if not card(name).files]


def _marked():
    for name in (name for name in names() if card(name).verified):
        marks = [] if name in SHIPPED else [pytest.mark.real]
        yield pytest.param(name, marks=[*marks, *([pytest.mark.slow] if name in SLOW else [])])


#: Sets of graphs and molecules.
SLOW |= {
    "aqsoldb",
    "benzene",
    "cluster",
    "ddi-chchminer",
    "ddi-zhang",
    "fluoride-carbonyl",
    "pattern",
    "qm7",
    "zinc250k-jtnn",
    "zinc250k-slice",
}
#: Hypergraphs.
SLOW |= {"congress-bills", "email-eu", "tags-ask-ubuntu"}


@pytest.mark.parametrize("name", list(_marked()))
def test_counts_equal_the_card(name):
    if card(name).reader == "moleculenet-csv":
        pytest.importorskip("rdkit")
    data = gk.load(name)
    assert data.statistics() == dict(data.card.statistics)
    for split, sizes in data.card.split_sizes.items():
        made = data.with_split(split)
        assert [len(part) for part in made.splits.values()] == list(sizes)
    assert set(data.checksums) <= {entry.name for entry in data.card.files}


@pytest.mark.real
def test_planetoid_reports_what_it_mended():
    assert gk.load("cora").report["repeated_edges"] == 302
    citeseer = gk.load("citeseer")
    assert citeseer.report["self_loops"] == 248 and citeseer.report["isolated_without_label"] == 15
    lost = citeseer.labels == -1
    assert int(lost.sum()) == 15 and citeseer.graph.ndata["feat"][lost].abs().sum() == 0
    assert int((citeseer.graph.in_degrees() == 0).sum()) >= 15
    pubmed = gk.load("pubmed")
    assert torch.bincount(pubmed.labels).tolist() == [4103, 7739, 7875]
    assert int((pubmed.graph.ndata["feat"] != 0).sum()) == 988031


@pytest.mark.real
def test_cora_links_leave_the_message_graph():
    data = gk.load("cora", task="link")
    assert [len(part) for part in data.splits.values()] == [4486, 264, 528]
    assert data.graph.num_edges() == 2 * 4486
    held = data.splits["test"].pos
    assert not data.graph.has_edges_between(held.src, held.dst).any()
    assert not data.graph.has_edges_between(held.dst, held.src).any()
    assert data.original.has_edges_between(held.src, held.dst).all()


@pytest.mark.real
def test_gins_folds_belong_to_its_own_file():
    gin = gk.load("mutag-gin", fold=9)
    assert gin.split_name == "folds" and [len(part) for part in gin.splits.values()] == [153, 17, 18]
    with pytest.raises(GraphKitError, match="the folds of mutag-gin refer to other graphs than mutag: graph 0 has"):
        gk.load("mutag", split="folds", of="mutag-gin")
    every = torch.cat([gin.fold(k).splits["test"] for k in range(10)]).unique()
    assert len(every) == 180


@pytest.mark.real
def test_knowledge_graphs_hold_what_the_notes_say():
    kinship = gk.load("kinship")
    assert len(kinship.known) == 8544 + 1068 + 1074 and kinship.graph.num_edges() == 8544
    assert gk.load("wn18rr").names["entity"][0].startswith("0")


@pytest.mark.real
def test_any_tu_folder_of_the_mirror_loads_unverified():
    with pytest.raises(GraphKitError, match=r"nothing vouches for.*verify=False"):
        gk.load("tu/MUTAG")
    data = gk.load("tu/MUTAG", verify=False)
    assert data.statistics() == dict(card("mutag").statistics)
    assert len(data.report["unverified"]) == 5


@pytest.mark.real
def test_geom_gcn_splits_of_cora():
    data = gk.load("cora", split="geom-gcn", fold=1)
    assert sum(len(part) for part in data.splits.values()) <= 2708 and data.split_options == {"fold": 1}


@pytest.mark.real
def test_molecules_follow_their_scaffolds():
    pytest.importorskip("rdkit")
    data = gk.load("bbbp")
    scaffolds = data.names["scaffold"]
    held = [{scaffolds[i] for i in part.tolist()} for part in data.splits.values()]
    assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]
    assert int((data.labels == 1).sum()) + int((data.labels == 0).sum()) == 2039
    both = [[int((data.labels[part] == label).sum()) for label in (0, 1)] for part in data.splits.values()]
    assert both == [[290, 1341], [92, 112], [97, 107]]


@pytest.mark.real
def test_a_damaged_copy_in_the_cache_is_made_again():
    from graphkit.data.processed import place

    before = gk.load("ptc_mr")
    expected = before.fingerprint()  # now: its arrays are the file that is about to be damaged
    kept = place(before.card, before.card.options)
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 0xFF
    kept.write_bytes(content)
    assert gk.load("ptc_mr").fingerprint() == expected
    assert kept.read_bytes() != bytes(content)
