"""False pairs of a stream: of any destination, of pairs that met before, of pairs that met only lately."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.sampling.temporal import Events

#: Ways to draw the pairs that true events are told from.
KINDS = ("random", "historical", "inductive")
#: What a drawn pair must not be: a pair that meets at the same time, one of the same batch, or nothing is ruled out.
EXCLUDE = ("time", "batch", "none")
#: Rounds of drawing anew before what is allowed is listed.
_ROUNDS = 20


class StreamNegatives:
    r"""Draw false pairs for runs of events of a stream, the same for the same seed and run.

    ``random`` keeps each event's source and draws a destination, uniformly over the destinations of the stream.
    ``historical`` draws among the pairs that met before the run and do not meet in it; ``inductive`` among those of
    them that had not met by the event ``known``: new pairs, not new nodes. Where these are fewer than asked for, all
    are taken, in random order, and random pairs fill up.

    .. math:: H = \{(u, v) : t_{uv} < t_{first}\}, \quad C = \{(u, v) : t_{first} \le t_{uv} \le t_{last}\},
              \quad (u', v') \sim \mathrm{U}(H \setminus C)

    Parameters
    ----------
    events : Events
        The whole stream.
    num_nodes : int
    kind : str
        One of :data:`KINDS`.
    seed : int
    exclude : str, default "time"
        What a random destination must not make: a pair that meets at the very time of the event or a node with itself
        (``time``), a pair of the run (``batch``), or anything goes (``none``, as published).
    both_ways : bool, default False
        Whether a pair and its reverse are one, as in undirected data.
    known : int, default 0
        Number of the events by which a pair is old, for ``inductive``.
    sources : str, default "all"
        ``seen`` draws random destinations among those of the events up to the run's end (of the whole stream where that
        leaves none), ``all`` of the whole stream.
    targets : Tensor, optional
        The only destinations that random ones are drawn from, int64.

    Raises
    ------
    GraphKitError
        If a kind or rule is unknown.

    Notes
    -----
    Poursafaei et al., "Towards Better Evaluation for Dynamic Link Prediction", arXiv 2207.10128.

    Examples
    --------
    >>> from graphkit.graphs import from_events
    >>> from graphkit.sampling import events_of
    >>> events = events_of(from_events([0, 0, 1, 0], [2, 3, 3, 2], [1, 2, 3, 4]))
    >>> src, dst = StreamNegatives(events, 4, "historical", seed=0).draw(3, 4, 1)
    >>> sorted(zip(src[:, 0].tolist(), dst[:, 0].tolist()))[0] in {(0, 3), (1, 3)}
    True
    """

    def __init__(
        self,
        events: Events,
        num_nodes: int,
        kind: str,
        seed: int,
        exclude: str = "time",
        both_ways: bool = False,
        known: int = 0,
        sources: str = "all",
        targets: Tensor | None = None,
    ) -> None:
        check_choice("kind of negatives", kind, KINDS)
        check_choice("exclude", exclude, EXCLUDE)
        check_choice("sources", sources, ("all", "seen"))
        self.kind, self.seed, self.exclude, self.both_ways, self.sources = kind, seed, exclude, both_ways, sources
        self.src, self.dst, self.time = (x.numpy() for x in (events.src, events.dst, events.time))
        self.num_nodes = num_nodes
        distinct, first = np.unique(self.dst, return_index=True)
        if targets is not None:
            mine = np.isin(distinct, targets.numpy())
            distinct, first = distinct[mine], first[mine]
        order = np.argsort(first)
        #: Destinations that are drawn in the order of their first event, and those events.
        self.targets, self.appears = distinct[order], first[order]
        # Pairs by number: rising codes, and for each event the number of its pair.
        self.codes, self.first, self.pair = np.unique(
            self._code(self.src, self.dst), return_index=True, return_inverse=True
        )
        self.moment = np.unique(self.time, return_inverse=True)[1]
        #: (pair, moment) of all events, so that what meets at a time is found by search.
        self.met = np.unique(self.pair * (int(self.moment[-1]) + 1 if len(self.moment) else 1) + self.moment)
        self.known = self.first < known

    def _code(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        if self.both_ways:
            src, dst = np.minimum(src, dst), np.maximum(src, dst)
        return src.astype(np.int64) * self.num_nodes + dst

    def draw(self, low: int, high: int, num: int, key: object = "") -> tuple[Tensor, Tensor]:
        """Return ``num`` false pairs for each event of ``[low, high)``, int64 ``[high - low, num]`` both ends.

        Parameters
        ----------
        low, high : int
            The run: what came before it is its history.
        num : int
        key : object
            What the draw is for, such as the epoch.

        Raises
        ------
        GraphKitError
            If a source meets every destination at the time of an event.
        """
        rng = numpy_generator(self.seed, "stream negatives", self.kind, low, key)
        if self.kind == "random" or high <= low:
            src = np.repeat(self.src[low:high, None], num, axis=1)
            dst = self._random(np.repeat(np.arange(low, high), num), low, high, rng)
            return torch.from_numpy(src), torch.from_numpy(dst.reshape(-1, num))
        src, dst = self._older(low, high, (high - low) * num, rng)
        return torch.from_numpy(src.reshape(-1, num)), torch.from_numpy(dst.reshape(-1, num))

    def pool(self, low: int, high: int) -> np.ndarray:
        """Return the numbers of the pairs that historical or inductive negatives of a run are drawn from, rising."""
        begin, end = np.searchsorted(self.time, [self.time[low], self.time[high - 1]], side="left")
        end = np.searchsorted(self.time, self.time[high - 1], side="right")
        free = self.first < begin
        free[self.pair[begin:end]] = False
        if self.kind == "inductive":
            free &= ~self.known
        return np.flatnonzero(free)

    def _older(self, low: int, high: int, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        pool = self.pool(low, high)
        chosen = rng.permutation(pool)[:count]
        # A pair is given as it first met, which for undirected data may be either order.
        src, dst = self.src[self.first[chosen]], self.dst[self.first[chosen]]
        short = count - len(chosen)
        if short:
            sources = np.unique(self.src)
            batch = self.codes[np.unique(self.pair[low:high])]
            fill_src, fill_dst = (rng.choice(ends, short) for ends in (sources, self.targets))
            for _ in range(_ROUNDS):
                wrong = np.flatnonzero(np.isin(self._code(fill_src, fill_dst), batch))
                if not len(wrong):
                    break
                fill_src[wrong], fill_dst[wrong] = rng.choice(sources, len(wrong)), rng.choice(self.targets, len(wrong))
            src, dst = np.concatenate([src, fill_src]), np.concatenate([dst, fill_dst])
        return src, dst

    def _random(self, event: np.ndarray, low: int, high: int, rng: np.random.Generator) -> np.ndarray:
        """Return a destination for each of the events, which may repeat."""
        pool = self.targets
        if self.sources == "seen":
            pool = pool[: int(np.searchsorted(self.appears, high))]
        dst = rng.choice(pool, len(event))
        if self.exclude == "none":
            return dst
        batch = self.codes[np.unique(self.pair[low:high])]
        for _ in range(_ROUNDS):
            wrong = np.flatnonzero(self._taken(event, dst, batch))
            if not len(wrong):
                return dst
            dst[wrong] = rng.choice(pool, len(wrong))
        for row in np.flatnonzero(self._taken(event, dst, batch)):  # rare: a source that meets nearly all
            free = pool[~self._taken(np.full(len(pool), event[row]), pool, batch)]
            if not len(free) and self.sources == "seen":  # the first of a stream may have met all there were
                free = self.targets[~self._taken(np.full(len(self.targets), event[row]), self.targets, batch)]
            if not len(free):
                raise GraphKitError(
                    f"node {self.src[event[row]]} meets all {len(self.targets)} destinations at time "
                    f"{self.time[event[row]]}, so it has no false pair; draw with exclude='none'"
                )
            dst[row] = rng.choice(free)
        return dst

    def _taken(self, event: np.ndarray, dst: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """Say which pairs of the events' sources with ``dst`` must not be drawn."""
        code = self._code(self.src[event], dst)
        if self.exclude == "batch":
            return np.isin(code, batch)
        place = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        at = place * (int(self.moment[-1]) + 1) + self.moment[event]
        held = np.minimum(np.searchsorted(self.met, at), len(self.met) - 1)
        return ((self.codes[place] == code) & (self.met[held] == at)) | (self.src[event] == dst)
