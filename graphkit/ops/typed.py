"""Products with one weight matrix for each type of row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from graphkit._kernels.sort import counting_sort
from graphkit.core.errors import GraphKitError
from graphkit.ops import _linear
from graphkit.ops._checks import together


class _Order(NamedTuple):
    """Rows sorted by type: ``rows`` (None when they are so already), and how many each of the R types has."""

    rows: Tensor | None
    sizes: list[int]


def _sorted(types: Tensor, relations: int) -> _Order:
    if not _linear.compiled(types):
        sizes = types.bincount(minlength=relations).tolist()
        return _Order(types.argsort(stable=True), sizes)
    keys = types.contiguous().numpy()
    start, order = np.zeros(relations + 1, np.int64), np.empty(len(keys), np.int64)
    counting_sort(keys, start, order)
    in_order = bool((types[1:] >= types[:-1]).all())
    return _Order(None if in_order else torch.from_numpy(order), np.diff(start).tolist())


def _by_type(x: Tensor, order: _Order) -> tuple[Tensor, ...]:
    return (x if order.rows is None else x[order.rows]).split(order.sizes)


class _TypedMatmul(Function):
    """``out[i] = x[i] @ weight[type of i]``."""

    @staticmethod
    def forward(ctx: Any, order: _Order, x: Tensor, weight: Tensor) -> Tensor:
        ctx.order = order
        ctx.save_for_backward(x, weight)
        out = x.new_empty(len(x), weight.shape[2])
        for part, matrix, result in zip(_by_type(x, order), weight, out.split(order.sizes), strict=True):
            torch.mm(part, matrix, out=result)
        return out if order.rows is None else torch.empty_like(out).index_copy_(0, order.rows, out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        d_x = _TypedMatmul.apply(ctx.order, grad, weight.transpose(1, 2)) if ctx.needs_input_grad[1] else None
        d_weight = _TypedOuter.apply(ctx.order, x, grad) if ctx.needs_input_grad[2] else None
        return None, d_x, d_weight


class _TypedOuter(Function):
    """``out[r] = sum over rows i of type r of x[i] (outer) y[i]``."""

    @staticmethod
    def forward(ctx: Any, order: _Order, x: Tensor, y: Tensor) -> Tensor:
        ctx.order = order
        ctx.save_for_backward(x, y)
        out = x.new_empty(len(order.sizes), x.shape[1], y.shape[1])
        for mine, other, result in zip(_by_type(x, order), _by_type(y, order), out, strict=True):
            torch.mm(mine.t(), other, out=result)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        d_x = _TypedMatmul.apply(ctx.order, y, grad.transpose(1, 2)) if ctx.needs_input_grad[1] else None
        d_y = _TypedMatmul.apply(ctx.order, x, grad) if ctx.needs_input_grad[2] else None
        return None, d_x, d_y


def typed_matmul(feat: Tensor, weight: Tensor, types: Tensor) -> Tensor:
    r"""Multiply each row by the weight matrix of its type.

    .. math:: y_i = x_i W_{r(i)}

    Parameters
    ----------
    feat : Tensor
        float ``[N, Din]``.
    weight : Tensor
        ``[R, Din, Dout]``.
    types : Tensor
        int64 ``[N]``, from 0 to R - 1.

    Returns
    -------
    Tensor
        ``[N, Dout]``.

    Raises
    ------
    GraphKitError
        If the shapes do not fit, or a type is out of range.

    Examples
    --------
    >>> weight = torch.tensor([[[1.0]], [[10.0]]])
    >>> typed_matmul(torch.tensor([[2.0], [3.0]]), weight, torch.tensor([1, 0])).flatten().tolist()
    [20.0, 3.0]
    """
    if feat.dim() != 2 or weight.dim() != 3 or feat.shape[1] != weight.shape[1] or types.shape != feat.shape[:1]:
        raise GraphKitError(
            f"expected feat [N, Din], weight [R, Din, Dout] and types [N], got {list(feat.shape)}, "
            f"{list(weight.shape)} and {list(types.shape)}"
        )
    if len(types) and (int(types.min()) < 0 or int(types.max()) >= len(weight)):
        raise GraphKitError(
            f"types run from {int(types.min())} to {int(types.max())}, but there are {len(weight)} weight matrices"
        )
    dtype = torch.promote_types(feat.dtype, weight.dtype)
    x, matrices = together(feat, weight)
    return _TypedMatmul.apply(_sorted(types.long(), len(weight)), x, matrices).to(dtype)
