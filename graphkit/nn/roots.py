"""The inverse square root of symmetric matrices, with derivatives that repeated eigenvalues do not upset."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def _spectrum(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, those that rounding made of zeros set to 0, and eigenvectors."""
    values, vectors = torch.linalg.eigh(matrix)
    floor = values.abs().amax(-1, keepdim=True) * matrix.shape[-1] * torch.finfo(values.dtype).eps
    return torch.where(values > floor, values, 0.0), vectors


class _Lyapunov(Function):
    """``X`` with ``P X + X P = Q``, for symmetric positive semidefinite ``P``; 0 where it has no solution."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, q: Tensor) -> Tensor:
        values, vectors = _spectrum(p)
        total = values.unsqueeze(-1) + values.unsqueeze(-2)
        inner = (vectors.mT @ q @ vectors) * torch.where(total > 0, total.reciprocal(), 0.0)
        out = vectors @ inner @ vectors.mT
        ctx.save_for_backward(p, out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        p, x = ctx.saved_tensors
        d_q = _Lyapunov.apply(p, grad)
        return -(d_q @ x.mT + x.mT @ d_q), d_q


class _InverseRoot(Function):
    """``A^-1/2``; its derivative solves a Lyapunov equation, and so needs no gaps between eigenvalues."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        values, vectors = _spectrum(matrix)
        out = (vectors * torch.where(values > 0, values.rsqrt(), 0.0).unsqueeze(-2)) @ vectors.mT
        ctx.save_for_backward(matrix, out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        matrix, out = ctx.saved_tensors
        return -_Lyapunov.apply(matrix @ out, out @ (grad + grad.mT) @ out) / 2


def inverse_root(matrix: Tensor) -> Tensor:
    r"""Return the inverse square root of symmetric positive semidefinite matrices, differentiable to any order.

    .. math:: A^{-1/2} = U \Lambda^{-1/2} U^T

    Eigenvalues that are 0 stay 0. The usual gradient of an eigendecomposition divides by differences of eigenvalues,
    which the degree matrix of an isolated node does not have; this one does not.

    Parameters
    ----------
    matrix : Tensor
        ``[..., d, d]``; half precision is computed in float32.

    Returns
    -------
    Tensor
        ``[..., d, d]``.

    Examples
    --------
    >>> inverse_root(torch.tensor([[4.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    wide = matrix if matrix.dtype in (torch.float32, torch.float64) else matrix.float()
    return _InverseRoot.apply(wide).to(matrix.dtype)
