"""A split of pairs of drugs that tests on drugs which training has not seen."""

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


@register(
    "unseen-drugs",
    kind="split",
    level="graph",
    title="Emerging Drug Interaction Prediction Enabled by Flow-based Graph Neural Network with Biomedical Network",
    arxiv="2311.09261",
)
def unseen_drugs(data: Dataset, seed: int = 0, *, new: int = 1, ratio: Sequence[float] = (0.7, 0.1, 0.2)) -> Parts:
    """Divide the drugs at random by ``ratio``; a pair is tested if one of its drugs is new, or both are.

    Training takes pairs of two training drugs. With ``new=1`` (setting S1) validation and testing take pairs of a
    training drug and one of their own drugs, with ``new=2`` (setting S2) pairs of two of their own. All other pairs
    belong to no part.

    Parameters
    ----------
    data : Dataset
        Pairs of drugs, with the graph field ``drug`` int64 ``[B, 2]``.
    seed : int
    new : int
        How many drugs of a tested pair are new: 1 or 2.
    ratio : three floats
        Shares of the drugs, adding up to 1.

    Returns
    -------
    dict of str to Tensor
        int64 ids of pairs.

    Raises
    ------
    GraphKitError
        If the dataset holds no pairs of drugs, ``new`` is neither 1 nor 2, or a part would be empty.
    """
    if new not in (1, 2):
        raise GraphKitError(f"new={new!r}; expected 1 (one drug of a tested pair is new) or 2 (both are)")
    drug = data.collated.graph_fields.get("drug")
    if drug is None:
        raise GraphKitError(f"the split 'unseen-drugs' needs pairs of drugs, which {data.name} does not hold")
    drugs, codes = np.unique(drug.numpy(), return_inverse=True)
    owner = np.empty(len(drugs), dtype=np.int64)
    order = numpy_generator(seed, "split", "unseen-drugs").permutation(len(drugs))
    for part, held in enumerate(cut(order, ratio)):
        owner[held] = part
    low, high = np.sort(owner[codes.reshape(-1, 2)], axis=1).T
    made = {"train": high == 0}
    for part, name in enumerate(PARTS[1:], 1):
        made[name] = (high == part) & (low == (0 if new == 1 else part))
    empty = [name for name, share in zip(PARTS, ratio, strict=True) if share and not made[name].any()]
    if empty:
        raise GraphKitError(
            f"{data.name} has {len(drug)} pairs of {len(drugs)} drugs, too few for the shares {tuple(ratio)} of drugs: "
            f"{empty[0]} would be empty"
        )
    return {name: torch.from_numpy(np.flatnonzero(here)) for name, here in made.items()}
