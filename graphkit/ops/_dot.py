"""The autograd function of dot-product attention: kernels for the first gradient, plain ops for the higher ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from graphkit._kernels import attention_dot
from graphkit._kernels.common import by_thread, over_rows
from graphkit.ops._attention import again, copies, factor_grad, log_sums, merge, or_empty, rows, usable
from graphkit.ops._linear import EdgeDot, GroupGather, GroupSum, NeighbourSum, array, threads_for
from graphkit.ops._relation import Relation
from graphkit.ops._stats import GroupSoftmax
from graphkit.ops.columns import empty_like


def dot_plain(
    rel: Relation, options: tuple[float, int], q: Tensor, k: Tensor, v: Tensor, p: Tensor | None, e: Tensor | None,
    factor: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Dot-product attention composed of differentiable ops; arguments as in :class:`DotAttention`."""
    scale, heads = options
    score = EdgeDot.apply(rel, k, q, heads)
    if p is not None and e is not None:
        probe = GroupGather.apply(rel.groups(), p).view(rel.num_edges, heads, p.shape[1] // heads)
        edge = e.view(rel.num_edges, heads if e.shape[1] == p.shape[1] else 1, probe.shape[2])  # [E, 1 | H, F]
        score = score + (probe * edge).sum(-1)
    alpha = GroupSoftmax.apply(rel.groups(), score * scale)
    alpha = alpha if factor is None else alpha * factor
    out = NeighbourSum.apply(rel, v, alpha)
    if p is None or e is None:
        return out, q.new_zeros(rel.num_to, 0)
    return out, GroupSum.apply(rel.groups(), (alpha.unsqueeze(-1) * edge).flatten(1))


class DotAttention(Function):
    """q ``[to, H * D]``; k, v ``[from, H * D]``; p ``[to, H * F]``, e ``[E, F | H * F]``, factor ``[E, 1 | H]``.

    The last three may be None. Options are the scale and H. Returns ``[to, H * D]`` and ``[to, H * F]``.
    """

    @staticmethod
    def forward(
        ctx: Any, rel: Relation, options: tuple[float, int], q: Tensor, k: Tensor, v: Tensor, p: Tensor | None,
        e: Tensor | None, factor: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        ctx.rel, ctx.slope = rel, options
        ctx.fused = usable(rel, options[1], q, k, v, p, e, factor) and q.shape[1] > 0
        ctx.fused = ctx.fused and (p is None or p.shape[1] > 0)
        if not ctx.fused:
            ctx.save_for_backward(q, k, v, p, e, factor)
            return dot_plain(rel, options, q, k, v, p, e, factor)
        out = torch.empty(rel.num_to, q.shape[1], dtype=q.dtype)
        heard = torch.empty(rel.num_to, 0 if p is None else p.shape[1], dtype=q.dtype)
        stats = torch.empty(rel.num_to, 2, options[1], dtype=q.dtype)
        work = rel.num_edges * (2 * q.shape[1] + 2 * heard.shape[1])
        over_rows(
            attention_dot.dot_forward, threads_for(work), *rel.compressed(),
            *_given(options, q, k, v, p, e, factor), out.view(-1).numpy(), heard.view(-1).numpy(), stats.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(q, k, v, p, e, factor, out, heard, stats)
        return out, heard

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_heard: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or not ctx.fused:
            return again(dot_plain, ctx, grad, grad_heard)
        rel = ctx.rel
        q, k, v, p, e, factor, out, heard, stats = ctx.saved_tensors
        d_q, d_k, d_v = empty_like(q, k, v)
        d_p, wants_e = torch.empty_like(heard), e is not None and ctx.needs_input_grad[6]
        d_e = torch.empty(e.shape if wants_e else (0, 0), dtype=q.dtype)
        d_factor = q.new_empty(rel.num_edges if ctx.needs_input_grad[7] else 0, ctx.slope[1])
        indptr, index, edge = rel.compressed()
        # Sources are shared between threads: each adds into its own copy.
        shared = copies(threads_for(rel.num_edges * (4 * q.shape[1] + 4 * heard.shape[1])), d_k, d_v)
        given = (
            index, edge, *_given(ctx.slope, q, k, v, p, e, factor), log_sums(stats).numpy(), out.view(-1).numpy(),
            heard.view(-1).numpy(), array(grad).reshape(-1), array(grad_heard).reshape(-1), *rows(d_q),
        )  # fmt: skip
        written = (d_p.view(-1).numpy(), d_e.view(-1).numpy(), d_factor.numpy())

        def part(low: int, high: int, i: int) -> None:
            mine = shared[i]
            attention_dot.dot_backward(low, high, indptr, *given, *rows(mine[0]), *rows(mine[1]), *written)

        by_thread(len(shared), indptr, part)
        merge(shared)
        d_factor = factor_grad(d_factor, factor)
        return None, None, d_q, d_k, d_v, None if p is None else d_p, d_e if wants_e else None, d_factor


def _given(
    options: tuple[float, int], q: Tensor, k: Tensor, v: Tensor, p: Tensor | None, e: Tensor | None,
    factor: Tensor | None,
) -> tuple[Any, ...]:  # fmt: skip
    """What both kernels read of the inputs, in their order."""
    scale, heads = options
    width_e = 0 if p is None else p.shape[1] // heads
    hop = width_e if e is not None and p is not None and e.shape[1] == p.shape[1] else 0
    edges = (or_empty(p, q, 0).reshape(-1), or_empty(e, q, 0).reshape(-1), hop, width_e)
    return (
        heads, q.shape[1] // heads, *rows(q), *rows(k), *rows(v), *edges, or_empty(factor, q, 0, 1), scale,
    )  # fmt: skip
