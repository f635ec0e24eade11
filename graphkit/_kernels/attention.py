"""GAT attention in one pass over the edges each way: score, softmax and weighted sum, never an ``[E, H, D]`` array.

Edges of a row are taken in chunks, whose scores are exponentiated together and whose rows stay in the first cache.
Arrays that a caller has not (``score_edge``, ``factor``) come with no rows.
"""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import kernel, prefetch_row
from graphkit._kernels.simd import axpy, dot, exp_first, score8

#: Edges of a row that are worked on together.
CHUNK = 32


@kernel
def edge_scores(s, i, t, j, heads, slope, out, at, top):
    """``out[at + h] = leaky(s[i + h] + t[j + h])`` of flat arrays, and ``top[h]`` the largest so far."""
    if heads == 8:
        score8(s, i, t, j, slope, out, at, top)
        return
    for h in range(heads):
        z = s[i + h] + t[j + h]
        z = z if z > 0 else slope * z
        out[at + h] = z
        top[h] = max(top[h], z)


@kernel
def fold_chunk(weight, count, heads, depth, old, top, total, row, at):
    """Exponentiate a chunk's scores against the new maximum, and rescale what earlier chunks summed up."""
    for j in range(count):
        for h in range(heads):
            weight[j * heads + h] -= top[h]
    exp_first(weight, count * heads)
    for h in range(heads):
        if old[h] != top[h]:
            scale = np.exp(old[h] - top[h])
            total[h] *= scale
            for f in range(at + h * depth, at + (h + 1) * depth):
                row[f] *= scale
            old[h] = top[h]
    for j in range(count):
        for h in range(heads):
            total[h] += weight[j * heads + h]


@kernel
def finish_row(heads, depth, top, total, row, at, log_total):
    """Divide a row by the sums of its softmax and keep their logarithms."""
    for h in range(heads):
        log_total[h] = top[h] + np.log(total[h])
        scale = row.dtype.type(1) / total[h]
        for f in range(at + h * depth, at + (h + 1) * depth):
            row[f] *= scale


@kernel
def gat_forward(low, high, indptr, index, edge, x, score_src, score_dst, score_edge, factor, slope, out, log_total):
    """``out[v] = sum of softmax(leaky_relu(score)) * factor * x[u]`` over v's edges, and the log of the softmax's sum.

    x ``[Nsrc, H * D]``, score_src ``[Nsrc, H]``, score_dst ``[Ndst, H]``, score_edge ``[E | 0, H]``, factor
    ``[E | 0, 1 | H]``; out ``[Ndst, H * D]``, log_total ``[Ndst, H]``.
    """
    heads, width = score_dst.shape[1], x.shape[1]
    depth = width // heads
    has_edge, has_factor, one_factor = score_edge.shape[0] > 0, factor.shape[0] > 0, factor.shape[1] == 1
    flat, rows, s, t = x.reshape(-1), out.reshape(-1), score_src.reshape(-1), score_dst.reshape(-1)
    dtype = x.dtype.type
    leak = dtype(slope)
    weight, shifted = np.empty(CHUNK * heads, x.dtype), np.empty(heads, x.dtype)
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
                u = index[first + k]
                prefetch_row(flat, u * width, width)
                if has_edge:
                    for h in range(heads):
                        shifted[h] = score_dst[v, h] + score_edge[edge[first + k], h]
                    edge_scores(s, u * heads, shifted, 0, heads, leak, weight, k * heads, top)
                else:
                    edge_scores(s, u * heads, t, v * heads, heads, leak, weight, k * heads, top)
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
def gat_backward(
    low,
    high,
    indptr,
    index,
    edge,
    x,
    score_src,
    packed,
    score_edge,
    factor,
    slope,
    grad,
    d_x,
    d_src,
    d_dst,
    d_score,
    d_factor,
):
    """Gradients of :func:`gat_forward` in one pass over the edges of each source.

    packed ``[Ndst, 3 * H]`` holds score_dst, log_total and ``out . grad``; grad ``[Ndst, H * D]``; d_x, d_src are by
    source; ``d_dst [Ndst * H]`` belongs to the calling thread and is added to; d_score and d_factor ``[E | 0, H]``.
    """
    heads, width = score_src.shape[1], x.shape[1]
    depth = width // heads
    has_edge, has_factor, one_factor = score_edge.shape[0] > 0, factor.shape[0] > 0, factor.shape[1] == 1
    wants_score, wants_factor = d_score.shape[0] > 0, d_factor.shape[0] > 0
    flat, flat_x, flat_dx, pack = grad.reshape(-1), x.reshape(-1), d_x.reshape(-1), packed.reshape(-1)
    dtype = x.dtype.type
    leak, one, zero = dtype(slope), dtype(1), dtype(0)
    weight, side = np.empty(CHUNK * heads, x.dtype), np.empty(CHUNK * heads, x.dtype)
    for u in range(low, high):
        for f in range(u * width, (u + 1) * width):
            flat_dx[f] = 0
        for h in range(heads):
            d_src[u, h] = 0
        stop = indptr[u + 1]
        for first in range(indptr[u], stop, CHUNK):
            count = min(CHUNK, stop - first)
            for k in range(count):
                prefetch_row(pack, index[first + k] * 3 * heads, 3 * heads)
                prefetch_row(flat, index[first + k] * width, width)
            for k in range(count):
                at = index[first + k] * 3 * heads
                for h in range(heads):
                    z = score_src[u, h] + pack[at + h]
                    if has_edge:
                        z += score_edge[edge[first + k], h]
                    slant = one if z > zero else leak
                    side[k * heads + h] = slant
                    weight[k * heads + h] = z * slant - pack[at + heads + h]
            exp_first(weight, count * heads)
            for k in range(count):
                v, e = index[first + k], edge[first + k]
                for h in range(heads):
                    a, here, there = weight[k * heads + h], u * width + h * depth, v * width + h * depth
                    pull = dot(flat_x, here, flat, there, depth)
                    m = factor[e, 0 if one_factor else h] if has_factor else one
                    axpy(flat_dx, here, a * m, flat, there, depth)
                    if wants_factor:
                        d_factor[e, h] = a * pull
                    pull = a * (m * pull - pack[v * 3 * heads + 2 * heads + h]) * side[k * heads + h]
                    d_dst[v * heads + h] += pull
                    if wants_score:
                        d_score[e, h] = pull
                    d_src[u, h] += pull
