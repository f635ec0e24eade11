"""A split that keeps pairs of graphs together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.splits.rows import PARTS, Parts, cut

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset


@register("paired", kind="split", level="graph")
def paired(data: Dataset, seed: int = 0, *, ratio: Sequence[float] = (0.8, 0.1, 0.1)) -> Parts:
    """Split the pairs of graphs 2i and 2i + 1 at random by ``ratio``, both of a pair in the same part.

    For sets such as EXP, whose pairs differ in one bit: a model that has seen one half of a pair has half seen the
    other.

    Parameters
    ----------
    data : Dataset
    seed : int
    ratio : three floats
        Adding up to 1.

    Raises
    ------
    GraphKitError
        If the number of graphs is odd, or the ratio does not add up.
    """
    total = data.num_rows
    if total % 2:
        raise GraphKitError(f"{data.name} has {total} graphs; pairs need an even number")
    order = numpy_generator(seed, "split", "paired").permutation(total // 2)
    parts = (np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1) for pairs in cut(order, ratio))
    return dict(zip(PARTS, (torch.from_numpy(part) for part in parts), strict=True))
