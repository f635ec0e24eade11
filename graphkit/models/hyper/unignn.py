"""UniGNN: a Unified Framework for Graph and Hypergraph Neural Networks (Huang and Yang, IJCAI 2021), 2105.00956."""

from __future__ import annotations

from typing import Any

from graphkit.core.batch import Batch  # noqa: F401  the examples read it
from graphkit.core.registry import Reported, register
from graphkit.models.hyper.base import COMMON, HyperStack
from graphkit.nn.hyper import HyperLayer, UniGATConv, UniGCNConv, UniGINConv, UniSAGEConv

PROTOCOL = "10 published splits of 140 training nodes, last epoch"
RECORD: dict[str, Any] = {
    **COMMON,
    "title": "UniGNN: a Unified Framework for Graph and Hypergraph Neural Networks",
    "arxiv": "2105.00956",
}


class UniGNN(HyperStack):
    """What the four share: two layers of 8 heads of 8, dropout 0.6, ReLU between.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 2
    dropout : float, default 0.6

    Examples
    --------
    >>> import torch
    >>> from graphkit.graphs import from_hyperedges
    >>> UniSAGE(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 2, dropout: float = 0.6
    ) -> None:
        super().__init__(in_feats, out_feats, hidden, num_layers, dropout)


@register("unigcn", reported=[Reported("cora-coauthorship", "accuracy", 75.3, 1.2, PROTOCOL)], **RECORD)
class UniGCN(UniGNN):
    """Hyperedges' means, divided by the roots of degrees on the way back: ``x'_v = 1/sqrt(d_v) sum_e h_e/sqrt(d_e)``.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 2
    dropout : float, default 0.6
    """

    def make_layer(self, in_feats: int, out_feats: int, last: bool) -> HyperLayer:
        """Return one convolution."""
        return UniGCNConv(in_feats, out_feats)


@register("unisage", reported=[Reported("cora-coauthorship", "accuracy", 75.1, 1.2, PROTOCOL)], **RECORD)
class UniSAGE(UniGNN):
    """A node's own row and the sum of its hyperedges' means: ``x'_v = x_v + sum_e h_e``.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 2
    dropout : float, default 0.6
    """

    def make_layer(self, in_feats: int, out_feats: int, last: bool) -> HyperLayer:
        """Return one convolution."""
        return UniSAGEConv(in_feats, out_feats)


@register("unigin", reported=[Reported("cora-coauthorship", "accuracy", 74.8, 1.3, PROTOCOL)], **RECORD)
class UniGIN(UniGNN):
    """As :class:`UniSAGE`, with a learned share of the own row: ``x'_v = (1 + eps) x_v + sum_e h_e``.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 2
    dropout : float, default 0.6
    """

    def make_layer(self, in_feats: int, out_feats: int, last: bool) -> HyperLayer:
        """Return one convolution."""
        return UniGINConv(in_feats, out_feats)


@register("unigat", reported=[Reported("cora-coauthorship", "accuracy", 75.0, 1.1, PROTOCOL)], **RECORD)
class UniGAT(UniGNN):
    """Attention of a node to its hyperedges and itself, in heads between the layers and one in the last.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
        Of all heads together.
    num_layers : int, default 2
    dropout : float, default 0.6
    num_heads : int, default 8

    Examples
    --------
    >>> import torch
    >>> from graphkit.graphs import from_hyperedges
    >>> UniGAT(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 2, dropout: float = 0.6,
        num_heads: int = 8,
    ) -> None:  # fmt: skip
        self.num_heads = num_heads
        super().__init__(in_feats, out_feats, hidden, num_layers, dropout)

    def make_layer(self, in_feats: int, out_feats: int, last: bool) -> HyperLayer:
        """Return one convolution."""
        return UniGATConv(in_feats, out_feats, 1 if last else self.num_heads)
