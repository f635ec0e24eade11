"""SEMBA: Representation Learning in Continuous-Time Dynamic Signed Networks (CIKM 2023), 2207.03408."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_choice, check_size
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.models.temporal.base import Asked, TemporalEncoder, pair_graph
from graphkit.models.temporal.counters import CounterIndex
from graphkit.models.temporal.edgebank import EdgeScore
from graphkit.nn.dropout import Dropout
from graphkit.nn.temporal import GrowingState, TemporalAttention
from graphkit.nn.temporal.signed import SignedMemory, signs_of
from graphkit.sampling import Events
from graphkit.sampling.counters import KINDS

PAPER = "authors' protocol, which adds the edges of a batch to the graph that scores it"
STRICT = "strict online re-run, 5 seeds"


@register(
    "semba",
    level="temporal-link",
    title="Representation Learning in Continuous-Time Dynamic Signed Networks",
    arxiv="2207.03408",
    reported=[
        Reported("bitcoin-otc", "auc", 0.751, 0.016, STRICT, "third-party"),
        Reported("bitcoin-otc", "ap_negative", 0.410, 0.019, STRICT, "third-party"),
        Reported("bitcoin-otc", "macro_f1", 0.652, None, STRICT, "third-party"),
        Reported("bitcoin-otc", "auc", 0.79, 0.02, PAPER, "third-party"),
    ],
    traits={"stateful", "pair"},
    levels=("temporal-link",),
    remove_targets=False,
    try_on="bitcoin-alpha",
    task="temporal-sign",
    fit={"temporal-link": {"lr": 0.01, "weight_decay": 0.0, "epochs": 10, "batch_size": 1000}},
    example={"memory_dim": 4, "out_feats": 8, "time_dim": 6, "num_heads": 2, "fanout": 4},
)
class SEMBA(GrowingState, TemporalEncoder):
    r"""Remember friends and foes apart, and read both states of a node and of whom it met by attention.

    .. math:: z_u = \mathrm{attn}([x_u \| m_u^+ \| m_u^-], \{[x_v \| m_v^+ \| m_v^-], |w_{uv}|, \Phi(t - t_{uv})\}),
              \qquad s(u, v) = W [z_u \| z_v] + b

    with the states of :class:`~graphkit.nn.temporal.signed.SignedMemory`. In place of all past edges the newest
    ``fanout`` of a node are read, each with the size of its rating once it was observed; the attention is that of TGAT
    without residual. Without a task of signs it predicts links.

    Parameters
    ----------
    in_feats, edge_feats, num_nodes : int
        Of the stream; events need the field ``sign``, and have sizes where there is ``weight``.
    memory_dim : int, default 64
    out_feats : int, default 64
    time_dim : int, default 32
    num_heads : int, default 8
    fanout : int, default 20
    dropout : float, default 0.5
    balanced : bool, default True
        False leaves balance theory out, see :class:`~graphkit.nn.temporal.signed.SignedMemory`.
    counters : str, optional
        Let the last map also read the online counters of this kind (``sign``, ``sign-one-way``, ``link``).
    tau : float, default 2592000
        Scale of time of the counters, 30 days in seconds.

    Raises
    ------
    GraphKitError
        If a size is wrong, the counters are unknown, or events have no signs.

    Examples
    --------
    >>> SEMBA(0, 0, 10, counters="sign").out.in_features
    142
    """

    stateful: ClassVar[bool] = True
    growing = ("rated", "rating")
    rated: Tensor
    rating: Tensor

    def __init__(
        self,
        in_feats: int,
        edge_feats: int,
        num_nodes: int,
        memory_dim: int = 64,
        out_feats: int = 64,
        time_dim: int = 32,
        num_heads: int = 8,
        fanout: int = 20,
        dropout: float = 0.5,
        balanced: bool = True,
        counters: str | None = None,
        tau: float = 2592000.0,
    ) -> None:
        super().__init__()
        check_size("fanout", fanout)
        if counters is not None:
            check_choice("counters", counters, KINDS)
        self.in_feats, self.edge_feats, self.fanouts = in_feats, edge_feats, (fanout,)
        self.memory = SignedMemory(num_nodes, memory_dim, time_dim, balanced)
        width = in_feats + 2 * memory_dim
        options: dict[str, Any] = {"time_dim": time_dim, "num_heads": num_heads, "dropout": dropout, "residual": False}
        self.attention = TemporalAttention(width, edge_feats + 1, out_feats, **options)
        self.counters = None if counters is None else CounterIndex(tau, counters)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(2 * out_feats + (len(KINDS[counters]) if counters else 0), 1)
        self.reset_state()

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head that passes the scores on."""
        return EdgeScore()

    def reset_state(self) -> None:
        """Forget all events."""
        self.memory.reset()
        device = self.memory.state.device
        self.register_buffer("rated", torch.empty(0, dtype=torch.int64, device=device))
        self.register_buffer("rating", torch.empty(0, device=device))

    def observe(self, events: Events) -> None:
        """Let the messages of events wait, and keep the sizes of their ratings."""
        self.memory.observe(events)
        self.rated = torch.cat([self.rated, events.edge])
        self.rating = torch.cat([self.rating, signs_of(events)[1].to(self.rating)])

    def sizes(self, edge: Tensor) -> Tensor:
        """Return the sizes of past events, ``[..., 1]``; 0 for those that were not observed yet."""
        if not len(self.rated):
            return torch.zeros(*edge.shape, 1, dtype=self.out.weight.dtype, device=edge.device)
        at = torch.searchsorted(self.rated, edge).clamp(max=len(self.rated) - 1)
        return torch.where(self.rated[at] == edge, self.rating[at], 0.0).to(self.out.weight.dtype)[..., None]

    def embed(self, batch: Batch, asked: Asked) -> Tensor:
        """Return the rows of nodes at times, ``[Q, out_feats]``."""
        found = self.neighbors(batch).sample(asked.node, asked.time)
        nodes, place = torch.unique(torch.cat([asked.node, found.node.reshape(-1)]), return_inverse=True)
        rows = torch.cat([batch.feat[nodes], self.memory.peek(nodes).flatten(1)], dim=-1)[place]
        own, other = rows[: len(asked.node)], rows[len(asked.node) :].view(*found.node.shape, -1)
        edge = torch.cat([self.edge_rows(batch, found.edge), self.sizes(found.edge)], dim=-1)
        return self.attention(own, other, edge, asked.time[:, None] - found.time, found.mask, own)

    def forward(self, batch: Batch) -> Encoded:
        """Return the pair graph with the rows of both ends, whose edges hold the scores, ``[P, 1]``."""
        ends = self.pair_rows(batch)
        parts = [self.dropout(torch.cat(ends, dim=-1))]
        if self.counters is not None:
            parts.append(self.counters(batch).to(parts[0]))
        return Encoded(pair_graph(len(ends[0])), torch.cat(ends), self.out(torch.cat(parts, dim=-1)))
