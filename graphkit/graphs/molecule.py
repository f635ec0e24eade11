"""Molecules as graphs: atoms are nodes, bonds are edges in both directions (needs RDKit).

The module is callable: ``graphkit.graphs.molecule("CCO")`` is :func:`molecule`.
"""

from __future__ import annotations

import os
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit import _dgl
from graphkit.core.check import check_choice
from graphkit.core.errors import DataError, GraphKitError
from graphkit.graphs import _chemistry as chemistry
from graphkit.graphs._chemistry import ATOM, ATOM_FLAGS, BOND, BOND_FLAGS, ELEMENTS, columns, parse

if TYPE_CHECKING:
    import dgl

__all__ = [
    "ELEMENTS",
    "Molecules",
    "atom_features",
    "bond_features",
    "from_smiles",
    "molecule",
    "scaffold",
    "smiles_to_collated",
]


def atom_features() -> list[str]:
    """Return the names of the columns of an atom's ``feat``.

    Examples
    --------
    >>> atom_features()[:3], len(atom_features())
    (['element=H', 'element=B', 'element=C'], 47)
    """
    return columns(ATOM, ATOM_FLAGS)


def bond_features() -> list[str]:
    """Return the names of the columns of a bond's ``feat``.

    Examples
    --------
    >>> bond_features()[:2], len(bond_features())
    (['bond=SINGLE', 'bond=DOUBLE'], 14)
    """
    return columns(BOND, BOND_FLAGS)


@dataclass(repr=False)
class Molecules(Sequence):
    """Molecules as concatenated arrays, in the layout of a collated set of graphs.

    Parameters
    ----------
    node_offsets, edge_offsets : Tensor
        int64 ``[B + 1]``.
    src, dst : Tensor
        int64 ``[E]``, atom numbers inside their own molecule; sorted by destination there.
    node_fields : dict of str to Tensor
        ``feat`` float32 ``[N, 47]`` (columns: :func:`atom_features`), ``z`` (atomic number) int64 ``[N]``; ``pos``
        float32 ``[N, 3]`` where all molecules have positions.
    edge_fields : dict of str to Tensor
        ``feat`` float32 ``[E, 14]`` (columns: :func:`bond_features`; zeros where atoms are near and not bonded),
        ``reverse_id`` int64 ``[E]`` inside the molecule; ``distance`` float32 ``[E]`` where there is ``pos``.
    rows : Tensor
        int64 ``[B]``, the row that each molecule came from.
    skipped : list of (int, str)
        Row and text of each SMILES that did not parse.

    Examples
    --------
    >>> made = smiles_to_collated(["CO", "C("], on_error="skip", warn=False)
    >>> len(made), made[0].num_nodes(), made.skipped
    (1, 2, [(1, 'C(')])
    """

    node_offsets: Tensor
    edge_offsets: Tensor
    src: Tensor
    dst: Tensor
    node_fields: dict[str, Tensor]
    edge_fields: dict[str, Tensor]
    rows: Tensor
    skipped: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.node_offsets) - 1

    def __repr__(self) -> str:
        left = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"Molecules({len(self)} molecules, {int(self.node_offsets[-1])} atoms, {len(self.src)} edges{left})"

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"molecule {index} of {len(self)}")
        index %= len(self)
        nodes = slice(int(self.node_offsets[index]), int(self.node_offsets[index + 1]))
        edges = slice(int(self.edge_offsets[index]), int(self.edge_offsets[index + 1]))
        made = _dgl.from_arrays(self.src[edges], self.dst[edges], nodes.stop - nodes.start)
        made.ndata.update({name: value[nodes] for name, value in self.node_fields.items()})
        made.edata.update({name: value[edges] for name, value in self.edge_fields.items()})
        return made


def _molecules(
    given: Sequence[Any], on_error: str, places: Sequence[str] | None = None
) -> Iterator[tuple[int, Any, str]]:
    """Yield (row, molecule or None, text) of SMILES and molecules of RDKit."""
    from rdkit import rdBase

    with rdBase.BlockLogs():  # one for all of them, as each costs a tenth of what parsing does
        for row, item in enumerate(given):
            where = (f"{places[row]}: " if places[row] else "") if places else f"row {row}: "
            if hasattr(item, "GetAtoms"):
                yield row, item, where
                continue
            try:
                yield row, parse(item, where), where
            except DataError:
                if on_error == "raise":
                    raise
                yield row, None, str(item)


def smiles_to_collated(
    smiles: Sequence[Any],
    on_error: str = "raise",
    *,
    warn: bool = True,
    places: Sequence[str] | None = None,
    hydrogens: bool = False,
    positions: str | None = None,
    radius: float | None = None,
    other: bool = True,
    seed: int = 0,
) -> Molecules:
    """Turn many SMILES strings, or molecules of RDKit, into concatenated graphs.

    Parameters
    ----------
    smiles : sequence of str or rdkit.Chem.Mol
    on_error : str
        ``"raise"`` stops at the first SMILES that does not parse; ``"skip"`` leaves it out and lists it in
        ``skipped``.
    warn : bool
        Whether skipping also warns.
    places : sequence of str, optional
        What to call each row in an error, such as a file and a line; by default its number, counted from 0.
    hydrogens, positions, radius, other, seed
        As in :func:`molecule`.

    Returns
    -------
    Molecules

    Raises
    ------
    DataError
        Naming the row and the text that does not parse, and what RDKit says of it; or what :func:`molecule` refuses.
    MissingExtraError
        If RDKit is not installed.

    Examples
    --------
    >>> made = smiles_to_collated(["CCO", "c1ccccc1"])
    >>> made.node_offsets.tolist(), made.edge_offsets.tolist()
    ([0, 3, 9], [0, 4, 16])
    """
    check_choice("on_error", on_error, ["raise", "skip"])
    chemistry.check_radius(radius)
    if isinstance(smiles, str):
        raise GraphKitError("expected a sequence of SMILES, got one string; use from_smiles for a single molecule")
    chemistry.rdkit("reading SMILES")
    rows = chemistry.Rows(not other, radius)
    kept, skipped = [], []
    for row, mol, said in _molecules(smiles, on_error, places):
        if mol is None:
            skipped.append((row, said))
            continue
        if hydrogens or positions is not None:
            mol = chemistry.with_positions(mol, positions, said, hydrogens, seed)
        rows.add(mol, said)
        kept.append(row)
    if skipped and warn:
        shown = "; ".join(f"row {row}: {text!r}" for row, text in skipped[:5])
        more = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        warnings.warn(f"skipped {len(skipped)} SMILES that do not parse ({shown}{more})", stacklevel=2)
    made = _collate(rows)
    made.rows, made.skipped = torch.tensor(kept, dtype=torch.int64), skipped
    return made


def _collate(rows: chemistry.Rows) -> Molecules:
    """Store both directions of every edge, sorted by destination, and count ids inside each molecule.

    NumPy, as one molecule is small and torch's calls are not; no edge comes twice here, and no loop.
    """
    ends = np.array(rows.ends, dtype=np.int64).reshape(-1, 2)
    counts = np.array(rows.counts, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    src, dst = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]])
    order = np.argsort(dst * max(len(rows.atoms), 1) + src)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    src, dst = src[order], dst[order]
    owner = np.repeat(np.arange(len(counts)), counts)[dst]
    edge_offsets = np.searchsorted(owner, np.arange(len(counts) + 1))
    kinds = torch.cat([rows.bond_kinds.rows(), torch.zeros(1, len(bond_features()))])  # the last: not bonded
    bonds = np.array(rows.bonds, dtype=np.int64)[order % max(len(ends), 1)] % len(kinds)
    node_fields = {
        "feat": rows.atom_kinds.rows()[torch.tensor(rows.atoms, dtype=torch.int64)],
        "z": torch.tensor(rows.charges, dtype=torch.int64),
    }
    twin = place[(order + len(ends)) % max(2 * len(ends), 1)]
    edge_fields = {
        "feat": kinds[torch.from_numpy(bonds)],
        "reverse_id": torch.from_numpy(twin - edge_offsets[owner]),
    }
    if rows.places and len(rows.places) == len(rows.counts):
        pos = np.concatenate(rows.places)
        node_fields["pos"] = torch.from_numpy(pos).float()
        edge_fields["distance"] = torch.from_numpy(np.linalg.norm(pos[src] - pos[dst], axis=-1)).float()
    tail, head = (torch.from_numpy(ids - offsets[owner]) for ids in (src, dst))
    starts, edge_starts = (torch.from_numpy(values.astype(np.int64)) for values in (offsets, edge_offsets))
    return Molecules(starts, edge_starts, tail, head, node_fields, edge_fields, torch.arange(len(counts)))


def molecule(
    what: Any,
    *,
    hydrogens: bool = False,
    positions: Any = None,
    radius: float | None = None,
    other: bool = True,
    on_error: str = "raise",
    seed: int = 0,
) -> dgl.DGLGraph | Molecules:
    """Turn a molecule into a graph of its atoms, or many into a sequence of graphs.

    An atom's ``feat`` holds its element, degree, formal charge, hybridisation, number of hydrogens and chirality,
    each one-hot with a last column for everything else, and whether it is aromatic and in a ring
    (:func:`atom_features`); ``z`` is its atomic number, ``pos`` its place where that is known. A bond's ``feat`` holds
    its type and stereo, one-hot, and whether it is conjugated and in a ring (:func:`bond_features`).

    Parameters
    ----------
    what : str, rdkit.Chem.Mol, path-like, or a sequence of SMILES or molecules
        A SMILES; a molecule of RDKit, with its conformer if it has one; an ``.sdf``, ``.mol`` or ``.xyz`` file, which
        gives one graph if it holds one molecule. XYZ files have no bonds, so name a radius.
    hydrogens : bool, default False
        Spell out all hydrogens. Files keep theirs whatever this says.
    positions : str or array, optional
        ``"embed"`` places the atoms by RDKit's distance geometry, from ``seed``; or numbers ``[N, 3]``.
    radius : float, optional
        Join atoms within this distance too, in the units of the positions (ångström in files); such edges have a
        ``feat`` of zeros unless there is a bond, and all edges their ``distance``.
    other : bool, default True
        Whether elements outside the table share its last column; else they are refused.
    on_error : str
        For a sequence: ``"raise"``, or ``"skip"``, which lists in ``skipped`` of the result what does not parse.
    seed : int

    Returns
    -------
    dgl.DGLGraph or Molecules
        ``feat [N, 47]``, ``z`` and perhaps ``pos`` on nodes, ``feat [E, 14]``, ``reverse_id`` and perhaps ``distance``
        on edges.

    Raises
    ------
    DataError
        If a SMILES does not parse (which one, and what RDKit says), a file is unsound, an element is outside the table
        and ``other=False``, or a radius is asked for without positions.
    MissingExtraError
        If RDKit is not installed.

    Examples
    --------
    >>> ethanol = molecule("CCO")
    >>> ethanol.num_nodes(), ethanol.num_edges(), ethanol.ndata["z"].tolist()
    (3, 4, [6, 6, 8])
    >>> near = molecule("CCO", hydrogens=True, positions="embed", radius=3.0)
    >>> near.num_nodes(), near.ndata["pos"].shape, bool(near.edata["distance"].max() <= 3.0)
    (9, torch.Size([9, 3]), True)
    """
    options: dict[str, Any] = {"hydrogens": hydrogens, "radius": radius, "other": other, "seed": seed}
    if isinstance(what, os.PathLike) or (isinstance(what, str) and what.lower().endswith((".sdf", ".mol", ".xyz"))):
        found = chemistry.from_file(what)
        made = _placed(found, positions, [f"{os.fspath(what)}, record {i}" for i in range(len(found))], options)
        return made[0] if len(made) == 1 else made
    if isinstance(what, str) or hasattr(what, "GetAtoms"):
        mol = parse(what, "") if isinstance(what, str) else what
        if not mol.GetNumAtoms():
            raise DataError("the molecule has no atoms; expected at least one")
        return _placed([mol], positions, None, options)[0]
    if not isinstance(what, Sequence):
        raise GraphKitError(
            f"got a {type(what).__name__}; expected a SMILES, a molecule of RDKit, a file, or a sequence of them"
        )
    return smiles_to_collated(what, on_error, positions=positions, **options)


def _placed(found: list[Any], positions: Any, places: list[str] | None, options: dict[str, Any]) -> Molecules:
    """Collate molecules, with numbers for the positions of the one there is, or a way to find them."""
    if positions is not None and not isinstance(positions, str):
        if len(found) != 1:
            raise GraphKitError(f"positions are given for one molecule, but there are {len(found)}")
        where = f"{places[0]}: " if places else ""
        found = [chemistry.with_positions(found[0], positions, where, options["hydrogens"])]
        options, positions = {**options, "hydrogens": False}, None
    return smiles_to_collated(found, positions=positions, places=places or [""] * len(found), **options)


def from_smiles(smiles: str | Sequence[str], on_error: str = "raise") -> dgl.DGLGraph | Molecules:
    """Turn a SMILES string into a graph of its heavy atoms, or many into a sequence of graphs; see :func:`molecule`.

    Parameters
    ----------
    smiles : str or sequence of str
    on_error : str
        For a sequence: ``"raise"``, or ``"skip"``, which lists what was left out in ``skipped`` of the result.

    Returns
    -------
    dgl.DGLGraph or Molecules
        ``feat [N, 47]`` on nodes, ``feat [E, 14]`` and ``reverse_id`` on edges.

    Raises
    ------
    DataError
        Naming the row and the text that does not parse.
    MissingExtraError
        If RDKit is not installed.

    Examples
    --------
    >>> benzene = from_smiles("c1ccccc1")
    >>> benzene.num_nodes(), benzene.num_edges(), tuple(benzene.ndata["feat"].shape)
    (6, 12, (6, 47))
    """
    if isinstance(smiles, str):
        return smiles_to_collated([parse(smiles, "")])[0]
    return smiles_to_collated(smiles, on_error)


def scaffold(smiles: str) -> str:
    """Return the Bemis-Murcko scaffold, its rings and what links them, as canonical SMILES; "" without rings.

    Parameters
    ----------
    smiles : str

    Raises
    ------
    DataError
        If the SMILES does not parse.
    MissingExtraError
        If RDKit is not installed.

    Notes
    -----
    Bemis, Murcko, The properties of known drugs 1: molecular frameworks (1996). Chirality is left out.

    Examples
    --------
    >>> scaffold("CCc1ccccc1"), scaffold("CCO")
    ('c1ccccc1', '')
    """
    mol = parse(smiles, "")
    from rdkit.Chem.Scaffolds import MurckoScaffold

    return MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=False)


class _Callable(types.ModuleType):
    """A module that is called like the function it is named after."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return molecule(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
