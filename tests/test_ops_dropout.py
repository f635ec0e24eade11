"""Dropout by hashing: a fair mask, fixed by torch's seed, the same in every backward pass."""

import pytest
import torch

from graphkit import ops
from graphkit.core.errors import GraphKitError


def _mask(seed, p=0.3, n=1 << 18):
    torch.manual_seed(seed)
    return (ops.dropout(torch.ones(n), p) == 0).double()


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9])
def test_each_number_is_dropped_with_the_probability_asked_for(p):
    mask = _mask(0, p)
    assert abs(mask.mean() - p) < 5 * (p * (1 - p) / len(mask)) ** 0.5


def test_neighbours_strides_and_seeds_do_not_know_of_each_other():
    mask = _mask(1) - 0.3
    noise = 5 * 0.21 / len(mask) ** 0.5
    for stride in (1, 2, 16, 64, 1433, 65536):
        assert abs((mask[stride:] * mask[:-stride]).mean()) < 2 * noise
    for other in range(2, 8):
        assert abs((mask * (_mask(other) - 0.3)).mean()) < noise


def test_the_mean_is_kept_and_the_seed_fixes_the_mask():
    torch.manual_seed(0)
    first = ops.dropout(torch.ones(300, 700), 0.6)
    torch.manual_seed(0)
    assert torch.equal(first, ops.dropout(torch.ones(300, 700), 0.6))
    assert abs(first.mean() - 1) < 0.02


def test_gradients_of_every_order_use_the_mask_of_the_forward_pass():
    feat = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)

    def drop(x):
        torch.manual_seed(4)
        return ops.dropout(x, 0.4) ** 3

    assert torch.autograd.gradcheck(drop, feat)
    assert torch.autograd.gradgradcheck(drop, feat)


def test_nothing_happens_outside_training_and_everything_goes_at_one():
    feat = torch.randn(4)
    assert ops.dropout(feat, 0.5, training=False) is feat
    assert ops.dropout(feat, 0.0) is feat
    assert ops.dropout(feat, 1.0).abs().sum() == 0
    assert ops.dropout(feat.t(), 0.5).shape == (4,)


def test_strided_input_and_half_precision_work():
    torch.manual_seed(0)
    wide = torch.ones(64, 64)[:, ::2].t()
    assert set(ops.dropout(wide, 0.5).unique().tolist()) == {0.0, 2.0}
    assert ops.dropout(torch.ones(64, dtype=torch.bfloat16), 0.5).dtype == torch.bfloat16


def test_a_probability_out_of_range_is_refused():
    with pytest.raises(GraphKitError, match=r"dropout probability is 1\.5"):
        ops.dropout(torch.ones(2), 1.5)
