"""Hypergraph layers on the incidence graph, a heterograph of nodes and hyperedges; its dual swaps the two."""

from graphkit.nn.hyper.allset import AllDeepSetsConv, AllSetTransformerConv
from graphkit.nn.hyper.base import HyperLayer
from graphkit.nn.hyper.mediators import HyperGCNConv
from graphkit.nn.hyper.spectral import HCHAConv, HGNNConv, HNHNConv
from graphkit.nn.hyper.uni import UniGATConv, UniGCNConv, UniGINConv, UniSAGEConv

__all__ = [
    "AllDeepSetsConv",
    "AllSetTransformerConv",
    "HCHAConv",
    "HGNNConv",
    "HNHNConv",
    "HyperGCNConv",
    "HyperLayer",
    "UniGATConv",
    "UniGCNConv",
    "UniGINConv",
    "UniSAGEConv",
]
