"""What people call the classes, features and nodes of an explanation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from graphkit.explain.target import Target

#: Symbols of the elements up to xenon, by atomic number.
SYMBOLS = tuple(
    re.findall(
        "[A-Z?][a-z]?",
        "?HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbTeIXe",
    )
)


@dataclass
class Names:
    """What people call things; empty where ids must do.

    Parameters
    ----------
    classes, features, nodes : list of str
    kinds : list of str
        What ``Explanation.node_classes`` numbers, where it is not the model's classes.
    """

    classes: list[str] = field(default_factory=list)
    features: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def of_class(self, label: int) -> str:
        """Return the name of a class.

        >>> Names().of_class(3), Names(["cat", "dog"]).of_class(1)
        ('class 3', 'dog')
        """
        return _name(self.classes, label, "class")

    def of_kind(self, kind: int) -> str:
        """Return the name of a node's kind or class."""
        return _name(self.kinds, kind, "label") if self.kinds else self.of_class(kind)

    def of_feature(self, index: int) -> str:
        """Return the name of a feature."""
        return _name(self.features, index, "feature")

    def of_node(self, node: int) -> str:
        """Return the name of a node."""
        return self.nodes[node] if node < len(self.nodes) else str(node)


def _name(names: Sequence[str], index: int, what: str) -> str:
    name = names[index] if index < len(names) else str(index)
    return f"{what} {name}" if name.lstrip("-").isdigit() else name


def names_of(
    data: Any, graph: Any, target: Target, classes: Any = None, features: Any = None, nodes: Any = None
) -> tuple[Names, Tensor | None]:
    """Return the names that the user gives, or else the dataset's, and a kind for each node.

    Parameters
    ----------
    data : Dataset, dgl.DGLGraph or Batch
    graph : dgl.DGLGraph or None
        The graph of the target, with its fields.
    target : Target
    classes, features, nodes : sequence of str, optional

    Returns
    -------
    names : Names
    kinds : Tensor or None
        int64 ``[N]``: labels of nodes, elements of atoms, or node labels of graph sets; -1 unknown.
    """
    known = getattr(data, "names", None)
    known = known if isinstance(known, dict) else {}
    fields = {} if graph is None else dict(graph.ndata)
    width = fields["feat"].shape[1] if "feat" in fields and fields["feat"].dim() == 2 else 0
    names = Names(
        _strings(classes, known.get("class")),
        _strings(features, known.get("feature")),
        _strings(nodes, known.get("node") or known.get("entity")),
    )
    if target.kind != "graph":
        label = fields.get("label")
        return names, label if label is not None and label.dim() == 1 and not label.is_floating_point() else None
    if "z" in fields:
        z = fields["z"].long().clamp(0, len(SYMBOLS) - 1)
        names.kinds = list(SYMBOLS)
        names.nodes = names.nodes or [SYMBOLS[i] for i in z.tolist()]
        names.features = names.features or _atom_features(width)
        return names, z
    kinds = _strings(known.get("node_label"))
    if kinds and width >= len(kinds):  # readers put the one-hot node label first
        names.kinds = kinds
        names.features = names.features or [f"node label {kind}" for kind in kinds]
        part = fields["feat"][:, : len(kinds)]
        return names, torch.where(part.sum(1) > 0, part.argmax(1), -1)
    return names, None


def _strings(*choices: Any) -> list[str]:
    return next(([str(item) for item in choice] for choice in choices if choice is not None), [])


def _atom_features(width: int) -> list[str]:
    from graphkit.graphs.molecule import atom_features

    names = atom_features()
    return names if len(names) == width else []
