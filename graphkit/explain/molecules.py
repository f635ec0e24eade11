"""Molecules drawn as molecules: atoms, orders of bonds and RDKit's places, where an explained graph is one."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.explain.naming import SYMBOLS

if TYPE_CHECKING:
    from graphkit.explain.explanation import Explanation

#: Molecules of more atoms are drawn as other graphs are: the part that weighs most.
MAX_ATOMS = 150
#: Colours of elements on light ground, near those of chemists' models but dark enough to read.
ELEMENTS = {
    "N": "#2b50c8", "O": "#c8201b", "F": "#2a7d2e", "Cl": "#1f7a3d", "Br": "#8f3216", "I": "#6b1f9c", "S": "#8a6a00",
    "P": "#b45309",
}  # fmt: skip
#: Lines of a bond by what datasets call it; an aromatic one is a line and a dashed line.
ORDERS = {"single": 1.0, "double": 2.0, "triple": 3.0, "aromatic": 1.5}


@dataclass
class Molecule:
    """An explained molecule.

    Parameters
    ----------
    symbols : list of str
        Of each node of ``explanation.nodes``.
    orders : list of float
        Of each edge of ``explanation.edges``: 1, 2, 3, or 1.5 for aromatic; all 1 where the dataset does not say.
    where : ndarray or None
        RDKit's places, float64 ``[n, 2]``, y down; None without RDKit.
    """

    symbols: list[str]
    orders: list[float]
    where: np.ndarray | None


def molecule_of(explanation: Explanation) -> Molecule | None:
    """Return the molecule that an explanation is of, None where its graph is none or is too large to draw.

    Parameters
    ----------
    explanation : Explanation

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gcn", data), data, node=3, method="saliency")
    >>> molecule_of(why) is None
    True
    """
    kinds, names = explanation.node_classes, explanation.names.kinds
    if explanation.target.kind != "graph" or kinds is None or not 0 < len(kinds) <= MAX_ATOMS:
        return None
    if not names or int(kinds.min()) < 0 or int(kinds.max()) >= len(names):
        return None
    symbols = [names[kind] for kind in kinds.tolist()]
    if not set(symbols) <= set(SYMBOLS[1:]):
        return None
    ends = np.searchsorted(explanation.nodes.numpy(), np.stack([explanation.src, explanation.dst], 1))
    return Molecule(symbols, _orders(explanation), _places(symbols, ends))


def _orders(explanation: Explanation) -> list[float]:
    fields = {} if explanation.graph is None else dict(explanation.graph.edata)
    known = _codes(fields, explanation)
    if known is None:
        return [1.0] * len(explanation.edges)
    codes, names = known
    return [ORDERS.get(names[code].lower(), 1.0) for code in codes[explanation.edges].tolist()]


def _codes(fields: dict[str, Any], explanation: Explanation) -> tuple[Tensor, list[str]] | None:
    """Return a code for each edge of the graph and what it means, as our own molecules or the dataset's names say."""
    from graphkit.graphs.molecule import bond_features

    columns = bond_features()
    feat = fields.get("feat")
    if feat is not None and feat.dim() == 2 and feat.shape[1] == len(columns):
        names = [name.partition("=")[2] for name in columns if name.startswith("bond=")]
        return feat[:, : len(names)].argmax(1), names
    data = getattr(getattr(explanation.question, "source", None), "data", None)
    known = getattr(data, "names", None)
    names = list(known.get("relation", ())) if isinstance(known, dict) else []
    etype = fields.get("etype")
    if etype is None or not names or (len(etype) and int(torch.as_tensor(etype).max()) >= len(names)):
        return None
    return etype, names


def _places(symbols: list[str], ends: np.ndarray) -> np.ndarray | None:
    if find_spec("rdkit") is None:
        return None
    from rdkit import Chem
    from rdkit.Chem import rdDepictor

    made = Chem.RWMol()
    for symbol in symbols:
        atom = Chem.Atom(symbol)
        atom.SetNoImplicit(True)
        made.AddAtom(atom)
    for u, v in sorted({(min(pair), max(pair)) for pair in ends.tolist()}):
        made.AddBond(u, v, Chem.BondType.SINGLE)
    Chem.FastFindRings(made)  # no chemistry is checked: places need rings alone
    rdDepictor.Compute2DCoords(made, canonOrient=True)
    return np.asarray(made.GetConformer().GetPositions())[:, :2] * [1, -1]
