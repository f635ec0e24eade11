"""The shifted softplus and its derivative; torch's goes through a slower exponential and logarithm."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import kernel
from graphkit._kernels.simd import exp_first, log_first

#: Numbers that are worked on together, in the first cache.
BLOCK = 512


@kernel
def shifted_softplus(low, high, x, out):
    """``out = log(1 + exp(x)) - log(2)`` of the numbers from low to high of flat arrays."""
    dtype = x.dtype.type
    zero, one, shift = dtype(0), dtype(1), dtype(0.6931471805599453)
    work = np.empty(BLOCK, x.dtype)
    for first in range(low, high, BLOCK):
        count = min(BLOCK, high - first)
        source, result = x[first : first + count], out[first : first + count]
        for i in range(count):
            work[i] = -abs(source[i])
        exp_first(work, count)
        for i in range(count):
            work[i] += one
        log_first(work, count)
        for i in range(count):
            result[i] = (work[i] - shift) + (zero if source[i] <= zero else source[i])


@kernel
def times_sigmoid(low, high, x, grad, out):
    """``out = grad / (1 + exp(-x))`` of the numbers from low to high of flat arrays."""
    one = x.dtype.type(1)
    work = np.empty(BLOCK, x.dtype)
    for first in range(low, high, BLOCK):
        count = min(BLOCK, high - first)
        source, given, result = x[first : first + count], grad[first : first + count], out[first : first + count]
        for i in range(count):
            work[i] = -source[i]
        exp_first(work, count)
        for i in range(count):
            result[i] = given[i] / (one + work[i])
