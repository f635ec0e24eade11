"""Binary search in a part of an ascending array."""

from __future__ import annotations

from graphkit._kernels.common import small


@small
def first_at_least(ascending, low, high, wanted):
    """Return the first position in ``[low, high)`` whose entry is not below ``wanted``, else ``high``."""
    while low < high:
        middle = (low + high) >> 1
        if ascending[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@small
def place_of(ascending, wanted):
    """Return where ``wanted`` stands in an ascending array, -1 if it is not there."""
    place = first_at_least(ascending, 0, ascending.shape[0], wanted)
    return place if place < ascending.shape[0] and ascending[place] == wanted else -1
