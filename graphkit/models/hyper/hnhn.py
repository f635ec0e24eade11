"""HNHN: Hypergraph Networks with Hyperedge Neurons (Dong, Sawin and Bengio, 2020), 2006.12278."""

from __future__ import annotations

from graphkit.core.batch import Batch  # noqa: F401  the example reads it
from graphkit.core.registry import Reported, register
from graphkit.models.hyper.base import COMMON, HyperStack
from graphkit.nn.hyper import HNHNConv, HyperLayer


@register(
    "hnhn",
    title="HNHN: Hypergraph Networks with Hyperedge Neurons",
    arxiv="2006.12278",
    reported=[
        Reported("cora-cocitation", "accuracy", 76.36, 1.92, "half of the nodes to train on, from 2106.13264"),
        Reported("cora-coauthorship", "accuracy", 77.19, 1.49, "half of the nodes to train on, from 2106.13264"),
    ],
    **COMMON,
)
class HNHN(HyperStack):
    """Hyperedges as neurons: a linear map and a ReLU on the way to them, another pair on the way back.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 2
    dropout : float, default 0.5
    alpha, beta : float, default 0.0
        Powers of the sizes of hyperedges and of the degrees of nodes that weigh the two means.

    Examples
    --------
    >>> import torch
    >>> from graphkit.graphs import from_hyperedges
    >>> HNHN(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 2, dropout: float = 0.5,
        alpha: float = 0.0, beta: float = 0.0,
    ) -> None:  # fmt: skip
        self.alpha, self.beta = alpha, beta
        self.width = hidden
        super().__init__(in_feats, out_feats, hidden, num_layers, dropout)

    def make_layer(self, in_feats: int, out_feats: int, last: bool) -> HyperLayer:
        """Return one layer, whose hyperedges are ``hidden`` wide."""
        return HNHNConv(in_feats, out_feats, self.width, self.alpha, self.beta)
