"""A stream cut into parts and runs: what is scored together, what is observed after it, what training may see."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown
from graphkit.sampling.temporal import Events, events_of

if TYPE_CHECKING:
    from graphkit.data import Dataset

#: Parts of a split in the order of time.
PARTS = ("train", "val", "test")


def runs(times: Tensor, low: int, high: int, size: int, strict: bool = True, horizon: float | None = None) -> Tensor:
    """Cut events ``[low, high)`` into runs, each scored before any of it is observed; returns their ends, int64.

    Parameters
    ----------
    times : Tensor
        Non-decreasing, ``[E]``.
    low, high : int
    size : int
        Events of a run.
    strict : bool, default True
        End a run only where the time changes: at the first change after ``size`` events. Without, after ``size`` events
        in the order of the file, as published.
    horizon : float, optional
        Runs of this duration, counted from the first event, in place of a number of events.

    Returns
    -------
    Tensor
        The last one is ``high``; empty for no events.

    Examples
    --------
    >>> times = torch.tensor([0, 1, 1, 1, 2, 3])
    >>> runs(times, 0, 6, 2).tolist(), runs(times, 0, 6, 2, strict=False).tolist()
    ([4, 6], [2, 4, 6])
    """
    if high <= low:
        return torch.empty(0, dtype=torch.int64)
    mine = times[low:high].numpy()
    if horizon is not None:
        window = np.floor((mine - mine[0]) / horizon)
        return torch.from_numpy(np.append(np.flatnonzero(window[1:] != window[:-1]) + 1, len(mine))) + low
    if not strict:
        return torch.tensor([*range(low + size, high, size), high])
    ends = np.append(np.flatnonzero(mine[1:] != mine[:-1]) + 1, len(mine))
    found, at = [], 0
    while at < len(mine):
        at = int(ends[min(np.searchsorted(ends, at + size), len(ends) - 1)])
        found.append(at)
    return torch.tensor(found) + low


class Stream:
    """A dataset's events in runs, each of which is scored before any of it is observed.

    A part of the split begins with a new run, so the runs of a part do not depend on those of another. Events that no
    part holds are observed with the part that they lie in.

    Parameters
    ----------
    data : Dataset
        Loaded for ``temporal-link``.
    size : int
        Events of a run, see :func:`runs`.
    strict : bool, default True
    horizon : float, optional
    hide_nodes : float, default 0.0
        Share of all nodes, drawn from those that appear after training, whose events training does not see.

    Raises
    ------
    GraphKitError
        If the parts are not in the order of time, or events have no times.

    Examples
    --------
    >>> import graphkit
    >>> stream = Stream(graphkit.load("twin-closure"), 200)
    >>> stream.bounds["val"], next(stream.cut(*stream.bounds["train"]))
    ((10501, 12750), (0, 200))
    """

    def __init__(
        self, data: Dataset, size: int, strict: bool = True, horizon: float | None = None, hide_nodes: float = 0.0
    ) -> None:
        self.data, self.size, self.strict, self.horizon, self.hide_nodes = data, size, strict, horizon, hide_nodes
        self.num_nodes = data.original.num_nodes()

    @cached_property
    def events(self) -> Events:
        """All events."""
        return events_of(self.data.original)

    @cached_property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """First event of each part of the split, and the one after its last; together they cover the stream."""
        found, low = {}, 0
        given = [name for name in PARTS if len(self.data.splits.get(name, ()))]
        for name in given:
            ids = self.data.splits[name]
            if int(ids.min()) < low:
                raise GraphKitError(
                    f"the {name} part of {self.data.name} begins with event {int(ids.min())}, before an earlier part "
                    f"ends ({low}); a stream is split in the order of time"
                )
            found[name] = (low, len(self.events) if name == given[-1] else int(ids.max()) + 1)
            low = found[name][1]
        return found

    def part(self, split: str) -> tuple[int, int]:
        """Return the bounds of a part.

        Raises
        ------
        GraphKitError
            If there is no such part, or it is empty.
        """
        if split not in self.data.splits:
            raise unknown("split", split, self.data.splits)
        if split not in self.bounds:
            raise GraphKitError(f"the {split} split of {self.data.name} has no events")
        return self.bounds[split]

    @cached_property
    def ends(self) -> Tensor:
        """The ends of all runs, int64, rising."""
        parts = [runs(self.events.time, *pair, self.size, self.strict, self.horizon) for pair in self.bounds.values()]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def cut(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yield the runs between two ends, ``(first, one after the last)``."""
        for end in self.ends[(self.ends > low) & (self.ends <= high)].tolist():
            yield low, end
            low = end

    @cached_property
    def hidden(self) -> Tensor | None:
        """Nodes whose events training does not see, bool ``[N]``; None where none is hidden."""
        if not self.hide_nodes:
            return None
        import random

        later = slice(self.bounds["train"][1], None)
        appear = torch.unique(torch.cat([self.events.src[later], self.events.dst[later]])).tolist()
        # As in the published code: a tenth of all nodes, of those that appear later, from a generator of its own.
        chosen = random.Random(2020).sample(appear, min(int(self.hide_nodes * self.num_nodes), len(appear)))
        mask = torch.zeros(self.num_nodes, dtype=torch.bool)
        mask[chosen] = True
        return mask

    @cached_property
    def shown(self) -> Tensor:
        """Events that are observed: all but those of hidden nodes in the training part, bool ``[E]``."""
        shown = torch.ones(len(self.events), dtype=torch.bool)
        if self.hidden is not None:
            touched = self.hidden[self.events.src] | self.hidden[self.events.dst]
            touched[self.bounds["train"][1] :] = False
            shown &= ~touched
        return shown

    @cached_property
    def targets(self) -> Tensor:
        """Destinations of the training events that training sees, int64, rising."""
        return torch.unique(self.observed(*self.part("train")).dst)

    def observed(self, begin: int, end: int) -> Events:
        """Return the events of a run that are observed after it was scored."""
        ids = begin + self.shown[begin:end].nonzero()[:, 0]
        every = self.events
        fields = {name: value[ids] for name, value in (every.fields or {}).items()}
        feat = None if every.feat is None else every.feat[ids]
        return Events(every.src[ids], every.dst[ids], every.time[ids], ids, feat, fields)

    def has_own(self, split: str) -> bool:
        """Say whether the data come with false pairs of a part's events."""
        published = f"{split}_event" in self.data.published.get("negatives", {})
        return "negative" in self.data.collated.edge_fields or published

    def own(self, split: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return the data's own queries of a part: events ``[Q]`` and both ends of their false pairs ``[Q, K]``."""
        if "negative" in self.data.collated.edge_fields:
            asked = self.data.queries
            mine = torch.isin(asked.event, self.data.splits[split])
            event, src, neg = asked.event[mine], asked.src[mine], asked.neg[mine]
        else:
            asked = self.data.candidates(split)
            event, src, neg = asked.event, asked.src, asked.neg
        neg = neg.reshape(len(event), -1)
        return event, src[:, None].expand_as(neg), neg
