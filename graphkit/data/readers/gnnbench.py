"""Sparse graphs in one npz, as gnn-benchmark and Graph2Gauss distribute them (arXiv 1811.05868)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files
from graphkit.data.unpickle import load_npz


@register(
    "gnn-benchmark-npz",
    kind="reader",
    level="node link",
    title="Pitfalls of Graph Neural Network Evaluation",
    arxiv="1811.05868",
)
def read_gnn_benchmark(files: Files, *, directed: bool = False, largest_component: bool = False) -> Raw:
    """Read adjacency, features and labels that one npz holds in the parts of CSR matrices.

    Keys are ``adj_data`` and so on or, in the older form, ``adj_matrix.data``. The adjacency is as crawled: both
    directions are stored unless ``directed``; self-loops are dropped, weights ignored.

    Parameters
    ----------
    files : Files
    directed : bool
    largest_component : bool
        Keep the largest weakly connected component only, as many published tables do.

    Returns
    -------
    Raw
        ``feat`` float32 ``[N, D]`` as in the file, ``label`` int64 ``[N]``.

    Raises
    ------
    DataError
        If the archive is truncated, a part is missing or parts contradict each other.
    UnsafeFileError
        If an object array names anything off the allow-list.
    """
    import scipy.sparse

    found = [name for name in files.names() if name.endswith(".npz")]
    if len(found) != 1:
        raise DataError(f"expected one .npz file among the raw files, found {len(found)}")
    name = files.label(found[0])
    arrays = load_npz(files.read(found[0]), name)
    adjacency, attributes = _matrix(arrays, "adj", name), _matrix(arrays, "attr", name)
    label = np.asarray(arrays.get("labels", ()))
    total = adjacency.shape[0]
    if adjacency.shape[1] != total or attributes.shape[0] != total or label.shape != (total,):
        raise DataError(
            f"{name}: adjacency {adjacency.shape}, features {attributes.shape} and labels {label.shape} do not "
            "describe the same nodes"
        )
    if largest_component:
        _, owner = scipy.sparse.csgraph.connected_components(adjacency, directed=True, connection="weak")
        keep = np.flatnonzero(owner == np.bincount(owner).argmax())
        adjacency, attributes, label, total = adjacency[keep][:, keep], attributes[keep], label[keep], len(keep)
    entries = scipy.sparse.coo_array(adjacency)
    src, dst, edge_fields, report = tidy(entries.row, entries.col, total, directed=directed)
    report["isolated_nodes"] = total - len(torch.unique(torch.cat([src, dst])))
    node_fields = {
        "feat": torch.from_numpy(attributes.astype(np.float32).toarray()),
        "label": torch.from_numpy(label.astype(np.int64)),
    }
    collated = Collated.from_edges(src, dst, torch.tensor([total]), node_fields, edge_fields)
    return Raw(collated, {}, {"class": _class_names(arrays, label)}, report, not directed)


def _class_names(arrays: dict[str, Any], label: np.ndarray) -> list[str]:
    """Return the classes' names where the file gives one for each, else their numbers."""
    count = int(label.max()) + 1 if len(label) else 0
    given = np.asarray(arrays.get("class_names", ()))
    return [str(x) for x in (given if given.shape == (count,) else range(count))]


def _matrix(arrays: dict[str, Any], part: str, name: str) -> Any:
    """Return the CSR matrix ``part`` after checking that its parts fit, so that no index leaves it."""
    import scipy.sparse

    keys = ("data", "indices", "indptr", "shape")
    prefix = next((p for p in (f"{part}_", f"{part}_matrix.") if f"{p}indptr" in arrays), f"{part}_")
    for key in keys:
        if f"{prefix}{key}" not in arrays:
            raise DataError(f"{name} has no array {prefix + key!r}; it has {', '.join(sorted(arrays)) or 'none'}")
    data, indices, indptr, shape = (np.asarray(arrays[f"{prefix}{key}"]) for key in keys)
    rows, columns = (int(size) for size in shape)
    if (
        len(indptr) != rows + 1
        or indptr[0] != 0
        or (np.diff(indptr) < 0).any()
        or indptr[-1] != len(indices)
        or len(indices) != len(data)
        or (len(indices) and (indices.min() < 0 or indices.max() >= columns))
    ):
        raise DataError(f"{name}: the parts of {prefix.rstrip('_.')} contradict each other; it may be truncated")
    if not np.isfinite(data).all():
        raise DataError(f"{name}: {prefix}data holds NaN or infinity")
    return scipy.sparse.csr_array((data, indices, indptr), shape=(rows, columns))
