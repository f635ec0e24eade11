"""Batches of events in which no node occurs twice, and each node's events keep their order."""

from __future__ import annotations

from graphkit._kernels.common import kernel


@kernel
def number_batches(src, dst, span, last, batch):
    """Number the batch of each event from 0 within its span; ``last [N]`` comes full of -1.

    Spans are non-decreasing. An event follows the last event of either end, so its number is the length of the longest
    chain of events that leads to it.
    """
    for e in range(src.shape[0]):
        if e and span[e] != span[e - 1]:
            last[:] = -1
        u, v = src[e], dst[e]
        at = 1 + max(last[u], last[v])
        batch[e] = at
        last[u] = at
        last[v] = at
