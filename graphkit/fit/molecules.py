"""New molecules for a run that was trained on others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    from graphkit.data import Dataset


def molecules_like(data: Dataset, smiles: str | Sequence[str]) -> Dataset:
    """Return molecules with the features, and the transforms, of those that a run was trained on.

    Parameters
    ----------
    data : Dataset
        What the run was trained on.
    smiles : str or sequence of str

    Returns
    -------
    Dataset
        Without labels; its one part, ``test``, holds all molecules.

    Raises
    ------
    GraphKitError
        If the run was not trained on molecules that were read from SMILES. DataError if one does not parse.
    """
    from graphkit.data.collated import Collated
    from graphkit.data.dataset import Dataset as Made
    from graphkit.data.raw import Raw
    from graphkit.graphs.molecule import smiles_to_collated

    texts = [smiles] if isinstance(smiles, str) else list(smiles)
    if data.task != "graph" or not data.names.get("smiles"):
        raise GraphKitError(
            f"{data.name} holds no molecules that were read from SMILES; name graphs of it by their ids"
        )
    made = smiles_to_collated(texts, places=[f"molecule {i}" for i in range(len(texts))])
    collated = Collated(made.node_offsets, made.edge_offsets, made.src, made.dst, made.node_fields, made.edge_fields)
    here = torch.arange(len(texts))
    found = Made(
        Raw(collated, names={**data.names, "smiles": texts, "scaffold": []}),
        data.card,
        "graph",
        {"train": torch.empty(0, dtype=torch.int64), "val": torch.empty(0, dtype=torch.int64), "test": here},
    )
    for transform in data._transforms:
        found = found.transform(transform)
    return found
