"""RDKit's molecules as rows of numbers: what it parses, what it says of the rest, atoms and bonds by their kind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError, GraphKitError, require, unknown

ELEMENTS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I")
HYBRIDISATIONS = ("S", "SP", "SP2", "SP3", "SP3D", "SP3D2")
CHIRALITIES = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW")
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
STEREOS = ("STEREONONE", "STEREOANY", "STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS")

#: Name and choices of each categorical feature; one more column holds everything else.
ATOM: dict[str, tuple] = {
    "element": ELEMENTS,
    "degree": (0, 1, 2, 3, 4, 5),
    "charge": (-2, -1, 0, 1, 2),
    "hybridisation": HYBRIDISATIONS,
    "hydrogens": (0, 1, 2, 3, 4),
    "chirality": CHIRALITIES,
}
BOND: dict[str, tuple] = {"bond": BONDS, "stereo": STEREOS}
ATOM_FLAGS = ("aromatic", "ring")
BOND_FLAGS = ("conjugated", "ring")


def columns(features: dict[str, tuple], flags: tuple[str, ...]) -> list[str]:
    """Return the names of one-hot columns and flags.

    >>> columns({"a": (0, 1)}, ("f",))
    ['a=0', 'a=1', 'a=other', 'f']
    """
    return [f"{name}={value}" for name, choices in features.items() for value in (*choices, "other")] + list(flags)


class Kinds:
    """Number the kinds of atoms or bonds as they come, and know the row of 0 and 1 that each stands for.

    What RDKit is asked of an atom is a tuple, and few tuples differ: their columns are worked out once for each.

    Parameters
    ----------
    features : dict of str to tuple
        Choices of each category; the tuples hold their values first.
    flags : tuple of str
        What follows them, true or false.

    Examples
    --------
    >>> kinds = Kinds({"bond": BONDS}, ("ring",))
    >>> kinds[("DOUBLE", True)], kinds[("DOUBLE", True)], kinds.rows().tolist()
    (0, 0, [[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]])
    """

    def __init__(self, features: dict[str, tuple], flags: tuple[str, ...]) -> None:
        self.features, self.flags = features, flags
        self.codes = [{value: i for i, value in enumerate(choices)} for choices in features.values()]
        self.known: dict[tuple, int] = {}
        self.table = torch.zeros(0, len(columns(features, flags)))

    def __getitem__(self, kind: tuple) -> int:
        return self.known.setdefault(kind, len(self.known))

    def rows(self) -> Tensor:
        """Return the rows of all kinds, float32 ``[kinds, width]``; only those that are new are worked out."""
        if len(self.table) < len(self.known):
            new = [self._row(kind) for kind in list(self.known)[len(self.table) :]]
            self.table = torch.cat([self.table, torch.tensor(new, dtype=torch.float32)])
        return self.table

    def _row(self, kind: tuple) -> list[float]:
        made: list[float] = []
        for value, codes in zip(kind, self.codes, strict=False):
            hot = [0.0] * (len(codes) + 1)
            # RDKit's enumerations are named by their text, numbers by themselves.
            hot[codes.get(value if type(value) is int else str(value), len(codes))] = 1.0
            made += hot
        return [*made, *map(float, kind[len(self.codes) :])]


#: All kinds met so far in this process; there are some hundreds, as valences allow no more.
ATOMS, BONDED = Kinds(ATOM, ATOM_FLAGS), Kinds(BOND, BOND_FLAGS)


def rdkit(purpose: str) -> Any:
    """Return ``rdkit.Chem``.

    Raises
    ------
    MissingExtraError
        If RDKit is not installed.
    """
    require("rdkit", "chem", purpose)
    from rdkit import Chem

    return Chem


def parse(text: Any, where: str) -> Any:
    """Return RDKit's molecule of a SMILES.

    Raises
    ------
    DataError
        With the place, the text and what RDKit says.

    >>> parse("CCO", "").GetNumAtoms()
    3
    """
    chem = rdkit("reading SMILES")
    from rdkit import rdBase

    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}expected a SMILES string, got {text!r}")
    with rdBase.BlockLogs():
        molecule = chem.MolFromSmiles(text.strip())
    if molecule is not None and molecule.GetNumAtoms():
        return molecule
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    raise DataError(f"{where}the SMILES {shown!r} does not parse{_reason(text.strip())}")


def _reason(text: str) -> str:
    """Return what RDKit says of a SMILES that it refuses, after a colon; nothing where it says nothing."""
    chem = rdkit("reading SMILES")
    from rdkit import rdBase

    with rdBase.BlockLogs():
        raw = chem.MolFromSmiles(text, sanitize=False)
        problems = chem.DetectChemistryProblems(raw) if raw is not None else []
    if len(problems):
        return f": {problems[0].Message()}"
    if not hasattr(rdBase, "CaptureErrorLog"):  # older releases write the parser's reasons to the terminal only
        return ""
    with rdBase.CaptureErrorLog() as log:
        chem.MolFromSmiles(text)
    said = re.findall(r"Parse Error: (.+?)(?: while parsing| for input|$)", log.messages, re.MULTILINE)
    place = re.search(r"around position (\d+)", log.messages)
    return f": {said[0]}" + (f" near character {place[1]}" if place else "") if said else ""


@dataclass
class Rows:
    """Molecules on their way to arrays: kinds of atoms and bonds, ends of bonds, counts, places.

    Parameters
    ----------
    strict : bool
        Whether elements outside the table are refused.
    radius : float, optional
        Atoms within this distance are joined too.
    """

    strict: bool = False
    radius: float | None = None
    atoms: list[int] = field(default_factory=list)
    bonds: list[int] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    charges: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)
    atom_kinds: Kinds = field(default_factory=lambda: ATOMS)
    bond_kinds: Kinds = field(default_factory=lambda: BONDED)

    def add(self, molecule: Any, where: str) -> None:
        """Append a molecule of RDKit."""
        first, kinds = len(self.atoms), self.atom_kinds
        names: dict[int, str] = {}
        for atom in molecule.GetAtoms():
            number = atom.GetAtomicNum()
            symbol = _SYMBOLS.get(number) or atom.GetSymbol()
            if self.strict and symbol not in ELEMENTS:
                names[len(self.atoms) - first] = symbol
            self.charges.append(number)
            self.atoms.append(
                kinds[
                    symbol, atom.GetDegree(), atom.GetFormalCharge(), atom.GetHybridization(), atom.GetTotalNumHs(),
                    atom.GetChiralTag(), atom.GetIsAromatic(), atom.IsInRing(),
                ]
            )  # fmt: skip
        if names:
            at, symbol = next(iter(names.items()))
            raise DataError(f"{where}atom {at} is {symbol}; expected one of {', '.join(ELEMENTS)}, or other=True")
        kinds = self.bond_kinds
        for bond in molecule.GetBonds():
            self.ends.append((first + bond.GetBeginAtomIdx(), first + bond.GetEndAtomIdx()))
            self.bonds.append(kinds[bond.GetBondType(), bond.GetStereo(), bond.GetIsConjugated(), bond.IsInRing()])
        self.counts.append(len(self.atoms) - first)
        if molecule.GetNumConformers():
            self.places.append(molecule.GetConformer().GetPositions())
        if self.radius is not None:
            self._join(first, where)

    def _join(self, first: int, where: str) -> None:
        """Join the last molecule's atoms that are near and not bonded."""
        if len(self.places) != len(self.counts):
            raise DataError(
                f"{where}there are no 3D positions to take radius={self.radius} of; give a molecule with a conformer, "
                "an SDF or XYZ file, or positions='embed'"
            )
        place = self.places[-1]
        near = np.linalg.norm(place[:, None] - place[None], axis=-1) <= self.radius
        for one, other in self.ends[_bonds_before(self.ends, first) :]:
            near[one - first, other - first] = near[other - first, one - first] = False
        pairs = np.argwhere(np.triu(near, 1))
        self.ends += [(first + int(i), first + int(j)) for i, j in pairs]
        self.bonds += [-1] * len(pairs)  # the row behind the last, which is zeros


def _bonds_before(ends: Sequence[tuple[int, int]], first: int) -> int:
    """Return how many bonds stand before the molecule whose atoms begin at ``first``."""
    at = len(ends)
    while at and ends[at - 1][0] >= first:
        at -= 1
    return at


def _symbols() -> dict[int, str]:
    numbers = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 33, 34, 35, 53)
    return dict(zip(numbers, ELEMENTS, strict=True))


#: Symbols of the table's elements by their number, which is quicker to ask for.
_SYMBOLS = _symbols()


def with_positions(molecule: Any, positions: Any, where: str, hydrogens: bool = False, seed: int = 0) -> Any:
    """Return the molecule with hydrogens and positions as asked for.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
    positions : "embed", array or None
        ``"embed"`` draws a conformer by RDKit's distance geometry; an array ``[atoms, 3]`` is taken as it is.
    where : str
        Said before an error.
    hydrogens : bool
        Whether to spell out hydrogens; they are always there while a conformer is drawn.
    seed : int

    Raises
    ------
    DataError
        If no conformer is found, or the array has another shape.
    """
    chem = rdkit("placing atoms in space")
    if hydrogens:
        molecule = chem.AddHs(molecule, addCoords=bool(molecule.GetNumConformers()))
    if positions is None:
        return molecule
    if isinstance(positions, str):
        if positions != "embed":
            raise unknown("positions", positions, ["embed"])
        from rdkit.Chem import rdDistGeom

        whole = chem.AddHs(molecule)
        if rdDistGeom.EmbedMolecule(whole, randomSeed=seed) < 0:
            raise DataError(f"{where}RDKit finds no conformer of {chem.MolToSmiles(molecule)!r}; give its positions")
        return whole if hydrogens else chem.RemoveHs(whole)
    places = np.asarray(positions, dtype=np.float64)
    if places.shape != (molecule.GetNumAtoms(), 3) or not np.isfinite(places).all():
        raise DataError(
            f"{where}positions of shape {list(places.shape)} came for {molecule.GetNumAtoms()} atoms; expected three "
            "finite numbers for each"
        )
    molecule, conformer = chem.Mol(molecule), chem.Conformer(len(places))
    conformer.SetPositions(places)
    molecule.RemoveAllConformers()
    molecule.AddConformer(conformer)
    return molecule


def from_file(path: str | os.PathLike[str]) -> list[Any]:
    """Read RDKit molecules with positions from an SDF, MOL or XYZ file, all hydrogens as the file has them.

    Raises
    ------
    DataError
        Naming file and record or line: no such file, another ending, a record that RDKit refuses, a line of an XYZ file
        that is no atom.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file} is no file; expected molecules in .sdf, .mol or .xyz")
    if file.suffix.lower() == ".xyz":
        return list(xyz_molecules(file.read_text(encoding="utf-8", errors="replace"), file.name))
    if file.suffix.lower() not in (".sdf", ".mol"):
        raise DataError(f"{file.name} ends in {file.suffix or 'nothing'!r}; expected .sdf, .mol or .xyz")
    chem = rdkit("reading molecules")
    from rdkit import rdBase

    found = []
    with rdBase.BlockLogs():
        for record, molecule in enumerate(_records(chem, file)):
            if molecule is None or not molecule.GetNumAtoms():
                raise DataError(f"{file.name}: RDKit refuses record {record} (counted from 0)")
            found.append(molecule)
    if not found:
        raise DataError(f"{file.name} holds no molecule; expected at least one record")
    return found


def _records(chem: Any, file: Path) -> Iterable[Any]:
    text = file.read_text(encoding="utf-8", errors="replace")
    if file.suffix.lower() == ".mol":
        return [chem.MolFromMolBlock(text, removeHs=False)]
    if not text.strip():
        return []
    supplier = chem.SDMolSupplier()
    supplier.SetData(text, removeHs=False)
    return supplier


def xyz_molecules(text: str, label: str) -> Iterator[Any]:
    r"""Yield the frames of an XYZ file as molecules without bonds: a count, a line of comment, an atom a line.

    Raises
    ------
    DataError
        Naming file and line.

    >>> [m.GetNumAtoms() for m in xyz_molecules("2\n\nH 0 0 0\nH 0 0 0.74\n", "h2.xyz")]
    [2]
    """
    chem = rdkit("reading XYZ")
    lines, at = text.splitlines(), 0
    table = chem.GetPeriodicTable()
    numbers = {table.GetElementSymbol(i): i for i in range(1, 119)}
    if not text.strip():
        raise DataError(f"{label} is empty; expected a number of atoms, a comment, and an atom a line")
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        if not lines[at].strip().isdigit() or not int(lines[at]):
            raise DataError(f"{label}, line {at + 1}: expected the number of atoms, got {lines[at][:40]!r}")
        count = int(lines[at])
        if at + 2 + count > len(lines):
            raise DataError(f"{label}, line {at + 1}: {count} atoms are announced, but the file ends before them")
        yield _frame(chem, numbers, lines[at + 2 : at + 2 + count], f"{label}, line {at + 3}")
        at += 2 + count


def _frame(chem: Any, numbers: dict[str, int], rows: Sequence[str], where: str) -> Any:
    """Make a molecule of lines ``symbol x y z``; ``where`` names the first of them."""
    head, _, first = where.rpartition(" ")
    molecule, places = chem.RWMol(), []
    for i, row in enumerate(rows):
        cells = row.split()
        try:
            symbol = cells[0].capitalize()
            number = int(symbol) if symbol.isdigit() else numbers[symbol]
            place = [float(cell) for cell in cells[1:4]]
            if not 1 <= number <= 118 or len(place) != 3 or not np.isfinite(place).all():
                raise ValueError
        except (IndexError, KeyError, ValueError):
            raise DataError(
                f"{head} {int(first) + i}: expected a known element and three numbers, got {row[:60]!r}"
            ) from None
        atom = chem.Atom(number)
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
        places.append(place)
    made = molecule.GetMol()
    made.UpdatePropertyCache(strict=False)
    chem.FastFindRings(made)
    return with_positions(made, np.array(places), "")


def check_radius(radius: float | None) -> None:
    """Raise unless the radius is None or a positive distance.

    >>> check_radius(5.0)
    """
    if radius is not None and not (isinstance(radius, int | float) and radius > 0):
        raise GraphKitError(f"radius={radius!r}; expected a positive distance in the units of the positions")
