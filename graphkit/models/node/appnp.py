"""APPNP: Predict then Propagate (Klicpera, Bojchevski and Guennemann, ICLR 2019), 1810.05997."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.nn import MLP, APPNPConv, Encoder
from graphkit.nn.propagate import K_HOPS

PROTOCOL = "public split, 100 runs, as reported in 2007.09296"


@register(
    "appnp",
    level="node",
    title="Predict then Propagate: Graph Neural Networks meet Personalized PageRank",
    arxiv="1810.05997",
    reported=[
        Reported("cora", "accuracy", 83.3, 0.5, PROTOCOL, "third-party"),
        Reported("citeseer", "accuracy", 71.8, 0.5, PROTOCOL, "third-party"),
        Reported("pubmed", "accuracy", 80.1, 0.2, PROTOCOL, "third-party"),
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
class APPNP(Encoder):
    """Predict each node from its own row, then spread the predictions: ``APPNPConv(MLP(X))``.

    As in the paper, weight decay acts on the first layer only, dropout on the rows before each layer and on the
    adjacency.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    num_layers : int, default 2
        Layers of the MLP.
    k : int, default 10
        Hops.
    alpha : float, default 0.1
    dropout : float, default 0.5
    edge_drop : float, default 0.5

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> APPNP(4, 3)(Batch(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, num_layers: int = 2, k: int = 10, alpha: float = 0.1,
        dropout: float = 0.5, edge_drop: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.out_width, self.num_layers = in_feats, out_feats, k
        self.mlp = MLP(in_feats, out_feats, hidden, num_layers, dropout, input_dropout=True)
        self.propagate = APPNPConv(out_feats, k=k, alpha=alpha, edge_drop=edge_drop)

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        refuse_blocks(self, batch)
        return self.propagate(batch.graph, self.mlp(batch.feat), edge_weight=batch.edge_weight)

    def decayed(self) -> Iterator[nn.Parameter]:
        """Yield the first layer's parameters."""
        yield from self.mlp.linears[0].parameters()


def refuse_blocks(encoder: nn.Module, batch: Batch) -> None:
    """Raise if the batch holds blocks, for encoders that propagate k hops by themselves."""
    if batch.blocks is not None:
        raise GraphKitError(
            f"{type(encoder).__name__} does not run on blocks: it {K_HOPS}; train on full graphs or subgraphs"
        )
