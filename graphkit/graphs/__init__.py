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
from graphkit.graphs.expansions import as_hypergraph, clique_expansion, dual_hypergraph, line_graph, star_expansion
from graphkit.graphs.hypergraph import (
    add_self_hyperedges,
    dual,
    from_hyperedges,
    from_incidence,
    is_hypergraph,
    members,
)
from graphkit.graphs.knn import knn_graph
from graphkit.graphs.molecule import Molecules, from_smiles, scaffold, smiles_to_collated
from graphkit.graphs.network import from_module, from_modules, from_onnx, operator_graph, to_module
from graphkit.graphs.simplicial import boundary, faces, from_simplices, hodge_laplacian, neighbours
from graphkit.graphs.tables import from_edge_list, from_pandas, to_edge_list, to_pandas
from graphkit.graphs.temporal import from_event_table, from_events

__all__ = [
    "Molecules",
    "Typed",
    "add_self_hyperedges",
    "as_hypergraph",
    "boundary",
    "clique_expansion",
    "dual",
    "dual_hypergraph",
    "faces",
    "from_edge_list",
    "from_event_table",
    "from_events",
    "from_hyperedges",
    "from_incidence",
    "from_module",
    "from_modules",
    "from_networkx",
    "from_onnx",
    "from_pandas",
    "from_pyg",
    "from_scipy",
    "from_simplices",
    "from_smiles",
    "graph",
    "hodge_laplacian",
    "is_hypergraph",
    "knn_graph",
    "line_graph",
    "members",
    "neighbours",
    "operator_graph",
    "scaffold",
    "smiles_to_collated",
    "star_expansion",
    "to_edge_list",
    "to_module",
    "to_networkx",
    "to_pandas",
    "to_pyg",
    "to_scipy",
    "to_typed",
    "undirect",
]
