"""GraphSAGE: Inductive Representation Learning on Large Graphs (Hamilton et al., NeurIPS 2017), 1706.02216."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.batch import Batch, Hop
from graphkit.core.registry import Reported, register
from graphkit.nn import Dropout, Encoder, SAGEConv


@register(
    "sage",
    level="node",
    title="Inductive Representation Learning on Large Graphs",
    arxiv="1706.02216",
    reported=[
        Reported("reddit", "micro-f1", 95.0, protocol="inductive, mean aggregator, fanouts 25 and 10"),
        Reported("ppi", "micro-f1", 59.8, protocol="inductive, mean aggregator, fanouts 25 and 10"),
    ],
    levels=("node", "link", "graph"),
    remove_targets=True,
    fit={
        "node": {"lr": 0.01, "weight_decay": 5e-4, "epochs": 200},
        "link": {"lr": 0.01, "weight_decay": 0.0, "epochs": 200},
        "graph": {"lr": 0.01, "weight_decay": 0.0, "epochs": 100, "batch_size": 32},
    },
)
class SAGE(Encoder):
    """Convolutions that keep the own row apart from the neighbours', with ReLU between.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 128
    num_layers : int, default 2
    dropout : float, default 0.5
        Before every layer (the paper names none; it is what small graphs need).
    aggregator : str, default "mean"
        ``mean``, ``sum`` or ``max``.
    normalize : bool, default False
        Scale the rows between layers to length 1, as in the paper.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> SAGE(4, 3)(Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    runs_by_layer = True

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 128, num_layers: int = 2, dropout: float = 0.5,
        aggregator: str = "mean", normalize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.out_width, self.num_layers, self.normalize = in_feats, out_feats, num_layers, normalize
        widths = [in_feats, *[hidden] * (num_layers - 1), out_feats]
        self.convs = nn.ModuleList(SAGEConv(a, b, aggregator) for a, b in itertools.pairwise(widths))
        self.dropout = Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        x = batch.feat
        for index, hop in enumerate(batch.hops(self.num_layers)):
            x = self.run_layer(index, hop, x)
        return x

    def run_layer(self, index: int, hop: Hop, feat: Tensor) -> Tensor:
        """Return what layer ``index`` gives for the destinations of ``hop``."""
        x = self.convs[index](hop.graph, self.dropout(feat), edge_weight=hop.edge_weight)
        if index == self.num_layers - 1:
            return x
        x = F.relu(x)
        return F.normalize(x, dim=-1) if self.normalize else x
