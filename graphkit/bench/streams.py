"""What the generated streams were made by: the scores that no system can beat but by chance."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from graphkit import metrics
from graphkit.core.errors import GraphKitError


def winner(data) -> dict[str, float]:
    """Score the queries of a generated stream by the rule that it was made by.

    ``twin-closure``: common neighbours, each fading as ``exp(-age / 5)``. ``periodic-pairs``: how near a pair is to its
    mean past gap, ``-|gap / mean gap - 1|``. ``fading-popularity``: the true weight of the item.

    Parameters
    ----------
    data : Dataset

    Returns
    -------
    dict of str to float
        ``val/auc``, ``val/ap``, ``test/auc``, ``test/ap``.

    Raises
    ------
    GraphKitError
        If the stream is none of them.
    """
    import torch

    rules = {"twin-closure": _Neighbours, "periodic-pairs": _Phase, "fading-popularity": _Popularity}
    if data.name not in rules:
        raise GraphKitError(f"{data.name} is no generated stream; expected one of {', '.join(rules)}")
    full, asked = data.collated, data.queries
    where = dict(zip(asked.event.tolist(), range(len(asked)), strict=True))
    rule: Any = rules[data.name](data)
    scores = np.zeros((len(asked), 2))
    columns = (full.src.tolist(), full.dst.tolist(), full.edge_fields["time"].tolist())
    waiting: list[tuple[int, int, float]] = []
    for e, (u, v, t) in enumerate(zip(*columns, strict=True)):
        if waiting and waiting[-1][2] < t:  # events of one time are scored before any of them is seen
            for event in waiting:
                rule.see(*event)
            waiting = []
        if e in where:
            scores[where[e]] = rule.score(u, v, t), rule.score(u, int(asked.neg[where[e]]), t)
        waiting.append((u, v, t))
    found: dict[str, float] = {}
    for part in ("val", "test"):
        mine = np.isin(asked.event.numpy(), data.splits[part].numpy())
        pred = torch.from_numpy(scores[mine].T.reshape(-1))
        label = torch.from_numpy(np.repeat([1.0, 0.0], mine.sum()))
        found |= {f"{part}/auc": metrics.roc_auc(pred, label), f"{part}/ap": metrics.average_precision(pred, label)}
    return found


class _Neighbours:
    def __init__(self, data) -> None:
        self.met: dict[int, dict[int, float]] = defaultdict(dict)

    def see(self, u: int, v: int, t: float) -> None:
        self.met[u][v] = self.met[v][u] = t

    def score(self, u: int, v: int, t: float) -> float:
        return sum(np.exp((min(s, self.met[v][w]) - t) / 5) for w, s in self.met[u].items() if w in self.met[v])


class _Phase:
    def __init__(self, data) -> None:
        self.times: dict[tuple[int, int], list[float]] = defaultdict(list)

    def see(self, u: int, v: int, t: float) -> None:
        self.times[u, v].append(t)

    def score(self, u: int, v: int, t: float) -> float:
        past = self.times[u, v]
        if len(past) < 2:
            return -1.0
        return -abs((t - past[-1]) / ((past[-1] - past[0]) / (len(past) - 1)) - 1)


class _Popularity:
    def __init__(self, data) -> None:
        options = {"num_items": 100, "tau": 200.0, **data.reader_options}
        self.weight: dict[int, float] = defaultdict(float)
        self.fade = float(np.exp(-1 / options["tau"]))
        self.age: dict[int, int] = defaultdict(int)
        self.now = 0

    def see(self, u: int, v: int, t: float) -> None:
        self.weight[v] = self.weight[v] * self.fade ** (self.now - self.age[v]) + 1
        self.age[v] = self.now
        self.now += 1

    def score(self, u: int, v: int, t: float) -> float:
        return self.weight[v] * self.fade ** (self.now - self.age[v])
