"""NAT: Neighborhood-aware Scalable Temporal Network Representation Learning (LoG 2022), 2209.01084."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_choice, check_size
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.models.temporal.base import TemporalEncoder, pair_graph
from graphkit.models.temporal.edgebank import EdgeScore
from graphkit.nn import MLP
from graphkit.nn.dropout import Dropout
from graphkit.nn.temporal.ncache import Joint, NCache
from graphkit.sampling import Events


@register(
    "nat",
    level="temporal-link",
    title="Neighborhood-aware Scalable Temporal Network Representation Learning",
    arxiv="2209.01084",
    reported=[
        Reported("tgbl-wiki", "mrr", 74.9, protocol="all destinations, TGB's leaderboard", source="third-party"),
    ],
    traits={"stateful", "pair"},
    declines={"equivariance": "nodes are hashed into slots by their numbers"},
    levels=("temporal-link",),
    remove_targets=False,
    try_on="twin-closure",
    fit={"temporal-link": {"lr": 1e-4, "weight_decay": 0.0, "epochs": 50, "batch_size": 100}},
    example={"sizes": (6, 4), "dim": 3, "self_dim": 5, "pos_dim": 4, "hidden": 8},
)
class NAT(TemporalEncoder):
    r"""Join two dictionaries of past neighbours: who stands in both, and in which, tells what two nodes share.

    .. math:: q(a) = [x_a \,\|\, \textstyle\sum n_{\cdot, a} \,\|\, E_{m(a)}], \quad
              h = \sum_a \mathrm{softmax}_a(w \cdot \mathrm{MLP}(q(a)))\, \mathrm{MLP}(q(a)), \quad
              s = \mathrm{MLP}([h \,\|\, z_u \,\|\, z_v])

    over all keys a of both :class:`~graphkit.nn.temporal.ncache.NCache`, m(a) the 6 bits that say where a stands. No
    neighbours are looked up, so the cost of a pair does not grow with degrees.

    Parameters
    ----------
    in_feats, edge_feats, num_nodes : int
        Of the stream.
    sizes : tuple of int, default (32, 16)
        Near and far slots of a node.
    dim, self_dim : int
        Width of a slot's value and of a node's own vector.
    pos_dim : int, default 16
        Width of E; 0 hides where keys stand.
    hidden : int, default 32
    time_dim : int, default 1
    replace : float, default 0.9
        Chance that a new neighbour takes a slot that another holds.
    pool : str, default "attn"
        ``sum`` adds the rows of all keys, as the authors' code comes to do.
    dropout : float, default 0.1
    seed : int, default 0
        Of hash and draws.

    Raises
    ------
    GraphKitError
        If a size is wrong or the pooling is unknown.

    Examples
    --------
    >>> NAT(0, 3, 10, sizes=(4, 0)).cache.sizes
    (4, 0)
    """

    stateful: ClassVar[bool] = True
    queries_at_once = 1024

    def __init__(
        self,
        in_feats: int,
        edge_feats: int,
        num_nodes: int,
        sizes: tuple[int, int] = (32, 16),
        dim: int = 4,
        self_dim: int = 72,
        pos_dim: int = 16,
        hidden: int = 32,
        time_dim: int = 1,
        replace: float = 0.9,
        pool: str = "attn",
        dropout: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_choice("pool", pool, ("attn", "sum"))
        check_size("pos_dim", pos_dim, 0)
        self.in_feats, self.edge_feats, self.pool = in_feats, edge_feats, pool
        self.cache = NCache(num_nodes, edge_feats, sizes, dim, self_dim, time_dim, replace, seed)
        self.position = nn.Embedding(64, pos_dim) if pos_dim else None
        self.row = MLP(in_feats + dim + pos_dim, hidden, hidden, dropout=dropout)
        self.weigh = nn.Linear(hidden, 1, bias=False) if pool == "attn" else None
        self.out, self.dropout = MLP(hidden + 2 * self_dim, 1, hidden), Dropout(dropout)
        for module in (*self.row.modules(), *self.out.modules()):
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head that passes the scores on."""
        return EdgeScore()

    def reset_state(self) -> None:
        """Empty the dictionaries."""
        self.cache.reset()

    def observe(self, events: Events) -> None:
        """Write events into the dictionaries."""
        self.cache.observe(events)

    def forward(self, batch: Batch) -> Encoded:
        """Return the pair graph, whose edges hold the scores, ``[P, 1]``."""
        assert batch.pairs is not None
        nodes, place = torch.unique(torch.cat([batch.pairs.src, batch.pairs.dst]), return_inverse=True)
        ends, own = place.view(2, -1), self.cache.own(nodes)
        joint = self.cache.joint(batch.pairs.src, batch.pairs.dst)
        around = self.around(batch, joint, self.key_values(joint, nodes, ends))
        score = self.out(torch.cat([self.dropout(around), own[ends[0]], own[ends[1]]], dim=-1))
        return Encoded(pair_graph(len(score)), score.new_zeros(2 * len(score), 0), score)

    def key_values(self, joint: Joint, nodes: Tensor, ends: Tensor) -> Tensor:
        """Return the sum of the values that both dictionaries store for each key, ``[G, dim]``."""
        near, far = self.cache.near_values(nodes), self.cache.far_value[nodes]
        own = near.new_zeros(len(nodes), 1, self.cache.dim)  # a node stores no slot for itself
        every = torch.cat([own, near, far], 1)
        both = torch.cat([every[ends[0]], every[ends[1]]], 1).flatten(0, 1)
        source = joint.source.reshape(-1)
        held = (source >= 0).nonzero()[:, 0]
        return both.new_zeros(len(joint.key), self.cache.dim).index_add(0, source[held], both[held])

    def around(self, batch: Batch, joint: Joint, values: Tensor) -> Tensor:
        """Return one row for each pair from all keys of both dictionaries, ``[P, hidden]``."""
        parts = [batch.feat[joint.key]] if self.in_feats else []
        parts += [values, *([self.position(joint.mask)] if self.position is not None else [])]
        rows = self.row(torch.cat(parts, dim=-1))
        if self.weigh is not None:
            rows = rows * ops.segment_softmax(self.weigh(rows), joint.offsets)
        return ops.segment_reduce(rows, joint.offsets, "sum")
