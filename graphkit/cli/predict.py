"""``graphkit predict``: numbers for nodes, pairs or graphs from a run folder."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphkit.cli import parse
from graphkit.cli.output import emit_json, show_table
from graphkit.core.errors import GraphKitError

#: Most rows printed when the user named none; a file gets all.
SHOWN = 20


@dataclass(frozen=True)
class Links:
    """A node whose likeliest links are wanted, and how many."""

    node: int
    top: int
    relation: int | None


def main(
    run_path: Path | None,
    nodes: str | None,
    pairs: str | None,
    graphs: str | None,
    out: Path | None,
    as_json: bool,
    links: Links | None = None,
    smiles: str | None = None,
    times: str | None = None,
) -> None:
    """Predict and print a table, JSON, or a CSV file."""
    given = {"--nodes": nodes, "--pairs": pairs, "--graphs": graphs, "--links-of": links, "--smiles": smiles}
    asked = [name for name, value in given.items() if value is not None]
    if len(asked) > 1:
        raise GraphKitError(f"{' and '.join(asked)} exclude each other; give one of them")
    folder = parse.run_folder(run_path)
    import graphkit as gk

    run = gk.Run.load(folder)
    expected = {"node": "--nodes", "graph": "--graphs"}.get(run.data.task, "--pairs")
    fits = {expected, {"--pairs": "--links-of", "--graphs": "--smiles"}.get(expected, expected)}
    if asked and asked[0] not in fits:
        raise GraphKitError(f"{folder} predicts for {run.data.task}s; use {expected} instead of {asked[0]}")
    if times is not None and run.data.task != "temporal-link":
        raise GraphKitError(f"--times goes with runs on streams; {folder} is of {run.data.name} ({run.data.task})")
    if links:
        found = run.top_links(links.node, links.top, rel=links.relation)
        columns, rows = found.columns.tolist(), [list(row) for row in found.itertuples(index=False, name=None)]
    elif run.data.task == "temporal-link":
        columns, rows = _meetings(run, pairs, times, bool(out or as_json))
    elif smiles is not None:
        columns, rows = _molecules(run, smiles.replace(",", " ").split())
    else:
        columns, rows = table(run, {"--nodes": nodes, "--graphs": graphs}.get(expected, pairs), bool(out or as_json))
    if out is not None:
        write_csv(out, columns, rows)
    if as_json:
        emit_json({"run": str(folder), "predictions": [dict(zip(columns, row, strict=True)) for row in rows]})
    elif out is not None:
        print(f"written: {out} ({len(rows)} rows)")
    else:
        show_table(f"{folder}", columns, [[_cell(value) for value in row] for row in rows], right=columns)
        if not asked:
            print("These are from the test part of the split; name your own with " + expected + ", or --out FILE.csv")


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def table(run, text: str | None, everything: bool) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows that answer the question ``text``, or the test part when it is None."""
    if run.data.task in {"node", "graph"}:
        ids = parse.integers(text, f"--{run.data.task}s") if text else run.data.splits["test"].tolist()
        ids = ids if text or everything else ids[:SHOWN]
        return _supervised(run, ids)
    relational = run.data.task == "triple"
    if text:
        found = parse.pairs(text, "--pairs", 3 if relational else 2)
    else:
        test = run.data.splits["test"].pos
        middle = [test.rel] if relational else []
        found = list(zip(*(part.tolist() for part in (test.src, *middle, test.dst)), strict=True))
        found = found if everything else found[:SHOWN]
    return _scored(run, found, relational)


def _meetings(run, text: str | None, times: str | None, everything: bool) -> tuple[list[str], list[list[Any]]]:
    """Probabilities that pairs meet at times: those of the test events without a question."""
    if text is None and times is not None:
        raise GraphKitError("--times says when pairs may meet; name them too: --pairs 1-2,3-4 --times 7,8")
    if text is None:
        ids = run.data.splits["test"] if everything else run.data.splits["test"][:SHOWN]
        src, dst = run.data.original.find_edges(ids)
        found: list[tuple[int, ...]] = list(zip(src.tolist(), dst.tolist(), strict=True))
        when = run.data.times[ids].tolist()
    else:
        found = parse.pairs(text, "--pairs", 2)
        when = None if times is None else [float(t) for t in parse.numbers(times, "--times")]
    value = run.predict(pairs=found, times=when).tolist()
    shown = ["now"] * len(found) if when is None else [f"{t:.12g}" for t in (when * len(found))[: len(found)]]
    rows = [[*pair, at, p] for pair, at, p in zip(found, shown, value, strict=True)]
    return ["src", "dst", "time", "probability"], rows


def _supervised(run, ids: Sequence[int]) -> tuple[list[str], list[list[Any]]]:
    """Classes with their probability and the label where it is known; probabilities or values otherwise."""
    import torch

    kind = run.data.task
    value = run.predict(**{f"{kind}s": ids})  # the ids are checked here, before they index the labels
    labels = run.data.labels[torch.as_tensor(ids)]
    if not labels.is_floating_point():
        best = value.max(-1)
        rows = zip(ids, best.indices.tolist(), best.values.tolist(), labels.tolist(), strict=True)
        return [kind, "class", "probability", "label"], [[*row[:3], row[3] if row[3] >= 0 else None] for row in rows]
    value = value.reshape(len(ids), -1)
    names = ["value"] if value.shape[1] == 1 else [f"value {i}" for i in range(value.shape[1])]
    return [kind, *names], [[i, *row] for i, row in zip(ids, value.tolist(), strict=True)]


def _molecules(run, texts: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """What the run says of new molecules: classes with their probability, or a column for each target."""
    if not texts:
        raise GraphKitError("--smiles names no molecule; give one or several: --smiles CCO,c1ccccc1")
    value = run.predict(smiles=texts)
    if not run.data.labels.is_floating_point():
        best = value.max(-1)
        rows = zip(texts, best.indices.tolist(), best.values.tolist(), strict=True)
        return ["smiles", "class", "probability"], [list(row) for row in rows]
    value = value.reshape(len(texts), -1)
    names = run.data.names.get("target", [])
    names = names if len(names) == value.shape[1] else [f"value {i}" for i in range(value.shape[1])]
    return ["smiles", *names], [[text, *row] for text, row in zip(texts, value.tolist(), strict=True)]


def _scored(run, found: Sequence[tuple[int, ...]], relational: bool) -> tuple[list[str], list[list[Any]]]:
    """Probabilities of pairs or triples, or their scores where the task has no probabilities."""
    import torch

    import graphkit as gk

    part = torch.tensor(found, dtype=torch.int64).reshape(len(found), -1)
    pairs = gk.Pairs(part[:, 0], part[:, -1], part[:, 1] if relational else None)
    probability = run.predict(pairs=pairs).reshape(-1)
    columns = ["head", "relation", "tail"] if relational else ["src", "dst"]
    what = "probability" if run.task.gives_probabilities else "score"
    return [*columns, what], [[*ids, value] for ids, value in zip(found, probability.tolist(), strict=True)]


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows to a CSV file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    draft.replace(path)
