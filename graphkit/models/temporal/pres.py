"""PRES: Toward Scalable Memory-Based Dynamic Graph Neural Networks (ICLR 2024), 2402.04284."""

from __future__ import annotations

from typing import Any

from graphkit.core.batch import Batch, Encoded
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.models.temporal.tgn import TGN
from graphkit.nn.temporal.pres import PRESMemory


@register(
    "pres",
    level="temporal-link",
    title="PRES: Toward Scalable Memory-Based Dynamic Graph Neural Networks",
    arxiv="2402.04284",
    reported=[
        Reported("wikipedia", "larger batch", 4.0, protocol="times, at most, at like AP (abstract)", source="read"),
        Reported("wikipedia", "speed-up", 3.4, protocol="times, at most (abstract)", source="read"),
    ],
    traits={"stateful"},
    levels=("temporal-link",),
    remove_targets=False,
    try_on="twin-closure",
    example={"memory_dim": 8, "time_dim": 6, "fanout": 4},
    fit={"temporal-link": {"lr": 1e-3, "weight_decay": 0.0, "epochs": 10, "patience": 5, "batch_size": 800}},
)
class PRES(TGN):
    r"""TGN whose memory is predicted and corrected, so that it can be trained in larger batches.

    .. math:: \bar s = \gamma (s + \Delta t\, \mu) + (1 - \gamma)\, \mathrm{GRU}(m, s), \qquad
              L = \mathrm{BCE} + \beta (1 - \mathrm{mean} \cos(s, \bar s))

    with mu the mean increment of the node so far, see :class:`~graphkit.nn.temporal.pres.PRESFilter`; gamma = 0 and
    beta = 0 give TGN. JODIE is ``embedding="time", updater="rnn"``. The term of coherence asks memories not to turn:
    where an event's news is what the next one is told by, it costs more than it brings (``beta=0`` leaves it out; the
    authors' published code detaches it, so that it never had a gradient there).

    Parameters
    ----------
    in_feats, edge_feats, num_nodes : int
        Of the stream.
    gamma : float, default 0.5
        Weight of the prediction.
    beta : float, default 0.1
        Weight of the coherence of memories.
    learnable : bool, default False
        Learn gamma.
    by_time : bool, default False
        Weigh increments by the time they took.
    memory_dim : int, default 172
    embedding, updater, aggregator, num_layers, fanout, sampling, time_dim, num_heads, dropout
        As of :class:`~graphkit.models.temporal.tgn.TGN`.

    Raises
    ------
    GraphKitError
        If gamma is out of range, beta is negative, or there is no memory.

    Examples
    --------
    >>> PRES(0, 0, 4, gamma=0.3).memory.pres.gamma
    0.3
    """

    def __init__(
        self,
        in_feats: int,
        edge_feats: int,
        num_nodes: int,
        gamma: float = 0.5,
        beta: float = 0.1,
        learnable: bool = False,
        by_time: bool = False,
        memory_dim: int = 172,
        embedding: str = "attn",
        updater: str = "gru",
        aggregator: str = "last",
        num_layers: int = 1,
        fanout: int = 10,
        sampling: str = "recent",
        time_dim: int = 100,
        num_heads: int = 2,
        dropout: float = 0.1,
    ) -> None:
        if beta < 0 or memory_dim < 1:
            raise GraphKitError(f"beta={beta}, memory_dim={memory_dim}; expected a weight of at least 0 and a memory")
        options: dict[str, Any] = {
            "num_layers": num_layers,
            "fanout": fanout,
            "sampling": sampling,
            "time_dim": time_dim,
        }
        super().__init__(
            in_feats, edge_feats, num_nodes, memory_dim, embedding, updater, aggregator,
            num_heads=num_heads, dropout=dropout, **options,
        )  # fmt: skip
        assert self.memory is not None
        self.memory: PRESMemory = PRESMemory(self.memory, gamma, learnable, by_time)
        self.beta = beta

    def forward(self, batch: Batch) -> Encoded:
        """Return the graph of pairs with the rows of both ends, and in training the loss of coherence."""
        self.memory.turned.clear()
        encoded = super().forward(batch)
        if self.training and self.beta:
            encoded.aux["coherence"] = self.beta * self.memory.coherence()
        return encoded
