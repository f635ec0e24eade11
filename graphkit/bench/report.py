"""RESULTS.md: every measured number beside the paper's, made from the JSON files and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphkit.bench.ledger import read_json
from graphkit.bench.numbers import metric_name, number, reported_number
from graphkit.bench.recipe import home, recipes

TITLES = {
    "node": "Node prediction",
    "link": "Link prediction",
    "graph": "Graph prediction",
    "triple": "Triples",
    "temporal-link": "Streams of events",
}
HEAD = """# Measured results

Made by `graphkit bench report` from `benchmarks/results/*.json`; each file keeps every seed's value, the commit, the
versions, the machine, wall time and peak memory. `graphkit bench run NAME` measures a row again.

Fractions are in percent; ± is the standard deviation over seeds (over folds where the protocol says folds). Sources of
the papers' numbers: *read* (in the paper or its code), *third-party* (in another paper), *memory* (not looked up).
"""


def rows(folder: Path | None = None) -> list[dict[str, Any]]:
    """Return one record for each metric of each result file, ordered by task, group and recipe."""
    found, today = [], {recipe.name: recipe for recipe in recipes(folder)}
    for path in sorted((home(folder) / "results").glob("*.json")):
        document = read_json(path)
        recipe, now = document["recipe"], today.get(document["name"])
        if now is not None and now.digest() == document["digest"]:  # names and notes may have been told better since
            recipe = {**recipe, "label": now.label, "group": now.group, "note": now.note}
        for result in document["results"]:
            found.append(
                {
                    "name": document["name"],
                    "task": recipe["task"],
                    "group": recipe["group"] or recipe["dataset"],
                    "dataset": recipe["dataset"],
                    "system": recipe["label"] or recipe["system"],
                    "protocol": document["protocol"],
                    "split": recipe["split"],
                    "remove_targets": document.get("remove_targets"),
                    "negatives": negatives(recipe),
                    "note": recipe["note"],
                    "num_seeds": len(document["seeds"]),
                    "floor": recipe["floor"].get(result["metric"]),
                    "wall_s": document["wall_s"],
                    "peak_memory_mb": document["peak_memory_mb"],
                    "hardware": document["hardware"],
                    **result,
                }
            )
    order = {task: rank for rank, task in enumerate(TITLES)}
    return sorted(found, key=lambda r: (order.get(r["task"], len(order)), r["group"], r["name"]))


def negatives(recipe: dict[str, Any]) -> str:
    """Return what the links of a recipe are ranked against, and what share of them is held out; empty for other tasks.

    Parameters
    ----------
    recipe : dict
        As a result file holds it.

    Examples
    --------
    >>> negatives({"task": "link", "split": "random-link", "data": {}, "arguments": {"rivals": "hard"}})
    '85/5/10 % of the links, 100 hard negatives for each link'
    """
    if recipe["task"] != "link":
        return ""
    rivals = recipe["arguments"].get("rivals")
    against = "the split's stored negatives"
    if rivals is not None:
        against = f"{recipe['arguments'].get('num_rivals', 100)} {rivals} negatives for each link"
    if recipe["split"] not in (None, "random-link"):
        return against
    held = [float(recipe["data"].get(name, usual)) for name, usual in (("val_ratio", 0.05), ("test_ratio", 0.10))]
    shares = "/".join(f"{100 * share:g}" for share in (round(1 - sum(held), 6), *held))
    pool = against if rivals else "one pool of as many non-links"
    return f"{shares} % of the links, {pool}"


def _cells(row: dict[str, Any]) -> list[str]:
    metric = metric_name(row["metric"])
    ours = number(metric, row["mean"])
    if row["std"] is not None:
        ours += f" ± {number(metric, row['std'])}"
    paper = row["published"]
    protocol = row["protocol"] + (f", split {row['split']}" if row["split"] else "")
    if row["negatives"]:
        protocol += f", {row['negatives']}"
    if row["remove_targets"] is not None:
        protocol += f", remove_targets={row['remove_targets']}"
    return [
        row["dataset"],
        row["system"],
        metric,
        ours,
        reported_number(metric, paper["value"], paper["std"]) if paper else "",
        f"{paper['protocol']} ({paper['source']})" if paper else "",
        f"{protocol}, {row['num_seeds']} seed(s)",
    ]


#: Pages with tables made by :func:`write_report`, seen from the project's folder.
PAGES = ("README.md", "datasets/README.md")


def render(found: list[dict[str, Any]]) -> str:
    """Return the Markdown text of the results table."""
    parts = [HEAD]
    columns = ["dataset", "system", "metric", "ours", "paper", "paper's protocol (source)", "our protocol"]
    for task in dict.fromkeys(row["task"] for row in found):
        parts.append(f"\n## {TITLES.get(task, task)}\n")
        parts.append("| " + " | ".join(columns) + " |")
        parts.append("|" + "|".join("---:" if name in {"ours", "paper"} else "---" for name in columns) + "|")
        of_task = [row for row in found if row["task"] == task]
        parts.extend("| " + " | ".join(_cells(row)) + " |" for row in of_task)
        for note in dict.fromkeys((row["name"], row["note"]) for row in of_task if row["note"]):
            parts.append(f"\n`{note[0]}`: {note[1]}")
    parts.append("\n## Cost\n\n| recipe | seeds | wall time, s | peak memory, MiB |\n|---|---:|---:|---:|")
    cost = {row["name"]: (row["num_seeds"], row["wall_s"], row["peak_memory_mb"]) for row in found}
    parts.extend(f"| {name} | {n} | {wall:.0f} | {peak:.0f} |" for name, (n, wall, peak) in cost.items())
    machines = ", ".join(f"`{line}`" for line in dict.fromkeys(row["hardware"] for row in found))
    parts.append(f"\nMeasured on: {machines}.")
    return "\n".join(parts) + "\n"


def write_report(folder: Path | None = None) -> list[Path]:
    """Write RESULTS.md beside the results, and the tables of the pages beside that folder; return their paths."""
    from graphkit.bench.readme import refresh

    place = home(folder)
    written = [place / "RESULTS.md"]
    written[0].write_text(render(rows(folder)), encoding="utf-8")
    for name in PAGES:
        page = place.resolve().parent / name
        if page.is_file():
            text = page.read_text(encoding="utf-8")
            fresh = refresh(text, folder)
            if fresh != text:
                page.write_text(fresh, encoding="utf-8")
            written.append(page)
    return written
