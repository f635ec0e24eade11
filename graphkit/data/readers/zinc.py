"""Molecules as "Benchmarking Graph Neural Networks" distributes them: pickles of ZINC and AQSOL (arXiv 2003.00982)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables, unpickle
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot, tidy
from graphkit.data.readers.torch_pickle import LazyTensor, load_lazy
from graphkit.data.store import Files

PARTS = ("train", "val", "test")
#: How many kinds of atoms and bonds the published dictionaries name; kind 0 of bonds is "none".
ZINC_KINDS = 28, 4
AQSOL_KINDS = 65, 5
#: Kinds of atoms [n], ends of bonds [2, e], kinds of bonds [e], the value to predict.
Molecule = tuple[np.ndarray, np.ndarray, np.ndarray, float]


def molecules_raw(parts: Sequence[Sequence[Molecule]], kinds: tuple[int, int], label: str) -> Raw:
    """Collate molecules of three parts that follow one another into graphs with the split ``public``.

    Raises
    ------
    DataError
        Naming the molecule: an atom or bond of an unknown kind, a bond of an unknown atom, a value that is no number.
    """
    every = [molecule for part in parts for molecule in part]
    if not every:
        raise DataError(f"{label} hold no molecule")
    counts = np.array([len(atoms) for atoms, _, _, _ in every], dtype=np.int64)
    for i, (atoms, ends, bonds, value) in enumerate(every):
        sound = ends.shape == (2, len(bonds)) and (not ends.size or (ends.min() >= 0 and ends.max() < len(atoms)))
        if not sound or not np.isfinite(value):
            raise DataError(f"{label}, molecule {i}: its bonds or its value do not fit {len(atoms)} atoms")
        for what, codes, limit in (("atom", atoms, kinds[0]), ("bond", bonds, kinds[1])):
            if codes.size and not 0 <= codes.min() <= codes.max() < limit:
                raise DataError(f"{label}, molecule {i}: a kind of {what} outside 0 to {limit - 1}")
    shift = np.repeat(np.cumsum(counts) - counts, [ends.shape[1] for _, ends, _, _ in every])
    ends = np.concatenate([ends for _, ends, _, _ in every], axis=1) + shift
    bond = torch.from_numpy(np.concatenate([bonds for _, _, bonds, _ in every]))
    src, dst, fields, report = tidy(ends[0], ends[1], int(counts.sum()), {"bond": bond})
    atom = torch.from_numpy(np.concatenate([atoms for atoms, _, _, _ in every]))
    fields["feat"] = one_hot(fields.pop("bond"), kinds[1])
    values = torch.tensor([value for *_, value in every], dtype=torch.float32).unsqueeze(1)
    collated = Collated.from_edges(
        src, dst, torch.from_numpy(counts), {"feat": one_hot(atom, kinds[0])}, fields, {"label": values}
    )
    cuts = np.cumsum([0, *(len(part) for part in parts)])
    split = {name: torch.arange(int(cuts[i]), int(cuts[i + 1])) for i, name in enumerate(PARTS)}
    return Raw(collated, {"public": split}, {}, report)


@register(
    "zinc", kind="reader", level="graph", title="Benchmarking Graph Neural Networks", arxiv="2003.00982", keep=True
)
def read_zinc(files: Files, *, subset: bool = True) -> Raw:
    """Read ZINC's three pickles of molecules, of which the three index files choose the 12,000 of the benchmark.

    Parameters
    ----------
    files : Files
        ``train.pickle``, ``val.pickle``, ``test.pickle`` (lists of dicts of torch tensors ``atom_type``, ``bond_type``
        and ``logP_SA_cycle_normalized``) and, for the subset, ``train.index``, ``val.index``, ``test.index`` (one line
        of positions, counted from 0).
    subset : bool
        False takes all 249,456 molecules.

    Returns
    -------
    Raw
        ``feat`` one-hot kinds of atoms float32 ``[N, 28]`` and of bonds ``[E, 4]``; ``label`` float32 ``[B, 1]``; the
        split ``public``.

    Raises
    ------
    UnsafeFileError
        If a pickle asks for more than tensors and plain containers.
    DataError
        Naming the file and the molecule, or the line of the index.
    """
    parts = []
    for part in PARTS:
        name = f"{part}.pickle"
        label = files.label(name)
        held = load_lazy(files.read(name), label)
        if not isinstance(held, list):
            raise DataError(f"{label} holds a {type(held).__name__}; expected a list of molecules")
        chosen = _positions(files, f"{part}.index", len(held)) if subset else range(len(held))
        parts.append([_molecule(held[i], f"{label}, molecule {i}") for i in chosen])
    return molecules_raw(parts, ZINC_KINDS, "ZINC's pickles")


def _positions(files: Files, name: str, total: int) -> list[int]:
    """Read the one line of positions, which must be distinct and in range."""
    label, data = files.label(name), files.read(name)
    ids = tables.integers(data, label)
    if len(ids) != 1:
        raise DataError(f"{label} has {len(ids)} lines; expected one line of positions")
    wrong = ids[(ids < 0) | (ids >= total)]
    if len(wrong):
        raise DataError(f"{label}, line 1: position {wrong[0]}; expected 0 to {total - 1}")
    if len(np.unique(ids)) != ids.size:
        raise DataError(f"{label}, line 1: a position repeats; expected each molecule once")
    return ids[0].tolist()


def _molecule(held: Any, label: str) -> Molecule:
    names = ("atom_type", "bond_type", "logP_SA_cycle_normalized")
    if not isinstance(held, dict) or not all(isinstance(held.get(name), LazyTensor) for name in names):
        raise DataError(f"{label}: expected a dict of the tensors {', '.join(names)}")
    atoms, matrix, value = (held[name].make(label).numpy() for name in names)
    if matrix.shape != (len(atoms), len(atoms)) or value.size != 1:
        raise DataError(f"{label}: {len(atoms)} atoms, but a matrix of bonds of shape {list(matrix.shape)}")
    ends = np.stack(np.nonzero(matrix))
    return atoms.astype(np.int64), ends, matrix[ends[0], ends[1]].astype(np.int64), float(value.reshape(-1)[0])


@register(
    "aqsol", kind="reader", level="graph", title="Benchmarking Graph Neural Networks", arxiv="2003.00982", keep=True
)
def read_aqsol(files: Files) -> Raw:
    """Read AQSOL's three pickles of molecules; those without a bond are left out, as published.

    Parameters
    ----------
    files : Files
        ``train.pickle``, ``val.pickle``, ``test.pickle``: lists of (kinds of atoms, kinds of bonds, ends of bonds,
        solubility).

    Returns
    -------
    Raw
        ``feat`` one-hot kinds of atoms float32 ``[N, 65]`` and of bonds ``[E, 5]``; ``label`` float32 ``[B, 1]``;
        the split ``public``; ``report["without_bonds"]``.

    Raises
    ------
    UnsafeFileError
        If a pickle asks for more than arrays and plain containers.
    DataError
        Naming the file and the molecule.
    """
    parts, dropped = [], 0
    for part in PARTS:
        name = f"{part}.pickle"
        label = files.label(name)
        held = unpickle.loads(files.read(name), label)
        if not isinstance(held, list):
            raise DataError(f"{label} holds a {type(held).__name__}; expected a list of molecules")
        made = [_tuple(entry, f"{label}, molecule {i}") for i, entry in enumerate(held)]
        parts.append([molecule for molecule in made if len(molecule[2])])
        dropped += len(made) - len(parts[-1])
    raw = molecules_raw(parts, AQSOL_KINDS, "AQSOL's pickles")
    raw.report["without_bonds"] = dropped
    return raw


def _tuple(held: Any, label: str) -> Molecule:
    try:
        atoms, bonds, ends, value = held
        arrays = [np.asarray(array).astype(np.int64) for array in (atoms, bonds, ends)]
        return arrays[0].reshape(-1), arrays[2].reshape(2, -1), arrays[1].reshape(-1), float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{label}: expected kinds of atoms, kinds of bonds, ends of bonds and a number") from error
