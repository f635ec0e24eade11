"""Tables of molecules as MoleculeNet publishes them: a CSV with a column of SMILES (arXiv 1703.00564)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files


@register("moleculenet-csv", kind="reader", level="graph", title="MoleculeNet", arxiv="1703.00564", keep=True)
def read_moleculenet(
    files: Files, *, targets: Sequence[str] | str, smiles: str = "smiles", on_error: str = "skip"
) -> Raw:
    """Read molecules and their targets from the one CSV among the files; blank lines and CRLF are fine.

    Parameters
    ----------
    files : Files
    targets : str or sequence of str
        Columns of the labels; an empty cell is a missing label.
    smiles : str
        Column of the SMILES.
    on_error : str
        ``skip`` leaves out rows whose SMILES RDKit refuses and lists them in the report; ``raise`` stops there.

    Returns
    -------
    Raw
        Atoms and bonds with the features of ``graphkit.graphs.molecule``; ``label`` float32 ``[B, T]``, NaN missing;
        ``names["smiles"]``, ``names["scaffold"]``, ``names["target"]``; ``report["skipped"]`` lists (row, SMILES),
        rows counted from 0.

    Raises
    ------
    DataError
        If a column is missing, a label is no number, or a SMILES does not parse and ``on_error`` is ``raise``.
    MissingExtraError
        If RDKit is not installed.
    """
    from graphkit.graphs.molecule import scaffold, smiles_to_collated

    found = [name for name in files.names() if name.endswith(".csv")]
    if len(found) != 1:
        raise DataError(f"expected one CSV file among the raw files, found {len(found)}")
    columns = [targets] if isinstance(targets, str) else list(targets)
    label = files.label(found[0])
    table = tables.frame(files.read(found[0]), label, [smiles, *columns])
    texts = [text.strip() for text in table[smiles]]
    places = [f"{label}, line {line}" for line in table.index]
    made = smiles_to_collated(texts, on_error, warn=False, places=places)
    labels = np.stack([_numbers(table[column], label) for column in columns], axis=1)[made.rows.numpy()]
    collated = Collated(
        made.node_offsets,
        made.edge_offsets,
        made.src,
        made.dst,
        made.node_fields,
        made.edge_fields,
        {"label": torch.from_numpy(labels)},
    )
    report = {
        "rows": len(table),
        "skipped": [[int(row), text] for row, text in made.skipped],
        "missing_labels": int(np.isnan(labels).sum()),
        "without_bonds": int((made.edge_offsets.diff() == 0).sum()),
        "repeated_smiles": len(texts) - len(set(texts)),
    }
    kept = [texts[row] for row in made.rows.tolist()]
    names = {"smiles": kept, "scaffold": [scaffold(text) for text in kept], "target": columns}
    return Raw(collated, {}, names, report)


def _numbers(column, label: str) -> np.ndarray:
    """Return a text column as float32, empty cells as NaN."""
    cells = column.str.strip()
    try:
        values = np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float32)
    except ValueError:
        values = np.array([np.inf])
    if np.isinf(values).any():
        line, cell = next((i, c) for i, c in cells.items() if c and not _finite(c))
        raise DataError(f"{label}, line {line}: {cell!r} in column {column.name!r} is not a finite number")
    return values


def _finite(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
