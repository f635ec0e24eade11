"""Splits of molecules by their scaffold, so that no skeleton is in two parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.data.splits.rows import PARTS, _shares

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset


@register("scaffold", kind="split", level="graph", title="MoleculeNet", arxiv="1703.00564")
def scaffold(data: Dataset, seed: int = 0, *, ratio: Sequence[float] = (0.8, 0.1, 0.1)) -> dict[str, Tensor]:
    """Split molecules by Bemis-Murcko scaffold: largest groups first into train, then validation, then test.

    Deterministic, as in MoleculeNet: groups of one size go in the order of their first molecule, the last one first.
    (The other way round BBBP, a file that begins with molecules of one class, has that class alone in its test part.)

    Parameters
    ----------
    data : Dataset
        With ``names["smiles"]`` (or ``names["scaffold"]``, computed before).
    seed : int
        Not used: there is nothing to draw.
    ratio : three floats

    Raises
    ------
    GraphKitError
        If the dataset has no SMILES.
    MissingExtraError
        If RDKit is not installed.
    """
    share = _shares(ratio)
    groups, smiles = data.names.get("scaffold"), data.names.get("smiles")
    if groups is None and smiles is None:
        raise GraphKitError(f"the split 'scaffold' needs SMILES, which {data.name} does not have")
    parts = group_cut(groups or [_scaffold(text) for text in smiles or ()], share)
    return dict(zip(PARTS, (torch.from_numpy(part) for part in parts), strict=True))


def _scaffold(smiles: str) -> str:
    from graphkit.graphs.molecule import scaffold as scaffold_of

    return scaffold_of(smiles)


def group_cut(groups: Sequence[str], share: Sequence[float]) -> list[np.ndarray]:
    """Fill train, then val, then test with whole groups, the largest first.

    >>> [part.tolist() for part in group_cut(["a", "b", "a", "c"], (0.5, 0.25, 0.25))]
    [[0, 2], [3], [1]]
    """
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    limit_train, limit_val = share[0] * len(groups), (share[0] + share[1]) * len(groups)
    parts: list[list[int]] = [[], [], []]
    for rows in sorted(members.values(), key=lambda rows: (len(rows), rows[0]), reverse=True):
        if len(parts[0]) + len(rows) <= limit_train:
            parts[0] += rows
        elif len(parts[0]) + len(parts[1]) + len(rows) <= limit_val:
            parts[1] += rows
        else:
            parts[2] += rows
    return [np.array(sorted(part), dtype=np.int64) for part in parts]
