"""Counting sort of small integers."""

from __future__ import annotations

from graphkit._kernels.common import kernel


@kernel
def counting_sort(keys, start, order):
    """Fill ``order [n]`` with the stable sorting of ``keys [n]``; ``start [K + 1]`` zeros become the offsets."""
    for key in keys:
        start[key + 1] += 1
    for key in range(len(start) - 1):
        start[key + 1] += start[key]
    for position in range(len(keys)):
        key = keys[position]
        order[start[key]] = position
        start[key] += 1
    for key in range(len(start) - 1, 0, -1):
        start[key] = start[key - 1]
    start[0] = 0
