"""Anything becomes a DGLGraph: converters, nearest-neighbour graphs, molecules."""

from graphkit.graphs.build import graph, undirect
from graphkit.graphs.convert import (
    Typed,
    from_networkx,
    from_pyg,
    from_scipy,
    to_networkx,
    to_pyg,
    to_scipy,
    to_typed,
)
from graphkit.graphs.knn import knn_graph
from graphkit.graphs.molecule import from_smiles, scaffold, smiles_to_collated
from graphkit.graphs.tables import from_edge_list, from_pandas, to_edge_list, to_pandas

__all__ = [
    "Typed",
    "from_edge_list",
    "from_networkx",
    "from_pandas",
    "from_pyg",
    "from_scipy",
    "from_smiles",
    "graph",
    "knn_graph",
    "scaffold",
    "smiles_to_collated",
    "to_edge_list",
    "to_networkx",
    "to_pandas",
    "to_pyg",
    "to_scipy",
    "to_typed",
    "undirect",
]
