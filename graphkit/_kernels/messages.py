"""Sums over messages that an edge's own row takes part in: forward by destination, backward by source.

``inner`` holds the rows of the edges of one piece, from position ``base`` of the compressed edges on, so that a caller
can make them a piece at a time in memory that stays in the cache. Weights are ``[E, 1]`` or have no rows.
"""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import AHEAD, kernel, prefetch_row
from graphkit._kernels.simd import exp_first, log_first


@kernel
def raised(row, power, width):
    """Replace ``row`` by its power."""
    if power == 2:
        for f in range(width):
            row[f] *= row[f]
    elif power != 1:
        log_first(row, width)
        for f in range(width):
            row[f] *= power
        exp_first(row, width)


@kernel
def relu_power(low, high, indptr, index, edge, base, x, inner, weight, eps, power, out):
    """``out[v] = sum of weight[e] * (relu(x[u] + inner[e]) + eps) ** power``; overwrites inner."""
    width = x.shape[1]
    flat, last = x.reshape(-1), indptr[high]
    dtype = x.dtype.type
    zero, shift, p, scale = dtype(0), dtype(eps), dtype(power), dtype(1)
    for v in range(low, high):
        row = out[v]
        for f in range(width):
            row[f] = 0
        for j in range(indptr[v], indptr[v + 1]):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            term, message = x[index[j]], inner[j - base]
            if weight.shape[0] > 0:
                scale = weight[edge[j], 0]
            if p == 1:
                for f in range(width):
                    z = term[f] + message[f]
                    row[f] += scale * ((zero if z <= zero else z) + shift)
                continue
            for f in range(width):
                z = term[f] + message[f]
                message[f] = (zero if z <= zero else z) + shift
            raised(message, p, width)
            for f in range(width):
                row[f] += scale * message[f]


@kernel
def relu_power_back(
    low, high, indptr, index, edge, base, x, inner, weight, eps, power, grad, d_x, d_inner, d_weight, d_power
):  # fmt: skip
    """Gradients of :func:`relu_power` by source; adds the power's to ``d_power [1]``, which may have no row."""
    width = x.shape[1]
    flat, last = grad.reshape(-1), indptr[high]
    dtype = x.dtype.type
    zero, one, shift, p, scale = dtype(0), dtype(1), dtype(eps), dtype(power), dtype(1)
    logs, raise_, message = np.empty(width, x.dtype), np.empty(width, x.dtype), np.empty(width, x.dtype)
    slope = zero
    for u in range(low, high):
        mine, pull = x[u], d_x[u]
        for f in range(width):
            pull[f] = 0
        for j in range(indptr[u], indptr[u + 1]):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            term, z, d = grad[index[j]], inner[j - base], d_inner[j - base]
            if weight.shape[0] > 0:
                scale = weight[edge[j], 0]
            if p == 1 and d_power.shape[0] == 0:
                for f in range(width):
                    d[f] = scale * term[f] if mine[f] + z[f] > zero else zero
                    pull[f] += d[f]
                if d_weight.shape[0] > 0:
                    total = zero
                    for f in range(width):
                        total += term[f] * (max(mine[f] + z[f], zero) + shift)
                    d_weight[edge[j], 0] = total
                continue
            for f in range(width):
                message[f] = max(mine[f] + z[f], zero) + shift
                logs[f] = message[f]
            log_first(logs, width)
            if p == 2:
                for f in range(width):
                    raise_[f] = message[f]
            else:
                for f in range(width):
                    raise_[f] = logs[f] * (p - one)
                exp_first(raise_, width)
            total, slope = zero, zero
            for f in range(width):
                value = term[f] * raise_[f]
                total += value * message[f]
                slope += value * message[f] * logs[f]
                d[f] = scale * p * value if mine[f] + z[f] > zero else zero
                pull[f] += d[f]
            if d_power.shape[0] > 0:
                d_power[0] += scale * slope
            if d_weight.shape[0] > 0:
                d_weight[edge[j], 0] = total


@kernel
def relu_softmax(low, high, indptr, index, edge, base, x, inner, weight, eps, beta, out, log_total):
    """``out[v] = sum of weight[e] * softmax(beta * m) * m`` per column, ``m = relu(x[u] + inner[e]) + eps``.

    Overwrites inner; ``log_total [Ndst, F]`` are the logarithms of the softmax's sums.
    """
    width = x.shape[1]
    flat, last = x.reshape(-1), indptr[high]
    dtype = x.dtype.type
    zero, shift, b, scale = dtype(0), dtype(eps), dtype(beta), dtype(1)
    top, share = np.empty(width, x.dtype), np.empty(width, x.dtype)
    for v in range(low, high):
        row, total = out[v], log_total[v]
        for f in range(width):
            row[f] = 0
            total[f] = 0
            top[f] = -np.inf
        start, stop = indptr[v], indptr[v + 1]
        for j in range(start, stop):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            term, message = x[index[j]], inner[j - base]
            for f in range(width):
                z = term[f] + message[f]
                m = (zero if z <= zero else z) + shift
                message[f] = m
                top[f] = max(top[f], b * m)
        for j in range(start, stop):
            message = inner[j - base]
            if weight.shape[0] > 0:
                scale = weight[edge[j], 0]
            for f in range(width):
                share[f] = b * message[f] - top[f]
            exp_first(share, width)
            for f in range(width):
                total[f] += share[f]
                row[f] += scale * share[f] * message[f]
        if start < stop:
            for f in range(width):
                row[f] /= total[f]
            log_first(total, width)
            for f in range(width):
                total[f] += top[f]


@kernel
def relu_softmax_back(
    low, high, indptr, index, edge, base, x, inner, weight, eps, beta, packed, d_x, d_inner, d_weight, d_beta
):  # fmt: skip
    """Gradients of :func:`relu_softmax` by source; packed ``[Ndst, 3 * F]`` holds gradient, out and log_total."""
    width = x.shape[1]
    flat, last = packed.reshape(-1), indptr[high]
    dtype = x.dtype.type
    zero, shift, b, scale = dtype(0), dtype(eps), dtype(beta), dtype(1)
    message, share = np.empty(width, x.dtype), np.empty(width, x.dtype)
    for u in range(low, high):
        mine, pull = x[u], d_x[u]
        for f in range(width):
            pull[f] = 0
        for j in range(indptr[u], indptr[u + 1]):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * 3 * width, 3 * width)
            other, z, d = packed[index[j]], inner[j - base], d_inner[j - base]
            grad, out, log_total = other[:width], other[width : 2 * width], other[2 * width :]
            if weight.shape[0] > 0:
                scale = weight[edge[j], 0]
            for f in range(width):
                message[f] = max(mine[f] + z[f], zero) + shift
                share[f] = b * message[f] - log_total[f]
            exp_first(share, width)
            total, slope = zero, zero
            for f in range(width):
                value = grad[f] * share[f]
                rest = scale * message[f] - out[f]
                total += value * message[f]
                slope += value * message[f] * rest
                d[f] = value * (scale + b * rest) if mine[f] + z[f] > zero else zero
                pull[f] += d[f]
            if d_beta.shape[0] > 0:
                d_beta[0] += slope
            if d_weight.shape[0] > 0:
                d_weight[edge[j], 0] = total


@kernel
def filtered(low, high, indptr, index, edge, base, x, inner, weight, out):
    """``out[v] = sum of weight[e] * x[u] * inner[e]``, column by column."""
    width = x.shape[1]
    flat, last = x.reshape(-1), indptr[high]
    scale = x.dtype.type(1)
    for v in range(low, high):
        row = out[v]
        for f in range(width):
            row[f] = 0
        for j in range(indptr[v], indptr[v + 1]):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            term, message = x[index[j]], inner[j - base]
            if weight.shape[0] > 0:
                scale = weight[edge[j], 0]
            for f in range(width):
                row[f] += scale * term[f] * message[f]


@kernel
def filtered_back(low, high, indptr, index, edge, base, x, inner, weight, grad, d_x, d_inner, d_weight):
    """Gradients of :func:`filtered` by source."""
    width = x.shape[1]
    flat, last = grad.reshape(-1), indptr[high]
    scale = x.dtype.type(1)
    for u in range(low, high):
        mine, pull = x[u], d_x[u]
        for f in range(width):
            pull[f] = 0
        for j in range(indptr[u], indptr[u + 1]):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            term, z, d = grad[index[j]], inner[j - base], d_inner[j - base]
            if weight.shape[0] > 0:
                scale = weight[edge[j], 0]
            for f in range(width):
                pull[f] += scale * term[f] * z[f]
                d[f] = scale * term[f] * mine[f]
            if d_weight.shape[0] > 0:
                total = x.dtype.type(0)
                for f in range(width):
                    total += term[f] * mine[f] * z[f]
                d_weight[edge[j], 0] = total
