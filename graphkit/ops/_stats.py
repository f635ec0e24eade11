"""Reductions that are not sums: extremes, variances and softmax of neighbourhoods and groups."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from graphkit._kernels import stats
from graphkit._kernels.common import over_rows
from graphkit.ops import _linear
from graphkit.ops._linear import EdgeDot, GroupGather, GroupSum, NeighbourSum, Place, array, threads_for
from graphkit.ops._relation import Groups, Relation

#: Added to a variance under the root: the derivative of ``std`` stays finite where all neighbours are equal.
STD_EPS = 1e-5


def _extreme_elsewhere(index: Tensor, receiver: Tensor, rows: int, x: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """:func:`stats.neighbour_extreme` by scatters, for devices without our kernels."""
    message = x[index]
    ids = receiver.unsqueeze(1).expand_as(message)
    reduce = "amax" if sign > 0 else "amin"
    best = x.new_zeros(rows, x.shape[1]).scatter_reduce_(0, ids, message, reduce, include_self=False)
    order = torch.arange(len(index), device=x.device).unsqueeze(1).expand_as(message)
    tied = (message == best[receiver]) | message.isnan()
    first = torch.full((rows, x.shape[1]), len(index), device=x.device)
    first.scatter_reduce_(0, ids, torch.where(tied, order, len(index)), "amin")
    none = first == len(index)
    arg = index.new_full((1,), -1).expand_as(first) if len(index) == 0 else index[first.clamp(max=len(index) - 1)]
    return best, torch.where(none, -1, arg)


class Extreme(Function):
    """Greatest (sign 1) or least (-1) of the senders' rows; the gradient goes to the first of tied ones."""

    @staticmethod
    def forward(ctx: Any, over: Relation | Groups, x: Tensor, sign: int) -> Tensor:
        out, arg = extreme(over, x, sign)
        ctx.rows = x.shape[0]
        ctx.save_for_backward(arg)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, Place.apply(grad, ctx.saved_tensors[0], ctx.rows), None


def extreme(over: Relation | Groups, x: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """Value ``[to, F]`` and the row of x it came from (-1 where nothing came), without gradients."""
    if not _linear.compiled(x):
        if isinstance(over, Relation):
            return _extreme_elsewhere(*over.ends(x.device), over.num_to, x, sign)
        ids = over.ids_on(x.device)
        return _extreme_elsewhere(torch.arange(len(ids), device=x.device), ids, over.num_groups, x, sign)
    if isinstance(over, Relation):
        indptr, index, _ = over.compressed()
    else:
        indptr, index = over.indptr, over.item
    out = torch.empty(len(indptr) - 1, x.shape[1], dtype=x.dtype)
    arg = arg_like(x, *out.shape)
    threads = threads_for(len(index) * x.shape[1])
    over_rows(stats.neighbour_extreme, threads, indptr, index, float(sign), array(x), out.numpy(), arg.numpy())
    return out, arg


def arg_like(x: Tensor, *shape: int) -> Tensor:
    """Fresh row numbers of x: as wide as its float32 numbers if there are not too many rows."""
    return torch.empty(shape, dtype=torch.int32 if x.shape[0] < 2**31 else torch.int64)


def root(var: Tensor, groups: Groups) -> Tensor:
    """Standard deviation of groups, 0 for one without items."""
    some = (groups.counts(var) > 0).unsqueeze(-1)
    return torch.where(some, (var + STD_EPS).sqrt(), 0)


def inverse_counts(counts: Tensor) -> Tensor:
    """``1 / n`` as a column, and 0 for 0: mean = sum times this."""
    return torch.where(counts > 0, 1 / counts.clamp(min=1), 0).unsqueeze(-1)


class NeighbourMean(Function):
    """The neighbour sum over the number of edges, divided in place: a large sum is written once."""

    @staticmethod
    def forward(ctx: Any, rel: Relation, x: Tensor, weight: Tensor | None) -> Tensor:
        ctx.rel = rel
        ctx.save_for_backward(x if weight is not None else None, weight)
        return _linear.raw_sum(rel, x, weight).mul_(inverse_counts(rel.counts(x)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grad * inverse_counts(ctx.rel.counts(grad))
        d_x = NeighbourSum.apply(ctx.rel.flip(), grad, weight) if ctx.needs_input_grad[1] else None
        d_weight = EdgeDot.apply(ctx.rel, x, grad, weight.shape[1]) if ctx.needs_input_grad[2] else None
        return None, d_x, d_weight


class NeighbourMoments(Function):
    """Mean and population variance of the senders' rows, ``[to, F]`` each."""

    @staticmethod
    def forward(ctx: Any, rel: Relation, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.rel = rel
        if _linear.compiled(x):
            mean, var = (torch.empty(rel.num_to, x.shape[1], dtype=x.dtype) for _ in range(2))
            indptr, index, _ = rel.compressed()
            threads = threads_for(2 * rel.num_edges * x.shape[1])
            over_rows(stats.neighbour_moments, threads, indptr, index, array(x), mean.numpy(), var.numpy())
        else:
            groups = rel.groups()
            scale = inverse_counts(groups.counts(x))
            message = x[rel.ends(x.device)[0]]
            mean = GroupSum.apply(groups, message) * scale
            var = GroupSum.apply(groups, (message - GroupGather.apply(groups, mean)).square()) * scale
        ctx.save_for_backward(x, mean)
        return mean, var

    @staticmethod
    def backward(ctx: Any, d_mean: Tensor, d_var: Tensor) -> tuple[Tensor | None, ...]:
        # d/dx_u of var_v is 2 (x_u - mean_v) / n_v; what passes through the mean cancels.
        x, mean = ctx.saved_tensors
        width = x.shape[1]
        scale = inverse_counts(ctx.rel.groups().counts(x))
        pull = 2 * scale * d_var
        both = NeighbourSum.apply(ctx.rel.flip(), torch.cat([pull, scale * d_mean - pull * mean], 1), None)
        return None, x * both[:, :width] + both[:, width:]


class GroupMoments:
    """Mean and population variance of the items of each group, ``[G, F]`` each, composed of differentiable ops."""

    @staticmethod
    def apply(groups: Groups, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of x ``[E, F]``."""
        scale = inverse_counts(groups.counts(x))
        mean = GroupSum.apply(groups, x) * scale
        return mean, GroupSum.apply(groups, (x - GroupGather.apply(groups, mean)).square()) * scale


class GroupSoftmax(Function):
    """Softmax of ``score [E, H]`` over the items of each group, per column."""

    @staticmethod
    def forward(ctx: Any, groups: Groups, score: Tensor) -> Tensor:
        ctx.groups = groups
        if _linear.compiled(score):
            out = torch.empty(score.shape, dtype=score.dtype)
            over_rows(
                stats.neighbour_softmax, threads_for(8 * score.numel()), groups.indptr, groups.item, array(score),
                out.numpy(),
            )  # fmt: skip
        else:
            ids = groups.ids_on(score.device).unsqueeze(1).expand_as(score)
            top = score.new_zeros(groups.num_groups, score.shape[1])
            top.scatter_reduce_(0, ids, score, "amax", include_self=False)
            out = (score - top.gather(0, ids)).exp_()
            out /= torch.zeros_like(top).scatter_add_(0, ids, out).gather(0, ids)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (out,) = ctx.saved_tensors
        groups = ctx.groups
        if not torch.is_grad_enabled() and _linear.compiled(out, grad):
            pull = torch.empty(out.shape, dtype=out.dtype)
            over_rows(
                stats.neighbour_softmax_back, threads_for(4 * out.numel()), groups.indptr, groups.item, array(out),
                array(grad), pull.numpy(),
            )  # fmt: skip
            return None, pull
        pulled = out * grad
        return None, pulled - out * GroupGather.apply(ctx.groups, GroupSum.apply(ctx.groups, pulled))
