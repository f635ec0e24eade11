"""T-batching: events that touch different nodes are worked on together, in the order that every node needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit._kernels import tbatch as kernels
from graphkit.core.check import check_choice, check_ids, check_rows
from graphkit.core.errors import GraphKitError

#: What :func:`tbatch_loss` makes of the errors: a mean in each batch, or one weight for all events.
REDUCTIONS = ("mean", "item-sum", "full-sum")


def t_batches(src: Tensor, dst: Tensor, span: Tensor | None = None) -> Tensor:
    r"""Number the t-batch of each event: one later than those of the last events of its two ends.

    .. math:: k(e) = 1 + \max(last_u, last_v), \quad last_u \leftarrow k(e), \; last_v \leftarrow k(e),
              \quad last = -1 \text{ at the start}

    No batch holds a node twice and every node's events keep their order. k(e) is the length of the longest chain of
    events that leads to e, so no fewer batches are possible.

    Parameters
    ----------
    src, dst : Tensor
        The events' nodes in the order of time, int64 ``[E]``; ids of one table, so the items of a bipartite stream are
        numbered after its users.
    span : Tensor, optional
        Non-decreasing int64 ``[E]``; numbers begin again at 0 with each new value.

    Returns
    -------
    Tensor
        int64 ``[E]``, from 0 within each span.

    Raises
    ------
    GraphKitError
        If lengths differ, an event joins a node to itself, or spans decrease.

    References
    ----------
    "Predicting Dynamic Embedding Trajectory in Temporal Interaction Networks", arXiv:1908.01207.

    Examples
    --------
    >>> t_batches(torch.tensor([0, 1, 0, 2]), torch.tensor([3, 4, 4, 5])).tolist()
    [0, 0, 1, 0]
    """
    nodes = 1 + int(max(src.max(), dst.max())) if len(src) else 0
    check_ids("src", src, nodes)
    check_ids("dst", dst, nodes, len(src))
    same = (src == dst).nonzero()[:1, 0]
    if len(same):
        e = int(same[0])
        raise GraphKitError(f"event {e} joins node {int(src[e])} to itself; no t-batch can hold a node twice")
    span = torch.zeros(len(src), dtype=torch.int64) if span is None else span
    check_rows("span", span, len(src), "events")
    if bool((span[1:] < span[:-1]).any()):
        raise GraphKitError("span decreases from one event to the next; events are batched in the order of time")
    batch = np.empty(len(src), dtype=np.int64)
    ends = [ids.long().contiguous().numpy() for ids in (src, dst, span)]
    kernels.number_batches(*ends, np.full(nodes, -1, dtype=np.int64), batch)
    return torch.from_numpy(batch)


def time_spans(time: Tensor, spans: int) -> Tensor:
    """Cut the time of a stream into equal parts and say in which one each event falls.

    Parameters
    ----------
    time : Tensor
        Non-decreasing ``[E]``.
    spans : int
        How many parts; the last one is closed at both ends, so that no event is left out.

    Returns
    -------
    Tensor
        int64 ``[E]``.

    Raises
    ------
    GraphKitError
        If ``spans`` is not positive.

    Examples
    --------
    >>> time_spans(torch.tensor([0, 4, 5, 10]), 2).tolist()
    [0, 0, 1, 1]
    """
    if spans < 1:
        raise GraphKitError(f"spans={spans}; expected at least one")
    since = (time - time[:1]).double()
    whole = float(since[-1]) if len(since) else 0.0
    return (
        torch.zeros(len(time), dtype=torch.int64) if not whole else (since / whole * spans).long().clamp(max=spans - 1)
    )


@dataclass
class TBatches:
    """A stream cut into spans of time, and each span into t-batches.

    Iteration gives, for each span, the list of its t-batches: int64 event ids, in the order of time.

    Parameters
    ----------
    src, dst, time : Tensor
        The stream, ``[E]`` each; ids of one table.
    spans : int
        Gradients are applied, and states detached, at the end of each.

    Raises
    ------
    GraphKitError
        As :func:`t_batches` and :func:`time_spans`.

    Examples
    --------
    >>> stream = TBatches(torch.tensor([0, 1, 0]), torch.tensor([3, 4, 4]), torch.tensor([0, 1, 9]), spans=2)
    >>> [[part.tolist() for part in span] for span in stream]
    [[[0, 1]], [[2]]]
    """

    src: Tensor
    dst: Tensor
    time: Tensor
    spans: int = 100

    def __post_init__(self) -> None:
        check_rows("time", self.time, len(self.src), "events")
        self.span = time_spans(self.time, self.spans)
        self.batch = t_batches(self.src, self.dst, self.span)

    def __iter__(self) -> Iterator[list[Tensor]]:
        order = np.lexsort((self.batch.numpy(), self.span.numpy()))
        span, batch = self.span.numpy()[order], self.batch.numpy()[order]
        new_span = np.flatnonzero(np.diff(span)) + 1
        for ids, numbers in zip(np.split(order, new_span), np.split(batch, new_span), strict=True):
            if len(ids):
                yield [torch.from_numpy(part) for part in np.split(ids, np.flatnonzero(np.diff(numbers)) + 1)]


def tbatch_loss(error: Tensor, batch: Tensor, reduction: str = "item-sum") -> Tensor:
    r"""Sum squared errors of the events of t-batches, with the weights that a reduction gives them.

    .. math:: L_{mean} = \sum_k \frac{1}{|B_k| D} \sum_{e \in B_k} \|err_e\|^2, \quad
              L_{item} = \sum_e \frac{\|err_e\|^2}{D}, \quad L_{full} = \sum_e \|err_e\|^2

    ``mean`` is JODIE's loss: an event weighs one over the size of its batch, so the few events of late batches, which
    are those of the busiest nodes, weigh most. The two sums weigh all events alike.

    Parameters
    ----------
    error : Tensor
        Prediction minus target, ``[E, D]``.
    batch : Tensor
        The t-batch of each event, int64 ``[E]``; batches of several spans need numbers of their own.
    reduction : str
        One of :data:`REDUCTIONS`.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    GraphKitError
        If the reduction is unknown or the batches are not one an event.

    References
    ----------
    "Effect of Choosing Loss Function when Using T-batching for Representation Learning on Dynamic Networks",
    arXiv:2308.06862.

    Examples
    --------
    >>> error, batch = torch.tensor([[1.0, 1.0], [1.0, 1.0], [2.0, 0.0]]), torch.tensor([0, 0, 1])
    >>> [float(tbatch_loss(error, batch, how)) for how in REDUCTIONS]
    [3.0, 4.0, 8.0]
    """
    check_choice("reduction", reduction, REDUCTIONS)
    check_rows("batch", batch, len(error), "events")
    squared = error.square().sum(-1)
    if reduction == "full-sum":
        return squared.sum()
    if reduction == "item-sum":
        return squared.sum() / error.shape[-1]
    _, place, size = batch.unique(return_inverse=True, return_counts=True)
    return (squared / size[place].to(squared)).sum() / error.shape[-1]


def shared_ids(src: Any, dst: Any) -> tuple[Tensor, Tensor]:
    """Number users and items of a stream in one table, items after users.

    >>> [ids.tolist() for ids in shared_ids([0, 1], [0, 0])]
    [[0, 1], [2, 2]]
    """
    users, items = (torch.as_tensor(ids, dtype=torch.int64) for ids in (src, dst))
    return users, items + (int(users.max()) + 1 if len(users) else 0)
