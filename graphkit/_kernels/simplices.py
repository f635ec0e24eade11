"""Subsets of simplices, triangles of a graph, and what stands around each triangle."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import kernel
from graphkit._kernels.search import place_of


@kernel
def write_subsets(starts, members, size, at, out):
    """Write all subsets of ``size`` members of each simplex, in lexicographic order, from row ``at[s]`` on.

    Parameters
    ----------
    starts : ndarray
        int64 ``[M + 1]``: where each simplex's members begin.
    members : ndarray
        int64 ``[E]``, sorted inside each simplex.
    size : int
    at : ndarray
        int64 ``[M]``.
    out : ndarray
        int64 ``[K, size]``, written.
    """
    pick = np.empty(size, np.int64)
    for s in range(len(starts) - 1):
        count, row = starts[s + 1] - starts[s], at[s]
        if count < size:
            continue
        for i in range(size):
            pick[i] = i
        while True:
            for i in range(size):
                out[row, i] = members[starts[s] + pick[i]]
            row += 1
            i = size - 1
            while i >= 0 and pick[i] == count - size + i:
                i -= 1
            if i < 0:
                break
            pick[i] += 1
            for j in range(i + 1, size):
                pick[j] = pick[j - 1] + 1


@kernel
def triangles(indptr, indices, out):
    """Write the triangles ``i < j < k`` of a graph with sorted rows, if ``out`` has room; return how many there are."""
    found = 0
    for i in range(len(indptr) - 1):
        for place in range(indptr[i], indptr[i + 1]):
            j = indices[place]
            if j <= i:
                continue
            a, b = place + 1, indptr[j]
            while a < indptr[i + 1] and b < indptr[j + 1]:
                if indices[a] < indices[b]:
                    a += 1
                elif indices[a] > indices[b]:
                    b += 1
                else:
                    if indices[a] > j:
                        if found < len(out):
                            out[found, 0], out[found, 1], out[found, 2] = i, j, indices[a]
                        found += 1
                    a += 1
                    b += 1
    return found


@kernel
def _weight(codes, counts, size, a, b, c):
    """Return 0, 1 or 2 (or more): how many simplices hold the three nodes."""
    if a > b:
        a, b = b, a
    if b > c:
        b, c = c, b
    if a > b:
        a, b = b, a
    place = place_of(codes, (a * size + b) * size + c)
    return 0 if place < 0 else min(counts[place], 2)


@kernel
def around_triangles(indptr, indices, tri, codes, counts, nodes, size, pendant, shared, full, four):
    """Count the four-node configurations that hold a triangle, by the strengths of their triangles.

    Parameters
    ----------
    indptr, indices : ndarray
        The graph, rows sorted.
    tri : ndarray
        int64 ``[T, 3]``, all triangles.
    codes, counts : ndarray
        int64: each triple that a simplex holds, as ``(i size + j) size + k``, sorted; and by how many.
    nodes, size : int
        How many nodes take part, and the base of the codes.
    pendant : ndarray
        int64 ``[2, 3]``, written: triangles with a node joined to none, to one; by strength.
    shared : ndarray
        int64 ``[3, 3]``, written: two triangles on one edge, each counted from both sides.
    full : ndarray
        int64 ``[81]``, written: complete ones by their strengths as digits to the base 3, sorted.
    four : ndarray
        int64 ``[Q, 4]``, written if it has room: the complete ones.

    Returns
    -------
    int
        How many complete ones there are.
    """
    seen = np.zeros(len(indptr) - 1, np.int64)
    which = np.zeros(len(indptr) - 1, np.int64)
    touched = np.empty(len(indptr) - 1, np.int64)
    strengths = np.empty(4, np.int64)
    found = 0
    for t in range(len(tri)):
        number = 0
        for corner in range(3):
            for place in range(indptr[tri[t, corner]], indptr[tri[t, corner] + 1]):
                node = indices[place]
                if node == tri[t, 0] or node == tri[t, 1] or node == tri[t, 2]:
                    continue
                if seen[node] == 0:
                    touched[number] = node
                    number += 1
                seen[node] += 1
                which[node] += corner
        own = _weight(codes, counts, size, tri[t, 0], tri[t, 1], tri[t, 2])
        pendant[0, own] += nodes - 3 - number
        for place in range(number):
            node = touched[place]
            if seen[node] == 1:
                pendant[1, own] += 1
            elif seen[node] == 2:
                missing = 3 - which[node]
                a, b = tri[t, 0 if missing != 0 else 1], tri[t, 2 if missing != 2 else 1]
                other = _weight(codes, counts, size, a, b, node)
                shared[min(own, other), max(own, other)] += 1
            elif node > tri[t, 2]:
                strengths[0] = own
                strengths[1] = _weight(codes, counts, size, tri[t, 0], tri[t, 1], node)
                strengths[2] = _weight(codes, counts, size, tri[t, 0], tri[t, 2], node)
                strengths[3] = _weight(codes, counts, size, tri[t, 1], tri[t, 2], node)
                strengths.sort()
                full[((strengths[0] * 3 + strengths[1]) * 3 + strengths[2]) * 3 + strengths[3]] += 1
                if found < len(four):
                    four[found, 0], four[found, 1], four[found, 2] = tri[t, 0], tri[t, 1], tri[t, 2]
                    four[found, 3] = node
                found += 1
        for place in range(number):
            seen[touched[place]] = 0
            which[touched[place]] = 0
    return found


@kernel
def common_of_three(indptr, indices, tri, value, pairs, triple, total):
    """Count, for each triangle, the common neighbours of its pairs and of all three, and add a value up over the last.

    Parameters
    ----------
    indptr, indices : ndarray
        The graph, rows sorted.
    tri : ndarray
        int64 ``[T, 3]``.
    value : ndarray
        float64 ``[N]``.
    pairs : ndarray
        int64 ``[T, 3]``, written: for (i, j), (i, k), (j, k).
    triple : ndarray
        int64 ``[T]``, written.
    total : ndarray
        float64 ``[T]``, written.
    """
    mark = np.zeros(len(indptr) - 1, np.int64)
    for t in range(len(tri)):
        for corner in range(3):
            for place in range(indptr[tri[t, corner]], indptr[tri[t, corner] + 1]):
                mark[indices[place]] |= 1 << corner
        for corner in range(3):
            for place in range(indptr[tri[t, corner]], indptr[tri[t, corner] + 1]):
                node = indices[place]
                held = mark[node]
                if held & 3 == 3:
                    pairs[t, 0] += 1
                if held & 5 == 5:
                    pairs[t, 1] += 1
                if held & 6 == 6:
                    pairs[t, 2] += 1
                if held == 7:
                    triple[t] += 1
                    total[t] += value[node]
                mark[node] = 0
