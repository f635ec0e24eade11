"""Anything becomes a DGLGraph: converters, nearest-neighbour graphs, molecules, streams, hypergraphs."""

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
from graphkit.graphs.hypergraph import clique_expansion, dual, from_hyperedges, from_incidence, members
from graphkit.graphs.knn import knn_graph
from graphkit.graphs.molecule import from_smiles, scaffold, smiles_to_collated
from graphkit.graphs.tables import from_edge_list, from_pandas, to_edge_list, to_pandas
from graphkit.graphs.temporal import from_event_table, from_events

__all__ = [
    "Typed",
    "clique_expansion",
    "dual",
    "from_edge_list",
    "from_event_table",
    "from_events",
    "from_hyperedges",
    "from_incidence",
    "from_networkx",
    "from_pandas",
    "from_pyg",
    "from_scipy",
    "from_smiles",
    "graph",
    "knn_graph",
    "members",
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
