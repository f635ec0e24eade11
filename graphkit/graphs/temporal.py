"""Streams: a table of timed events becomes a graph whose edges are in time order."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.graphs.build import check_ids, index_tensor

if TYPE_CHECKING:
    import dgl
    import pandas


def time_tensor(values: Any, name: str = "time") -> Tensor:
    """Return times as int64 where all are whole numbers, else float64 (float32 cannot tell Unix seconds apart).

    Parameters
    ----------
    values : array_like
        ``[E]`` numbers.
    name : str
        What they are, for the error.

    Raises
    ------
    GraphKitError
        If one is no finite number.

    Examples
    --------
    >>> time_tensor([3.0, 1.0]).dtype, time_tensor([0.5]).dtype
    (torch.int64, torch.float64)
    """
    found = values.numpy() if isinstance(values, Tensor) else np.asarray(values)
    if found.size == 0:
        return torch.empty(0, dtype=torch.int64)
    if found.ndim != 1 or found.dtype.kind not in "iuf":
        raise GraphKitError(f"{name} has shape {found.shape} and dtype {found.dtype}; expected one number an event")
    if found.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(found))
        if len(wrong):
            raise GraphKitError(f"{name}[{wrong[0]}] is {found[wrong[0]]}; expected a finite number")
        if (np.abs(found) < 2**53).all() and (found == np.round(found)).all():
            found = found.astype(np.int64)
    return torch.from_numpy(found.astype(np.int64 if found.dtype.kind in "iu" else np.float64))


def time_order(time: Tensor) -> Tensor:
    """Return the int64 order that sorts ``time``, events of one time as they stood.

    >>> time_order(torch.tensor([5, 1, 5, 0])).tolist()
    [3, 1, 0, 2]
    """
    return torch.sort(time, stable=True).indices


def from_events(
    src: Any,
    dst: Any,
    time: Any,
    num_nodes: int | None = None,
    node_fields: Mapping[str, Any] | None = None,
    edge_fields: Mapping[str, Any] | None = None,
) -> dgl.DGLGraph:
    """Build a stream: one edge an event, with ``time`` non-decreasing in edge-id order.

    Parameters
    ----------
    src, dst : array_like
        Node ids ``[E]``, in any order of time.
    time : array_like
        ``[E]`` numbers; whole ones become int64, others float64.
    num_nodes : int, optional
        By default one more than the largest id.
    node_fields, edge_fields : mapping of str to array_like, optional
        ``[N, ...]`` and ``[E, ...]``, rows as the events are given.

    Returns
    -------
    dgl.DGLGraph
        Directed, parallel edges kept; ``edata["event"]`` (int64) is each edge's row in what was given. Events of one
        time keep their order. A warning counts those that came after a later one.

    Raises
    ------
    GraphKitError
        If lengths differ, an id is out of range, or a time is no finite number.

    Examples
    --------
    >>> stream = from_events([1, 0, 0], [2, 2, 1], [10, 20, 30.5], edge_fields={"weight": [2.0, 3.0, 1.0]})
    >>> stream.edata["time"].tolist(), stream.edata["weight"].tolist()
    ([10.0, 20.0, 30.5], [2.0, 3.0, 1.0])
    """
    from graphkit.graphs.build import graph

    src, dst, times = index_tensor(src, "src"), index_tensor(dst, "dst"), time_tensor(time)
    if not len(src) == len(dst) == len(times):
        raise GraphKitError(f"src, dst and time have {len(src)}, {len(dst)} and {len(times)} rows; expected as many")
    order = time_order(times)
    late = int((times < torch.cummax(times, 0).values).sum()) if len(times) else 0
    if late:
        warnings.warn(
            f"{late} of {len(times)} events came before an earlier one; they were sorted by time", stacklevel=2
        )
    fields = {}
    for name, value in (edge_fields or {}).items():
        column = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value, copy=True))
        if column.dim() == 0 or len(column) != len(src):
            raise GraphKitError(f"edge field {name!r} has shape {tuple(column.shape)}; expected {len(src)} rows")
        fields[name] = column[order]
    made = graph(src[order], dst[order], num_nodes, node_fields, {**fields, "event": order})
    made.edata["time"] = times[order]  # as it is: graph() would round it to float32
    return made


def from_event_table(
    table: pandas.DataFrame, src: str = "src", dst: str = "dst", time: str = "time", bipartite: bool = False
) -> tuple[dgl.DGLGraph, list[str]]:
    """Build a stream from a table of events whose nodes have names.

    Parameters
    ----------
    table : pandas.DataFrame
        One row an event; numeric columns beside the three become edge fields.
    src, dst, time : str
        Names of the columns.
    bipartite : bool
        Sources and destinations are nodes of two kinds, even where they share a name.

    Returns
    -------
    graph : dgl.DGLGraph
        As :func:`from_events`; if ``bipartite``, ``ndata["ntype"]`` is 0 for sources and 1 for destinations.
    names : list of str
        Of the nodes.

    Raises
    ------
    GraphKitError
        If a column is missing or a time is no number.

    Examples
    --------
    >>> import pandas
    >>> stream, names = from_event_table(pandas.DataFrame({"src": ["a", "b"], "dst": ["c", "a"], "time": [1, 2]}))
    >>> names, stream.edges()[0].tolist()
    (['a', 'b', 'c'], [0, 1])
    """
    for name in (src, dst, time):
        if name not in table.columns:
            raise GraphKitError(f"the table has no column {name!r}; it has {', '.join(map(str, table.columns))}")
    source, target, names, split = number_nodes(table[src].to_numpy(), table[dst].to_numpy(), bipartite)
    rest = table.drop(columns=[src, dst, time]).select_dtypes("number")
    kinds = {"ntype": (np.arange(len(names)) >= split).astype(np.int64)} if bipartite else None
    fields = {str(name): rest[name].to_numpy() for name in rest.columns}
    return from_events(source, target, table[time].to_numpy(), len(names), kinds, fields), names


def number_nodes(src: np.ndarray, dst: np.ndarray, bipartite: bool) -> tuple[np.ndarray, np.ndarray, list[str], int]:
    """Number nodes from 0 in the sorted order of their names (as numbers, where all are).

    Parameters
    ----------
    src, dst : ndarray
        ``[E]`` names: numbers or text.
    bipartite : bool
        Number sources first and destinations after them, each on their own.

    Returns
    -------
    src, dst : ndarray
        int64 ``[E]``.
    names : list of str
    split : int
        How many sources there are, if ``bipartite``; else all nodes.

    Examples
    --------
    >>> number_nodes(np.array(["10", "9"]), np.array(["9", "9"]), False)
    (array([1, 0]), array([0, 0]), ['9', '10'], 2)
    """
    if not bipartite:
        names, codes = _sorted_codes(np.concatenate([src, dst]))
        return codes[: len(src)], codes[len(src) :], names, len(names)
    left, source = _sorted_codes(src)
    right, target = _sorted_codes(dst)
    return source, target + len(left), left + right, len(left)


def _sorted_codes(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    import pandas

    codes, distinct = pandas.factorize(values)
    try:
        key = np.array([int(name) for name in distinct], dtype=np.int64)
        if len(np.unique(key)) < len(key):  # 7 and 007 are two names
            raise ValueError
    except (ValueError, OverflowError):
        key = np.array([str(name) for name in distinct], dtype=object)
    order = np.argsort(key, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return [str(name) for name in np.asarray(distinct)[order]], place[codes]


def check_stream(graph: dgl.DGLGraph) -> Tensor:
    """Return the times of a stream's edges, or say what is wrong with it.

    Raises
    ------
    GraphKitError
        If edges have no ``time``, or a later edge an earlier one.

    Examples
    --------
    >>> check_stream(from_events([0], [1], [5])).tolist()
    [5]
    """
    if "time" not in graph.edata:
        raise GraphKitError("a stream needs the edge field 'time', which the graph does not have")
    times = graph.edata["time"]
    back = (times[1:] < times[:-1]).nonzero()[:1, 0]
    if len(back):
        e = int(back[0]) + 1
        raise GraphKitError(
            f"edge {e} has time {times[e].item()} after {times[e - 1].item()}; a stream's edges are in time order "
            "(graphkit.graphs.from_events sorts them)"
        )
    check_ids(graph.edges()[0], graph.num_nodes(), "src")
    return times
