"""Several reductions of the same neighbours, with one gather of each row forward and one backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from graphkit._kernels import stats
from graphkit._kernels.common import over_rows
from graphkit.ops import _linear
from graphkit.ops._linear import GroupSum, NeighbourSum, array, place, threads_for
from graphkit.ops._relation import Groups, Relation
from graphkit.ops._stats import STD_EPS, Extreme, GroupMoments, NeighbourMoments, arg_like, inverse_counts, root

#: Where the kernels look for a reduction's place.
ORDER = ("sum", "mean", "max", "min", "var", "std")


def several_plain(over: Relation | Groups, x: Tensor, reduces: Sequence[str]) -> Tensor:
    """Composed of ops; arguments and result as of :class:`Several`."""
    done: dict[str, Tensor] = {}
    groups = over.groups() if isinstance(over, Relation) else over
    if {"std", "var"} & set(reduces):
        both = NeighbourMoments.apply(over, x) if isinstance(over, Relation) else GroupMoments.apply(over, x)
        done["mean"], done["var"] = both
        done["std"] = root(done["var"], groups)
    if {"sum", "mean"} & set(reduces):
        total = NeighbourSum.apply(over, x, None) if isinstance(over, Relation) else GroupSum.apply(over, x)
        done["sum"], done["mean"] = total, total * inverse_counts(groups.counts(x))
    for name, sign in (("max", 1), ("min", -1)):
        if name in reduces:
            done[name] = Extreme.apply(over, x, sign)
    return torch.stack([done[name] for name in reduces], 1)


def _sides(over: Relation | Groups) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(over, Relation):
        return over.compressed()[:2]
    return over.indptr, over.item


def _other_side(over: Relation | Groups) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(over, Relation):
        return over.flip().compressed()[:2]
    return np.arange(over.num_items + 1), over.ids.numpy()


class Several(Function):
    """Reductions ``[to, R, F]`` of senders' rows, or of the items of groups; x ``[from, F]`` or ``[E, F]``."""

    @staticmethod
    def forward(ctx: Any, over: Relation | Groups, x: Tensor, reduces: Sequence[str]) -> Tensor:
        ctx.over, ctx.reduces = over, tuple(reduces)
        ctx.fused = _linear.compiled(x) and len(set(reduces)) == len(reduces)
        if not ctx.fused:
            ctx.save_for_backward(x)
            return several_plain(over, x, reduces)
        indptr, index = _sides(over)
        rows, width = len(indptr) - 1, x.shape[1]
        slots = np.array([reduces.index(name) if name in reduces else -1 for name in ORDER])
        out = torch.empty(rows, len(reduces), width, dtype=x.dtype)
        mean = torch.empty(rows if {"std", "var"} & set(reduces) else 0, width, dtype=x.dtype)
        args = [arg_like(x, rows if name in reduces else 0, width) for name in ("max", "min")]
        over_rows(
            stats.neighbour_several, threads_for(len(index) * width * len(reduces)), indptr, index, array(x), slots,
            STD_EPS, out.numpy(), mean.numpy(), args[0].numpy(), args[1].numpy(),
        )  # fmt: skip
        ctx.save_for_backward(x, out, mean, *args)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        over, reduces = ctx.over, ctx.reduces
        x = ctx.saved_tensors[0]
        if torch.is_grad_enabled() or not ctx.fused:
            with torch.enable_grad():
                held = x.view_as(x)
                made = several_plain(over, held, reduces)
                return None, torch.autograd.grad(made, held, grad, create_graph=True)[0], None
        _, out, mean, *args = ctx.saved_tensors
        slots = np.array([reduces.index(name) if name in reduces else -1 for name in ORDER])
        grad, d_x = grad.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
        if set(reduces) <= {"max", "min"}:
            d_x.zero_()
        else:
            width = x.shape[1] * (2 if len(mean) else 1)
            packed = torch.empty(len(out), width, dtype=x.dtype)
            indptr, _ = _sides(over)
            over_rows(
                stats.several_pull, threads_for(4 * packed.numel()), indptr, slots, out.numpy(), mean.numpy(),
                grad.numpy(), packed.numpy(),
            )  # fmt: skip
            indptr, index = _other_side(over)
            over_rows(
                stats.several_push, threads_for(len(index) * width), indptr, index, array(x), packed.numpy(),
                d_x.numpy(),
            )  # fmt: skip
        for name, arg in zip(("max", "min"), args, strict=True):
            if name in reduces:
                place(arg, grad[:, reduces.index(name)], d_x)
        return None, d_x, None
