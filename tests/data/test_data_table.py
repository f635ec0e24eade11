"""The table of datasets: what was counted in the real files beside what was published, and the script that counts."""

from __future__ import annotations

import importlib.util
import json

import pytest

from graphkit.bench import readme
from graphkit.data import card, cards, names


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Return ``datasets/count.py`` as a module that writes to a folder of the test's."""
    place = cards.folder() / "count.py"
    if not place.is_file():
        pytest.skip("an installed wheel ships cards, not the scripts that make them")
    names()  # the cards are read from their own folder before another takes its place
    spec = importlib.util.spec_from_file_location("count", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "README.md").write_text("# Datasets\n\n<!-- cards: made by hand -->\nold\n<!-- /cards -->\n")
    monkeypatch.setattr(cards, "folder", lambda: tmp_path)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "LEDGER", tmp_path / "counted.json")
    return module


def test_counting_writes_ledger_and_table(script, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["count.py", "karate", "digits"])
    assert script.main() == 0
    ledger = json.loads((tmp_path / "counted.json").read_text())
    assert {name: ledger[name]["counted"] for name in ledger} == {
        name: dict(card(name).statistics) for name in ("digits", "karate")
    }
    page = (tmp_path / "README.md").read_text()
    assert "\nold\n" not in page and "| name | tasks | loaded | computed | published | what |" in page
    line = next(line for line in page.splitlines() if line.startswith("| `karate` |"))
    assert line.split("|")[3:6] == [" yes ", " 34 nodes, 156 edges, 2 classes ", " 34 nodes, 78 undirected edges "]
    assert len(page.splitlines()) == len(names()) + 6


def test_a_count_that_is_not_the_cards_is_told(script, monkeypatch, capsys):
    monkeypatch.setattr(script, "count", lambda name: {"counted": {"nodes": 1}})
    monkeypatch.setattr("sys.argv", ["count.py", "karate"])
    assert script.main() == 1
    assert "karate: {'nodes': 1}, but the card says {'nodes': 34" in capsys.readouterr().out


def test_a_set_that_was_not_counted_has_no_computed_numbers(script):
    line = next(line for line in readme.datasets().splitlines() if line.startswith("| `cora` |"))
    assert line.split("|")[3:5] == ["  ", "  "]
