"""``graphkit predict --smiles``: new molecules from the shell."""

import csv
import json

import pytest

import graphkit as gk
from graphkit.cli import run as shell

SMILES = ["CCO", "CCN", "CCC", "CCCl", "c1ccccc1", "CC(=O)O", "CCCC", "CO", "CN", "C#N", "OCCO", "CCBr"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("rdkit")
    path = tmp_path_factory.mktemp("runs") / "mine"
    data = gk.data.from_smiles(SMILES, [float(len(text)) for text in SMILES], targets=["length"])
    gk.fit("mpnn", data, epochs=1, hidden=8, progress=False, run_dir=path)
    return path, data


@pytest.fixture
def loaded(folder, monkeypatch):
    path, data = folder
    load = gk.Run.load
    monkeypatch.setattr(gk.Run, "load", staticmethod(lambda where: load(where, data)))
    return path


def test_new_molecules_get_a_column_for_each_target(loaded, capsys, tmp_path):
    assert shell(["predict", str(loaded), "--smiles", "CCO,CCCO c1ccccc1"]) == 0
    printed = capsys.readouterr().out
    assert "length" in printed and "c1ccccc1" in printed and max(map(len, printed.splitlines())) <= 80
    assert shell(["predict", str(loaded), "--smiles", "CCO,CCCO", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["predictions"]
    run = gk.Run.load(loaded)
    assert [row["smiles"] for row in rows] == ["CCO", "CCCO"]
    assert rows[1]["length"] == pytest.approx(float(run.predict(smiles="CCCO")), abs=1e-5)
    assert shell(["predict", str(loaded), "--smiles", "CCO", "--out", str(tmp_path / "a.csv")]) == 0
    assert [row["smiles"] for row in csv.DictReader((tmp_path / "a.csv").open())] == ["CCO"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--smiles", "CCO,C("], "error: row 1: the SMILES 'C(' does not parse: syntax error near character 2"),
        (["--smiles", ", "], "error: --smiles names no molecule"),
        (["--smiles", "CCO", "--graphs", "1"], "error: --graphs and --smiles exclude each other"),
        (["--nodes", "1"], "use --graphs instead of --nodes"),
    ],
)
def test_wrong_questions_get_one_sentence(loaded, capsys, words, says):
    assert shell(["predict", str(loaded), *words]) == 2
    printed = capsys.readouterr()
    assert says in printed.err and printed.err.count("\n") == 1 and not printed.out
