"""Neural Graphs: Learning Equivariant Representations of Neural Networks (Kofinas et al., ICLR 2024), 2403.12143."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.batch import Batch, Encoded
from graphkit.core.registry import Reported, register
from graphkit.models.weights.common import Waves, WeightEncoder, turned, weigh
from graphkit.models.weights.probes import probes_for, without_weights
from graphkit.nn.dropout import Dropout

if TYPE_CHECKING:
    import dgl

AGGREGATORS = ("mean", "min", "max", "std")


class ModulatedPNA(nn.Module):
    """Messages scaled and shifted by the edge, aggregated in four ways: ``m = s(e) * phi([x_i, x_j]) + t(e)``.

    ``x' = act(norm(x + U [x, {mean, min, max, std} x {1, log(d + 1) / delta}]))``, for the edges that come in and, with
    maps of their own, for those that go out.

    Parameters
    ----------
    hidden : int
    delta : float, default 2.0
        What the logarithm of degrees is divided by.
    dropout : float, default 0.0

    Examples
    --------
    >>> import graphkit, dgl
    >>> graph = dgl.graph(([0], [1]))
    >>> ModulatedPNA(4)(graph, turned(graph), torch.ones(2, 4), torch.ones(1, 4)).shape
    torch.Size([2, 4])
    """

    def __init__(self, hidden: int, delta: float = 2.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.delta, self.dropout = delta, Dropout(dropout)
        self.of_src, self.of_dst = nn.Linear(hidden, 2 * hidden), nn.Linear(hidden, 2 * hidden, bias=False)
        self.modulate = nn.Linear(hidden, 4 * hidden)  # s and t, ahead and back
        self.update = nn.Linear((1 + 4 * len(AGGREGATORS)) * hidden, hidden)
        self.norm = nn.LayerNorm(hidden)

    def heard(self, graph: dgl.DGLGraph, message: Tensor, like: Tensor) -> Tensor:
        """Return all aggregates of the messages that come in, ``[N, 8 hidden]``."""
        found = ops.edge_multi_reduce(graph, message, AGGREGATORS).flatten(1)
        factor = torch.log1p(ops.degrees(graph, "in", like=like)).unsqueeze(-1) / self.delta
        return torch.cat([found, found * factor], dim=-1)

    def forward(
        self, graph: dgl.DGLGraph, back: dgl.DGLGraph, node: Tensor, edge: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return new rows of nodes ``[N, hidden]``."""
        both = F.silu(ops.sddmm(graph, self.of_src(node), self.of_dst(node), "add"))  # [E, 2 hidden]
        scale, shift = self.modulate(edge).chunk(2, dim=-1)
        message = weigh(scale * both + shift, edge_weight)
        ahead, behind = message.chunk(2, dim=-1)
        parts = [node, self.heard(graph, ahead.contiguous(), node), self.heard(back, behind.contiguous(), node)]
        return self.dropout(F.silu(self.norm(node + self.update(torch.cat(parts, dim=-1)))))


class EdgeUpdate(nn.Module):
    """New rows of edges from their own and their ends': ``e' = e + V silu(W e + A x_u + B x_v)``.

    Parameters
    ----------
    hidden : int

    Examples
    --------
    >>> import graphkit, dgl
    >>> EdgeUpdate(4)(dgl.graph(([0], [1])), torch.ones(2, 4), torch.ones(1, 4)).shape
    torch.Size([1, 4])
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.own, self.out = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.of_src, self.of_dst = nn.Linear(hidden, hidden, bias=False), nn.Linear(hidden, hidden, bias=False)

    def forward(self, graph: dgl.DGLGraph, node: Tensor, edge: Tensor) -> Tensor:
        """Return ``[E, hidden]``."""
        return edge + self.out(F.silu(self.own(edge) + ops.sddmm(graph, self.of_src(node), self.of_dst(node), "add")))


@register(
    "neural-graphs",
    level="graph",
    title="Graph Neural Networks for Learning Equivariant Representations of Neural Networks",
    arxiv="2403.12143",
    reported=[
        Reported("mnist-inr", "accuracy", 91.40, protocol="NG-GNN without probes, 3 seeds", source="read"),
        Reported("fashion-mnist-inr", "accuracy", 68.00, protocol="NG-GNN without probes, 3 seeds", source="read"),
        Reported("cifar10-gs", "kendall", 0.930, protocol="NG-GNN, Small CNN Zoo"),
        Reported("cnn-wild-park", "kendall", 0.804, protocol="NG-GNN"),
    ],
    levels=("graph",),
    remove_targets=False,
    try_on="digits-networks",
    fit={"graph": {"lr": 0.001, "weight_decay": 5e-4, "epochs": 100, "batch_size": 32, "clip": 10.0}},
)
class NeuralGraph(WeightEncoder):
    """NG-GNN: principal neighbourhood aggregation over neurons, modulated by rows of the weights between them.

    Biases (and norms) lie on neurons and weights on edges, a kernel's side by side (the form ``kernels`` of
    :func:`graphkit.graphs.from_module`). Messages run both ways. The readout takes means over all neurons, outputs and
    weights, so that networks of any shape can be read; the paper's concatenates the last layer. ``readout="outputs"``
    gives a score to each output neuron instead, where classes are the networks' own outputs. Edges keep what they had
    when they are updated.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        Not used; the head reads rows of width ``hidden``.
    hidden : int, default 32
    num_layers : int, default 4
    edge_feats, num_rels : int, default 0
        Width of the weights on an edge and types of edges; taken from the data by ``build``.
    dropout : float, default 0.0
    sigma : float, default 1.0
        Deviation of the frequencies of the sines.
    delta : float, default 2.0
        What the logarithm of degrees is divided by.
    num_probes, num_inputs : int, default 0
        Learned inputs that the networks are run on, whose answers are added to the rows of neurons, and how many
        numbers an input has; perceptrons without norms only, see :class:`~graphkit.models.weights.probes.Probes`.
    read_weights : bool, default True
        False leaves the probes alone to tell one network from another.

    Examples
    --------
    >>> import graphkit, dgl
    >>> batch = Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), torch.ones(2, 1))
    >>> NeuralGraph(4, edge_feats=1)(batch).node.shape
    torch.Size([3, 32])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None = None, hidden: int = 32, num_layers: int = 4, edge_feats: int = 0,
        num_rels: int = 0, dropout: float = 0.0, sigma: float = 1.0, delta: float = 2.0, num_probes: int = 0,
        num_inputs: int = 0, read_weights: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.out_width, self.num_layers = in_feats, hidden, num_layers
        self.node_in, self.edge_in = nn.Linear(in_feats, hidden), Waves(edge_feats, hidden, num_rels, sigma)
        self.layers = nn.ModuleList(ModulatedPNA(hidden, delta, dropout) for _ in range(num_layers))
        self.updates = nn.ModuleList(EdgeUpdate(hidden) for _ in range(num_layers - 1))
        self.probes = probes_for(num_probes, num_inputs, hidden)
        self.read_weights = read_weights

    def forward(self, batch: Batch) -> Encoded:
        """Return rows of neurons ``[N, hidden]`` and of weights ``[E, hidden]``."""
        graph, back = batch.graph, turned(batch.graph)
        seen = batch if self.read_weights else without_weights(batch)
        node, edge = self.node_in(seen.feat), self.edge_in(seen)
        if self.probes is not None:
            node = node + self.probes(batch)
        for i, layer in enumerate(self.layers):
            node = layer(graph, back, node, edge, batch.edge_weight)
            if i < len(self.updates):
                edge = self.updates[i](graph, node, edge)
        return Encoded(graph, node, edge)
