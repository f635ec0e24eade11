"""The relations of a heterograph, each cut out once, so that what is cached for one stays."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import dgl

_SLICES: dict[int, dict[str, dgl.DGLGraph]] = {}
_DERIVED: dict[tuple[int, str], dgl.DGLGraph] = {}


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


def derived(graph: dgl.DGLGraph, name: str, make: Callable[[dgl.DGLGraph], dgl.DGLGraph]) -> dgl.DGLGraph:
    """Return ``make(graph)``; the same object, under its name, until the graph changes.

    >>> import graphkit
    >>> graph = dgl.graph(([0], [1]))
    >>> derived(graph, "turned", dgl.reverse) is derived(graph, "turned", dgl.reverse)
    True
    """
    key = id(graph._graph), name
    if key not in _DERIVED:
        _DERIVED[key] = make(graph)
        weakref.finalize(graph._graph, _DERIVED.pop, key, None)
    return _DERIVED[key]
