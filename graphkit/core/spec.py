"""What a system needs to know of a dataset and a task before it can be built."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spec:
    """Widths and counts from which ``System.build(spec, **arguments)`` makes a model.

    Parameters
    ----------
    level : str
        ``node``, ``link``, ``graph`` or ``triple``.
    in_feats : int
        Width of ``feat``; for entities without features, 0 (the system then learns an embedding).
    out_feats : int
        Classes or regression targets; 1 for links.
    edge_feats : int
        Width of ``edge_feat``, 0 if there is none.
    num_nodes, num_relations : int
        Nodes of the one graph (0 for graph sets) and relations (0 if untyped).
    class_relations : tuple of int
        Where graphs are asked for a relation: for each class the relation of that name, -1 for none.
    num_hyperedges : int
        Hyperedges, 0 where the data are no hypergraph.

    Examples
    --------
    >>> Spec("node", in_feats=4, out_feats=3).as_dict()["out_feats"]
    3
    """

    level: str
    in_feats: int
    out_feats: int
    edge_feats: int = 0
    num_nodes: int = 0
    num_relations: int = 0
    class_relations: tuple[int, ...] = field(default=(), repr=False)
    num_hyperedges: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_relations", tuple(self.class_relations))  # a list, when read from a file

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict, as ``config.yaml`` stores them."""
        return asdict(self)
