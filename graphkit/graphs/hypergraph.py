"""Hypergraphs: a heterograph of nodes and hyperedges, and its dual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.graphs.build import _fields, check_ids, index_tensor

if TYPE_CHECKING:
    import dgl

#: Node types, in the order of their ids.
NTYPES = ["node", "hyperedge"]
#: From node to hyperedge, and back; edge i of one is edge i of the other, turned round.
IN, HAS = ("node", "in", "hyperedge"), ("hyperedge", "has", "node")
#: In the flat form, fields of hyperedges carry this prefix.
PREFIX = "hyperedge_"


def from_incidence(
    node: Any,
    hyperedge: Any,
    num_nodes: int | None = None,
    num_hyperedges: int | None = None,
    node_fields: Mapping[str, Any] | None = None,
    hyperedge_fields: Mapping[str, Any] | None = None,
) -> dgl.DGLGraph:
    """Build a hypergraph from pairs of a node and a hyperedge it belongs to.

    Parameters
    ----------
    node, hyperedge : array_like
        Ids ``[E]``; a repeated pair counts once.
    num_nodes, num_hyperedges : int, optional
        By default one more than the largest id.
    node_fields, hyperedge_fields : mapping of str to array_like, optional
        ``[N, ...]`` and ``[M, ...]``.

    Returns
    -------
    dgl.DGLGraph
        Node types ``node`` and ``hyperedge``; edge types ``in`` (node to hyperedge) and ``has`` (back), both sorted by
        hyperedge, then node.

    Raises
    ------
    GraphKitError
        If lengths differ, an id is out of range, or a field has the wrong number of rows.

    Examples
    --------
    >>> graph = from_incidence([0, 1, 1, 2], [0, 0, 1, 1])
    >>> graph.num_nodes("node"), graph.num_nodes("hyperedge"), graph.num_edges("in")
    (3, 2, 4)
    """
    import dgl

    node, hyperedge = index_tensor(node, "node"), index_tensor(hyperedge, "hyperedge")
    if len(node) != len(hyperedge):
        raise GraphKitError(f"node has {len(node)} rows and hyperedge {len(hyperedge)}; expected as many of each")
    sizes = []
    for name, ids, count in (("node", node, num_nodes), ("hyperedge", hyperedge, num_hyperedges)):
        count = (int(ids.max()) + 1 if len(ids) else 0) if count is None else int(count)
        check_ids(ids, count, name, f"{name}s")
        sizes.append(count)
    flat = torch.unique(hyperedge * max(sizes[0], 1) + node)
    hyperedge, node = flat // max(sizes[0], 1), flat % max(sizes[0], 1)
    made = dgl.heterograph({IN: (node, hyperedge), HAS: (hyperedge, node)}, {"node": sizes[0], "hyperedge": sizes[1]})
    for kind, count, fields in zip(NTYPES, sizes, (node_fields, hyperedge_fields), strict=True):
        made.nodes[kind].data.update(_fields(fields, count, kind))
        if "time" in (fields or {}):
            made.nodes[kind].data["time"] = torch.as_tensor(fields["time"])  # type: ignore[index]  # not as float32
    return made


def from_hyperedges(
    hyperedges: Sequence[Sequence[int]],
    num_nodes: int | None = None,
    node_fields: Mapping[str, Any] | None = None,
    hyperedge_fields: Mapping[str, Any] | None = None,
) -> dgl.DGLGraph:
    """Build a hypergraph from the members of each hyperedge.

    Parameters
    ----------
    hyperedges : sequence of sequences of int
        M lists of node ids, of any length, empty ones too; a member that is named twice counts once.
    num_nodes : int, optional
        By default one more than the largest id.
    node_fields, hyperedge_fields : mapping of str to array_like, optional

    Returns
    -------
    dgl.DGLGraph
        See :func:`from_incidence`.

    Raises
    ------
    GraphKitError
        If an id is out of range.

    Examples
    --------
    >>> members(from_hyperedges([[0, 2], [], [2, 1, 2]]))
    [[0, 2], [], [1, 2]]
    """
    lists = [np.asarray(list(one), dtype=np.int64).reshape(-1) for one in hyperedges]
    owner = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    node = np.concatenate(lists) if lists else np.empty(0, np.int64)
    return from_incidence(node, owner, num_nodes, len(lists), node_fields, hyperedge_fields)


def is_hypergraph(graph: Any) -> bool:
    """Say whether a graph has the node and edge types of a hypergraph.

    >>> is_hypergraph(from_hyperedges([[0, 1]]))
    True
    """
    return sorted(getattr(graph, "ntypes", ())) == sorted(NTYPES) and set(graph.canonical_etypes) == {IN, HAS}


def _check(graph: Any) -> dgl.DGLGraph:
    if not is_hypergraph(graph):
        raise GraphKitError(
            f"expected a hypergraph (node types {NTYPES}, edge types ['in', 'has']; graphkit.graphs.from_hyperedges "
            f"makes one), got {type(graph).__name__} with node types {getattr(graph, 'ntypes', None)}"
        )
    return graph


def members(graph: dgl.DGLGraph) -> list[list[int]]:
    """Return the members of each hyperedge, sorted.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.

    >>> members(from_incidence([1, 0], [0, 0]))
    [[0, 1]]
    """
    node, hyperedge = _check(graph).edges(etype="in")
    order = np.lexsort((node.numpy(), hyperedge.numpy()))
    counts = torch.bincount(hyperedge, minlength=graph.num_nodes("hyperedge"))
    return [part.tolist() for part in node[torch.from_numpy(order)].split(counts.tolist())]


def dual(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Swap nodes and hyperedges: hyperedge j of the dual holds the old hyperedges to which node j belonged.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.

    Returns
    -------
    dgl.DGLGraph
        A hypergraph whose fields have changed sides with their owners; its dual is the graph again.

    Raises
    ------
    GraphKitError
        If it is no hypergraph.

    Examples
    --------
    >>> members(dual(from_hyperedges([[0, 1], [1, 2]])))
    [[0], [0, 1], [1]]
    """
    node, hyperedge = _check(graph).edges(etype="in")
    sizes = graph.num_nodes("hyperedge"), graph.num_nodes("node")
    fields = (dict(graph.nodes[kind].data) for kind in reversed(NTYPES))
    return from_incidence(hyperedge, node, *sizes, *fields)


def add_self_hyperedges(graph: dgl.DGLGraph, every: bool = False) -> dgl.DGLGraph:
    """Give each node that is in no hyperedge one of its own, behind the others.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.
    every : bool, default False
        Give one to all nodes.

    Returns
    -------
    dgl.DGLGraph
        With the nodes' fields; the hyperedges' are continued by 0, ``weight`` by 1. Memberships keep their order, and
        the new ones follow.

    Raises
    ------
    GraphKitError
        If it is no hypergraph.

    Examples
    --------
    >>> members(add_self_hyperedges(from_hyperedges([[0, 1]], num_nodes=3)))
    [[0, 1], [2]]
    """
    import dgl

    node, hyperedge = _check(graph).edges(etype="in", order="eid")
    n, m = graph.num_nodes("node"), graph.num_nodes("hyperedge")
    alone = torch.arange(n) if every else (torch.bincount(node, minlength=n) == 0).nonzero()[:, 0]
    node = torch.cat([node, alone])
    hyperedge = torch.cat([hyperedge, torch.arange(m, m + len(alone))])
    made = dgl.heterograph({IN: (node, hyperedge), HAS: (hyperedge, node)}, {"node": n, "hyperedge": m + len(alone)})
    made.nodes["node"].data.update(graph.nodes["node"].data)
    for name, value in graph.nodes["hyperedge"].data.items():
        more = value.new_full((len(alone), *value.shape[1:]), 1 if name == "weight" else 0)
        made.nodes["hyperedge"].data[name] = torch.cat([value, more])
    return made


def flatten(graph: dgl.DGLGraph) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return a hypergraph as one graph of N + M nodes, whose edges run from nodes to hyperedges.

    This is how a dataset stores it: hyperedge j is node N + j, its fields carry the prefix ``hyperedge_``, and rows of
    the other type hold zeros (-1 in ``label``).

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.

    Returns
    -------
    src, dst : Tensor
        int64 ``[E]``.
    fields : dict of str to Tensor
        ``[N + M, ...]`` each, and ``ntype``.

    Examples
    --------
    >>> src, dst, fields = flatten(from_hyperedges([[0, 1]]))
    >>> dst.tolist(), fields["ntype"].tolist()
    ([2, 2], [0, 0, 1])
    """
    node, hyperedge = _check(graph).edges(etype="in")
    n, m = graph.num_nodes("node"), graph.num_nodes("hyperedge")
    fields = {"ntype": (torch.arange(n + m) >= n).long()}
    for kind, prefix, before, after in (("node", "", 0, m), ("hyperedge", PREFIX, n, 0)):
        for name, value in graph.nodes[kind].data.items():
            filler = -1 if name == "label" and not value.is_floating_point() else 0
            pads = [torch.full((rows, *value.shape[1:]), filler, dtype=value.dtype) for rows in (before, after)]
            fields[prefix + name] = torch.cat([pads[0], value, pads[1]])
    return node, hyperedge + n, fields


def unflatten(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Turn the flat form of :func:`flatten`, as a DGLGraph with its fields, into a hypergraph.

    Examples
    --------
    >>> from graphkit.graphs import graph
    >>> src, dst, fields = flatten(from_hyperedges([[0, 1], [1]]))
    >>> members(unflatten(graph(src, dst, 4, fields)))
    [[0, 1], [1]]
    """
    kinds = graph.ndata["ntype"]
    n = int((kinds == 0).sum())
    src, dst = graph.edges(order="eid")
    mine: dict[str, Tensor] = {}
    theirs: dict[str, Tensor] = {}
    for name, value in graph.ndata.items():
        if name.startswith(PREFIX):
            theirs[name.removeprefix(PREFIX)] = value[n:]
        elif name != "ntype":
            mine[name] = value[:n]
    return from_incidence(src, dst - n, n, len(kinds) - n, mine, theirs)
