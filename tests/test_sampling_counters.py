"""Online counters equal a recount of the past, know nothing of the present or future, and predict as measured."""

import numpy as np
import pytest
import torch

from graphkit.core.errors import GraphKitError
from graphkit.graphs.temporal import from_events
from graphkit.sampling.counters import KINDS, OnlineCounters

TAU = 3.0


def stream(seed=0, nodes=9, events=160, steps=40):
    rng = np.random.default_rng(seed)
    columns = rng.integers(nodes, size=(2, events)), np.sort(rng.integers(100, 100 + steps, size=events))
    return from_events(*columns[0], columns[1], nodes, edge_fields={"sign": rng.choice([-1, 1], size=events)})


def asked(seed=1, nodes=9, queries=200, steps=40):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(x) for x in (*rng.integers(nodes, size=(2, queries)), rng.integers(100, 142, queries))]


def recount_links(events, u, v, t, start):
    past = [(a, b, w) for a, b, w in events if w < t]
    never = (t - start) / TAU + 1
    met = lambda x: {b if a == x else a for a, b, _ in past if x in (a, b)}  # noqa: E731
    last = lambda f: max((w for a, b, w in past if f(a, b)), default=None)  # noqa: E731
    gap = lambda f: never if last(f) is None else (t - last(f)) / TAU  # noqa: E731
    both = met(u) & met(v)
    together = lambda x, y: last(lambda a, b: {a, b} == {x, y})  # noqa: E731
    out = lambda x: sum(a == x for a, _, _ in past)  # noqa: E731
    into = lambda x: sum(b == x for _, b, _ in past)  # noqa: E731
    there, back = sum((a, b) == (u, v) for a, b, _ in past), sum((a, b) == (v, u) for a, b, _ in past)
    return [
        np.log1p(there), np.log1p(back), np.log1p(gap(lambda a, b: (a, b) == (u, v))), float(there > 0),
        np.log1p(out(u)), np.log1p(into(v)), np.log1p(out(u) + into(u)), np.log1p(out(v) + into(v)),
        np.log1p(gap(lambda a, b: u in (a, b))), np.log1p(gap(lambda a, b: v in (a, b))), np.log1p(len(both)),
        sum(np.exp(-(t - min(together(u, w), together(v, w))) / TAU) for w in both),
        np.log(1e-3 + sum(np.exp(-(t - w) / TAU) for _, b, w in past if b == v)),
    ]  # fmt: skip


def recount_signs(events, signs, u, v, t):
    past = [(a, b, s) for (a, b, w), s in zip(events, signs, strict=True) if w < t]
    share = np.mean([s < 0 for *_, s in past]) if past else 0.0
    logs, rates = [], []
    for x in (u, v):
        for role in (0, 1):
            mine = [s for *ends, s in past if ends[role] == x]
            bad = sum(s < 0 for s in mine)
            logs += [np.log1p(len(mine) - bad), np.log1p(bad)]
            rates.append((bad + 5 * share) / (len(mine) + 5))
    back = [s for a, b, s in past if (a, b) == (v, u)]
    return [*logs, *rates, float(bool(back) and back[-1] > 0), float(bool(back) and back[-1] < 0)]


@pytest.mark.parametrize("kind", ["link", "sign", "sign-one-way"])
def test_counters_equal_a_recount(kind):
    graph = stream()
    src, dst, time = (x.tolist() for x in (*graph.edges(order="eid"), graph.edata["time"]))
    events, signs = list(zip(src, dst, time, strict=True)), graph.edata["sign"].tolist()
    queries = asked()
    made = OnlineCounters(graph, TAU, kind)(*queries).numpy()
    for row, (u, v, t) in zip(made, zip(*(x.tolist() for x in queries), strict=True), strict=True):
        wanted = recount_links(events, u, v, t, time[0]) if kind == "link" else recount_signs(events, signs, u, v, t)
        np.testing.assert_allclose(row, wanted[: len(KINDS[kind])], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["link", "sign"])
def test_later_events_change_no_counter(kind):
    """Neither do those at the time of the query, in whatever order they stand in the file."""
    graph = stream()
    time = graph.edata["time"]
    src, dst, when = asked()
    cut = 120
    early = when <= cut
    queries = src[early], dst[early], when[early]
    whole = OnlineCounters(graph, TAU, kind)(*queries)
    part = graph.edge_subgraph(time < cut, relabel_nodes=False)
    part.edata["time"] = time[time < cut]
    assert torch.equal(OnlineCounters(part, TAU, kind)(*queries), whole)
    order = torch.from_numpy(np.lexsort((-np.arange(len(time)), time.numpy())))
    ends = graph.edges(order="eid")
    turned = from_events(
        ends[0][order], ends[1][order], time[order], 9, edge_fields={"sign": graph.edata["sign"][order]}
    )
    columns = slice(None) if kind == "link" else slice(0, 12)  # of two ratings at one time the later line is the newer
    torch.testing.assert_close(OnlineCounters(turned, TAU, kind)(*queries)[:, columns], whole[:, columns])


def test_unix_seconds_keep_their_resolution():
    base = 1_500_000_000
    graph = from_events([0, 0], [1, 1], [base, base + 1])
    made = OnlineCounters(graph)(torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([base + 1, base + 2]))
    assert made[:, 0].exp().tolist() == pytest.approx([2.0, 3.0])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: OnlineCounters(stream(), 0.0), "tau=0.0"),
        (lambda: OnlineCounters(stream(), kind="sing"), "unknown kind 'sing'"),
        (lambda: OnlineCounters(from_events([0], [1], [2]), kind="sign"), "edge field 'sign'"),
        (lambda: OnlineCounters(stream())(*(torch.tensor([x]) for x in (0, 9, 120))), "dst holds id 9"),
        (lambda: OnlineCounters(stream())(*(torch.tensor([x]) for x in (0, 1, 7))), "before the first event"),
    ],
)
def test_wrong_questions_get_one_sentence(call, told):
    with pytest.raises(GraphKitError, match=told) as caught:
        call()
    assert "\n" not in str(caught.value)
