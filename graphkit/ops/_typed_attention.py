"""Attention over typed edges in blocks of (source, relation) pairs: product, score, softmax and sum at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from graphkit._kernels import typed_attention as kernels
from graphkit.ops import _linear
from graphkit.ops._attention import gat_plain
from graphkit.ops._linear import EdgeDot, NeighbourSum, array
from graphkit.ops._matmul import Order
from graphkit.ops._pairs import Pairs
from graphkit.ops._relation import relation
from graphkit.ops._stats import GroupSoftmax
from graphkit.ops._typed import Blocks, Ends, add_outer, again, blockwise, multiply


def plain_product(pairs: Pairs, x: Tensor, weight: Tensor) -> Tensor:
    """The product of :class:`PairProduct` composed of differentiable ops."""
    return blockwise(x.index_select(0, pairs.node), weight, Order(None, pairs.sizes))


class PairProduct(Function):
    """``out[k] = x[node of k] W[relation of k]`` for each pair; x ``[n, S * i]``, W ``[R, S, i, o]``."""

    @staticmethod
    def forward(ctx: Any, ends: Pairs, x: Tensor, weight: Tensor) -> Tensor:
        ctx.ends, ctx.fused = ends, _linear.compiled(x, weight, ends.node)
        ctx.save_for_backward(x, weight)
        if not ctx.fused:
            return plain_product(ends, x, weight)
        out, work = x.new_empty(len(ends.node), weight.shape[1] * weight.shape[3]), Blocks(ends)
        (mine,) = work.buffers(x, x.shape[1])
        for low, high, parts in ends.blocks:
            work.take(low, high, array(x), mine)
            multiply(parts, mine, weight, out[low:high])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or not ctx.fused:
            return (None, *again(plain_product, ctx, grad, 2))
        x, weight = ctx.saved_tensors
        work, d_x, d_weight = Blocks(ctx.ends), torch.zeros_like(x), torch.zeros_like(weight)
        mine, pushed = work.buffers(x, x.shape[1], x.shape[1])
        for low, high, parts in ctx.ends.blocks:
            work.take(low, high, array(x), mine)
            add_outer(parts, mine, grad[low:high], d_weight)
            multiply(parts, grad[low:high], weight.transpose(2, 3), pushed)
            work.add(low, high, pushed, d_x.numpy())
        return None, d_x, d_weight


def plain_attention(
    ends: Ends, heads: int, slope: float | None, x: Tensor, weight: Tensor, side: Tensor, factor: Tensor | None
) -> Tensor:
    """The attention of :class:`TypedAttention` composed of differentiable ops."""
    rel, made = relation(ends.src.graph), plain_product(ends.src, x, weight)
    if slope is not None:
        z, s = made.split([made.shape[1] - heads, heads], -1)
        t = s.new_zeros(rel.num_to, heads)
        return gat_plain(rel, slope, z, s, t, side.index_select(0, ends.dst.pair), factor)
    key, value = made.chunk(2, -1)
    alpha = GroupSoftmax.apply(rel.groups(), EdgeDot.apply(rel, key, side, heads))
    return NeighbourSum.apply(rel, value, alpha if factor is None else alpha * factor)


class TypedAttention(Function):
    """Softmax over each destination's edges of scores, times values, both products of (source, relation) pairs.

    x ``[from, i]`` times W ``[R, S, i / S, o]`` gives what the kernels call made; additive with a ``slope``, ``side
    [P, H]`` by pairs of destinations, dot products without, ``side [to, H * D]``; factor ``[E, 1 | H]`` or None.
    """

    @staticmethod
    def forward(
        ctx: Any, ends: Ends, x: Tensor, weight: Tensor, side: Tensor, factor: Tensor | None, heads: int,
        slope: float | None,
    ) -> Tensor:  # fmt: skip
        ctx.ends, ctx.how = ends, (heads, slope)
        ctx.fused = _linear.compiled(x, weight, side, factor, ends.etype) and ends.graph.num_edges() > 0
        if not ctx.fused:
            ctx.save_for_backward(x, weight, side, factor)
            return plain_attention(ends, heads, slope, x, weight, side, factor)
        pairs, width = ends.src, weight.shape[1] * weight.shape[3]
        work, value = Blocks(pairs), width - heads if slope is not None else width // 2
        mine, made = work.buffers(x, x.shape[1], width)
        out, total = x.new_zeros(pairs.num_far, value), x.new_zeros(pairs.num_far, heads)
        top = torch.full_like(total, -torch.inf)
        read = _read(ends, heads, slope, value, made, side, factor)
        written = [part.numpy().reshape(-1) for part in (out, top, total)]
        for low, high, parts in pairs.blocks:
            work.take(low, high, array(x), mine)
            multiply(parts, mine, weight, made)
            work.edges(kernels.forward, low, high, *read, *written)
        some = total > 0
        out.view(*total.shape, -1).div_(total.where(some, 1)[..., None])
        log_total = torch.where(some, top + total.log(), 0)
        ctx.save_for_backward(x, weight, side, factor, out, log_total)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or not ctx.fused:

            def plain(ends: Ends, *held: Tensor) -> Tensor:
                return plain_attention(ends, *ctx.how, *held)

            return None, *again(plain, ctx, grad, 4), None, None
        x, weight, side, factor, out, log_total = ctx.saved_tensors
        (heads, slope), pairs, work = ctx.how, ctx.ends.src, Blocks(ctx.ends.src)
        width = weight.shape[1] * weight.shape[3]
        mine, made, pulled, pushed = work.buffers(x, x.shape[1], width, width, x.shape[1])
        d_x, d_weight, d_side = torch.zeros_like(x), torch.zeros_like(weight), torch.zeros_like(side)
        wants = factor is not None and ctx.needs_input_grad[4]
        d_factor = x.new_empty(ctx.ends.graph.num_edges() if wants else 0, heads)
        dots = (out * grad).view(len(out), heads, -1).sum(-1)
        read = _read(ctx.ends, heads, slope, out.shape[1], made, side, factor)
        read += tuple(array(part).reshape(-1) for part in (log_total, dots, grad))
        written = pulled.numpy(), d_side.numpy().reshape(-1), d_factor.numpy()
        for low, high, parts in pairs.blocks:
            work.take(low, high, array(x), mine)
            multiply(parts, mine, weight, made)
            work.edges(kernels.backward, low, high, *read, *written)
            add_outer(parts, mine, pulled, d_weight)
            multiply(parts, pulled, weight.transpose(2, 3), pushed)
            work.add(low, high, pushed, d_x.numpy())
        if wants and factor.shape[1] == 1:
            d_factor = d_factor.sum(1, keepdim=True)
        return None, d_x, d_weight, d_side, d_factor if wants else None, None, None


def _read(
    ends: Ends, heads: int, slope: float | None, value: int, made: Tensor, side: Tensor, factor: Tensor | None
) -> tuple[Any, ...]:
    """What both kernels read, in their order."""
    pair = ends.dst.pair if slope is not None else ends.src.node[:0]
    weights = array(made.new_empty(0, 1) if factor is None else factor)
    flat = array(side).reshape(-1)
    return slope is None, heads, value // heads, made.numpy(), flat, pair.numpy(), weights, slope or 0.0


def typed_gat(
    ends: Ends, x: Tensor, weight: Tensor, to_src: Tensor, own: Tensor, to_dst: Tensor, factor: Tensor | None,
    slope: float,
) -> Tensor:  # fmt: skip
    """Additive attention; weight ``[R, in, out]``, to_src and to_dst ``[R, in, H]`` give the scores of both ends."""
    side = PairProduct.apply(ends.dst, own, to_dst.unsqueeze(1))
    both = torch.cat([weight, to_src], -1).unsqueeze(1)
    return TypedAttention.apply(ends, x, both, side, factor, to_src.shape[-1], slope)
