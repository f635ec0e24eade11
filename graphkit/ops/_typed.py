"""Sums over typed edges, a matrix for each relation: blocks of (node, relation) pairs that never leave the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from graphkit._kernels import typed
from graphkit.ops import _linear
from graphkit.ops._linear import NeighbourSum, array
from graphkit.ops._matmul import Order, TypedMatmul
from graphkit.ops._pairs import ROWS, Pairs, compact
from graphkit.ops._relation import relation

if TYPE_CHECKING:
    import dgl

#: What one more row of a number costs an edge when pairs sum it and when they spread it, and what one multiply-add of
#: their product, in nanoseconds (benchmarks/speed/relational.py's graphs; only the ratios matter).
SUM, SPREAD, MULTIPLY = 0.6, 0.9, 0.015


class Ends:
    """Both ends of a typed graph's edges as pairs, each found when first asked for."""

    def __init__(self, graph: dgl.DGLGraph, etype: Tensor, num_rels: int) -> None:
        self.graph, self.etype, self.num_rels = graph, etype, num_rels

    def known(self) -> bool:
        """Whether both ends are worth finding: a block is gone after one step."""
        return not self.graph.is_block

    @property
    def src(self) -> Pairs:
        """Pairs of sources."""
        return compact(self.graph, self.etype, self.num_rels, "src")

    @property
    def dst(self) -> Pairs:
        """Pairs of destinations."""
        return compact(self.graph, self.etype, self.num_rels, "dst")


def blockwise(x: Tensor, weight: Tensor, order: Order) -> Tensor:
    """Differentiable ``x[i] @ weight[type of i]``, weight ``[R, S, i, o]`` of S diagonal blocks."""
    parts = x.split(weight.shape[2], -1) if weight.shape[1] > 1 else (x,)
    products = [
        TypedMatmul.apply(order, part, matrices) for part, matrices in zip(parts, weight.unbind(1), strict=True)
    ]
    return products[0] if len(products) == 1 else torch.cat(products, -1)


def plain_sum(ends: Ends, x: Tensor, weight: Tensor, factor: Tensor | None) -> Tensor:
    """The sum of :class:`TypedSum` composed of differentiable ops."""
    pairs = ends.src
    made = blockwise(x.index_select(0, pairs.node), weight, Order(None, pairs.sizes))
    return NeighbourSum.apply(relation(pairs.graph), made, factor)


def by_basis(ends: Ends, weight: Tensor, coeff: Tensor) -> bool:
    """Whether summing over edges for each basis costs less than a product for each pair with the bases' mixtures."""
    wide, deep = weight.shape[2:]
    edges = 3 * ends.graph.num_edges() * coeff.shape[1] * min(wide, deep) * SUM
    return edges < 3 * len(ends.src.node) * wide * deep * MULTIPLY


def sum_by_basis(ends: Ends, x: Tensor, weight: Tensor, coeff: Tensor, factor: Tensor | None) -> Tensor:
    """Sum rows over edges for each basis, then multiply (or first, where that narrows them); weight ``[B, i, o]``."""
    rel, bases = relation(ends.graph), coeff.shape[1]
    mixed = coeff.index_select(0, ends.etype.long())  # [E, B]
    mixed = mixed if factor is None else mixed * factor
    if weight.shape[1] > weight.shape[2]:
        made = torch.einsum("ni,bio->nbo", x, weight).flatten(1)
        return NeighbourSum.apply(rel, made, mixed).view(rel.num_to, bases, -1).sum(1)
    heard = NeighbourSum.apply(rel, x.repeat(1, bases), mixed)  # [to, B * i]
    return heard @ weight.flatten(0, 1)


class Blocks:
    """The work on the pairs of one end, a block at a time."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs, self.node = pairs, pairs.node.numpy()

    def buffers(self, like: Tensor, *widths: int) -> list[Tensor]:
        """Rows for one block, of each width."""
        return [like.new_empty(min(ROWS, len(self.node)), width) for width in widths]

    def take(self, low: int, high: int, x: np.ndarray, out: Tensor) -> None:
        """Copy the rows of the pairs' nodes into ``out``."""
        typed.take_rows(low, high, self.node, x, out.numpy())

    def add(self, low: int, high: int, x: Tensor, out: np.ndarray) -> None:
        """Add rows of pairs to their nodes'."""
        typed.add_rows(low, high, self.node, x.numpy(), out)

    def edges(self, kernel: Callable, low: int, high: int, *args: Any) -> None:
        """Run a kernel over the edges of the pairs."""
        kernel(low, high, self.pairs.indptr, self.pairs.index, self.pairs.edge, *args)


def multiply(parts: list, x: Tensor, weight: Tensor, out: Tensor) -> None:
    """``out[a:b] = x[a:b] @ weight[r]`` for each part of a block; weight ``[R, S, i, o]``."""
    blocks, wide, deep = weight.shape[1:]
    for r, a, b in parts:
        for s in range(blocks):
            torch.mm(x[a:b, s * wide : (s + 1) * wide], weight[r, s], out=out[a:b, s * deep : (s + 1) * deep])


def add_outer(parts: list, x: Tensor, y: Tensor, out: Tensor) -> None:
    """``out[r] += x[a:b]^T y[a:b]`` for each part of a block; out ``[R, S, i, o]``."""
    blocks, wide, deep = out.shape[1:]
    for r, a, b in parts:
        for s in range(blocks):
            out[r, s].addmm_(x[a:b, s * wide : (s + 1) * wide].t(), y[a:b, s * deep : (s + 1) * deep])


def cheaper_end(ends: Ends, weight: Tensor, heads: int, backward: bool = False) -> str:
    """The end whose pairs cost less, by the counts of edges and pairs; only sources' pairs can work with heads.

    Forward, pairs of destinations sum what goes in and pairs of sources spread what comes out; backward it is the other
    way round. Asking for a count finds the pairs, so a graph that comes once is not asked.
    """
    if heads > 1 or not ends.known():
        return "src"
    _, blocks, wide, deep = weight.shape
    summed, spread = (deep, wide) if backward else (wide, deep)
    products = (2 if backward else 1) * MULTIPLY * blocks * wide * deep
    edges = ends.graph.num_edges() * blocks
    sums, spreads = SUM * edges * summed, SPREAD * edges * spread
    near = {"src": len(ends.src.node) * products, "dst": len(ends.dst.node) * products}
    near["src" if backward else "dst"] += sums
    near["dst" if backward else "src"] += spreads
    return min(near, key=lambda end: near[end])


class TypedSum(Function):
    """``out[v] = sum of f[e] * x[u] W[r(e)]``; x ``[from, S * i]``, W ``[R, S, i, o]``, f ``[E, H]`` or None."""

    @staticmethod
    def forward(ctx: Any, ends: Ends, x: Tensor, weight: Tensor, factor: Tensor | None) -> Tensor:
        ctx.ends = ends
        ctx.fused = _linear.compiled(x, weight, factor, ends.etype) and ends.graph.num_edges() > 0
        ctx.save_for_backward(x, weight, factor)
        if not ctx.fused:
            return plain_sum(ends, x, weight, factor)
        if cheaper_end(ends, weight, _heads(factor)) == "dst":
            return _sum_by_dst(ends.dst, x, weight, factor)
        return _sum_by_src(ends.src, x, weight, factor)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or not ctx.fused:
            return (None, *again(plain_sum, ctx, grad, 3))
        x, weight, factor = ctx.saved_tensors
        wants = ctx.needs_input_grad[3]
        if cheaper_end(ctx.ends, weight, _heads(factor), backward=True) == "src":
            return None, *_back_by_src(ctx.ends.src, x, weight, factor, grad, wants)
        return None, *_back_by_dst(ctx.ends.dst, x, weight, factor, grad, wants)


def _heads(factor: Tensor | None) -> int:
    return 1 if factor is None else factor.shape[1]


def again(plain: Callable, ctx: Any, grad: Tensor, count: int) -> tuple[Tensor | None, ...]:
    """Gradients that are themselves differentiable: run the plain form on the saved inputs and differentiate it."""
    needs = ctx.needs_input_grad[1 : 1 + count]
    with torch.enable_grad():
        held = [None if x is None else x.view_as(x) for x in ctx.saved_tensors[:count]]
        out = plain(ctx.ends, *held)
        wanted = [x for x, need in zip(held, needs, strict=True) if need and x is not None]
        found = iter(torch.autograd.grad(out, wanted, grad, create_graph=True, allow_unused=True))
    return tuple(next(found) if need else None for need in needs)


def _weights(factor: Tensor | None, like: Tensor) -> np.ndarray:
    return array(like.new_empty(0, 1) if factor is None else factor)


def _sum_by_dst(pairs: Pairs, x: Tensor, weight: Tensor, factor: Tensor | None) -> Tensor:
    """Sum rows by (destination, relation), multiply, add to destinations."""
    work = Blocks(pairs)
    out = x.new_zeros(pairs.num_near, weight.shape[1] * weight.shape[3])
    heard, made = work.buffers(x, x.shape[1], out.shape[1])
    reads, writes, weights = array(x), out.numpy(), _weights(factor, x)
    for low, high, parts in pairs.blocks:
        work.edges(typed.sum_pairs, low, high, weights, reads, heard.numpy())
        multiply(parts, heard, weight, made)
        work.add(low, high, made, writes)
    return out


def _sum_by_src(pairs: Pairs, x: Tensor, weight: Tensor, factor: Tensor | None) -> Tensor:
    """Multiply the row of each (source, relation), add it to the destinations of its edges."""
    work = Blocks(pairs)
    out = x.new_zeros(pairs.num_far, weight.shape[1] * weight.shape[3])
    mine, made = work.buffers(x, x.shape[1], out.shape[1])
    reads, writes, weights = array(x), out.numpy(), _weights(factor, x)
    for low, high, parts in pairs.blocks:
        work.take(low, high, reads, mine)
        multiply(parts, mine, weight, made)
        work.edges(typed.spread_pairs, low, high, weights, made.numpy(), writes)
    return out


def _back_by_src(
    pairs: Pairs, x: Tensor, weight: Tensor, factor: Tensor | None, grad: Tensor, wants_factor: bool
) -> tuple[Tensor | None, ...]:
    """Sum gradients by (source, relation), which both other gradients are products with."""
    work = Blocks(pairs)
    d_x, d_weight, back = torch.zeros_like(x), torch.zeros_like(weight), weight.transpose(2, 3)
    pulled, mine, pushed = work.buffers(x, grad.shape[1], x.shape[1], x.shape[1])
    reads, rows, writes, weights = array(grad), array(x), d_x.numpy(), _weights(factor, x)
    d_factor = factor.new_empty(factor.shape) if wants_factor and factor is not None else None
    for low, high, parts in pairs.blocks:
        work.edges(typed.sum_pairs, low, high, weights, reads, pulled.numpy())
        work.take(low, high, rows, mine)
        add_outer(parts, mine, pulled, d_weight)
        multiply(parts, pulled, back, pushed)
        work.add(low, high, pushed, writes)
        if d_factor is not None:
            multiply(parts, mine, weight, pulled)
            work.edges(typed.dot_pairs, low, high, pulled.numpy(), reads, d_factor.numpy())
    return d_x, d_weight, d_factor


def _back_by_dst(
    pairs: Pairs, x: Tensor, weight: Tensor, factor: Tensor | None, grad: Tensor, wants_factor: bool
) -> tuple[Tensor | None, ...]:
    """Multiply the gradient of each (destination, relation), spread it to the sources; sum their rows again."""
    work = Blocks(pairs)
    d_x, d_weight, back = torch.zeros_like(x), torch.zeros_like(weight), weight.transpose(2, 3)
    pulled, heard, pushed = work.buffers(x, grad.shape[1], x.shape[1], x.shape[1])
    reads, rows, writes, weights = array(grad), array(x), d_x.numpy(), _weights(factor, x)
    d_factor = factor.new_empty(factor.shape) if wants_factor and factor is not None else None
    for low, high, parts in pairs.blocks:
        work.take(low, high, reads, pulled)
        work.edges(typed.sum_pairs, low, high, weights, rows, heard.numpy())
        add_outer(parts, heard, pulled, d_weight)
        multiply(parts, pulled, back, pushed)
        work.edges(typed.spread_pairs, low, high, weights, pushed.numpy(), writes)
        if d_factor is not None:
            work.edges(typed.dot_pairs, low, high, pushed.numpy(), rows, d_factor.numpy())
    return d_x, d_weight, d_factor
