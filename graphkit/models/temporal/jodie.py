"""JODIE: Predicting Dynamic Embedding Trajectory in Temporal Interaction Networks (KDD 2019), 1908.01207."""

from __future__ import annotations

from graphkit.core.registry import Reported, register
from graphkit.models.temporal.tgn import TGN

PROTOCOL = "published batch order, random negatives, mean over batches (DyGLib)"


@register(
    "jodie",
    level="temporal-link",
    title="Predicting Dynamic Embedding Trajectory in Temporal Interaction Networks",
    arxiv="1908.01207",
    reported=[
        Reported("uslegis", "batch_ap", 75.05, 1.52, PROTOCOL, "third-party"),
        Reported("canparl", "batch_ap", 69.26, 0.31, PROTOCOL, "third-party"),
        Reported("wikipedia", "batch_ap", 96.50, 0.14, PROTOCOL, "third-party"),
    ],
    traits={"stateful"},
    levels=("temporal-link",),
    remove_targets=False,
    example={"memory_dim": 8, "time_dim": 6},
    fit={"temporal-link": {"lr": 1e-4, "weight_decay": 0.0, "epochs": 100, "patience": 20, "batch_size": 200}},
)
class JODIE(TGN):
    r"""Remember each node in a state that its events change, and stretch the state in time until the next.

    .. math:: s_u \leftarrow \tanh \mathrm{RNN}([s_u \| s_v \| \Phi(t - l_u) \| x], s_u), \quad
              z_u(t) = s_u \odot (1 + w \tilde\Delta + b), \quad \tilde\Delta = (t - l_u - \mu) / \sigma

    The form in which JODIE is a baseline for link prediction: one cell for both ends and pairs told apart by an MLP,
    where the original has two cells, trains in t-batches and regresses the next item's embedding. ``mu`` and ``sigma``
    come from the gaps of the training part, for sources and destinations apart; they follow the role in the query.

    Parameters
    ----------
    in_feats, edge_feats, num_nodes : int
        Of the stream.
    memory_dim : int, default 172
    time_dim : int, default 100
    dropout : float, default 0.0

    Examples
    --------
    >>> JODIE(0, 0, 4).embedding
    'time'
    """

    def __init__(
        self,
        in_feats: int,
        edge_feats: int,
        num_nodes: int,
        memory_dim: int = 172,
        time_dim: int = 100,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_feats, edge_feats, num_nodes, memory_dim, "time", "rnn", time_dim=time_dim, dropout=dropout)
