"""Graphs as hypergraphs and hypergraphs as graphs: duals of graphs, clique, star and line expansions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from graphkit.core.errors import GraphKitError
from graphkit.graphs.build import graph as build
from graphkit.graphs.hypergraph import _check, dual, flatten, from_incidence

if TYPE_CHECKING:
    import dgl

#: Most pairs of members that a clique expansion lists (about 4 GB).
MOST_PAIRS = 100_000_000


def as_hypergraph(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Turn a graph into the hypergraph whose hyperedges are its edges, of two members each.

    Parameters
    ----------
    graph : dgl.DGLGraph
        With one node and one edge type. Where it has a ``reverse_id``, both directions are one hyperedge, with the
        fields of the first; else every edge is one. A self-loop has one member.

    Returns
    -------
    dgl.DGLGraph
        A hypergraph; fields of nodes stay with nodes, those of edges go to hyperedges.

    Raises
    ------
    GraphKitError
        If the graph has several types.

    Examples
    --------
    >>> import graphkit
    >>> from graphkit.graphs import members
    >>> members(as_hypergraph(graphkit.graphs.graph([0, 1], [1, 2], undirected=True)))
    [[0, 1], [1, 2]]
    """
    if len(getattr(graph, "etypes", ())) != 1 or len(graph.ntypes) != 1:
        raise GraphKitError(
            f"expected a graph with one node and one edge type, got node types {getattr(graph, 'ntypes', None)}"
        )
    src, dst = graph.edges(order="eid")
    fields = dict(graph.edata)
    twin = fields.pop("reverse_id", None)
    kept = torch.arange(len(src))
    if twin is not None:
        kept = kept[(twin < 0) | (kept <= twin)]
    ids = torch.arange(len(kept)).repeat(2)
    chosen = {name: value[kept] for name, value in fields.items()}
    ends = torch.cat([src[kept], dst[kept]])
    return from_incidence(ends, ids, graph.num_nodes(), len(kept), dict(graph.ndata), chosen)


def dual_hypergraph(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Swap the roles of nodes and edges of a graph: edges become nodes, and each node the hyperedge of its edges.

    Parameters
    ----------
    graph : dgl.DGLGraph
        As of :func:`as_hypergraph`.

    Returns
    -------
    dgl.DGLGraph
        A hypergraph whose nodes are the graph's edges, each in two hyperedges; fields go with their owners. Its
        :func:`dual` is the graph's hypergraph again.

    Raises
    ------
    GraphKitError
        If the graph has several types.

    References
    ----------
    "Edge Representation Learning with Hypergraphs", arXiv:2106.15845.

    Examples
    --------
    >>> import graphkit
    >>> from graphkit.graphs import members
    >>> members(dual_hypergraph(graphkit.graphs.graph([0, 1], [1, 2], undirected=True)))
    [[0], [0, 1], [1]]
    """
    return dual(as_hypergraph(graph))


def clique_expansion(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    r"""Join all members of each hyperedge with one another.

    .. math:: w_{uv} = |\{e : u \in e, v \in e\}|, \quad u \ne v

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.

    Returns
    -------
    dgl.DGLGraph
        Both directions of each edge, sorted by destination, with ``weight`` (float32, how many hyperedges hold both)
        and ``reverse_id``; the nodes' fields are kept. It has up to :math:`\sum_e |e|^2` edges.

    Raises
    ------
    GraphKitError
        If it is no hypergraph, or its hyperedges hold more pairs than fit in memory.

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> flat = clique_expansion(from_hyperedges([[0, 1, 2], [0, 1]]))
    >>> flat.num_edges(), flat.edata["weight"].tolist()
    (6, [2.0, 1.0, 2.0, 1.0, 1.0, 1.0])
    """
    import scipy.sparse

    node, hyperedge = _check(graph).edges(etype="in")
    shape = graph.num_nodes("node"), graph.num_nodes("hyperedge")
    sizes = np.bincount(hyperedge.numpy(), minlength=1).astype(np.int64)
    if (sizes**2).sum() > MOST_PAIRS:
        raise GraphKitError(
            f"the hyperedges hold {(sizes**2).sum():.3g} pairs of members (the largest has {sizes.max()} members), of "
            f"which a clique expansion lists at most {MOST_PAIRS}; use star_expansion, or leave out the largest"
        )
    ones = np.ones(len(node), dtype=np.float32)
    incidence = scipy.sparse.csr_array((ones, (node.numpy(), hyperedge.numpy())), shape=shape)
    shared = scipy.sparse.coo_array(incidence @ incidence.T)
    upper = shared.row < shared.col
    edges = shared.row[upper].astype(np.int64), shared.col[upper].astype(np.int64)
    return build(*edges, shape[0], dict(graph.nodes["node"].data), {"weight": shared.data[upper]}, undirected=True)


#: Most pairs of members that a clique expansion lists (about 4 GB).
MOST_PAIRS = 100_000_000


def star_expansion(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the bipartite graph of nodes and hyperedges as one graph of N + M nodes.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.

    Returns
    -------
    dgl.DGLGraph
        Hyperedge j is node N + j; both directions of each membership, with ``reverse_id``; ``ntype`` (1 for hyperedges)
        and the fields of :func:`flatten`.

    Raises
    ------
    GraphKitError
        If it is no hypergraph.

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> star = star_expansion(from_hyperedges([[0, 1], [1]]))
    >>> star.num_nodes(), star.num_edges(), star.ndata["ntype"].tolist()
    (4, 6, [0, 0, 1, 1])
    """
    src, dst, fields = flatten(graph)
    return build(src, dst, len(fields["ntype"]), fields, undirected=True)


def line_graph(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    r"""Return the graph of the hyperedges, joined where they share a node.

    .. math:: w_{ef} = |e \cap f|, \quad e \ne f

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.

    Returns
    -------
    dgl.DGLGraph
        Both directions of each edge, with ``weight``; node j has the fields of hyperedge j. It is the clique expansion
        of the dual.

    Raises
    ------
    GraphKitError
        If it is no hypergraph, or a node is in too many hyperedges.

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> line_graph(from_hyperedges([[0, 1, 2], [1, 2], [3]])).edata["weight"].tolist()
    [2.0, 2.0]
    """
    return clique_expansion(dual(graph))
