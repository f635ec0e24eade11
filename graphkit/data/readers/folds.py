"""Published folds of sets of graphs: index files of the Benchmarking suite, JSON of the fair comparison."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError
from graphkit.data import tables
from graphkit.data.store import Files

PARTS = ("train", "val", "test")


def published_folds(files: Files, name: str, total: int) -> list[dict[str, Tensor]]:
    """Read the folds ``folds/{name}.json``, or ``folds/{name}_train.index`` and its sisters.

    Parameters
    ----------
    files : Files
    name : str
        Such as ``fair-comparison`` or ``benchmarking-gnns``.
    total : int
        How many graphs there are.

    Returns
    -------
    list of dict
        ``train``, ``val``, ``test`` of each fold, int64.

    Raises
    ------
    DataError
        If neither is there, or one is not sound.
    """
    if files.has(f"folds/{name}.json"):
        return json_folds(files, f"folds/{name}.json", total)
    if files.has(f"folds/{name}_train.index"):
        return index_folds(files, f"folds/{name}", total)
    raise DataError(f"no folds {name!r} were published for this set: {files.label(f'folds/{name}.json')} is missing")


def index_folds(files: Files, prefix: str, total: int) -> list[dict[str, Tensor]]:
    """Read ``{prefix}_train.index``, ``_val.index`` and ``_test.index``: one fold a line, ids from 0 between commas.

    Parameters
    ----------
    files : Files
    prefix : str
    total : int
        How many graphs there are.

    Returns
    -------
    list of dict
        ``train``, ``val``, ``test`` of each fold, int64.

    Raises
    ------
    DataError
        Naming file and line: ids that are no numbers, out of range or in two parts, files of unequal length.
    """
    rows = {part: _index_rows(files, f"{prefix}_{part}.index", total) for part in PARTS}
    label = files.label(f"{prefix}_train.index")
    if len({len(found) for found in rows.values()}) != 1:
        counts = ", ".join(f"{len(found)} in {part}" for part, found in rows.items())
        raise DataError(f"{label} and its sisters have unequal numbers of folds: {counts}")
    folds = [dict(zip(PARTS, parts, strict=True)) for parts in zip(*rows.values(), strict=True)]
    return [_checked(fold, k, label, total) for k, fold in enumerate(folds)]


def _index_rows(files: Files, name: str, total: int) -> list[np.ndarray]:
    found = []
    for number, line in tables.lines(files.read(name)):
        try:
            ids = np.array([int(cell) for cell in line.split(",") if cell.strip()], dtype=np.int64)
        except ValueError:
            raise DataError(f"{files.label(name)}, line {number}: expected whole numbers between commas") from None
        wrong = ids[(ids < 0) | (ids >= total)]
        if len(wrong):
            raise DataError(
                f"{files.label(name)}, line {number}: graph {int(wrong[0])}; expected ids from 0 to {total - 1}"
            )
        found.append(ids)
    return found


def json_folds(files: Files, name: str, total: int) -> list[dict[str, Tensor]]:
    """Read a list of ``{"test": ids, "model_selection": [{"train": ids, "validation": ids}]}``, one for each fold.

    Parameters
    ----------
    files : Files
    name : str
    total : int
        How many graphs there are.

    Returns
    -------
    list of dict
        ``train``, ``val``, ``test`` of each fold, int64.

    Raises
    ------
    DataError
        If it is no such list, or the ids of a fold repeat, leave the range or miss graphs.

    References
    ----------
    Errica et al., "A Fair Comparison of Graph Neural Networks for Graph Classification", arXiv:1912.09893.
    """
    label = files.label(name)
    try:
        document: Any = json.loads(files.read(name))
        folds = [
            {
                "train": np.array(fold["model_selection"][0]["train"], dtype=np.int64),
                "val": np.array(fold["model_selection"][0]["validation"], dtype=np.int64),
                "test": np.array(fold["test"], dtype=np.int64),
            }
            for fold in document
        ]
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise DataError(f"{label} is truncated or not a list of folds ({type(error).__name__}: {error})") from error
    return [_checked(fold, k, label, total) for k, fold in enumerate(folds)]


def _checked(fold: dict[str, np.ndarray], k: int, label: str, total: int) -> dict[str, Tensor]:
    every = np.concatenate(list(fold.values()))
    if len(every) and (every.min() < 0 or every.max() >= total):
        wrong = int(every[(every < 0) | (every >= total)][0])
        raise DataError(f"fold {k} of {label} names graph {wrong}; expected ids from 0 to {total - 1}")
    if len(np.unique(every)) != len(every):
        raise DataError(f"fold {k} of {label} repeats graphs of its own or of another part")
    return {part: torch.from_numpy(np.sort(ids)) for part, ids in fold.items()}
