"""Columns of one product as tensors of their own, put together again without a copy on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from graphkit.core.errors import GraphKitError


def columns(x: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    r"""Split a matrix into ranges of columns, as ``x.split(sizes, 1)`` does.

    .. math:: x = [y_1, y_2, \dots]

    Layers multiply by several weights at once and split the product. An op that reads all parts writes their gradients
    side by side, and those are then the gradient of ``x`` as they are.

    Parameters
    ----------
    x : Tensor
        float ``[N, D]``.
    sizes : sequence of int
        Widths that add up to D.

    Returns
    -------
    tuple of Tensor
        ``[N, size]`` each, sharing the memory of ``x``; not to be changed in place.

    Raises
    ------
    GraphKitError
        If x is no matrix, or the sizes do not add up to its width.

    Examples
    --------
    >>> [part.tolist() for part in columns(torch.tensor([[1.0, 2.0, 3.0]]), (1, 2))]
    [[[1.0]], [[2.0, 3.0]]]
    """
    if x.dim() != 2 or sum(sizes) != x.shape[1]:
        raise GraphKitError(f"expected x [N, {sum(sizes)}] for columns of {list(sizes)}, got shape {list(x.shape)}")
    return _Columns.apply(x, tuple(sizes))


class _Columns(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
        return x.detach().split(sizes, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        together = None if torch.is_grad_enabled() else whole(*grads)
        return (torch.cat(grads, 1) if together is None else together), None


def whole(*parts: Tensor) -> Tensor | None:
    """The matrix whose columns, all of them and in this order, the parts are; None if they are not of one memory."""
    first, width, at = parts[0], sum(part.shape[-1] for part in parts), parts[0].data_ptr()
    for part in parts:
        if part.shape[:-1] != first.shape[:-1] or part.dim() != 2 or part.stride() != (width, 1):
            return None
        if part.data_ptr() != at:
            return None
        at += part.shape[1] * part.element_size()
    reach = first.storage_offset() + first.shape[0] * width
    if reach * first.element_size() > first.untyped_storage().nbytes():
        return None
    return first.detach().as_strided((first.shape[0], width), (width, 1))


def empty_like(*parts: Tensor) -> tuple[Tensor, ...]:
    """Room for a gradient of each part; side by side where the parts are."""
    if whole(*parts) is None:
        return tuple(torch.empty(part.shape, dtype=part.dtype) for part in parts)
    sizes = [part.shape[1] for part in parts]
    return torch.empty(len(parts[0]), sum(sizes), dtype=parts[0].dtype).split(sizes, 1)
