"""The README: its Python runs, its shell lines parse, its tables are fresh, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from graphkit.bench import readme, report

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def test_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), space)
    assert space["run"].metrics and (tmp_path / "why-17.html").stat().st_size > 1000


def test_the_main_job_is_ten_lines_of_python():
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize(
    "line", [line for block in blocks("bash") for line in block.splitlines() if line.startswith("graphkit")]
)
def test_shell_lines_parse(line):
    import typer

    from graphkit.cli.app import app

    _, name, *words = shlex.split(line, comments=True)
    typer.main.get_command(app).commands[name].make_context(name, words)


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\S+)", "\n".join(blocks("bash")), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("page", report.PAGES)
def test_tables_are_fresh(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert readme.refresh(text) == text, "run: graphkit bench report"


def test_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
