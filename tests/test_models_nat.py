"""NAT: dictionaries that hold what they should for as long as they should, and what two of them share."""

import numpy as np
import pytest
import torch

from graphkit.core.batch import Batch, Pairs
from graphkit.core.errors import GraphKitError
from graphkit.core.spec import Spec
from graphkit.models import build
from graphkit.nn.temporal.ncache import NCache
from graphkit.sampling import Events


def events(src, dst, time=None, first=0):
    src, dst = (torch.as_tensor(x) for x in (src, dst))
    ids = first + torch.arange(len(src))
    return Events(src, dst, ids if time is None else torch.as_tensor(time), ids)


def identity(cache):
    """Give each node a slot of its own: h(a) = a mod M."""
    cache.hash = (1, 0)
    return cache


def keys(rows):
    return {k for k in rows.tolist() if k >= 0}


def test_with_a_slot_for_everyone_keys_and_masks_are_sets():
    rng = np.random.default_rng(0)
    src, dst = rng.integers(60, size=(2, 2000))
    loop = src == dst
    src, dst = src[~loop], dst[~loop]
    cache = identity(NCache(60, sizes=(61, 61), dim=2, self_dim=3))
    near, far = [set() for _ in range(60)], [set() for _ in range(60)]
    for begin in range(0, len(src), 100):
        cache.observe(events(src[begin : begin + 100], dst[begin : begin + 100], first=begin))
    for u, v in zip(src.tolist(), dst.tolist(), strict=True):
        mine, theirs = set(near[u]), set(near[v])
        far[u] |= theirs
        far[v] |= mine
        near[u].add(v)
        near[v].add(u)
    found = cache.neighbors(torch.arange(60))
    for node in range(60):
        assert keys(found[0][node]) == near[node]
        assert keys(found[1][node]) == far[node]
    u, v = (torch.from_numpy(x) for x in rng.integers(60, size=(2, 500)))
    joint = cache.joint(u, v)
    for p, (a, b) in enumerate(zip(u.tolist(), v.tolist(), strict=True)):
        rows = slice(joint.offsets[p], joint.offsets[p + 1])
        tables = [{a}, near[a], far[a], {b}, near[b], far[b]]
        wanted = {k: sum(2**bit for bit, table in enumerate(tables) if k in table) for k in set().union(*tables)}
        got = dict(zip(joint.key[rows].tolist(), joint.mask[rows].tolist(), strict=True))
        assert got == wanted and len(got) == rows.stop - rows.start


@pytest.mark.parametrize(("replace", "error"), [(0.7, 0.002), (0.3, 0.01)])
def test_a_key_survives_collisions_as_often_as_told(replace, error):
    """One slot, a first key, five others: it stays with probability (1 - replace)^5."""
    trials = 20_000
    cache = NCache(trials + 6, sizes=(1, 0), dim=1, self_dim=1, replace=replace)
    centre = torch.arange(6, trials + 6)
    for other in range(6):
        cache.observe(events(centre, torch.full_like(centre, other), first=other * trials))
    share = float((cache.neighbors(centre)[0][:, 0] == 0).float().mean())
    assert share == pytest.approx((1 - replace) ** 5, abs=error)


def test_triadic_closure_shows_in_the_joint_keys_only():
    u, v, w, x, a, b = range(6)
    cache = NCache(6, sizes=(8, 4), dim=2, self_dim=3)
    cache.observe(events([u, x], [a, b], [1, 1]))
    cache.observe(events([v, w], [a, b], [2, 2], first=2))
    closed, opened = (cache.joint(torch.tensor([u]), torch.tensor([other])) for other in (v, w))
    masks = dict(zip(closed.key.tolist(), closed.mask.tolist(), strict=True))
    assert masks[a] & 0b010010 == 0b010010  # near u and near v
    assert not any(m & 0b111 and m & 0b111000 for m in opened.mask.tolist())
    own = cache.own(torch.tensor([v, w]))
    assert torch.equal(own[0], own[1])  # zero features: their histories look the same


def test_values_wait_and_are_stored_once():
    torch.manual_seed(0)
    cache, ids = NCache(4, edge_feats=2, sizes=(5, 3), dim=3, self_dim=4), torch.arange(4)
    with torch.no_grad():
        cache.value.normal_()
        feat = torch.randn(1, 2)
        cache.observe(Events(*(torch.tensor([x]) for x in (0, 1, 7, 0)), feat))
        read = cache.near_values(ids), cache.own(ids)
        slot = int((cache.near[0] == 2).nonzero())
        told = torch.cat([cache.value[1:2], feat, cache.time(torch.zeros(1))], dim=-1)
        wanted = cache.near_cell(cache.near_map(told), torch.zeros(1, 3))
        torch.testing.assert_close(read[0][0, slot], wanted[0])
        cache.settle(ids)
        for one, other in zip(read, (cache.near_values(ids), cache.own(ids)), strict=True):
            assert torch.equal(one, other)
    assert not cache.near_fresh.any() and not cache.fresh.any()


def test_the_last_event_of_a_run_is_the_one_that_counts():
    cache = NCache(4, sizes=(5, 0), dim=2, self_dim=3)
    cache.observe(events([0, 0, 0], [1, 2, 1], [5, 6, 8]))
    assert cache.other[0] == 2 and cache.last[0] == 8 and cache.edge[0] == 2
    slot = int((cache.near[0] == 2).nonzero())
    assert cache.near_last[0, slot] == 8 and cache.near_gap[0, slot] == 3


def test_one_batch_or_one_by_one():
    torch.manual_seed(0)
    model = build("nat", Spec("temporal-link", 0, 1, num_nodes=20)).eval()
    rng = np.random.default_rng(0)
    model.observe(events(*rng.integers(20, size=(2, 80))))
    src, dst = (torch.from_numpy(x) for x in rng.integers(20, size=(2, 50)))
    batch = Batch(None, torch.zeros(20, 0), pairs=Pairs(src, dst, time=torch.full((50,), 99)))
    whole = model(batch).pred
    single = torch.cat([model(batch.replace(pairs=batch.pairs[i : i + 1])).pred for i in range(50)])
    torch.testing.assert_close(single, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"sizes": (0, 4)}, "no far slots without near ones"),
        ({"sizes": (4,)}, "sizes=\\(4,\\)"),
        ({"replace": 1.2}, "replace=1.2"),
        ({"pool": "max"}, "unknown pool 'max'"),
    ],
)
def test_wrong_arguments_get_one_sentence(arguments, told):
    with pytest.raises(GraphKitError, match=told):
        build("nat", Spec("temporal-link", 0, 1, num_nodes=20), **arguments)


@pytest.mark.parametrize(
    ("arguments", "least", "most"), [({}, 0.95, 1.0), ({"sizes": (0, 0), "pos_dim": 0}, 0.45, 0.55)]
)
def test_planted_triangles_are_told_apart_by_joint_keys_only(arguments, least, most):
    """u and v met a, x and w met b: (u, v) closes, (u, w) does not; nothing else tells v from w."""
    from sklearn.metrics import average_precision_score

    torch.manual_seed(0)
    u, x, a, v, w, b = torch.randperm(6000).view(6, 1000)
    model = build("nat", Spec("temporal-link", 0, 1, num_nodes=6000), self_dim=8, hidden=16, dropout=0.0, **arguments)
    model.observe(events(torch.cat([u, x]), torch.cat([a, b]), torch.ones(2000)))
    model.observe(events(torch.cat([v, w]), torch.cat([a, b]), torch.full((2000,), 2), first=2000))
    label = torch.arange(1000) < 500

    def scores(groups):
        pairs = Pairs(torch.cat([u[groups]] * 2), torch.cat([v[groups], w[groups]]), time=torch.full((1000,), 3))
        return model(Batch(None, torch.zeros(6000, 0), pairs=pairs)).pred

    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(25):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores(slice(0, 500)), label.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = average_precision_score(label, scores(slice(500, 1000)).detach())
    assert least <= found <= most
