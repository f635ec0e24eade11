"""Generated streams: what theory says of each holds, and nothing else tells the answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError

TWINS = {"rounds": 600}


def ranked(positive, negative) -> float:
    """Share of queries whose true event scores above its false one, ties counting half."""
    positive, negative = np.asarray(positive, float), np.asarray(negative, float)
    return float((positive > negative).mean() + 0.5 * (positive == negative).mean())


def auc(positive, negative) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score([1] * len(positive) + [0] * len(negative), [*positive, *negative]))


def replay(data, score, observe) -> tuple[list[float], list[float]]:
    """Score each query from what happened strictly before its time."""
    full, asked = data.collated, data.queries
    src, dst, time = full.src.tolist(), full.dst.tolist(), full.edge_fields["time"].tolist()
    told, positive, negative = 0, [], []
    for event, u, v, w in zip(*(x.tolist() for x in (asked.event, asked.src, asked.dst, asked.neg)), strict=True):
        while told < len(src) and time[told] < time[event]:
            observe(src[told], dst[told], time[told])
            told += 1
        positive.append(score(u, v, time[event]))
        negative.append(score(u, w, time[event]))
    return positive, negative


def common(data, tau: float) -> tuple[list[float], list[float]]:
    last: dict[int, dict[int, float]] = {}

    def observe(u, v, t):
        last.setdefault(u, {})[v] = t
        last.setdefault(v, {})[u] = t

    def score(u, v, t):
        here, there = last.get(u, {}), last.get(v, {})
        return sum(math.exp((min(here[w], there[w]) - t) / tau) for w in here.keys() & there.keys())

    return replay(data, score, observe)


def test_twin_closure_is_what_it_says():
    data = gk.load("twin-closure", seed=3, **TWINS)
    full, asked = data.collated, data.queries
    assert full.num_edges == 6 * 600 and len(asked) == 2 * 600
    pairs = {(min(u, v), max(u, v)) for u, v in zip(full.src.tolist(), full.dst.tolist(), strict=True)}
    assert len(pairs) == full.num_edges, "a pair repeats"
    time = full.edge_fields["time"]
    assert (time[1:] >= time[:-1]).all() and len(time.unique()) == 5 * 600
    first = {}
    for e, pair in enumerate(zip(full.src.tolist(), full.dst.tolist(), strict=True)):
        first[frozenset(pair)] = e
    for event, u, w in zip(asked.event.tolist(), asked.src.tolist(), asked.neg.tolist(), strict=True):
        assert first.get(frozenset((u, w)), full.num_edges) > event, "a false pair has met"
    counts = torch.bincount(asked.dst, minlength=300), torch.bincount(asked.neg, minlength=300)
    assert torch.equal(*counts), "who is true in one query is false in its twin"


def test_twin_closure_is_won_by_recent_common_neighbours_alone():
    data = gk.load("twin-closure", seed=0, **TWINS)
    assert auc(*common(data, 5.0)) >= 0.99
    assert auc(*common(data, math.inf)) <= 0.85
    seen = set()
    assert auc(*replay(data, lambda u, v, t: (u, v) in seen, lambda u, v, t: seen.add((u, v)))) == 0.5


def test_twin_closure_finds_the_leak_of_events_that_are_observed_one_by_one():
    # The two closings of a round share a time. Once one is written, the node that it used was active just now.
    data = gk.load("twin-closure", seed=0)
    last: dict[int, float] = {}

    def observe(u, v, t):
        last[u] = last[v] = t

    strict = replay(data, lambda u, v, t: t - last.get(v, -1e9), observe)
    assert abs(ranked(*strict) - 0.5) <= 0.02 and abs(auc(*strict) - 0.5) <= 0.02
    last.clear()
    full, leaked = data.collated, ([], [])
    columns = (full.src, full.dst, full.edge_fields["time"], full.edge_fields["negative"])
    for u, v, t, w in zip(*(column.tolist() for column in columns), strict=True):
        if w >= 0:
            leaked[0].append(t - last.get(v, -1e9))
            leaked[1].append(t - last.get(w, -1e9))
        observe(u, v, t)
    assert abs(ranked(*leaked) - 0.75) <= 0.02


def test_periodic_pairs_are_told_by_their_phase_and_not_by_memory():
    data = gk.load("periodic-pairs", seed=0)
    assert 11_000 < data.original.num_edges() < 13_000
    past: dict[tuple[int, int], list[float]] = {}

    def phase(u, v, t):
        times = past[(u, v)]
        if len(times) < 2:
            return -1.0
        return -abs((t - times[-1]) / ((times[-1] - times[0]) / (len(times) - 1)) - 1)

    def observe(u, v, t):
        past.setdefault((u, v), []).append(t)

    def known(u, v, t):
        return float((u, v) in past)

    late = data.queries.event >= data.splits["test"][0]
    scores = replay(data, lambda u, v, t: phase(u, v, t) if (u, v) in past else -1.0, observe)
    assert auc(*(np.array(column)[late.numpy()] for column in scores)) >= 0.97
    past.clear()
    memory = replay(data, known, observe)
    assert all(np.array(memory[1]) == 1), "a negative is no destination of the past"
    assert auc(*(np.array(column)[late.numpy()] for column in memory)) == pytest.approx(0.5, abs=0.005)
    full = data.collated
    assert (full.node_fields["ntype"][full.src] == 0).all() and (full.node_fields["ntype"][full.dst] == 1).all()


def test_fading_popularity_is_told_by_the_true_intensity():
    data = gk.load("fading-popularity", seed=0)
    margin = data.collated.edge_fields["margin"].numpy()
    strength: dict[int, list[float]] = {}

    def score(u, v, t):
        value, then = strength.get(v, (0.0, 0.0))
        return math.log(value * math.exp((then - t) / 200) + 0.02)

    def observe(u, v, t):
        value, then = strength.get(v, (0.0, 0.0))
        strength[v] = [value * math.exp((then - t) / 200) + 1, t]

    made = replay(data, score, observe)
    assert np.allclose(np.array(made[0]) - np.array(made[1]), margin, atol=1e-3), "the recount differs from the margin"
    late = data.splits["test"].numpy()
    assert 0.945 <= auc(*(np.array(column)[late] for column in made)) <= 0.985
    assert (data.queries.dst != data.queries.neg).all()


@pytest.mark.parametrize("name", ["twin-closure", "periodic-pairs", "fading-popularity"])
def test_a_stream_depends_on_its_seed_alone(name):
    small = {"twin-closure": TWINS, "periodic-pairs": {"pairs": 50}, "fading-popularity": {"events": 500}}[name]
    one, same, other = (gk.load(name, seed=seed, **small) for seed in (1, 1, 2))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert gk.load(name, seed=2, graph_seed=1, **small).fingerprint() == one.fingerprint()
    held = [one.times[one.splits[part]] for part in ("train", "val", "test")]
    assert held[0].max() < held[1].min() and held[1].max() < held[2].min()
    assert 0.69 < len(held[0]) / one.original.num_edges() < 0.71


def test_what_cannot_be_made_is_told():
    with pytest.raises(GraphKitError, match="20 nodes ran out of pairs that have not met after"):
        gk.load("twin-closure", num_nodes=20)
    with pytest.raises(GraphKitError, match="needs at least six"):
        gk.load("twin-closure", num_nodes=5)
    with pytest.raises(GraphKitError, match="pairs=10 of 3 sources and 3 destinations"):
        gk.load("periodic-pairs", num_sources=3, num_destinations=3, pairs=10)
    with pytest.raises(GraphKitError, match="expected a user, two items"):
        gk.load("fading-popularity", num_items=1)
    with pytest.raises(GraphKitError, match="karate states no queries"):
        gk.load("karate").queries  # noqa: B018
