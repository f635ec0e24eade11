"""Neighbours drawn from a compressed structure, without a table of edges and with nothing shared between nodes."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import AHEAD, kernel, prefetch, small

#: Up to so many draws without replacement are compared with one another; beyond, all neighbours are passed over once.
_FEW = 64


@small
def _mixed(x):
    """Scramble 64 bits (splitmix64)."""
    x = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@small
def _below(state, bound):
    """Return a number below ``bound`` from 64 random bits; its bias is under 2**-20 for bounds to 2**44."""
    return np.int64((state >> np.uint64(11)) * 1.1102230246251565e-16 * bound)


@kernel
def count_drawn(indptr, seeds, fanout, offsets):
    """Fill ``offsets [n + 1]`` with where the draws of each seed begin; all neighbours where ``fanout`` is -1."""
    offsets[0] = 0
    for i in range(len(seeds)):
        if i + AHEAD < len(seeds):
            prefetch(indptr, seeds[i + AHEAD])
        degree = indptr[seeds[i] + 1] - indptr[seeds[i]]
        offsets[i + 1] = offsets[i] + (degree if fanout < 0 else min(degree, fanout))


@kernel
def draw_neighbors(indptr, seeds, offsets, seed, positions):
    """Fill ``positions`` with ascending places in the structure's index, drawn without replacement for each seed.

    The draws for a node depend on ``seed`` and the node alone: not on the other seeds, nor on their order.
    """
    for i in range(len(seeds)):
        if i + AHEAD < len(seeds):
            prefetch(indptr, seeds[i + AHEAD])
        node = seeds[i]
        first, begin = np.int64(indptr[node]), offsets[i]
        degree, wanted = np.int64(indptr[node + 1]) - first, offsets[i + 1] - begin
        if wanted == degree:
            for k in range(wanted):
                positions[begin + k] = first + k
            continue
        state = _mixed(np.uint64(seed) ^ _mixed(np.uint64(node)))
        if wanted <= _FEW:
            # Floyd: the k-th draw is among the first degree - wanted + k + 1, or that last one if it was drawn before.
            for k in range(wanted):
                state = _mixed(state)
                top = degree - wanted + k
                drawn = first + _below(state, top + 1)
                at = begin + k
                for j in range(begin, begin + k):
                    if positions[j] == drawn:
                        drawn = first + top
                        break
                while at > begin and positions[at - 1] > drawn:
                    positions[at] = positions[at - 1]
                    at -= 1
                positions[at] = drawn
            continue
        taken = 0
        for k in range(degree):
            state = _mixed(state)
            if _below(state, degree - k) < wanted - taken:
                positions[begin + taken] = first + k
                taken += 1
            if taken == wanted:
                break


@kernel
def mark_fresh(index, positions, seeds, table, sources, fresh):
    """Write the sources of the drawn edges and list in ``fresh`` those that are no seed; return how many.

    ``table [N]`` is 0 everywhere before; after it holds place + 1 of each seed, and -1 for each fresh node.
    """
    for i in range(len(seeds)):
        table[seeds[i]] = i + 1
    total, found = len(positions), 0
    for e in range(total):
        if e + 2 * AHEAD < total:
            prefetch(index, positions[e + 2 * AHEAD])
        sources[e] = index[positions[e]]
    for e in range(total):
        if e + 2 * AHEAD < total:
            prefetch(table, sources[e + 2 * AHEAD])
        node = sources[e]
        if table[node] == 0:
            table[node] = -1
            fresh[found] = node
            found += 1
    return found


@kernel
def read_degrees(indptr, out_degrees, nodes, into, out):
    """Fill ``into`` and ``out`` with the degrees of ``nodes``."""
    for i in range(len(nodes)):
        if i + AHEAD < len(nodes):
            prefetch(indptr, nodes[i + AHEAD])
            prefetch(out_degrees, nodes[i + AHEAD])
        into[i], out[i] = indptr[nodes[i] + 1] - indptr[nodes[i]], out_degrees[nodes[i]]


@kernel
def place_sources(sources, seeds, fresh, table, local):
    """Write for each edge where its source stands among seeds then ``fresh``, and leave ``table`` all 0 again."""
    count = len(seeds)
    for j in range(len(fresh)):
        table[fresh[j]] = count + j + 1
    for e in range(len(sources)):
        if e + 2 * AHEAD < len(sources):
            prefetch(table, sources[e + 2 * AHEAD])
        local[e] = table[sources[e]] - 1
    for i in range(count):
        table[seeds[i]] = 0
    for j in range(len(fresh)):
        table[fresh[j]] = 0


@kernel
def place_inside(indptr, index, nodes, table, targets, sources, positions):
    """List the edges among distinct ``nodes`` by target, as places among them, and their places in the index."""
    for i in range(len(nodes)):
        table[nodes[i]] = i + 1
    found = 0
    for i in range(len(nodes)):
        for e in range(indptr[nodes[i]], indptr[nodes[i] + 1]):
            if table[index[e]] > 0:
                targets[found], sources[found], positions[found] = i, table[index[e]] - 1, e
                found += 1
    for i in range(len(nodes)):
        table[nodes[i]] = 0
    return found
