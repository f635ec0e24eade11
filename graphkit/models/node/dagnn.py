"""DAGNN: Towards Deeper Graph Neural Networks (Liu, Gao and Ji, KDD 2020), 2007.09296."""

from __future__ import annotations

from torch import Tensor

from graphkit.core.batch import Batch
from graphkit.core.registry import Reported, register
from graphkit.models.node.appnp import refuse_blocks
from graphkit.nn import MLP, DAGNNConv, Encoder
from graphkit.nn.propagate import K_HOPS

PROTOCOL = "public split, 100 runs"


@register(
    "dagnn",
    level="node",
    title="Towards Deeper Graph Neural Networks",
    arxiv="2007.09296",
    reported=[
        Reported("cora", "accuracy", 84.4, 0.5, PROTOCOL, "read"),
        Reported("citeseer", "accuracy", 73.3, 0.6, PROTOCOL, "read"),
        Reported("pubmed", "accuracy", 80.5, 0.5, PROTOCOL, "read"),
        Reported("ogbn-arxiv", "accuracy", 72.09, 0.25, "OGB split", "read"),
    ],
    declines={"blocks": K_HOPS},
    levels=("node", "link", "graph"),
    remove_targets=False,
    fit={
        "node": {"lr": 0.01, "weight_decay": 5e-3, "epochs": 1000, "patience": 100},
        "link": {"lr": 0.01, "weight_decay": 0.0, "epochs": 200},
        "graph": {"lr": 0.01, "weight_decay": 0.0, "epochs": 100, "batch_size": 32},
    },
)
class DAGNN(Encoder):
    """Predict each node from its own row, then let it decide how much of each hop to keep: ``DAGNNConv(MLP(X))``.

    The paper's settings per dataset: Cora ``k=10, dropout=0.8``, weight decay 0.005; CiteSeer ``k=10, dropout=0.5``,
    weight decay 0.02; PubMed ``k=20, dropout=0.8``, weight decay 0.005. Features are expected row-normalised.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 2
        Layers of the MLP.
    k : int, default 10
        Hops.
    dropout : float, default 0.8
        Of the rows before each layer.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> DAGNN(4, 3)(Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 2, k: int = 10, dropout: float = 0.8
    ) -> None:
        super().__init__()
        self.in_feats, self.out_width, self.num_layers = in_feats, out_feats, k
        self.mlp = MLP(in_feats, out_feats, hidden, num_layers, dropout, input_dropout=True)
        self.propagate = DAGNNConv(out_feats, k=k)

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        refuse_blocks(self, batch)
        return self.propagate(batch.graph, self.mlp(batch.feat), edge_weight=batch.edge_weight)
