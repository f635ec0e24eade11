"""Molecules: atoms, bonds, and SMILES that do not parse."""

import sys

import pytest
import torch

import graphkit  # noqa: F401
from graphkit.core.errors import DataError, GraphKitError, MissingExtraError
from graphkit.graphs import from_smiles, scaffold, smiles_to_collated
from graphkit.graphs.molecule import atom_features, bond_features


def test_without_rdkit_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'graphkit\[chem\]'"):
        from_smiles("CC")


def set_columns(row, names):
    return {name for name, value in zip(names, row.tolist()) if value}


def test_atoms_and_bonds_say_what_they_are():
    pytest.importorskip("rdkit")
    made = from_smiles("C[C@H](N)C(=O)[O-]")
    names = atom_features()
    assert made.ndata["z"].tolist() == [6, 6, 7, 6, 8, 8]
    chiral = set_columns(made.ndata["feat"][1], names)
    assert {"element=C", "degree=3", "charge=0", "hybridisation=SP3", "hydrogens=1"} <= chiral
    assert any("CHI_TETRAHEDRAL" in name for name in chiral)
    charged = set_columns(made.ndata["feat"][5], names)
    assert {"element=O", "charge=-1", "degree=1"} <= charged
    assert bool((made.ndata["feat"].sum(1) == 6).all())  # one of each category, neither aromatic nor in a ring
    src, dst = made.edges(order="eid")
    double = ((src == 3) & (dst == 4)).nonzero()[0]
    assert "bond=DOUBLE" in set_columns(made.edata["feat"][double][0], bond_features())
    twin = made.edata["reverse_id"]
    assert torch.equal(src[twin], dst) and torch.equal(made.edata["feat"][twin], made.edata["feat"])


def test_rings_aromatic_stereo_and_unknown_elements():
    pytest.importorskip("rdkit")
    ring = from_smiles("c1ccccc1")
    assert all({"aromatic", "ring"} <= set_columns(row, atom_features()) for row in ring.ndata["feat"])
    assert all({"bond=AROMATIC", "conjugated", "ring"} <= set_columns(r, bond_features()) for r in ring.edata["feat"])
    stereo = {name for row in from_smiles("F/C=C/F").edata["feat"] for name in set_columns(row, bond_features())}
    assert "stereo=STEREOE" in stereo
    assert "element=other" in set_columns(from_smiles("[Pt]").ndata["feat"][0], atom_features())
    assert from_smiles("[Pt]").num_edges() == 0


def test_many_molecules_equal_each_alone():
    pytest.importorskip("rdkit")
    texts = ["CCO", "C", "c1ccccc1", "CC(=O)O", "[Na+].[Cl-]"]
    made = smiles_to_collated(texts)
    assert len(made) == 5 and made.rows.tolist() == [0, 1, 2, 3, 4]
    for i, text in enumerate(texts):
        alone = from_smiles(text)
        assert torch.equal(torch.stack(made[i].edges()), torch.stack(alone.edges()))
        for name in ("feat", "reverse_id"):
            assert torch.equal(made[i].edata[name], alone.edata[name])
        assert torch.equal(made[i].ndata["feat"], alone.ndata["feat"])
    assert [g.num_nodes() for g in made] == [3, 1, 6, 4, 2]


def test_it_is_a_collated_set():
    pytest.importorskip("rdkit")
    from graphkit.data.collated import Collated

    made = smiles_to_collated(["CCO", "C", "CC"])
    held = Collated(made.node_offsets, made.edge_offsets, made.src, made.dst, made.node_fields, made.edge_fields)
    batch, node, edge, _ = held.batch([2, 0])
    assert batch.batch_num_nodes().tolist() == [2, 3] and node["feat"].shape == (5, 47)
    src, dst = batch.edges(order="eid")
    assert torch.equal(src[edge["reverse_id"]], dst)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("C(", r"row 1: the SMILES 'C\(' does not parse"),
        ("C(C)(C)(C)(C)C", "row 1: .* does not parse: Explicit valence"),
        ("", "row 1: expected a SMILES string, got ''"),
        (float("nan"), "row 1: expected a SMILES string, got nan"),
        (None, "row 1: expected a SMILES string, got None"),
    ],
)
def test_what_does_not_parse_is_named_or_skipped_and_listed(text, said, capfd):
    pytest.importorskip("rdkit")
    with pytest.raises(DataError, match=said):
        from_smiles(["C", text])
    with pytest.warns(UserWarning, match="skipped 1 SMILES that do not parse .*row 1"):
        made = from_smiles(["C", text, "CC"], on_error="skip")
    assert made.skipped == [(1, str(text))] and made.rows.tolist() == [0, 2] and len(made) == 2
    assert capfd.readouterr().err == ""  # RDKit's own log stays quiet


def test_wrong_requests():
    pytest.importorskip("rdkit")
    with pytest.raises(GraphKitError, match="unknown on_error 'ignore'"):
        from_smiles(["C"], on_error="ignore")
    with pytest.raises(GraphKitError, match="expected a sequence of SMILES"):
        smiles_to_collated("CC")
    with pytest.raises(DataError, match=r"^the SMILES 'x' does not parse"):
        from_smiles("x")
    assert len(from_smiles([])) == 0


def test_scaffolds():
    pytest.importorskip("rdkit")
    assert scaffold("CCCc1ccccc1") == scaffold("OC(=O)c1ccccc1") == "c1ccccc1"
    assert scaffold("CCCC") == ""
    assert scaffold("c1ccc(CCc2ccncc2)cc1C") == "c1ccc(CCc2ccncc2)cc1"
    with pytest.raises(DataError):
        scaffold("C(")
