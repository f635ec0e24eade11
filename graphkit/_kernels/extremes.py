"""The two members of each hyperedge that lie furthest apart."""

from __future__ import annotations

from graphkit._kernels.common import kernel

#: Hyperedges of more members are searched from the member furthest from the mean.
EXACT = 128


@kernel
def _far(rows, member, point, best):
    """Return the place in ``member`` of the row furthest from ``point``; the first one of equals but ``best``."""
    found, most = -1, -1.0
    for i in range(len(member)):
        if i == best:
            continue
        gap = 0.0
        for d in range(rows.shape[1]):
            step = rows[member[i], d] - point[d]
            gap += step * step
        if gap > most:
            found, most = i, gap
    return found


@kernel
def furthest_pairs(starts, members, rows, ends):
    """Write the places, inside each hyperedge of two or more members, of the two that lie furthest apart.

    Parameters
    ----------
    starts : ndarray
        int64 ``[M + 1]``: where each hyperedge's members begin.
    members : ndarray
        int64 ``[E]``.
    rows : ndarray
        float64 ``[N, D]``.
    ends : ndarray
        int64 ``[M, 2]``, written; untouched for smaller hyperedges.
    """
    width = rows.shape[1]
    for e in range(len(starts) - 1):
        member = members[starts[e] : starts[e + 1]]
        size = len(member)
        if size < 2:
            continue
        if size > EXACT:
            mean = rows[member[0]] * 0.0
            for i in range(size):
                for d in range(width):
                    mean[d] += rows[member[i], d] / size
            ends[e, 0] = _far(rows, member, mean, -1)
            ends[e, 1] = _far(rows, member, rows[member[ends[e, 0]]], ends[e, 0])
            continue
        most = -1.0
        for i in range(size):
            for j in range(i + 1, size):
                gap = 0.0
                for d in range(width):
                    step = rows[member[i], d] - rows[member[j], d]
                    gap += step * step
                if gap > most:
                    most, ends[e, 0], ends[e, 1] = gap, i, j
