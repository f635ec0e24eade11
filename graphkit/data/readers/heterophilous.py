"""The heterophilous graphs of Yandex Research, one npz each (arXiv 2302.11640)."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files
from graphkit.data.unpickle import load_npz

ARRAYS = ("node_features", "node_labels", "edges", "train_masks", "val_masks", "test_masks")


@register(
    "heterophilous-npz",
    kind="reader",
    level="node link",
    title="A critical look at the evaluation of GNNs under heterophily: are we really making progress?",
    arxiv="2302.11640",
)
def read_heterophilous(files: Files, *, directed: bool = False) -> Raw:
    """Read a graph with features, labels and ten splits from one npz.

    Parameters
    ----------
    files : Files
        ``NAME.npz`` and, where there is one, ``NAME_directed.npz``.
    directed : bool
        Read ``NAME_directed.npz`` and keep the direction of its edges; self-loops are dropped either way.

    Returns
    -------
    Raw
        ``feat`` float32 ``[N, D]``, ``label`` int64 ``[N]``, the published ``folds`` with validation parts.

    Raises
    ------
    DataError
        If an array is missing, has the wrong shape or an id out of range.
    """
    found = [name for name in files.names() if name.endswith(".npz") and name.endswith("_directed.npz") == directed]
    if len(found) != 1:
        raise DataError(f"expected one file NAME{'_directed' * directed}.npz among the raw files, found {len(found)}")
    label = files.label(found[0])
    arrays = load_npz(files.read(found[0]), label)
    for name in ARRAYS:
        if name not in arrays:
            raise DataError(f"{label} has no array {name!r}; it has {', '.join(sorted(arrays)) or 'none'}")
    feat, classes, edges = (np.asarray(arrays[name]) for name in ARRAYS[:3])
    total = len(classes)
    masks = [np.asarray(arrays[name]) for name in ARRAYS[3:]]
    sizes = {name: np.shape(arrays[name]) for name in ARRAYS}
    if (
        feat.ndim != 2
        or classes.ndim != 1
        or edges.ndim != 2
        or edges.shape[1] != 2
        or len(feat) != total
        or any(mask.ndim != 2 or mask.shape[1] != total for mask in masks)
        or len({len(mask) for mask in masks}) != 1
    ):
        shown = ", ".join(f"{name} {shape}" for name, shape in sizes.items())
        raise DataError(f"{label}: its arrays contradict each other: {shown}")
    if not np.isfinite(feat).all():
        raise DataError(f"{label}: node_features holds NaN or infinity")
    src, dst, edge_fields, report = tidy(edges[:, 0], edges[:, 1], total, directed=directed)
    node_fields = {
        "feat": torch.from_numpy(feat.astype(np.float32)),
        "label": torch.from_numpy(classes.astype(np.int64)),
    }
    collated = Collated.from_edges(src, dst, torch.tensor([total]), node_fields, edge_fields)
    folds = [
        {part: torch.from_numpy(mask[k].astype(bool).nonzero()[0]) for part, mask in zip(_PARTS, masks, strict=True)}
        for k in range(len(masks[0]))
    ]
    names = {"class": [str(c) for c in range(int(classes.max()) + 1)]} if total else {}
    return Raw(collated, {"folds": folds}, names, report, not directed)


_PARTS = ("train", "val", "test")
