"""The shifted softplus, which networks on edge features apply to every edge."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from graphkit._kernels import elementwise
from graphkit._kernels.common import by_thread
from graphkit.ops import _linear
from graphkit.ops._linear import array, threads_for


def _run(kernel: Callable, x: Tensor, *others: Tensor) -> Tensor:
    out = torch.empty(x.shape, dtype=x.dtype)
    flats = [array(a).reshape(-1) for a in (x, *others)]
    threads, size = threads_for(8 * x.numel()), x.numel()  # an exponential costs some eight multiply-adds
    if threads == 1:
        kernel(0, size, *flats, out.numpy().reshape(-1))
    else:
        bounds = np.arange(size + 1)  # every number is a "row"
        by_thread(threads, bounds, lambda low, high, _: kernel(low, high, *flats, out.numpy().reshape(-1)))
    return out


class _ShiftedSoftplus(Function):
    """``log(1 + exp(x)) - log(2)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _run(elementwise.shifted_softplus, x) if _linear.compiled(x) else F.softplus(x) - log(2.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled() or not _linear.compiled(x, grad):
            return grad * torch.sigmoid(x)
        return _run(elementwise.times_sigmoid, x, grad)


def shifted_softplus(x: Tensor) -> Tensor:
    r"""Give :math:`\log(1 + e^x) - \log 2`, SchNet's activation, which is 0 at 0.

    Parameters
    ----------
    x : Tensor
        float ``[...]``.

    Returns
    -------
    Tensor
        The shape of x.

    Notes
    -----
    "SchNet: A continuous-filter convolutional neural network for modeling quantum interactions", arXiv:1706.08566.

    Examples
    --------
    >>> shifted_softplus(torch.zeros(2)).tolist()
    [0.0, 0.0]
    """
    return _ShiftedSoftplus.apply(x)
