"""Planetoid's eight files ``ind.NAME.*`` (Yang, Cohen, Salakhutdinov, arXiv 1603.08861)."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.readers.geom import mask_folds
from graphkit.data.store import Files
from graphkit.data.unpickle import loads

PICKLES = ("x", "y", "tx", "ty", "allx", "ally", "graph")


@register(
    "planetoid",
    kind="reader",
    level="node link",
    title="Revisiting Semi-Supervised Learning with Graph Embeddings",
    arxiv="1603.08861",
)
def read_planetoid(files: Files, *, num_val: int = 500, geom_gcn: bool = False, row_normalize: bool = True) -> Raw:
    """Read Cora, CiteSeer or PubMed in Planetoid's form.

    Rows of ``tx`` follow ``test.index``; ids of the test range that are absent there become isolated nodes with zero
    features and label -1. Repeated entries and self-loops of the adjacency lists are dropped and counted.

    Parameters
    ----------
    files : Files
    num_val : int
        The public split validates on the nodes that follow the training nodes.
    geom_gcn : bool
        Read the ten splits of Geom-GCN too (``split="geom-gcn"`` sets it).
    row_normalize : bool
        Divide each node's features by their sum, as GCN and its successors do; False keeps the numbers of the files.

    Returns
    -------
    Raw
        With ``feat`` float32 ``[N, D]``, ``label`` int64 ``[N]``, the split ``public`` and, if
        asked for, the ten splits ``geom-gcn``.

    Raises
    ------
    DataError
        If a file is missing or truncated, or the blocks' sizes contradict each other.
    UnsafeFileError
        If a pickle names anything but numpy, scipy and containers.
    """
    prefix = _prefix(files)
    part = {name: loads(files.read(f"{prefix}{name}"), files.label(f"{prefix}{name}")) for name in PICKLES}
    index_name = f"{prefix}test.index"
    listed = files.read(index_name)
    test = tables.integers(listed, files.label(index_name), columns=1)[:, 0]
    _check(part, test, files.label(f"{prefix}allx"))
    _check_index(part, test, listed, files.label(index_name))

    known, num_nodes = part["allx"].shape[0], int(test.max()) + 1
    feat = np.zeros((num_nodes, part["allx"].shape[1]), dtype=np.float32)
    feat[:known], feat[test] = part["allx"].toarray(), part["tx"].toarray()
    if row_normalize:
        feat /= np.maximum(np.abs(feat).sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    label = np.full(num_nodes, -1, dtype=np.int64)
    label[:known], label[test] = _classes(part["ally"]), _classes(part["ty"])

    src, dst = _ends(part["graph"])
    source, target, edge_fields, report = tidy(src, dst, num_nodes)
    report["isolated_without_label"] = int((label == -1).sum())

    train = len(part["y"])
    public = {
        "train": torch.arange(train),
        "val": torch.arange(train, min(train + num_val, known)),
        "test": torch.from_numpy(np.sort(test)),
    }
    collated = Collated.from_edges(
        source,
        target,
        torch.tensor([num_nodes]),
        {"feat": torch.from_numpy(feat), "label": torch.from_numpy(label)},
        edge_fields,
    )
    splits = {"public": public, **(mask_folds(files, "geom-gcn-splits/", num_nodes) if geom_gcn else {})}
    return Raw(collated, splits, {"class": [str(c) for c in range(part["y"].shape[1])]}, report)


def _ends(lists: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return the two ends of every entry of adjacency lists, int64 ``[E]`` each."""
    none = np.empty(0, np.int64)
    src = np.concatenate([none, *(np.full(len(to), u, dtype=np.int64) for u, to in lists.items())])
    return src, np.concatenate([none, *(np.asarray(to, dtype=np.int64) for to in lists.values())])


def _prefix(files: Files) -> str:
    found = [name.removesuffix("allx") for name in files.names() if name.endswith(".allx") or name == "allx"]
    if len(found) != 1:
        raise DataError(f"expected one file ind.NAME.allx among the raw files, found {len(found)}")
    return found[0]


def _check(part: dict, test: np.ndarray, label: str) -> None:
    sizes = {name: part[name].shape for name in PICKLES[:-1] if hasattr(part[name], "shape")}
    ok = (
        len(sizes) == 6
        and isinstance(part["graph"], dict)
        and sizes["tx"][0] == sizes["ty"][0] == len(test)
        and sizes["allx"][0] == sizes["ally"][0]
        and sizes["x"][0] == sizes["y"][0] <= sizes["allx"][0]
        and sizes["allx"][1] == sizes["tx"][1]
        and len(test)
    )
    if not ok:
        shown = ", ".join(f"{name} {shape}" for name, shape in sizes.items())
        raise DataError(f"{label} and its sisters contradict each other: {shown}, {len(test)} test ids")


def _check_index(part: dict, test: np.ndarray, data: bytes, label: str) -> None:
    """Raise unless the test nodes follow the known ones, each once and none beyond the graph."""
    known = part["allx"].shape[0]
    total = 10 * (
        known + len(test)
    )  # nodes that are in no block are fine, but no memory is spent on a number gone wrong
    tables.check_range(test[:, None], total - known, data, label, first=known)
    again = np.setdiff1d(np.arange(len(test)), np.unique(test, return_index=True)[1])
    if len(again):
        raise tables.complain_row(data, label, again[0], f"the test node {test[again[0]]} repeats")


def _classes(block: np.ndarray) -> np.ndarray:
    """Return the class of each one-hot row, -1 for rows of zeros."""
    block = np.asarray(block)
    return np.where(block.any(axis=1), block.argmax(axis=1), -1)
