"""HyperGCN: A New Method of Training Graph Convolutional Networks on Hypergraphs (NeurIPS 2019), 1809.02589."""

from __future__ import annotations

from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.registry import Reported, register
from graphkit.models.hyper.base import COMMON, HyperStack
from graphkit.models.hyper.hgnn import PROTOCOL
from graphkit.nn.hyper import HyperGCNConv, HyperLayer


@register(
    "hypergcn",
    title="HyperGCN: A New Method of Training Graph Convolutional Networks on Hypergraphs",
    arxiv="1809.02589",
    reported=[
        Reported("dblp-coauthorship", "accuracy", 75.91, 2.0, PROTOCOL),
        Reported("cora-coauthorship", "accuracy", 69.92, 1.5, PROTOCOL),
        Reported("pubmed-cocitation", "accuracy", 74.44, 1.6, PROTOCOL),
        Reported("cora-cocitation", "accuracy", 67.63, 1.7, PROTOCOL),
        Reported("citeseer-cocitation", "accuracy", 62.65, 1.6, PROTOCOL),
    ],
    **COMMON,
)
class HyperGCN(HyperStack):
    """GCN on the graph of each hyperedge's two most different members and the mediators between them.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 32
    num_layers : int, default 2
    dropout : float, default 0.5
    mediators : bool, default True
        Without, each hyperedge is one edge (1-HyperGCN).
    fast : bool, default False
        Choose the pairs once, from the input features, for all layers.

    Examples
    --------
    >>> import torch
    >>> from graphkit.graphs import from_hyperedges
    >>> HyperGCN(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 32, num_layers: int = 2, dropout: float = 0.5,
        mediators: bool = True, fast: bool = False,
    ) -> None:  # fmt: skip
        self.mediators, self.fast = mediators, fast
        super().__init__(in_feats, out_feats, hidden, num_layers, dropout)

    def make_layer(self, in_feats: int, out_feats: int, last: bool) -> HyperLayer:
        """Return one convolution."""
        return HyperGCNConv(in_feats, out_feats, self.mediators)

    def convolve(self, conv: nn.Module, batch: Batch, feat: Tensor) -> Tensor:
        """Return the convolved rows."""
        return conv(batch.graph, feat, edge_weight=batch.edge_weight, signal=batch.feat if self.fast else None)
