"""How often each neighbour of two sequences occurs in either."""

from __future__ import annotations

from graphkit._kernels.common import kernel


@kernel
def count_both(a, a_mask, b, b_mask, tally, in_a, in_b):
    """Write how often each entry's node occurs in row p of ``a`` and of ``b``, into ``in_a`` and ``in_b [P, L, 2]``.

    ``tally [N, 2]`` comes as zeros and is left as zeros; padded entries count nothing and get 0.
    """
    for p in range(a.shape[0]):
        for i in range(a.shape[1]):
            if a_mask[p, i]:
                tally[a[p, i], 0] += 1
        for j in range(b.shape[1]):
            if b_mask[p, j]:
                tally[b[p, j], 1] += 1
        for i in range(a.shape[1]):
            if a_mask[p, i]:
                in_a[p, i, 0] = tally[a[p, i], 0]
                in_a[p, i, 1] = tally[a[p, i], 1]
        for j in range(b.shape[1]):
            if b_mask[p, j]:
                in_b[p, j, 0] = tally[b[p, j], 0]
                in_b[p, j, 1] = tally[b[p, j], 1]
        for i in range(a.shape[1]):
            if a_mask[p, i]:
                tally[a[p, i], 0] = 0
        for j in range(b.shape[1]):
            if b_mask[p, j]:
                tally[b[p, j], 1] = 0
