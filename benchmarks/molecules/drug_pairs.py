"""Drug pairs: what leaks across the published split, and what CGIB and a count of partners reach with and without it.

    python benchmarks/molecules/drug_pairs.py [--pairs 1000] [--epochs 2]

ChCh-Miner as MIRACLE divides it. First the audit: pairs that stand in two parts, in either order, and with which
labels; drugs that all parts share. Then, on the published test pairs, on those whose unordered pair is in no other
part, and on pairs with a drug that training has not seen: the AUC of a baseline that looks at no molecule (how often
each of the two drugs interacts in training, added up), and of CGIB, trained on ``--pairs`` of the training pairs.
Writes drug_pairs.json beside itself.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

import graphkit as gk
from graphkit.bench.ledger import hardware, versions
from graphkit.core.random import generator

RESULT = Path(__file__).with_suffix(".json")


def unordered(drug: np.ndarray) -> np.ndarray:
    """Return one number for each pair, the same in both orders."""
    low, high = np.sort(drug, axis=1).T
    return low * (int(drug.max()) + 1) + high


def audit(data) -> dict:
    """Count what the parts of the split share."""
    drug, label = data.collated.graph_fields["drug"].numpy(), data.labels.numpy().reshape(-1)
    parts = {name: ids.numpy() for name, ids in data.splits.items()}
    ordered = drug[:, 0] * (int(drug.max()) + 1) + drug[:, 1]
    found: dict = {"pairs": {name: len(ids) for name, ids in parts.items()}, "drugs": len(np.unique(drug))}
    found["positive"] = {name: round(float(label[ids].mean()), 4) for name, ids in parts.items()}
    train = parts["train"]
    for what, key in (("in_this_order", ordered), ("in_either_order", unordered(drug))):
        known = dict(zip(key[train].tolist(), label[train].tolist(), strict=True))
        for part in ("val", "test"):
            again = [(label[i], known[key[i]]) for i in parts[part].tolist() if key[i] in known]
            same = sum(int(a == b) for a, b in again)
            found[f"{part}_pairs_of_training_{what}"] = {"same_label": same, "other_label": len(again) - same}
    key = unordered(drug)
    found["repeats_inside"] = {name: len(ids) - len(np.unique(key[ids])) for name, ids in parts.items()}
    seen = set(drug[train].reshape(-1).tolist())
    both = np.isin(drug[parts["test"]], list(seen)).all(1)
    found["test_pairs_of_two_training_drugs"] = round(float(both.mean()), 4)
    return found


def partners(data) -> np.ndarray:
    """Score every pair by how often each of its drugs interacts among the training pairs, with a weak prior."""
    drug, label = data.collated.graph_fields["drug"].numpy(), data.labels.numpy().reshape(-1).astype(float)
    train = data.splits["train"].numpy()
    total, hits = (np.zeros(int(drug.max()) + 1) for _ in range(2))
    for side in (0, 1):
        np.add.at(total, drug[train, side], 1)
        np.add.at(hits, drug[train, side], label[train])
    rate = (hits + label[train].mean()) / (total + 1)
    return rate[drug].sum(1)


def scores(truth: np.ndarray, score: np.ndarray) -> dict:
    """Return AUC, average precision, and on how many pairs."""
    return {
        "auc": round(float(roc_auc_score(truth, score)), 4),
        "ap": round(float(average_precision_score(truth, score)), 4),
        "pairs": len(truth),
        "positive": round(float(truth.mean()), 4),
    }


def some(ids: torch.Tensor, count: int, *keys) -> torch.Tensor:
    """Return at most ``count`` of the ids."""
    return ids[torch.randperm(len(ids), generator=generator(0, *keys))[:count]].sort().values


def measure(data, name: str, arguments: argparse.Namespace) -> dict:
    """Train CGIB on some training pairs of the split; score it and the count of partners on its test pairs."""
    drug, label = data.collated.graph_fields["drug"].numpy(), data.labels.numpy().reshape(-1)
    parts = data.splits
    small = data.with_split(
        {
            "train": some(parts["train"], arguments.pairs, name, "train"),
            "val": some(parts["val"], 500, name, "val"),
            "test": some(parts["test"], arguments.test, name, "test"),
        }
    )
    start = time.process_time()
    run = gk.fit("cgib", small, epochs=arguments.epochs, hidden=32, batch_size=128, progress=False, seed=0)
    test = small.splits["test"]
    said = run.predict(graphs=test)[:, 1].numpy()
    count, truth = partners(data)[test.numpy()], label[test.numpy()]
    rows = {"cpu_s": round(time.process_time() - start, 1), "best_epoch": run.epoch}
    rows["test"] = {"cgib": scores(truth, said), "partners": scores(truth, count)}
    key = unordered(drug)
    others = np.concatenate([key[parts[part].numpy()] for part in ("train", "val")])
    clean = ~np.isin(key[test.numpy()], others)
    if not clean.all():
        rows["test, pairs of no other part"] = {
            "cgib": scores(truth[clean], said[clean]),
            "partners": scores(truth[clean], count[clean]),
        }
    return rows


def main() -> None:
    """Audit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000, help="training pairs for CGIB")
    parser.add_argument("--test", type=int, default=1000, help="test pairs")
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    facts = {"command": "python benchmarks/molecules/drug_pairs.py", "versions": versions(), "hardware": hardware()}
    result = {**facts, "arguments": vars(arguments)}
    data = gk.load("ddi-chchminer")
    result["audit"] = audit(data)
    everything = data.splits["test"].numpy()
    result["partners, all published test pairs"] = scores(
        data.labels.numpy().reshape(-1)[everything], partners(data)[everything]
    )
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["audit"], indent=1), flush=True)
    for name, split in (("published", data), ("one drug unseen", data.with_split("unseen-drugs", seed=0, new=1))):
        result[name] = measure(split, name, arguments)
        print(name, json.dumps(result[name]), flush=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
