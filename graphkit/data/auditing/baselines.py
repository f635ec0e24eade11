"""What one scores without learning: the floor under every number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from graphkit.data.auditing.findings import Finding, share

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset

#: Largest table of relation by entity that is counted out.
TABLE = 40_000_000


def baseline(data: Dataset) -> Iterator[Finding]:
    """Score the trivial answer on the test part."""
    if not len(data.splits.get("test", ())):
        return
    if data.task in ("node", "graph") and data.labels is not None:
        yield from _majority(data) if not data.labels.is_floating_point() else _mean(data)
    elif data.task == "link":
        yield from _attachment(data)
    elif data.task == "triple":
        yield from _frequent_tail(data)
    elif data.task == "forecast":
        yield from _last_value(data)


def _majority(data: Dataset) -> Iterator[Finding]:
    labels = data.labels
    train, test = (labels[data.splits[part]] for part in ("train", "test"))  # type: ignore[index]
    train, test = train[train >= 0], test[test >= 0]
    if len(train) and len(test):
        right = float((test == torch.bincount(train).argmax()).float().mean())
        yield Finding(
            "baseline", "fact", right, f"Always the most frequent class of training: {share(right, 1)} test accuracy."
        )


def _mean(data: Dataset) -> Iterator[Finding]:
    train, test = (data.labels[data.splits[part]].reshape(len(data.splits[part]), -1) for part in ("train", "test"))  # type: ignore[index]
    if data.card.target == "binary":
        share_of = test.nanmean(0)
        yield Finding(
            "baseline",
            "note" if float(share_of.min()) < 0.05 else "fact",
            0.5,
            f"Any constant: 50.0 % ROC-AUC; {share(float(share_of.min()), 1)} to {share(float(share_of.max()), 1)} of "
            "a target's test labels are positive.",
        )
        return
    error = test - train.nanmean(0)
    rmse = float((error**2).nanmean().sqrt())
    yield Finding(
        "baseline",
        "fact",
        rmse,
        f"Always the training mean: test RMSE {rmse:.4g}, MAE {float(error.abs().nanmean()):.4g}.",
    )


def _attachment(data: Dataset) -> Iterator[Finding]:
    from scipy.stats import rankdata

    full, test = data._message, data.splits["test"]
    degree = np.bincount(full.dst.numpy(), minlength=full.num_nodes)
    degree = degree + (0 if data.undirected else np.bincount(full.src.numpy(), minlength=full.num_nodes))
    pos, neg = (degree[pairs.src.numpy()] * degree[pairs.dst.numpy()] for pairs in (test.pos, test.neg))
    if not len(pos) or not len(neg):
        return
    rank = rankdata(np.concatenate([pos, neg]))[: len(pos)]
    auc = float((rank.sum() - len(pos) * (len(pos) + 1) / 2) / (len(pos) * len(neg)))
    yield Finding(
        "baseline",
        "note" if auc >= 0.9 else "fact",
        auc,
        f"Preferential attachment (product of training degrees): {share(auc, 1)} ROC-AUC against the stored negatives.",
    )


def _frequent_tail(data: Dataset) -> Iterator[Finding]:
    total, kinds = data.collated.num_nodes, data.num_relations
    train, test = data.splits["train"].pos, data.splits["test"].pos
    if total * kinds > TABLE:
        return
    seen = torch.bincount(train.rel * total + train.dst, minlength=total * kinds).numpy()
    wide = int(seen.max()) + 2
    flat = np.sort(seen + np.repeat(np.arange(kinds) * wide, total))  # each relation's counts, one after the other
    rel = test.rel.numpy()
    mine = seen[rel * total + test.dst.numpy()] + rel * wide
    higher = (rel + 1) * total - np.searchsorted(flat, mine, side="right")
    equal = np.searchsorted(flat, mine, side="right") - np.searchsorted(flat, mine, side="left")
    mrr = float((1 / (higher + (equal + 1) / 2)).mean())
    yield Finding(
        "baseline", "fact", mrr, f"Rank tails by how often the relation has them in training: {mrr:.3f} MRR (raw)."
    )


def _last_value(data: Dataset) -> Iterator[Finding]:
    read, wanted = data.windows(data.splits["test"][:1000])
    error = float((wanted - read[:, -1:]).abs().mean())
    yield Finding("baseline", "fact", error, f"Repeat the last value: test MAE {error:.4g} over the whole horizon.")
