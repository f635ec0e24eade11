"""What readers of series on nodes share: checks, and the form in which a dataset stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files


def series_raw(
    edges: np.ndarray,
    num_nodes: int,
    label: str,
    weight: np.ndarray | None = None,
    series: np.ndarray | None = None,
    time: np.ndarray | None = None,
    node_fields: Mapping[str, np.ndarray] | None = None,
    names: Mapping[str, list[str]] | None = None,
) -> Raw:
    """Return a directed graph with a series on its nodes as Raw.

    Parameters
    ----------
    edges : ndarray of int
        ``[E, 2]``.
    num_nodes : int
    label : str
        The file, for errors.
    weight : ndarray, optional
        ``[E]``.
    series : ndarray, optional
        ``[T, N]`` or ``[T, N, F]``.
    time : ndarray of int, optional
        ``[E]``, the step at which an edge is there, where the graph changes.
    node_fields, names : mapping, optional

    Raises
    ------
    DataError
        If an edge names a node that is not there, sizes differ, or a number is not finite.

    Examples
    --------
    >>> raw = series_raw(np.array([[0, 1]]), 2, "x", series=np.zeros((5, 2)))
    >>> raw.collated.graph_fields["series"].shape
    torch.Size([1, 5, 2, 1])
    """
    edges = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
    wrong = np.flatnonzero(((edges < 0) | (edges >= num_nodes)).any(1))
    if len(wrong):
        raise DataError(
            f"{label}: edge {wrong[0]} is {edges[wrong[0]].tolist()}; expected nodes from 0 to {num_nodes - 1}"
        )
    moment = np.zeros(len(edges), dtype=np.int64) if time is None else time
    order = np.lexsort((edges[:, 0], edges[:, 1], moment))
    fields = {} if time is None else {"time": torch.from_numpy(time[order])}
    if weight is not None:
        if len(weight) != len(edges):
            raise DataError(f"{label} has {len(weight)} weights for {len(edges)} edges")
        fields["weight"] = torch.from_numpy(finite(weight, label, "weights")[order])
    graph_fields = {}
    if series is not None:
        values = finite(series, label, "values")
        if values.ndim not in (2, 3) or values.shape[1] != num_nodes:
            raise DataError(f"{label} has values of shape {list(values.shape)}; expected [steps, {num_nodes}]")
        graph_fields["series"] = torch.from_numpy(values.reshape(1, len(values), num_nodes, -1))
    src, dst = (torch.from_numpy(np.ascontiguousarray(edges[order, i])) for i in (0, 1))
    node = {name: torch.from_numpy(value) for name, value in (node_fields or {}).items()}
    collated = Collated.from_edges(src, dst, torch.tensor([num_nodes]), node, fields, graph_fields)
    report = {"self_loops": int((src == dst).sum())}
    return Raw(collated, {}, dict(names or {}), report, undirected=False)


def finite(values: Any, label: str, what: str) -> np.ndarray:
    """Return ``values`` as finite float32 numbers, or say where they are not.

    >>> finite([[1, 2]], "x", "values").dtype
    dtype('float32')
    """
    try:
        made = np.ascontiguousarray(np.asarray(values, dtype=np.float32))
    except (ValueError, TypeError) as error:
        raise DataError(f"{label} has {what} that are no table of numbers ({error})") from error
    if not np.isfinite(made).all():
        where = np.argwhere(~np.isfinite(made))[0].tolist()
        raise DataError(f"{label} has {what} that are not finite, the first at {where}")
    return made


def edges_of_matrix(matrix: np.ndarray, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges, row to column, and the weights of a square matrix.

    Raises
    ------
    DataError
        If it is not square, or an entry is not finite.

    >>> edges_of_matrix(np.array([[0, 2.0], [0, 0]]), "x")
    (array([[0, 1]]), array([2.]))
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"{label} holds a matrix of shape {list(matrix.shape)}; expected a square one")
    src, dst = np.nonzero(finite(matrix, label, "entries"))
    return np.stack([src, dst], axis=1), matrix[src, dst]


def table_of_series(files: Files, name: str, ids: list[str] | None) -> np.ndarray:
    """Read a table ``[T, N]`` with a header of node ids; with ``ids``, its columns are put in their order.

    Raises
    ------
    DataError
        Naming file and line, or the id that has no column.
    """
    columns, body = tables.headed(files.read(name), files.label(name), (), ",")
    values = tables.numbers(body, files.label(name), columns=len(columns))
    if ids is None:
        return values
    missing = [sensor for sensor in ids if sensor not in columns]
    if missing:
        raise DataError(f"{files.label(name)} has no column of sensor {missing[0]}")
    return values[:, [columns.index(sensor) for sensor in ids]]
