"""What is timed: for each layer, GraphKit's, DGL's and PyG's own of the same work, and the sizes they run at.

Self-loops are left out everywhere so that all do the same work; peers run as they come otherwise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import dgl
import dgl.nn as dnn
import torch
from torch import Tensor, nn

from graphkit import nn as gk

#: No process of the suite may ask for more than this; a layer that does is a row that says so.
MEMORY_LIMIT = 16 * 2**30


@dataclass(frozen=True)
class Size:
    """How much there is to do: nodes, edges, columns in and out, heads, columns of edge features, graphs."""

    name: str
    nodes: int
    edges: int
    d_in: int
    d_out: int = 64
    heads: int = 8
    edge_feats: int = 16
    graphs: int = 1


SIZES = {
    size.name: size
    for size in (
        Size("small", 2_700, 13_000, 1_433),
        Size("medium", 40_000, 640_000, 128),
        Size("large", 170_000, 2_400_000, 128),
        Size("molecules", 256 * 25, 256 * 54, 64, graphs=256),
        Size("medium-8x16", 40_000, 640_000, 128, d_out=128),
    )
}


class Inputs:
    """A random graph of a size in the forms that the libraries read, with features."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.size = size
        per_graph = size.nodes // size.graphs
        shift = torch.arange(size.graphs).repeat_interleave(size.edges // size.graphs) * per_graph
        self.edge_index = torch.randint(0, per_graph, (2, size.edges)) + shift  # [2, E]
        self.graph = dgl.graph((self.edge_index[0], self.edge_index[1]), num_nodes=size.nodes)
        self.graph.create_formats_()
        self.x = torch.randn(size.nodes, size.d_in, requires_grad=True)
        self.h = torch.randn(size.nodes, size.d_out, requires_grad=True)
        self.e = torch.randn(size.edges, size.edge_feats, requires_grad=True)

    @cached_property
    def adjacency(self) -> Tensor:
        """PyG's sparse form: transposed adjacency in CSR."""
        warnings.filterwarnings("ignore", message="Sparse")
        values = torch.ones(self.size.edges)
        shape = (self.size.nodes, self.size.nodes)
        return torch.sparse_coo_tensor(self.edge_index.flip(0), values, shape).to_sparse_csr()

    @cached_property
    def degree_counts(self) -> Tensor:
        """How many nodes have each in-degree, which PyG's PNA asks for."""
        return torch.bincount(self.graph.in_degrees())

    @cached_property
    def delta(self) -> float:
        """Mean of ``log(d + 1)``, which PNA divides by."""
        return gk.pna.log_degree(self.graph)


def step(module: nn.Module, *args: object) -> Callable[[], None]:
    """A closure that runs a layer forwards and backwards, for the gradients of its inputs and parameters."""
    wanted = [a for a in args if isinstance(a, Tensor) and a.requires_grad] + list(module.parameters())

    def run() -> None:
        out = module(*args)
        out = out if isinstance(out, Tensor) else sum(part.sum() for part in parts(out))
        torch.autograd.grad(out.sum(), wanted, allow_unused=True)

    return run


def parts(out: object) -> tuple[Tensor, ...]:
    """The tensors of what a layer returned."""
    return tuple(out) if isinstance(out, tuple) else (out.node, out.edge)  # type: ignore[attr-defined]


def ours(module: nn.Module, inputs: Inputs, *feats: Tensor) -> Callable[[], None]:
    """GraphKit's and DGL's order of arguments."""
    return step(module, inputs.graph, *feats)


def theirs(module: nn.Module, inputs: Inputs, feat: Tensor, edge_feat: Tensor | None = None) -> Callable[[], None]:
    """PyG's order of arguments."""
    return step(module, feat, inputs.edge_index, *(() if edge_feat is None else (edge_feat,)))


def csr(module: nn.Module, inputs: Inputs, feat: Tensor) -> Callable[[], None]:
    """PyG with the adjacency as a sparse matrix, where the layer takes one."""
    return step(module, feat, inputs.adjacency)


class Twice(nn.Module):
    """A layer that takes the first layer's features beside its own, given the same for both."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, first: object, second: object) -> Tensor:
        """DGL: ``(graph, feat)``; PyG: ``(feat, edge_index)``."""
        if isinstance(first, Tensor):
            return self.layer(first, first, second)
        return self.layer(first, second, second)


class Cheb(nn.Module):
    """DGL's ChebConv with the greatest eigenvalue given, so that nobody computes it."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layer = dnn.ChebConv(*widths, activation=None)

    def forward(self, graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
        """As ours."""
        return self.layer(graph, feat, [2.0])


def edge_network(size: Size) -> nn.Module:
    """What NNConv makes a matrix of for each edge."""
    return nn.Linear(size.edge_feats, size.d_out * size.d_out)


def linear(size: Size) -> nn.Linear:
    """Width in to width out."""
    return nn.Linear(size.d_in, size.d_out)


AGGREGATORS, SCALERS = ["mean", "min", "max", "std"], ["identity", "amplification", "attenuation"]
