"""Molecules as graphs: atoms are nodes, bonds are edges in both directions (needs RDKit)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.check import check_choice
from graphkit.core.errors import DataError, GraphKitError, require
from graphkit.graphs.build import graph as build_graph
from graphkit.graphs.build import undirect

if TYPE_CHECKING:
    import dgl

ELEMENTS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I")
HYBRIDISATIONS = ("S", "SP", "SP2", "SP3", "SP3D", "SP3D2")
CHIRALITIES = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW")
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
STEREOS = ("STEREONONE", "STEREOANY", "STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS")

#: Name and choices of each categorical feature; one more column holds everything else.
_ATOM = {
    "element": ELEMENTS,
    "degree": (0, 1, 2, 3, 4, 5),
    "charge": (-2, -1, 0, 1, 2),
    "hybridisation": HYBRIDISATIONS,
    "hydrogens": (0, 1, 2, 3, 4),
    "chirality": CHIRALITIES,
}
_BOND = {"bond": BONDS, "stereo": STEREOS}
_ATOM_FLAGS = ("aromatic", "ring")
_BOND_FLAGS = ("conjugated", "ring")
_CODES = {name: {v: i for i, v in enumerate(choices)} for name, choices in {**_ATOM, **_BOND}.items()}


def _columns(features: dict[str, tuple], flags: tuple[str, ...]) -> list[str]:
    return [f"{name}={value}" for name, choices in features.items() for value in (*choices, "other")] + list(flags)


def atom_features() -> list[str]:
    """Return the names of the columns of an atom's ``feat``.

    Examples
    --------
    >>> atom_features()[:3], len(atom_features())
    (['element=H', 'element=B', 'element=C'], 47)
    """
    return _columns(_ATOM, _ATOM_FLAGS)


def bond_features() -> list[str]:
    """Return the names of the columns of a bond's ``feat``.

    Examples
    --------
    >>> bond_features()[:2], len(bond_features())
    (['bond=SINGLE', 'bond=DOUBLE'], 14)
    """
    return _columns(_BOND, _BOND_FLAGS)


def _one_hot(rows: list[tuple[int, ...]], features: dict[str, tuple], flags: tuple[str, ...]) -> Tensor:
    """Turn codes and flags into 0/1 columns, float32 ``[rows, width]``."""
    codes = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), len(features) + len(flags))
    widths = [len(choices) + 1 for choices in features.values()]
    made = torch.zeros(len(rows), sum(widths) + len(flags))
    starts = torch.tensor([sum(widths[:i]) for i in range(len(widths))])
    made.scatter_(1, codes[:, : len(widths)] + starts, 1.0)
    made[:, sum(widths) :] = codes[:, len(widths) :].float()
    return made


def _chem(purpose: str) -> Any:
    require("rdkit", "chem", purpose)
    from rdkit import Chem

    return Chem


def _parse(text: Any, where: str) -> Any:
    """Return RDKit's molecule, or raise with the place, the text and the reason."""
    chem = _chem("reading SMILES")
    from rdkit import rdBase

    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}expected a SMILES string, got {text!r}")
    with rdBase.BlockLogs():
        molecule = chem.MolFromSmiles(text.strip())
        if molecule is not None and molecule.GetNumAtoms():
            return molecule
        raw = chem.MolFromSmiles(text.strip(), sanitize=False)
        problems = chem.DetectChemistryProblems(raw) if raw is not None else []
    reason = f": {problems[0].Message()}" if len(problems) else ""
    raise DataError(f"{where}the SMILES {text!r} does not parse{reason}")


def _atom(atom: Any) -> tuple[int, ...]:
    values = (
        atom.GetSymbol(),
        atom.GetDegree(),
        atom.GetFormalCharge(),
        str(atom.GetHybridization()),
        atom.GetTotalNumHs(),
        str(atom.GetChiralTag()),
    )
    codes = (_CODES[name].get(value, len(_ATOM[name])) for name, value in zip(_ATOM, values, strict=True))
    return (*codes, int(atom.GetIsAromatic()), int(atom.IsInRing()))


def _bond(bond: Any) -> tuple[int, ...]:
    values = str(bond.GetBondType()), str(bond.GetStereo())
    codes = (_CODES[name].get(value, len(_BOND[name])) for name, value in zip(_BOND, values, strict=True))
    return (*codes, int(bond.GetIsConjugated()), int(bond.IsInRing()))


@dataclass
class Molecules(Sequence):
    """Molecules as concatenated arrays, in the layout of a collated set of graphs.

    Parameters
    ----------
    node_offsets, edge_offsets : Tensor
        int64 ``[B + 1]``.
    src, dst : Tensor
        int64 ``[E]``, atom numbers inside their own molecule; sorted by destination there.
    node_fields : dict of str to Tensor
        ``feat`` float32 ``[N, 47]`` (columns: :func:`atom_features`), ``z`` (atomic number) int64 ``[N]``.
    edge_fields : dict of str to Tensor
        ``feat`` float32 ``[E, 14]`` (columns: :func:`bond_features`), ``reverse_id`` int64 ``[E]`` inside the molecule.
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

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"molecule {index} of {len(self)}")
        index %= len(self)
        nodes = slice(int(self.node_offsets[index]), int(self.node_offsets[index + 1]))
        edges = slice(int(self.edge_offsets[index]), int(self.edge_offsets[index + 1]))
        return build_graph(
            self.src[edges],
            self.dst[edges],
            nodes.stop - nodes.start,
            {name: value[nodes] for name, value in self.node_fields.items()},
            {name: value[edges] for name, value in self.edge_fields.items()},
        )


def _molecules(
    smiles: Sequence[Any], on_error: str, places: Sequence[str] | None = None
) -> Iterator[tuple[int, Any, str]]:
    """Yield (row, molecule or None, text)."""
    for row, text in enumerate(smiles):
        try:
            yield row, _parse(text, f"{places[row] if places else f'row {row}'}: "), str(text)
        except DataError:
            if on_error == "raise":
                raise
            yield row, None, str(text)


def smiles_to_collated(
    smiles: Sequence[Any], on_error: str = "raise", *, warn: bool = True, places: Sequence[str] | None = None
) -> Molecules:
    """Turn many SMILES strings into concatenated graphs.

    Parameters
    ----------
    smiles : sequence of str
    on_error : str
        ``"raise"`` stops at the first SMILES that does not parse; ``"skip"`` leaves it out and lists it in
        ``skipped``.
    warn : bool
        Whether skipping also warns.
    places : sequence of str, optional
        What to call each row in an error, such as a file and a line; by default its number, counted from 0.

    Returns
    -------
    Molecules

    Raises
    ------
    DataError
        Naming the row and the text that does not parse.
    MissingExtraError
        If RDKit is not installed.

    Examples
    --------
    >>> made = smiles_to_collated(["CCO", "c1ccccc1"])
    >>> made.node_offsets.tolist(), made.edge_offsets.tolist()
    ([0, 3, 9], [0, 4, 16])
    """
    check_choice("on_error", on_error, ["raise", "skip"])
    if isinstance(smiles, str):
        raise GraphKitError("expected a sequence of SMILES, got one string; use from_smiles for a single molecule")
    atoms: list[tuple[int, ...]] = []
    bonds: list[tuple[int, ...]] = []
    ends: list[tuple[int, int]] = []
    charges: list[int] = []
    counts, rows, skipped = [], [], []
    for row, molecule, text in _molecules(smiles, on_error, places):
        if molecule is None:
            skipped.append((row, text))
            continue
        first = len(atoms)
        for atom in molecule.GetAtoms():
            atoms.append(_atom(atom))
            charges.append(atom.GetAtomicNum())
        for bond in molecule.GetBonds():
            ends.append((first + bond.GetBeginAtomIdx(), first + bond.GetEndAtomIdx()))
            bonds.append(_bond(bond))
        counts.append(len(atoms) - first)
        rows.append(row)
    if skipped and warn:
        shown = "; ".join(f"row {row}: {text!r}" for row, text in skipped[:5])
        more = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        warnings.warn(f"skipped {len(skipped)} SMILES that do not parse ({shown}{more})", stacklevel=2)
    feats = _one_hot(atoms, _ATOM, _ATOM_FLAGS), _one_hot(bonds, _BOND, _BOND_FLAGS)
    made = _collate(counts, np.array(ends, dtype=np.int64).reshape(-1, 2), *feats)
    made.node_fields["z"] = torch.tensor(charges, dtype=torch.int64)
    made.rows, made.skipped = torch.tensor(rows, dtype=torch.int64), skipped
    return made


def _collate(counts: list[int], ends: np.ndarray, atoms: Tensor, bonds: Tensor) -> Molecules:
    """Store both directions of every bond, sorted by destination, and count ids inside each molecule."""
    offsets = torch.tensor([0, *np.cumsum(counts, dtype=np.int64).tolist()], dtype=torch.int64)
    number = torch.arange(len(bonds))
    src, dst, fields = undirect(ends[:, 0], ends[:, 1], {"number": number}, len(atoms))
    owner = torch.searchsorted(offsets, dst, right=True) - 1
    edge_offsets = torch.searchsorted(owner, torch.arange(len(counts) + 1))
    return Molecules(
        offsets,
        edge_offsets,
        src - offsets[owner],
        dst - offsets[owner],
        {"feat": atoms},
        {"feat": bonds[fields["number"]], "reverse_id": fields["reverse_id"] - edge_offsets[owner]},
        torch.arange(len(counts)),
    )


def from_smiles(smiles: str | Sequence[str], on_error: str = "raise") -> dgl.DGLGraph | Molecules:
    """Turn a SMILES string into a graph of its heavy atoms, or many into a sequence of graphs.

    An atom's ``feat`` holds its element, degree, formal charge, hybridisation, number of hydrogens and chirality,
    each one-hot with a last column for everything else, and whether it is aromatic and in a ring; ``z`` is its atomic
    number. A bond's ``feat`` holds its type and stereo, one-hot, and whether it is conjugated and in a ring.

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
        _parse(smiles, "")
        return smiles_to_collated([smiles])[0]
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
    molecule = _parse(smiles, "")
    from rdkit.Chem.Scaffolds import MurckoScaffold

    return MurckoScaffold.MurckoScaffoldSmiles(mol=molecule, includeChirality=False)
