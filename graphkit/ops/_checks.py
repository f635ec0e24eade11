"""Argument checks of the ops: what came and what was expected, in one sentence."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown

#: Reductions over a neighbourhood or segment; an empty one gives 0.
REDUCES = ("sum", "mean", "max", "min", "std")


def check_reduce(reduce: str) -> None:
    """Refuse a reduction that is not there."""
    if reduce not in REDUCES:
        raise unknown("reduce", reduce, REDUCES)


def check_rows(name: str, x: Tensor, rows: int, of: str) -> None:
    """Refuse a tensor of other than ``rows`` rows, or without floating-point numbers."""
    if not isinstance(x, Tensor):
        raise GraphKitError(f"expected {name} to be a tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise GraphKitError(f"expected {name} of floating-point numbers, got {x.dtype}; call .float() on it")
    if x.dim() == 0 or x.shape[0] != rows:
        raise GraphKitError(f"{name} has shape {list(x.shape)}, but the graph has {rows} {of}")


def together(*tensors: Tensor | None) -> list[Tensor | None]:
    """Bring tensors to their common type, at least float32, since sums of half-precision numbers lose most digits."""
    dtype = torch.float32
    for x in tensors:
        if x is not None:
            dtype = torch.promote_types(dtype, x.dtype)
    return [x if x is None or x.dtype == dtype else x.to(dtype) for x in tensors]
