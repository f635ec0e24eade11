"""What encoders of weights share: numbers as waves, both directions of edges, readouts of networks and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import _dgl, ops
from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_feat, check_ids
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import entries
from graphkit.core.spec import Spec
from graphkit.graphs.network.records import NODE_TYPES
from graphkit.nn import Encoder

if TYPE_CHECKING:
    import dgl


class Scale(nn.Module):
    """Divide numbers by the root mean square of what training has shown of them, in each column and for each type.

    Weights of a trained network are small, and beside a learned row of their type they would be next to nothing. Zeros
    are not counted: a column in which a type has no numbers, as in a kernel that holds one weight, stays as it is.
    Means over all networks seen so far serve in training too, so that how large the weights of one network are shows.

    Parameters
    ----------
    in_feats : int
    num_rels : int, default 0
        Types, 0 for none.

    Examples
    --------
    >>> Scale(1)(torch.tensor([[3.0], [-4.0], [0.0]])).T
    tensor([[ 0.8485, -1.1314,  0.0000]])
    """

    square: Tensor
    count: Tensor

    def __init__(self, in_feats: int, num_rels: int = 0) -> None:
        super().__init__()
        shape = max(num_rels, 1), in_feats
        self.register_buffer("square", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(shape, dtype=torch.float64))

    def forward(self, x: Tensor, kind: Tensor | None = None) -> Tensor:
        """Return ``[E, in_feats]``; ``kind`` int64 ``[E]`` has the types."""
        kind = torch.zeros(len(x), dtype=torch.int64, device=x.device) if kind is None else kind
        if self.training:
            with torch.no_grad():
                self.square.index_add_(0, kind, x.to(self.square).square())
                self.count.index_add_(0, kind, (x != 0).to(self.count))
        size = torch.where(self.square > 0, (self.square / self.count.clamp(min=1)).sqrt(), 1.0)
        return x / size.to(x)[kind]


class Waves(nn.Module):
    """Edge features as rows: ``W e + V sin(A e + b) + T_type``, the frequencies A normal with deviation ``sigma``.

    Features e are first divided by their size in training (:class:`Scale`). Edges with neither features nor types all
    have one learned row.

    Parameters
    ----------
    in_feats, out_feats : int
        Width of ``edge_feat`` and of the rows.
    num_rels : int, default 0
        Types of edges, 0 for none.
    sigma : float, default 1.0

    Raises
    ------
    GraphKitError
        If features or types are missing or of another shape.

    Examples
    --------
    >>> import graphkit, dgl
    >>> batch = Batch(dgl.graph(([0], [1])), torch.ones(2, 3), torch.ones(1, 1))
    >>> Waves(1, 4)(batch).shape
    torch.Size([1, 4])
    """

    def __init__(self, in_feats: int, out_feats: int, num_rels: int = 0, sigma: float = 1.0) -> None:
        super().__init__()
        self.in_feats, self.num_rels = in_feats, num_rels
        self.types = nn.Embedding(num_rels, out_feats) if num_rels else None
        self.scale = Scale(in_feats, num_rels) if in_feats else None
        self.wave = nn.Linear(in_feats, out_feats) if in_feats else None
        self.mix = nn.Linear(in_feats + out_feats, out_feats) if in_feats else None
        if self.wave is not None:
            nn.init.normal_(self.wave.weight, std=sigma)
            nn.init.normal_(self.mix.weight, std=(2 / out_feats) ** 0.5)  # squares of sines average to a half
            if self.types is not None:  # a row of deviation 1 for each type drowns what weights say: nothing is learned
                nn.init.normal_(self.types.weight, std=0.1)
        self.row = None if in_feats or num_rels else nn.Parameter(torch.randn(out_feats))

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[E, out_feats]``."""
        edges, etype = batch.graph.num_edges(), None
        made = None if self.row is None else self.row.expand(edges, -1)
        if self.types is not None:
            etype = batch.fields.get("etype")
            if etype is None:
                raise GraphKitError("expected the field etype, the type of each edge; got None")
            check_ids("etype", etype, self.num_rels, edges)
            made = self.types(etype)
        if self.wave is not None:
            feat = batch.edge_feat
            if not isinstance(feat, Tensor):
                raise GraphKitError(f"expected edge_feat of width {self.in_feats}, the weights; got None")
            check_feat("edge_feat", feat, edges, self.in_feats)
            feat = self.scale(feat, etype)
            said = self.mix(torch.cat([feat, torch.sin(self.wave(feat))], dim=-1))
            made = said if made is None else said + made
        return made


def turned(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the graph with every edge turned round, in the same order.

    >>> import graphkit, dgl
    >>> turned(dgl.graph(([0], [1]))).edges()[0].tolist()
    [1]
    """
    src, dst = graph.edges(order="eid")
    return _dgl.from_arrays(dst, src, graph.num_nodes())


def weigh(message: Tensor, weight: Tensor | None) -> Tensor:
    """Multiply messages ``[E, D]`` by the edges' weights ``[E]``, if there are any."""
    return message if weight is None else message * weight.unsqueeze(-1)


class WeightHead(nn.Module):
    """Predict for a network: ``MLP(norm([mean relu(A x), mean over outputs relu(B x), mean relu(C e)]))``.

    Outputs are the nodes that no edge leaves; a graph without them, or without edges, has 0 in their place.

    Parameters
    ----------
    in_feats, edge_feats, out_feats : int
        Widths of the nodes' and edges' rows, and of the prediction.

    Examples
    --------
    >>> import graphkit, dgl
    >>> enc = Encoded(dgl.graph(([0], [1])), torch.ones(2, 4), torch.ones(1, 4))
    >>> WeightHead(4, 4, 3)(enc).shape
    torch.Size([1, 3])
    """

    def __init__(self, in_feats: int, edge_feats: int, out_feats: int) -> None:
        super().__init__()
        self.all = nn.Linear(in_feats, in_feats)
        self.ends = nn.Linear(in_feats, in_feats)
        self.edges = nn.Linear(edge_feats, in_feats)
        self.norm = nn.LayerNorm(3 * in_feats)
        self.inner, self.outer = nn.Linear(3 * in_feats, 2 * in_feats), nn.Linear(2 * in_feats, out_feats)

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[B, out_feats]``."""
        graph, offsets = enc.graph, ops.offsets(enc.graph)
        whole = ops.segment_reduce(F.relu(self.all(enc.node)), offsets, "mean")
        sink = (ops.degrees(graph, "out", like=enc.node) == 0).to(enc.node).unsqueeze(-1)
        ends = ops.segment_reduce(F.relu(self.ends(enc.node)) * sink, offsets)
        ends = ends / ops.segment_reduce(sink, offsets).clamp(min=1)
        degree = ops.degrees(graph, "in", like=enc.node).unsqueeze(-1)
        edges = ops.segment_reduce(ops.edge_reduce(graph, F.relu(self.edges(enc.edge))), offsets)
        edges = edges / ops.segment_reduce(degree, offsets).clamp(min=1)
        return self.outer(F.silu(self.inner(self.norm(torch.cat([whole, ends, edges], dim=-1)))))


def outputs_of(graph: dgl.DGLGraph, count: int, fields: dict[str, Any]) -> Tensor:
    """Return the output neurons of each network in the order of its outputs, int64 ``[B, count]``.

    Parameters
    ----------
    graph : dgl.DGLGraph
        Of B networks.
    count : int
        Outputs that each of them must have.
    fields : dict
        ``ntype`` as :func:`graphkit.graphs.from_module` gives it says which nodes are outputs (without it, those that
        no edge leaves), ``order`` which output each is (without it, they stand in their order).

    Raises
    ------
    GraphKitError
        If a network has another number of outputs.

    Examples
    --------
    >>> import graphkit, dgl
    >>> outputs_of(dgl.graph(([0, 0], [1, 2])), 2, {"order": torch.tensor([-1, 1, 0])}).tolist()
    [[2, 1]]
    """
    kind, order = fields.get("ntype"), fields.get("order")
    ends = ops.degrees(graph, "out") == 0 if kind is None else kind == NODE_TYPES.index("output")
    rows, offsets = ends.nonzero()[:, 0], ops.offsets(graph).to(ends.device)
    owner = torch.searchsorted(offsets, rows, right=True) - 1
    found = torch.bincount(owner, minlength=len(offsets) - 1)
    wrong = (found != count).nonzero()[:, 0].tolist()
    if wrong:
        raise GraphKitError(
            f"graph {wrong[0]} of the batch has {int(found[wrong[0]])} outputs; expected {count}, one for each class"
        )
    if order is not None:
        rows = rows[torch.argsort(owner * (int(order.max()) + 1) + order[rows], stable=True)]
    return rows.view(-1, count)


class OutputHead(nn.Module):
    """Score each output neuron of a network: ``s_k = MLP(norm([x_k, mean_j x_j]))``, the mean over its outputs.

    For classes that are the network's own outputs, such as the one that it was trained to ignore: output k is not to be
    exchanged for another, so a mean over outputs loses the answer. The map is the same for all, hence permuting outputs
    permutes scores as far as the encoder's rows are blind to their order.

    Parameters
    ----------
    in_feats, out_feats : int
        Width of the neurons' rows, and outputs of every network.

    Raises
    ------
    GraphKitError
        If a network has another number of outputs.

    Examples
    --------
    >>> import graphkit, dgl
    >>> OutputHead(4, 2)(Encoded(dgl.graph(([0, 0], [1, 2])), torch.ones(3, 4))).shape
    torch.Size([1, 2])
    """

    def __init__(self, in_feats: int, out_feats: int) -> None:
        super().__init__()
        self.out_feats = out_feats
        self.norm = nn.LayerNorm(2 * in_feats)
        self.inner, self.outer = nn.Linear(2 * in_feats, 2 * in_feats), nn.Linear(2 * in_feats, 1)

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[B, out_feats]``, a column for each output in the order of the outputs."""
        fields = {} if batch is None else batch.fields
        x = enc.node[outputs_of(enc.graph, self.out_feats, fields)]  # [B, C, D]
        joint = torch.cat([x, x.mean(1, keepdim=True).expand_as(x)], dim=-1)
        return self.outer(F.silu(self.inner(self.norm(joint)))).squeeze(-1)


class WeightEncoder(Encoder):
    """Base of encoders that give rows of neurons ``[N, out_width]`` and of weights ``[E, edge_width]``.

    Attributes
    ----------
    edge_width : int
        ``out_width`` unless set.
    """

    edge_width: int = 0

    @classmethod
    def spec_arguments(cls, spec: Spec) -> dict[str, Any]:
        """Return the width of edge features and the number of edge types."""
        return {"edge_feats": spec.edge_feats, "num_rels": spec.num_relations}

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head over nodes and edges, over outputs for ``readout="outputs"``; a pool reads nodes alone."""
        readout = options.get("readout")
        if readout == "outputs":
            return OutputHead(self.out_width, spec.out_feats)
        if isinstance(readout, str) and readout.lower() not in entries("pool"):
            raise unknown("readout", readout, ["outputs", *entries("pool")])
        if options:
            return super().make_head(spec, **options)
        return WeightHead(self.out_width, self.edge_width or self.out_width, spec.out_feats)
