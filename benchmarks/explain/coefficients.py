"""What GNNExplainer's coefficients do on Tree-Cycles: the paper's, those of other re-runs, and tuned ones.

    python benchmarks/explain/coefficients.py --seeds 5 --out benchmarks/explain/coefficients.json

Each seed has its own graph and network. "Tuned" are the coefficients of the best mean AUC on the first seed; its record
is their AUC on the other seeds, which took no part in the choice. One thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path
from typing import Any

import torch

import graphkit as gk
from graphkit.explain.agreement import NETWORK, TRAINING, edge_auc
from graphkit.explain.leaderboard import judged, targets_of

GRID: dict[str, list[Any]] = {
    "size": [0.0005, 0.005, 0.05, 0.5],
    "lr": [0.003, 0.1],
    "ent_over": ["pairs", "edges"],
    "feat_mode": ["multiply", "none"],
}
#: Names for what the literature uses: the paper's values, and those of the robust-fidelity paper for this set.
KNOWN = {
    "untuned (the paper's)": {"size": 0.005, "lr": 0.1, "ent_over": "pairs", "feat_mode": "multiply"},
    "untuned, entropy over edges": {"size": 0.005, "lr": 0.1, "ent_over": "edges", "feat_mode": "multiply"},
    "size 0.05": {"size": 0.05, "lr": 0.1, "ent_over": "pairs", "feat_mode": "multiply"},
    "size 0.05, entropy over edges": {"size": 0.05, "lr": 0.1, "ent_over": "edges", "feat_mode": "multiply"},
    "size 0.05, lr 0.003, entropy over edges": {
        "size": 0.05,
        "lr": 0.003,
        "ent_over": "edges",
        "feat_mode": "multiply",
    },
}


def measured(seed: int) -> dict[str, Any]:
    """Return the model's accuracy, the AUC of all coefficients and those of the control, for one seed."""
    data = gk.load("tree-cycles", seed=seed)
    run = gk.fit("gcn", data, seed=seed, progress=False, **{**NETWORK, **TRAINING})
    torch.manual_seed(seed)
    untrained = gk.models.build("gcn", data, **NETWORK).eval()
    nodes = targets_of(data, 20)["nodes"]
    truth = data.graph.edata["motif_edge"].bool()
    rows = []
    for values in itertools.product(*GRID.values()):
        options = dict(zip(GRID, values, strict=True))
        found = gk.explain(run, data, nodes=nodes, seed=seed, progress=False, **options)
        control = gk.explain(untrained, data, nodes=nodes, seed=seed, progress=False, **options)
        auc, pooled = (judged(data, found, samples=1)[name] for name in ("auc", "pooled_auc"))
        blind = statistics.fmean(edge_auc(why, truth) for why in control)
        rows.append({**options, "auc": auc, "pooled_auc": pooled, "untrained_auc": blind})
    return {"seed": seed, "accuracy": run.metrics["test/accuracy"], "rows": rows}


def spread(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return mean and standard deviation of what was measured, over seeds."""
    made = {}
    for name in ("auc", "pooled_auc", "untrained_auc"):
        values = [row[name] for row in rows]
        made[name] = statistics.fmean(values)
        made[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return made


def main() -> None:
    """Measure all seeds, choose on the first, print and store the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    seeds = []
    for seed in range(args.seeds):
        seeds.append(measured(seed))
        print(f"seed {seed}: test accuracy {seeds[-1]['accuracy']:.3f}", flush=True)
    summary = {}
    for name, options in KNOWN.items():
        rows = [row for one in seeds for row in one["rows"] if all(row[key] == value for key, value in options.items())]
        summary[name] = {**options, **spread(rows)}
    best = max(range(len(seeds[0]["rows"])), key=lambda i: seeds[0]["rows"][i]["auc"])
    chosen = {key: seeds[0]["rows"][best][key] for key in GRID}
    summary["tuned on the first seed, measured on the others"] = {
        **chosen,
        "auc_where_chosen": seeds[0]["rows"][best]["auc"],
        **spread([one["rows"][best] for one in seeds[1:]]),
    }
    for name, row in summary.items():
        print(f"{name:50s} AUC {row['auc']:.3f} ± {row['auc_std']:.3f}  untrained {row['untrained_auc']:.3f}  {row}")
    if args.out is not None:
        args.out.write_text(json.dumps({"summary": summary, "seeds": seeds}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
