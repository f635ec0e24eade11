"""TUDataset's text folders (arXiv 2007.08663)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, integer_codes, one_hot, stand_in_features, tidy
from graphkit.data.readers.folds import published_folds
from graphkit.data.store import Files

#: What the numbers of a set mean, where its own label_readme or README says so.
NAMES = {
    "MUTAG": {
        "node_label": dict(zip("0123456", ("C", "N", "O", "F", "I", "Cl", "Br"), strict=True)),
        "relation": {"0": "aromatic", "1": "single", "2": "double", "3": "triple"},
    },
    "Mutagenicity": {
        "node_label": {
            str(i): atom
            for i, atom in enumerate(["C", "O", "Cl", "H", "N", "F", "Br", "S", "P", "I", "Na", "K", "Li", "Ca"])
        },
        "relation": {"0": "single", "1": "double", "2": "triple"},
        "class": {"0": "mutagen", "1": "nonmutagen"},
    },
}


@register("tu", kind="reader", level="graph", title="TUDataset", arxiv="2007.08663", keep=True)
def read_tu(files: Files, *, attributes: bool = False, features: str = "degree", folds: str = "") -> Raw:
    """Read a set of graphs from ``DS_A.txt``, ``DS_graph_indicator.txt`` and their sisters.

    Node labels become one-hot ``feat``; numeric node attributes are kept as the field ``attr`` and are appended to
    ``feat`` only if asked for (or where there are no labels), since published results mostly leave them out. Edge
    labels become one-hot edge ``feat`` and ``etype``. Repeated entries and self-loops are dropped and counted.

    Parameters
    ----------
    files : Files
    attributes : bool
        Append node attributes to ``feat``.
    features : str
        Where nodes have neither labels nor attributes: one-hot ``"degree"``, ``"constant"`` or ``"none"``.
    folds : str
        Published folds to read too, such as ``fair-comparison`` (the split of that name sets it).

    Returns
    -------
    Raw
        Graph ``label`` int64 ``[B]`` (classes in the order of their numbers), or float32 ``[B, T]`` from
        ``DS_graph_attributes.txt``.

    Raises
    ------
    DataError
        Naming file and line: ids that skip or leave the range, edges between graphs, tables of unequal length.
    """
    found = [name.removesuffix("A.txt") for name in files.names() if name.endswith("_A.txt")]
    if len(found) != 1:
        raise DataError(f"expected one file DS_A.txt among the raw files, found {len(found)}")
    ds = _Folder(files, found[0])
    counts = _counts(ds)
    num_nodes = int(counts.sum())
    edges = ds.table("A", 2)
    _check_edges(ds, edges, counts)

    edge_fields, relations = _edge_fields(ds, len(edges))
    src, dst, edge_fields, report = tidy(edges[:, 0] - 1, edges[:, 1] - 1, num_nodes, edge_fields)
    node_fields, node_names = _node_fields(ds, num_nodes, attributes)
    label, class_names = _graph_labels(ds, len(counts))
    collated = Collated.from_edges(src, dst, torch.from_numpy(counts), node_fields, edge_fields, {"label": label})
    if "feat" not in node_fields:
        stand_in_features(collated, features)
    report["isolated_nodes"] = num_nodes - len(torch.unique(dst))
    names = {"class": class_names, "relation": relations, "node_label": node_names}
    for kind, known in NAMES.get(found[0].rstrip("_"), {}).items():
        names[kind] = [known.get(value, value) for value in names[kind]]
    splits = {folds: published_folds(files, folds, len(counts))} if folds else {}
    return Raw(collated, splits, {key: value for key, value in names.items() if value}, report)


class _Folder:
    """The files of one set, by the part of their name that follows ``DS_``."""

    def __init__(self, files: Files, prefix: str) -> None:
        self.files, self.prefix = files, prefix

    def name(self, part: str) -> str:
        return f"{self.prefix}{part}.txt"

    def label(self, part: str) -> str:
        return self.files.label(self.name(part))

    def has(self, part: str) -> bool:
        return self.files.has(self.name(part))

    def table(self, part: str, columns: int | None = None, rows: int | None = None, whole: bool = True) -> np.ndarray:
        reading = tables.integers if whole else tables.numbers
        values = reading(self.files.read(self.name(part)), self.label(part), columns)
        if rows is not None and len(values) != rows:
            label = self.label(part)
            raise DataError(f"{label} has {len(values)} lines where {rows} were expected; it may be truncated")
        return values


def _counts(ds: _Folder) -> np.ndarray:
    """Return how many nodes each graph has, from an indicator that counts 1, 1, ..., 2, 2, ... without a gap."""
    owner = ds.table("graph_indicator", 1)[:, 0]
    if not len(owner):
        raise DataError(f"{ds.label('graph_indicator')} is empty")
    step = np.diff(owner, prepend=1)
    wrong = np.flatnonzero((step < 0) | (step > 1))
    if owner[0] != 1 or len(wrong):
        line = int(wrong[0]) + 1 if len(wrong) else 1
        before = int(owner[line - 2]) if line > 1 else 0
        raise DataError(
            f"{ds.label('graph_indicator')}, line {line}: graph id {int(owner[line - 1])} follows {before}; "
            "expected ids from 1 that neither skip nor go back"
        )
    return np.bincount(owner)[1:].astype(np.int64)


def _check_edges(ds: _Folder, edges: np.ndarray, counts: np.ndarray) -> None:
    total = int(counts.sum())
    wrong = np.flatnonzero(((edges < 1) | (edges > total)).any(axis=1))
    if len(wrong):
        line = int(wrong[0])
        raise DataError(
            f"{ds.label('A')}, line {line + 1}: nodes {edges[line].tolist()}; expected ids from 1 to {total}"
        )
    owner = np.repeat(np.arange(1, len(counts) + 1), counts)
    apart = np.flatnonzero(owner[edges[:, 0] - 1] != owner[edges[:, 1] - 1])
    if len(apart):
        u, v = edges[apart[0]]
        raise DataError(
            f"{ds.label('A')}, line {int(apart[0]) + 1}: nodes {u} and {v} belong to the graphs {owner[u - 1]} and "
            f"{owner[v - 1]}; expected edges inside graphs"
        )


def _one_hot_columns(values: np.ndarray) -> tuple[Tensor, Tensor, list[str]]:
    """Return one-hot codes of each column side by side, the first column's codes, and its values."""
    coded = [integer_codes(column) for column in values.T]
    return torch.cat([one_hot(codes, len(names)) for codes, names in coded], dim=1), *coded[0]


def _edge_fields(ds: _Folder, rows: int) -> tuple[dict[str, Tensor], list[str]]:
    fields: dict[str, Tensor] = {}
    relations: list[str] = []
    parts = []
    if ds.has("edge_labels"):
        values = ds.table("edge_labels", rows=rows)
        feat, codes, relations = _one_hot_columns(values)
        parts.append(feat)
        if values.shape[1] == 1:
            fields["etype"] = codes
        else:
            relations = []
    if ds.has("edge_attributes"):
        parts.append(torch.from_numpy(ds.table("edge_attributes", rows=rows, whole=False).astype(np.float32)))
    if parts:
        fields["feat"] = torch.cat(parts, dim=1)
    return fields, relations


def _node_fields(ds: _Folder, rows: int, attributes: bool) -> tuple[dict[str, Tensor], list[str]]:
    fields: dict[str, Tensor] = {}
    names: list[str] = []
    if ds.has("node_labels"):
        fields["feat"], _, names = _one_hot_columns(ds.table("node_labels", rows=rows))
    if ds.has("node_attributes"):
        fields["attr"] = torch.from_numpy(ds.table("node_attributes", rows=rows, whole=False).astype(np.float32))
        if "feat" not in fields:
            fields["feat"] = fields["attr"]
        elif attributes:
            fields["feat"] = torch.cat([fields["feat"], fields["attr"]], dim=1)
    return fields, names


def _graph_labels(ds: _Folder, rows: int) -> tuple[Tensor, list[str]]:
    if ds.has("graph_labels"):
        return integer_codes(ds.table("graph_labels", 1, rows)[:, 0])
    if ds.has("graph_attributes"):
        return torch.from_numpy(ds.table("graph_attributes", rows=rows, whole=False).astype(np.float32)), []
    raise DataError(f"{ds.label('graph_labels')} is missing, and so is {ds.name('graph_attributes')}")
