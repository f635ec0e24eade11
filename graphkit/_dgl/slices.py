"""The relations of a heterograph, each cut out once, so that what is cached for one stays."""

from __future__ import annotations

import weakref

import dgl

_SLICES: dict[int, dict[str, dgl.DGLGraph]] = {}


def relations(graph: dgl.DGLGraph) -> dict[str, dgl.DGLGraph]:
    """Return each relation of a heterograph by its edge type; the same objects until the graph changes.

    ``graph["rel"]`` makes a new graph at each access, for which every index would be built again.

    Examples
    --------
    >>> import graphkit
    >>> graph = dgl.heterograph({("a", "to", "b"): ([0], [1])})
    >>> relations(graph)["to"] is relations(graph)["to"]
    True
    """
    key = id(graph._graph)
    if key not in _SLICES:
        _SLICES[key] = {name: graph[name] for name in graph.etypes}
        weakref.finalize(graph._graph, _SLICES.pop, key, None)
    return _SLICES[key]
