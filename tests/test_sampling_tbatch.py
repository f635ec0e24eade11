"""T-batches are the fewest possible, hold no node twice, and lose no event; their losses weigh events as told."""

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.core.errors import GraphKitError
from graphkit.sampling.tbatch import REDUCTIONS, TBatches, shared_ids, t_batches, tbatch_loss, time_spans


def chains(src, dst):
    """Return the longest chain that ends at each event: an event depends on the last one of either end."""
    order, last = networkx.DiGraph(), {}
    order.add_nodes_from(range(len(src)))
    for e, ends in enumerate(zip(src, dst, strict=True)):
        order.add_edges_from((last[x], e) for x in ends if x in last)
        last.update(dict.fromkeys(ends, e))
    length = {}
    for e in networkx.topological_sort(order):
        length[e] = 1 + max((length[before] for before in order.predecessors(e)), default=-1)
    return [length[e] for e in range(len(src))]


@pytest.mark.parametrize("seed", range(50))
def test_a_batch_is_as_deep_as_the_longest_chain_to_it(seed):
    rng = np.random.default_rng(seed)
    users, items = rng.integers(2, 12, size=2)
    src, dst = shared_ids(rng.integers(users, size=60), rng.integers(items, size=60))
    batch = t_batches(src, dst)
    assert batch.tolist() == chains(src.tolist(), dst.tolist())
    for k in range(int(batch.max()) + 1):
        nodes = torch.cat([src[batch == k], dst[batch == k]])
        assert len(nodes) == len(nodes.unique()) > 0


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(7, 12)), min_size=1, max_size=40), spans=st.integers(1, 9)
)
def test_spans_lose_no_event_and_keep_each_nodes_order(pairs, spans):
    src, dst = torch.tensor(pairs).t()
    time = torch.tensor([i * i for i in range(len(src))])
    stream = TBatches(src.contiguous(), dst.contiguous(), time, spans)
    seen = [e for span in stream for part in span for e in part.tolist()]
    assert sorted(seen) == list(range(len(src)))  # the tail behind the last boundary too
    for node in range(13):
        mine = [e for e in seen if node in (src[e], dst[e])]
        assert mine == sorted(mine)
    for span in stream:
        assert len({int(stream.span[e]) for part in span for e in part.tolist()}) == 1


def test_the_last_moment_belongs_to_the_last_span():
    assert time_spans(torch.arange(11), 5).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert time_spans(torch.tensor([7, 7]), 5).tolist() == [0, 0]
    assert time_spans(torch.empty(0), 5).tolist() == []


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_weight_of_an_event(reduction):
    """The gradient with respect to an event's squared error is 1/(|B| D), 1/D or 1."""
    batch = torch.tensor([0, 0, 0, 1, 2, 2])
    error = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(tbatch_loss(error, batch, reduction), error)
    size = torch.tensor([3.0, 3, 3, 1, 2, 2], dtype=torch.float64)
    wanted = {"mean": 1 / (4 * size), "item-sum": torch.full((6,), 0.25), "full-sum": torch.ones(6)}[reduction]
    torch.testing.assert_close(slope, 2 * error.detach() * wanted[:, None].double())


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: t_batches(torch.tensor([0, 1]), torch.tensor([2, 1])), "event 1 joins node 1 to itself"),
        (lambda: t_batches(torch.tensor([0, 1]), torch.tensor([2])), "dst has shape"),
        (lambda: t_batches(torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([1, 0])), "span decreases"),
        (lambda: time_spans(torch.arange(3), 0), "spans=0"),
        (lambda: tbatch_loss(torch.zeros(2, 3), torch.zeros(2), "sum"), "unknown reduction 'sum'"),
    ],
)
def test_wrong_questions_get_one_sentence(call, told):
    with pytest.raises(GraphKitError, match=told) as caught:
        call()
    assert "\n" not in str(caught.value)
