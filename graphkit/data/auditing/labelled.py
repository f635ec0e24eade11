"""Checks of labelled nodes and graphs: twins across the split, labels that features give away, classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit.data.auditing import codes
from graphkit.data.auditing.findings import Finding, share

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset

#: From this share of the test part on, and this many, twins in training are a trap; below, a note.
MANY, SOME = 0.05, 5
#: A column that explains so much of the label's variance gives it away.
TELLING = 0.98


def label_codes(data: Dataset) -> np.ndarray:
    """Return the labels as integers, rows of several targets as codes."""
    labels = data.labels
    if labels is None:
        return np.zeros(data.num_rows, np.int64)
    if labels.is_floating_point():
        return codes.rows(labels.nan_to_num(nan=-12345.0)).view(np.int64)
    return labels.reshape(len(labels), -1)[:, 0].numpy()


def _met(data: Dataset, group: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the test ids, and for each a training id of its group or -1."""
    train, test = data.splits["train"].numpy(), data.splits["test"].numpy()
    first = np.full(count, -1)
    first[group[train]] = train
    return test, first[group[test]]


def _severity(found: int, whole: int) -> str:
    return "trap" if found >= SOME and found >= MANY * whole else "note"


def twin_nodes(data: Dataset) -> Iterator[Finding]:
    """Nodes with the label and the exact neighbours of another (Platonov et al., arXiv 2302.11640)."""
    if data.labels is None or not data.collated.num_edges or data.num_hyperedges:
        return
    degree = codes.degrees(data.collated, data.undirected)
    group, size = codes.groups(codes.neighbourhoods(data.collated, data.undirected), label_codes(data))
    twins = (size[group] > 1) & (degree > 0)
    if twins.any():
        test, met = _met(data, group, len(size))
        seen = (met >= 0) & twins[test]
        firm = int((seen & (degree[test] > 1)).sum())  # leaves of one hub are twins in every tree
        yield Finding(
            "twin-nodes",
            _severity(firm, len(test)),
            int(twins.sum()),
            f"{twins.sum()} nodes share both label and exact neighbourhood with another node; "
            f"{seen.sum()} of {len(test)} test nodes ({share(seen.sum(), len(test))}) have such a twin in training.",
        )


def twin_features(data: Dataset) -> Iterator[Finding]:
    """Nodes with the features of another, where features are rich enough to tell nodes apart."""
    feat = data.collated.node_fields.get("feat")
    if feat is None or data.labels is None:
        return
    made = codes.rows(feat[: data.num_rows])
    blank = int((made == 0).sum())
    group, size = codes.groups(made)
    if 0 < blank < len(made):
        yield Finding("blank-features", "note", blank, f"Nodes whose features are all zero: {blank}.")
    if len(size) < 0.5 * len(group):
        yield Finding(
            "few-features", "fact", len(size), f"Distinct rows of features: {len(size)} on {len(group)} nodes."
        )
        return
    twins = (size[group] > 1) & (made != 0)
    test, met = _met(data, group, len(size))
    seen = (met >= 0) & twins[test]
    if twins.any():
        label = label_codes(data)
        agree = int((label[test[seen]] == label[met[seen]]).sum())
        yield Finding(
            "twin-features",
            _severity(agree, len(test)) if agree >= 0.9 * seen.sum() else "note",
            int(twins.sum()),
            f"{twins.sum()} nodes have the same features as another node; {seen.sum()} of {len(test)} test nodes "
            f"({share(seen.sum(), len(test))}) have such a one in training, {agree} of them with the same label.",
        )


def twin_graphs(data: Dataset) -> Iterator[Finding]:
    """Graphs that colour refinement cannot tell apart, across the split and with different labels."""
    made = codes.graphs(data.collated, data.undirected)
    group, size = codes.groups(made)
    twins = size[group] > 1
    if not twins.any():
        return
    test, met = _met(data, group, len(size))
    seen = met >= 0
    yield Finding(
        "twin-graphs",
        _severity(int(seen.sum()), len(test)),
        int(twins.sum()),
        f"{twins.sum()} of {len(made)} graphs have the Weisfeiler-Lehman hash of another, features included "
        f"({len(size)} distinct); {seen.sum()} of {len(test)} test graphs ({share(seen.sum(), len(test))}) "
        "have such a copy in training.",
    )
    label = label_codes(data)
    pair, count = codes.groups(group, label)
    first = np.zeros(len(count), np.int64)
    first[pair] = group
    best = np.zeros(len(size), np.int64)
    np.maximum.at(best, first, count)
    apart = int((size - best).sum())
    mixed = int(size[best < size].sum())
    if mixed and data.labels is not None and not data.labels.is_floating_point():
        yield Finding(
            "contradicting-graphs",
            "trap" if apart >= max(SOME, 0.02 * len(made)) else "note",
            mixed,
            f"{mixed} graphs have a copy with another label, so no 1-WL method can get more than "
            f"{share(len(made) - apart, len(made))} of all graphs right.",
        )


def scaffolds(data: Dataset) -> Iterator[Finding]:
    """Molecules whose scaffold occurs in training."""
    names = np.asarray(data.names.get("scaffold", ()))
    if len(names) == data.num_rows and data.split_name != "scaffold":
        train, test = (names[data.splits[part].numpy()] for part in ("train", "test"))
        seen = int((np.isin(test, train) & (test != "")).sum())
        yield Finding(
            "shared-scaffolds",
            "note",
            seen,
            f"{seen} of {len(test)} test molecules ({share(seen, len(test))}) have a scaffold that training has; "
            "split='scaffold' keeps scaffolds apart.",
        )


def _columns(data: Dataset) -> tuple[np.ndarray, np.ndarray, list[str]] | None:
    """Return what a column could give away: features ``[N, F]``, targets ``[N, T]``, and the columns' names."""
    labels, feat = data.labels, data.collated.node_fields.get("feat")
    if labels is None:
        return None
    if labels.is_floating_point():
        target = labels.reshape(len(labels), -1).numpy()
    else:
        kinds = max(data.num_classes, 1)
        target = np.eye(kinds, dtype=np.float32)[labels.clamp(min=0).numpy()]
        target[labels.numpy() < 0] = np.nan
    if data.task == "node":
        names = [] if feat is None else [f"feature column {i}" for i in range(feat[:1].numel())]
        x = np.zeros((len(target), 0), np.float32) if feat is None else feat.reshape(len(feat), -1).numpy()
        return x[: len(target)], target, names
    full = data.collated
    pooled = torch.stack([full.node_counts.float(), full.edge_counts.float()], 1)
    names = ["the number of nodes", "the number of edges"]
    if feat is not None:
        owner = torch.repeat_interleave(torch.arange(len(full)), full.node_counts)
        feat = feat.reshape(len(feat), -1)
        pooled = torch.cat([pooled, torch.zeros(len(full), feat.shape[1]).index_add_(0, owner, feat.float())], 1)
        names += [f"the sum of feature column {i}" for i in range(feat.shape[1])]
    return pooled.numpy(), target, names


def telling_columns(data: Dataset) -> Iterator[Finding]:
    """A single feature column that gives the label away, by correlation and by the best threshold on it."""
    found = _columns(data)
    if found is None or not found[0].shape[1]:
        return
    x, target, names = found
    known = np.isfinite(target).all(axis=1)
    if known.sum() < 20:
        return
    both = _correlations(x, target, known)
    column, kind = np.unravel_index(both.argmax(), both.shape)
    r2 = float(both.max() ** 2)
    if r2 >= TELLING:
        what = "the target" if data.labels.is_floating_point() else f"class {kind}"  # type: ignore[union-attr]
        text = f"{names[column]} alone gives {what} away (r2 {r2:.3f})."
        yield Finding("label-in-features", "trap", r2, text[0].upper() + text[1:])
        return
    if data.labels.is_floating_point() or target.shape[1] > 2:  # type: ignore[union-attr]
        return
    for column in np.argsort(-both.max(1))[:16]:
        right, most = _stump(x[known, column], target[known, 0] > 0.5)
        if right >= 0.95 and right - most >= 0.05:
            yield Finding(
                "easy-task",
                "trap" if right >= 0.99 else "note",
                right,
                f"A threshold on {names[column]} alone gets {share(right, 1)} of all labels right "
                f"(majority: {share(most, 1)}), so the task is almost trivial.",
            )
            return


def _correlations(x: np.ndarray, target: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the absolute correlation of every column with every target, ``[F, T]``; a few columns at a time."""
    target = target[known].astype(np.float64)
    target = (target - target.mean(0)) / np.where(target.std(0) > 0, target.std(0), np.inf)
    made, width = [], max(1, codes.CHUNK // len(x))
    for start in range(0, x.shape[1], width):
        part = x[:, start : start + width][known].astype(np.float64)
        part -= part.mean(0)
        spread = part.std(0)
        made.append(np.abs(part.T @ target) / np.where(spread > 0, spread, np.inf)[:, None] / len(target))
    return np.concatenate(made)


def _stump(x: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Return the accuracy of the best threshold and of the majority."""
    order = np.argsort(x, kind="stable")
    up = np.concatenate([[0], np.cumsum(label[order])])
    below = np.arange(len(x) + 1)
    right = (below - up) + (up[-1] - up)
    right = right[np.concatenate([[True], np.diff(x[order]) > 0, [True]])]
    most = max(up[-1], len(x) - up[-1]) / len(x)
    return float(max(right.max(), len(x) - right.min()) / len(x)), float(most)


def sorted_labels(data: Dataset) -> Iterator[Finding]:
    """Rows that stand in the order of their classes."""
    if data.labels is None or data.labels.is_floating_point() or data.labels.dim() > 1:
        return
    label = data.labels[data.labels >= 0].numpy()
    changes, kinds = int((np.diff(label) != 0).sum()), len(np.unique(label))
    if kinds > 1 and len(label) >= 10 * kinds and changes < 0.02 * len(label) + kinds:
        yield Finding(
            "rows-by-label",
            "note",
            changes,
            f"Rows are sorted by label (changes from row to row: {changes}); shuffle before taking a first part.",
        )


def one_sided(data: Dataset, labels: Tensor) -> Iterator[Finding]:
    """Parts where a target of zeros and ones ``[B, T]`` has one of the two alone, so that nothing can be ranked."""
    if labels[~labels.isnan()].unique().tolist() != [0.0, 1.0]:
        return
    for part, ids in data.splits.items():
        here = labels[ids]
        alone = int(((here == 0).any(0) != (here == 1).any(0)).sum())
        if alone:
            yield Finding(
                "absent-classes",
                "trap" if part == "train" or alone == labels.shape[1] else "note",
                alone,
                f"Targets with one of their two classes alone in {part}: {alone} of {labels.shape[1]}; they have no "
                "ROC AUC there.",
            )


def classes(data: Dataset) -> Iterator[Finding]:
    """Missing labels, balance, classes that a part lacks."""
    labels, what = data.labels, "graphs" if data.task == "graph" else "nodes"
    if labels is None:
        return
    if labels.is_floating_point():
        missing = int(labels.isnan().sum())
        if missing:
            yield Finding("unlabelled", "note", missing, f"{missing} of {labels.numel()} labels are missing (NaN).")
        yield from one_sided(data, labels.reshape(len(labels), -1))
        return
    lacking = int((labels < 0).sum())
    if lacking:
        yield Finding("unlabelled", "note", lacking, f"{lacking} of {len(labels)} {what} have no label.")
    sizes = np.bincount(labels[labels >= 0].numpy(), minlength=data.num_classes)
    uneven = sizes.max() >= 0.8 * sizes.sum() or sizes.min() < 0.01 * sizes.sum()
    yield Finding(
        "class-balance",
        "note" if uneven else "fact",
        float(sizes.max() / max(sizes.sum(), 1)),
        f"{len(sizes)} classes with {sizes.min()} to {sizes.max()} {what}; the largest is "
        f"{share(sizes.max(), sizes.sum())}.",
    )
    inside = {
        part: np.bincount(labels[ids][labels[ids] >= 0], minlength=len(sizes)) for part, ids in data.splits.items()
    }
    gaps = {part: np.flatnonzero(found == 0) for part, found in inside.items() if len(data.splits[part])}
    for part, absent in gaps.items():
        if len(absent):
            yield Finding(
                "absent-classes",
                "trap" if part == "train" or sizes[absent].sum() >= 0.1 * sizes.sum() else "note",
                len(absent),
                f"Classes without a label in {part}: {', '.join(map(str, absent[:5]))}"
                f"{', ...' if len(absent) > 5 else ''} ({len(absent)} of {len(sizes)}).",
            )
    held = sum(map(len, data.splits.values()))
    if held < len(labels) - lacking:
        yield Finding(
            "unused",
            "fact",
            len(labels) - lacking - held,
            f"The split uses {held} of {len(labels) - lacking} labelled {what}.",
        )
