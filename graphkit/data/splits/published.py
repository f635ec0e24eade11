"""Folds that comparisons published for sets of TUDataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.data.splits.rows import Parts, take_fold

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset


def _fold(data: Dataset, name: str, fold: int) -> Parts:
    if name not in data.published:
        raise GraphKitError(
            f"{data.name} came without the folds {name!r}; where it has them, load it with split={name!r}"
        )
    return dict(take_fold(data, data.published[name], fold, name))


@register("fair-comparison", kind="split", level="graph", reader_options={"folds": "fair-comparison"})
def fair_comparison(data: Dataset, seed: int = 0, *, fold: int = 0) -> Parts:
    """Take one of ten outer folds of the fair comparison, with its inner hold-out of 10 % (arXiv 1912.09893).

    For the social sets these are the folds that went with degrees as features.

    Raises
    ------
    GraphKitError
        If there are none for this dataset, or there is no such fold.
    """
    return _fold(data, "fair-comparison", fold)


@register("fair-comparison-constant", kind="split", level="graph", reader_options={"folds": "fair-comparison-constant"})
def fair_comparison_constant(data: Dataset, seed: int = 0, *, fold: int = 0) -> Parts:
    """Take one of the fair comparison's folds that went with constant features (IMDB only; other folds than above).

    Raises
    ------
    GraphKitError
        If there are none for this dataset, or there is no such fold.
    """
    return _fold(data, "fair-comparison-constant", fold)


@register("benchmarking-gnns", kind="split", level="graph", reader_options={"folds": "benchmarking-gnns"})
def benchmarking_gnns(data: Dataset, seed: int = 0, *, fold: int = 0) -> Parts:
    """Take one of the ten folds of Benchmarking Graph Neural Networks (arXiv 2003.00982): 80, 10 and 10 %.

    Raises
    ------
    GraphKitError
        If there are none for this dataset, or there is no such fold.
    """
    return _fold(data, "benchmarking-gnns", fold)
