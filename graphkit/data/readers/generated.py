"""Registers the generators of ``graphkit.data.generate``, which read no files."""

from graphkit.data.generate import read_ba_shapes

__all__ = ["read_ba_shapes"]
