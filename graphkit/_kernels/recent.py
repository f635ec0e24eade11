"""Past neighbours of nodes in a stream: the newest ones before a time, or draws among all of them."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import AHEAD, kernel, prefetch, small
from graphkit._kernels.scramble import STEP, scrambled
from graphkit._kernels.search import first_at_least


@small
def past(indptr, times, node, when):
    """Return where the entries of ``node`` begin, and where those at ``when`` or later do."""
    low, high = indptr[node], indptr[node + 1]
    if low == high or times[high - 1] < when:  # the usual case where a stream is followed
        return low, high
    return low, first_at_least(times, low, high, when)


@small
def pad(begin, end, when, out_node, out_edge, out_time, out_mask):
    """Write that there is nothing in the places from ``begin`` to ``end``."""
    for at in range(begin, end):
        out_node[at] = 0
        out_edge[at] = 0
        out_time[at] = when
        out_mask[at] = False


@kernel
def newest(low, high, indptr, nbr, edge, times, nodes, when, valid, fanout, out_node, out_edge, out_time, out_mask):
    """Write the ``fanout`` newest entries before ``when[q]`` of ``nodes[q]``, newest first, for ``low <= q < high``.

    What lies beyond the entries that there are is padded with node 0, edge 0, ``when[q]`` and a false mask. Queries
    with a false ``valid`` have none; an empty ``valid`` says that all count.
    """
    everyone = valid.shape[0] == 0
    for q in range(low, high):
        if q + 2 * AHEAD < high:
            prefetch(indptr, nodes[q + 2 * AHEAD])
        if q + AHEAD < high:  # where a stream is followed, what is wanted lies near the end of a row
            near = max(indptr[nodes[q + AHEAD] + 1] - 1, 0)
            prefetch(times, near)
            prefetch(nbr, near)
            prefetch(edge, near)
        at = q * fanout
        count = 0
        if everyone or valid[q]:
            first, end = past(indptr, times, nodes[q], when[q])
            count = min(end - first, fanout)
            for k in range(count):
                out_node[at + k] = nbr[end - 1 - k]
            for k in range(count):
                out_edge[at + k] = edge[end - 1 - k]
            for k in range(count):
                out_time[at + k] = times[end - 1 - k]
            for k in range(count):
                out_mask[at + k] = True
        pad(at + count, at + fanout, when[q], out_node, out_edge, out_time, out_mask)


@kernel
def uniform(
    low, high, indptr, nbr, edge, times, nodes, when, valid, fanout, seed, picks, out_node, out_edge, out_time, out_mask
):
    """Write ``fanout`` draws with replacement among the entries before ``when[q]``, newest first, as :func:`newest`.

    A draw depends on the seed, the node, how many entries it has by then, and the number of the draw: not on what else
    is asked for at the same time. ``picks`` int64 ``[fanout]`` is room to sort in.
    """
    everyone = valid.shape[0] == 0
    for q in range(low, high):
        at = q * fanout
        count = 0
        if everyone or valid[q]:
            first, end = past(indptr, times, nodes[q], when[q])
            if end > first:
                count = fanout
                state = scrambled(scrambled(seed + np.uint64(nodes[q]) * STEP) + np.uint64(end - first))
                for k in range(fanout):
                    state = state + STEP
                    # The high bits over 2^11, so that the product is exact in float64.
                    share = np.float64(scrambled(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
                    drawn = first + np.int64(share * (end - first))
                    j = k
                    while j > 0 and picks[j - 1] < drawn:
                        picks[j] = picks[j - 1]
                        j -= 1
                    picks[j] = drawn
                for k in range(fanout):
                    entry = picks[k]
                    out_node[at + k] = nbr[entry]
                    out_edge[at + k] = edge[entry]
                    out_time[at + k] = times[entry]
                    out_mask[at + k] = True
        pad(at + count, at + fanout, when[q], out_node, out_edge, out_time, out_mask)


@kernel
def within(ids, size):
    """Whether all ids are in ``[0, size)``."""
    good = True
    for i in range(ids.shape[0]):
        good &= (ids[i] >= 0) & (ids[i] < size)
    return good


@kernel
def count_past(indptr, times, nodes, when, out):
    """Write how many entries of ``nodes[q]`` lie before ``when[q]``."""
    for q in range(nodes.shape[0]):
        first, end = past(indptr, times, nodes[q], when[q])
        out[q] = end - first
