"""The tables in the README, made from the cards, the registry and the results, so that they cannot go stale."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from graphkit.bench.numbers import metric_name, number, reported_number
from graphkit.bench.report import rows
from graphkit.core.errors import DataError


def table(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table.

    >>> print(table(["a", "b"], [[1, 2]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    parts = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    parts.extend("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
    return "\n".join(parts)


#: What a line of the summary is called, by the first task of a card.
_KINDS = {
    "node": "nodes to classify",
    "link": "links to predict",
    "triple": "knowledge graphs",
    "graph": "graphs to classify, or their quantities to predict",
    "temporal-link": "streams of events",
    "hyperedge": "hypergraphs",
    "forecast": "series on the nodes of a graph",
}


def summary() -> str:
    """Return one line for each kind of dataset: how many, how many held to their real files, and some names."""
    from graphkit import data

    cards = [data.card(name) for name in data.names()]
    lines = []
    for task in sorted({card.tasks[0] for card in cards}, key=lambda task: ([*_KINDS, task].index(task), task)):
        of = [card for card in cards if card.tasks[0] == task]
        verified = [card for card in of if card.verified]
        some = ", ".join(f"`{card.name}`" for card in sorted(verified, key=lambda card: len(card.name))[:6])
        lines.append([_KINDS.get(task, task), len(of), len(verified), some])
    return table(["what", "sets", "verified", "such as"], lines)


def _counts(found: Mapping[str, object]) -> str:
    """Return counts as one cell; of many numbers, such as split sizes, only the first few."""

    def number(value: object) -> str:
        if isinstance(value, list | tuple):
            return " ".join(map(str, value[:3])) + (" ..." if len(value) > 3 else "")
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

    return ", ".join(f"{number(value)} {name.replace('_', ' ')}" for name, value in found.items())


def datasets() -> str:
    """Return the table of datasets: what was counted in the real files (``counted.json``), what was published."""
    from graphkit import data
    from graphkit.data.cards import folder

    ledger = folder() / "counted.json"
    counted = json.loads(ledger.read_text()) if ledger.is_file() else {}

    def line(card) -> list[object]:
        found = counted.get(card.name, {}).get("counted")
        loaded = "" if found is None else "yes" if card.verified else "unverified"
        home = "" if card.files else " (no download)"
        return [
            f"`{card.name}`",
            ", ".join(card.tasks),
            loaded,
            _counts(found or {}),
            _counts(card.published),
            card.title + home,
        ]

    columns = ["name", "tasks", "loaded", "computed", "published", "what"]
    return table(columns, (line(data.card(name)) for name in data.names()))


def models() -> str:
    """Return the table of systems, from the registry."""
    from graphkit.core import registry

    def line(entry) -> list[str]:
        link = f"[{entry.arxiv}](https://arxiv.org/abs/{entry.arxiv})" if entry.arxiv else ""
        levels = entry.options.get("levels") or (entry.level,)
        return [f"`{entry.name}`", ", ".join(levels), entry.title, link]

    return table(["name", "levels", "paper", "arXiv"], (line(e) for e in registry.entries("model").values()))


def results(folder: Path | None = None) -> str:
    """Return the short table of results: one metric of each system on a dataset, where its paper gives one."""
    first: dict[tuple[str, str], dict] = {}
    for row in rows(folder):
        if row["published"]:
            first.setdefault((row["dataset"], row["system"]), row)
    lines = []
    for row in first.values():
        metric, paper = metric_name(row["metric"]), row["published"]
        ours = number(metric, row["mean"]) + (f" ± {number(metric, row['std'])}" if row["std"] is not None else "")
        theirs = reported_number(metric, paper["value"], paper["std"])
        lines.append([row["dataset"], row["system"], metric, ours, theirs])
    return table(["dataset", "system", "metric", "ours", "paper"], lines)


def refresh(text: str, folder: Path | None = None) -> str:
    """Fill the blocks between ``<!-- NAME: made by ... -->`` and ``<!-- /NAME -->``.

    Parameters
    ----------
    text : str
        The README.
    folder : Path, optional
        Folder with recipes and results.

    Raises
    ------
    DataError
        If a block is opened and not closed.
    """
    makers: dict[str, Callable[[], str]] = {
        "cards": datasets,
        "datasets": summary,
        "models": models,
        "results": lambda: results(folder),
    }
    for name, make in makers.items():
        start = re.search(rf"<!-- {name}: .*?-->\n", text)
        if start is None:
            continue
        end = text.find(f"<!-- /{name} -->", start.end())
        if end < 0:
            raise DataError(f"the block {name!r} of the README is opened and not closed")
        text = text[: start.end()] + make() + "\n" + text[end:]
    return text
