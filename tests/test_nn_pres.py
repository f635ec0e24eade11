"""PRES: what prediction and correction are, in numbers that can be worked out."""

import pytest
import torch

from graphkit.core.errors import GraphKitError
from graphkit.nn.temporal.pres import PRESFilter, coherence_loss


def test_no_weight_on_the_prediction_changes_no_bit():
    pres, ids = PRESFilter(5, 3, gamma=0.0), torch.tensor([4, 1])
    before, after, gap = torch.randn(2, 3), torch.randn(2, 3), torch.tensor([1.0, 2.0])
    pres.track(ids, before, after, gap)
    assert torch.equal(pres(ids, before, after + 1, gap), after + 1)


def test_constant_increments_are_followed_exactly():
    pres, ids = PRESFilter(4, 3, gamma=1.0).double(), torch.arange(4)
    start, slope = torch.randn(2, 4, 3, dtype=torch.float64)
    now, memory = 0.0, start
    for gap in (0.5, 2.0, 1.25, 3.0):
        true = start + (now + gap) * slope
        noise = 0.0 if now == 0 else 5.0  # from the second update on what was computed does not matter
        found = pres(ids, memory, true + noise, torch.full((4,), gap))
        torch.testing.assert_close(found, true)
        pres.track(ids, memory, found, torch.full((4,), gap))
        memory, now = found, now + gap


def test_mean_and_variance_of_the_increments():
    torch.manual_seed(0)
    pres = PRESFilter(3, 2, num_types=2).double()
    seen = {}
    for _ in range(40):
        ids, kind = torch.randperm(3)[:2], torch.randint(2, (2,))
        before, after = torch.randn(2, 2, 2, dtype=torch.float64)
        gap = torch.randint(0, 3, (2,)).double()
        pres.track(ids, before, after, gap, kind)
        for i, k, step, g in zip(ids.tolist(), kind.tolist(), after - before, gap, strict=True):
            if g > 0:
                seen.setdefault((i, k), []).append(step / g)
    for (i, k), steps in seen.items():
        mean, variance = pres.statistics(torch.tensor([i]), torch.tensor([k]))
        torch.testing.assert_close(mean[0], torch.stack(steps).mean(0))
        torch.testing.assert_close(variance[0], torch.stack(steps).var(0, unbiased=False))
    pres.reset()
    assert not pres.statistics(torch.arange(3))[0].any()


def test_increments_weighed_by_time_are_total_change_over_total_time():
    torch.manual_seed(0)
    plain, ours = PRESFilter(1, 3), PRESFilter(1, 3, gamma=1.0, by_time=True)
    one, steps, gaps = torch.tensor([0]), torch.randn(50, 1, 3), torch.rand(50) * 100 + 1
    gaps[7] = 0.01
    for step, gap in zip(steps, gaps, strict=True):
        for pres in (plain, ours):
            pres.track(one, torch.zeros(1, 3), step, gap[None])
    mean, variance = ours.statistics(one)
    rate, weight = steps[:, 0] / gaps[:, None], gaps[:, None] / gaps.sum()
    torch.testing.assert_close(mean[0], steps[:, 0].sum(0) / gaps.sum())
    torch.testing.assert_close(variance[0], (weight * (rate - mean).square()).sum(0), rtol=1e-3, atol=1e-4)
    assert mean.abs().max() < 0.1 * plain.statistics(one)[0].abs().max()  # whose one shortest gap rules
    found = ours(one, torch.zeros(1, 3), torch.ones(1, 3), torch.tensor([7.0]))
    torch.testing.assert_close(found, 7 * mean)


@pytest.mark.parametrize(("gamma", "share"), [(0.3, 0.544), (0.5, 0.348), (0.7, 0.265)])
def test_denoising_of_planted_lines(gamma, share):
    """Memories on straight lines seen with unit noise; the shares were measured for the specification."""
    torch.manual_seed(0)
    ids, gap = torch.arange(2000), torch.ones(2000)
    start, slope = torch.randn(2, 2000, 4)
    pres, memory, ours, theirs = PRESFilter(2000, 4, gamma=gamma), start, [], []
    for step in range(1, 51):
        true = start + step * slope
        seen = true + torch.randn_like(true)
        found = pres(ids, memory, seen, gap)
        pres.track(ids, memory, found, gap)
        memory = found
        if step >= 6:
            ours.append((found - true).square().mean())
            theirs.append((seen - true).square().mean())
    ratio = float(torch.stack(ours).mean() / torch.stack(theirs).mean())
    assert ratio == pytest.approx(share, abs=0.02)


def test_coherence_looks_at_directions_only():
    before = torch.randn(6, 4)
    assert float(coherence_loss(before, 3 * before)) == pytest.approx(0, abs=1e-6)
    assert float(coherence_loss(before, -before)) == pytest.approx(2, abs=1e-6)
    assert float(coherence_loss(torch.zeros(2, 4), torch.ones(2, 4))) == 0
    after = torch.randn(6, 4, requires_grad=True)
    coherence_loss(before, after).backward()
    assert after.grad.norm() > 0


def test_the_weight_can_be_learned():
    pres, ids = PRESFilter(2, 3, gamma=0.3, learnable=True), torch.tensor([0])
    assert float(pres.gamma.detach()) == pytest.approx(0.3)
    before, after, gap = torch.randn(1, 3), torch.randn(1, 3), torch.ones(1)
    pres.track(ids, before, after, gap)
    pres(ids, before, after + 1, gap).sum().backward()
    assert pres.logit.grad.abs() > 0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: PRESFilter(3, 2, gamma=1.5), "gamma=1.5"),
        (lambda: PRESFilter(3, 2, gamma=1.0, learnable=True), "gamma=1.0"),
        (lambda: PRESFilter(3, 0), "dim=0"),
        (lambda: PRESFilter(3, 2).track(torch.tensor([3]), *torch.zeros(2, 1, 2), torch.ones(1)), "ids holds id 3"),
        (lambda: coherence_loss(torch.zeros(2, 3), torch.zeros(2, 4)), "shapes"),
    ],
)
def test_wrong_questions_get_one_sentence(call, told):
    with pytest.raises(GraphKitError, match=told):
        call()


def stream_of(seed=0, nodes=12, events=90):
    from graphkit.sampling import Events

    draw = torch.Generator().manual_seed(seed)
    src, dst = (torch.randint(nodes, (events,), generator=draw) for _ in range(2))
    ids = torch.arange(events)
    return [Events(*(x[i : i + 10] for x in (src, dst, 3 * ids, ids))) for i in range(0, events, 10)]


def built(name, **arguments):
    from graphkit.core.spec import Spec
    from graphkit.models import build

    torch.manual_seed(0)
    options = {"memory_dim": 6, "time_dim": 4, "embedding": "identity"}
    return build(name, Spec("temporal-link", 0, 1, num_nodes=12), **options, **arguments).encoder


def test_without_weight_it_is_the_base_model_bit_for_bit():
    base, ours, ids = built("tgn"), built("pres", gamma=0.0, beta=0.0), torch.arange(12)
    for run in stream_of():
        base.observe(run)
        ours.observe(run)
        assert torch.equal(base.memory.peek(ids)[0], ours.memory.peek(ids)[0])
    other = built("pres", gamma=0.5)
    for run in stream_of():
        other.observe(run)
    assert not torch.allclose(other.memory.peek(ids)[0], base.memory.peek(ids)[0], atol=1e-3)


def test_the_tracker_follows_what_was_stored():
    """Sums over the updates of each node that were stored, and only those."""
    encoder = built("pres", gamma=0.5)
    memory, seen = encoder.memory, {}
    for run in stream_of():
        before, since = memory.state.clone(), memory.last.clone()
        encoder.observe(run)
        moved = (memory.last > since).nonzero()[:, 0]
        for i in moved.tolist():
            seen.setdefault(i, []).append((memory.state[i] - before[i]) / (memory.last[i] - since[i]).float())
    for i, steps in seen.items():
        mean, _ = memory.pres.statistics(torch.tensor([i]))
        torch.testing.assert_close(mean[0], torch.stack(steps).mean(0))
    memory.reset()
    assert not memory.pres.total.any() and not memory.state.any()


def test_the_term_of_coherence_reaches_the_cell():
    from graphkit.core.batch import Batch, Pairs

    encoder = built("pres", beta=0.5).train()
    runs = stream_of()
    for run in runs[:3]:
        encoder.observe(run)
    ids = torch.arange(12)
    batch = Batch(None, torch.zeros(12, 0), pairs=Pairs(ids, ids.flip(0), time=torch.full((12,), 999)))
    found = encoder(batch).aux["coherence"]
    assert 0 < float(found.detach()) <= 1.0
    (slope,) = torch.autograd.grad(found, encoder.memory.cell.weight_hh)
    assert slope.norm() > 0
    assert not encoder.eval()(batch).aux
