"""Lists of SMILES, one a line, with or without a number beside each: the sets of the junction-tree autoencoder."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files


def smiles_lines(data: bytes, label: str, target: str) -> tuple[list[str], list[float]]:
    r"""Read ``SMILES`` or, with a target, ``SMILES NUMBER`` from each line that is not blank.

    Raises
    ------
    DataError
        Naming file and line: another number of cells, or a cell that is no finite number.

    >>> smiles_lines(b"CC 1.5\r\n\nCO 2\n", "a.txt", "score")
    (['CC', 'CO'], [1.5, 2.0])
    """
    texts, values = [], []
    for number, line in tables.lines(data):
        cells, wanted = line.split(), "a SMILES and a number" if target else "one SMILES"
        try:
            if len(cells) != (2 if target else 1):
                raise ValueError
            values.append(float(cells[1]) if target else 0.0)
            if not np.isfinite(values[-1]):
                raise ValueError
        except ValueError:
            raise DataError(f"{label}, line {number}: expected {wanted}, got {line[:60]!r}") from None
        texts.append(cells[0])
    return texts, values


@register(
    "smiles-list",
    kind="reader",
    level="graph",
    title="Junction Tree Variational Autoencoder for Molecular Graph Generation",
    arxiv="1802.04364",
    keep=True,
)
def read_smiles_list(
    files: Files, *, train: str = "", val: str = "", test: str = "", target: str = "", on_error: str = "skip"
) -> Raw:
    """Read lists of molecules, one file for each part of the split ``public``.

    Parameters
    ----------
    files : Files
    train, val, test : str
        File of each part; empty where there is none.
    target : str
        Name of the number that follows each SMILES; empty if none does, and molecules then have no label.
    on_error : str
        ``skip`` leaves out SMILES that RDKit refuses and lists them in the report; ``raise`` stops there.

    Returns
    -------
    Raw
        Atoms and bonds with the features of ``graphkit.graphs.molecule``; ``label`` float32 ``[B, 1]`` with a target;
        ``names["smiles"]``, ``names["scaffold"]``.

    Raises
    ------
    DataError
        Naming file and line; or if no file is named.
    MissingExtraError
        If RDKit is not installed.
    """
    from graphkit.graphs.molecule import scaffold, smiles_to_collated

    given = {"train": train, "val": val, "test": test}
    if not any(given.values()):
        raise DataError("no file is named; expected at least one of train=, val=, test=")
    texts: list[str] = []
    values: list[float] = []
    part_of: list[int] = []
    for i, name in enumerate(given.values()):
        mine, numbers = smiles_lines(files.read(name), files.label(name), target) if name else ([], [])
        texts, values, part_of = texts + mine, values + numbers, part_of + [i] * len(mine)
    made = smiles_to_collated(texts, on_error, warn=False)
    parts = torch.tensor(part_of, dtype=torch.int64)[made.rows]
    label = torch.tensor(values, dtype=torch.float32)[made.rows].unsqueeze(1)
    collated = Collated(
        made.node_offsets,
        made.edge_offsets,
        made.src,
        made.dst,
        made.node_fields,
        made.edge_fields,
        {"label": label} if target else {},
    )
    kept = [texts[row] for row in made.rows.tolist()]
    names = {"smiles": kept, "scaffold": [scaffold(text) for text in kept], "target": [target] if target else []}
    report = {"rows": len(texts), "skipped": [[int(row), text] for row, text in made.skipped],
              "repeated_smiles": len(texts) - len(set(texts))}  # fmt: skip
    split = {name: (parts == i).nonzero()[:, 0] for i, name in enumerate(given)}
    return Raw(collated, {"public": split}, names, report)
