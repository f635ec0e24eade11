"""Hypergraphs with classes: HyperGCN's pickles, and the ``.content`` and ``.edges`` tables of the UCI-type sets."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables, unpickle
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files
from graphkit.graphs.hypergraph import NTYPES, PREFIX


def hypergraph_raw(
    node: np.ndarray,
    hyperedge: np.ndarray,
    num_nodes: int,
    num_hyperedges: int,
    node_fields: dict[str, np.ndarray],
    hyperedge_fields: dict[str, np.ndarray] | None = None,
    **more: Any,
) -> Raw:
    """Return a hypergraph as Raw, in its flat form (see ``graphkit.graphs.hypergraph.flatten``).

    Parameters
    ----------
    node, hyperedge : ndarray of int
        ``[E]``, checked ids; a repeated pair counts once.
    num_nodes, num_hyperedges : int
    node_fields, hyperedge_fields : dict of str to ndarray
        ``[N, ...]`` and ``[M, ...]``.
    more
        ``splits``, ``names``, ``report`` of :class:`~graphkit.data.raw.Raw`.

    Examples
    --------
    >>> raw = hypergraph_raw(np.array([0, 1, 1]), np.array([0, 0, 0]), 2, 1, {"label": np.array([0, 1])})
    >>> raw.collated.node_fields["label"].tolist(), raw.report["repeated_members"]
    ([0, 1, -1], 1)
    """
    flat = np.unique(hyperedge.astype(np.int64) * max(num_nodes, 1) + node)
    owner, member = flat // max(num_nodes, 1), flat % max(num_nodes, 1)
    fields: dict[str, torch.Tensor] = {"ntype": (torch.arange(num_nodes + num_hyperedges) >= num_nodes).long()}
    for given, prefix, before, after in (
        (node_fields, "", 0, num_hyperedges),
        (hyperedge_fields or {}, PREFIX, num_nodes, 0),
    ):
        for name, value in given.items():
            filler = -1 if name == "label" else 0
            pads = [np.full((rows, *value.shape[1:]), filler, dtype=value.dtype) for rows in (before, after)]
            fields[prefix + name] = torch.from_numpy(np.concatenate([pads[0], value, pads[1]]))
    sizes = np.bincount(owner, minlength=num_hyperedges)
    report = {
        "repeated_members": len(node) - len(flat),
        "nodes_in_no_hyperedge": num_nodes - len(np.unique(member)),
        "largest_hyperedge": int(sizes.max()) if len(sizes) else 0,
        "hyperedges_of_one": int((sizes == 1).sum()),
        **more.pop("report", {}),
    }
    names = {"ntype": list(NTYPES), **more.pop("names", {})}
    collated = Collated.from_edges(
        torch.from_numpy(member),
        torch.from_numpy(owner + num_nodes),
        torch.tensor([num_nodes + num_hyperedges]),
        fields,
    )
    return Raw(collated, names=names, report=report, undirected=False, **more)


@register(
    "hypergcn",
    kind="reader",
    level="node",
    title="HyperGCN: A New Method of Training Graph Convolutional Networks on Hypergraphs",
    arxiv="1809.02589",
    keep=True,
)
def read_hypergcn(files: Files) -> Raw:
    """Read HyperGCN's pickles: ``hypergraph``, ``labels``, perhaps ``features``, and ``splits/1 .. 10``.

    Hyperedges are numbered in the order of the file. Nodes that belong to none are kept.

    Parameters
    ----------
    files : Files
        ``hypergraph.pickle`` (a mapping of name to members), ``labels.pickle`` (classes, as numbers or one-hot lists),
        ``features.pickle`` (scipy matrix; optional), ``splits/k.pickle`` (mapping of train and test to ids).

    Returns
    -------
    Raw
        A hypergraph: ``feat`` float32 and ``label`` of the nodes; ``names["hyperedge"]``; the split ``folds``.

    Raises
    ------
    UnsafeFileError
        If a pickle names anything off the allow-list.
    DataError
        If a member is out of range, or rows do not agree.
    """
    hyperedges = _pickle(files, "hypergraph.pickle", dict)
    labels = _classes(_pickle(files, "labels.pickle", list), files.label("labels.pickle"))
    total = len(labels)
    members = [_members(value, name, files) for name, value in hyperedges.items()]
    node = np.concatenate(members) if members else np.empty(0, np.int64)
    owner = np.repeat(np.arange(len(members)), [len(one) for one in members])
    wrong = np.flatnonzero((node < 0) | (node >= total))
    if len(wrong):
        raise DataError(
            f"{files.label('hypergraph.pickle')}: hyperedge {list(hyperedges)[owner[wrong[0]]]!r} has the member "
            f"{node[wrong[0]]}; expected ids from 0 to {total - 1}"
        )
    fields: dict[str, np.ndarray] = {"label": labels}
    if "features.pickle" in files.names():
        features = _features(unpickle.loads(files.read("features.pickle"), files.label("features.pickle")))
        if len(features) != total:
            raise DataError(f"{files.label('features.pickle')} has {len(features)} rows; expected {total}")
        fields["feat"] = features
    names = {"hyperedge": [str(name) for name in hyperedges]}
    splits = {"folds": _splits(files, total)} if any(name.startswith("splits/") for name in files.names()) else {}
    return hypergraph_raw(node, owner, total, len(members), fields, names=names, splits=splits)


def _classes(found: list, label: str) -> np.ndarray:
    """Return int64 classes from a list of class numbers or of one-hot lists."""
    try:
        labels = np.asarray(found)
    except ValueError:  # rows of several lengths
        labels = np.empty((0, 0, 0))
    if labels.ndim == 2 and labels.shape[1] and np.isin(labels, [0, 1]).all() and (labels.sum(1) == 1).all():
        return labels.argmax(1).astype(np.int64)
    if labels.ndim == 1 and labels.dtype.kind in "iu" and (labels >= 0).all():
        return labels.astype(np.int64)
    raise DataError(f"{label}: expected for each node its class, as a number or a one-hot list")


def _pickle(files: Files, name: str, kind: type) -> Any:
    found = unpickle.loads(files.read(name), files.label(name))
    if not isinstance(found, kind):
        raise DataError(f"{files.label(name)} holds a {type(found).__name__}; expected a {kind.__name__}")
    return found


def _members(value: Any, name: Any, files: Files) -> np.ndarray:
    if not isinstance(value, Collection) or isinstance(value, str | bytes):
        raise DataError(f"{files.label('hypergraph.pickle')}: hyperedge {name!r} is no collection of node ids")
    ids = np.asarray(sorted(value) if isinstance(value, set | frozenset) else list(value))
    if ids.size and ids.dtype.kind not in "iu":
        raise DataError(f"{files.label('hypergraph.pickle')}: hyperedge {name!r} has members that are no whole numbers")
    return ids.astype(np.int64).reshape(-1)


def _features(found: Any) -> np.ndarray:
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=np.float32)


def _splits(files: Files, total: int) -> list[dict[str, torch.Tensor]]:
    """Return the published folds in the order of their numbers; ids are checked when one is used."""
    held = [name for name in files.names() if name.startswith("splits/")]
    folds = []
    for name in sorted(held, key=lambda text: (len(text), text)):
        parts = _pickle(files, name, dict)
        missing = [part for part in ("train", "test") if part not in parts]
        if missing:
            raise DataError(f"{files.label(name)} has no part {missing[0]!r}")
        fold = {part: torch.from_numpy(np.asarray(parts[part], dtype=np.int64)) for part in ("train", "test")}
        if any(len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= total) for ids in fold.values()):
            raise DataError(f"{files.label(name)} names nodes out of range; expected ids from 0 to {total - 1}")
        folds.append(fold)
    return folds


@register(
    "hypergraph-content",
    kind="reader",
    level="node",
    title="Semi-supervised Hypergraph Node Classification on Hypergraph Line Expansion",
    arxiv="2005.04843",
    keep=True,
)
def read_content(files: Files) -> Raw:
    """Read ``NAME.content`` (node id, features, label) and ``NAME.edges`` (node id, hyperedge id), blank-separated.

    Nodes are the lines of ``.content``, in any order, with ids that count from 0; hyperedge ids continue after them.

    Parameters
    ----------
    files : Files

    Returns
    -------
    Raw
        A hypergraph: ``feat`` float32 and ``label`` of the nodes, classes in the order of their numbers.

    Raises
    ------
    DataError
        Naming file and line: a ragged row, an id out of order or range, a class that is no whole number.
    """
    found = {end: [name for name in files.names() if name.endswith(end)] for end in (".content", ".edges")}
    for end, have in found.items():
        if len(have) != 1:
            raise DataError(f"expected one {end} file among the raw files, found {len(have)}")
    content, edges = found[".content"][0], found[".edges"][0]
    table = tables.numbers(_blanks(files.read(content)), files.label(content), delimiter="\t")
    if table.shape[1] < 2 or not len(table):
        raise DataError(f"{files.label(content)} holds no nodes with a label")
    order = np.argsort(table[:, 0], kind="stable")
    wrong = np.flatnonzero(table[order, 0] != np.arange(len(table)))
    if len(wrong):
        line = int(order[wrong[0]])
        raise DataError(
            f"{files.label(content)}, line {line + 1}: node {table[line, 0]:g} where {wrong[0]} was expected; each "
            f"of 0 to {len(table) - 1} must stand in one line"
        )
    table = table[order]
    label = table[:, -1]
    wrong = np.flatnonzero(label != np.round(label))
    if len(wrong):
        raise DataError(f"{files.label(content)}, line {wrong[0] + 1}: class {label[wrong[0]]:g} is no whole number")
    pairs = tables.integers(_blanks(files.read(edges)), files.label(edges), columns=2, delimiter="\t")
    total = len(table)
    for column, low, high, what in ((0, 0, total, "node"), (1, total, None, "hyperedge")):
        ids = pairs[:, column]
        bad = np.flatnonzero((ids < low) | (ids >= high if high is not None else False))
        if len(bad):
            upper = f" to {high - 1}" if high is not None else " on"
            raise DataError(
                f"{files.label(edges)}, line {bad[0] + 1}: {what} {ids[bad[0]]}; expected ids from {low}{upper}"
            )
    codes, owner = np.unique(pairs[:, 1], return_inverse=True)
    classes, coded = np.unique(label, return_inverse=True)
    fields: dict[str, np.ndarray] = {
        "label": coded.astype(np.int64).reshape(-1),
        "feat": table[:, 1:-1].astype(np.float32),
    }
    names = {"class": [f"{value:g}" for value in classes]}
    report = {"unused_hyperedge_ids": int(codes.max()) + 1 - total - len(codes) if len(codes) else 0}
    return hypergraph_raw(pairs[:, 0], owner.reshape(-1), total, len(codes), fields, names=names, report=report)


def _blanks(data: bytes) -> bytes:
    """Separate cells by one tab each, and keep the number of lines."""
    return b"\n".join(b"\t".join(line.split()) for line in data.split(b"\n"))
