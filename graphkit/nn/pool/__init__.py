"""Pools: from the nodes of each graph of a batch to one row per graph, ``pool(graph, feat [N, D]) -> [B, D']``."""

from graphkit.nn.pool.set2set import Set2Set
from graphkit.nn.pool.simple import AttentionPool, MaxPool, MeanPool, Pool, SumPool

__all__ = ["AttentionPool", "MaxPool", "MeanPool", "Pool", "Set2Set", "SumPool"]
