"""The command line without any training: what it loads, what it refuses, what it prints."""

from __future__ import annotations

import json
import shlex

import pytest

from graphkit import cli
from graphkit.cli import app as commands
from graphkit.cli import parse
from graphkit.core.errors import GraphKitError

HEAVY = ("torch", "dgl", "rdkit", "sklearn", "matplotlib", "numba", "pandas", "numpy")


def run(capsys, *words: str) -> tuple[int, str, str]:
    """Run the command line in this process; return its exit code, stdout and stderr."""
    code = cli.run(list(words))
    seen = capsys.readouterr()
    return code, seen.out, seen.err


def one_sentence(text: str) -> str:
    """Assert that ``text`` is one line that starts with ``error:`` and return it."""
    assert text.startswith("error: ") and text.count("\n") == 1 and text.endswith("\n"), text
    return text.strip()


@pytest.mark.parametrize("words", ["--help", "train --help", "--version", "trian"])
def test_help_and_usage_load_nothing_heavy(fresh_python, words):
    program = (
        "import sys, time; start = time.perf_counter(); from graphkit import cli; "
        f"cli.run({words.split()!r}); seconds = time.perf_counter() - start; "
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules], seconds < 3)"
    )
    assert fresh_python(program).splitlines()[-1] == "LOADED [] True"


def test_help_lists_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    names = ["demo", "datasets", "info", "audit", "models", "layers", "train", "predict", "explain", "doctor", "bench"]
    for name in names:
        assert f" {name} " in out


@pytest.mark.parametrize(
    "name", ["demo", "datasets", "info", "audit", "models", "layers", "train", "predict", "explain", "doctor"]
)
def test_each_command_has_examples_within_80_columns(capsys, name):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0 and f"graphkit {name}" in out.partition("Examples")[2]
    assert max(len(line) for line in out.splitlines()) <= 80


def _command(words: list[str]):
    import typer

    command, rest = typer.main.get_command(commands.app), words
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("line", commands.EXAMPLES)
def test_every_example_in_the_help_parses(line):
    program, *words = shlex.split(line)
    command, rest = _command(words)
    assert program == "graphkit"
    command.make_context("graphkit", rest)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("trian cora", "did you mean 'train'?"),
        ("train", "missing argument"),
        ("train cora --epoch 3", "--epochs"),
        ("train cora --epochs 0", "--epochs"),
        ("train cora --epochs many", "--epochs"),
        ("train cora --set hidden", "name=value"),
        ("train coar", "did you mean 'cora'?"),
        ("train digits --model gcnn", "did you mean 'gcn'?"),
        ("train digits --task nodes", "task"),
        ("train cora --model gcn --task triple", "triple"),
        ("info coar", "did you mean 'cora'?"),
        ("datasets --task edges", "unknown task"),
        ("models --level nodes", "unknown level"),
        ("layers --family convolutions", "expected one of: convolution, global"),
        ("info GATConvv", "did you mean 'gatconv'?"),
        ("explain --node 1 --graph 2", "exclude each other"),
        ("explain", "--node, --pair or --graph"),
        ("explain --pair 3", "two node ids"),
        ("predict --nodes 1 --pairs 1-2", "exclude each other"),
        ("predict no-such-folder", "no run folder"),
        ("doctor --hook --unhook", "exclude each other"),
        ("bench run no-such", "unknown recipe"),
        ("bench run --folder no-such-folder", "recipes"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(capsys, tmp_path, monkeypatch, words, told):
    if not words.startswith("bench"):
        monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert told in one_sentence(err)


def test_json_on_bad_input_keeps_stdout_empty(capsys):
    code, out, err = run(capsys, "info", "coar", "--json")
    assert (code, out) == (2, "")
    one_sentence(err)


def test_interrupt_gives_130(capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("graphkit.cli.datasets.list_datasets", stop)
    assert run(capsys, "datasets")[::2] == (130, "stopped\n")


def test_a_file_that_cannot_be_written_is_one_sentence(capsys, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "runs/x")

    monkeypatch.setattr("graphkit.cli.datasets.list_datasets", refuse)
    code, _, err = run(capsys, "datasets")
    assert code == 2 and one_sentence(err) == "error: runs/x: Permission denied"


def listed(capsys, *words: str) -> list[dict]:
    """Return the cards that ``graphkit datasets`` lists, verified and unverified."""
    found = json.loads(run(capsys, "datasets", *words, "--json")[1])
    assert list(found) == ["verified", "unverified"]
    assert all(card["verified"] for card in found["verified"])
    assert not any(card["verified"] for card in found["unverified"])
    return [*found["verified"], *found["unverified"]]


def test_datasets_models_and_info_answer_people_and_scripts(capsys):
    asked = ("datasets", "models", "layers", "info cora", "info gcn", "info gnnexplainer", "info GATv2Conv")
    for words in map(str.split, asked):
        code, out, _ = run(capsys, *words)
        assert code == 0 and max(map(len, out.splitlines())) <= 80
        code, out, _ = run(capsys, *words, "--json")
        assert code == 0 and json.loads(out)
    assert {"cora", "digits"} <= {card["name"] for card in listed(capsys)}
    assert all("link" in card["tasks"] for card in listed(capsys, "--task", "link"))
    assert json.loads(run(capsys, "info", "gcn", "--json")[1])["arxiv"] == "1609.02907"


def test_layers_lists_each_layer_and_pool_once_in_one_line(capsys):
    from graphkit.core.registry import entries

    classes = {entry.obj.__name__ for kind in ("layer", "pool") for entry in entries(kind).values()}
    code, out, _ = run(capsys, "layers")
    firsts = [line.split()[0] for line in out.splitlines() if line.startswith(" ") and line.strip()]
    assert code == 0 and sorted(name for name in firsts if name in classes) == sorted(classes)
    assert len([line for line in out.splitlines() if line.startswith("   ") and line.strip()]) == 0  # no second lines
    found = json.loads(run(capsys, "layers", "--json")[1])
    assert {item["class"] for item in found} == {f"graphkit.nn.{name}" for name in classes}
    assert all(item["what"] for item in found)
    by_name = {item["name"]: item for item in found}
    assert by_name["gatconv"]["arguments"]["num_heads"] == 1 and by_name["gatconv"]["formula"].startswith("h_v = ")
    for name, family in (("relgatconv", "relational"), ("hgnnconv", "hypergraph"), ("batchnorm", "global")):
        asked = json.loads(run(capsys, "layers", "--family", family, "--json")[1])
        assert name in {item["name"] for item in asked} and all(item["family"] == family for item in asked)
    assert by_name["topk"]["family"] == "pool"


@pytest.mark.parametrize("name", ["GATConv", "gatconv", "TopKPool", "topk"])
def test_info_tells_of_a_layer_by_its_name_or_its_class(capsys, name):
    code, out, _ = run(capsys, "info", name)
    assert code == 0 and "formula" in out and "in_feats" in out and max(map(len, out.splitlines())) <= 80
    assert json.loads(run(capsys, "info", name, "--json")[1])["name"] == ("topk" if "op" in name else "gatconv")


def test_newest_run_is_found_when_none_is_named(tmp_path):
    import os

    for age, name in enumerate(["new", "old"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert parse.run_folder(None, tmp_path).name == "new"
    with pytest.raises(GraphKitError, match="there is no run in"):
        parse.run_folder(None, tmp_path / "none")
    with pytest.raises(GraphKitError, match=r"holds no config\.yaml"):
        parse.run_folder(tmp_path)


def test_words_become_values():
    assert parse.settings(["lr=1e-3", "hidden=32", "norm=none", "name=x=y", "widths=[1,2]"]) == {
        "lr": 1e-3,
        "hidden": 32,
        "norm": None,
        "name": "x=y",
        "widths": [1, 2],
    }
    assert parse.integers("0,3,10-12", "--nodes") == [0, 3, 10, 11, 12]
    assert parse.pairs("1-0-2", "--pairs", 3) == [(1, 0, 2)]
    for text in ("a", "1-", "-1", ""):
        with pytest.raises(GraphKitError, match="--nodes expects ids"):
            parse.integers(text, "--nodes")
    for text in ("1", "1-2-3", "1-x", ""):
        with pytest.raises(GraphKitError, match="--pairs expects"):
            parse.pairs(text, "--pairs")


def test_datasets_are_filtered_by_size_licence_presence_and_verification(capsys, monkeypatch):
    small = listed(capsys, "--max-nodes", "100")
    assert {"karate", "les-miserables"} <= {card["name"] for card in small}
    assert all(card["statistics"]["nodes"] <= 100 for card in small)
    assert all("mit" in card["licence"].lower() for card in listed(capsys, "--licence", "mit"))
    assert all(card["verified"] for card in listed(capsys, "--verified"))
    assert not any(card["verified"] for card in listed(capsys, "--unverified"))
    monkeypatch.setenv("GRAPHKIT_MIRROR", "")
    here, away = listed(capsys, "--cached"), listed(capsys, "--not-cached")
    assert "karate" in {card["name"] for card in here} and "cora" in {card["name"] for card in away}
    assert len(here) + len(away) == len(listed(capsys))


def test_info_sets_counted_beside_published_numbers(capsys):
    code, out, _ = run(capsys, "info", "karate")
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    assert "computed" in out and "edge homophily" in out and "Nodes by degree" in out and "@misc{karate" in out
    found = json.loads(run(capsys, "info", "karate", "--json")[1])
    assert found["computed"]["nodes"] == found["statistics"]["nodes"] == 34
    assert sum(found["degrees"].values()) == 34
    assert json.loads(run(capsys, "info", "karate", "--card-only", "--json")[1])["computed"] is None
