"""What larger batches cost a memory, in average precision, and save, in time, with and without PRES.

Users go round private lists of items; an event carries its item's code, so a memory can know where its user stands, but
only if it is not too late: a run of events is observed after all of it was scored. TGN's memory alone (no attention, so
that nothing else can tell) is trained in runs of 200, 800 and 1,600 events: as it is; as the system ``pres`` with the
paper's settings; and as ``pres`` without the term of coherence, which asks memories not to turn, and with increments
weighed by the time that they took.

    python benchmarks/temporal/pres.py --seeds 3 --out benchmarks/temporal/pres.json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import graphkit as gk
from graphkit.core.random import Rng, numpy_generator
from graphkit.data import Dataset
from graphkit.graphs import from_events
from graphkit.models import build
from graphkit.tasks import TemporalLinkTask

SIZES = (200, 800, 1600)
MODEL = {"memory_dim": 32, "time_dim": 16, "embedding": "identity", "dropout": 0.0}
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "tgn": ("tgn", {}),
    "pres": ("pres", {"gamma": 0.1, "beta": 0.1}),
    "pres, no coherence": ("pres", {"gamma": 0.1, "beta": 0.0, "by_time": True}),
}


def cycles(users: int, items: int, events: int, seed: int) -> Dataset:
    """Make a stream of users who go round a private list of 3 to 7 items each, with 5 % noise."""
    rng = numpy_generator(seed, "cycles")
    chosen = rng.integers(users, size=events)
    lists = [rng.choice(items, size=rng.integers(3, 8), replace=False) for _ in range(users)]
    at, item = np.zeros(users, dtype=int), np.empty(events, dtype=np.int64)
    for e, u in enumerate(chosen.tolist()):
        item[e] = lists[u][at[u] % len(lists[u])] if rng.random() > 0.05 else rng.integers(items)
        at[u] += 1
    code = rng.standard_normal((items, 8)).astype(np.float32)
    graph = from_events(chosen, users + item, np.arange(events), users + items, None, {"feat": code[item]})
    return Dataset.from_graph(graph, "temporal-link", splits="time", name="cycles")


def train(data: Dataset, name: str, size: int, epochs: int, lr: float, seed: int, **options: Any) -> dict[str, Any]:
    """Train for some epochs; return times per epoch, memories' cosine, and AP at the best epoch by validation."""
    torch.manual_seed(seed)
    model = build(name, data, **MODEL, **options)
    task, fine = (TemporalLinkTask(data, batch_size=n) for n in (size, SIZES[0]))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def update(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    rows: list[dict[str, float]] = []
    best: dict[str, torch.Tensor] = {}
    for epoch in range(epochs):
        model.train()
        task.begin_epoch(model, epoch)
        wall, cpu = time.perf_counter(), time.process_time()
        for batch in task.batches("train", model, Rng(seed, ("train", epoch))):
            task.step(model, batch, update)
        row = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        row["val_ap"] = judged(model, fine, "val")
        if not rows or row["val_ap"] > max(one["val_ap"] for one in rows):
            best = {name: value.clone() for name, value in model.state_dict().items()}
        rows.append(row)
    model.load_state_dict(best)
    return {
        "cosine": turning(model, task),
        "ap": judged(model, task, "test"),
        "ap_in_runs_of_200": judged(model, fine, "test"),
        "wall_s_per_epoch": min(row["wall_s"] for row in rows),
        "cpu_s_per_epoch": min(row["cpu_s"] for row in rows),
    }


def turning(model: torch.nn.Module, task: TemporalLinkTask) -> float:
    """Return the mean cosine of memories before and after each update up to the test part."""
    model.eval()
    memory, found = model.encoder.memory, []
    store = memory.apply_waiting

    def watched(ids: torch.Tensor) -> None:
        at = ids[memory.waiting[ids] & memory.state[ids].any(1)]
        before = memory.state[at]
        store(ids)
        found.append(torch.cosine_similarity(before, memory.state[at], dim=1))

    memory.apply_waiting = watched
    model.seen.fill_(-1)
    task.rewind(model, task.stream.part("test")[0])
    del memory.apply_waiting
    return float(torch.cat(found).mean())


def judged(model: torch.nn.Module, task: TemporalLinkTask, part: str) -> float:
    """Return the average precision on a part, the state made anew: runs of another size make another state."""
    model.eval()
    model.seen.fill_(-1)
    return task.evaluate(model, part)["ap"]


def main() -> None:
    """Measure all sizes with and without, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("users", 600), ("items", 40), ("events", 18_000), ("epochs", 8), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in range(given.seeds):
        data = cycles(given.users, given.items, given.events, seed)
        for size in SIZES:
            for label, (name, options) in SYSTEMS.items():
                row = train(data, name, size, given.epochs, given.lr, seed, **options)
                found.setdefault(f"{label} {size}", []).append(row)
                print(f"seed {seed} {label:>18} {size:>5}", {k: round(v, 4) for k, v in row.items()}, flush=True)
        if given.out:
            write(given, found)


def write(given: argparse.Namespace, found: dict[str, list[dict[str, Any]]]) -> None:
    """Write what was measured, and the means."""
    mean = {name: {k: float(np.mean([row[k] for row in rows])) for k in rows[0]} for name, rows in found.items()}
    base = mean["tgn 200"]["ap_in_runs_of_200"]
    for row in mean.values():
        row["loss_of_ap"] = base - row["ap_in_runs_of_200"]
    settings = {k: v for k, v in vars(given).items() if k != "out"}
    made = {
        "what": "test AP (random negatives, strict order) and time per epoch of a memory trained in runs of some size",
        "settings": {
            **settings,
            "model": MODEL,
            "systems": {label: options for label, (_, options) in SYSTEMS.items()},
        },
        "load_average": os.getloadavg()[0],
        "versions": {"graphkit": gk.__version__, "torch": torch.__version__},
        "mean": mean,
        "seeds": found,
    }
    given.out.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
