"""What has a time: events, timed hyperedges, series; and the counts of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset


@dataclass
class Queries:
    """Q true events of a stream, each with a false destination.

    Parameters
    ----------
    event : Tensor
        Edge ids in ``data.original``, int64 ``[Q]``, in the order of time.
    src, dst : Tensor
        The event's nodes, int64 ``[Q]``.
    neg : Tensor
        The destination that must score lower at that time, int64 ``[Q]``; of published negatives ``[Q, K]``, and -1
        where an event has fewer than K.
    """

    event: Tensor
    src: Tensor
    dst: Tensor
    neg: Tensor

    def __len__(self) -> int:
        return len(self.event)


def queries_of(data: Dataset) -> Queries:
    """Return the queries that a stream's edge field ``negative`` (-1: none) states.

    Raises
    ------
    GraphKitError
        If the dataset has none.

    >>> import graphkit as gk
    >>> gk.load("karate").queries
    Traceback (most recent call last):
    graphkit.core.errors.GraphKitError: karate states no queries; generated streams such as 'twin-closure' do
    """
    full = data.collated
    if "negative" not in full.edge_fields:
        raise GraphKitError(f"{data.name} states no queries; generated streams such as 'twin-closure' do")
    event = (full.edge_fields["negative"] >= 0).nonzero()[:, 0]
    return Queries(event, full.src[event], full.dst[event], full.edge_fields["negative"][event])


def candidates_of(data: Dataset, part: str) -> Queries:
    """Return the events of a part of the split that were published with negatives, and those.

    Raises
    ------
    GraphKitError
        If there are none, or no such part.

    >>> import graphkit as gk
    >>> gk.load("twin-closure").candidates("val")
    Traceback (most recent call last):
    graphkit.core.errors.GraphKitError: twin-closure came without negatives for 'val'; sets of TGB have them
    """
    if part not in data.splits:
        raise unknown("split", part, data.splits)
    held = data.published.get("negatives", {})
    if f"{part}_event" not in held:
        raise GraphKitError(f"{data.name} came without negatives for {part!r}; sets of TGB have them")
    event, full = held[f"{part}_event"], data.collated
    mine = torch.isin(event, data.splits[part])
    event = event[mine]
    return Queries(event, full.src[event], full.dst[event], held[f"{part}_candidates"][mine])


def times_of(data: Dataset) -> Tensor:
    """Return the times that a dataset's split is ordered by.

    Raises
    ------
    GraphKitError
        If events or hyperedges have no times, or an earlier one follows a later.
    """
    full = data.collated
    if data.task == "forecast":
        return torch.arange(len(series_of(data)))
    if data.task == "hyperedge":
        times = full.node_fields.get("hyperedge_time")
        times = None if times is None else times[full.num_nodes - data.num_hyperedges :]
    else:
        times = full.edge_fields.get("time")
    if times is None:
        what = "hyperedges" if data.task == "hyperedge" else "edges"
        raise GraphKitError(f"the {what} of {data.name} have no field 'time'; the task {data.task!r} needs it")
    back = (times[1:] < times[:-1]).nonzero()[:1, 0]
    if len(back):
        e = int(back[0])
        raise GraphKitError(
            f"{data.name} is no stream: entry {e + 1} has time {times[e + 1].item()} after {times[e].item()}; "
            "graphkit.graphs.from_events sorts events by time"
        )
    return times


def series_of(data: Dataset) -> Tensor:
    """Return the series on the nodes of the one graph, ``[T, N, F]``.

    Raises
    ------
    GraphKitError
        If there is none.

    >>> import graphkit as gk
    >>> gk.load("karate").series
    Traceback (most recent call last):
    graphkit.core.errors.GraphKitError: karate has no series on its nodes
    """
    if "series" not in data.collated.graph_fields:
        raise GraphKitError(f"{data.name} has no series on its nodes")
    return data.collated.graph_fields["series"][0]


def windows_of(data: Dataset, ids: str | Tensor) -> tuple[Tensor, Tensor]:
    """Return the windows of a split's part, or those with the ids given.

    Returns
    -------
    read, wanted : Tensor
        ``[W, history, N, F]`` and ``[W, horizon, N, F]``.

    Raises
    ------
    GraphKitError
        If there is no such part, or a window leaves the series.
    """
    from graphkit.core.check import check_ids

    if isinstance(ids, str) and ids not in data.splits:
        raise unknown("split", ids, data.splits)
    chosen: Tensor = data.splits[ids] if isinstance(ids, str) else ids
    series = series_of(data)
    history, horizon = (data.split_options.get(name, 12) for name in ("history", "horizon"))
    check_ids("window", chosen, max(len(series) - history - horizon + 1, 0))
    steps = chosen[:, None] + torch.arange(history + horizon)
    return series[steps[:, :history]], series[steps[:, history:]]


def count(data: Dataset) -> dict[str, int]:
    """Count what a card's ``statistics`` states, leaving out what there is none of."""
    full, hyperedges = data.collated, data.num_hyperedges
    columns = full.graph_fields if len(full) > 1 or "label" in full.graph_fields else full.node_fields
    label = columns.get("label")
    counts = {
        "graphs": len(full) if len(full) > 1 else 0,
        "nodes": full.num_nodes - hyperedges,
        "hyperedges": hyperedges,
        "memberships" if hyperedges else "edges": full.num_edges,
        "features": width(full.node_fields.get("feat")),
        "edge_features": width(full.edge_fields.get("feat")),
        "relations": data.num_relations,
        "classes": 0 if label is None or label.is_floating_point() else max(data.num_classes, int(label.max()) + 1),
        "targets": width(label) if label is not None and label.is_floating_point() else 0,
        "timestamps": len(times_of(data).unique()) if data.task in ("temporal-link", "hyperedge", "forecast") else 0,
        "channels": data.series.shape[-1] if data.task == "forecast" else 0,
    }
    return {name: number for name, number in counts.items() if number}


def width(value: Tensor | None) -> int:
    """Return the number of columns of a field, 0 if there is none.

    >>> width(torch.zeros(3, 2)), width(torch.zeros(3)), width(None)
    (2, 1, 0)
    """
    if value is None:
        return 0
    return value[0].numel() if len(value) and value.dim() > 1 else (value.shape[-1] if value.dim() > 1 else 1)
