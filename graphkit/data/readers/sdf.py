"""Molecules with coordinates in SDF files and their targets in a table: QM9, GDB1k (arXiv 1703.00564)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from graphkit.core.errors import DataError, require
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot, tidy
from graphkit.data.readers.extxyz import ELEMENTS
from graphkit.data.store import Files

#: Atomic numbers [n], positions [n, 3], bonds [e, 2], kinds of bonds [e] (1, 2, 3, 4 aromatic).
Record = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def records(data: bytes, label: str) -> list[Record]:
    r"""Read the atoms and bonds of every record of an SDF file (version V2000).

    Parameters
    ----------
    data : bytes
        Records that end in ``$$$$``: three lines of title, one of counts, one for each atom and each bond.
    label : str
        The file's name, for errors.

    Raises
    ------
    DataError
        Naming file and line: a record cut short, an unknown element, a cell that is no number, a bond of no atom.

    Examples
    --------
    >>> text = "a\n\n\n  2  1  0  0 V2000\n 0.0 0.0 0.0 C 0\n 1.1 0.0 0.0 O 0\n  1  2  2  0\nM  END\n$$$$\n"
    >>> z, pos, bonds, kinds = records(text.encode(), "a.sdf")[0]
    >>> z.tolist(), bonds.tolist(), kinds.tolist()
    ([6, 8], [[0, 1]], [2])
    """
    rows = data.decode("utf-8", errors="replace").splitlines()
    found, at = [], 0
    while at < len(rows) and any(row.strip() for row in rows[at:]):
        if at + 3 >= len(rows):
            raise DataError(f"{label} ends inside the record that begins at line {at + 1}; it may be truncated")
        atoms, bonds = _counts(rows[at + 3], f"{label}, line {at + 4}")
        first, end = at + 4, at + 4 + atoms + bonds
        if end > len(rows):
            raise DataError(f"{label} ends inside the record that begins at line {at + 1}; it may be truncated")
        found.append(_record(rows[first:end], atoms, label, first))
        while end < len(rows) and rows[end].strip() != "$$$$":
            end += 1
        if end == len(rows):
            raise DataError(f"{label}: the record that begins at line {at + 1} has no end '$$$$'; it may be truncated")
        at = end + 1
    return found


def _counts(line: str, where: str) -> tuple[int, int]:
    try:
        return int(line[:3]), int(line[3:6])
    except ValueError:
        raise DataError(f"{where}: expected the numbers of atoms and bonds, got {line[:40]!r}") from None


def _record(rows: list[str], atoms: int, label: str, first: int) -> Record:
    z, pos, bonds, kinds = [], [], [], []
    for i, row in enumerate(rows):
        cells, where = row.split(), f"{label}, line {first + i + 1}"
        try:
            if i < atoms:
                pos.append([float(cell) for cell in cells[:3]])
                z.append(ELEMENTS[cells[3]])
            else:
                u, v, kind = int(row[:3]), int(row[3:6]), int(row[6:9])
                bonds.append((u - 1, v - 1))
                kinds.append(kind)
                if not (1 <= u <= atoms and 1 <= v <= atoms and 1 <= kind <= 4):
                    raise ValueError
        except (ValueError, KeyError, IndexError):
            wanted = "a position and a known element" if i < atoms else f"two atoms from 1 to {atoms} and a bond"
            raise DataError(f"{where}: expected {wanted}, got {row[:60]!r}") from None
    places = np.array(pos, dtype=np.float64).reshape(-1, 3)
    return (
        np.array(z, dtype=np.int64),
        places,
        np.array(bonds, dtype=np.int64).reshape(-1, 2),
        np.array(kinds, dtype=np.int64),
    )


def _accepted(data: bytes) -> np.ndarray:
    """Say of each record whether RDKit's default sanitisation takes it, bool."""
    require("rdkit", "chem", "leaving out the molecules that the table leaves out")
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        supplier = Chem.SDMolSupplier()
        supplier.SetData(data.decode("utf-8", errors="replace"), removeHs=False, sanitize=True)
        return np.array([molecule is not None for molecule in supplier], dtype=bool)


@register("sdf", kind="reader", level="graph", title="MoleculeNet", arxiv="1703.00564", keep=True)
def read_sdf(files: Files, *, targets: Sequence[str] | str, skip: str = "") -> Raw:
    """Read the molecules of the one ``.sdf`` and their targets from the one ``.csv``, row by row.

    Where the table has fewer rows than the file has records, the records that RDKit refuses are left out, and the
    numbers must then agree.

    Parameters
    ----------
    files : Files
    targets : str or sequence of str
        Columns of the labels.
    skip : str
        A text file whose lines begin with the number (from 1) of a record to leave out, such as QM9's
        ``uncharacterized.txt``; lines that begin otherwise are prose.

    Returns
    -------
    Raw
        ``feat`` one-hot elements, ``z`` int64 ``[N]``, ``pos`` float32 ``[N, 3]``; edge ``feat`` one-hot single,
        double, triple, aromatic; ``label`` float32 ``[B, T]``; graph field ``record`` (from 0); all hydrogens that
        the file spells out are nodes.

    Raises
    ------
    DataError
        Naming file and line; or if the table has another number of rows.
    MissingExtraError
        If records must be left out and RDKit is not installed.
    """
    names = {end: [n for n in files.names() if n.endswith(end)] for end in (".sdf", ".csv")}
    for end, have in names.items():
        if len(have) != 1:
            raise DataError(f"expected one file *{end} among the raw files, found {len(have)}")
    sdf, csv = names[".sdf"][0], names[".csv"][0]
    data = files.read(sdf)
    made = records(data, files.label(sdf))
    columns = [targets] if isinstance(targets, str) else list(targets)
    table = tables.frame(files.read(csv), files.label(csv), columns)
    values = np.stack([tables.column(table[name], files.label(csv)) for name in columns], axis=1).astype(np.float32)
    kept = np.arange(len(made)) if len(table) >= len(made) else np.flatnonzero(_accepted(data))
    if len(table) != len(kept):
        raise DataError(f"{files.label(csv)} has {len(table)} rows for {len(kept)} molecules of {files.label(sdf)}")
    if skip:
        keep = ~np.isin(kept, _listed(files, skip))
        kept, values = kept[keep], values[keep]
    report = {"left_out": len(made) - len(kept)}
    return _collate([made[i] for i in kept.tolist()], values, columns, kept, report)


def _listed(files: Files, name: str) -> np.ndarray:
    """Return the records, from 0, whose numbers open a line of the list."""
    cells = [line.split() for _, line in tables.lines(files.read(name))]
    return np.array([int(row[0]) - 1 for row in cells if row[0].isdigit()], dtype=np.int64)


def _collate(made: list[Record], values: np.ndarray, columns: list[str], kept: np.ndarray, report: dict) -> Raw:
    if not made:
        raise DataError("no molecule is left; expected at least one")
    counts = np.array([len(z) for z, _, _, _ in made], dtype=np.int64)
    shift = np.repeat(np.cumsum(counts) - counts, [len(bonds) for _, _, bonds, _ in made])
    ends = np.concatenate([bonds for _, _, bonds, _ in made]) + shift[:, None]
    kinds = np.concatenate([kinds for *_, kinds in made]) - 1
    src, dst, fields, mended = tidy(ends[:, 0], ends[:, 1], int(counts.sum()), {"bond": torch.from_numpy(kinds)})
    fields["feat"] = one_hot(fields.pop("bond"), 4)
    numbers = np.concatenate([z for z, *_ in made])
    elements, codes = np.unique(numbers, return_inverse=True)
    node_fields = {
        "feat": one_hot(torch.from_numpy(codes.reshape(-1).astype(np.int64)), len(elements)),
        "z": torch.from_numpy(numbers),
        "pos": torch.from_numpy(np.concatenate([pos for _, pos, _, _ in made]).astype(np.float32)),
    }
    facts = {"label": torch.from_numpy(values), "record": torch.from_numpy(kept.astype(np.int64))}
    collated = Collated.from_edges(src, dst, torch.from_numpy(counts), node_fields, fields, facts)
    names = {"target": columns, "element": [str(z) for z in elements.tolist()]}
    return Raw(collated, {}, names, {**report, **mended})
