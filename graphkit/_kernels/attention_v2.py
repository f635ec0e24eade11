"""GATv2 attention in one pass over the edges each way; the hidden ``[E, H, D]`` is made a row at a time."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.attention import CHUNK, finish_row, fold_chunk
from graphkit._kernels.common import kernel, prefetch_row
from graphkit._kernels.simd import axpy, dot, exp_first, gatv2_back8, leaky_dot8


@kernel
def leaky_dot(x, i, y, j, a, k, slope, count):
    """``a[k:k+count] . leaky(x[i:i+count] + y[j:j+count])`` of flat arrays."""
    whole = count - count % 8
    total = x.dtype.type(0)
    for f in range(0, whole, 8):
        total += leaky_dot8(x, i + f, y, j + f, a, k + f, slope)
    for f in range(whole, count):
        z = x[i + f] + y[j + f]
        total += a[k + f] * (z if z > 0 else slope * z)
    return total


@kernel
def back_head(x, i, y, j, attn, k, g, n, d_score, alpha, slope, d_x, d_y, o, d_attn, count):
    """Gradients of one head of one edge; adds into ``d_x[i:]``, ``d_y[o:]`` and ``d_attn[k:]``."""
    whole = count - count % 8
    one = x.dtype.type(1)
    for f in range(0, whole, 8):
        gatv2_back8(x, i + f, y, j + f, attn, k + f, g, n + f, d_score, alpha, slope, d_x, d_y, o + f, d_attn)
    for f in range(whole, count):
        z = x[i + f] + y[j + f]
        side = one if z > 0 else slope
        d_z = d_score * attn[k + f] * side
        d_attn[k + f] += d_score * side * z
        d_x[i + f] += alpha * g[n + f] + d_z
        d_y[o + f] += d_z


@kernel
def add_hidden(y, at, hidden, e, width, out):
    """``out = y[at:at+width] + hidden[e]``."""
    for f in range(width):
        out[f] = y[at + f] + hidden[e, f]


@kernel
def gatv2_forward(low, high, indptr, index, edge, x, y, attn, hidden, factor, slope, out, log_total):
    """``out[v] = sum of softmax(attn . leaky_relu(x[u] + y[v] + hidden[e])) * factor * x[u]``; and the log sums.

    x ``[Nsrc, H * D]``, y ``[Ndst, H * D]``, attn ``[H, D]``, hidden ``[E | 0, H * D]``, factor ``[E | 0, 1 | H]``.
    """
    heads, width = attn.shape[0], x.shape[1]
    depth = width // heads
    has_hidden, has_factor, one_factor = hidden.shape[0] > 0, factor.shape[0] > 0, factor.shape[1] == 1
    flat, flat_y, rows, vector = x.reshape(-1), y.reshape(-1), out.reshape(-1), attn.reshape(-1)
    leak = x.dtype.type(slope)
    weight, other = np.empty(CHUNK * heads, x.dtype), np.empty(width, x.dtype)
    old, top, total = np.empty(heads, x.dtype), np.empty(heads, x.dtype), np.empty(heads, x.dtype)
    for v in range(low, high):
        for f in range(v * width, (v + 1) * width):
            rows[f] = 0
        for h in range(heads):
            old[h], top[h], total[h], log_total[v, h] = -np.inf, -np.inf, 0, 0
        stop = indptr[v + 1]
        for first in range(indptr[v], stop, CHUNK):
            count = min(CHUNK, stop - first)
            for k in range(count):
                prefetch_row(flat, index[first + k] * width, width)
            for k in range(count):
                u = index[first + k]
                if has_hidden:
                    add_hidden(flat_y, v * width, hidden, edge[first + k], width, other)
                for h in range(heads):
                    f = h * depth
                    if has_hidden:
                        score = leaky_dot(flat, u * width + f, other, f, vector, f, leak, depth)
                    else:
                        score = leaky_dot(flat, u * width + f, flat_y, v * width + f, vector, f, leak, depth)
                    weight[k * heads + h] = score
                    top[h] = max(top[h], score)
            fold_chunk(weight, count, heads, depth, old, top, total, rows, v * width)
            for k in range(count):
                u = index[first + k]
                for h in range(heads):
                    a = weight[k * heads + h]
                    if has_factor:
                        a *= factor[edge[first + k], 0 if one_factor else h]
                    axpy(rows, v * width + h * depth, a, flat, u * width + h * depth, depth)
        if indptr[v] < stop:
            finish_row(heads, depth, top, total, rows, v * width, log_total[v])


@kernel
def gatv2_backward(
    low, high, indptr, index, edge, x, y, attn, hidden, factor, slope, packed, grad, d_x, d_y, d_attn, d_hidden,
    d_factor
):  # fmt: skip
    """Gradients of :func:`gatv2_forward` in one pass over the edges of each source; adds into ``d_y`` and ``d_attn``.

    packed ``[Ndst, 2, H]`` holds the log sums and ``out . grad``. ``d_y [Ndst * H * D]`` and ``d_attn [H * D]`` belong
    to the calling thread.
    """
    heads, width = attn.shape[0], x.shape[1]
    depth = width // heads
    has_hidden, has_factor, one_factor = hidden.shape[0] > 0, factor.shape[0] > 0, factor.shape[1] == 1
    wants_hidden, wants_factor = d_hidden.shape[0] > 0, d_factor.shape[0] > 0
    flat_x, flat_y, flat_g, flat_dx, vector = (
        x.reshape(-1),
        y.reshape(-1),
        grad.reshape(-1),
        d_x.reshape(-1),
        attn.reshape(-1),
    )
    dtype = x.dtype.type
    leak, one = dtype(slope), dtype(1)
    weight, pulls, other = np.empty(CHUNK * heads, x.dtype), np.empty(CHUNK * heads, x.dtype), np.empty(width, x.dtype)
    for u in range(low, high):
        for f in range(u * width, (u + 1) * width):
            flat_dx[f] = 0
        stop = indptr[u + 1]
        for first in range(indptr[u], stop, CHUNK):
            count = min(CHUNK, stop - first)
            for k in range(count):
                prefetch_row(flat_g, index[first + k] * width, width)
                prefetch_row(flat_y, index[first + k] * width, width)
            for k in range(count):
                v = index[first + k]
                if has_hidden:
                    add_hidden(flat_y, v * width, hidden, edge[first + k], width, other)
                for h in range(heads):
                    here, f = u * width + h * depth, h * depth
                    if has_hidden:
                        score = leaky_dot(flat_x, here, other, f, vector, f, leak, depth)
                    else:
                        score = leaky_dot(flat_x, here, flat_y, v * width + f, vector, f, leak, depth)
                    weight[k * heads + h] = score - packed[v, 0, h]
                    pulls[k * heads + h] = dot(flat_x, here, flat_g, v * width + f, depth)
            exp_first(weight, count * heads)
            for k in range(count):
                v, e = index[first + k], edge[first + k]
                if has_hidden:
                    add_hidden(flat_y, v * width, hidden, e, width, other)
                for h in range(heads):
                    a, pull, f = weight[k * heads + h], pulls[k * heads + h], h * depth
                    here, there = u * width + f, v * width + f
                    m = factor[e, 0 if one_factor else h] if has_factor else one
                    if wants_factor:
                        d_factor[e, h] = a * pull
                    d_score = a * (m * pull - packed[v, 1, h])
                    if has_hidden:
                        back_head(
                            flat_x, here, other, f, vector, f, flat_g, there, d_score, a * m, leak, flat_dx, d_y, there,
                            d_attn, depth
                        )  # fmt: skip
                    else:
                        back_head(
                            flat_x, here, flat_y, there, vector, f, flat_g, there, d_score, a * m, leak, flat_dx, d_y,
                            there, d_attn, depth
                        )  # fmt: skip
                    if wants_hidden:
                        for c in range(f, f + depth):
                            d_hidden[e, c] = (
                                d_score * vector[c] * (one if flat_x[u * width + c] + other[c] > 0 else leak)
                            )
