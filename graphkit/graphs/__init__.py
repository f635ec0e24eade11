"""Anything becomes a DGLGraph: converters, nearest-neighbour graphs, molecules."""

from graphkit.graphs.build import graph, undirect

__all__ = [
    "graph",
    "undirect",
]
