"""Frames of molecular dynamics and pairs of drugs: sound files, and the ways they can be unsound."""

from __future__ import annotations

import pytest
import torch

from graphkit.core.errors import DataError, GraphKitError
from graphkit.data import from_files

HEAD = 'Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3 energy=-10.5 pbc="F F F"'
FRAME = f"3\n{HEAD}\nO 0 0 0 .1 .2 .3\nH 0 0 1 0 0 0\nH 0 0 6.5 0 0 1e-1\n"
PLAIN = "1\nProperties=species:S:1:pos:R:3 energy={e}\n{z} 0 0 0\n"


ALONE = PLAIN.format(e=-1, z="H") + PLAIN.format(e=-8, z="O")


def xyz(folder, train=FRAME, test="", alone=ALONE):
    for name, text in {"train": train, "test": test, "alone": alone}.items():
        (folder / f"{name}.xyz").write_text(text)
    return folder


def test_frames_become_graphs_within_a_cutoff(tmp_path):
    test = "\n" + FRAME.replace(":forces:R:3", "").replace(" .1 .2 .3", "").replace(" 0 0 0\nH", "\nH", 1)
    test = test.replace("H 0 0 1 0 0 0", "H 0 0 1").replace(" 0 0 1e-1", "").replace("O\n", "O 0 0 0\n")
    data = from_files("extxyz", xyz(tmp_path, test=test), split="public", test="test.xyz", isolated="alone.xyz")
    assert data.labels.tolist() == [[-0.5], [-0.5]] and data.collated.graph_fields["energy"].tolist() == [-10.5, -10.5]
    assert data[0].edges()[0].tolist() == [1, 0] and data[0].edata["distance"].tolist() == [1, 1]
    assert data[0].ndata["z"].tolist() == [8, 1, 1] and data[0].ndata["forces"][2].tolist() == pytest.approx(
        [0, 0, 0.1]
    )
    assert bool(data[1].ndata["forces"].isnan().all()) and data.splits["test"].tolist() == [1]
    wide = from_files("extxyz", tmp_path, split={"train": [0]}, cutoff=6.0)
    assert wide[0].num_edges() == 4 and wide.labels.tolist() == [[-10.5]]
    with pytest.raises(GraphKitError, match="cutoff=0; expected a positive distance"):
        from_files("extxyz", tmp_path, cutoff=0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (FRAME[:-12], "train.xyz, line 5: expected a known element and 6 numbers"),
        ("\n".join(FRAME.splitlines()[:-1]), "train.xyz ends inside the frame that begins at line 1"),
        (FRAME.replace("H 0 0 1", "Q 0 0 1"), "train.xyz, line 4: expected a known element and 6 numbers, got 'Q"),
        (FRAME.replace("energy=-10.5", "energy=low"), "train.xyz, line 2: a frame without a number energy="),
        (FRAME.replace("pos:R:3", "place:R:3"), "line 2: Properties=.*; expected species and pos"),
        (FRAME.replace("1e-1", "nan"), "train.xyz, line 5: .* are no three finite numbers"),
        (FRAME.replace('0 9"', "0 9"), "train.xyz, line 2: No closing quotation"),
        ("three\n", "train.xyz, line 1: expected the number of atoms of a frame, got 'three'"),
        ("", "train.xyz holds no frame"),
    ],
)
def test_unsound_frames(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        from_files("extxyz", xyz(tmp_path, content))


def test_an_element_without_its_isolated_atom(tmp_path):
    with pytest.raises(DataError, match=r"alone.xyz has no atom of number 8"):
        from_files("extxyz", xyz(tmp_path, alone=PLAIN.format(e=-1, z="H")), isolated="alone.xyz")


COLUMNS = "drugbank_id_1,drugbank_id_2,smiles_2,smiles_1,label\n"


def pairs(folder, valid="B,A,CCO,C=O,1.0\n", parts=("train", "valid", "test")):
    rows = {"train": "A,B,C=O,CCO,0\nA,B,C=O,CCO,0\n", "valid": valid, "test": "A,B,C=O,CCO,1\n"}
    for part in parts:
        (folder / f"X_{part}.csv").write_text(COLUMNS + rows[part])
    return folder


def test_a_pair_is_a_disjoint_union_with_sides(tmp_path):
    pytest.importorskip("rdkit")
    data = from_files("drug-pairs", pairs(tmp_path), split="public")
    assert data.labels.tolist() == [0, 0, 1, 1] and data.splits["val"].tolist() == [2]
    graph = data[0]
    assert graph.ndata["z"].tolist() == [6, 6, 8, 6, 8] and graph.ndata["side"].tolist() == [0, 0, 0, 1, 1]
    src, dst = graph.edges()
    assert torch.equal(graph.ndata["side"][src], graph.ndata["side"][dst]) and graph.num_edges() == 6
    twin = graph.edata["reverse_id"]
    assert torch.equal(src[twin], dst) and data[2].ndata["side"].tolist() == [0, 0, 1, 1, 1]
    assert data.collated.graph_fields["drug"].tolist() == [[0, 1], [0, 1], [1, 0], [0, 1]]
    wanted = {"drugs": 2, "smiles": 2, "repeated_pairs": 1, "pairs_in_two_files_same": 0}
    assert data.report == {**wanted, "pairs_in_two_files_opposite": 1}
    assert torch.equal(data[1].ndata["feat"], data[0].ndata["feat"])


def test_unsound_pairs(tmp_path):
    pytest.importorskip("rdkit")
    with pytest.raises(DataError, match=r"X_valid.csv, line 2: '2' in column 'label'; expected 0 or 1"):
        from_files("drug-pairs", pairs(tmp_path, "A,B,C,C,2\n"))
    with pytest.raises(DataError, match=r"X_valid.csv, line 2: the SMILES 'C[(]' does not parse"):
        from_files("drug-pairs", pairs(tmp_path, "A,B,C(,C,1\n"))
    (tmp_path / "X_train.csv").write_text("smiles_1\nC\n")
    with pytest.raises(DataError, match=r"X_train.csv, line 1: no column 'drugbank_id_1'"):
        from_files("drug-pairs", tmp_path)
