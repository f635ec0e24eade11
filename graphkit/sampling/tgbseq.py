"""The negatives and the score of TGB-Seq, a benchmark of streams that hardly repeat a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit import metrics
from graphkit.core.check import check_choice, check_ids, check_size
from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    from graphkit.sampling.index import EdgeIndex

#: Which destinations may be false ones.
RULES = ("official", "strict")


def tgbseq_negatives(
    src: Tensor,
    dst: Tensor,
    destinations: tuple[int, int],
    num: int = 100,
    rule: str = "official",
    known: EdgeIndex | None = None,
    seed: int = 0,
) -> Tensor:
    """Draw false destinations for each event, uniformly over a range of ids.

    ``official`` keeps two quirks of the benchmark: the last destination of the range is never drawn, and only a row's
    own positive is kept out of it, so that other true events may be drawn. ``strict`` draws from the whole range and
    none of ``known``. The rule is the benchmark's, the generator is not: published negatives are read from its files.

    Parameters
    ----------
    src, dst : Tensor
        The events, int64 ``[Q]``.
    destinations : tuple of int
        The first and the last destination's id.
    num : int
        K.
    rule : str
        One of :data:`RULES`.
    known : EdgeIndex, optional
        Pairs that are true, for ``strict``.
    seed : int

    Returns
    -------
    Tensor
        int64 ``[Q, K]``, drawn with replacement.

    Raises
    ------
    GraphKitError
        If the rule is unknown, ``strict`` lacks the true pairs, or a source has no false destination.

    References
    ----------
    "TGB-Seq Benchmark: Challenging Temporal GNNs with Complex Sequential Dynamics", arXiv:2502.02975.

    Examples
    --------
    >>> found = tgbseq_negatives(torch.tensor([0, 1]), torch.tensor([5, 6]), (5, 9), num=3)
    >>> found.shape, bool((found == torch.tensor([[5], [6]])).any()), bool((found >= 9).any())
    (torch.Size([2, 3]), False, False)
    """
    check_choice("rule", rule, RULES)
    check_size("num", num)
    low, high = destinations
    check_ids("dst", dst, high + 1, len(src))
    if rule == "strict" and known is None:
        raise GraphKitError(
            "rule='strict' keeps true pairs out, so it needs them: give known=EdgeIndex(src, dst, nodes)"
        )
    rng = np.random.default_rng(seed)
    above = high if rule == "official" else high + 1
    made = np.empty((len(src), num), dtype=np.int64)
    todo = np.ones(made.shape, dtype=bool)
    sources, true = (np.broadcast_to(ids.numpy()[:, None], made.shape) for ids in (src, dst))
    for _ in range(1000):
        if not todo.any():
            return torch.from_numpy(made)
        if above - low < 1:
            break
        made[todo] = rng.integers(low, above, size=int(todo.sum()))
        again = made[todo] == true[todo]
        if known is not None and rule == "strict":
            pair = torch.from_numpy(sources[todo]), torch.from_numpy(made[todo])
            again |= known.contains(*pair).numpy()
        todo[todo] = again
    row = int(todo.any(1).argmax())
    raise GraphKitError(f"source {int(src[row])} has no false destination among the ids {low} to {above - 1}")


def reciprocal_ranks(pos: Tensor, neg: Tensor, seen: Tensor | None = None) -> dict[str, float]:
    r"""Return the mean reciprocal rank of events against their own negatives, a tie counting half.

    .. math:: rank = 1 + \tfrac12 (\#\{n > p\} + \#\{n \ge p\}), \qquad MRR = \frac1Q \sum \frac{1}{rank}

    Parameters
    ----------
    pos : Tensor
        Scores ``[Q]`` of all events of a part; a mean over batches of unequal size would be another number.
    neg : Tensor
        ``[Q, K]``.
    seen : Tensor, optional
        bool ``[Q]``: events whose pair met before, see :func:`graphkit.analysis.seen_pairs`.

    Returns
    -------
    dict of str to float
        ``mrr``, and with ``seen`` also ``mrr_seen`` and ``mrr_unseen`` (NaN where there is no such event).

    Raises
    ------
    GraphKitError
        If scores are NaN or shapes do not fit.

    Examples
    --------
    >>> reciprocal_ranks(torch.zeros(2), torch.zeros(2, 100))["mrr"] == 1 / 51
    True
    """
    rank = metrics.ranks(pos, neg)
    found = {"mrr": metrics.mrr(rank)}
    if seen is not None:
        for name, part in (("mrr_seen", seen), ("mrr_unseen", ~seen)):
            found[name] = metrics.mrr(rank[part]) if bool(part.any()) else float("nan")
    return found
