"""GIN: How Powerful are Graph Neural Networks? (Xu, Hu, Leskovec and Jegelka, ICLR 2019), 1810.00826."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.batch import Batch, Encoded
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.nn import Dropout, Encoder, GINConv
from graphkit.nn.layer import Layer
from graphkit.nn.norm import BatchNorm1d
from graphkit.nn.pool.simple import make_readout

PROTOCOL = "10-fold cross-validation, epoch chosen on the test folds' average"


@register(
    "gin",
    level="graph",
    title="How Powerful are Graph Neural Networks?",
    arxiv="1810.00826",
    reported=[
        Reported("mutag", "accuracy", 89.4, 5.6, PROTOCOL),
        Reported("proteins", "accuracy", 76.2, 2.8, PROTOCOL),
        Reported("ptc", "accuracy", 64.6, 7.0, PROTOCOL),
        Reported("nci1", "accuracy", 82.7, 1.7, PROTOCOL),
        Reported("imdb-b", "accuracy", 75.1, 5.1, PROTOCOL),
        Reported("imdb-m", "accuracy", 52.3, 2.8, PROTOCOL),
        Reported("collab", "accuracy", 80.2, 1.9, PROTOCOL),
    ],
    levels=("graph", "node", "link"),
    remove_targets=True,
    fit={
        "graph": {"lr": 0.01, "weight_decay": 0.0, "epochs": 350, "batch_size": 32, "scheduler": "step"},
        "node": {"lr": 0.01, "weight_decay": 5e-4, "epochs": 200},
        "link": {"lr": 0.01, "weight_decay": 0.0, "epochs": 200},
    },
)
class GIN(Encoder):
    """GIN convolutions, each an MLP with batch norms; at graph level the head sums what every layer says (GIN-0).

    Layer 0 is the input, so the paper's 5 layers are the input and 4 convolutions.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        Width of a last linear map; None leaves the rows as the last convolution gives them.
    hidden : int, default 64
    num_layers : int, default 4
        Convolutions.
    dropout : float, default 0.5
        Of the graph head's scores (graph level), or of the rows before the last linear map (other levels).
    train_eps : bool, default False
        Learn the weight of the own row.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> GIN(4, 3)(Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4))).node.shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None, hidden: int = 64, num_layers: int = 4, dropout: float = 0.5,
        train_eps: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.num_layers, self.out_width = in_feats, num_layers, out_feats or hidden
        self.widths = [in_feats, *[hidden] * num_layers]
        self.convs = nn.ModuleList(
            self.make_layer(a, b, train_eps) for a, b in zip(self.widths, self.widths[1:], strict=False)
        )
        self.norms = nn.ModuleList(BatchNorm1d(hidden) for _ in self.convs)
        self.dropout = Dropout(dropout)
        self.fc = nn.Linear(hidden, out_feats) if out_feats else None

    def make_layer(self, in_feats: int, out_feats: int, train_eps: bool) -> Layer:
        """Return one convolution."""
        return GINConv(in_feats, out_feats, out_feats, train_eps=train_eps, norm="batch")

    @classmethod
    def width_for(cls, spec: Spec, arguments: dict[str, Any]) -> int | None:
        """Return None at graph level, where the head reads the layers themselves."""
        return None if spec.level == "graph" else super().width_for(spec, arguments)

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head; at graph level the one over all layers, with ``readout="sum"`` unless given."""
        if spec.level != "graph":
            return super().make_head(spec, **options)
        return LayersHead(self.widths, spec.out_feats, options.get("readout", "sum"), self.dropout.p)

    def forward(self, batch: Batch) -> Encoded:
        """Return ``[N, out_feats]`` rows, with the input and every layer's rows in ``layers``."""
        x, layers = batch.feat, [batch.feat]
        for conv, norm, hop in zip(self.convs, self.norms, batch.hops(self.num_layers), strict=True):
            x = F.relu(norm(conv(hop.graph, x, hop.edge_feat, hop.edge_weight)))
            layers.append(x)
        node = x if self.fc is None else self.fc(self.dropout(x))
        return Encoded(batch.graph, node, layers=tuple(layer[: len(x)] for layer in layers))


class LayersHead(nn.Module):
    """Pool every layer's rows, score each, add the scores: ``y = sum_l dropout(W_l pool(H_l) + b_l)``.

    Parameters
    ----------
    widths : list of int
        Width of each layer's rows, the input's first.
    out_feats : int
    readout : str, default "sum"
        A registered pool.
    dropout : float, default 0.5

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> rows = torch.ones(2, 4)
    >>> LayersHead([4], 3)(Encoded(dgl.graph(([0], [1])), rows, layers=(rows,))).shape
    torch.Size([1, 3])
    """

    def __init__(self, widths: list[int], out_feats: int, readout: str = "sum", dropout: float = 0.5) -> None:
        super().__init__()
        pools = [make_readout(readout, width) for width in widths]
        self.pools = nn.ModuleList(pools)
        self.linears = nn.ModuleList(nn.Linear(int(pool.out_feats), out_feats) for pool in pools)  # type: ignore[arg-type]
        self.dropout = Dropout(dropout)

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Tensor:
        """Return ``[B, C]``."""
        parts = zip(self.pools, self.linears, enc.layers, strict=True)
        return sum(self.dropout(linear(pool(enc.graph, rows))) for pool, linear, rows in parts)
