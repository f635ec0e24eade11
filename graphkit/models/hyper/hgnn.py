"""HGNN: Hypergraph Neural Networks (Feng et al., AAAI 2019), 1809.09401; HGNN+ with ``norm="right"``."""

from __future__ import annotations

from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.registry import Reported, register
from graphkit.models.hyper.base import COMMON, HyperStack
from graphkit.nn.hyper import HGNNConv, HyperLayer

PROTOCOL = "10 published splits of 140 training nodes, as reported in 1809.02589"


@register(
    "hgnn",
    title="Hypergraph Neural Networks",
    arxiv="1809.09401",
    reported=[
        Reported("cora-coauthorship", "accuracy", 68.1, 1.9, PROTOCOL),
        Reported("dblp-coauthorship", "accuracy", 74.35, 2.1, PROTOCOL),
        Reported("pubmed-cocitation", "accuracy", 70.59, 1.5, PROTOCOL),
        Reported("cora-cocitation", "accuracy", 67.59, 1.8, PROTOCOL),
        Reported("citeseer-cocitation", "accuracy", 62.6, 1.6, PROTOCOL),
    ],
    **COMMON,
)
class HGNN(HyperStack):
    """Hypergraph convolutions: ``X' = relu(D_v^-1/2 H W D_e^-1 H^T D_v^-1/2 X Theta)``, twice, without the last ReLU.

    Hyperedges' ``weight`` is W. A node in no hyperedge gets one of its own, as in the code of HyperGCN and LightHGNN.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
        The paper has 16.
    num_layers : int, default 2
    dropout : float, default 0.5
    norm : str, default "both"
        ``right`` is HGNN+: a mean over the hyperedges of the means over their members.

    Examples
    --------
    >>> import torch
    >>> from graphkit.graphs import from_hyperedges
    >>> HGNN(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 2, dropout: float = 0.5,
        norm: str = "both",
    ) -> None:  # fmt: skip
        self.norm = norm
        super().__init__(in_feats, out_feats, hidden, num_layers, dropout)

    def make_layer(self, in_feats: int, out_feats: int, last: bool) -> HyperLayer:
        """Return one convolution."""
        return HGNNConv(in_feats, out_feats, self.norm)

    def convolve(self, conv: nn.Module, batch: Batch, feat: Tensor) -> Tensor:
        """Return the convolved rows; hyperedges may have weights."""
        weight = batch.fields.get("hyperedge_weight")
        weight = None if weight is None else weight.to(feat)
        return conv(batch.graph, feat, edge_weight=batch.edge_weight, hyperedge_weight=weight)
