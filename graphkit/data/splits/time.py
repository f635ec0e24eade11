"""Splits in the order of time: what is tested is later than what is trained on, strictly."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.data.splits.rows import PARTS, Parts, _shares

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset


def check_order(parts: Parts, times: Tensor) -> Parts:
    """Return the parts if every time of one is later than all times of the parts before it.

    Parameters
    ----------
    parts : dict of str to Tensor
        int64 ids of ``train``, ``val``, ``test``.
    times : Tensor
        ``[n]``.

    Raises
    ------
    GraphKitError
        If they overlap in time.

    Examples
    --------
    >>> ids = {"train": torch.tensor([0]), "val": torch.tensor([], dtype=torch.int64), "test": torch.tensor([1])}
    >>> check_order(ids, torch.tensor([3, 3]))
    Traceback (most recent call last):
    graphkit.core.errors.GraphKitError: the split's part test begins at time 3, but an earlier part ends at 3
    """
    latest = None
    for name in PARTS:
        if not len(parts[name]):
            continue
        mine = times[parts[name]]
        if latest is not None and not mine.min() > latest:
            raise GraphKitError(
                f"the split's part {name} begins at time {mine.min().item()}, but an earlier part ends at "
                f"{latest.item()}"
            )
        latest = mine.max()
    return parts


def cut_times(times: Tensor, ratio: Sequence[float]) -> list[Tensor]:
    """Cut non-decreasing ``times`` at two quantiles, int64 ids of the three parts.

    What happened at one time falls into one part: training takes all times up to the quantile of its share, as the
    benchmarks do (``t <= quantile(times, 0.7)``), and so with validation.

    >>> [part.tolist() for part in cut_times(torch.tensor([0, 1, 1, 1, 2, 3]), (0.5, 0.3, 0.2))]
    [[0, 1, 2, 3], [4], [5]]
    """
    import numpy as np

    share = _shares(ratio)
    values = times.numpy()
    first, second = np.quantile(values, [share[0], share[0] + share[1]]) if len(values) else (0, 0)
    bounds = [0, *np.searchsorted(values, [first, second], side="right").tolist(), len(values)]
    return [torch.arange(low, high) for low, high in itertools.pairwise(bounds)]


@register("time", kind="split", level="temporal-link hyperedge")
def time(data: Dataset, seed: int = 0, *, ratio: Sequence[float] = (0.7, 0.15, 0.15)) -> Parts:
    """Cut events (or hyperedges) at two times, so that each part is strictly later than the one before.

    Parameters
    ----------
    data : Dataset
    seed : int
        Not used: nothing is drawn.
    ratio : three floats
        Shares of train, val and test; a part may be larger, since what shares a timestamp stays together.

    Returns
    -------
    dict of str to Tensor
        int64 ids of edges in the order of time.

    Raises
    ------
    GraphKitError
        If a part would be empty, as where all events have one time.

    References
    ----------
    "Towards Better Evaluation for Dynamic Link Prediction", arXiv:2207.10128.
    """
    parts = cut_times(data.times, ratio)
    empty = [name for name, part, share in zip(PARTS, parts, ratio, strict=True) if share and not len(part)]
    if empty:
        raise GraphKitError(
            f"{data.name} has {len(data.times)} events at {len(data.times.unique())} times, too few times for the "
            f"shares {tuple(ratio)}: {empty[0]} would be empty"
        )
    return dict(zip(PARTS, parts, strict=True))


@register("windows", kind="split", level="forecast")
def windows(
    data: Dataset, seed: int = 0, *, ratio: Sequence[float] = (0.7, 0.1, 0.2), history: int = 12, horizon: int = 12
) -> Parts:
    """Cut the steps of a series at two times; a window belongs to the part that holds all steps it forecasts.

    Window ``w`` reads the steps ``w .. w + history - 1`` and forecasts ``w + history .. w + history + horizon - 1``.
    What a window reads may lie in the part before, as it would when the forecast is made; windows that would forecast
    steps of two parts belong to none. The defaults are those of traffic forecasting (DCRNN, arXiv 1707.01926).

    Parameters
    ----------
    data : Dataset
    seed : int
        Not used: nothing is drawn.
    ratio : three floats
        Shares of the steps.
    history, horizon : int
        Steps read and forecast.

    Returns
    -------
    dict of str to Tensor
        int64 ids of windows; ``data.windows("train")`` gives what they hold.

    Raises
    ------
    GraphKitError
        If a part has no whole window.
    """
    if history < 1 or horizon < 1:
        raise GraphKitError(f"history={history} and horizon={horizon}; expected at least one step of each")
    steps = data.num_rows
    share = _shares(ratio)
    bounds = [0, round(steps * share[0]), round(steps * (share[0] + share[1])), steps]
    parts = {}
    for name, part, low, high in zip(PARTS, share, bounds[:-1], bounds[1:], strict=True):
        parts[name] = torch.arange(max(low - history, 0), max(high - history - horizon + 1, max(low - history, 0)))
        if part and not len(parts[name]):
            raise GraphKitError(
                f"{data.name} has {steps} steps, of which {high - low} for {name}: too few for one window of "
                f"history={history} and horizon={horizon}"
            )
    return parts
