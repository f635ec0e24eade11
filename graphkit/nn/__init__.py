"""Layers, pools and the base classes of encoders and models."""

from graphkit.nn.arma import ARMAConv
from graphkit.nn.dropout import Dropout
from graphkit.nn.gat import GATConv, GATv2Conv
from graphkit.nn.gcn import GCNConv, Propagation
from graphkit.nn.gcn2 import GCN2Conv
from graphkit.nn.gin import GINConv, GINEConv
from graphkit.nn.graph_norm import GraphNorm, LayerNorm, PairNorm
from graphkit.nn.layer import Layer
from graphkit.nn.mlp import MLP
from graphkit.nn.model import Encoder, Model, NodeEmbedding
from graphkit.nn.norm import BatchNorm
from graphkit.nn.polynomial import ChebConv, MixHopConv, SGConv, TAGConv
from graphkit.nn.pool import AttentionPool, MaxPool, MeanPool, Pool, Set2Set, SumPool
from graphkit.nn.propagate import APPNPConv, DAGNNConv
from graphkit.nn.rgcn import RelGraphConv
from graphkit.nn.sage import SAGEConv

__all__ = [
    "TAGConv",
    "SGConv",
    "MixHopConv",
    "ChebConv",
    "GCN2Conv",
    "ARMAConv",
    "MLP",
    "APPNPConv",
    "AttentionPool",
    "BatchNorm",
    "DAGNNConv",
    "Dropout",
    "Encoder",
    "GATConv",
    "GATv2Conv",
    "GCNConv",
    "GINConv",
    "GINEConv",
    "GraphNorm",
    "Layer",
    "LayerNorm",
    "MaxPool",
    "MeanPool",
    "Model",
    "NodeEmbedding",
    "PairNorm",
    "Pool",
    "Propagation",
    "RelGraphConv",
    "SAGEConv",
    "Set2Set",
    "SumPool",
]
