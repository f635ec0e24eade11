"""Autograd functions of the fused attentions: kernels for the first gradient, plain ops for the higher ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import leaky_relu

from graphkit._kernels import attention, attention_v2
from graphkit._kernels.common import by_thread, over_rows
from graphkit.ops import _linear
from graphkit.ops._linear import GroupGather, NeighbourSum, array, threads_for
from graphkit.ops._relation import Relation
from graphkit.ops._stats import GroupSoftmax


def _weighted(rel: Relation, x: Tensor, score: Tensor, factor: Tensor | None) -> Tensor:
    alpha = GroupSoftmax.apply(rel.groups(), score)
    return NeighbourSum.apply(rel, x, alpha if factor is None else alpha * factor)


def gat_plain(
    rel: Relation, slope: float, x: Tensor, s: Tensor, t: Tensor, r: Tensor | None, factor: Tensor | None
) -> Tensor:
    """GAT attention composed of differentiable ops; arguments as in :class:`GatAttention`."""
    score = GroupGather.apply(rel.flip().groups(), s) + GroupGather.apply(rel.groups(), t)
    return _weighted(rel, x, leaky_relu(score if r is None else score + r, slope), factor)


def gatv2_plain(
    rel: Relation, slope: float, x: Tensor, y: Tensor, attn: Tensor, r: Tensor | None, factor: Tensor | None
) -> Tensor:
    """GATv2 attention composed of differentiable ops; arguments as in :class:`Gatv2Attention`."""
    hidden = GroupGather.apply(rel.flip().groups(), x) + GroupGather.apply(rel.groups(), y)
    hidden = leaky_relu(hidden if r is None else hidden + r, slope).view(rel.num_edges, *attn.shape)
    return _weighted(rel, x, (hidden * attn).sum(-1), factor)


def _again(plain: Callable, ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients that are themselves differentiable: run the plain form on the saved inputs and differentiate it."""
    inputs = ctx.saved_tensors[:5]
    with torch.enable_grad():
        # Aliases: the gradient wanted is the direct one, not the one through another input.
        held = [None if x is None else x.view_as(x) for x in inputs]
        out = plain(ctx.rel, ctx.slope, *held)
        wanted = [x for x, need in zip(held, ctx.needs_input_grad[2:], strict=True) if need and x is not None]
        found = iter(torch.autograd.grad(out, wanted, grad, create_graph=True, allow_unused=True))
    return None, None, *(next(found) if need else None for need in ctx.needs_input_grad[2:])


def _or_empty(x: Tensor | None, like: Tensor, *shape: int) -> np.ndarray:
    return array(like.new_empty(shape) if x is None else x)


def _usable(rel: Relation, heads: int, *tensors: Tensor | None) -> bool:
    """Whether the kernels can run: on the CPU, with something to do."""
    return heads > 0 and rel.num_edges > 0 and _linear.compiled(*tensors)


class GatAttention(Function):
    """x ``[from, H * D]``, s ``[from, H]``, t ``[to, H]``, r ``[E, H]`` or None, factor ``[E, 1 | H]`` or None."""

    @staticmethod
    def forward(
        ctx: Any, rel: Relation, slope: float, x: Tensor, s: Tensor, t: Tensor, r: Tensor | None, factor: Tensor | None
    ) -> Tensor:
        ctx.rel, ctx.slope = rel, slope
        ctx.fused = _usable(rel, s.shape[1], x, s, t, r, factor) and x.shape[1] > 0
        if not ctx.fused:
            ctx.save_for_backward(x, s, t, r, factor)
            return gat_plain(rel, slope, x, s, t, r, factor)
        heads = s.shape[1]
        out = torch.empty(rel.num_to, x.shape[1], dtype=x.dtype)
        log_total = torch.empty(rel.num_to, heads, dtype=x.dtype)
        over_rows(
            attention.gat_forward, threads_for(rel.num_edges * x.shape[1]), *rel.compressed(), array(x), array(s),
            array(t), _or_empty(r, x, 0, heads), _or_empty(factor, x, 0, 1), slope,  out.numpy(),
            log_total.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(x, s, t, r, factor, out, log_total)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or not ctx.fused:
            return _again(gat_plain, ctx, grad)
        rel = ctx.rel
        x, s, t, r, factor, out, log_total = ctx.saved_tensors
        heads = s.shape[1]
        dots = (out * grad).view(rel.num_to, heads, -1).sum(-1)
        packed = torch.cat([t, log_total, dots], 1)
        d_x, d_s = x.new_empty(x.shape), s.new_empty(s.shape)
        d_score = x.new_empty(rel.num_edges if ctx.needs_input_grad[5] else 0, heads)
        d_factor = x.new_empty(rel.num_edges if ctx.needs_input_grad[6] else 0, heads)
        threads = threads_for(2 * rel.num_edges * x.shape[1])
        d_t = x.new_zeros(threads, t.numel())
        indptr, index, edge = rel.flip().compressed()
        read = (
            index, edge, array(x), array(s), array(packed), _or_empty(r, x, 0, heads), _or_empty(factor, x, 0, 1),
            ctx.slope, array(grad), d_x.numpy(), d_s.numpy(),
        )  # fmt: skip
        written = (d_score.numpy(), d_factor.numpy())

        def part(low: int, high: int, i: int) -> None:
            attention.gat_backward(low, high, indptr, *read, d_t[i].numpy(), *written)

        by_thread(threads, indptr, part)
        d_r = d_score if len(d_score) else None
        return None, None, d_x, d_s, d_t.sum(0).view(t.shape), d_r, _factor_grad(d_factor, factor)


def _factor_grad(d_factor: Tensor, factor: Tensor | None) -> Tensor | None:
    if factor is None or len(d_factor) == 0:
        return None
    return d_factor if factor.shape[1] == d_factor.shape[1] else d_factor.sum(1, keepdim=True)


class Gatv2Attention(Function):
    """x ``[from, H * D]``, y ``[to, H * D]``, attn ``[H, D]``, r ``[E, H * D]``, factor ``[E, 1 | H]`` (or None)."""

    @staticmethod
    def forward(
        ctx: Any, rel: Relation, slope: float, x: Tensor, y: Tensor, attn: Tensor, r: Tensor | None,
        factor: Tensor | None
    ) -> Tensor:  # fmt: skip
        ctx.rel, ctx.slope = rel, slope
        ctx.fused = _usable(rel, attn.shape[0], x, y, attn, r, factor) and x.shape[1] > 0
        if not ctx.fused:
            ctx.save_for_backward(x, y, attn, r, factor)
            return gatv2_plain(rel, slope, x, y, attn, r, factor)
        out = torch.empty(rel.num_to, x.shape[1], dtype=x.dtype)
        log_total = torch.empty(rel.num_to, attn.shape[0], dtype=x.dtype)
        over_rows(
            attention_v2.gatv2_forward, threads_for(2 * rel.num_edges * x.shape[1]), *rel.compressed(), array(x),
            array(y), array(attn), _or_empty(r, x, 0, x.shape[1]), _or_empty(factor, x, 0, 1), slope,
            out.numpy(), log_total.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(x, y, attn, r, factor, out, log_total)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or not ctx.fused:
            return _again(gatv2_plain, ctx, grad)
        rel = ctx.rel
        x, y, attn, r, factor, out, log_total = ctx.saved_tensors
        heads = attn.shape[0]
        dots = (out * grad).view(rel.num_to, heads, -1).sum(-1)
        d_x = x.new_empty(x.shape)
        d_hidden = x.new_empty(rel.num_edges if ctx.needs_input_grad[5] else 0, x.shape[1])
        d_factor = x.new_empty(rel.num_edges if ctx.needs_input_grad[6] else 0, heads)
        indptr, index, edge = rel.flip().compressed()
        threads = threads_for(4 * rel.num_edges * x.shape[1])
        # Destinations are shared between threads: each adds into its own copy.
        d_y, d_attn = x.new_zeros(threads, y.numel()), x.new_zeros(threads, attn.numel())
        read = (
            index, edge, array(x), array(y), array(attn), _or_empty(r, x, 0, x.shape[1]), _or_empty(factor, x, 0, 1),
            ctx.slope, array(torch.stack([log_total, dots], 1)), array(grad), d_x.numpy(),
        )  # fmt: skip
        written = (d_hidden.numpy(), d_factor.numpy())

        def part(low: int, high: int, i: int) -> None:
            attention_v2.gatv2_backward(low, high, indptr, *read, d_y[i].numpy(), d_attn[i].numpy(), *written)

        by_thread(threads, indptr, part)
        d_r = d_hidden if len(d_hidden) else None
        d_attn = d_attn.sum(0).view(attn.shape)
        return None, None, d_x, d_y.sum(0).view(y.shape), d_attn, d_r, _factor_grad(d_factor, factor)
