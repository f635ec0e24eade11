"""Transforms that change which edges a graph has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.registry import register
from graphkit.graphs.build import undirect
from graphkit.transforms.rebuild import homogeneous, with_edges

if TYPE_CHECKING:
    import dgl


@register("add-self-loops", kind="transform", title="A loop on every node")
@dataclass
class AddSelfLoops:
    r"""Give every node that has no self-loop one, behind the edges that are there.

    .. math:: E' = E \cup \{(v, v) : v \in V\}

    On the new edges ``weight`` is ``fill``, ``time`` the latest, ``etype`` one relation more, ``reverse_id`` the loop
    itself, and every other field 0. Layers such as GCNConv add their own loops; graphs need this only for others.

    Parameters
    ----------
    fill : float
        Weight of the new loops, where edges have weights.

    Examples
    --------
    >>> import graphkit, dgl
    >>> AddSelfLoops()(dgl.graph(([0, 1], [1, 1]))).edges()[0].tolist()
    [0, 1, 0]
    """

    fill: float = 1.0

    def __call__(self, graph: dgl.DGLGraph) -> dgl.DGLGraph:
        """Return the graph with self-loops."""
        src, dst = homogeneous(graph).edges(order="eid")
        bare = torch.ones(graph.num_nodes(), dtype=torch.bool)
        bare[dst[src == dst]] = False
        loops = bare.nonzero()[:, 0]
        fields = {name: torch.cat([value, self._rows(name, value, len(loops))]) for name, value in graph.edata.items()}
        return with_edges(graph, torch.cat([src, loops]), torch.cat([dst, loops]), fields)

    def _rows(self, name: str, value: Tensor, count: int) -> Tensor:
        if name == "reverse_id":
            return torch.arange(len(value), len(value) + count)
        rows = value.new_zeros((count, *value.shape[1:]))
        if name == "weight":
            rows = rows + self.fill
        elif name in ("time", "etype") and len(value):
            rows = rows + value.max() + (name == "etype")
        return rows.to(value.dtype)


@register("remove-self-loops", kind="transform", title="No loops")
@dataclass
class RemoveSelfLoops:
    r"""Drop all self-loops.

    .. math:: E' = \{(u, v) \in E : u \ne v\}

    Examples
    --------
    >>> import graphkit, dgl
    >>> RemoveSelfLoops()(dgl.graph(([0, 1], [1, 1]))).num_edges()
    1
    """

    def __call__(self, graph: dgl.DGLGraph) -> dgl.DGLGraph:
        """Return the graph without self-loops."""
        src, dst = homogeneous(graph).edges(order="eid")
        keep = src != dst
        fields = {name: value[keep] for name, value in graph.edata.items()}
        if "reverse_id" in fields:
            place = torch.cumsum(keep, 0) - 1
            fields["reverse_id"] = place[fields["reverse_id"]]
        return with_edges(graph, src[keep], dst[keep], fields)


@register("add-reverse-edges", kind="transform", title="Both directions of every edge")
@dataclass
class AddReverseEdges:
    r"""Store both directions of every edge, once each, with ``reverse_id``.

    .. math:: E' = \{(u, v) : (u, v) \in E \text{ or } (v, u) \in E\}

    Edge fields go to both directions; see :func:`graphkit.graphs.undirect`.

    Examples
    --------
    >>> import graphkit, dgl
    >>> AddReverseEdges()(dgl.graph(([0, 1], [1, 2]))).edata["reverse_id"].tolist()
    [1, 0, 3, 2]
    """

    def __call__(self, graph: dgl.DGLGraph) -> dgl.DGLGraph:
        """Return the undirected graph."""
        src, dst = homogeneous(graph).edges(order="eid")
        src, dst, fields = undirect(src, dst, dict(graph.edata), graph.num_nodes())
        return with_edges(graph, src, dst, fields)


@register("compose", kind="transform", title="One after the other")
@dataclass
class Compose:
    """Apply transforms one after the other.

    Parameters
    ----------
    transforms : sequence of callables
        Each from a DGLGraph to a DGLGraph.

    Examples
    --------
    >>> import graphkit, dgl
    >>> Compose([AddReverseEdges(), AddSelfLoops()])(dgl.graph(([0], [1]))).num_edges()
    4
    """

    transforms: Sequence[Callable[[dgl.DGLGraph], dgl.DGLGraph]]

    def __call__(self, graph: dgl.DGLGraph) -> dgl.DGLGraph:
        """Return the graph after the last transform."""
        for transform in self.transforms:
            graph = transform(graph)
        return graph
