"""GAT: Graph Attention Networks (Velickovic et al., ICLR 2018), 1710.10903."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.batch import Batch, Hop
from graphkit.core.registry import Reported, register
from graphkit.nn import Encoder, GATConv, GATv2Conv

PROTOCOL = "public split, 100 runs"
FIT = {
    "node": {"lr": 0.005, "weight_decay": 5e-4, "epochs": 1000, "patience": 100},
    "link": {"lr": 0.005, "weight_decay": 0.0, "epochs": 200},
    "graph": {"lr": 0.005, "weight_decay": 0.0, "epochs": 100, "batch_size": 32},
}


@register(
    "gat",
    level="node",
    title="Graph Attention Networks",
    arxiv="1710.10903",
    reported=[
        Reported("cora", "accuracy", 83.0, 0.7, PROTOCOL),
        Reported("citeseer", "accuracy", 72.5, 0.7, PROTOCOL),
        Reported("pubmed", "accuracy", 79.0, 0.3, PROTOCOL + ", 8 output heads, weight decay 0.001"),
    ],
    levels=("node", "link", "graph"),
    remove_targets=True,
    fit=FIT,
)
class GAT(Encoder):
    """Attention layers with ELU between: heads concatenated inside, averaged in the last layer.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
        Width of all heads together: 8 heads of 8.
    num_heads : int, default 8
    out_heads : int, default 1
        Heads of the last layer.
    num_layers : int, default 2
    dropout : float, default 0.6
        Of the rows that enter each layer.
    attn_drop : float, default 0.6
    residual : bool, default False

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> GAT(4, 3)(Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    layer: ClassVar[type[GATConv] | type[GATv2Conv]] = GATConv
    runs_by_layer = True

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_heads: int = 8, out_heads: int = 1,
        num_layers: int = 2, dropout: float = 0.6, attn_drop: float = 0.6, residual: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.out_width, self.num_layers = in_feats, out_feats, num_layers
        options: dict[str, Any] = {"feat_drop": dropout, "attn_drop": attn_drop, "residual": residual}
        widths = [in_feats, *[hidden] * (num_layers - 1)]
        inner = [self.layer(a, b, num_heads, **options) for a, b in itertools.pairwise(widths)]
        self.convs = nn.ModuleList([*inner, self.layer(widths[-1], out_feats, out_heads, concat=False, **options)])

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        x = batch.feat
        for index, hop in enumerate(batch.hops(self.num_layers)):
            x = self.run_layer(index, hop, x)
        return x

    def run_layer(self, index: int, hop: Hop, feat: Tensor) -> Tensor:
        """Return what layer ``index`` gives for the destinations of ``hop``."""
        x = self.convs[index](hop.graph, feat, edge_weight=hop.edge_weight)
        return x if index == self.num_layers - 1 else F.elu(x)


@register(
    "gatv2",
    level="node",
    title="How Attentive are Graph Attention Networks?",
    arxiv="2105.14491",
    reported=[Reported("ogbn-arxiv", "accuracy", 71.87, 0.25, "OGB split, 8 heads, 10 runs")],
    levels=("node", "link", "graph"),
    remove_targets=True,
    fit=FIT,
)
class GATv2(GAT):
    """GAT with dynamic attention, whose ranking of sources can depend on the target; arguments as for :class:`GAT`.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> GATv2(4, 3)(Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    layer = GATv2Conv
