"""``graphkit bench run | report | check``."""

from __future__ import annotations

from pathlib import Path

from graphkit.bench.numbers import metric_name, number, reported_number
from graphkit.cli import parse
from graphkit.cli.output import emit_json, show_table


def run_recipes(names: list[str] | None, folder: Path | None, seeds: str | None, force: bool, as_json: bool) -> None:
    """Run recipes and print their means beside the papers' numbers."""
    from graphkit import bench

    wanted = None if seeds is None else parse.integers(seeds, "--seeds")
    results = [bench.run_recipe(recipe, folder, wanted, force) for recipe in bench.recipes(folder, names)]
    if as_json:
        return emit_json([result.as_dict() for result in results])
    lines = []
    for result in results:
        published = result.recipe.published()
        for metric in result.recipe.metrics:
            short, found, paper = metric_name(metric), result.summary(metric), published.get(metric)
            ours = number(short, found["mean"]) + (f" ± {number(short, found['std'])}" if found["std"] else "")
            theirs = reported_number(short, paper["value"], paper["std"]) if paper else "-"
            lines.append((result.recipe.name, short, ours, theirs, len(result.seeds)))
    show_table("", ("recipe", "metric", "ours", "paper", "seeds"), lines, right=("ours", "paper", "seeds"))
    return None


def run_explainers(names: list[str] | None, folder: Path | None, seeds: str | None, force: bool, as_json: bool) -> None:
    """Run the recipes that compare explainers, and write the table of all that have been run."""
    from graphkit import bench
    from graphkit.bench import explaining

    wanted = None if seeds is None else parse.integers(seeds, "--seeds")
    chosen = [f"explain-{name.removeprefix('explain-')}" for name in names or ()] or explaining.explain_recipes(folder)
    results = [bench.run_recipe(recipe, folder, wanted, force) for recipe in bench.recipes(folder, chosen)]
    path = explaining.write_table(folder)
    if as_json:
        return emit_json([result.as_dict() for result in results])
    for block in explaining.blocks(folder):
        lines = []
        for row in block["rows"]:
            cells = [
                f"{row[name][0]:.3f}" for name in ("auc", "untrained_auc", "robust_plus", "cpu_seconds") if name in row
            ]
            if cells:
                lines.append((row["method"], *cells))
        heading = ("explainer", "AUC", "untrained", "robust Fid+", "CPU s/target")
        show_table(block["recipe"].dataset, heading, lines, right=heading[1:])
    print(f"written to: {path}")
    return None


def report_results(folder: Path | None, as_json: bool) -> None:
    """Write RESULTS.md, or print its rows as JSON."""
    from graphkit.bench import report

    if as_json:
        return emit_json(report.rows(folder))
    print(f"{len(report.rows(folder))} rows, written to: {', '.join(map(str, report.write_report(folder)))}")
    return None


def check_results(names: list[str] | None, folder: Path | None, as_json: bool) -> None:
    """Run one seed of the quick recipes again; exit code 1 on drift."""
    import typer

    from graphkit import bench

    found = bench.check(bench.recipes(folder, names), folder)
    if as_json:
        emit_json([{**vars(item), "ok": item.ok} for item in found])
    else:
        show_table(
            "",
            ("recipe", "metric", "seed", "recorded", "now", "allowed", ""),
            (
                (
                    d.name,
                    metric_name(d.metric),
                    d.seed,
                    number(d.metric, d.recorded),
                    number(d.metric, d.measured),
                    number(d.metric, d.allowed),
                    "ok" if d.ok else "DRIFT",
                )
                for d in found
            ),
            right=("recorded", "now", "allowed"),
        )
    raise typer.Exit(0 if all(item.ok for item in found) else 1)
