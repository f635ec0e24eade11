"""A graph with other edges or one more field, its other fields and its batch kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    import dgl


def with_edges(graph: dgl.DGLGraph, src: Tensor, dst: Tensor, edge_fields: Mapping[str, Tensor]) -> dgl.DGLGraph:
    """Return the graph with these edges instead; nodes, node fields and the batch stay.

    In a batched graph the edges of one graph are put together, in the order given, and ``reverse_id`` follows.

    Parameters
    ----------
    graph : dgl.DGLGraph
    src, dst : Tensor
        int64 ``[E']``.
    edge_fields : mapping of str to Tensor
        ``[E', ...]`` each.

    Examples
    --------
    >>> import graphkit, dgl
    >>> with_edges(dgl.graph(([0], [1])), torch.tensor([1]), torch.tensor([0]), {}).edges()[0].tolist()
    [1]
    """
    from graphkit import _dgl

    fields, sizes = dict(edge_fields), None
    if graph.batch_size > 1:
        counts = graph.batch_num_nodes()
        owner = torch.repeat_interleave(torch.arange(len(counts)), counts)[dst]
        order = torch.argsort(owner, stable=True)
        src, dst = src[order], dst[order]
        fields = {name: value[order] for name, value in fields.items()}
        if "reverse_id" in fields:
            fields["reverse_id"] = torch.argsort(order)[fields["reverse_id"]]
        sizes = torch.bincount(owner, minlength=len(counts))
    made = _dgl.from_arrays(src, dst, graph.num_nodes())
    if sizes is not None:
        made.set_batch_num_nodes(graph.batch_num_nodes())
        made.set_batch_num_edges(sizes)
    made.ndata.update(graph.ndata)
    made.edata.update(fields)
    return made


def with_field(graph: dgl.DGLGraph, name: str, value: Tensor) -> dgl.DGLGraph:
    """Return the graph with the node field ``name``; a new ``feat`` is appended to the columns of the old one.

    Parameters
    ----------
    graph : dgl.DGLGraph
    name : str
    value : Tensor
        ``[N, D]``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g = with_field(dgl.graph(([0], [1])), "feat", torch.ones(2, 1))
    >>> tuple(with_field(g, "feat", torch.ones(2, 2)).ndata["feat"].shape)
    (2, 3)
    """
    made = graph.local_var()
    if name == "feat" and "feat" in made.ndata:
        value = torch.cat([made.ndata["feat"].float(), value], dim=1)
    made.ndata[name] = value
    return made


def homogeneous(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the graph if it has one node and edge type.

    Raises
    ------
    GraphKitError
        If it is a heterograph.
    """
    if not graph.is_homogeneous:
        raise GraphKitError(
            f"expected a homogeneous graph, got {len(graph.ntypes)} node and {len(graph.etypes)} edge types; "
            "use graphkit.graphs.to_typed first"
        )
    return graph
