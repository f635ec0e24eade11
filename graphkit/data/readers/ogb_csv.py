"""Sets of the Open Graph Benchmark in the packed tables that it publishes, without its package (arXiv 2005.00687)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated, offsets_of
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files

PARTS = {"train": "train", "val": "valid", "test": "test"}


def _table(files: Files, name: str, rows: int | None = None) -> np.ndarray:
    """Read numbers without a header, float64 ``[rows, columns]``."""
    found = tables.numbers(files.read(name), files.label(name))
    if rows is not None and len(found) != rows:
        raise DataError(f"{files.label(name)} has {len(found)} lines; expected {rows}")
    return found


def _counts(files: Files, name: str) -> Tensor:
    data = files.read(name)
    found = tables.integers(data, files.label(name), columns=1)[:, 0]
    wrong = np.flatnonzero(found < 0)
    if len(wrong):
        raise tables.complain_row(data, files.label(name), int(wrong[0]), f"the count {found[wrong[0]]} is negative")
    return torch.from_numpy(found)


def _labels(files: Files, name: str, rows: int) -> Tensor:
    """Return classes int64 ``[rows]`` if there is one column of whole numbers, else float32 with NaN where missing."""
    data, label = files.read(name), files.label(name)
    cells = [line.split(",") for _, line in tables.lines(data)]
    if len(cells) != rows:
        raise DataError(f"{label} has {len(cells)} lines; expected {rows}")
    ragged = next((i for i, row in enumerate(cells) if len(row) != len(cells[0])), None)
    if ragged is not None:
        raise tables.complain_row(data, label, ragged, f"{len(cells[ragged])} columns; expected {len(cells[0])}")
    values = np.array([[tables.number(cell) for cell in row] for row in cells], dtype=np.float64)
    for i, j in np.argwhere(~np.isfinite(values)).tolist():
        if cells[i][j].strip().lower() not in ("", "nan"):
            raise tables.complain_row(data, label, i, f"{cells[i][j]!r} is not a finite number")
    whole = values.shape[1] == 1 and bool(np.isfinite(values).all()) and bool((values == np.round(values)).all())
    return torch.from_numpy(values[:, 0].astype(np.int64) if whole else values.astype(np.float32))


def _split(files: Files, total: int) -> dict[str, Tensor]:
    """Read the one published split ``split/SCHEME/train.csv``, ``valid.csv``, ``test.csv``."""
    parts = {}
    for part, there in PARTS.items():
        found = [n for n in files.names() if n.startswith("split/") and n.endswith(f"/{there}.csv")]
        if len(found) != 1:
            raise DataError(f"expected one file split/SCHEME/{there}.csv among the raw files, found {len(found)}")
        data = files.read(found[0])
        ids = tables.integers(data, files.label(found[0]), columns=1)
        tables.check_range(ids, total, data, files.label(found[0]))
        parts[part] = torch.from_numpy(np.sort(ids[:, 0]))
    return parts


def _features(files: Files, name: str, rows: int) -> dict[str, Tensor]:
    return {"feat": torch.from_numpy(_table(files, name, rows).astype(np.float32))} if name in files.names() else {}


def _edges(files: Files, total: int) -> np.ndarray:
    data, label = files.read("raw/edge.csv"), files.label("raw/edge.csv")
    ends = tables.integers(data, label, columns=2)
    tables.check_range(ends, total, data, label)
    return ends


@register(
    "ogb-csv-node",
    kind="reader",
    level="node link",
    title="Open Graph Benchmark: Datasets for Machine Learning on Graphs",
    arxiv="2005.00687",
    keep=True,
)
def read_ogb_csv_node(files: Files, *, directed: bool = False) -> Raw:
    """Read one graph of OGB from its published tables.

    Parameters
    ----------
    files : Files
        ``raw/edge.csv``, ``raw/num-node-list.csv``, ``raw/node-label.csv``, perhaps ``raw/node-feat.csv``, and
        ``split/SCHEME/train.csv``, ``valid.csv``, ``test.csv``; each plain or ``.gz``.
    directed : bool
        Keep the direction of edges; else both directions are stored.

    Returns
    -------
    Raw
        ``feat`` float32 ``[N, D]`` where there are features, ``label`` int64 ``[N]`` or float32 ``[N, T]``; the split
        ``public``.

    Raises
    ------
    DataError
        Naming file and line.
    """
    counts = _counts(files, "raw/num-node-list.csv")
    if len(counts) != 1:
        raise DataError(f"{files.label('raw/num-node-list.csv')} names {len(counts)} graphs; expected one")
    total = int(counts[0])
    ends = _edges(files, total)
    src, dst, fields, report = tidy(ends[:, 0], ends[:, 1], total, directed=directed)
    node_fields = {**_features(files, "raw/node-feat.csv", total), "label": _labels(files, "raw/node-label.csv", total)}
    collated = Collated.from_edges(src, dst, counts, node_fields, fields)
    return Raw(collated, {"public": _split(files, total)}, {}, report, not directed)


@register(
    "ogb-csv-graph",
    kind="reader",
    level="graph",
    title="Open Graph Benchmark: Datasets for Machine Learning on Graphs",
    arxiv="2005.00687",
    keep=True,
)
def read_ogb_csv_graph(files: Files, *, binary: bool = False) -> Raw:
    """Read a set of graphs of OGB from its published tables; both directions of each edge are stored.

    Parameters
    ----------
    files : Files
        ``raw/edge.csv`` (ids inside each graph), ``raw/num-node-list.csv``, ``raw/num-edge-list.csv``,
        ``raw/graph-label.csv``, perhaps ``raw/node-feat.csv`` and ``raw/edge-feat.csv``, and
        ``split/SCHEME/train.csv``, ``valid.csv``, ``test.csv``; each plain or ``.gz``.
    binary : bool
        Labels are 0/1 tasks, float32, also where one column has no gap.

    Returns
    -------
    Raw
        ``feat`` float32: the published codes of atoms and bonds, one column for each property; ``label`` int64 ``[B]``
        or float32 ``[B, T]``, NaN missing; the split ``public``.

    Raises
    ------
    DataError
        Naming file and line.
    """
    nodes, edges = _counts(files, "raw/num-node-list.csv"), _counts(files, "raw/num-edge-list.csv")
    label = files.label("raw/edge.csv")
    if len(nodes) != len(edges):
        raise DataError(f"{files.label('raw/num-edge-list.csv')} names {len(edges)} graphs; expected {len(nodes)}")
    ends = torch.from_numpy(_edges(files, int(nodes.max()) if len(nodes) else 0))
    if len(ends) != int(edges.sum()):
        raise DataError(f"{label} has {len(ends)} lines; expected {int(edges.sum())}, the sum of the numbers of edges")
    owner = torch.repeat_interleave(torch.arange(len(nodes)), edges)
    wrong = (ends >= nodes[owner, None]).any(1).nonzero()[:1, 0]
    if len(wrong):
        i, g = int(wrong[0]), int(owner[wrong[0]])
        story = f"the ids {ends[i].tolist()} in graph {g}, which has {int(nodes[g])} nodes"
        raise tables.complain_row(files.read("raw/edge.csv"), label, i, story)
    joined = ends + offsets_of(nodes)[owner, None]
    total = int(nodes.sum())
    edge_fields = _features(files, "raw/edge-feat.csv", len(ends))
    src, dst, fields, report = tidy(joined[:, 0], joined[:, 1], total, edge_fields)
    labels = _labels(files, "raw/graph-label.csv", len(nodes))
    facts = {"label": labels.float().reshape(len(nodes), -1) if binary else labels}
    collated = Collated.from_edges(src, dst, nodes, _features(files, "raw/node-feat.csv", total), fields, facts)
    return Raw(collated, {"public": _split(files, len(nodes))}, {}, report)
