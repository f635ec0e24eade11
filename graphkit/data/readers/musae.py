"""MUSAE's social graphs: an edge list, a JSON of active features, a table of targets (arXiv 1909.13021)."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files


@register("musae", kind="reader", level="node link", title="Multi-scale Attributed Node Embedding", arxiv="1909.13021")
def read_musae(
    files: Files, *, target: str = "target", node: str = "id", regression: bool = False, width: int = 0
) -> Raw:
    """Read ``..._edges.csv``, a ``.json`` of features and ``..._target.csv``.

    Rows of the target file come in any order; a node may have several rows if they agree.

    Parameters
    ----------
    files : Files
    target : str
        Column of the label.
    node : str
        Column of the node number, 0 to N - 1.
    regression : bool
        The target is a number; else its distinct values, sorted as text, are the classes.
    width : int
        Columns of the features where the set is known to be wider than its largest index.

    Returns
    -------
    Raw
        ``feat`` 0/1 float32 ``[N, D]``, ``label`` int64 ``[N]`` or float32 ``[N, 1]``; both directions of each link,
        without repeated lines and self-loops, which the report counts.

    Raises
    ------
    DataError
        Naming file and line: a missing column, ids that skip or leave the range, rows of one node that disagree.
    """
    label, classes, repeated = _targets(files, target, node, regression)
    total = len(label)
    name = _one(files, "_edges.csv")
    _, body = tables.headed(files.read(name), files.label(name), (), ",")
    edges = tables.integers(body, files.label(name), 2)
    tables.check_range(edges, total, body, files.label(name))
    src, dst, edge_fields, report = tidy(edges[:, 0], edges[:, 1], total)
    feat = _features(files, total, width)
    collated = Collated.from_edges(src, dst, torch.tensor([total]), {"feat": feat, "label": label}, edge_fields)
    return Raw(collated, {}, {"class": classes} if classes else {}, report | {"repeated_targets": repeated})


def _one(files: Files, ending: str) -> str:
    found = [name for name in files.names() if name.endswith(ending)]
    if len(found) != 1:
        raise DataError(f"expected one file ...{ending} among the raw files, found {len(found)}")
    return found[0]


def _targets(files: Files, target: str, node: str, regression: bool) -> tuple[Tensor, list[str], int]:
    """Return labels in the order of node numbers, the classes' names, and how many rows were repeats."""
    name = _one(files, "_target.csv")
    label = files.label(name)
    table = tables.frame(files.read(name), label, [node, target])
    ids = tables.column(table[node], label, whole=True)
    if not len(ids):
        raise DataError(f"{label} has no rows")
    total = len(np.unique(ids))
    wrong = np.flatnonzero((ids < 0) | (ids >= total))
    if len(wrong):
        raise DataError(
            f"{label}, line {table.index[wrong[0]]}: node {ids[wrong[0]]}; expected each of 0 to {total - 1}"
        )
    values: np.ndarray
    if regression:
        values = tables.column(table[target], label).astype(np.float32)
        classes: list[str] = []
    else:
        found, values = np.unique(table[target].to_numpy(dtype=str), return_inverse=True)
        classes = [str(value) for value in found]
    made = np.empty(total, dtype=values.dtype)
    made[ids] = values
    apart = np.flatnonzero(made[ids] != values)
    if len(apart):
        raise DataError(
            f"{label}, line {table.index[apart[0]]}: node {ids[apart[0]]} has another {target} in a later line"
        )
    column = torch.from_numpy(made)
    return (column.unsqueeze(1) if regression else column.long()), classes, len(ids) - total


def _features(files: Files, total: int, width: int) -> Tensor:
    """Return 0/1 features from a JSON mapping of node number to active features."""
    name = _one(files, ".json")
    label = files.label(name)
    try:
        lists = json.loads(files.read(name))
        rows = np.array([int(key) for key in lists], dtype=np.int64)
        counts = [len(active) for active in lists.values()]
        columns = np.array([index for active in lists.values() for index in active], dtype=np.int64)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{label} is not a JSON mapping of nodes to feature numbers ({error})") from error
    if len(rows) and (rows.min() < 0 or rows.max() >= total):
        bad = rows[(rows < 0) | (rows >= total)][0]
        raise DataError(f"{label} has features of node {bad}; expected nodes from 0 to {total - 1}")
    widest = int(columns.max()) + 1 if len(columns) else 0
    if (len(columns) and columns.min() < 0) or (width and widest > width):
        raise DataError(f"{label} has features from {columns.min()} to {widest - 1}; expected 0 to {width - 1}")
    feat = torch.zeros(total, width or widest)
    feat[torch.from_numpy(np.repeat(rows, counts)), torch.from_numpy(columns)] = 1
    return feat
