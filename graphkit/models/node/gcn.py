"""GCN: Semi-Supervised Classification with Graph Convolutional Networks (Kipf and Welling, ICLR 2017), 1609.02907."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.batch import Batch, Hop
from graphkit.core.registry import Reported, register
from graphkit.nn import Dropout, Encoder, GCNConv

PROTOCOL = "public split, 100 runs"


@register(
    "gcn",
    level="node",
    title="Semi-Supervised Classification with Graph Convolutional Networks",
    arxiv="1609.02907",
    reported=[
        Reported("cora", "accuracy", 81.5, protocol=PROTOCOL),
        Reported("citeseer", "accuracy", 70.3, protocol=PROTOCOL),
        Reported("pubmed", "accuracy", 79.0, protocol=PROTOCOL),
    ],
    levels=("node", "link", "graph"),
    remove_targets=False,
    fit={
        "node": {"lr": 0.01, "weight_decay": 5e-4, "epochs": 200},
        "link": {"lr": 0.01, "weight_decay": 0.0, "epochs": 200},
        "graph": {"lr": 0.01, "weight_decay": 0.0, "epochs": 100, "batch_size": 32},
    },
)
class GCN(Encoder):
    """Graph convolutions with ReLU between: ``S relu(S X W_1) W_2`` with two layers, dropout before each.

    Weight decay acts on the first layer only, features are expected row-normalised, as in the paper.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 16
    num_layers : int, default 2
    dropout : float, default 0.5
    norm : str, default "both"
        Of :class:`~graphkit.nn.GCNConv`.
    self_loops : bool, default True
    concat : bool, default False
        Concatenate the outputs of all layers before a last linear map, as the model that GNNExplainer explains does.
    normalize : bool, default False
        Scale the rows that each layer gives to length 1 (the same model).

    Examples
    --------
    >>> import graphkit, dgl
    >>> GCN(4, 3)(Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 16, num_layers: int = 2, dropout: float = 0.5,
        norm: str = "both", self_loops: bool = True, concat: bool = False, normalize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.out_width, self.num_layers = in_feats, out_feats, num_layers
        self.concat, self.normalize, self.runs_by_layer = concat, normalize, not concat
        widths = [in_feats, *[hidden] * (num_layers - 1), hidden if concat else out_feats]
        self.convs = nn.ModuleList(GCNConv(a, b, norm, self_loops) for a, b in itertools.pairwise(widths))
        self.fc = nn.Linear(num_layers * hidden, out_feats) if concat else None
        self.dropout = Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        x, outputs = batch.feat, []
        for index, hop in enumerate(batch.hops(self.num_layers)):
            x = self.run_layer(index, hop, x)
            outputs.append(x)
        if self.fc is None:
            return x
        return self.fc(torch.cat([h[: len(x)] for h in outputs], -1))

    def run_layer(self, index: int, hop: Hop, feat: Tensor) -> Tensor:
        """Return what layer ``index`` gives for the destinations of ``hop``."""
        x = self.convs[index](hop.graph, self.dropout(feat), edge_weight=hop.edge_weight)
        x = F.normalize(x, dim=-1) if self.normalize else x
        return x if index == self.num_layers - 1 else F.relu(x)

    def decayed(self) -> Iterator[nn.Parameter]:
        """Yield the first layer's parameters; with ``concat`` all, as the model that GNNExplainer explains does."""
        yield from (self if self.concat else self.convs[0]).parameters()
