"""GAT attention in one pass over the edges each way: score, softmax and weighted sum, never an ``[E, H, D]`` array.

Arrays that a caller has not (``score_edge``, ``factor``) come with no rows.
"""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import AHEAD, kernel, prefetch_row


@kernel
def gat_forward(
    low, high, indptr, index, edge, x, score_src, score_dst, score_edge, factor, slope, longest, out, log_total
):
    """``out[v] = sum of softmax(leaky_relu(score)) * factor * x[u]`` over v's edges, and the log of the softmax's sum.

    x ``[Nsrc, H * D]``, score_src ``[Nsrc, H]``, score_dst ``[Ndst, H]``, score_edge ``[E | 0, H]``, factor
    ``[E | 0, 1 | H]``, longest: the most edges of a row; out ``[Ndst, H * D]``, log_total ``[Ndst, H]``.
    """
    heads, width = score_dst.shape[1], x.shape[1]
    depth = width // heads
    has_edge, has_factor, one_factor = score_edge.shape[0] > 0, factor.shape[0] > 0, factor.shape[1] == 1
    flat = x.reshape(-1)
    last = indptr[high]
    weight = np.empty(longest * heads, x.dtype)
    top, total = np.empty(heads, x.dtype), np.empty(heads, x.dtype)
    zero, one, leak = x.dtype.type(0), x.dtype.type(1), x.dtype.type(slope)
    for v in range(low, high):
        start, stop = indptr[v], indptr[v + 1]
        row, mine = out[v], score_dst[v]
        for f in range(width):
            row[f] = 0
        for h in range(heads):
            top[h] = -np.inf
            total[h] = 0
            log_total[v, h] = 0
        if start == stop:
            continue
        for j in range(start, stop):
            at, other = (j - start) * heads, score_src[index[j]]
            for h in range(heads):
                z = other[h] + mine[h]
                if has_edge:
                    z += score_edge[edge[j], h]
                z = z if z > zero else leak * z
                weight[at + h] = z
                top[h] = max(top[h], z)
        for j in range(start, stop):
            at = (j - start) * heads
            for h in range(heads):
                weight[at + h] = np.exp(weight[at + h] - top[h])
                total[h] += weight[at + h]
        for h in range(heads):
            log_total[v, h] = top[h] + np.log(total[h])
            total[h] = one / total[h]
        for j in range(start, stop):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            at, term = (j - start) * heads, x[index[j]]
            for h in range(heads):
                a = weight[at + h] * total[h]
                if has_factor:
                    a *= factor[edge[j], 0 if one_factor else h]
                for f in range(h * depth, (h + 1) * depth):
                    row[f] += a * term[f]


@kernel
def gat_backward(
    low, high, indptr, index, edge, x, score_src, packed, score_edge, factor, slope, grad, d_x, d_src, d_edge, d_factor
):
    """Gradients of :func:`gat_forward` in one pass over the edges of each source.

    packed ``[Ndst, 3, H]`` holds score_dst, log_total and ``out . grad``; grad ``[Ndst, H * D]``; d_x, d_src are by
    source; d_edge ``[E, H]`` is the gradient before the leaky ReLU's argument, d_factor ``[E | 0, H]``.
    """
    heads, width = score_src.shape[1], x.shape[1]
    depth = width // heads
    has_edge, has_factor, one_factor = score_edge.shape[0] > 0, factor.shape[0] > 0, factor.shape[1] == 1
    wants_factor = d_factor.shape[0] > 0
    flat = grad.reshape(-1)
    last = indptr[high]
    zero, one, leak = x.dtype.type(0), x.dtype.type(1), x.dtype.type(slope)
    for u in range(low, high):
        mine, s, dx, ds = x[u], score_src[u], d_x[u], d_src[u]
        for f in range(width):
            dx[f] = 0
        for h in range(heads):
            ds[h] = 0
        for j in range(indptr[u], indptr[u + 1]):
            if j + AHEAD < last:
                prefetch_row(flat, index[j + AHEAD] * width, width)
            e, v = edge[j], index[j]
            g, there = grad[v], packed[v]
            for h in range(heads):
                z = s[h] + there[0, h]
                if has_edge:
                    z += score_edge[e, h]
                positive = z > zero
                a = np.exp((z if positive else leak * z) - there[1, h])
                m = one
                if has_factor:
                    m = factor[e, 0 if one_factor else h]
                dot = zero
                for f in range(h * depth, (h + 1) * depth):
                    dot += mine[f] * g[f]
                for f in range(h * depth, (h + 1) * depth):
                    dx[f] += a * m * g[f]
                d_score = a * (m * dot - there[2, h])
                d_score = d_score if positive else leak * d_score
                d_edge[e, h] = d_score
                ds[h] += d_score
                if wants_factor:
                    d_factor[e, h] = a * dot
