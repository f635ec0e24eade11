"""NG-T: Learning Equivariant Representations of Neural Networks by a transformer (Kofinas et al., 2024), 2403.12143."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.batch import Batch, Encoded
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.models.weights.common import Waves, WeightEncoder
from graphkit.models.weights.probes import probes_for, without_weights
from graphkit.nn.dropout import Dropout


class RelationalBlock(nn.Module):
    r"""Attention between all neurons of a network, which reads the weights between them, and an update of these.

    .. math:: q_{ij} = W_q x_i + U_q e_{ij},\; k_{ij} = W_k x_j + U_k e_{ij},\;
              v_{ij} = (W_v x_j) \odot (U_s e_{ij}) + U_v e_{ij}

    Scores are ``q k / sqrt(attention)`` in each head, without regard to which neurons are joined. Residuals come before
    layer norms, for neurons and for pairs, whose update reads both directions and both ends.

    Parameters
    ----------
    hidden, edge_hidden : int
        Widths of the rows of neurons and of pairs.
    attention : int
        Total width of all heads.
    num_heads : int
    dropout : float, default 0.0

    Examples
    --------
    >>> block = RelationalBlock(8, 4, 8, 2)
    >>> [x.shape for x in block(torch.ones(1, 3, 8), torch.ones(1, 3, 3, 4), torch.ones(1, 3, dtype=torch.bool))]
    [torch.Size([1, 3, 8]), torch.Size([1, 3, 3, 4])]
    """

    def __init__(self, hidden: int, edge_hidden: int, attention: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads, self.attention = num_heads, attention
        self.of_node, self.of_pair = nn.Linear(hidden, 3 * attention), nn.Linear(edge_hidden, 4 * attention)
        self.out = nn.Linear(attention, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.wide, self.narrow = nn.Linear(hidden, 2 * hidden), nn.Linear(2 * hidden, hidden)
        self.pairs = PairUpdate(hidden, edge_hidden)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, e: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return new rows ``[B, n, hidden]`` and ``[B, n, n, edge_hidden]``; ``mask [B, n]`` says where neurons are."""
        q, k, v = self.of_node(x).chunk(3, dim=-1)
        q_e, k_e, scale, shift = self.of_pair(e).chunk(4, dim=-1)
        both = (q.unsqueeze(2) + q_e) * (k.unsqueeze(1) + k_e)  # [B, n, n, attention]
        score = both.unflatten(-1, (self.num_heads, -1)).sum(-1) / math.sqrt(self.attention)
        score = score.masked_fill(~mask[:, None, :, None], torch.finfo(score.dtype).min).softmax(2)
        value = (v.unsqueeze(1) * scale + shift).unflatten(-1, (self.num_heads, -1))
        heard = torch.einsum("bijh,bijhd->bihd", score, value).flatten(2)
        x = self.norms[0](x + self.dropout(self.out(heard)))
        x = self.norms[1](x + self.dropout(self.narrow(F.gelu(self.wide(x)))))
        return x, self.pairs(x, e)


class PairUpdate(nn.Module):
    """New rows of pairs: ``e' = norm(e + MLP([e_ij, e_ji, x_i, x_j]))``, then ``norm(e' + MLP(e'))``.

    Parameters
    ----------
    hidden, edge_hidden : int

    Examples
    --------
    >>> PairUpdate(8, 4)(torch.ones(1, 3, 8), torch.ones(1, 3, 3, 4)).shape
    torch.Size([1, 3, 3, 4])
    """

    def __init__(self, hidden: int, edge_hidden: int) -> None:
        super().__init__()
        self.own, self.other = nn.Linear(edge_hidden, edge_hidden), nn.Linear(edge_hidden, edge_hidden, bias=False)
        self.of_src, self.of_dst = (nn.Linear(hidden, edge_hidden, bias=False) for _ in range(2))
        self.out = nn.Linear(edge_hidden, edge_hidden)
        self.wide, self.narrow = nn.Linear(edge_hidden, 2 * edge_hidden), nn.Linear(2 * edge_hidden, edge_hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(edge_hidden) for _ in range(2))

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Return ``[B, n, n, edge_hidden]``."""
        ends = self.of_src(x).unsqueeze(2) + self.of_dst(x).unsqueeze(1)
        e = self.norms[0](e + self.out(F.gelu(self.own(e) + self.other(e.transpose(1, 2)) + ends)))
        return self.norms[1](e + self.narrow(F.gelu(self.wide(e))))


@register(
    "neural-graphs-t",
    level="graph",
    title="Graph Neural Networks for Learning Equivariant Representations of Neural Networks",
    arxiv="2403.12143",
    reported=[
        Reported("cifar10-gs", "kendall", 0.935, protocol="NG-T, Small CNN Zoo"),
        Reported("cnn-wild-park", "kendall", 0.817, protocol="NG-T"),
    ],
    levels=("graph",),
    remove_targets=False,
    try_on="digits-networks",
    example={"hidden": 8, "edge_hidden": 4, "attention": 8, "num_heads": 2, "num_layers": 2},
    declines={"edge_weight": "every neuron hears every other, joined or not"},
    fit={"graph": {"lr": 0.001, "weight_decay": 5e-4, "epochs": 100, "batch_size": 16, "clip": 10.0}},
)
class NeuralGraphTransformer(WeightEncoder):
    """NG-T: a relational transformer over all pairs of neurons of a network; time and memory grow as their number.

    Biases (and norms) lie on neurons and weights on pairs, in both directions; edges between the same two neurons are
    added. The readout is that of ``neural-graphs``, ``readout="outputs"`` and probes included.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        Not used; the head reads rows of width ``hidden``.
    hidden, edge_hidden : int, default 64, 32
        Widths of the rows of neurons and of pairs.
    attention, num_heads : int, default 128, 8
        Total width of the heads, and how many there are.
    num_layers : int, default 4
    edge_feats, num_rels : int, default 0
        Width of the weights on an edge and types of edges; taken from the data by ``build``.
    dropout : float, default 0.0
    sigma : float, default 1.0
        Deviation of the frequencies of the sines.
    num_probes, num_inputs, read_weights
        As in ``neural-graphs``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> batch = Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), torch.ones(2, 1))
    >>> NeuralGraphTransformer(4, edge_feats=1)(batch).node.shape
    torch.Size([3, 64])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None = None, hidden: int = 64, edge_hidden: int = 32,
        attention: int = 128, num_heads: int = 8, num_layers: int = 4, edge_feats: int = 0, num_rels: int = 0,
        dropout: float = 0.0, sigma: float = 1.0, num_probes: int = 0, num_inputs: int = 0, read_weights: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if attention % num_heads:
            raise GraphKitError(f"attention={attention} is not divided by num_heads={num_heads}")
        self.in_feats, self.out_width, self.edge_width, self.num_layers = in_feats, hidden, edge_hidden, num_layers
        self.node_in, self.edge_in = nn.Linear(in_feats, hidden), Waves(edge_feats, edge_hidden, num_rels, sigma)
        self.join = nn.Linear(2 * edge_hidden, edge_hidden)
        self.blocks = nn.ModuleList(
            RelationalBlock(hidden, edge_hidden, attention, num_heads, dropout) for _ in range(num_layers)
        )
        self.probes = probes_for(num_probes, num_inputs, hidden)
        self.read_weights = read_weights

    def forward(self, batch: Batch) -> Encoded:
        """Return rows of neurons ``[N, hidden]`` and of weights ``[E, edge_hidden]``."""
        graph, seen = batch.graph, batch if self.read_weights else without_weights(batch)
        node, edge = self.node_in(seen.feat), self.edge_in(seen)
        if self.probes is not None:
            node = node + self.probes(batch)
        x, mask = ops.to_dense(node, ops.offsets(graph))
        place, shape = _places(graph, mask)
        pairs = edge.new_zeros(math.prod(shape), edge.shape[1]).index_add(0, place, edge).view(*shape, -1)
        e = self.join(torch.cat([pairs, pairs.transpose(1, 2)], dim=-1))
        for block in self.blocks:
            x, e = block(x, e, mask)
        return Encoded(graph, ops.from_dense(x, mask), e.flatten(0, 2)[place])


def _places(graph: Any, mask: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """Return the row of each edge among all pairs of neurons of all graphs, int64 ``[E]``, and their shape."""
    count, longest = mask.shape
    offsets = ops.offsets(graph).to(mask.device)
    owner = ops.segment_ids(offsets)
    src, dst = (end.to(mask.device).long() for end in graph.edges(order="eid"))
    which = owner[src]
    return (which * longest + src - offsets[which]) * longest + dst - offsets[which], (count, longest, longest)
