"""Dictionaries of sampled neighbours with a fixed number of slots a node, written event by event."""

from __future__ import annotations

import numpy as np

from graphkit._kernels.common import kernel, small
from graphkit._kernels.scramble import STEP, scrambled


@small
def slot_of(node, first, second, slots):
    """Return the slot of a node: ``(first a + second a^2) mod slots``."""
    return (first * node + second * node * node) % slots


@small
def chance(seed, event, side, hop, entry):
    """Return a number in [0, 1) that depends on nothing but the seed and what is written where."""
    key = ((event * 2 + side) * 4 + hop) * (1 << 20) + entry
    return (scrambled(seed + STEP * np.uint64(key + 1)) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@kernel
def write_far(u, v, event, side, near, near_value, far, far_value, replace, seed, first, second):
    """Write whom ``v`` has in its near slots, with their values, into the far slots of ``u``."""
    for at in range(near.shape[1]):
        w = near[v, at]
        if w == 0:
            continue
        slot = slot_of(w, first, second, far.shape[1])
        held = far[u, slot]
        if held == 0 or held == w or chance(seed, event, side, 2, at) < replace:
            far[u, slot] = w
            for f in range(near_value.shape[2]):
                far_value[u, slot, f] = near_value[v, at, f]


@kernel
def write_near(
    u, key, event, side, t, near, near_time, near_gap, near_edge, near_fresh, near_value, replace, seed, first, second
):
    """Write ``key`` into the near slots of ``u``; a new key's value begins at 0."""  # fmt: skip
    slot = slot_of(key, first, second, near.shape[1])
    held = near[u, slot]
    if held != 0 and held != key and chance(seed, event, side, 1, slot) >= replace:
        return
    if held != key:
        for f in range(near_value.shape[2]):
            near_value[u, slot, f] = 0.0
    near_gap[u, slot] = t - near_time[u, slot] if held == key else 0.0
    near[u, slot] = key
    near_time[u, slot] = t
    near_edge[u, slot] = event
    near_fresh[u, slot] = True


@kernel
def write_events(src, dst, edge, time, itself, near, far, replace, seed, first, second):
    """Write events in their order: the other end into the own and the near slots, whom it had met into the far ones.

    ``itself`` is other end plus 1, time, gap, edge and freshness ``[N]``; ``near`` the same by slot and values; ``far``
    keys plus 1 and values. Both ends are read as they were before the event.
    """
    other, last, gap, own_edge, fresh = itself
    far_key, far_value = far
    for e in range(src.shape[0]):
        for side in range(2):
            u = src[e] if side == 0 else dst[e]
            v = dst[e] if side == 0 else src[e]
            gap[u] = time[e] - last[u] if other[u] else 0.0
            other[u] = v + 1
            last[u] = time[e]
            own_edge[u] = edge[e]
            fresh[u] = True
            if far_key.shape[1]:
                write_far(u, v, edge[e], side, near[0], near[5], far_key, far_value, replace, seed, first, second)
        if near[0].shape[1]:
            for side in range(2):
                u = src[e] if side == 0 else dst[e]
                v = dst[e] if side == 0 else src[e]
                write_near(u, v + 1, edge[e], side, time[e], near[0], near[1], near[2], near[3], near[4], near[5],
                           replace, seed, first, second)  # fmt: skip


@kernel
def join(u, v, near, far, tally, place, owner, key, mask, source):
    """List, for each pair of nodes, the distinct keys of both dictionaries and in which of them each stands.

    Bits 0 to 2 say that the key is u itself, in u's near slots, in u's far slots; bits 3 to 5 the same of v.
    ``tally`` and ``place [N + 1]`` come as zeros. ``source [P, 2 (1 + M1 + M2)]`` says for each entry which key of the
    list it belongs to, -1 for empty slots. Returns how many keys there are.
    """
    near_slots = near.shape[1]
    wide = 1 + near_slots + far.shape[1]
    count = 0
    for p in range(u.shape[0]):
        begin = count
        for side in range(2):
            node = u[p] if side == 0 else v[p]
            for at in range(wide):
                if at == 0:
                    a, bit = node + 1, 0
                elif at <= near_slots:
                    a, bit = near[node, at - 1], 1
                else:
                    a, bit = far[node, at - 1 - near_slots], 2
                if a == 0:
                    source[p, side * wide + at] = -1
                    continue
                if tally[a] == 0:
                    place[a] = count
                    owner[count] = p
                    key[count] = a - 1
                    count += 1
                tally[a] |= 1 << (bit + 3 * side)
                source[p, side * wide + at] = place[a]
        for k in range(begin, count):
            mask[k] = tally[key[k] + 1]
            tally[key[k] + 1] = 0
    return count
