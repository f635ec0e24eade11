"""GATv2 attention in one pass over the edges each way; the hidden ``[E, H, D]`` is made a row at a time."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import AHEAD, kernel, prefetch_row


@kernel
def gatv2_forward(low, high, indptr, index, edge, x, y, attn, hidden, factor, slope, longest, out, log_total):
    """``out[v] = sum of softmax(attn . leaky_relu(x[u] + y[v] + hidden[e])) * factor * x[u]``; and the log sums.

    x ``[Nsrc, H * D]``, y ``[Ndst, H * D]``, attn ``[H, D]``, hidden ``[E | 0, H * D]``, factor ``[E | 0, 1 | H]``.
    """
    heads, width = attn.shape[0], x.shape[1]
    depth = width // heads
    has_hidden, has_factor, one_factor = hidden.shape[0] > 0, factor.shape[0] > 0, factor.shape[1] == 1
    vector = attn.reshape(-1)
    flat = x.reshape(-1)
    last = indptr[high]
    weight = np.empty(longest * heads, x.dtype)
    top, total = np.empty(heads, x.dtype), np.empty(heads, x.dtype)
    zero, one, leak = x.dtype.type(0), x.dtype.type(1), x.dtype.type(slope)
    for v in range(low, high):
        start, stop = indptr[v], indptr[v + 1]
        row, mine = out[v], y[v]
        for f in range(width):
            row[f] = 0
        for h in range(heads):
            top[h] = -np.inf
            total[h] = 0
            log_total[v, h] = 0
        if start == stop:
            continue
        for j in range(start, stop):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            at, term = (j - start) * heads, x[index[j]]
            for h in range(heads):
                score = zero
                for f in range(h * depth, (h + 1) * depth):
                    z = term[f] + mine[f]
                    if has_hidden:
                        z += hidden[edge[j], f]
                    score += vector[f] * (z if z > zero else leak * z)
                weight[at + h] = score
                top[h] = max(top[h], score)
        for j in range(start, stop):
            at = (j - start) * heads
            for h in range(heads):
                weight[at + h] = np.exp(weight[at + h] - top[h])
                total[h] += weight[at + h]
        for h in range(heads):
            log_total[v, h] = top[h] + np.log(total[h])
            total[h] = one / total[h]
        for j in range(start, stop):
            at, term = (j - start) * heads, x[index[j]]
            for h in range(heads):
                a = weight[at + h] * total[h]
                if has_factor:
                    a *= factor[edge[j], 0 if one_factor else h]
                for f in range(h * depth, (h + 1) * depth):
                    row[f] += a * term[f]


@kernel
def gatv2_backward(
    low,
    high,
    indptr,
    index,
    edge,
    x,
    y,
    attn,
    hidden,
    factor,
    slope,
    log_total,
    dots,
    grad,
    d_x,
    d_y,
    d_attn,
    d_hidden,
    d_factor,
):
    """Gradients of :func:`gatv2_forward` in one pass over the edges of each source; adds into ``d_y`` and ``d_attn``.

    dots ``[Ndst, H]`` is ``out . grad``. ``d_y [Ndst, H * D]`` and ``d_attn [H * D]`` belong to the calling thread.
    """
    heads, width = attn.shape[0], x.shape[1]
    depth = width // heads
    has_hidden, has_factor, one_factor = hidden.shape[0] > 0, factor.shape[0] > 0, factor.shape[1] == 1
    wants_hidden, wants_factor = d_hidden.shape[0] > 0, d_factor.shape[0] > 0
    vector = attn.reshape(-1)
    flat, flat_y = grad.reshape(-1), y.reshape(-1)
    last = indptr[high]
    zero, one, leak = x.dtype.type(0), x.dtype.type(1), x.dtype.type(slope)
    for u in range(low, high):
        mine, dx = x[u], d_x[u]
        for f in range(width):
            dx[f] = 0
        for j in range(indptr[u], indptr[u + 1]):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
                prefetch_row(flat_y, index[j + AHEAD] * width, width)
            e, v = edge[j], index[j]
            g, other, dy = grad[v], y[v], d_y[v]
            for h in range(heads):
                score, dot = zero, zero
                for f in range(h * depth, (h + 1) * depth):
                    z = mine[f] + other[f]
                    if has_hidden:
                        z += hidden[e, f]
                    score += vector[f] * (z if z > zero else leak * z)
                    dot += mine[f] * g[f]
                a = np.exp(score - log_total[v, h])
                m = one
                if has_factor:
                    m = factor[e, 0 if one_factor else h]
                if wants_factor:
                    d_factor[e, h] = a * dot
                d_score = a * (m * dot - dots[v, h])
                for f in range(h * depth, (h + 1) * depth):
                    z = mine[f] + other[f]
                    if has_hidden:
                        z += hidden[e, f]
                    side = one if z > zero else leak
                    d_z = d_score * vector[f] * side
                    d_attn[f] += d_score * side * z
                    dx[f] += a * m * g[f] + d_z
                    dy[f] += d_z
                    if wants_hidden:
                        d_hidden[e, f] = d_z
