"""Layers, pools and the base classes of encoders and models."""

from graphkit.nn.arma import ARMAConv
from graphkit.nn.cognn import ActionNet, CoGNNConv
from graphkit.nn.compgcn import CompGCNConv
from graphkit.nn.directed import DirConv, MagNetConv
from graphkit.nn.dropout import Dropout
from graphkit.nn.edge import CFConv, EdgeConv, NNConv
from graphkit.nn.fa import FAConv
from graphkit.nn.gat import GATConv, GATv2Conv
from graphkit.nn.gated import GatedGCNConv
from graphkit.nn.gcn import GCNConv, Propagation
from graphkit.nn.gcn2 import GCN2Conv
from graphkit.nn.gen import GENConv
from graphkit.nn.gin import GINConv, GINEConv
from graphkit.nn.global_attention import GraphAttention, PerformerAttention, VirtualNode
from graphkit.nn.graph_norm import GraphNorm, LayerNorm, PairNorm
from graphkit.nn.h2gcn import H2GCNConv
from graphkit.nn.hgt import HGTConv
from graphkit.nn.hyper import (
    AllDeepSetsConv,
    AllSetTransformerConv,
    HCHAConv,
    HGNNConv,
    HNHNConv,
    HyperGCNConv,
    HyperLayer,
    UniGATConv,
    UniGCNConv,
    UniGINConv,
    UniSAGEConv,
)
from graphkit.nn.layer import Layer
from graphkit.nn.linkx import LINKXConv
from graphkit.nn.mlp import MLP
from graphkit.nn.model import Encoder, Model, NodeEmbedding
from graphkit.nn.norm import BatchNorm
from graphkit.nn.pna import PNAConv
from graphkit.nn.polynomial import ChebConv, MixHopConv, SGConv, TAGConv
from graphkit.nn.pool import (
    ASAPool,
    AttentionPool,
    DiffPool,
    DualConv,
    GraphPool,
    HopfieldPool,
    HyperCluster,
    HyperDrop,
    MaxPool,
    MeanPool,
    MinCutPool,
    Pool,
    Pooled,
    SAGPool,
    Set2Set,
    SortPool,
    SparsemaxPool,
    SumPool,
    TopKPool,
)
from graphkit.nn.propagate import APPNPConv, DAGNNConv
from graphkit.nn.rgat import RelGATConv
from graphkit.nn.rgcn import RelGraphConv
from graphkit.nn.sage import SAGEConv
from graphkit.nn.sheaf import RestrictionMaps, SheafConv, SheafLaplacian
from graphkit.nn.sinkhorn import log_sinkhorn
from graphkit.nn.sir import SIRConv
from graphkit.nn.transformer import TransformerConv
from graphkit.nn.typed import TypedLinear

__all__ = [
    "APPNPConv",
    "ARMAConv",
    "ASAPool",
    "ActionNet",
    "AllDeepSetsConv",
    "AllSetTransformerConv",
    "AttentionPool",
    "BatchNorm",
    "CFConv",
    "ChebConv",
    "CoGNNConv",
    "CompGCNConv",
    "DAGNNConv",
    "DiffPool",
    "DualConv",
    "DirConv",
    "Dropout",
    "EdgeConv",
    "Encoder",
    "FAConv",
    "GATConv",
    "GATv2Conv",
    "GCN2Conv",
    "GCNConv",
    "GENConv",
    "GINConv",
    "GINEConv",
    "GatedGCNConv",
    "GraphAttention",
    "GraphNorm",
    "GraphPool",
    "H2GCNConv",
    "HCHAConv",
    "HGNNConv",
    "HGTConv",
    "HNHNConv",
    "HopfieldPool",
    "HyperCluster",
    "HyperDrop",
    "HyperGCNConv",
    "HyperLayer",
    "LINKXConv",
    "Layer",
    "LayerNorm",
    "MLP",
    "MagNetConv",
    "MaxPool",
    "MeanPool",
    "MinCutPool",
    "MixHopConv",
    "Model",
    "NNConv",
    "NodeEmbedding",
    "PNAConv",
    "PairNorm",
    "PerformerAttention",
    "Pool",
    "Pooled",
    "Propagation",
    "RelGATConv",
    "RelGraphConv",
    "RestrictionMaps",
    "SAGEConv",
    "SAGPool",
    "SGConv",
    "SIRConv",
    "Set2Set",
    "SheafConv",
    "SheafLaplacian",
    "SortPool",
    "SparsemaxPool",
    "SumPool",
    "TAGConv",
    "TopKPool",
    "TransformerConv",
    "TypedLinear",
    "UniGATConv",
    "UniGCNConv",
    "UniGINConv",
    "UniSAGEConv",
    "VirtualNode",
    "log_sinkhorn",
]
