"""Rows brought together from a cache in memory and a piece of a file."""

from __future__ import annotations

from graphkit._kernels.common import AHEAD, kernel, prefetch_row


@kernel
def assemble(slots, cache, cold, out):
    """Fill ``out [n, D]``: row i is ``cache[slots[i]]``, or, where the slot is -1, the next row of ``cold``."""
    width, near, flat = out.shape[1], 0, cache.reshape(-1)
    for i in range(len(slots)):
        if i + AHEAD < len(slots) and slots[i + AHEAD] >= 0:
            prefetch_row(flat, slots[i + AHEAD] * width, width)
        if slots[i] < 0:
            for k in range(width):
                out[i, k] = cold[near, k]
            near += 1
        else:
            row = slots[i]
            for k in range(width):
                out[i, k] = cache[row, k]


@kernel
def count_into(counts, nodes, weight):
    """Add ``weight`` to the count of each node."""
    for i in range(len(nodes)):
        counts[nodes[i]] += weight


@kernel
def fill_rows(first, chunk, ids, low, high, places, out):
    """Copy rows of a chunk that begins at row ``first`` to where they are wanted, ``out[places[j]]``."""
    width = out.shape[1]
    for j in range(low, high):
        source, target = ids[j] - first, places[j]
        for k in range(width):
            out[target, k] = chunk[source, k]
