"""The house rules that no other tool checks, and what a built wheel holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "graphkit").rglob("*.py"))
HOMES = "|".join(["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/[a-z]"])
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".ipynb", ".html", ""}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for line in done.stdout.splitlines() if (path := ROOT / line).is_file() and path.suffix in TEXT]


def test_no_source_file_is_longer_than_450_lines():
    assert [name(p) for p in SOURCES if len(p.read_text().splitlines()) > 450] == []


def test_no_function_is_much_longer_than_60_lines_of_code():
    """The docstring does not count."""
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                if node.end_lineno - first.lineno + 1 > 65:
                    long.append(f"{name(path)}:{node.lineno} {node.name}")
    assert long == []


def test_message_passing_goes_through_ops():
    """Field-string programming is a second language, and its Python functions are a thousand times slower."""
    word = re.compile(r"\.(update_all|apply_edges|send_and_recv|pull|push)\(")
    allowed = ROOT / "graphkit" / "ops"
    assert [name(p) for p in SOURCES if allowed not in p.parents and word.search(p.read_text())] == []


def test_only_the_dgl_room_touches_the_insides_of_dgl():
    word = re.compile(r"(?<![\w.])dgl\.(_(?!_)|heterograph_index|backend)|\._graph\b")
    allowed = ROOT / "graphkit" / "_dgl"
    found = [
        f"{name(p)}:{number}"
        for p in SOURCES
        if allowed not in p.parents
        for number, line in enumerate(p.read_text().splitlines(), 1)
        if word.search(line) and not line.lstrip().startswith("#")
    ]
    assert found == []


def test_nothing_is_left_undone_in_the_sources():
    word = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XXX|NotImplementedError)\b")
    assert [name(p) for p in SOURCES if word.search(p.read_text())] == []


def test_no_committed_file_names_a_machine_path():
    word = re.compile(HOMES)
    found = [name(p) for p in tracked() if word.search(p.read_text(encoding="utf-8", errors="ignore"))]
    assert found == []


def test_constraints_pin_every_dependency_and_no_local_build():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in wanted}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert names - pinned == set()
    assert [line for line in lines if "==" not in line or "+" in line or "@" in line] == []


def test_the_wheel_ships_cards_types_and_templates(tmp_path):
    """An installed GraphKit must find what a checkout finds."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    cards = {f"graphkit/_datasets/{card.name}" for card in (ROOT / "datasets").glob("*.yaml")}
    assert len(cards) > 5
    assert cards == {path for path in inside if path.startswith("graphkit/_datasets/")}
    package = {name(p) for p in (ROOT / "graphkit").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    package = {p for p in package if "cache" not in p}
    assert package <= inside
    assert "graphkit/py.typed" in inside
    top = {p.partition("/")[0] for p in inside}
    assert {part for part in top if not part.endswith(".dist-info")} == {"graphkit"}
