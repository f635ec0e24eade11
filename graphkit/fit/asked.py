"""What a run is asked: pairs as users write them, their times, and the open ends of a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    from graphkit.data import Dataset


def open_ends(data: Dataset, node: int, rel: int | None = None, known: bool = False) -> Tensor:
    """Return the nodes that ``node`` may be found linked with, int64, ascending: itself never, known links if asked.

    >>> import graphkit
    >>> len(open_ends(graphkit.load("karate", task="link"), 0, known=True))
    33
    """
    graph = data.graph
    total = graph.num_nodes()
    if not 0 <= node < total:
        raise GraphKitError(f"node ids run from 0 to {total - 1}; got {node}")
    src, dst = graph.edges(order="eid")
    kind, etype, train = graph.ndata.get("ntype"), graph.edata.get("etype"), data.splits["train"].pos
    mine = src == node if rel is None or etype is None else (src == node) & (etype == rel)
    ends = [dst[mine]]
    for one, other in ((train.src, train.dst), (train.dst, train.src))[: 2 if data.undirected and rel is None else 1]:
        here = one == node if rel is None or train.rel is None else (one == node) & (train.rel == rel)
        ends.append(other[here])
    free = torch.ones(total, dtype=torch.bool)
    if not known:
        free[torch.cat(ends)] = False
    if kind is not None and data.task == "link" and bool((kind[src] != kind[dst]).all()):
        free &= kind != kind[node]
    free[node] = False
    return free.nonzero()[:, 0]


def at_times(pairs: Pairs | None, times: Any, level: str) -> Pairs:
    """Return pairs with the times at which they are asked for.

    >>> at_times(as_pairs([(3, 44), (3, 5)]), 7, "temporal-link").time.tolist()
    [7, 7]
    """
    from graphkit.graphs.temporal import time_tensor

    if level != "temporal-link" or pairs is None:
        raise GraphKitError(
            "times belong to the pairs of a stream, predict(pairs=[(3, 44)], times=[7]); "
            + ("name the pairs" if pairs is None else f"this run predicts {level}s, which have none")
        )
    when = time_tensor(torch.as_tensor(times).reshape(-1), "times")
    if len(when) not in (1, len(pairs)):
        raise GraphKitError(f"times has {len(when)} numbers for {len(pairs)} pairs; expected one for each, or one")
    return Pairs(pairs.src, pairs.dst, pairs.rel, when.expand(len(pairs)))


def as_pairs(what: Any) -> Pairs:
    """Turn ``[P, 2]`` or ``[P, 3]`` ids, (source, target) or (source, relation, target), into Pairs.

    >>> as_pairs((3, 44)).dst.tolist()
    [44]
    """
    if isinstance(what, Pairs):
        return what
    if isinstance(what, Sequence) and what and isinstance(what[0], Tensor):
        what = torch.stack([torch.as_tensor(x) for x in what], dim=-1)
    table = torch.as_tensor(what, dtype=torch.int64)
    table = table.unsqueeze(0) if table.dim() == 1 else table
    if table.dim() != 2 or table.shape[1] not in (2, 3):
        raise GraphKitError(f"pairs have shape {list(table.shape)}; expected [P, 2] or [P, 3]")
    return Pairs(table[:, 0], table[:, -1], table[:, 1] if table.shape[1] == 3 else None)
