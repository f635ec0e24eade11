"""Rows of edges made a piece at a time: what a layer computes of edge features never stands in memory for all edges.

A piece is a range of receivers with about :data:`PIECE` numbers on its edges, so its rows stay in the processor's
cache; an ``[E, D]`` array costs more in fresh pages than the arithmetic on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from graphkit._kernels.common import by_thread
from graphkit._kernels.copies import put_rows, take_rows
from graphkit.ops._linear import array, large, threads_for
from graphkit.ops._relation import Relation

#: Numbers in the rows of one piece (of one thread).
PIECE = 1 << 18

#: A pure function of edge features and parameters, row by row: ``[e, De], *params -> [e, D]``.
RowMap = Callable[..., Tensor]


def identity(edge_feat: Tensor) -> Tensor:
    """The rows as they are."""
    return edge_feat


def _ranges(indptr: np.ndarray, size: int) -> list[tuple[int, int]]:
    """Cut receivers into ranges of about ``size`` edges (a receiver is never cut)."""
    rows, edges = len(indptr) - 1, int(indptr[-1])
    bounds = np.searchsorted(indptr, np.arange(0, edges, size)[1:], "left")
    ends = np.unique(np.concatenate([[0], bounds, [rows]]))
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))


class PerThread(list):
    """One argument for each thread."""


class RowMaker:
    """What ``row_map`` makes of some rows of edge features, and the sums of its gradients over all of them.

    Parameters
    ----------
    row_map : callable
    edge_feat : Tensor
        ``[E, De]``.
    params : sequence of Tensor
    wants : sequence of bool
        Whether edge_feat, and each of params, needs a gradient.
    """

    def __init__(self, row_map: RowMap, edge_feat: Tensor, params: Sequence[Tensor], wants: Sequence[bool]) -> None:
        self.row_map, self.params, self.wants = row_map, params, wants
        self.d_edge = large(*edge_feat.shape, dtype=edge_feat.dtype) if wants[0] else None
        self.d_params = [torch.zeros_like(p) if w else None for p, w in zip(params, wants[1:], strict=True)]

    def made(self, rows: Tensor, reads: bool) -> tuple[Tensor, Callable[[Tensor, Any], None]]:
        """The rows that the map makes (not made for a linear map unless ``reads``), and what takes their gradient."""
        if self.row_map is linear:
            return linear(rows, *self.params) if reads else rows, lambda d, ids: self._pull_linear(rows, d, ids)
        with torch.enable_grad():
            held = [x.detach().requires_grad_(w) for x, w in zip([rows, *self.params], self.wants, strict=True)]
            inner = self.row_map(*held)

        def pull(d_inner: Tensor, ids: Any) -> None:
            wanted = [x for x, w in zip(held, self.wants, strict=True) if w]
            found = iter(torch.autograd.grad(inner, wanted, d_inner, allow_unused=True))
            self._add([next(found) if w else None for w in self.wants], ids)

        return inner, pull

    def _pull_linear(self, rows: Tensor, d: Tensor, ids: Any) -> None:
        makes = (lambda: d @ self.params[0], lambda: d.T @ rows, lambda: d.sum(0))
        self._add([make() if w else None for make, w in zip(makes, self.wants, strict=False)], ids)

    def _add(self, grads: Sequence[Tensor | None], ids: Any) -> None:
        first = grads[0]
        if self.d_edge is not None:
            if first is None:
                self.d_edge[ids] = 0
            elif isinstance(ids, slice):
                self.d_edge[ids] = first
            else:
                put_rows(array(first), ids.numpy(), self.d_edge.numpy())
        for total, grad in zip(self.d_params, grads[1:], strict=True):
            if total is not None and grad is not None:
                total += grad


class Stream:
    """The edges of a relation, a piece at a time, with the rows that ``row_map`` makes of their features.

    Parameters
    ----------
    rel : Relation
    row_map : callable
    edge_feat : Tensor
        ``[E, De]``.
    params : sequence of Tensor
    width : int
        Columns of what ``row_map`` returns.
    wants : sequence of bool
        Whether edge_feat, and each of params, needs a gradient; for :meth:`backward`.
    """

    def __init__(
        self, rel: Relation, row_map: RowMap, edge_feat: Tensor, params: Sequence[Tensor], width: int,
        wants: Sequence[bool] = (),
    ) -> None:  # fmt: skip
        self.row_map, self.edge_feat, self.params = row_map, edge_feat.detach(), [p.detach() for p in params]
        self.wants, self.width = list(wants) or [False] * (1 + len(params)), width
        self.indptr, self.index, self.edge = rel.compressed()
        self.in_order = rel.in_order()
        self.threads = threads_for(rel.num_edges * width)
        self.maker = RowMaker(row_map, edge_feat, self.params, self.wants)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Ranges of receivers."""
        yield from _ranges(self.indptr, max(1, PIECE * self.threads // max(1, self.width)))

    def run(self, kernel: Callable, low: int, high: int, *args: Any) -> None:
        """Call ``kernel(a, b, indptr, index, edge, base, *args, thread)`` on ranges that cover low to high."""
        base = self.indptr[low]

        def part(a: int, b: int, thread: int) -> None:
            mine = [arg[thread] if isinstance(arg, PerThread) else arg for arg in args]
            kernel(low + a, low + b, self.indptr, self.index, self.edge, base, *mine)

        by_thread(self.threads, self.indptr[low : high + 1], part)

    def _features(self, low: int, high: int) -> tuple[Tensor, Tensor | slice]:
        first, last = int(self.indptr[low]), int(self.indptr[high])
        if self.in_order:
            return self.edge_feat[first:last], slice(first, last)
        ids = self.edge[first:last]
        rows = torch.empty(len(ids), *self.edge_feat.shape[1:], dtype=self.edge_feat.dtype)
        take_rows(array(self.edge_feat), ids, rows.numpy())
        return rows, torch.from_numpy(ids)

    def forward(self, kernel: Callable, before: Sequence[Any], after: Sequence[Any]) -> None:
        """Run a kernel over all edges; the piece's rows come between ``before`` and ``after``."""
        for low, high in self.pieces():
            rows, _ = self._features(low, high)
            with torch.no_grad():
                inner = self.row_map(rows, *self.params)
            # The kernel writes over the rows; those of the caller must stay.
            inner = inner.clone() if inner is rows and self.in_order else inner
            self.run(kernel, low, high, *before, array(inner), *after)

    def backward(
        self, kernel: Callable, before: Sequence[Any], after: Sequence[Any], last: Sequence[Any], reads: bool = True
    ) -> None:
        """Run a kernel likewise, with the gradient of the piece's rows, which it writes, between after and last.

        Without ``reads`` the kernel gets the gradient's rows only.
        """
        for low, high in self.pieces():
            rows, ids = self._features(low, high)
            inner, pull = self.maker.made(rows, reads)
            d_inner = torch.empty(len(rows), self.width, dtype=rows.dtype)
            self.run(kernel, low, high, *before, *([array(inner)] if reads else []), *after, d_inner.numpy(), *last)
            if any(self.wants):
                pull(d_inner, ids)

    def grads(self) -> list[Tensor | None]:
        """Gradients of edge_feat and of each parameter, once :meth:`backward` ran."""
        return [self.maker.d_edge, *self.maker.d_params]
