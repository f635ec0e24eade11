"""Frames of molecular dynamics in extended XYZ: positions, energies, forces."""

from __future__ import annotations

import shlex

import numpy as np
import torch

from graphkit.core.errors import DataError, GraphKitError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot
from graphkit.data.store import Files

ELEMENTS = {"H": 1, "B": 5, "C": 6, "N": 7, "O": 8, "F": 9, "Si": 14, "P": 15, "S": 16, "Cl": 17, "Br": 35, "I": 53}
Frame = tuple[np.ndarray, np.ndarray, np.ndarray, float]


def frames(data: bytes, label: str) -> list[Frame]:
    r"""Read all frames of a file.

    Parameters
    ----------
    data : bytes
        Blocks of a count, a line of ``key=value`` with ``energy`` and ``Properties``, and one line for each atom.
    label : str
        The file's name, for errors.

    Returns
    -------
    list of (z, pos, forces, energy)
        Atomic numbers int64 ``[n]``, positions and forces float64 ``[n, 3]`` (forces NaN where there are none).

    Raises
    ------
    DataError
        Naming file and line: a frame cut short, an unknown element, a cell that is no number.

    Examples
    --------
    >>> z, pos, forces, energy = frames(b'1\nProperties=species:S:1:pos:R:3 energy=-1.5\nH 0 0 1\n', "a.xyz")[0]
    >>> z.tolist(), pos.tolist(), energy
    ([1], [[0.0, 0.0, 1.0]], -1.5)
    """
    rows = data.decode("utf-8", errors="replace").splitlines()
    found, at = [], 0
    while at < len(rows):
        if not rows[at].strip():
            at += 1
            continue
        count = rows[at].strip()
        if not count.isdigit():
            raise DataError(f"{label}, line {at + 1}: expected the number of atoms of a frame, got {count[:40]!r}")
        n = int(count)
        if at + 2 + n > len(rows):
            raise DataError(f"{label} ends inside the frame that begins at line {at + 1}; it may be truncated")
        found.append(_frame(rows[at + 1], rows[at + 2 : at + 2 + n], label, at + 2))
        at += 2 + n
    return found


def _frame(comment: str, atoms: list[str], label: str, line: int) -> Frame:
    try:
        facts = dict(part.split("=", 1) for part in shlex.split(comment) if "=" in part)
    except ValueError as error:
        raise DataError(f"{label}, line {line}: {error}") from None
    columns, width = _columns(facts.get("Properties", "species:S:1:pos:R:3"), f"{label}, line {line}")
    cells = [row.split() for row in atoms]
    try:
        energy = float(facts["energy"])
    except (KeyError, ValueError):
        raise DataError(f"{label}, line {line}: a frame without a number energy=") from None
    for i, row in enumerate(cells, 1):
        if len(row) != width or row[columns["species"]] not in ELEMENTS:
            raise DataError(
                f"{label}, line {line + i}: expected a known element and {width - 1} numbers, got {atoms[i - 1]!r}"
            )
    z = np.array([ELEMENTS[row[columns["species"]]] for row in cells], dtype=np.int64)
    pos, forces = (_numbers(cells, columns.get(name), label, line) for name in ("pos", "forces"))
    return z, pos, forces, energy


def _columns(properties: str, where: str) -> tuple[dict[str, int], int]:
    """Return where each property begins, and the number of columns."""
    parts = properties.split(":")
    starts, at = {}, 0
    try:
        for name, size in zip(parts[::3], parts[2::3], strict=True):
            starts[name] = at
            at += int(size)
    except ValueError:
        starts = {}
    if "species" not in starts or "pos" not in starts:
        raise DataError(f"{where}: Properties={properties!r}; expected species and pos among them")
    return starts, at


def _numbers(cells: list[list[str]], start: int | None, label: str, line: int) -> np.ndarray:
    if start is None:
        return np.full((len(cells), 3), np.nan)
    try:
        found = np.array([row[start : start + 3] for row in cells], dtype=np.float64).reshape(-1, 3)
    except ValueError:
        found = np.array([[tables.number(cell) for cell in row[start : start + 3]] for row in cells])
    wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(wrong):
        shown = " ".join(cells[wrong[0]][start : start + 3])
        raise DataError(f"{label}, line {line + wrong[0] + 1}: {shown[:60]!r} are no three finite numbers")
    return found


@register("extxyz", kind="reader", level="graph", title="Extended XYZ", keep=True)
def read_extxyz(
    files: Files, *, train: str = "train.xyz", test: str = "", isolated: str = "", cutoff: float = 5.0
) -> Raw:
    """Read frames as graphs of atoms, an edge between any two within ``cutoff``.

    Parameters
    ----------
    files : Files
    train : str
        File of the training frames.
    test : str
        File of the test frames; with it there is a split ``public`` (without a validation part).
    isolated : str
        File of single atoms, whose energies are subtracted: what is left is the energy of binding.
    cutoff : float
        In the unit of the positions, mostly Angstrom.

    Returns
    -------
    Raw
        ``feat`` one-hot elements, ``z`` int64, ``pos`` and ``forces`` float32 ``[N, 3]`` (NaN where there are none);
        edge field ``distance``; ``label`` float32 ``[B, 1]``; graph field ``energy`` float64, as in the file.

    Raises
    ------
    DataError
        Naming file and line.
    GraphKitError
        If ``cutoff`` is not positive.
    """
    if not cutoff > 0:
        raise GraphKitError(f"cutoff={cutoff}; expected a positive distance")
    held = [frames(files.read(name), files.label(name)) for name in (train, test) if name]
    alone = (
        {int(z[0]): energy for z, _, _, energy in frames(files.read(isolated), files.label(isolated))}
        if isolated
        else {}
    )
    every = [frame for part in held for frame in part]
    if not every:
        raise DataError(f"{files.label(train)} holds no frame")
    src, dst, twin, distance, bound = [], [], [], [], []
    for z, pos, _, energy in every:
        far = np.sqrt(((pos[:, None] - pos[None]) ** 2).sum(axis=2))
        to, source = np.nonzero((far <= cutoff) & ~np.eye(len(z), dtype=bool))
        place = np.zeros(far.shape, dtype=np.int64)
        place[to, source] = np.arange(len(to))
        src.append(source)
        dst.append(to)
        twin.append(place[source, to])
        distance.append(far[to, source])
        missing = sorted(set(z.tolist()) - set(alone)) if alone else []
        if missing:
            raise DataError(f"{files.label(isolated)} has no atom of number {missing[0]}, which a frame holds")
        bound.append(energy - sum(alone.get(int(number), 0.0) for number in z))
    numbers = np.concatenate([frame[0] for frame in every])
    kinds, codes = np.unique(numbers, return_inverse=True)
    node_fields = {
        "feat": one_hot(torch.from_numpy(codes.reshape(-1).astype(np.int64)), len(kinds)),
        "z": torch.from_numpy(numbers),
        "pos": torch.from_numpy(np.concatenate([frame[1] for frame in every]).astype(np.float32)),
        "forces": torch.from_numpy(np.concatenate([frame[2] for frame in every]).astype(np.float32)),
    }
    edge_fields = {
        "reverse_id": torch.from_numpy(np.concatenate(twin)),
        "distance": torch.from_numpy(np.concatenate(distance).astype(np.float32)),
    }
    facts = {
        "label": torch.tensor(bound, dtype=torch.float32).unsqueeze(1),
        "energy": torch.tensor([frame[3] for frame in every], dtype=torch.float64),
    }
    collated = Collated(
        torch.tensor([0, *np.cumsum([len(frame[0]) for frame in every]).tolist()]),
        torch.tensor([0, *np.cumsum([len(ends) for ends in src]).tolist()]),
        torch.from_numpy(np.concatenate(src)),
        torch.from_numpy(np.concatenate(dst)),
        node_fields,
        edge_fields,
        facts,
    )
    first = len(held[0])
    split = {"train": torch.arange(first), "test": torch.arange(first, len(every))}
    names = {"target": ["energy"], "element": [str(int(kind)) for kind in kinds]}
    return Raw(collated, {"public": split} if test else {}, names, {"isolated_atoms": len(alone)})
