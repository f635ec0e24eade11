"""Co-occurrence counts equal what Python counts, see no padding, and turn with the sequences."""

from collections import Counter

import numpy as np
import pytest
import torch

from graphkit.core.errors import GraphKitError
from graphkit.sampling.cooccurrence import cooccurrence_counts


def draw(pairs=500, nodes=12, seed=0):
    rng = np.random.default_rng(seed)
    ids = [torch.from_numpy(rng.integers(nodes, size=(pairs, length))) for length in (9, 7)]
    masks = [torch.from_numpy(rng.random((pairs, length)) < 0.7) for length in (9, 7)]
    return ids[0], masks[0], ids[1], masks[1]


def test_counts_equal_a_recount():
    a, a_mask, b, b_mask = draw()
    ours, theirs = cooccurrence_counts(a, a_mask, b, b_mask)
    for p in range(len(a)):
        left, right = (Counter(x[p][m[p]].tolist()) for x, m in ((a, a_mask), (b, b_mask)))
        for ids, mask, made in ((a, a_mask, ours), (b, b_mask, theirs)):
            wanted = [[left[w], right[w]] if real else [0, 0] for w, real in zip(ids[p].tolist(), mask[p], strict=True)]
            assert made[p].tolist() == wanted


def test_what_padding_holds_and_how_long_it_is_changes_nothing():
    a, a_mask, b, b_mask = draw()
    ours, theirs = cooccurrence_counts(a, a_mask, b, b_mask)
    far = a.masked_fill(~a_mask, -7)
    longer = torch.cat([b, torch.zeros(len(b), 3, dtype=torch.int64)], 1)
    mask = torch.cat([b_mask, torch.zeros(len(b), 3, dtype=torch.bool)], 1)
    same, other = cooccurrence_counts(far, a_mask, longer, mask)
    assert torch.equal(same, ours)
    assert torch.equal(other[:, :7], theirs) and not other[:, 7:].any()


def test_swapping_the_sequences_swaps_the_columns():
    a, a_mask, b, b_mask = draw()
    ours, theirs = cooccurrence_counts(a, a_mask, b, b_mask)
    turned, back = cooccurrence_counts(b, b_mask, a, a_mask)
    assert torch.equal(turned.flip(-1), theirs) and torch.equal(back.flip(-1), ours)


def test_empty_sequences():
    none, real = torch.zeros(3, 0, dtype=torch.int64), torch.ones(3, 2, dtype=torch.int64)
    ours, theirs = cooccurrence_counts(none, none.bool(), real, real.bool())
    assert ours.shape == (3, 0, 2) and theirs.tolist() == [[[0.0, 2.0]] * 2] * 3


@pytest.mark.parametrize(
    ("ids", "told"), [(torch.zeros(4, 2).long(), "expected \\[P, L\\]"), (torch.full((3, 2), -1), "negative node id")]
)
def test_wrong_sequences_get_one_sentence(ids, told):
    with pytest.raises(GraphKitError, match=told):
        cooccurrence_counts(torch.zeros(3, 2).long(), torch.ones(3, 2).bool(), ids, torch.ones_like(ids).bool())
