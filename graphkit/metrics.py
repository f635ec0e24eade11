"""What scikit-learn lacks: ranks with tie rules, MRR and Hits@K, masked multi-task scores, intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown

TIES = ("realistic", "optimistic", "pessimistic")


def _finite(name: str, scores: Tensor) -> Tensor:
    if torch.isnan(scores).any():
        raise GraphKitError(f"{name} hold NaN, which has no rank; check the model that made them")
    return scores


def _rank(higher: Tensor, equal: Tensor, ties: str) -> Tensor:
    """Turn counts of better and equally scored rivals into a rank, float64."""
    if ties not in TIES:
        raise unknown("tie rule", ties, TIES)
    share = {"realistic": 0.5, "optimistic": 0.0, "pessimistic": 1.0}[ties]
    return 1.0 + higher.double() + share * equal.double()


def ranks(pos: Tensor, neg: Tensor, ties: str = "realistic") -> Tensor:
    """Rank each positive among its negatives: ``1 + #{neg > pos} + t · #{neg = pos}``.

    Parameters
    ----------
    pos : Tensor
        Scores of the positives, ``[P]``.
    neg : Tensor
        Scores of the negatives of each, ``[P, K]``, or ``[K]`` shared by all.
    ties : str
        ``realistic`` (t = 1/2, the mean rank over all orders of the tied), ``optimistic`` (0), ``pessimistic`` (1).

    Returns
    -------
    Tensor
        float64 ``[P]``, from 1.

    Raises
    ------
    GraphKitError
        If scores are NaN, shapes do not fit or the tie rule is unknown.

    Notes
    -----
    Tie rules: Berrendorf et al., "On the Ambiguity of Rank-Based Evaluation", arXiv 2002.06914.

    Examples
    --------
    >>> ranks(torch.tensor([1.0]), torch.tensor([[2.0, 1.0, 0.0]])).tolist()
    [2.5]
    """
    _finite("scores", pos), _finite("negative scores", neg)
    if neg.dim() == 1:
        order = neg.sort().values
        above = len(order) - torch.searchsorted(order, pos.contiguous(), right=True)
        below = torch.searchsorted(order, pos.contiguous())
        return _rank(above, len(order) - above - below, ties)
    if neg.dim() != 2 or len(neg) != len(pos):
        raise GraphKitError(f"negative scores have shape {list(neg.shape)}; expected [{len(pos)}, K] or [K]")
    column = pos.unsqueeze(1)
    return _rank((neg > column).sum(1), (neg == column).sum(1), ties)


def filtered_ranks(scores: Tensor, true: Tensor, known: Tensor | None = None, ties: str = "realistic") -> Tensor:
    """Rank each true candidate among all candidates, leaving out the other known true ones.

    Parameters
    ----------
    scores : Tensor
        ``[P, N]``, one row of candidate scores for each query.
    true : Tensor
        int64 ``[P]``, the candidate asked for.
    known : Tensor, optional
        bool ``[P, N]``, candidates that are true answers too; they do not compete.
    ties : str
        As for :func:`ranks`.

    Returns
    -------
    Tensor
        float64 ``[P]``, from 1.

    Raises
    ------
    GraphKitError
        If scores are NaN or the tie rule is unknown.

    Notes
    -----
    The filtered setting: Bordes et al., "Translating Embeddings for Modeling Multi-relational Data", NeurIPS 2013.

    Examples
    --------
    >>> known = torch.tensor([[True, False, False]])
    >>> filtered_ranks(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([1]), known).tolist()
    [1.0]
    """
    _finite("scores", scores)
    column = scores.gather(1, true.unsqueeze(1))
    rival = torch.ones_like(scores, dtype=torch.bool) if known is None else ~known
    rival = rival.scatter(1, true.unsqueeze(1), False)
    return _rank(((scores > column) & rival).sum(1), ((scores == column) & rival).sum(1), ties)


def mrr(rank: Tensor) -> float:
    """Mean reciprocal rank, ``mean(1 / rank)``, of ranks ``[P]``.

    >>> mrr(torch.tensor([1.0, 2.0]))
    0.75
    """
    return float((1.0 / rank.double()).mean())


def hits_at_k(rank: Tensor, k: int) -> float:
    """Share of ranks ``[P]`` that are at most ``k``.

    >>> hits_at_k(torch.tensor([1.0, 2.5, 4.0, 9.0]), 3)
    0.5
    """
    return float((rank <= k).double().mean())


def hits_against(pos: Tensor, neg: Tensor, k: int) -> float:
    """Share of positives scored strictly above the ``k``-th best of their negatives; a tie is no hit.

    Parameters
    ----------
    pos : Tensor
        Scores of the positives, ``[P]``.
    neg : Tensor
        Scores of the negatives, ``[K]`` shared by all, or ``[P, K]``, each positive's own.
    k : int

    Returns
    -------
    float
        1 if there are fewer than ``k`` negatives.

    Raises
    ------
    GraphKitError
        If scores are NaN, or shapes do not fit.

    Notes
    -----
    Hu et al., "Open Graph Benchmark", arXiv 2005.00687.

    Examples
    --------
    >>> hits_against(torch.tensor([0.9, 0.4]), torch.tensor([0.5, 0.1]), 1)
    0.5
    >>> hits_against(torch.tensor([0.9, 0.4]), torch.tensor([[0.9, 0.1], [0.3, 0.1]]), 1)
    0.5
    """
    _finite("scores", pos), _finite("negative scores", neg)
    if neg.dim() not in (1, 2) or (neg.dim() == 2 and len(neg) != len(pos)):
        raise GraphKitError(f"negative scores have shape {list(neg.shape)}; expected [{len(pos)}, K] or [K]")
    if neg.shape[-1] < k:
        return 1.0
    return float((pos > neg.topk(k, dim=-1).values[..., -1]).double().mean())


def accuracy(pred: Tensor, label: Tensor) -> float:
    """Share of rows whose largest entry is the label; rows with label -1 do not count.

    Parameters
    ----------
    pred : Tensor
        ``[T, C]``.
    label : Tensor
        int64 ``[T]``.

    Examples
    --------
    >>> accuracy(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
    0.5
    """
    known = label >= 0
    if not known.any():
        raise GraphKitError("accuracy needs at least one labelled row; all labels are missing (-1)")
    return float((pred.argmax(-1)[known] == label[known]).double().mean())


def _columns(name: str, pred: Tensor, label: Tensor) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split ``[T, C]`` scores and labels into columns without missing labels, both classes present."""
    scores, truths = (x.detach().double().cpu().reshape(len(x), -1).numpy() for x in (_finite("scores", pred), label))
    columns = []
    for score, truth in zip(scores.T, truths.T, strict=True):
        known = ~np.isnan(truth)
        if len(np.unique(truth[known])) == 2:
            columns.append((truth[known], score[known]))
    if not columns:
        raise GraphKitError(f"{name} needs both classes in at least one label column; the given labels hold one class")
    return columns


def roc_auc(pred: Tensor, label: Tensor) -> float:
    """Area under the ROC curve, mean over label columns that hold both classes.

    Parameters
    ----------
    pred : Tensor
        Scores, ``[T]`` or ``[T, C]``.
    label : Tensor
        0 or 1 in the shape of ``pred``, NaN where missing.

    Examples
    --------
    >>> roc_auc(torch.tensor([0.1, 0.9, 0.8]), torch.tensor([0.0, 1.0, 0.0]))
    1.0
    """
    from sklearn.metrics import roc_auc_score

    return float(np.mean([roc_auc_score(*column) for column in _columns("roc_auc", pred, label)]))


def average_precision(pred: Tensor, label: Tensor) -> float:
    """Average precision, mean over label columns that hold both classes; arguments as :func:`roc_auc`.

    >>> average_precision(torch.tensor([0.1, 0.9, 0.8]), torch.tensor([0.0, 1.0, 0.0]))
    1.0
    """
    from sklearn.metrics import average_precision_score

    return float(np.mean([average_precision_score(*column) for column in _columns("ap", pred, label)]))


class MultitaskAUC(NamedTuple):
    """AUC of each label column (NaN where a class is missing), their mean, and how many columns have none."""

    per_task: Tensor
    mean: float
    skipped: int


def multitask_auc(pred: Tensor, label: Tensor) -> MultitaskAUC:
    """Area under the ROC curve of each label column; one that holds a single class is skipped and counted.

    Parameters
    ----------
    pred, label : Tensor
        ``[B, T]``, scores and 0 or 1, NaN where missing.

    Returns
    -------
    MultitaskAUC

    Raises
    ------
    GraphKitError
        If no column holds both classes.

    Notes
    -----
    "Massively Multitask Networks for Drug Discovery", arXiv 1502.02072.

    Examples
    --------
    >>> found = multitask_auc(torch.tensor([[0.1, 0.5], [0.9, 0.5]]), torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    >>> found.per_task.tolist(), found.mean, found.skipped
    ([1.0, nan], 1.0, 1)
    """
    rows = label.reshape(len(label), -1)
    both = torch.tensor([bool((column == 0).any() and (column == 1).any()) for column in rows.T], dtype=torch.bool)
    found = torch.full((rows.shape[1],), float("nan"), dtype=torch.float64)
    scores = pred.reshape(rows.shape)
    for column in both.nonzero()[:, 0].tolist():
        found[column] = roc_auc(scores[:, column], rows[:, column])
    if not both.any():
        raise GraphKitError("multitask_auc needs both classes in at least one label column; each holds one class")
    return MultitaskAUC(found, float(found[both].mean()), int((~both).sum()))


def sign_test(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Probability of so uneven a count of wins if neither of two methods were better, ties left out.

    Parameters
    ----------
    ours, theirs : sequence of float
        Scores of two methods, task by task; NaN leaves a task out.

    Returns
    -------
    float
        The two-sided p value of the binomial test; 1 where all are ties.

    Raises
    ------
    GraphKitError
        If the lengths differ.

    Examples
    --------
    >>> round(sign_test([0.9, 0.8, 0.7, 0.9, 0.6], [0.8, 0.7, 0.6, 0.8, 0.5]), 4)
    0.0625
    """
    from scipy.stats import binomtest

    if len(ours) != len(theirs):
        raise GraphKitError(f"{len(ours)} scores came beside {len(theirs)}; expected one of each for every task")
    gap = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    wins, losses = int((gap > 0).sum()), int((gap < 0).sum())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def errors(pred: Tensor, label: Tensor) -> dict[str, float]:
    """Mean absolute error and root mean squared error over the labels that are not NaN.

    >>> errors(torch.tensor([1.0, 2.0]), torch.tensor([2.0, float("nan")]))
    {'mae': 1.0, 'rmse': 1.0}
    """
    known = ~torch.isnan(label)
    gap = (pred.reshape(label.shape) - label)[known].double()
    if not len(gap):
        raise GraphKitError("an error needs at least one label; all labels are missing (NaN)")
    return {"mae": float(gap.abs().mean()), "rmse": float(gap.square().mean().sqrt())}


def kendall(pred: Tensor, label: Tensor) -> float:
    """Kendall's rank correlation (tau-b) of predictions and labels, 0 where one of them is constant.

    Parameters
    ----------
    pred, label : Tensor
        As many numbers of each; labels that are NaN do not count.

    Examples
    --------
    >>> round(kendall(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 2.0])), 4)
    0.3333
    """
    from scipy.stats import kendalltau

    flat = label.reshape(-1)
    known = ~torch.isnan(flat)
    found = float(kendalltau(pred.reshape(-1)[known].cpu().numpy(), flat[known].cpu().numpy()).statistic)
    return 0.0 if np.isnan(found) else found


class Interval(NamedTuple):
    """Mean, sample standard deviation and the ends of the confidence interval of the mean."""

    mean: float
    std: float
    low: float
    high: float


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean over seeds, ``mean ± t · std / √n``.

    Parameters
    ----------
    values : sequence of float
        One value for each seed.
    level : float
        Confidence, in (0, 1).

    Raises
    ------
    GraphKitError
        If there are no values or the level is not in (0, 1).

    Examples
    --------
    >>> [round(x, 2) for x in interval([1.0, 2.0, 3.0])]
    [2.0, 1.0, -0.48, 4.48]
    """
    if not len(values) or not 0 < level < 1:
        raise GraphKitError(f"an interval needs values and a level in (0, 1); got {len(values)} values, level {level}")
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, float("nan"), float("nan"), float("nan"))
    std = float(np.std(values, ddof=1))
    half = float(t.ppf((1 + level) / 2, len(values) - 1)) * std / len(values) ** 0.5
    return Interval(mean, std, mean - half, mean + half)
