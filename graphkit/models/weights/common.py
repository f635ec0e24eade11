"""What encoders of weights share: numbers as waves, both directions of edges, and a readout of neurons and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import _dgl, ops
from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_feat, check_ids
from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    import dgl


class Waves(nn.Module):
    """Edge features as rows: ``W e + V sin(A e + b) + T_type``, the frequencies A normal with deviation ``sigma``.

    Edges with neither features nor types all have one learned row.

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
        self.wave = nn.Linear(in_feats, out_feats) if in_feats else None
        self.mix = nn.Linear(in_feats + out_feats, out_feats) if in_feats else None
        if self.wave is not None:
            nn.init.normal_(self.wave.weight, std=sigma)
        self.row = None if in_feats or num_rels else nn.Parameter(torch.randn(out_feats))

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[E, out_feats]``."""
        edges = batch.graph.num_edges()
        made = None if self.row is None else self.row.expand(edges, -1)
        if self.wave is not None:
            feat = batch.edge_feat
            if not isinstance(feat, Tensor):
                raise GraphKitError(f"expected edge_feat of width {self.in_feats}, the weights; got None")
            check_feat("edge_feat", feat, edges, self.in_feats)
            made = self.mix(torch.cat([feat, torch.sin(self.wave(feat))], dim=-1))
        if self.types is not None:
            etype = batch.fields.get("etype")
            if etype is None:
                raise GraphKitError("expected the field etype, the type of each edge; got None")
            check_ids("etype", etype, self.num_rels, edges)
            kind = self.types(etype)
            made = kind if made is None else made + kind
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
