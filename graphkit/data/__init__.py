"""Datasets: cards and catalog, checked raw files, one reader per raw format, splits, and the Dataset they make."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graphkit.data.cards import Card, card, names

if TYPE_CHECKING:
    from graphkit.data.auditing import Audit, audit
    from graphkit.data.collated import Collated
    from graphkit.data.cut import CutDataset, write_parts
    from graphkit.data.dataset import Dataset
    from graphkit.data.disk import DiskDataset, to_disk, write_disk
    from graphkit.data.features import FeatureStore
    from graphkit.data.loading import from_files, load
    from graphkit.data.molecules import from_smiles
    from graphkit.data.relation_paths import relation_paths
    from graphkit.data.splits import LinkSplit, TripleSplit

__all__ = [
    "Audit",
    "Card",
    "Collated",
    "CutDataset",
    "Dataset",
    "DiskDataset",
    "FeatureStore",
    "LinkSplit",
    "TripleSplit",
    "audit",
    "card",
    "from_files",
    "from_smiles",
    "generate",
    "load",
    "names",
    "relation_paths",
    "splits",
    "to_disk",
    "write_disk",
    "write_parts",
]

#: What needs torch is imported when it is asked for, so that the catalog answers at once.
_LAZY = {
    "Audit": "graphkit.data.auditing",
    "audit": "graphkit.data.auditing",
    "Collated": "graphkit.data.collated",
    "DiskDataset": "graphkit.data.disk",
    "FeatureStore": "graphkit.data.features",
    "to_disk": "graphkit.data.disk",
    "write_disk": "graphkit.data.disk",
    "CutDataset": "graphkit.data.cut",
    "write_parts": "graphkit.data.cut",
    "Dataset": "graphkit.data.dataset",
    "LinkSplit": "graphkit.data.splits",
    "TripleSplit": "graphkit.data.splits",
    "from_files": "graphkit.data.loading",
    "from_smiles": "graphkit.data.molecules",
    "load": "graphkit.data.loading",
    "relation_paths": "graphkit.data.relation_paths",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name]), name)
    elif name in ("generate", "splits"):
        value = importlib.import_module(f"graphkit.data.{name}")
    else:
        raise AttributeError(f"module 'graphkit.data' has no attribute {name!r}")
    globals()[name] = value
    return value
