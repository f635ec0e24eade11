"""Every trap that the notes beside the raw files name is told by the audit of the real set: found, or on its card."""

from __future__ import annotations

import re

import pytest

import graphkit as gk
from graphkit.data import names

pytestmark = pytest.mark.real

#: Dataset to what its audit must say. A check with its number was found in the files; a text stands in a finding or
#: among the traps that the card tells, because the files alone cannot show it.
TRAPS: dict[str, list] = {
    "cora": [("repeated-edges", 302), "5,429 counts directed", "tx follow the order of test.index"],
    "citeseer": [("unlabelled", 15), ("self-loops", 248), ("repeated-edges", 236), "absent from", "3,312 .*4,732"],
    "pubmed": [("self-loops", 6), ("repeated-edges", 25), "allx .*was rebuilt"],
    "texas": [("absent-classes", 1), ("self-loops", 16), "Class 1 has a single node"],
    "cornell": [("self-loops", 3), "features and labels of Texas under Cornell's name"],
    "actor": [("repeated-edges", 3372), ("self-loops", 122), "highest being 931, hence 932 columns"],
    "chameleon": [("twin-nodes", 1291), ("self-loops", 50), "chameleon-filtered", "proportions are 48/32/20"],
    "squirrel": [("twin-nodes", 2573), ("self-loops", 140), "squirrel-filtered"],
    "minesweeper": ["ROC AUC, not accuracy"],
    "tolokers": ["ROC AUC, not accuracy"],
    "cora-gnnbench": ["Node order and class numbers differ"],
    "cora-ml": ["object arrays"],
    "citeseer-full": ["Another graph than Planetoid's"],
    "dblp": ["Stored symmetric already"],
    "amazon-photo": [("self-loops", 1), "some tools report twice that"],
    "fb15k-237": [("unseen-entities", 9), "CR LF", "9 validation and 28 test triples"],
    "wn18rr": [("unseen-entities", 210), "zero-padded", "35 % of the test pairs are linked"],
    "kinship": ["filtered ranking is essential"],
    "nations": [("known-pairs", 201), "every test pair is also linked"],
    "aifb": ["order of columns differs", "affiliation and employs"],
    "mutag-rdf": ["called bond", "Not the set of graphs of TUDataset"],
    "hetrec-lastfm": ["Ids skip"],
    "bitcoin-alpha": [("out-of-order", None), "not in time order", "Ids start at 1 and skip", "header line"],
    "bitcoin-otc": ["fractions of a second", "Ids start at 1 and skip"],
    "cora-cocitation": [("isolated", 2708 - 1434)],
    "citeseer-cocitation": [("isolated", 3312 - 1458)],
    "pubmed-cocitation": [("isolated", 19717 - 3840), "Features were too large"],
    "mushroom": [("single-members", 6), "hyperedges have one member"],
    "email-enron": [("single-members", 431), "Ids have gaps", "not in time order"],
    "ndc-classes": [("single-members", 3441), "not in time order"],
    "twitch-fr": [("repeated-targets", 2), "node number is new_id", "6,551 rows for 6,549"],
    "twitch-de": ["another order"],
    "chameleon-musae": [("self-loops", 50), ("twin-nodes", None), "features and target are others"],
    "polblogs": [("repeated-edges", 65), "strict GML readers", "largest component"],
    "karate-newman": ["plain name karate"],
    "airports-usa": ["not contiguous"],
    "airports-brazil": [("self-loops", 71)],
    "montevideo": ["stops' numbers"],
    "metr-la": [("self-loops", 207), "speeds .* too large"],
    "regenn-covid19-d1": ["meaning the file does not state"],
    "clutrr": ["proof_state gives the answer away", "f_comb repeats the relations"],
    "rcc8": [("rows-by-label", None), "grouped by label", "number varies", "training files .* left out"],
    "mutag": ["renumbered from 0"],
    "enzymes": [("isolated", 106)],
    "proteins": [("isolated", 5)],
    "nci1": [("isolated", 428)],
    "aids": [("isolated", 210), ("easy-task", 0.9845), "almost trivial"],
    "mutagenicity": [("isolated", 2401)],
    "imdb-binary": [("repeated-edges", 193062), ("twin-graphs", 579), ("contradicting-graphs", 318), "other folds"],
    "imdb-multi": [("repeated-edges", 197806), ("twin-graphs", 1212), ("contradicting-graphs", 1120), "other folds"],
    "mutag-gin": ["180 of the 188"],
    "ptc-gin": ["340 of the 344", "Not PTC_MR"],
    "proteins-gin": ["1,110 of the 1,113"],
    "esol": [("without-bonds", 1), "older model's prediction"],
    "freesolv": [("without-bonds", 3), "simulation, not the label"],
    "bbbp": [("skipped", 11)],
    "csl": [("self-loops", 6150), "not the published ones"],
    "exp": [("contradicting-graphs", 1200), "keeps pairs together"],
    "cexp": [("contradicting-graphs", 600), "keeps pairs together"],
    "syn1": [("few-features", 1), "in one direction only"],
    "mutagenicity-gt": ["only graphs of label 0"],
    "nas-bench-201": ["short schedule of 12 epochs"],
    "sat-uf20-91": ["lacks the comments"],
    "sider": [("without-bonds", 31)],
    "clintox": [("skipped", 4), "RDKit's version"],
    "tox21": [("unlabelled", 16012), "16,026 labels are missing", "8,014 rows"],
    "qm8": [("repeated-smiles", 20)],
    "ddi-chchminer": [("contradicting-pairs", 61), ("pairs-in-two-parts", 338), ("repeated-pairs", 281)],
    "ddi-zhang": [("pairs-in-two-parts", 13727)],
}  # fmt: skip
#: RDKit reads these for longer than 10 seconds.
SLOW = {"sider", "tox21", "qm8", "ddi-chchminer", "ddi-zhang"}


def _marked():
    for name in TRAPS:
        yield pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])


def test_the_sets_of_the_notes_are_names_of_ours():
    assert set(TRAPS) <= set(names()) and len(TRAPS) >= 65


@pytest.mark.parametrize("name", list(_marked()))
def test_the_audit_tells_the_traps_of_the_notes(mirror, name):
    made = gk.data.audit(name)
    told = "\n".join([*(finding.text for finding in made), *made.known])
    for trap in TRAPS[name]:
        if isinstance(trap, str):
            assert re.search(trap, told), (trap, told)
            continue
        check, number = trap
        found = [finding.number for finding in made if finding.check == check]
        assert found, f"no finding {check}: {told}"
        assert number is None or any(value == pytest.approx(number, abs=1e-3) for value in found), (check, found)
