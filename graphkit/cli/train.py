"""``graphkit train``: a dataset's and a system's names in, a run folder and a table of metrics out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphkit.bench.numbers import metric_name, number, reported_number
from graphkit.cli import parse
from graphkit.cli.output import emit_json, show_table
from graphkit.core.errors import GraphKitError

#: What is trained when the user names no system.
DEFAULTS = {"node": "gcn", "link": "gae", "graph": "gin", "triple": "distmult", "temporal-link": "tgn"}
RUNS = Path("runs")


@dataclass(frozen=True)
class Request:
    """What the user asked to be trained; ``fit`` holds None for what the system's own defaults decide."""

    dataset: str
    model: str | None
    task: str | None
    split: str | None
    seed: int
    fit: Mapping[str, Any]
    device: str
    model_words: list[str]
    data_words: list[str]
    transform: list[str]
    out: Path | None
    resume: bool


def main(request: Request, as_json: bool) -> None:
    """Train, save and print."""
    import graphkit as gk
    from graphkit.core import registry

    if request.model is not None:
        registry.find("model", request.model)  # a wrong name is told before anything is downloaded
    arguments = parse.settings(request.model_words)
    options = parse.settings(request.data_words, "--data")
    place: dict[str, Any] = {
        "split": request.split,
        "seed": request.seed,
        "task": request.task,
        "transform": request.transform,
    }
    data = gk.load(request.dataset, **place, **options)
    if request.model is None and data.task not in DEFAULTS:
        raise GraphKitError(
            f"no system is the default for the task {data.task!r} of {data.name}; name one with --model"
        )
    entry = registry.find("model", request.model or DEFAULTS[data.task])
    folder = run_dir(request, entry.name, data.name, data.task)
    if not as_json:
        print(f"training {entry.name} on {data.name} ({data.task}, split {data.split_name}, seed {request.seed})")
    try:
        run = gk.fit(
            entry.name,
            data,
            **{name: value for name, value in request.fit.items() if value is not None},
            seed=request.seed,
            device=request.device,
            run_dir=folder,
            resume=request.resume,
            progress=not as_json and sys.stderr.isatty(),
            **arguments,
        )
    except KeyboardInterrupt:
        print(f"go on with the same command and: --out {folder} --resume", file=sys.stderr)
        raise
    published = reported(entry, data.name, data.task)
    if as_json:
        emit_json(
            {
                "run": str(folder),
                "dataset": data.name,
                "task": data.task,
                "model": entry.name,
                "seed": request.seed,
                "metrics": run.metrics,
                "reported": [vars(item) for item in published],
            }
        )
        return
    show_metrics(run.metrics, published)
    print(f"run folder: {folder}")
    if data.num_hyperedges:  # whose memberships cannot be explained
        print(f"next: graphkit predict {folder} --nodes 0,1,2")
    else:
        print(f"next: graphkit explain {folder} {question(data)}")


#: An example of a question for each task.
QUESTIONS = {"node": "--node 17", "link": "--pair 3,44", "graph": "--graph 5", "triple": "--pair 3,4 --relation 0"}


def question(data) -> str:
    """Return an example of a question about ``data``; of users and items, one that joins a user and an item."""
    test = data.splits["test"]
    if data.task == "temporal-link":
        src, dst = data.original.find_edges(test[:1])
        return f"--pair {int(src)},{int(dst)} --time {data.times[test[0]].item()}"
    if data.task == "link" and "ntype" in data.collated.node_fields and len(test):
        return f"--pair {int(test.pos.src[0])},{int(test.pos.dst[0])}"
    return QUESTIONS[data.task]


def run_dir(request: Request, model: str, dataset: str, task: str) -> Path:
    """Choose the run folder: the one asked for, or the next free ``runs/MODEL-DATASET-TASK[-N]``.

    Raises
    ------
    GraphKitError
        If ``--out`` names a folder that holds a run already, and ``--resume`` was not given.
    """
    stem = f"{model}-{dataset.replace('/', '_')}-{task}"
    if request.out is not None:
        if (request.out / "config.yaml").exists() and not request.resume:
            raise GraphKitError(f"{request.out} holds a run already; add --resume to go on, or choose another --out")
        return request.out
    count, chosen = 1, RUNS / stem
    while (RUNS / (stem if count == 1 else f"{stem}-{count}")).exists():
        chosen = RUNS / (stem if count == 1 else f"{stem}-{count}")
        count += 1
    return chosen if request.resume or count == 1 else RUNS / f"{stem}-{count}"


def reported(entry, dataset: str, task: str) -> list[Any]:
    """Return what the paper of a system reports on a dataset for metrics of this task."""
    links = {"auc", "ap", "mrr"}
    found = [item for item in entry.reported if item.dataset.lower() == dataset.lower()]
    if task == "link":
        return [item for item in found if item.metric.lower() in links or item.metric.lower().startswith("hits")]
    return found


def show_metrics(metrics: Mapping[str, float], published: list[Any]) -> None:
    """Print validation and test metrics, and beside the test metrics what the paper reports."""
    papers = {item.metric.lower(): item for item in published}
    names = sorted({metric_name(name) for name in metrics if name.startswith(("val/", "test/"))})
    rows = []
    for name in names:
        paper = papers.get(name.lower())
        rows.append(
            (
                name,
                number(name, metrics.get(f"val/{name}")),
                number(name, metrics.get(f"test/{name}")),
                reported_number(name, paper.value, paper.std) if paper else "",
                f"{paper.protocol} ({paper.source})" if paper else "",
            )
        )
    columns: tuple[str, ...] = ("metric", "val", "test", "paper", "paper's protocol (source)")
    if not papers:
        columns, rows = columns[:3], [row[:3] for row in rows]
    show_table("", columns, rows, right=("val", "test", "paper"))
