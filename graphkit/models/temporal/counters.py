"""Thirteen counters and a logistic regression: the floor that temporal networks have to beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.random import Rng
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.fit.phase import Phase
from graphkit.models.temporal.base import TemporalEncoder, pair_graph
from graphkit.models.temporal.edgebank import EdgeScore
from graphkit.sampling.counters import KINDS, OnlineCounters

if TYPE_CHECKING:
    import dgl

    from graphkit.tasks.base import Task

MEASURED = "GraphKit's own measure: strict order, time quantiles 0.70 and 0.85, one clean random negative"


class CounterIndex:
    """Online counters of the stream that was asked last, indexed once.

    Parameters
    ----------
    tau : float
    kind : str
        As of :class:`~graphkit.sampling.counters.OnlineCounters`.
    """

    def __init__(self, tau: float, kind: str) -> None:
        self.tau, self.kind = tau, kind
        self.graph: dgl.DGLGraph | None = None
        self.counters: OnlineCounters | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Return the counters of the batch's pairs at their times, float64 ``[P, columns]``."""
        pairs = batch.pairs
        assert pairs is not None and pairs.time is not None
        if self.counters is None or self.graph is not batch.graph:
            self.graph, self.counters = batch.graph, OnlineCounters(batch.graph, self.tau, self.kind)
        return self.counters(pairs.src.cpu(), pairs.dst.cpu(), pairs.time.cpu())

    def __getstate__(self) -> dict[str, Any]:
        return {"tau": self.tau, "kind": self.kind, "graph": None, "counters": None}


@register(
    "counters",
    level="temporal-link",
    title="Towards Better Evaluation for Dynamic Link Prediction",
    arxiv="2207.10128",
    reported=[
        Reported("uslegis", "ap", 76.5, protocol=MEASURED, source="third-party"),
        Reported("canparl", "ap", 85.6, protocol=MEASURED, source="third-party"),
        Reported("bitcoin-alpha", "ap", 91.3, protocol=MEASURED, source="third-party"),
        Reported("bitcoin-otc", "ap", 93.3, protocol=MEASURED, source="third-party"),
    ],
    levels=("temporal-link",),
    remove_targets=False,
    try_on="twin-closure",
    fit={"temporal-link": {"lr": 0.0, "weight_decay": 0.0, "epochs": 0}},
)
class Counters(TemporalEncoder):
    r"""Score a pair by a logistic regression of what was counted of it strictly before.

    .. math:: s(u, v, t) = w \cdot \frac{c(u, v, t) - \mu}{\sigma} + b

    with c the columns of :class:`~graphkit.sampling.counters.OnlineCounters`. ``fit`` finds mu and sigma on the
    training pairs, and w and b by scikit-learn (L2, C = 1) on one draw of negatives; there are no epochs. The method is
    GraphKit's own floor; the paper named is the one that asked for such floors.

    Parameters
    ----------
    in_feats, edge_feats, num_nodes : int
        Of the stream; features are not read.
    tau : float, default 1.0
        Scale of time: one step of snapshots, 2,592,000 (30 days) for the Bitcoin sets.
    kind : str, default "link"
        ``link``, ``sign`` or ``sign-one-way``.
    penalty : float, default 1.0
        C of the regression.

    Raises
    ------
    GraphKitError
        If the kind is unknown or ``tau`` is not positive.

    Examples
    --------
    >>> Counters(0, 0, 10).weight.shape
    torch.Size([13])
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        in_feats: int,
        edge_feats: int,
        num_nodes: int,
        tau: float = 1.0,
        kind: str = "link",
        penalty: float = 1.0,
    ) -> None:
        super().__init__()
        check_choice("kind", kind, KINDS)
        if not (tau > 0 and penalty > 0):
            raise GraphKitError(f"tau={tau}, penalty={penalty}; expected positive numbers")
        self.in_feats, self.penalty = in_feats, penalty
        self.counters, columns = CounterIndex(tau, kind), len(KINDS[kind])
        self.weight, self.bias = nn.Parameter(torch.zeros(columns)), nn.Parameter(torch.zeros(()))
        self.register_buffer("mean", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(columns, dtype=torch.float64))

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head that passes the scores on."""
        return EdgeScore()

    def rows(self, batch: Batch) -> Tensor:
        """Return the standardised counters of the batch's pairs, ``[P, columns]``."""
        found = (self.counters(batch).to(self.mean) - self.mean) / self.scale
        return found.to(self.weight)

    def forward(self, batch: Batch) -> Encoded:
        """Return the pair graph, whose edges hold the scores, ``[P, 1]``."""
        score = (self.rows(batch) @ self.weight + self.bias)[:, None]
        return Encoded(pair_graph(len(score)), score.new_zeros(2 * len(score), 0), score)

    def phases(self, task: Task, settings: Any) -> Iterator[Phase]:
        """Fit the regression on the training pairs, then leave nothing to train."""
        self.solve(task, settings.seed)
        yield Phase("regression", self, task, epochs=0)

    def solve(self, task: Task, seed: int = 0) -> None:
        """Fit scale and regression on the training batches of ``task``.

        Raises
        ------
        GraphKitError
            If all of them have one label.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        batches = [b for b in task.batches("train", self, Rng(seed, ("counters", 0))) if b.label is not None]
        found = torch.cat([self.counters(batch) for batch in batches]).numpy()
        label = torch.cat([batch.label for batch in batches if batch.label is not None]).numpy() > 0.5
        if label.all() or not label.any():
            raise GraphKitError(f"all {len(label)} training pairs of {task.data.name} have one label; expected two")
        scaler = StandardScaler().fit(found)
        solved = LogisticRegression(C=self.penalty, max_iter=2000).fit(scaler.transform(found), label)
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(scaler.mean_))
            self.scale.copy_(torch.from_numpy(scaler.scale_))
            self.weight.copy_(torch.from_numpy(solved.coef_[0]))
            self.bias.fill_(float(solved.intercept_[0]))
