"""Molecules in the pickles of the graph benchmark, in SDF, in the npz of MD17 and in lists of SMILES."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError, UnsafeFileError
from graphkit.data import from_files
from graphkit.data.cards import FileEntry, Source
from graphkit.data.packed import unpack

PARTS = ("train", "val", "test")


def zinc(folder, index="1,0", **changes):
    bonds = torch.tensor([[0, 2, 0], [2, 0, 1], [0, 1, 0]])
    carbon = {"num_atom": 3, "atom_type": torch.tensor([0, 5, 27]), "bond_type": bonds,
              "logP_SA_cycle_normalized": torch.tensor([1.5])}  # fmt: skip
    other = {"num_atom": 1, "atom_type": torch.tensor([3]), "bond_type": torch.zeros(1, 1, dtype=torch.int64),
             "logP_SA_cycle_normalized": torch.tensor([-2.0])}  # fmt: skip
    for part in PARTS:
        (folder / f"{part}.pickle").write_bytes(pickle.dumps([{**carbon, **changes}, other]))
        (folder / f"{part}.index").write_text(f"{index}\n")
    return folder


def test_zinc_takes_the_molecules_that_the_index_names(tmp_path):
    data = from_files("zinc", zinc(tmp_path), split="public")
    assert len(data) == 6 and [part.tolist() for part in data.splits.values()] == [[0, 1], [2, 3], [4, 5]]
    assert data.labels.reshape(-1).tolist() == [-2.0, 1.5] * 3 and data[0].num_nodes() == 1
    graph = data[1]
    assert graph.ndata["feat"].argmax(1).tolist() == [0, 5, 27] and graph.ndata["feat"].shape[1] == 28
    kinds = {
        (u, v): k
        for u, v, k in zip(*(e.tolist() for e in graph.edges()), graph.edata["feat"].argmax(1).tolist(), strict=True)
    }
    assert kinds == {(0, 1): 2, (1, 0): 2, (1, 2): 1, (2, 1): 1}
    whole = from_files("zinc", tmp_path, split="public", subset=False)
    assert whole.labels.reshape(-1).tolist() == [1.5, -2.0] * 3


@pytest.mark.parametrize(
    ("index", "changes", "says"),
    [
        ("0,2", {}, "train.index, line 1: position 2; expected 0 to 1"),
        ("0,0", {}, "train.index, line 1: a position repeats"),
        ("0\n1", {}, "train.index has 2 lines; expected one"),
        ("0,x", {}, "train.index, line 1: 'x' is not a number"),
        ("0", {"atom_type": torch.tensor([0, 28, 1])}, "molecule 0: a kind of atom outside 0 to 27"),
        ("0", {"atom_type": torch.tensor([0])}, "train.pickle, molecule 0: 1 atoms, but a matrix of bonds of shape"),
        ("0", {"bond_type": 7}, "train.pickle, molecule 0: expected a dict of the tensors atom_type"),
        ("0", {"logP_SA_cycle_normalized": torch.tensor(float("nan"))}, "molecule 0: its bonds or its value"),
    ],
)
def test_unsound_files_of_zinc(tmp_path, index, changes, says):
    with pytest.raises(DataError, match=says):
        from_files("zinc", zinc(tmp_path, index, **changes), split="public")


class Evil:
    def __reduce__(self):
        return (eval, ("1/0",))


class EvilStorage:
    def __reduce__(self):
        return (torch.storage._load_from_bytes, (pickle.dumps(Evil()),))


@pytest.mark.parametrize("content", [[Evil()], Evil()])
def test_a_pickle_of_zinc_is_not_run(tmp_path, content):
    (zinc(tmp_path) / "train.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(UnsafeFileError, match=r"train.pickle asks for builtins.eval.*nothing was executed"):
        from_files("zinc", tmp_path, split="public")


def test_a_storage_inside_a_pickle_is_not_run_either(tmp_path):
    import torch._utils as utils

    class Tensor:
        def __reduce__(self):
            return (utils._rebuild_tensor_v2, (EvilStorage(), 0, (1,), (1,), False, None))

    (zinc(tmp_path, "0", atom_type=Tensor()) / "x").write_bytes(b"")
    with pytest.raises(DataError, match=r"train.pickle, molecule 0 holds a"):
        from_files("zinc", tmp_path, split="public")
    (tmp_path / "train.pickle").write_bytes(pickle.dumps([1, 2])[:-3])
    with pytest.raises(DataError, match=r"train.pickle is truncated or not a pickle"):
        from_files("zinc", tmp_path, split="public")


def aqsol(folder, first):
    lone = np.array([4]), np.zeros(0, np.int64), np.zeros((2, 0), np.int64), np.float64(1.0)
    for part in PARTS:
        (folder / f"{part}.pickle").write_bytes(pickle.dumps([lone, first]))
    return folder


def test_aqsol_leaves_out_molecules_without_bonds(tmp_path):
    two = np.array([1, 64]), np.array([3, 3]), np.array([[0, 1], [1, 0]]), np.float64(-3.5)
    data = from_files("aqsol", aqsol(tmp_path, two), split="public")
    assert len(data) == 3 and data.report["without_bonds"] == 3 and data.labels.tolist() == [[-3.5]] * 3
    assert data[0].edata["feat"].argmax(1).tolist() == [3, 3] and data[0].ndata["feat"].shape == (2, 65)
    with pytest.raises(DataError, match=r"train.pickle, molecule 1: expected kinds of atoms"):
        from_files("aqsol", aqsol(tmp_path, two[:3]), split="public")
    with pytest.raises(DataError, match="molecule 0: its bonds or its value do not fit 1 atoms"):
        from_files("aqsol", aqsol(tmp_path, (np.array([1]), *two[1:])), split="public")


ATOM = "    {:.4f}    {:.4f}    {:.4f} {}   0  0  0  0  0  0  0  0  0  0  0  0\n"
ATOMS = "".join(ATOM.format(*row) for row in ((0, 0, 0.5, "O"), (0, 1, 0, "H"), (1, 0, 0, "H")))
HEAD = "w\n x\n\n  3  2  0  0  0  0  0  0  0  0999 V2000\n"
WATER = HEAD + ATOMS + "  1  2  1  0  0  0  0\n  1  3  1  0  0  0  0\nM  END\n$$$$\n"
#: An atom of hydrogen with two bonds, which RDKit's sanitisation refuses.
WRONG = WATER.replace(" O  ", " H  ")


def sdf(folder, text, table="id,y\na,1\nb,2\n"):
    (folder / "x.sdf").write_text(text)
    (folder / "x.sdf.csv").write_text(table)
    return folder


def test_sdf_gives_atoms_bonds_and_places(tmp_path):
    data = from_files("sdf", sdf(tmp_path, WATER * 2), targets="y", split={"train": [0, 1]})
    graph = data[0]
    assert graph.ndata["z"].tolist() == [8, 1, 1] and graph.ndata["pos"][0].tolist() == [0.0, 0.0, 0.5]
    assert graph.in_degrees().tolist() == [2, 1, 1] and graph.edata["feat"].tolist() == [[1.0, 0.0, 0.0, 0.0]] * 4
    assert data.labels.tolist() == [[1.0], [2.0]]
    (tmp_path / "skip.txt").write_text("3054 compounds that\n---\n1 gdb_1\n")
    left = from_files("sdf", tmp_path, targets="y", skip="skip.txt", split={"train": [0]})
    assert left.labels.tolist() == [[2.0]] and left.collated.graph_fields["record"].tolist() == [1]


def test_sdf_leaves_out_what_the_table_leaves_out(tmp_path):
    pytest.importorskip("rdkit")
    data = from_files("sdf", sdf(tmp_path, WATER + WRONG + WATER), targets="y", split={"train": [0]})
    assert data.collated.graph_fields["record"].tolist() == [0, 2] and data.report["left_out"] == 1
    with pytest.raises(DataError, match="has 2 rows for 3 molecules"):
        from_files("sdf", sdf(tmp_path, WATER * 3), targets="y")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WATER[:40], "x.sdf ends inside the record that begins at line 1"),
        (WATER.replace("$$$$\n", ""), "line 1 has no end"),
        (WATER.replace(" O  ", " Xx "), "x.sdf, line 5: expected a position and a known element"),
        (WATER.replace("  1  3  1", "  1  4  1"), "x.sdf, line 9: expected two atoms from 1 to 3 and a bond"),
        (WATER.replace("  3  2  0", "  a  2  0"), "x.sdf, line 4: expected the numbers of atoms and bonds"),
    ],
)
def test_unsound_sdf(tmp_path, text, says):
    with pytest.raises(DataError, match=says):
        from_files("sdf", sdf(tmp_path, text, "y\n1\n"), targets="y")


def md17(folder, **changes):
    rng = np.random.default_rng(0)
    arrays = {"z": np.array([6, 1, 1]), "R": rng.normal(size=(5, 3, 3)), "F": rng.normal(size=(5, 3, 3)),
              "E": np.arange(5.0)[:, None]} | changes  # fmt: skip
    np.savez(folder / "md17_x.npz", **{name: value for name, value in arrays.items() if value is not None})
    return folder, arrays


def test_md17_joins_atoms_within_the_cutoff(tmp_path):
    folder, arrays = md17(tmp_path)
    data = from_files("md17", folder, split={"train": [0]}, cutoff=1.5)
    assert data.labels.reshape(-1).tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0]
    for i, graph in enumerate(data):
        src, dst = graph.edges()
        far = np.linalg.norm(arrays["R"][i][:, None] - arrays["R"][i][None], axis=2)
        wanted = {(u, v) for u in range(3) for v in range(3) if u != v and far[u, v] <= 1.5}
        assert set(zip(src.tolist(), dst.tolist(), strict=True)) == wanted
        twin = graph.edata["reverse_id"]
        assert torch.equal(src[twin], dst) and torch.equal(dst[twin], src)
        np.testing.assert_allclose(graph.edata["distance"], far[src, dst], rtol=1e-6)
    some = from_files("md17", folder, split={"train": [0]}, frames=2)
    again = from_files("md17", folder, split={"train": [0]}, frames=2)
    chosen = some.collated.graph_fields["frame"]
    assert len(some) == 2 and torch.equal(chosen, again.collated.graph_fields["frame"])
    assert some.collated.graph_fields["energy"].tolist() == chosen.double().tolist()


def test_the_revised_names_and_unsound_arrays(tmp_path):
    old = {"z": None, "R": None, "F": None, "E": None}
    new = {"nuclear_charges": np.array([1, 1]), "coords": np.zeros((2, 2, 3)), "forces": np.zeros((2, 2, 3)),
           "energies": np.zeros(2)}  # fmt: skip
    assert len(from_files("md17", md17(tmp_path, **old, **new)[0], split={"train": [0]})) == 2
    for changes, says in (
        ({"E": None}, "md17_x.npz has no array 'E' or 'energies'"),
        ({"E": np.zeros(4)}, "3 atoms, positions .* and 4 energies do not agree"),
        ({"R": np.full((5, 3, 3), np.nan)}, "the array 'R' holds a number that is not finite"),
    ):
        with pytest.raises(DataError, match=says):
            from_files("md17", md17(tmp_path, **changes)[0])
    with pytest.raises(GraphKitError, match="cutoff=0"):
        from_files("md17", md17(tmp_path)[0], cutoff=0)


def test_lists_of_smiles(tmp_path):
    pytest.importorskip("rdkit")
    (tmp_path / "a.txt").write_text("CC 1.5\r\n\r\nC( 3\nCO -2\n")
    data = from_files("smiles-list", tmp_path, train="a.txt", test="a.txt", target="score", split="public")
    assert data.labels.reshape(-1).tolist() == [1.5, -2.0] * 2 and len(data.report["skipped"]) == 2
    assert [part.tolist() for part in data.splits.values()] == [[0, 1], [], [2, 3]]
    with pytest.raises(DataError, match=r"a.txt, line 1: expected one SMILES, got 'CC 1.5'"):
        from_files("smiles-list", tmp_path, train="a.txt")
    with pytest.raises(DataError, match="no file is named"):
        from_files("smiles-list", tmp_path)


def test_members_of_archives_behind_queries_and_packed_ones(tmp_path):
    import gzip

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/x.csv.gz", gzip.compress(b"1\n"))
    entry, source = FileEntry("x.csv"), Source(url="https://host/x.zip?dl=1", member="a/x.csv.gz")
    assert unpack(buffer.getvalue(), entry, source, "x") == b"1\n"


def test_zinc_and_its_like_are_listed_unverified():
    for name in ("zinc", "aqsol", "qm9", "md17-aspirin"):
        assert not gk.data.card(name).verified
