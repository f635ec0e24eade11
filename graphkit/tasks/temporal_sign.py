"""Temporal sign prediction: whether who meets at a time will trust or distrust."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import metrics
from graphkit.core.batch import Batch, Pairs
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.random import Rng
from graphkit.core.registry import register
from graphkit.tasks.base import place
from graphkit.tasks.temporal_link import TemporalLinkTask, bare, is_stateful

if TYPE_CHECKING:
    from graphkit.data import Dataset

SCORES = ("auc", "ap_negative", "macro_f1", "loss")
#: Options of the task of links that say which false pairs there are, of which this task has none.
NO_RIVALS = ("negatives", "num_rivals", "num_negatives", "both_ways", "exclude", "sources", "scores")


def best_threshold(pred: Tensor, label: Tensor) -> float:
    """Return the score from which on a pair counts as positive that gives the best macro F1.

    Parameters
    ----------
    pred : Tensor
        ``[Q]``.
    label : Tensor
        1 for positive, ``[Q]``.

    Examples
    --------
    >>> best_threshold(torch.tensor([-1.0, 0.5, 2.0]), torch.tensor([0, 1, 1]))
    0.5
    """
    score, place = torch.unique(pred.double(), return_inverse=True)
    counts = [torch.zeros(len(score)).double().index_add(0, place, part.double()) for part in (label > 0, label <= 0)]
    # At and above each score: true positives and false positives.
    hit, false = (column.flip(0).cumsum(0).flip(0) for column in counts)
    good, bad = counts[0].sum(), counts[1].sum()
    one = 2 * hit / (hit + false + good).clamp(min=1e-12)
    other = 2 * (bad - false) / ((bad - false) + (good - hit) + bad).clamp(min=1e-12)
    return float(score[(one + other).argmax()])


def macro_f1(positive: Tensor, label: Tensor) -> float:
    """Return the mean of the F1 of both classes; ``positive`` and ``label`` are 1 or 0, ``[Q]``.

    >>> macro_f1(torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0]))
    0.6666666666666666
    """
    from sklearn.metrics import f1_score

    return float(f1_score(label.numpy(), positive.numpy(), average="macro", zero_division=0))


@register("temporal-sign", kind="task", level="temporal-link")
@dataclass
class TemporalSignTask(TemporalLinkTask):
    """Tell the sign of each event from what happened strictly before; there are no false pairs.

    Events need the field ``sign``, 1 or -1. What is predicted is the logit of a positive sign. Judged by the area under
    the ROC curve (``auc``), the average precision of finding the negative ones (``ap_negative``), which are few, and
    the mean F1 of both classes (``macro_f1``) at the threshold that is best on the validation part.

    Parameters
    ----------
    select : str
        The validation score that picks the best epoch.

    Notes
    -----
    "Representation Learning in Continuous-Time Dynamic Signed Networks", arXiv 2207.03408, whose authors score a batch
    with its own edges in the graph; here a run is scored before any of it is observed.

    Examples
    --------
    >>> TemporalSignTask(data=None).monitor
    ('val/auc', 'max')
    """

    select: str = "auc"

    default_batch_size: ClassVar[int | None] = 200

    def __post_init__(self) -> None:
        check_choice("score", self.select, SCORES)
        for one in dataclasses.fields(self):
            if one.name in NO_RIVALS and getattr(self, one.name) != one.default:
                raise GraphKitError(f"{one.name} says which false pairs there are, but a task of signs has none")

    @classmethod
    def fits(cls, data: Dataset) -> bool:
        """Say whether events have signs."""
        return "sign" in data.collated.edge_fields

    @property
    def signs(self) -> Tensor:
        """1 for a positive event, 0 for a negative one, float32 ``[E]``.

        Raises
        ------
        GraphKitError
            If events have no signs.
        """
        sign = (self.stream.events.fields or {}).get("sign")
        if sign is None:
            raise GraphKitError(f"the events of {self.data.name} have no field 'sign', which a task of signs predicts")
        return (sign > 0).float()

    def batches(self, split: str, model: nn.Module, rng: Rng) -> Iterator[Batch]:
        """Yield the events of a part in the order of time, labelled by their signs; see the task of links."""
        low, high = self.stream.part(split)
        wanted = torch.zeros(len(self.stream.events), dtype=torch.bool)
        wanted[self.ids(split)] = True
        wanted &= self.stream.shown
        stateful, sampler = is_stateful(model), self.sampler(model, split == "train")
        for begin, end in self.stream.cut(low, high):
            ids = begin + wanted[begin:end].nonzero()[:, 0]
            near = None if sampler is None else sampler.like(seed=rng.integer(begin, "neighbours"))
            slices = ids.split(self.stream.size)
            for number, rows in enumerate(slices):
                batch = self.batch(model, self._pairs(rows), near, self.signs[rows])
                if stateful and number == len(slices) - 1:
                    batch.fields["events"] = self.stream.observed(begin, end)
                yield batch

    def _pairs(self, ids: Tensor) -> Pairs:
        every = self.stream.events
        return Pairs(every.src[ids], every.dst[ids], time=every.time[ids])

    @torch.no_grad()
    def logits(self, model: nn.Module, split: str) -> tuple[Tensor, Tensor]:
        """Return the events of a part, int64 ``[Q]``, and the logits of a positive sign, ``[Q]``."""
        low, high = self.stream.part(split)
        self.rewind(model, low)
        event, sampler = self.ids(split), self.sampler(model, False)
        step = getattr(getattr(bare(model), "encoder", model), "queries_at_once", 4096)
        found = [torch.empty(0)]
        for begin, end in self.stream.cut(low, high):
            mine = event[slice(*torch.searchsorted(event, torch.tensor([begin, end])).tolist())]
            for ids in mine.split(step) if len(mine) else ():
                batch = self.batch(model, self._pairs(ids), sampler, None)
                found.append(model(place(batch, model)).pred.float().cpu())
            if is_stateful(model):
                self._observe(model, begin, end)
        return event, torch.cat(found)

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Return loss, ROC AUC, average precision of the negative class, and macro F1 at the validation threshold."""
        cut = 0.0
        if self.size("val"):
            event, pred = self.logits(model, "val")
            cut = best_threshold(pred, self.signs[event])
        if split != "val" or not self.size("val"):
            event, pred = self.logits(model, split)
        label = self.signs[event]
        if not len(label):
            raise GraphKitError(f"the {split} split of {self.data.name} has no events to judge")
        both = 0 < float(label.mean()) < 1
        return {
            "loss": float(F.binary_cross_entropy_with_logits(pred, label)),
            "auc": metrics.roc_auc(pred, label) if both else np.nan,
            "ap_negative": metrics.average_precision(-pred, 1 - label) if both else np.nan,
            "macro_f1": macro_f1((pred >= cut).long(), label.long()),
        }
