"""Molecules: atoms, bonds, and SMILES that do not parse."""

import sys

import pytest
import torch

import graphkit
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
        ("C(", r"row 1: the SMILES 'C\(' does not parse: syntax error near character 2"),
        ("C1CC", "row 1: the SMILES 'C1CC' does not parse: unclosed ring$"),
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


def test_the_module_is_called_and_takes_what_rdkit_makes():
    chem = pytest.importorskip("rdkit.Chem")
    graph = graphkit.graphs.molecule("CCO")
    assert graph.num_nodes() == 3 and "pos" not in graph.ndata
    for other in (from_smiles("CCO"), graphkit.graphs.molecule(chem.MolFromSmiles("CCO"))):
        assert torch.equal(graph.ndata["feat"], other.ndata["feat"])
    with pytest.warns(UserWarning, match="skipped 1 SMILES"):
        many = graphkit.graphs.molecule([chem.MolFromSmiles("CCO"), "CC", "C("], on_error="skip")
    assert repr(many) == "Molecules(2 molecules, 5 atoms, 6 edges, 1 skipped)"
    full = graphkit.graphs.molecule("CCO", hydrogens=True)
    assert full.num_nodes() == 9 and int((full.ndata["z"] == 1).sum()) == 6


def test_atoms_in_space_are_joined_within_the_radius():
    pytest.importorskip("rdkit")
    molecule = graphkit.graphs.molecule
    graph = molecule("CCO", positions="embed", hydrogens=True, radius=2.5)
    far = torch.cdist(graph.ndata["pos"], graph.ndata["pos"])
    bonds = molecule("CCO", hydrogens=True)
    wanted = (far <= 2.5).fill_diagonal_(False)
    wanted[bonds.edges()] = True
    src, dst = graph.edges()
    assert torch.equal(torch.zeros_like(wanted).index_put_((src, dst), torch.tensor(True)), wanted)
    assert len(src) == int(wanted.sum())
    torch.testing.assert_close(graph.edata["distance"], far[src, dst], atol=1e-5, rtol=1e-5)
    assert torch.equal(src[graph.edata["reverse_id"]], dst)
    bonded = graph.edata["feat"].any(1)
    assert set(zip(src[bonded].tolist(), dst[bonded].tolist())) == set(zip(*(x.tolist() for x in bonds.edges())))
    assert torch.equal(
        molecule("CCO", positions="embed", seed=3).ndata["pos"], molecule("CCO", positions="embed", seed=3).ndata["pos"]
    )
    line = molecule("CCO", positions=[[0, 0, 0], [0, 0, 1.5], [0, 0, 3]], radius=3.0)
    assert line.num_edges() == 6 and sorted(line.edata["distance"].tolist()) == [1.5] * 4 + [3.0] * 2


WATER = "3\nwater\nO 0 0 0\nH 0.96 0 0\nh -0.24 0.93 0\n"


def test_files_in_space(tmp_path):
    chem = pytest.importorskip("rdkit.Chem")
    from rdkit.Chem import AllChem

    molecule = graphkit.graphs.molecule
    (tmp_path / "w.xyz").write_text(WATER)
    water = molecule(tmp_path / "w.xyz", radius=1.2)
    assert water.ndata["z"].tolist() == [8, 1, 1] and water.num_edges() == 4
    assert not water.edata["feat"].any()  # XYZ knows no bonds
    (tmp_path / "two.xyz").write_text(WATER * 2)
    assert len(molecule(str(tmp_path / "two.xyz"))) == 2
    writer = chem.SDWriter(str(tmp_path / "a.sdf"))
    for text in ("CCO", "c1ccccc1"):
        made = chem.AddHs(chem.MolFromSmiles(text))
        AllChem.EmbedMolecule(made, randomSeed=1)
        writer.write(made)
    writer.close()
    ethanol, benzene = molecule(tmp_path / "a.sdf")
    assert ethanol.num_nodes() == 9 and benzene.num_nodes() == 12 and ethanol.ndata["pos"].shape == (9, 3)
    assert ethanol.num_edges() == 16  # no radius: bonds only
    chem.MolToMolFile(chem.MolFromSmiles("CCO"), str(tmp_path / "one.mol"))
    assert molecule(tmp_path / "one.mol").num_nodes() == 3


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.xyz", WATER.replace("H 0.96", "Xx 0.96"), "a.xyz, line 4: expected a known element and three numbers"),
        ("a.xyz", WATER.replace("0.96 0 0", "0.96 0"), "a.xyz, line 4: expected a known element and three numbers"),
        ("a.xyz", WATER.replace("0.96 0 0", "0.96 nan 0"), "a.xyz, line 4: expected a known element"),
        ("a.xyz", WATER.replace("3\n", "4\n", 1), "a.xyz, line 1: 4 atoms are announced, but the file ends before"),
        ("a.xyz", "water\n", "a.xyz, line 1: expected the number of atoms, got 'water'"),
        ("a.xyz", "", "a.xyz is empty"),
        ("a.sdf", "junk\n$$$$\n", r"a.sdf: RDKit refuses record 0"),
        ("a.sdf", "", "a.sdf holds no molecule"),
        ("a.mol", "junk", "a.mol: RDKit refuses record 0"),
    ],
)
def test_unsound_files_in_space(tmp_path, name, text, says):
    pytest.importorskip("rdkit")
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        graphkit.graphs.molecule(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_a_molecule_is_not(tmp_path, capfd):
    pytest.importorskip("rdkit")
    molecule = graphkit.graphs.molecule
    for call, says in (
        (lambda: molecule(5), "got a int; expected a SMILES, a molecule of RDKit, a file, or a sequence"),
        (lambda: molecule("nothere.sdf"), "nothere.sdf is no file"),
        (lambda: molecule(tmp_path / "x.pdb"), "x.pdb is no file"),
        (lambda: molecule("CCO", radius=3.0), "there are no 3D positions to take radius=3.0 of"),
        (lambda: molecule("CCO", radius=0), "radius=0; expected a positive distance"),
        (lambda: molecule("CCO", positions=[[0, 0, 0]]), r"positions of shape \[1, 3\] came for 3 atoms"),
        (lambda: molecule("CCO", positions="guess"), "unknown positions 'guess'"),
        (lambda: molecule("[Pt]", other=False), "^atom 0 is Pt; expected one of H, B, C"),
        (lambda: molecule(["C", "C[Te]C"], other=False), "row 1: atom 1 is Te; expected one of H, B, C"),
    ):
        with pytest.raises(GraphKitError, match=says):
            call()
    (tmp_path / "x.pdb").write_text("HEADER")
    with pytest.raises(DataError, match=r"x.pdb ends in '.pdb'; expected .sdf, .mol or .xyz"):
        molecule(tmp_path / "x.pdb")
    assert capfd.readouterr().err == ""
