"""Pools: from the nodes of each graph of a batch to one row per graph, or to a smaller graph.

``pool(graph, feat [N, D]) -> [B, D']``; those with the trait ``changes_graph`` return a :class:`Pooled`.
"""

from graphkit.nn.pool.asap import ASAPool
from graphkit.nn.pool.attentive import HopfieldPool, SparsemaxPool
from graphkit.nn.pool.cluster import DiffPool, MinCutPool
from graphkit.nn.pool.coarsen import GraphPool, Pooled
from graphkit.nn.pool.edges import DualConv, HyperCluster, HyperDrop
from graphkit.nn.pool.select import SAGPool, TopKPool
from graphkit.nn.pool.set2set import Set2Set
from graphkit.nn.pool.simple import AttentionPool, MaxPool, MeanPool, Pool, SumPool
from graphkit.nn.pool.sort import SortPool

__all__ = [
    "ASAPool",
    "AttentionPool",
    "DiffPool",
    "DualConv",
    "GraphPool",
    "HopfieldPool",
    "HyperCluster",
    "HyperDrop",
    "MaxPool",
    "MeanPool",
    "MinCutPool",
    "Pool",
    "Pooled",
    "SAGPool",
    "Set2Set",
    "SortPool",
    "SparsemaxPool",
    "SumPool",
    "TopKPool",
]
