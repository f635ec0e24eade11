"""A user's own graphs, in the form that a reader gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.graphs.hypergraph import NTYPES, flatten, is_hypergraph
from graphkit.graphs.temporal import time_order

if TYPE_CHECKING:
    import dgl

MASKS = {"train": "train_mask", "val": "val_mask", "test": "test_mask"}


def twins(src: Tensor, dst: Tensor, num_nodes: int) -> Tensor | None:
    """Return for each edge the edge that runs the other way, int64 ``[E]``; None if one has none.

    >>> twins(torch.tensor([0, 1]), torch.tensor([1, 0]), 2).tolist(), twins(torch.tensor([0]), torch.tensor([1]), 2)
    ([1, 0], None)
    """
    here, there = torch.sort(src * num_nodes + dst, stable=True), torch.sort(dst * num_nodes + src, stable=True)
    if not torch.equal(here.values, there.values):
        return None
    twin = torch.empty_like(src)
    twin[there.indices] = here.indices
    return twin


def label_tensor(labels: Any, rows: int, what: str) -> Tensor:
    """Return labels as int64 (classes) or float32 (numbers), one row for each node or graph.

    Raises
    ------
    GraphKitError
        If there is another number of rows, or classes below -1.

    >>> label_tensor([0, 1], 2, "nodes").dtype
    torch.int64
    """
    found = labels if isinstance(labels, Tensor) else torch.from_numpy(np.asarray(labels))
    if found.dim() == 0 or len(found) != rows:
        raise GraphKitError(f"labels have shape {list(found.shape)}; expected one row for each of the {rows} {what}")
    if found.is_floating_point():
        return found.float()
    if found.dim() > 1:
        return found.float()
    found = found.long()
    if len(found) and int(found.min()) < -1:
        raise GraphKitError(f"labels hold the class {int(found.min())}; expected 0 and up, or -1 where missing")
    return found


def _homogeneous(graph: Any) -> dgl.DGLGraph:
    if not hasattr(graph, "ndata") or not hasattr(graph, "etypes"):
        raise GraphKitError(f"got a {type(graph).__name__}; expected a dgl.DGLGraph (see graphkit.graphs to make one)")
    if len(graph.ntypes) > 1 or len(graph.etypes) > 1:
        raise GraphKitError(
            f"the graph has node types {graph.ntypes} and edge types {graph.etypes}; make it one typed graph first "
            "with graphkit.graphs.to_typed"
        )
    return graph


def raw_of_graph(graph: dgl.DGLGraph, labels: Any = None, stream: bool = False) -> tuple[Raw, dict[str, Tensor]]:
    """Return a graph as Raw, and its train, val and test masks where it has them.

    Of a stream, an event and a later one that runs the other way are two events, not one undirected edge.
    """
    if is_hypergraph(graph):
        return _raw_of_hypergraph(graph, labels), {}
    graph = _homogeneous(graph)
    collated = Collated.from_graphs([graph])
    fields = collated.node_fields
    masks = {part: fields.pop(name).bool() for part, name in MASKS.items() if name in fields}
    if labels is not None:
        fields["label"] = label_tensor(labels, graph.num_nodes(), "nodes")
    elif "label" in fields:
        fields["label"] = label_tensor(fields["label"], graph.num_nodes(), "nodes")
    twin = collated.edge_fields.get("reverse_id")
    if twin is None and not stream:
        twin = twins(collated.src, collated.dst, graph.num_nodes())
        if twin is not None:
            collated.edge_fields["reverse_id"] = twin
    return Raw(collated, undirected=twin is not None), masks if "train" in masks else {}


def _raw_of_hypergraph(graph: dgl.DGLGraph, labels: Any) -> Raw:
    if labels is not None:
        graph = graph.local_var()
        graph.nodes["node"].data["label"] = label_tensor(labels, graph.num_nodes("node"), "nodes")
    src, dst, fields = flatten(graph)
    if "hyperedge_time" in fields:  # hyperedges are put in the order of time
        first = graph.num_nodes("node")
        order = torch.cat([torch.arange(first), first + time_order(fields["hyperedge_time"][first:])])
        fields = {name: value[order] for name, value in fields.items()}
        dst = torch.argsort(order)[dst]
    collated = Collated.from_edges(src, dst, torch.tensor([len(fields["ntype"])]), fields)
    return Raw(collated, names={"ntype": list(NTYPES)}, undirected=False)


def raw_of_graphs(graphs: Sequence[dgl.DGLGraph], labels: Any = None) -> Raw:
    """Return a list of graphs as Raw."""
    collated = Collated.from_graphs([_homogeneous(graph) for graph in graphs])
    if labels is not None:
        collated.graph_fields["label"] = label_tensor(labels, len(graphs), "graphs")
    shift = torch.repeat_interleave(collated.node_offsets[:-1], collated.edge_counts)
    twin = twins(collated.src + shift, collated.dst + shift, collated.num_nodes)
    if twin is not None and "reverse_id" not in collated.edge_fields:
        first = torch.repeat_interleave(collated.edge_offsets[:-1], collated.edge_counts)
        collated.edge_fields["reverse_id"] = twin - first
    return Raw(collated, undirected=twin is not None)
