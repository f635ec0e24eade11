"""MLP: the model without a graph that every graph model must beat."""

from __future__ import annotations

from torch import Tensor

from graphkit.core.batch import Batch
from graphkit.core.registry import Reported, register
from graphkit.nn import MLP, Encoder
from graphkit.nn.model import output_rows


@register(
    "mlp",
    level="node",
    title="Multi-layer perceptron; numbers from Semi-Supervised Classification with Graph Convolutional Networks",
    arxiv="1609.02907",
    reported=[
        Reported("cora", "accuracy", 55.1, protocol="public split"),
        Reported("citeseer", "accuracy", 46.5, protocol="public split"),
        Reported("pubmed", "accuracy", 71.4, protocol="public split"),
    ],
    declines={"edge_weight": "it reads no edges"},
    levels=("node", "link", "graph"),
    remove_targets=False,
    fit={
        "node": {"lr": 0.01, "weight_decay": 5e-4, "epochs": 200},
        "link": {"lr": 0.01, "weight_decay": 0.0, "epochs": 200},
        "graph": {"lr": 0.01, "weight_decay": 0.0, "epochs": 100, "batch_size": 32},
    },
)
class PlainMLP(Encoder):
    """Multi-layer perceptron of each node's own row, with dropout before each layer.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 2
    dropout : float, default 0.5
    norm : str, optional
        ``"batch"`` or ``"layer"``.

    Examples
    --------
    >>> import torch
    >>> PlainMLP(4, 3)(Batch(None, torch.ones(2, 4))).shape
    torch.Size([2, 3])
    """

    needs_graph = False

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 2, dropout: float = 0.5,
        norm: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.out_width = in_feats, out_feats
        self.mlp = MLP(in_feats, out_feats, hidden, num_layers, dropout, norm, input_dropout=True)

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        return self.mlp(output_rows(batch, batch.feat))
