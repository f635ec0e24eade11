"""The table of explainers: what the recipes ``explain-*`` measured, one block for each dataset."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

from graphkit.bench.ledger import load_result
from graphkit.bench.recipe import home, recipes

#: Columns of the table: what the ledger calls them, and the heading.
COLUMNS = {
    "auc": "AUC",
    "pooled_auc": "pooled AUC",
    "untrained_auc": "AUC, untrained",
    "plus": "Fid+",
    "minus": "Fid-",
    "robust_plus": "robust Fid+",
    "robust_minus": "robust Fid-",
    "unfaithfulness": "unfaithfulness",
    "jaccard": "Jaccard",
    "seeds": "same, other seed",
    "inputs": "same, moved input",
    "cpu_seconds": "CPU s / target",
}
INTRO = """# Explainers

Made by `graphkit bench explain` from `results/explain-*.json`; every number is measured, means over seeds with their
standard deviation. All explainers of a dataset explain the same predictions of the same network (slow ones fewer of
them; attention those of a network that pays it); each seed has its own network, split and, where generated, graph.

- **AUC** ranks the edges that can matter for a target against those that are known to cause its label; where several
  causes are valid, the best-matching one counts. **Pooled**: all edges of all targets ranked together. **Jaccard**: of
  as many edges as the cause has.
- **Untrained** is the AUC on the same network before training: what scores high there is told by the graph, not by the
  model. **random** is the floor.
- **Fidelity** is of the model's probability, with as many edges as the smallest cause has: Fid+ (large is good) removes
  them, Fid- (small is good) keeps nothing else; the robust ones remove 10 % of them, or 10 % of the others.
  **Unfaithfulness** is 1 - exp(-KL) between the answers on the graph and on the explanation.
- **Same** is the overlap (Jaccard) of the weightiest edges under three seeds, and under features moved by 1 %.
- **CPU s / target** is processor time on one thread, learning included (PGExplainer, patterns), shared by the targets.
"""


def explain_recipes(folder: Path | None = None) -> list[str]:
    """Return the names of the recipes that compare explainers."""
    return [recipe.name for recipe in recipes(folder) if recipe.protocol == "explainers"]


def blocks(folder: Path | None = None) -> list[dict[str, Any]]:
    """Return one record for each dataset that was measured: its recipe, seeds, accuracy and rows, best AUC first."""
    found = []
    for recipe in recipes(folder):
        result = load_result(recipe, home(folder)) if recipe.protocol == "explainers" else None
        if result is None or not result.seeds:
            continue
        seeds = [item["details"]["explainers"] for item in result.seeds]
        accuracy = result.summary("test/model_accuracy")
        rows = [_row(method, [seed[method] for seed in seeds if method in seed]) for method in sorted({*_names(seeds)})]
        rows.sort(key=lambda row: -row["auc"][0] if "auc" in row else math.inf)
        found.append({"recipe": recipe, "seeds": len(seeds), "accuracy": accuracy, "rows": rows})
    return found


def _names(seeds: list[dict[str, Any]]) -> list[str]:
    return [name for seed in seeds for name in seed]


def _row(method: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"method": method}
    for name in COLUMNS:
        values = [run[name] for run in runs if run.get(name) is not None]
        if values:
            row[name] = (statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
    refused = [run["refused"] for run in runs if "refused" in run]
    if refused:
        row["refused"] = refused[0]
    row["targets"] = max([run.get("targets", 0) for run in runs], default=0)
    others = [run for run in runs if "system" in run and "auc" in run]
    row["title"] = method
    if others:  # explained on a network of its own
        accuracy = statistics.fmean(run["model_accuracy"] for run in others)
        row["title"] = f"{method} (of {others[0]['system']}, test accuracy {100 * accuracy:.1f} %)"
    return row


def summary(folder: Path | None = None) -> list[str]:
    """Return the lines of one table of mean AUCs: a row for each explainer, a column for each dataset, best first."""
    found = {block["recipe"].dataset: {row["method"]: row for row in block["rows"]} for block in blocks(folder)}
    known = {name for rows in found.values() for name, row in rows.items() if "auc" in row}
    place: dict[str, list[float]] = {}
    everywhere = [name for name in known if all("auc" in rows.get(name, {}) for rows in found.values())]
    for rows in found.values():
        auc = {name: round(rows[name]["auc"][0], 9) for name in everywhere}
        for name, own in auc.items():  # those that are even share the mean of their places
            even = [other == own for other in auc.values()].count(True)
            place.setdefault(name, []).append(sum(other > own for other in auc.values()) + (even + 1) / 2)
    mean = {name: statistics.fmean(places) for name, places in place.items()}
    lines = [f"| explainer | mean rank | {' | '.join(found)} |", "|---|---|" + "---|" * len(found)]
    for name in sorted(known, key=lambda name: (mean.get(name, math.inf), name)):
        cells = [_cell("auc", rows.get(name, {}).get("auc")) for rows in found.values()]
        lines.append(f"| {name} | {f'{mean[name]:.1f}' if name in mean else '-'} | {' | '.join(cells)} |")
    untrained = [_cell("", rows.get("gnnexplainer", {}).get("untrained_auc")) for rows in found.values()]
    lines.append(f"| *gnnexplainer, untrained network* | - | {' | '.join(untrained)} |")
    return lines


def write_table(folder: Path | None = None) -> Path:
    """Write ``EXPLAINERS.md`` beside the results; return its path."""
    lines = [INTRO, "## AUC on every dataset\n", *summary(folder), ""]
    for block in blocks(folder):
        recipe, rows = block["recipe"], block["rows"]
        seeds = f"{block['seeds']} seed{'s' if block['seeds'] > 1 else ''}"
        lines.append(f"## {recipe.dataset}\n")
        lines.append(
            f"{recipe.system}, test accuracy {100 * block['accuracy']['mean']:.1f} %, {seeds}. {recipe.note}\n"
        )
        lines.append("| explainer | targets | " + " | ".join(COLUMNS.values()) + " |")
        lines.append("|---|---|" + "---|" * len(COLUMNS))
        for row in rows:
            if "auc" in row:
                cells = [_cell(name, row.get(name)) for name in COLUMNS]
                lines.append(f"| {row['title']} | {row['targets']} | " + " | ".join(cells) + " |")
        declined = [f"{row['method']} ({row['refused']})" for row in rows if "auc" not in row and "refused" in row]
        lines.append("\nDoes not apply: " + "; ".join(declined) + ".\n" if declined else "")
    path = home(folder) / "EXPLAINERS.md"
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return path


def _cell(name: str, value: tuple[float, float | None] | None) -> str:
    if value is None or math.isnan(value[0]):
        return "-"
    mean, spread = value
    if name == "seconds":
        return f"{mean:.3g}"
    return f"{mean:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")
