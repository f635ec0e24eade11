"""Checks of pairs, triples, events and hyperedges: what test shares with training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch

from graphkit.data.auditing import codes
from graphkit.data.auditing.findings import Finding, share

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset


def audit_pairs(parts: Mapping[str, tuple], undirected: bool = True) -> list[Finding]:
    """Check labelled pairs that come in parts, as files of drug pairs do.

    Parameters
    ----------
    parts : mapping of str to (array, array, array)
        Both ends ``[P]`` (numbers or names) and the labels ``[P]`` of each part.
    undirected : bool
        (u, v) and (v, u) are one pair.

    Returns
    -------
    list of Finding
        ``pairs-in-two-parts``, ``contradicting-pairs``, ``repeated-pairs``, ``one-sided-labels``.

    Examples
    --------
    >>> found = audit_pairs({"train": (["a", "b"], ["b", "c"], [1, 0]), "test": (["b"], ["a"], [0])})
    >>> [(f.check, f.severity, f.number) for f in found]
    [('contradicting-pairs', 'trap', 1)]
    """
    ends = [np.asarray(end) for part in parts.values() for end in part[:2]]
    _, flat = np.unique(np.concatenate(ends), return_inverse=True)
    pieces = np.split(flat.reshape(-1), np.cumsum([len(end) for end in ends])[:-1])
    total = int(flat.max()) + 1 if len(flat) else 1
    code, label = {}, {}
    for number, (name, part) in enumerate(parts.items()):
        u, v = pieces[2 * number : 2 * number + 2]
        code[name] = np.minimum(u, v) * total + np.maximum(u, v) if undirected else u * total + v
        label[name] = np.asarray(part[2]).astype(np.int64)
    return [*_overlaps(code, label), *_repeats(code)]


def _overlaps(code: dict[str, np.ndarray], label: dict[str, np.ndarray]) -> Iterator[Finding]:
    for one, other in combinations(code, 2):
        labels_of = [{(c, y) for c, y in zip(code[p].tolist(), label[p].tolist(), strict=True)} for p in (one, other)]
        both = np.intersect1d(code[one], code[other])
        same = len({c for c, _ in labels_of[0] & labels_of[1]})
        apart = len(both) - same
        if apart:
            yield Finding(
                "contradicting-pairs",
                "trap",
                apart,
                f"{apart} pairs occur in both {one} and {other}, only with opposite labels.",
            )
        if same:
            yield Finding(
                "pairs-in-two-parts",
                "trap",
                same,
                f"{same} pairs occur in both {one} and {other} with the same label "
                f"({share(same, len(np.unique(code[other])))} of {other}).",
            )


def _repeats(code: dict[str, np.ndarray]) -> Iterator[Finding]:
    for name, found in code.items():
        again = len(found) - len(np.unique(found))
        if again:
            yield Finding("repeated-pairs", "note", again, f"Rows of {name} that repeat a pair of {name}: {again}.")


def links(data: Dataset) -> Iterator[Finding]:
    """Pairs of a link split, positives and negatives, and what a labelled edge file states in parts."""
    parts = {}
    for name, part in data.splits.items():
        label = torch.cat([torch.ones(len(part.pos)), torch.zeros(len(part.neg))])
        both = [torch.cat([getattr(part.pos, end), getattr(part.neg, end)]).numpy() for end in ("src", "dst")]
        parts[name] = (*both, label.numpy())
    found = [f for f in audit_pairs(parts, data.undirected) if not _shared_negative(f)]
    yield from found
    yield from unseen_nodes(data, "nodes")


def _shared_negative(finding: Finding) -> bool:
    """Repeats among drawn non-links say nothing."""
    return finding.check == "repeated-pairs"


def labelled_edges(data: Dataset) -> Iterator[Finding]:
    """Labelled pairs stored as edges with published parts of edge ids."""
    full, parts = data.collated, data.published.get("public")
    label = full.edge_fields.get("label")
    if label is None or not isinstance(parts, Mapping) or len(full) > 1 or data.task == "triple":
        return
    ids = {name: torch.as_tensor(rows) for name, rows in parts.items()}
    if all(len(rows) == 0 or int(rows.max()) < full.num_edges for rows in ids.values()):
        yield from audit_pairs(
            {n: (full.src[r].numpy(), full.dst[r].numpy(), label[r].numpy()) for n, r in ids.items()}
        )


def paired_graphs(data: Dataset) -> Iterator[Finding]:
    """Graphs that are labelled pairs of named things, such as drugs: as ordered pairs, by the split and by file."""
    fields, labels = data.collated.graph_fields, data.labels
    if "drug" not in fields or labels is None:
        return
    pair, label = fields["drug"].numpy(), labels.numpy()
    by = {"split": {name: ids.numpy() for name, ids in data.splits.items()}}
    if "file" in fields and data.split_name != "public":
        owner = fields["file"].numpy()
        by["file"] = {name: np.flatnonzero(owner == i) for i, name in enumerate(data.names.get("file", ()))}
    for parts in by.values():
        yield from audit_pairs({n: (pair[r, 0], pair[r, 1], label[r]) for n, r in parts.items()}, undirected=False)


def unseen_nodes(data: Dataset, what: str) -> Iterator[Finding]:
    """Held-out links with an end that no training link has."""
    train = data.splits["train"].pos
    if not len(train):
        return
    known = torch.cat([train.src, train.dst]).unique()
    for name in ("val", "test"):
        pos = data.splits[name].pos
        unseen = ~(torch.isin(pos.src, known) & torch.isin(pos.dst, known))
        if bool(unseen.any()):
            count = int(unseen.sum())
            yield Finding(
                f"unseen-{what}",
                "trap" if what == "entities" and count >= 0.01 * len(pos) else "note",
                count,
                f"{count} of {len(pos)} {name} links have an end without any training link.",
            )


def triples(data: Dataset) -> Iterator[Finding]:
    """Triples in two parts, unseen entities, and test triples whose pair training has already."""
    total, kinds = data.collated.num_nodes, max(data.num_relations, 1)
    code, pair, back = {}, {}, {}
    for name, part in data.splits.items():
        h, r, t = (getattr(part.pos, key).numpy() for key in ("src", "rel", "dst"))
        code[name], pair[name], back[name] = (h * kinds + r) * total + t, h * total + t, t * total + h
    label = {name: np.ones(len(found), np.int64) for name, found in code.items()}
    yield from (f for f in _overlaps(code, label) if f.check == "pairs-in-two-parts")
    yield from unseen_nodes(data, "entities")
    count, whole = int(np.isin(back["test"], pair["train"]).sum()), len(code["test"])
    if count >= 0.05 * whole and count:
        yield Finding(
            "reversed-triples",
            "trap" if count >= 0.5 * whole else "note",
            count,
            f"{count} of {whole} test triples ({share(count, whole)}) have the reversed pair (t, ?, h) in training: "
            "a symmetric or inverse relation gives them away.",
        )
    count = int(np.isin(pair["test"], pair["train"]).sum())
    if count:
        yield Finding(
            "known-pairs", "note", count, f"{count} of {whole} test triples have a pair (h, ?, t) that training has."
        )


def events(data: Dataset) -> Iterator[Finding]:
    """Order of time, and test events whose pair has met before."""
    full, total = data.collated, data.collated.num_nodes
    code = full.src.numpy() * total + full.dst.numpy()
    yield from _order(data)
    test, train = (code[data.splits[part].numpy()] for part in ("test", "train"))
    count = int(np.isin(test, train).sum())
    yield Finding(
        "recurring-pairs",
        "note" if count >= 0.5 * len(test) else "fact",
        count / max(len(test), 1),
        f"{share(count, len(test))} of the test events join a pair that training has; remembering pairs (EdgeBank) "
        "gets these right.",
    )
    new = int((~np.isin(full.dst[data.splits["test"]].numpy(), full.dst[data.splits["train"]].numpy())).sum())
    if new:
        yield Finding("unseen-nodes", "note", new, f"{new} of {len(test)} test events go to a node new to training.")


def hyperedges(data: Dataset) -> Iterator[Finding]:
    """Order of time, and test hyperedges with exactly the members of a training one."""
    full, base = data.collated, data.collated.num_nodes - data.num_hyperedges
    src, dst = codes.ends(full)
    member = codes.add_up(codes.mix(src.astype(np.uint64) + np.uint64(1)), dst, full.num_nodes)[base:]
    if "hyperedge_time" in full.node_fields:
        yield from _order(data)
    if data.task == "hyperedge":
        test, train = (member[data.splits[part].numpy()] for part in ("test", "train"))
        count = int(np.isin(test, train).sum())
        yield Finding(
            "recurring-hyperedges",
            "trap" if count >= 0.05 * len(test) and count else "fact",
            count,
            f"{count} of {len(test)} test hyperedges ({share(count, len(test))}) have exactly the members of a "
            "training hyperedge.",
        )
    outside = base - len(np.unique(src))
    if outside:
        yield Finding("isolated", "note", outside, f"{outside} of {base} nodes belong to no hyperedge.")
    single = int((np.bincount(dst, minlength=full.num_nodes)[base:] == 1).sum())
    if single:
        yield Finding("single-members", "note", single, f"Hyperedges of one member: {single}.")


def _order(data: Dataset) -> Iterator[Finding]:
    """Training strictly before validation, validation strictly before test."""
    times = data.times
    for before, after in (("train", "val"), ("val", "test"), ("train", "test")):
        one, other = (times[data.splits[part]] for part in (before, after))
        if len(one) and len(other) and one.max() >= other.min():
            late = int((one >= other.min()).sum())
            yield Finding(
                "time-order", "trap", late, f"{late} entries of {before} are not before the first one of {after}."
            )


def windows(data: Dataset) -> Iterator[Finding]:
    """Training windows whose forecast reaches into what test is asked for."""
    history, horizon = (data.split_options.get(name, 12) for name in ("history", "horizon"))
    train, test = data.splits["train"], data.splits["test"]
    if len(train) and len(test):
        late = int((train + history + horizon > int(test.min()) + history).sum())
        if late:
            yield Finding(
                "time-order", "trap", late, f"{late} training windows forecast steps that test windows are asked for."
            )
    still = int((data.series == data.series[:1]).all(0).sum())
    if still:
        yield Finding("constant-series", "note", still, f"Series that never change: {still}.")
