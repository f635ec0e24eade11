"""Ranks, tie rules, masked scores and intervals, against hand-counted values and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from graphkit import metrics
from graphkit.core.errors import GraphKitError


def slow_ranks(pos, neg, share):
    """Count better and equal rivals one by one."""
    return [
        1 + sum(n > p for n in row) + share * sum(n == p for n in row)
        for p, row in zip(pos.tolist(), neg.tolist(), strict=True)
    ]


@pytest.mark.parametrize(("ties", "share"), [("realistic", 0.5), ("optimistic", 0.0), ("pessimistic", 1.0)])
def test_ranks_follow_their_tie_rule(ties, share):
    draw = torch.Generator().manual_seed(0)
    pos, neg = torch.randint(5, (40,), generator=draw).float(), torch.randint(5, (40, 9), generator=draw).float()
    assert metrics.ranks(pos, neg, ties).tolist() == slow_ranks(pos, neg, share)
    shared = neg[0]
    assert metrics.ranks(pos, shared, ties).tolist() == slow_ranks(pos, shared.expand(40, -1), share)


def test_a_constant_scorer_gains_nothing_from_ties():
    rank = metrics.ranks(torch.zeros(10), torch.zeros(10, 99))
    assert rank.unique().tolist() == [50.5]
    assert metrics.hits_at_k(rank, 10) == 0


def test_filtered_ranks_leave_out_known_answers_but_never_the_one_asked_for():
    scores = torch.tensor([[5.0, 4.0, 3.0, 2.0]])
    known = torch.tensor([[True, False, True, False]])
    assert metrics.filtered_ranks(scores, torch.tensor([2]), known).tolist() == [2.0]
    assert metrics.filtered_ranks(scores, torch.tensor([2])).tolist() == [3.0]


def test_nan_scores_never_rank():
    bad = torch.tensor([float("nan")])
    for call in (
        lambda: metrics.ranks(bad, torch.zeros(1, 3)),
        lambda: metrics.filtered_ranks(bad.view(1, 1), torch.tensor([0])),
        lambda: metrics.roc_auc(bad, torch.ones(1)),
        lambda: metrics.hits_against(bad, torch.zeros(3), 1),
    ):
        with pytest.raises(GraphKitError, match="NaN"):
            call()


def test_masked_scores_agree_with_sklearn_column_by_column():
    draw = np.random.default_rng(0)
    score, truth = draw.random((50, 3)), (draw.random((50, 3)) < 0.4).astype(float)
    truth[::7, 1] = np.nan
    truth[:, 2] = 1.0  # a column with one class has no curve
    keep = ~np.isnan(truth[:, 1])
    expected = np.mean([roc_auc_score(truth[:, 0], score[:, 0]), roc_auc_score(truth[keep, 1], score[keep, 1])])
    assert metrics.roc_auc(torch.tensor(score), torch.tensor(truth)) == pytest.approx(expected, abs=1e-12)
    expected = np.mean(
        [average_precision_score(truth[:, 0], score[:, 0]), average_precision_score(truth[keep, 1], score[keep, 1])]
    )
    assert metrics.average_precision(torch.tensor(score), torch.tensor(truth)) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(GraphKitError, match="both classes"):
        metrics.roc_auc(torch.rand(4), torch.ones(4))


def test_missing_labels_do_not_count():
    pred = torch.eye(3)
    assert metrics.accuracy(pred, torch.tensor([0, -1, 1])) == 0.5
    with pytest.raises(GraphKitError, match="labelled"):
        metrics.accuracy(pred, torch.full((3,), -1))
    assert metrics.errors(torch.tensor([[1.0], [5.0]]), torch.tensor([[3.0], [math.nan]])) == {"mae": 2.0, "rmse": 2.0}


def test_interval_is_students():
    found = metrics.interval([81.0, 82.0, 80.5, 81.5, 81.0])
    assert found.mean == pytest.approx(81.2)
    assert found.high - found.mean == pytest.approx(2.776445 * found.std / 5**0.5, rel=1e-6)
    assert math.isnan(metrics.interval([1.0]).std)
    with pytest.raises(GraphKitError, match="level"):
        metrics.interval([1.0, 2.0], level=95)


def test_unknown_tie_rule_and_shapes_get_one_sentence():
    with pytest.raises(GraphKitError, match="unknown tie rule 'mean'; expected one of"):
        metrics.ranks(torch.zeros(1), torch.zeros(1, 2), ties="mean")
    with pytest.raises(GraphKitError, match=r"expected \[2, K\]"):
        metrics.ranks(torch.zeros(2), torch.zeros(3, 2))
