"""Registers the generators of ``graphkit.data.generate`` and ``graphkit.data.streams``, which read no files."""

from graphkit.data.generate import read_ba_shapes
from graphkit.data.streams import read_fading_popularity, read_periodic_pairs, read_sequential_toy, read_twin_closure

__all__ = [
    "read_ba_shapes",
    "read_fading_popularity",
    "read_periodic_pairs",
    "read_sequential_toy",
    "read_twin_closure",
]
