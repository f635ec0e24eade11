"""Geom-GCN's text files ``out1_graph_edges.txt`` and ``out1_node_feature_label.txt`` (arXiv 2002.05287)."""

from __future__ import annotations

import re

import numpy as np
import torch

from graphkit.core.errors import DataError, unknown
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, integer_codes, tidy
from graphkit.data.store import Files
from graphkit.data.unpickle import load_npz

EDGES, NODES = "out1_graph_edges.txt", "out1_node_feature_label.txt"


@register(
    "geom-gcn-text",
    kind="reader",
    level="node link",
    title="Geom-GCN: Geometric Graph Convolutional Networks",
    arxiv="2002.05287",
    keep=True,
)
def read_geom_text(files: Files, *, features: str = "dense", directed: bool = False) -> Raw:
    """Read a graph with features and labels, and its ten splits, in Geom-GCN's form.

    Repeated lines and self-loops are dropped and counted (layers add loops where they want them).

    Parameters
    ----------
    files : Files
        The two text files and ``splits/NAME_split_0.6_0.2_k.npz``.
    features : str
        ``dense``: a comma list of numbers for each node; ``indices``: of the numbers of its active features.
    directed : bool
        Keep the direction of edges; else both directions are stored.

    Returns
    -------
    Raw
        ``feat`` float32 ``[N, D]`` as in the file, ``label`` int64 ``[N]``, the ten splits ``geom-gcn``.

    Raises
    ------
    DataError
        Naming file and line: a wrong header, ragged rows, ids that repeat, skip or leave the range.
    """
    feat, label, classes = _nodes(files.read(NODES), files.label(NODES), features)
    _, body = tables.headed(files.read(EDGES), files.label(EDGES), ["node_id"])
    edges = tables.integers(body, files.label(EDGES), 2, "\t")
    tables.check_range(edges, len(label), body, files.label(EDGES))
    src, dst, edge_fields, report = tidy(edges[:, 0], edges[:, 1], len(label), directed=directed)
    node_fields = {"feat": torch.from_numpy(feat), "label": label}
    collated = Collated.from_edges(src, dst, torch.tensor([len(label)]), node_fields, edge_fields)
    return Raw(collated, mask_folds(files, "splits/", len(label)), {"class": classes}, report, not directed)


def _nodes(data: bytes, name: str, features: str) -> tuple[np.ndarray, torch.Tensor, list[str]]:
    """Return features float32 ``[N, D]``, labels ``[N]`` and the classes' names, in the order of node ids."""
    if features not in ("dense", "indices"):
        raise unknown("features", features, ["dense", "indices"])
    header, body = tables.headed(data, name, ["node_id", "label"])
    rows = []
    for number, line in tables.lines(body):
        cells = line.split("\t")
        if len(cells) != len(header) or len(cells) != 3:
            raise DataError(
                f"{name}, line {number}: {len(cells)} columns where node_id, feature and label were expected, "
                f"separated by tabs: {line[:60]!r}"
            )
        rows.append((number, *cells))
    if not rows:
        raise DataError(f"{name} holds no nodes")
    ids, labels = (tables.integers(_column(rows, cell), name, 1)[:, 0] for cell in (1, 3))
    tables.permutation(ids, body, name)
    order = np.argsort(ids)
    codes, classes = integer_codes(labels[order])
    if features == "dense":
        return tables.numbers(_column(rows, 2), name)[order].astype(np.float32), codes, classes
    return _active(rows, name)[order], codes, classes


def _column(rows: list[tuple], cell: int) -> bytes:
    """Return one column as a text in which every row stands on the line that it has in the file."""
    made = [""] * rows[-1][0]
    for row in rows:
        made[row[0] - 1] = row[cell]
    return "\n".join(made).encode()


def _active(rows: list[tuple], name: str) -> np.ndarray:
    """Return 0/1 features from lists of active ones; as wide as the largest index needs."""
    lists = []
    for number, _, text, _ in rows:
        try:
            lists.append([int(cell) for cell in text.split(",") if cell.strip()])
        except ValueError:
            raise DataError(f"{name}, line {number}: {text[:60]!r} is not a list of feature numbers") from None
        if lists[-1] and min(lists[-1]) < 0:
            raise DataError(f"{name}, line {number}: feature {min(lists[-1])}; expected 0 and up")
    feat = np.zeros((len(rows), max((max(some) for some in lists if some), default=-1) + 1), dtype=np.float32)
    feat[np.repeat(np.arange(len(rows)), [len(some) for some in lists]), np.concatenate(lists).astype(np.int64)] = 1
    return feat


def mask_folds(files: Files, folder: str, num_nodes: int) -> dict[str, list]:
    """Return the masks ``train_mask``, ``val_mask``, ``test_mask`` of each npz below ``folder`` as ``geom-gcn`` folds.

    Raises
    ------
    DataError
        If a file does not hold three masks of all nodes.
    """
    found = [name for name in files.names() if name.startswith(folder) and name.endswith(".npz")]
    folds = []
    for name in sorted(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)]):
        masks = load_npz(files.read(name), files.label(name))
        parts = {part: np.asarray(masks.get(f"{part}_mask", ())) for part in ("train", "val", "test")}
        if any(mask.shape != (num_nodes,) for mask in parts.values()):
            raise DataError(f"{files.label(name)} does not hold three masks of {num_nodes} nodes")
        folds.append({part: torch.from_numpy(mask.astype(bool).nonzero()[0]) for part, mask in parts.items()})
    return {"geom-gcn": folds} if folds else {}
