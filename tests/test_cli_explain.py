"""``graphkit explain`` from the shell: where its files go, two methods at once, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphkit import cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a node run, a link run and a run that reads no edges."""
    place = tmp_path_factory.mktemp("runs")
    for words in ("karate --model gcn", "les-miserables --model gae", "karate --model mlp"):
        assert (
            cli.run(["train", *words.split(), "--epochs", "2", "--out", str(place / words.split()[-1]), "--json"]) == 0
        )
    return place


@pytest.fixture
def shell(folder, tmp_path, monkeypatch, capsys):
    """Run ``graphkit explain`` on a run in an empty folder; return stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(model: str, words: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        found = cli.run(["explain", str(folder / model), *words.split()])
        seen = capsys.readouterr()
        assert found == code, seen.err
        assert max((len(line) for line in seen.out.splitlines() if "/" not in line), default=0) <= 80, seen.out
        return seen.out, seen.err

    return run


def files() -> list[str]:
    return sorted(path.name for path in Path().rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["page.html", "why.png", "why.svg"])
def test_a_file_named_by_out_is_all_that_is_written(shell, name):
    out, _ = shell("gcn", f"--node 5 --method saliency --out here/{name}")
    assert files() == [name] and f"here/{name}" in out


def test_two_methods_are_printed_side_by_side_and_share_a_page(shell):
    out, _ = shell("gcn", "--node 5 --method saliency --compare occlusion --top 3 --out both")
    assert "saliency beside occlusion" in out and "fidelity+" in out and "them alone" in out
    name = "saliency-vs-occlusion-node-5"
    assert files() == [f"{name}.html", f"{name}.png"]
    assert '"method":"occlusion"' in Path(f"both/{name}.html").read_text()


def test_json_holds_both_methods_and_their_probabilities(shell):
    out, _ = shell("gae", "--pair 3,44 --method saliency --compare occlusion --top 4 --out page.html --json")
    found = json.loads(out)
    assert found["method"] == "saliency" and found["compare"]["method"] == "occlusion"
    assert len(found["top_edges"]) == len(found["compare"]["top_edges"]) == 4
    assert found["html"] == "page.html" and "png" not in found and found["carriers"]
    for part in (found, found["compare"]):
        whole = part["fidelity"]["probability"]
        assert part["sufficient"] == pytest.approx(whole - part["fidelity"]["minus"])
        assert part["necessary"] == pytest.approx(whole - part["fidelity"]["plus"])


def test_options_of_the_question_hold_for_both_methods(shell):
    asked = "--set epochs=3 --set target_class="
    both = []
    for label in (0, 1):
        found = json.loads(shell("gcn", f"--node 5 --compare saliency {asked}{label} --json")[0])
        assert found["fidelity"]["probability"] == found["compare"]["fidelity"]["probability"]
        both.append(found["fidelity"]["probability"])
    assert sum(both) == pytest.approx(1)


def test_more_edges_than_there_are_is_said_in_one_sentence(shell):
    out, err = shell("gcn", "--node 5 --method saliency --top 9999 --out page.html")
    assert err.startswith("note: 9999 edges were asked for; ") and err.count("\n") == 1
    assert f"these {err.split(';')[1].split()[0]} edges" in out


def test_a_model_that_reads_no_edges_has_an_empty_explanation(shell):
    out, err = shell("mlp", "--node 5 --method saliency")
    assert "No edge can matter" in out and not err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--node 99", "node 99 is not in the graph of 34 nodes"),
        ("--graph 0", "explain it with --node"),
        ("--node 1 --compare gnnexplainer", "is the method itself"),
        ("--node 1 --compare salienci", "did you mean 'saliency'"),
        ("--node 1 --method saliency --compare attention", "another explainer"),
        ("--node 1 --method saliency --set target_class=7", "target_class 7"),
        ("--node 1 --method saliency --out /proc/none/page.html", "cannot write"),
        ("--node 1 --top 0", "--top"),
    ],
)
def test_bad_questions_are_one_sentence_and_leave_no_page(shell, words, told):
    line = words if "--out" in words else f"{words} --out page.html"
    out, err = shell("gcn", line, code=2)
    assert err.startswith("error: ") and err.count("\n") == 1 and told in err and not out
    assert not files()


def test_out_that_is_another_file_is_refused(shell):
    Path("notes.txt").write_text("mine")
    _, err = shell("gcn", "--node 1 --method saliency --out notes.txt", code=2)
    assert "expected a folder" in err and Path("notes.txt").read_text() == "mine"
