"""Why a pair is likely to meet at a time: which events of its past made the score."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Pairs
from graphkit.core.check import check_size
from graphkit.core.errors import GraphKitError
from graphkit.sampling import Events, TemporalSampler
from graphkit.tasks.base import place
from graphkit.tasks.link import check_pairs
from graphkit.tasks.temporal_link import TemporalLinkTask, after, bare, is_stateful

if TYPE_CHECKING:
    import pandas


@dataclass
class PastExplanation:
    """How much each past event adds to the score of a pair at a time: the score less that without the event.

    Parameters
    ----------
    pair : tuple of int
    time : float
    score : float
        Before the sigmoid.
    events : Tensor
        Edge ids of the stream, int64 ``[C]``, rising: the newest events of both ends.
    src, dst : Tensor
        int64 ``[C]``.
    when : Tensor
        ``[C]``.
    effect : Tensor
        float64 ``[C]``.
    num_events : int
        Of the stream.
    without : callable
        From edge ids to the score without these events.
    """

    pair: tuple[int, int]
    time: float
    score: float
    events: Tensor
    src: Tensor
    dst: Tensor
    when: Tensor
    effect: Tensor
    num_events: int
    without: Callable[[Tensor], float] = field(repr=False)

    @property
    def probability(self) -> float:
        """``sigmoid(score)``."""
        return float(torch.tensor(self.score, dtype=torch.float64).sigmoid())

    @property
    def edge_mask(self) -> Tensor:
        """The size of each event's effect, float32 ``[E]``; 0 for events that were not asked about."""
        mask = torch.zeros(self.num_events)
        mask[self.events] = self.effect.abs().float()
        return mask

    def top_events(self, k: int = 10) -> pandas.DataFrame:
        """Return the ``k`` events with the largest effect: ``event``, ``src``, ``dst``, ``time``, ``effect``."""
        import pandas

        best = self.effect.abs().argsort(descending=True, stable=True)[:k]
        columns = {"event": self.events, "src": self.src, "dst": self.dst, "time": self.when, "effect": self.effect}
        return pandas.DataFrame({name: value[best].numpy() for name, value in columns.items()})

    def fidelity(self, k: int = 10) -> dict[str, float]:
        """Return the probability, and its fall without the ``k`` top events (``plus``) or the others (``minus``)."""
        best = self.effect.abs().argsort(descending=True, stable=True)
        taken = [self.events[part].sort().values for part in (best[:k], best[k:])]
        left = [float(torch.tensor(self.without(ids), dtype=torch.float64).sigmoid()) for ids in taken]
        return {
            "probability": self.probability,
            "plus": self.probability - left[0],
            "minus": self.probability - left[1],
        }

    def summary(self) -> str:
        """Say in a sentence what was asked and what counts."""
        u, v = self.pair
        said = f"{u} and {v} meet at time {self.time:.12g} with probability {self.probability:.3f}"
        if not len(self.events):
            return f"{said}; neither has a past that could matter."
        moved = int((self.effect.abs() > 1e-9).sum())
        return f"{said}; {moved} of the {len(self.events)} newest events of both change the score."

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the pasts of both ends on a line of time, each event as high as it adds to the score.

        Parameters
        ----------
        path : path-like, optional
            Also write the picture.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.subplots(2, 1, sharex=True, sharey=True)
        age = (self.time - self.when.double()).clamp(min=1e-12)
        named = set(self.effect.abs().argsort(descending=True, stable=True)[:6].tolist())
        for axis, node in zip(axes, self.pair, strict=True):
            for row in ((self.src == node) | (self.dst == node)).nonzero()[:, 0].tolist():
                effect, before = float(self.effect[row]), float(age[row])
                color = "#1b7837" if effect >= 0 else "#b2182b"
                axis.vlines(before, 0, effect, color=color, linewidth=2)
                axis.plot(before, effect, "o", color=color, markersize=5)
                if row in named:
                    other = int(self.dst[row] if int(self.src[row]) == node else self.src[row])
                    axis.annotate(f"met {other}", (before, effect), (5, 2), textcoords="offset points", fontsize=8)
            axis.axhline(0, color="0.6", linewidth=0.8)
            axis.set_ylabel(f"events of {node}")
            axis.spines[["top", "right"]].set_visible(False)
        if len(self.events):  # what happened lately counts most, so it gets the room
            axes[0].set_xscale("log")
            axes[0].invert_xaxis()
        axes[1].set_xlabel("time before the question; height: what the event adds to the score")
        axes[0].set_title(self.summary(), fontsize=10, loc="left")
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=150)
        return figure

    def to_html(self, path: str | Path, k: int = 20) -> Path:
        """Write a page with the picture and a table, which needs no network; return its path."""
        picture = io.BytesIO()
        self.plot().savefig(picture, format="png", dpi=150)
        table = self.top_events(k).to_html(index=False, float_format="%.4g", border=0)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        image = base64.b64encode(picture.getvalue()).decode()
        title = html.escape(self.summary())
        path.write_text(
            "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<title>{title}</title>"
            "<style>body{font:16px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
            "img{width:100%;background:#fff}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right}"
            "@media(prefers-color-scheme:dark){body{background:#181a1b;color:#e8e6e3}}</style>"
            f"<h1>Why these two?</h1><p>{title}</p><img alt='{title}' src='data:image/png;base64,{image}'>{table}"
            "</html>",
            encoding="utf-8",
        )
        return path


def explain_past(
    model: nn.Module, task: TemporalLinkTask, pair: tuple[int, int], time: float | None = None, candidates: int = 15
) -> PastExplanation:
    """Take each recent event of both ends out of the past, one at a time, and see how the score of the pair changes.

    A system with a state goes through the stream again without the event, from the run that holds the oldest candidate.

    Parameters
    ----------
    model : nn.Module
    task : TemporalLinkTask
    pair : tuple of int
    time : float, optional
        When the pair is asked for; just after the last event without.
    candidates : int, default 15
        The newest events of each end that are tried.

    Returns
    -------
    PastExplanation

    Raises
    ------
    GraphKitError
        If a node is out of range, or the time is no finite number.

    Examples
    --------
    >>> import graphkit as gk
    >>> run = gk.fit("edgebank", gk.load("periodic-pairs"), progress=False)
    >>> src, dst = run.data.original.find_edges(11000)
    >>> explain_past(run.model, run.task, (int(src), int(dst))).score
    1.0
    """
    check_size("candidates", candidates)
    every = task.stream.events
    when = after(every.time) if time is None else torch.tensor(time, dtype=torch.float64)
    if not bool(torch.isfinite(when.double())):
        raise GraphKitError(f"time is {time}; expected when the pair is asked for")
    asked = check_pairs(Pairs(*(torch.tensor([end]) for end in pair), time=when.reshape(1)), task.stream.num_nodes)
    found = TemporalSampler(task.data.original, [candidates]).sample(torch.tensor(pair), when.expand(2))
    ids = found.edge[found.mask].unique()
    model.eval()
    without = Removal(model, task, asked, int(ids[0]) if len(ids) else len(every))
    score = without(ids[:0])
    effect = torch.tensor([score - without(ids[i : i + 1]) for i in range(len(ids))], dtype=torch.float64)
    told = (every.src[ids], every.dst[ids], every.time[ids])
    return PastExplanation((pair[0], pair[1]), float(when), score, ids, *told, effect, len(every), without)


class Removal:
    """The score of a pair at a time as if some events had not happened.

    Parameters
    ----------
    model : nn.Module
    task : TemporalLinkTask
    asked : Pairs
        One pair with its time.
    oldest : int
        No event before this one is ever removed.
    """

    def __init__(self, model: nn.Module, task: TemporalLinkTask, asked: Pairs, oldest: int) -> None:
        self.model, self.task, self.asked = model, task, asked
        self.count = int(torch.searchsorted(task.stream.events.time.double(), asked.time.double()))
        self.kept: dict[str, Tensor] = {}
        if is_stateful(model):
            task.rewind(model, min(oldest, self.count))
            self.begin = int(bare(model).seen)
            self.kept = {name: value.clone() for name, value in bare(model).named_buffers()}

    def __call__(self, removed: Tensor) -> float:
        """Return the score without the events ``removed``, int64 ``[R]``."""
        stream = self.task.stream
        keep = torch.ones(len(stream.events), dtype=torch.bool)
        keep[removed] = False
        if is_stateful(self.model):
            own = bare(self.model)
            own.load_state_dict(self.kept, strict=False)
            ends = [end for end in stream.ends.tolist() if self.begin < end < self.count] + [self.count]
            low = self.begin
            for high in ends if self.count > self.begin else []:
                own.observe(_only(stream.observed(low, high), keep))
                low = high
        sampler = self.task.sampler(self.model, False)
        if sampler is not None and len(removed):
            sampler = TemporalSampler(self.task.data.original, sampler.fanouts, sampler.strategy, keep, sampler.seed)
        batch = self.task.batch(self.model, self.asked, sampler, None)
        try:
            with torch.no_grad():
                return float(self.model(place(batch, self.model)).pred)
        finally:
            if is_stateful(self.model):
                bare(self.model).load_state_dict(self.kept, strict=False)


def _only(events: Events, keep: Tensor) -> Events:
    """Return the events that are kept."""
    rows = keep[events.edge].nonzero()[:, 0]
    fields = {name: value[rows] for name, value in (events.fields or {}).items()}
    feat = None if events.feat is None else events.feat[rows]
    return Events(events.src[rows], events.dst[rows], events.time[rows], events.edge[rows], feat, fields)
