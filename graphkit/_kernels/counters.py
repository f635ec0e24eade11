"""Counts of a stream's past at any time: per node, per pair and per pair of neighbourhoods."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import kernel, small
from graphkit._kernels.search import first_at_least, place_of


@small
def newer(times, first, end, last):
    """Return the time before place ``end`` of a row that begins at ``first``, if it is later than ``last``."""
    if end > first and times[end - 1] > last:
        return times[end - 1]
    return last


@kernel
def faded(indptr, times, tau, strength):
    """Write, for each entry of each row, how many entries up to it there were, each fading by ``exp(-gap / tau)``."""
    for row in range(indptr.shape[0] - 1):
        total = 0.0
        for at in range(indptr[row], indptr[row + 1]):
            gap = times[at] - times[at - 1] if at > indptr[row] else 0.0
            total = total * np.exp(-gap / tau) + 1.0
            strength[at] = total


@kernel
def shared(a, b, t, tau, node_ptr, neighbour, group_ptr, group_time):
    """Count whom two nodes both met before ``t``, and sum how lately: ``exp(-(t - earlier last meeting) / tau)``."""
    i, i_end, j, j_end = node_ptr[a], node_ptr[a + 1], node_ptr[b], node_ptr[b + 1]
    count, fading = 0, 0.0
    while i < i_end and j < j_end:
        if neighbour[i] < neighbour[j]:
            i += 1
        elif neighbour[i] > neighbour[j]:
            j += 1
        else:
            if group_time[group_ptr[i]] < t and group_time[group_ptr[j]] < t:
                one = group_time[first_at_least(group_time, group_ptr[i], group_ptr[i + 1], t) - 1]
                two = group_time[first_at_least(group_time, group_ptr[j], group_ptr[j + 1], t) - 1]
                count += 1
                fading += np.exp(-(t - min(one, two)) / tau)
            i += 1
            j += 1
    return count, fading


@small
def seen_pair(codes, pair_ptr, pair_time, code, t):
    """Return how often a pair met before ``t``, and the place behind its last such meeting."""
    at = place_of(codes, code)
    if at < 0:
        return 0, 0
    end = first_at_least(pair_time, pair_ptr[at], pair_ptr[at + 1], t)
    return end - pair_ptr[at], end


@kernel
def link_features(src, dst, time, tau, out, into, strength, pairs, halves, made):
    """Write the thirteen counters of each query into ``made [P, 13]``.

    ``out`` and ``into`` are rows of times by source and by destination, ``pairs`` rows of times by ordered pair, and
    ``halves`` the neighbours of each node with the times that it met them. Times count from the first event.
    """
    out_ptr, out_time = out
    in_ptr, in_time = into
    codes, pair_ptr, pair_time = pairs
    node_ptr, neighbour, group_ptr, group_time = halves
    nodes = out_ptr.shape[0] - 1
    for p in range(src.shape[0]):
        u, v, t = src[p], dst[p], time[p]
        never = t / tau + 1.0
        there, end = seen_pair(codes, pair_ptr, pair_time, u * nodes + v, t)
        back, _ = seen_pair(codes, pair_ptr, pair_time, v * nodes + u, t)
        out_u, in_u = (
            first_at_least(out_time, out_ptr[u], out_ptr[u + 1], t),
            first_at_least(in_time, in_ptr[u], in_ptr[u + 1], t),
        )
        out_v, in_v = (
            first_at_least(out_time, out_ptr[v], out_ptr[v + 1], t),
            first_at_least(in_time, in_ptr[v], in_ptr[v + 1], t),
        )
        last_u = newer(in_time, in_ptr[u], in_u, newer(out_time, out_ptr[u], out_u, -1.0))
        last_v = newer(in_time, in_ptr[v], in_v, newer(out_time, out_ptr[v], out_v, -1.0))
        popular = in_v - in_ptr[v]
        lately = strength[in_v - 1] * np.exp(-(t - in_time[in_v - 1]) / tau) if popular else 0.0
        count, fading = shared(u, v, t, tau, node_ptr, neighbour, group_ptr, group_time)
        row = made[p]
        row[0] = np.log1p(there)
        row[1] = np.log1p(back)
        row[2] = np.log1p((t - pair_time[end - 1]) / tau if there else never)
        row[3] = 1.0 if there else 0.0
        row[4] = np.log1p(out_u - out_ptr[u])
        row[5] = np.log1p(popular)
        row[6] = np.log1p(out_u - out_ptr[u] + in_u - in_ptr[u])
        row[7] = np.log1p(out_v - out_ptr[v] + popular)
        row[8] = np.log1p((t - last_u) / tau if last_u >= 0 else never)
        row[9] = np.log1p((t - last_v) / tau if last_v >= 0 else never)
        row[10] = np.log1p(count)
        row[11] = fading
        row[12] = np.log(lately + 1e-3)


@kernel
def sign_features(src, dst, time, out, into, negative, every, pairs, reverse, made):
    """Write the counters of signs of each query into ``made [P, 12]``, or ``[P, 14]`` with the sign of the way back.

    ``negative`` holds, for ``out``, ``into`` and all events, how many negative ones stand before each place.
    """
    out_ptr, out_time = out
    in_ptr, in_time = into
    out_bad, in_bad, all_bad = negative
    codes, pair_ptr, pair_time, pair_sign = pairs
    nodes = out_ptr.shape[0] - 1
    for p in range(src.shape[0]):
        t = time[p]
        past = first_at_least(every, 0, every.shape[0], t)
        share = all_bad[past] / past if past else 0.0
        for side in range(2):
            node = dst[p] if side else src[p]
            given_end = first_at_least(out_time, out_ptr[node], out_ptr[node + 1], t)
            taken_end = first_at_least(in_time, in_ptr[node], in_ptr[node + 1], t)
            given, bad_given = given_end - out_ptr[node], out_bad[given_end] - out_bad[out_ptr[node]]
            taken, bad_taken = taken_end - in_ptr[node], in_bad[taken_end] - in_bad[in_ptr[node]]
            made[p, 4 * side] = np.log1p(given - bad_given)
            made[p, 4 * side + 1] = np.log1p(bad_given)
            made[p, 4 * side + 2] = np.log1p(taken - bad_taken)
            made[p, 4 * side + 3] = np.log1p(bad_taken)
            made[p, 8 + 2 * side] = (bad_given + 5 * share) / (given + 5)
            made[p, 9 + 2 * side] = (bad_taken + 5 * share) / (taken + 5)
        if reverse:
            back, end = seen_pair(codes, pair_ptr, pair_time, dst[p] * nodes + src[p], t)
            sign = pair_sign[end - 1] if back else 0
            made[p, 12] = 1.0 if sign > 0 else 0.0
            made[p, 13] = 1.0 if sign < 0 else 0.0
