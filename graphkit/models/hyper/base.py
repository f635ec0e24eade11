"""What systems that stack hypergraph layers have in common."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from graphkit import _dgl
from graphkit.core.batch import Batch
from graphkit.graphs.hypergraph import add_self_hyperedges, is_hypergraph
from graphkit.nn import Dropout, Encoder
from graphkit.nn.hyper import HyperLayer
from graphkit.nn.mlp import make_activation

#: What every system on hypergraphs registers; ``fit`` is HyperGCN's protocol.
COMMON: dict[str, Any] = {
    "level": "node",
    "levels": ("node",),
    "hypergraph": True,
    "remove_targets": False,
    "declines": {"blocks": "its layers go to the hyperedges and back, and a block holds one hop"},
    "fit": {"node": {"lr": 0.01, "weight_decay": 5e-4, "epochs": 200}},
}


def complete(batch: Batch) -> Batch:
    """Return the batch with a hyperedge of its own for each node in none, which would else hear nothing.

    The completed graph is made once for each structure.

    Parameters
    ----------
    batch : Batch
        A hypergraph; memberships' and hyperedges' weights are continued by 1.

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> complete(Batch(from_hyperedges([[0, 1]], num_nodes=3), torch.ones(3, 4))).graph.num_nodes("hyperedge")
    2
    """
    graph = batch.graph
    if not is_hypergraph(graph):
        return batch  # the layer says what it expected
    made = _dgl.derived(graph, "complete", add_self_hyperedges)
    more = made.num_nodes("hyperedge") - graph.num_nodes("hyperedge")
    if not more:
        return batch
    weight = batch.edge_weight
    if isinstance(weight, Tensor):
        weight = torch.cat([weight, weight.new_ones(more)])
    fields = dict(batch.fields)
    if "hyperedge_weight" in fields:
        fields["hyperedge_weight"] = torch.cat([fields["hyperedge_weight"], fields["hyperedge_weight"].new_ones(more)])
    return batch.replace(graph=made, edge_weight=weight, fields=fields, edge_feat=None)


class HyperStack(Encoder):
    """Hypergraph layers with an activation between, and dropout before each: ``X <- act(layer(dropout(X)))``.

    A node in no hyperedge gets one of its own (:func:`complete`).

    Parameters
    ----------
    in_feats, out_feats, hidden, num_layers : int
    dropout : float
    activation : str
        Between the layers.

    Examples
    --------
    >>> import torch
    >>> from graphkit.graphs import from_hyperedges
    >>> from graphkit.models.hyper.hgnn import HGNN
    >>> HGNN(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int, num_layers: int, dropout: float, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.in_feats, self.out_width, self.num_layers = in_feats, out_feats, num_layers
        widths = [in_feats, *[hidden] * (num_layers - 1), out_feats]
        pairs = list(itertools.pairwise(widths))
        self.convs = nn.ModuleList(self.make_layer(a, b, i == len(pairs) - 1) for i, (a, b) in enumerate(pairs))
        self.dropout, self.activation = Dropout(dropout), make_activation(activation)

    def make_layer(self, in_feats: int, out_feats: int, last: bool) -> HyperLayer:
        """Return one layer; every system names its own."""
        raise TypeError(f"{type(self).__name__} names no layer")

    def convolve(self, conv: nn.Module, batch: Batch, feat: Tensor) -> Tensor:
        """Return what one layer makes of the rows ``[N, D]``."""
        return conv(batch.graph, feat, edge_weight=batch.edge_weight)

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        x, batch = batch.feat, complete(batch)
        for conv in self.convs:
            x = self.convolve(conv, batch, self.dropout(x))
            x = x if conv is self.convs[-1] else self.activation(x)
        return x
