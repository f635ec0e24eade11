"""Citation and blog graphs as attacks and defences use them, clean or perturbed beforehand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import scipy.sparse
import torch
from scipy.sparse.csgraph import connected_components

from graphkit.core.errors import DataError, unknown
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files
from graphkit.data.unpickle import load_npz

META = ("0.05", "0.1", "0.15", "0.2", "0.25")
NETTACK = ("1.0", "2.0", "3.0", "4.0", "5.0")
PARTS = {"train": "idx_train", "val": "idx_val", "test": "idx_test"}


@register(
    "attack-npz",
    kind="reader",
    level="node",
    title="Graph Structure Learning for Robust Graph Neural Networks",
    arxiv="2005.10203",
    keep=True,
)
def read_attacked(
    files: Files, *, base: str, attack: str = "none", budget: float | str = 0, features: bool = True
) -> Raw:
    """Read a graph's largest component, clean or as Pro-GNN published it after an attack, with Pro-GNN's split.

    The clean adjacency is made symmetric, loses its self-loops, and is cut to its largest component.

    Parameters
    ----------
    files : Files
        ``{base}.npz`` (CSR parts of adjacency and attributes, labels), ``{base}_prognn_splits.json``, and for an attack
        ``meta/{base}_meta_adj_{rate}.npz`` or ``nettack/{base}_nettack_adj_{changes}.npz`` with
        ``nettack/{base}_nettacked_nodes.json``.
    base : str
        ``cora``, ``citeseer``, ``cora_ml``, ``polblogs``.
    attack : str
        ``none``, ``meta`` (Metattack, global) or ``nettack`` (targeted).
    budget : float or str
        For ``meta`` the share of changed edges, 0.05 to 0.25; for ``nettack`` the changes per target, 1 to 5.
    features : bool
        False, or attributes that are not there (polblogs), gives each node a feature of its own, the identity.

    Returns
    -------
    Raw
        ``feat``, ``label``, the split ``public``, edge field ``clean`` (bool: the edge is in the clean graph), node
        field ``target`` (bool: attacked one by one); ``report["added"]`` and ``report["removed"]`` count undirected
        edges.

    Raises
    ------
    DataError
        If a file is truncated, or adjacency, labels and split contradict each other.
    GraphKitError
        If there is no such attack or budget.
    """
    rate = _rate(attack, budget)
    label = files.label(f"{base}.npz")
    held = load_npz(files.read(f"{base}.npz"), label)
    adjacency = _matrix(held, "adj_", label)
    clean, kept = _largest(adjacency)
    changed = clean
    if attack != "none":
        file = f"{attack}/{base}_{attack}_adj_{rate}.npz"
        changed = _matrix(load_npz(files.read(file), files.label(file)), "", files.label(file))
        changed = ((changed + changed.T) > 0).astype(np.int8).tocsr()
        if changed.shape != clean.shape:
            raise DataError(f"{files.label(file)} has {changed.shape[0]} nodes where {clean.shape[0]} were expected")
    found = changed.tocoo()
    same = np.asarray(clean[found.row, found.col]).reshape(-1) > 0
    src, dst, fields, report = tidy(found.row, found.col, len(kept), {"clean": same})
    n, split = len(kept), _split(files, base, len(kept))
    node_fields = {
        "feat": _features(held, kept, features, label),
        "label": torch.from_numpy(np.asarray(held["labels"]).astype(np.int64)[kept]),
        "target": _targets(files, base, n),
    }
    report |= {
        "added": int((~fields["clean"]).sum()) // 2,
        "removed": (clean.nnz - int(fields["clean"].sum())) // 2,
        "outside_largest_component": adjacency.shape[0] - n,
    }
    collated = Collated.from_edges(src, dst, torch.tensor([n]), node_fields, fields)
    classes = int(node_fields["label"].max()) + 1
    return Raw(collated, {"public": split}, {"class": [str(c) for c in range(classes)]}, report)


def _rate(attack: str, budget: float | str) -> str:
    if attack == "none":
        return ""
    if attack not in ("meta", "nettack"):
        raise unknown("attack", attack, ["none", "meta", "nettack"])
    choices = META if attack == "meta" else NETTACK
    by_value = {float(choice): choice for choice in choices}
    try:
        return by_value[float(budget)]
    except (KeyError, ValueError):
        raise unknown(f"budget of {attack}", str(budget), choices) from None


def _matrix(held: dict[str, Any], prefix: str, label: str) -> scipy.sparse.csr_matrix:
    """Return the CSR matrix whose parts carry ``prefix``."""
    try:
        parts = tuple(held[f"{prefix}{part}"] for part in ("data", "indices", "indptr"))
        shape = tuple(int(size) for size in held[f"{prefix}shape"])
        matrix = scipy.sparse.csr_matrix(parts, shape=shape)
        matrix.check_format()
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{label} does not hold a CSR matrix ({type(error).__name__}: {error})") from error
    return matrix


def _largest(adjacency: scipy.sparse.csr_matrix) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Return the symmetric 0/1 adjacency of the largest component, and the ids that it keeps."""
    both = ((adjacency + adjacency.T) > 0).astype(np.int8).tolil()
    both.setdiag(0)
    plain = both.tocsr()
    plain.eliminate_zeros()
    _, owner = connected_components(plain, directed=False)
    kept = np.flatnonzero(owner == np.bincount(owner).argmax())
    return plain[kept][:, kept].tocsr(), kept


def _features(held: dict[str, Any], kept: np.ndarray, features: bool, label: str) -> torch.Tensor:
    if not features or "attr_data" not in held:
        return torch.eye(len(kept))
    matrix = _matrix(held, "attr_", label)[kept]
    return torch.from_numpy(matrix.toarray().astype(np.float32))


def _json(files: Files, name: str) -> dict[str, Any]:
    try:
        document = json.loads(files.read(name))
    except ValueError as error:
        raise DataError(f"{files.label(name)} is truncated or not JSON ({error})") from error
    if not isinstance(document, dict):
        raise DataError(f"{files.label(name)} holds no mapping of names to ids")
    return document


def _ids(document: dict[str, Any], key: str, n: int, label: str) -> np.ndarray:
    try:
        ids = np.array(document[key], dtype=np.int64).reshape(-1)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{label} holds no ids {key!r} ({type(error).__name__})") from error
    if len(ids) and (ids.min() < 0 or ids.max() >= n):
        raise DataError(f"{label} names node {int(ids.max())} in {key!r}; expected ids from 0 to {n - 1}")
    return ids


def _split(files: Files, base: str, n: int) -> dict[str, torch.Tensor]:
    file = f"{base}_prognn_splits.json"
    file = file if files.has(file) else f"splits/{file}"
    document = _json(files, file)
    return {part: torch.from_numpy(_ids(document, key, n, files.label(file))) for part, key in PARTS.items()}


def _targets(files: Files, base: str, n: int) -> torch.Tensor:
    marked = torch.zeros(n, dtype=torch.bool)
    file = f"nettack/{base}_nettacked_nodes.json"
    if files.has(file):
        marked[torch.from_numpy(_ids(_json(files, file), "attacked_test_nodes", n, files.label(file)))] = True
    return marked
