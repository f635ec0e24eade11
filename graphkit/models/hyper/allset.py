"""You are AllSet: A Multiset Function Framework for Hypergraph Neural Networks (Chien et al., 2022), 2106.13264."""

from __future__ import annotations

import itertools
from typing import Any

from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.registry import Reported, register
from graphkit.models.hyper.base import COMMON, complete
from graphkit.nn import MLP, Dropout, Encoder
from graphkit.nn.hyper import AllDeepSetsConv, AllSetTransformerConv, HyperLayer

PROTOCOL = "half of the nodes to train on, a quarter to validate, 20 draws"
RECORD: dict[str, Any] = {
    **COMMON,
    "title": "You are AllSet: A Multiset Function Framework for Hypergraph Neural Networks",
    "arxiv": "2106.13264",
    "fit": {"node": {"lr": 0.001, "weight_decay": 0.0, "epochs": 500, "patience": 100}},
}


class AllSet(Encoder):
    """Multiset functions into the hyperedges and back, a ReLU and dropout after each layer, then an MLP.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 1
        As the paper chose for citation sets, from 64 to 512 wide.
    dropout : float, default 0.5

    Examples
    --------
    >>> import torch
    >>> from graphkit.graphs import from_hyperedges
    >>> AllDeepSets(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 1, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.in_feats, self.out_width, self.num_layers = in_feats, out_feats, num_layers
        widths = [in_feats, *[hidden] * num_layers]
        self.convs = nn.ModuleList(self.make_layer(a, b) for a, b in itertools.pairwise(widths))
        self.dropout = Dropout(dropout)
        self.classify = MLP(hidden, out_feats, hidden, dropout=dropout)

    def make_layer(self, in_feats: int, out_feats: int) -> HyperLayer:
        """Return one layer; each system names its own."""
        raise TypeError(f"{type(self).__name__} names no layer")

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        batch = complete(batch)
        x = self.dropout(batch.feat)
        for conv in self.convs:
            x = self.dropout(conv(batch.graph, x, edge_weight=batch.edge_weight).relu())
        return self.classify(x)


@register("alldeepsets", reported=[Reported("cora-coauthorship", "accuracy", 81.97, 1.5, PROTOCOL)], **RECORD)
class AllDeepSets(AllSet):
    """Both multiset functions are deep sets: ``MLP(sum MLP(x))``.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 1
    dropout : float, default 0.5
    """

    def make_layer(self, in_feats: int, out_feats: int) -> HyperLayer:
        """Return one layer."""
        return AllDeepSetsConv(in_feats, out_feats)


@register("allsettransformer", reported=[Reported("cora-coauthorship", "accuracy", 83.63, 1.47, PROTOCOL)], **RECORD)
class AllSetTransformer(AllSet):
    """Both multiset functions attend to the members with a learned seed in each head.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 1
    dropout : float, default 0.5
    num_heads : int, default 4

    Examples
    --------
    >>> import torch
    >>> from graphkit.graphs import from_hyperedges
    >>> AllSetTransformer(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 1, dropout: float = 0.5,
        num_heads: int = 4,
    ) -> None:  # fmt: skip
        self.num_heads = num_heads
        super().__init__(in_feats, out_feats, hidden, num_layers, dropout)

    def make_layer(self, in_feats: int, out_feats: int) -> HyperLayer:
        """Return one layer."""
        return AllSetTransformerConv(in_feats, out_feats, self.num_heads)
