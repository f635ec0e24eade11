"""EdgeBank: Towards Better Evaluation for Dynamic Link Prediction (NeurIPS 2022), 2207.10128."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded
from graphkit.core.check import check_choice, check_rate
from graphkit.core.registry import Reported, register
from graphkit.core.spec import Spec
from graphkit.models.temporal.base import TemporalEncoder, pair_graph
from graphkit.nn.temporal import GrowingState
from graphkit.sampling import Events

#: Which pairs count as remembered.
MEMORIES = ("unlimited", "window", "repeat_window", "repeat_threshold")
PROTOCOL = "published batch order, random negatives, best memory"


class EdgeScore(nn.Module):
    """Pass on the one number that the encoder gives for each pair, as a row of its edge.

    Examples
    --------
    >>> EdgeScore()(Encoded(pair_graph(1), torch.zeros(2, 0), torch.tensor([[2.0]]))).tolist()
    [2.0]
    """

    def forward(self, enc: Encoded, batch: Any = None) -> Tensor:
        """Return ``[P]``."""
        assert enc.edge is not None
        return enc.edge[:, 0]


@register(
    "edgebank",
    level="temporal-link",
    title="Towards Better Evaluation for Dynamic Link Prediction",
    arxiv="2207.10128",
    reported=[
        Reported("uslegis", "batch_ap", 58.39, 0.0, PROTOCOL, "third-party"),
        Reported("canparl", "batch_ap", 64.55, 0.0, PROTOCOL, "third-party"),
        Reported("uslegis", "batch_ap_historical", 63.22, 0.0, PROTOCOL.replace("random", "historical"), "third-party"),
        Reported("canparl", "batch_ap_historical", 63.84, 0.0, PROTOCOL.replace("random", "historical"), "third-party"),
        Reported("uslegis", "batch_ap_inductive", 64.74, 0.0, PROTOCOL.replace("random", "inductive"), "third-party"),
        Reported("canparl", "batch_ap_inductive", 62.16, 0.0, PROTOCOL.replace("random", "inductive"), "third-party"),
        Reported("wikipedia", "batch_ap", 90.37, 0.0, PROTOCOL, "third-party"),
        Reported("tgbl-wiki", "mrr", 57.1, protocol="all destinations, time window", source="third-party"),
    ],
    traits={"stateful"},
    levels=("temporal-link",),
    remove_targets=False,
    fit={"temporal-link": {"lr": 0.0, "weight_decay": 0.0, "epochs": 0}},
)
class EdgeBank(GrowingState, TemporalEncoder):
    r"""Predict that a pair meets if it is in a memory of past pairs: ``s(u, v) = 1[(u, v) in M]``.

    Parameters
    ----------
    in_feats, edge_feats, num_nodes : int
        Of the stream; features are not read.
    memory : str, default "unlimited"
        ``unlimited``: all past pairs. ``window``: pairs that met lately. ``repeat_window``: lately as measured by the
        mean over all pairs of each one's mean gap (0 for those seen once). ``repeat_threshold``: pairs that met at
        least as often as the mean pair.
    window : str, default "quantile"
        Where the window begins: at the ``1 - window_ratio`` quantile of the event times so far, or ``duration``: it
        lasts ``window_ratio`` of the time from the first to the newest event. (TGB measures that duration once, on
        the training part.)
    window_ratio : float, default 0.15
    undirected : bool, default False
        Whether (v, u) is the pair (u, v).

    Examples
    --------
    >>> EdgeBank(0, 0, 4).stateful
    True
    """

    needs_training: ClassVar[bool] = False
    stateful: ClassVar[bool] = True
    queries_at_once = 1 << 20
    growing = ("code", "first", "last", "count", "times")
    clocks = ("first", "last", "times")
    code: Tensor
    first: Tensor
    last: Tensor
    count: Tensor
    times: Tensor

    def __init__(
        self,
        in_feats: int,
        edge_feats: int,
        num_nodes: int,
        memory: str = "unlimited",
        window: str = "quantile",
        window_ratio: float = 0.15,
        undirected: bool = False,
    ) -> None:
        super().__init__()
        check_choice("memory", memory, MEMORIES)
        check_choice("window", window, ("quantile", "duration"))
        check_rate("window_ratio", window_ratio)
        self.in_feats, self.num_nodes = in_feats, num_nodes
        self.memory, self.window, self.window_ratio, self.undirected = memory, window, window_ratio, undirected
        self.reset_state()

    def make_head(self, spec: Spec, **options: Any) -> nn.Module:
        """Return the head that passes the scores on."""
        return EdgeScore()

    def reset_state(self) -> None:
        """Forget all pairs."""
        for name in ("code", "count"):
            self.register_buffer(name, torch.empty(0, dtype=torch.int64))
        for name in ("first", "last", "times"):
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    def pair_codes(self, src: Tensor, dst: Tensor) -> Tensor:
        """Return one number for each pair, int64 ``[P]``."""
        if self.undirected:
            src, dst = torch.minimum(src, dst), torch.maximum(src, dst)
        return src * self.num_nodes + dst

    def observe(self, events: Events) -> None:
        """Remember the pairs of events."""
        time = events.time.double()
        code, place, count = torch.unique(
            self.pair_codes(events.src, events.dst), return_inverse=True, return_counts=True
        )
        order = torch.arange(len(place), device=place.device)
        ends = [
            torch.zeros_like(code).scatter_reduce_(0, place, order, how, include_self=False) for how in ("amin", "amax")
        ]
        first, last = time[ends[0]], time[ends[1]]
        at = torch.searchsorted(self.code, code)
        old = torch.zeros_like(code, dtype=torch.bool)
        inside = at < len(self.code)
        old[inside] = self.code[at[inside]] == code[inside]
        self.last[at[old]] = last[old]
        self.count[at[old]] += count[old]
        every = torch.cat([self.code, code[~old]])
        order = torch.argsort(every)
        self.code = every[order]
        for name, value in (("first", first), ("last", last), ("count", count)):
            setattr(self, name, torch.cat([getattr(self, name), value[~old]])[order])
        self.times = torch.cat([self.times, time])

    def remembered(self) -> Tensor:
        """Say which of the pairs seen are in the memory, bool ``[M]``."""
        if self.memory == "unlimited" or not len(self.code):
            return torch.ones_like(self.code, dtype=torch.bool)
        if self.memory == "repeat_threshold":
            return self.count >= self.count.double().mean()
        newest = self.times[-1]
        if self.memory == "repeat_window":
            gaps = (self.last - self.first) / (self.count - 1).clamp(min=1)
            return self.last >= newest - gaps.mean()
        if self.window == "duration":
            return self.last >= newest - self.window_ratio * (newest - self.times[0])
        place = (len(self.times) - 1) * (1 - self.window_ratio)  # times are sorted, so their quantile is looked up
        low = int(place)
        high = min(low + 1, len(self.times) - 1)
        return self.last >= self.times[low] + (place - low) * (self.times[high] - self.times[low])

    def forward(self, batch: Batch) -> Encoded:
        """Return the pair graph, whose edges hold 1 where the pair is in the memory, else 0, ``[P, 1]``."""
        assert batch.pairs is not None
        code = self.pair_codes(batch.pairs.src, batch.pairs.dst)
        kept = self.code[self.remembered()]
        at = torch.searchsorted(kept, code).clamp(max=max(len(kept) - 1, 0))
        found = kept[at] == code if len(kept) else torch.zeros_like(code, dtype=torch.bool)
        score = found.to(batch.feat.dtype)[:, None]
        return Encoded(pair_graph(len(code)), batch.feat.new_zeros(2 * len(code), 0), score)
