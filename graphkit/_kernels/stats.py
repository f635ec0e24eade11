"""Greatest, least, mean and variance of neighbours' rows, and the softmax over each neighbourhood."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import AHEAD, kernel, prefetch_row


@kernel
def neighbour_extreme(low, high, indptr, index, sign, x, out, arg):
    """Greatest (sign 1) or least (sign -1) of the neighbours' rows per column, and the row it came from.

    The first in edge order wins a tie, NaN wins over everything, a row without neighbours gets 0 and arg -1.
    """
    width = x.shape[1]
    flat = x.reshape(-1)
    last = indptr[high]
    up = x.dtype.type(sign)
    for v in range(low, high):
        best, where = out[v], arg[v]
        start, stop = indptr[v], indptr[v + 1]
        for f in range(width):
            best[f] = 0
            where[f] = -1
        for j in range(start, stop):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            i = index[j]
            term = x[i]
            if j == start:
                for f in range(width):
                    best[f] = term[f]
                    where[f] = i
                continue
            for f in range(width):
                value, old = term[f], best[f]
                better = (up * value > up * old) | ((value != value) & (old == old))
                best[f] = value if better else old
                where[f] = i if better else where[f]


@kernel
def neighbour_moments(low, high, indptr, index, x, mean, var):
    """Mean and (population) variance of the neighbours' rows per column, in two passes; 0 without neighbours."""
    width = x.shape[1]
    flat = x.reshape(-1)
    last = indptr[high]
    for v in range(low, high):
        centre, spread = mean[v], var[v]
        start, stop = indptr[v], indptr[v + 1]
        for f in range(width):
            centre[f] = 0
            spread[f] = 0
        for j in range(start, stop):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            term = x[index[j]]
            for f in range(width):
                centre[f] += term[f]
        scale = x.dtype.type(1) / x.dtype.type(max(stop - start, 1))
        for f in range(width):
            centre[f] *= scale
        for j in range(start, stop):  # the rows are in the cache now
            term = x[index[j]]
            for f in range(width):
                spread[f] += (term[f] - centre[f]) * (term[f] - centre[f])
        for f in range(width):
            spread[f] *= scale


@kernel
def neighbour_softmax(low, high, indptr, edge, score, out):
    """Softmax of ``score [E, H]`` over the edges of each row, per column."""
    heads = score.shape[1]
    top, total = np.empty(heads, score.dtype), np.empty(heads, score.dtype)
    for v in range(low, high):
        start, stop = indptr[v], indptr[v + 1]
        for h in range(heads):
            top[h] = -np.inf
            total[h] = 0
        for j in range(start, stop):
            for h in range(heads):
                top[h] = max(top[h], score[edge[j], h])
        for j in range(start, stop):
            for h in range(heads):
                value = np.exp(score[edge[j], h] - top[h])
                out[edge[j], h] = value
                total[h] += value
        for j in range(start, stop):
            for h in range(heads):
                out[edge[j], h] /= total[h]
