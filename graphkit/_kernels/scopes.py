"""A private subgraph around each target: by hops or by personalised PageRank."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import kernel, small
from graphkit._kernels.neighbors import _below, _mixed


@small
def _longer(array, used, more):
    """Return ``array`` or a copy with room for ``more`` entries after the first ``used``."""
    if used + more <= len(array):
        return array
    grown = np.empty(max(2 * len(array), used + more), array.dtype)
    grown[:used] = array[:used]
    return grown


@kernel
def khop_scopes(indptr, index, roots, depth, budget, seed, table, offsets):
    """Return the nodes within ``depth`` hops of each root, itself first, ``budget`` drawn from each node and hop.

    All neighbours where ``budget`` is -1. ``table [N]`` is 0 before and after; ``offsets [n + 1]`` is filled.
    """
    nodes, used = np.empty(64 * len(roots) + 1, np.int64), 0
    offsets[0] = 0
    for i in range(len(roots)):
        begin = used
        nodes = _longer(nodes, used, 1)
        nodes[used] = roots[i]
        table[roots[i]] = 1
        used += 1
        ring, end = begin, used
        for _ in range(depth):
            for at in range(ring, end):
                node = nodes[at]
                first, degree = np.int64(indptr[node]), np.int64(indptr[node + 1] - indptr[node])
                wanted = degree if budget < 0 else min(degree, budget)
                nodes = _longer(nodes, used, wanted)
                state = _mixed(np.uint64(seed) ^ _mixed(np.uint64(roots[i])) ^ _mixed(np.uint64(node) + np.uint64(1)))
                taken = 0
                for k in range(degree):
                    if wanted < degree:
                        state = _mixed(state)
                        if _below(state, degree - k) >= wanted - taken:
                            continue
                    taken += 1
                    near = index[first + k]
                    if table[near] == 0:
                        table[near] = 1
                        nodes[used] = near
                        used += 1
                    if taken == wanted:
                        break
            ring, end = end, used
        for at in range(begin, used):
            table[nodes[at]] = 0
        offsets[i + 1] = used
    return nodes[:used]


@kernel
def push_mass(indptr, index, root, alpha, eps, scores, rest, queued, queue):
    """Approximate the lazy walk's PageRank from ``root`` in ``scores [N]``, with what is not spread in ``rest [N]``.

    All tables are 0 before; the nodes they hold after are listed in ``queue [N]``. Returns how many.
    """
    known, head, waiting = 1, 0, 1
    queue[0], rest[root], queued[root] = root, 1.0, 2
    line = np.empty(64, np.int64)
    line[0], tail = root, 1
    while waiting > 0:
        node = line[head]
        head += 1
        waiting -= 1
        queued[node] = 1
        degree = indptr[node + 1] - indptr[node]
        if degree == 0:
            scores[node] += rest[node]
            rest[node] = 0.0
            continue
        while rest[node] > eps * degree:
            mass = rest[node]
            scores[node] += alpha * mass
            rest[node] = (1 - alpha) * mass / 2
            share = (1 - alpha) * mass / (2 * degree)
            for e in range(indptr[node], indptr[node + 1]):
                near = index[e]
                if queued[near] == 0:
                    queue[known] = near
                    known += 1
                    queued[near] = 1
                rest[near] += share
                if queued[near] == 1 and near != node and rest[near] > eps * (indptr[near + 1] - indptr[near]):
                    queued[near] = 2
                    line = _longer(line, tail, 1)
                    line[tail] = near
                    tail += 1
                    waiting += 1
    return known


@kernel
def ppr_scopes(indptr, index, roots, count, threshold, alpha, eps, scores, rest, queued, queue, offsets):
    """Return each root followed by the ``count`` best other nodes, ascending, that score ``threshold`` of the best."""
    nodes, used = np.empty(64 * len(roots) + 1, np.int64), 0
    offsets[0] = 0
    for i in range(len(roots)):
        known = push_mass(indptr, index, roots[i], alpha, eps, scores, rest, queued, queue)
        found = np.sort(queue[1:known].copy())
        mass = np.empty(len(found))
        for j in range(len(found)):
            mass[j] = -scores[found[j]]
        for j in range(known):
            scores[queue[j]] = rest[queue[j]] = 0.0
            queued[queue[j]] = 0
        order = np.argsort(mass, kind="mergesort")[:count]
        kept = 0
        while kept < len(order) and mass[order[kept]] < 0 and mass[order[kept]] <= threshold * mass[order[0]]:
            kept += 1
        nodes = _longer(nodes, used, kept + 1)
        nodes[used] = roots[i]
        nodes[used + 1 : used + 1 + kept] = np.sort(found[order[:kept]])
        used += kept + 1
        offsets[i + 1] = used
    return nodes[:used]


@kernel
def count_inside(indptr, index, nodes, offsets, table, counts):
    """Fill ``counts [n]`` with the edges among the nodes of each scope."""
    for i in range(len(offsets) - 1):
        for at in range(offsets[i], offsets[i + 1]):
            table[nodes[at]] = 1
        for at in range(offsets[i], offsets[i + 1]):
            for e in range(indptr[nodes[at]], indptr[nodes[at] + 1]):
                counts[i] += table[index[e]] > 0
        for at in range(offsets[i], offsets[i + 1]):
            table[nodes[at]] = 0


@kernel
def fill_inside(indptr, index, nodes, offsets, table, starts, src, dst, positions, hops):
    """List the edges inside each scope by target, as rows of the batch, and each node's hops to the scope's root.

    ``hops`` are counted inside the scope, against the edges; -1 where the root is out of reach.
    """
    most = 1
    for i in range(len(offsets) - 1):
        most = max(most, offsets[i + 1] - offsets[i])
    line = np.empty(most, np.int64)
    for i in range(len(offsets) - 1):
        begin, end = offsets[i], offsets[i + 1]
        for at in range(begin, end):
            table[nodes[at]] = at - begin + 1
            hops[at] = -1
        edge = starts[i]
        for at in range(begin, end):
            for e in range(indptr[nodes[at]], indptr[nodes[at] + 1]):
                near = table[index[e]]
                if near > 0:
                    src[edge], dst[edge], positions[edge] = begin + near - 1, at, e
                    edge += 1
        line[0], hops[begin] = begin, 0
        head, tail = 0, 1
        while head < tail:
            at = line[head]
            head += 1
            for e in range(indptr[nodes[at]], indptr[nodes[at] + 1]):
                near = table[index[e]]
                if near > 0 and hops[begin + near - 1] < 0:
                    hops[begin + near - 1] = hops[at] + 1
                    line[tail] = begin + near - 1
                    tail += 1
        for at in range(begin, end):
            table[nodes[at]] = 0


@kernel
def walk_back(indptr, index, roots, steps, seed, out):
    """Fill ``out [n * (steps + 1)]`` with walks against the edges from each root; a node without any stays."""
    for i in range(len(roots)):
        node = roots[i]
        state = _mixed(np.uint64(seed) ^ _mixed(np.uint64(i)))
        out[i * (steps + 1)] = node
        for k in range(steps):
            first, degree = np.int64(indptr[node]), np.int64(indptr[node + 1] - indptr[node])
            state = _mixed(state)
            if degree > 0:
                node = np.int64(index[first + _below(state, degree)])
            out[i * (steps + 1) + k + 1] = node
