"""GINE: Strategies for Pre-training Graph Neural Networks (Hu, Liu, Gomes et al., ICLR 2020), 1905.12265."""

from __future__ import annotations

from typing import Any

from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.models.graph.gin import GIN
from graphkit.nn import GINEConv
from graphkit.nn.layer import Layer

PROTOCOL = "scaffold split, no pre-training, 10 seeds"


@register(
    "gine",
    level="graph",
    title="Strategies for Pre-training Graph Neural Networks",
    arxiv="1905.12265",
    reported=[
        Reported("bbbp", "roc_auc", 65.8, 4.5, PROTOCOL),
        Reported("bace", "roc_auc", 70.1, 5.4, PROTOCOL),
        Reported("tox21", "roc_auc", 74.0, 0.8, PROTOCOL),
        Reported("sider", "roc_auc", 57.3, 1.6, PROTOCOL),
    ],
    levels=("graph", "node", "link"),
    remove_targets=True,
    fit={
        "graph": {"lr": 0.001, "weight_decay": 0.0, "epochs": 100, "batch_size": 32},
        "node": {"lr": 0.01, "weight_decay": 5e-4, "epochs": 200},
        "link": {"lr": 0.01, "weight_decay": 0.0, "epochs": 200},
    },
)
class GINE(GIN):
    """GIN whose messages carry edge features: ``relu(x_u + W e_uv)``.

    The paper's network is 300 wide with 5 convolutions and reads the mean of the last; here the head reads all layers,
    as GIN does.

    Parameters
    ----------
    in_feats, out_feats, hidden, num_layers, dropout, train_eps
        As for :class:`~graphkit.models.graph.gin.GIN`.
    edge_feats : int, default 0
        Width of ``edge_feat``; taken from the data by ``build``.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> from graphkit import Batch
    >>> g = dgl.graph(([0, 1], [1, 2]))
    >>> GINE(4, 3, edge_feats=2)(Batch(g, torch.ones(3, 4), torch.ones(2, 2))).node.shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None, hidden: int = 64, num_layers: int = 5, dropout: float = 0.5,
        train_eps: bool = False, edge_feats: int = 0,
    ) -> None:  # fmt: skip
        self.edge_feats = edge_feats
        super().__init__(in_feats, out_feats, hidden, num_layers, dropout, train_eps)

    @classmethod
    def spec_arguments(cls, spec: Spec) -> dict[str, Any]:
        """Return the width of the edge features."""
        return {"edge_feats": spec.edge_feats}

    def make_layer(self, in_feats: int, out_feats: int, train_eps: bool) -> Layer:
        """Return one convolution."""
        return GINEConv(in_feats, out_feats, self.edge_feats, out_feats, train_eps=train_eps, norm="batch")
