"""A user's own molecules as a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from graphkit.data.cards import Card
from graphkit.data.collated import Collated
from graphkit.data.own import label_tensor
from graphkit.data.raw import Raw

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset


def from_smiles(
    smiles: Sequence[str],
    labels: Any = None,
    *,
    splits: str | Mapping[str, Any] = "random",
    seed: int = 0,
    on_error: str = "raise",
    targets: Sequence[str] = (),
    name: str = "molecules",
    **options: Any,
) -> Dataset:
    """Make a dataset of molecules and their labels, with the features of ``graphkit.graphs.molecule``.

    Parameters
    ----------
    smiles : sequence of str
    labels : array_like, optional
        One row for each molecule: int64 classes (-1 missing), or numbers ``[B]`` or ``[B, T]`` (NaN missing).
    splits : str or mapping
        ``"random"``, ``"scaffold"``, another protocol, or ids by part.
    seed : int
        Of the split.
    on_error : str
        ``"raise"``, or ``"skip"``: leave out what does not parse, and its label; the report lists it.
    targets : sequence of str
        Names of the labels' columns.
    name : str
    **options
        Of the protocol, such as ``ratio=(0.6, 0.2, 0.2)``.

    Returns
    -------
    Dataset
        With ``names["smiles"]`` and ``names["scaffold"]``.

    Raises
    ------
    DataError
        Naming the row and the SMILES that does not parse, and what RDKit says of it.
    GraphKitError
        If there is another number of labels than of molecules.
    MissingExtraError
        If RDKit is not installed.

    Examples
    --------
    >>> data = from_smiles(["CCO", "CCN", "CCC", "CCCl", "CC=O"], [0.2, 0.1, -1.0, -0.5, 0.3], ratio=(0.6, 0.2, 0.2))
    >>> len(data), data.num_classes, data.names["smiles"][0]
    (5, 1, 'CCO')
    """
    from graphkit.data.dataset import Dataset
    from graphkit.graphs.molecule import scaffold, smiles_to_collated

    texts = list(smiles)
    made = smiles_to_collated(texts, on_error)
    whole = {}
    if labels is not None:
        found = label_tensor(labels, len(texts), "molecules")[made.rows]
        whole["label"] = found.unsqueeze(1) if found.is_floating_point() and found.dim() == 1 else found
    collated = Collated(
        made.node_offsets, made.edge_offsets, made.src, made.dst, made.node_fields, made.edge_fields, whole
    )
    kept = [texts[row] for row in made.rows.tolist()]
    names = {"smiles": kept, "scaffold": [scaffold(text) for text in kept]}
    if targets:
        names["target"] = list(targets)
    report = {"rows": len(texts), "skipped": [[int(row), text] for row, text in made.skipped]}
    card = Card(name, name, "", ("graph",), directed=False, verified=False)
    return Dataset(Raw(collated, {}, names, report), card, "graph", splits, seed, options)


def molecules_like(data: Dataset, smiles: str | Sequence[str]) -> Dataset:
    """Return new molecules with the features, and the transforms, of those in ``data``.

    Parameters
    ----------
    data : Dataset
        Molecules that were read from SMILES.
    smiles : str or sequence of str

    Returns
    -------
    Dataset
        Without labels; its part ``test`` holds all molecules.

    Raises
    ------
    GraphKitError
        If ``data`` holds no molecules that were read from SMILES. DataError if one does not parse.

    Examples
    --------
    >>> data = from_smiles(["CCO", "CCN", "CCC"], [0.2, 0.1, -1.0], ratio=(0.34, 0.33, 0.33))
    >>> len(molecules_like(data, "CCCl").splits["test"])
    1
    """
    from graphkit.core.errors import GraphKitError

    texts = [smiles] if isinstance(smiles, str) else list(smiles)
    if data.task != "graph" or not data.names.get("smiles"):
        raise GraphKitError(f"{data.name} holds no molecules that were read from SMILES; name its graphs by their ids")
    none, here = torch.empty(0, dtype=torch.int64), torch.arange(len(texts))
    made = from_smiles(texts, splits={"train": none, "val": none, "test": here}, name=data.name)
    for transform in data._transforms:
        made = made.transform(transform)
    return made
