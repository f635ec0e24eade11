"""Repeated pairs of a stream: how much of it memory alone could tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit.core.check import check_ids, check_rows
from graphkit.graphs.temporal import check_stream

if TYPE_CHECKING:
    import dgl


def _first_times(graph: dgl.DGLGraph) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of the stream's ordered pairs, rising, and when each first met."""
    times = check_stream(graph).numpy()
    src, dst = (ids.long().numpy() for ids in graph.edges(order="eid"))
    codes, first = np.unique(src * graph.num_nodes() + dst, return_index=True)
    return codes, times[first]


def seen_pairs(graph: dgl.DGLGraph, src: Tensor, dst: Tensor, time: Tensor) -> Tensor:
    """Say of which ordered pairs the stream holds an event strictly before a time.

    Scores of pairs that were seen and of those that were not are different tasks: memory answers the first.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A stream.
    src, dst : Tensor
        int64 ``[P]``.
    time : Tensor
        ``[P]``.

    Returns
    -------
    Tensor
        bool ``[P]``.

    Raises
    ------
    GraphKitError
        If the graph is no stream, an id is out of range, or lengths differ.

    References
    ----------
    "TGB-Seq Benchmark: Challenging Temporal GNNs with Complex Sequential Dynamics", arXiv:2502.02975.

    Examples
    --------
    >>> from graphkit.graphs.temporal import from_events
    >>> stream = from_events([0, 0], [1, 1], [3, 5])
    >>> seen_pairs(stream, torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0]), torch.tensor([3, 4, 9])).tolist()
    [False, True, False]
    """
    check_ids("src", src, graph.num_nodes())
    check_ids("dst", dst, graph.num_nodes(), len(src))
    check_rows("time", time, len(src), "pairs")
    codes, first = _first_times(graph)
    if not len(codes):
        return torch.zeros(len(src), dtype=torch.bool)
    wanted = src.long().numpy() * graph.num_nodes() + dst.long().numpy()
    place = np.searchsorted(codes, wanted).clip(max=len(codes) - 1)
    return torch.from_numpy((codes[place] == wanted) & (first[place] < time.numpy()))


def repeat_ratio(graph: dgl.DGLGraph) -> float:
    r"""Return the share of events whose ordered pair met before.

    .. math:: |\{(u, v, t) : \exists\, (u, v, t'),\; t' < t\}| / E

    Parameters
    ----------
    graph : dgl.DGLGraph
        A stream.

    Returns
    -------
    float
        0 for a stream without events.

    Raises
    ------
    GraphKitError
        If the graph is no stream.

    References
    ----------
    "TGB-Seq Benchmark: Challenging Temporal GNNs with Complex Sequential Dynamics", arXiv:2502.02975.

    Examples
    --------
    >>> from graphkit.graphs.temporal import from_events
    >>> repeat_ratio(from_events([0, 0, 1, 0], [1, 1, 0, 1], [3, 3, 4, 5]))
    0.25
    """
    if not graph.num_edges():
        return 0.0
    src, dst = graph.edges(order="eid")
    return float(seen_pairs(graph, src.long(), dst.long(), check_stream(graph)).double().mean())
