"""Graphs as tables and text: pandas edge tables and edge-list files, and back."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError, GraphKitError, unknown
from graphkit.graphs.build import graph as build_graph

if TYPE_CHECKING:
    import dgl
    import pandas


def _grouped(table: pandas.DataFrame, what: str) -> dict[str, Tensor]:
    """Return each numeric column as a field; columns ``x_0, x_1, ...`` as one field ``x`` of several columns."""
    numeric = [str(c) for c in table.columns if table[c].dtype.kind in "biuf"]
    table = table[[c for c in table.columns if str(c) in numeric]].set_axis(numeric, axis=1)
    groups: dict[str, list[str]] = {}
    for name in numeric:
        match = re.fullmatch(r"(.+)_(\d+)", name)
        groups.setdefault(match[1] if match else name, []).append(name)
    fields = {}
    for group, names in groups.items():
        if names == [f"{group}_{i}" for i in range(len(names))]:
            fields[group] = torch.from_numpy(np.array(table[names]))
        else:
            fields.update({name: torch.from_numpy(np.array(table[name])) for name in names})
    for name, values in fields.items():
        if name == "feat" and not bool(torch.isfinite(values).all()):
            raise DataError(f"the {what} table holds NaN or infinity in {name!r}")
    return {name: v.float() if name in ("feat", "weight") else v for name, v in fields.items()}


def from_pandas(
    edges: pandas.DataFrame,
    nodes: pandas.DataFrame | None = None,
    *,
    src: str = "src",
    dst: str = "dst",
    node_id: str | None = None,
    undirected: bool = False,
) -> dgl.DGLGraph:
    """Turn an edge table, and a node table if there is one, into a DGLGraph.

    Numeric columns become fields of their name, columns ``feat_0, feat_1, ...`` together the field ``feat [.., D]``;
    other columns are left out.

    Parameters
    ----------
    edges : pandas.DataFrame
        One row per edge, with the columns ``src`` and ``dst``.
    nodes : pandas.DataFrame, optional
        One row per node, in the order of node numbers.
    src, dst : str
        Columns of endpoints: names from the node table; without one, whole numbers are node numbers, and other names
        are numbered in sorted order (:func:`node_names` gives it).
    node_id : str, optional
        The column of names in ``nodes``; its index when None.
    undirected : bool
        Store both directions, once each, with ``reverse_id``.

    Raises
    ------
    GraphKitError
        If a column is missing, or an edge names a node that the node table lacks.

    Examples
    --------
    >>> import pandas
    >>> table = pandas.DataFrame({"src": ["a", "b"], "dst": ["b", "c"], "weight": [1.0, 2.0]})
    >>> g = from_pandas(table, undirected=True)
    >>> g.num_nodes(), g.edata["weight"].tolist()
    (3, [1.0, 1.0, 2.0, 2.0])
    """
    for column in (src, dst):
        if column not in edges.columns:
            raise unknown("edge table column", column, map(str, edges.columns))
    node_fields: dict[str, Tensor] = {}
    if nodes is not None:
        if node_id is not None and node_id not in nodes.columns:
            raise unknown("node table column", node_id, map(str, nodes.columns))
        names: Any = nodes.index if node_id is None else nodes[node_id]
        node_fields = _grouped(nodes if node_id is None else nodes.drop(columns=node_id), "node")
        ends = [_numbered(edges[column], names, column) for column in (src, dst)]
        count = len(nodes)
    else:
        names = node_names(edges, src=src, dst=dst)
        whole = names.dtype.kind in "iu"
        ends = [np.array(edges[c]) if whole else _numbered(edges[c], names, c) for c in (src, dst)]
        count = (int(names.max()) + 1 if len(names) else 0) if whole else len(names)
    fields = _grouped(edges.drop(columns=[src, dst]), "edge")
    return build_graph(ends[0], ends[1], count, node_fields, fields, undirected=undirected)


def node_names(edges: pandas.DataFrame, *, src: str = "src", dst: str = "dst") -> np.ndarray:
    """Return the distinct node names of an edge table, sorted.

    Raises
    ------
    DataError
        If an endpoint is missing.

    Examples
    --------
    >>> import pandas
    >>> node_names(pandas.DataFrame({"src": ["b"], "dst": ["a"]})).tolist()
    ['a', 'b']
    """
    import pandas

    both = pandas.concat([edges[src], edges[dst]], ignore_index=True)
    if both.isna().any():
        row = int(np.flatnonzero(np.array(edges[src].isna() | edges[dst].isna()))[0])
        raise DataError(f"row {row} of the edge table lacks an endpoint")
    if both.dtype.kind == "f" and bool((both % 1 == 0).all()):
        both = both.astype("int64")
    return np.array(sorted(both.unique().tolist(), key=lambda name: (str(type(name)), name)))


def _numbered(column: pandas.Series, names: Any, title: str) -> np.ndarray:
    import pandas

    index = pandas.Index(names)
    if not index.is_unique:
        raise GraphKitError(f"the node table names {index[index.duplicated()][0]!r} twice; expected each node once")
    found = index.get_indexer(pandas.Index(column))
    if (found < 0).any():
        row = int(np.flatnonzero(found < 0)[0])
        raise GraphKitError(f"row {row} of the edge table has {title} {column.iloc[row]!r}, which is no node")
    return found


def to_pandas(graph: dgl.DGLGraph) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Turn a DGLGraph into an edge table and a node table, the inverse of :func:`from_pandas`.

    Parameters
    ----------
    graph : dgl.DGLGraph

    Returns
    -------
    edges : pandas.DataFrame
        ``src``, ``dst`` and the edge fields, in the order of edge ids; a field ``x [E, D]`` as columns ``x_0, ...``.
    nodes : pandas.DataFrame
        The node fields.

    Raises
    ------
    GraphKitError
        If a field has more than two dimensions.

    Examples
    --------
    >>> import graphkit
    >>> edges, nodes = to_pandas(graphkit.graphs.graph([0], [1], node_fields={"feat": [[1.0, 2.0], [3.0, 4.0]]}))
    >>> edges.values.tolist(), list(nodes.columns)
    ([[0, 1]], ['feat_0', 'feat_1'])
    """
    import pandas

    src, dst = graph.edges(order="eid")
    edges = {"src": src.cpu().numpy(), "dst": dst.cpu().numpy(), **_columns(graph.edata)}
    return pandas.DataFrame(edges), pandas.DataFrame(_columns(graph.ndata), index=range(graph.num_nodes()))


def _columns(fields: Any) -> dict[str, np.ndarray]:
    columns = {}
    for name, value in fields.items():
        array = value.detach().cpu().numpy()
        if array.ndim > 2:
            raise GraphKitError(f"the field {name!r} has shape {array.shape}; a table holds one or two dimensions")
        columns.update(
            {name: array} if array.ndim == 1 else {f"{name}_{i}": array[:, i] for i in range(array.shape[1])}
        )
    return columns


def from_edge_list(
    path: str | os.PathLike,
    *,
    delimiter: str | None = None,
    comments: str = "#",
    undirected: bool = False,
    weighted: bool | None = None,
) -> dgl.DGLGraph:
    r"""Read a text file of one edge a line: source, destination and, if there is one, a weight.

    Parameters
    ----------
    path : path
        UTF-8 text, perhaps with ``.gz``, ``.bz2``, ``.xz`` compression.
    delimiter : str, optional
        By default a comma if the first edge has one, else blanks.
    comments : str
        What follows it on a line is ignored.
    undirected : bool
        Store both directions, once each, with ``reverse_id``.
    weighted : bool, optional
        Whether the third column is ``weight``; by default if there are exactly three columns of numbers.

    Raises
    ------
    DataError
        Naming the file, and the line where there is one, if it cannot be read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "edges.txt"
    >>> _ = path.write_text("# a path\n0 1 0.5\n1 2 2\n")
    >>> from_edge_list(path).edata["weight"].tolist()
    [0.5, 2.0]
    """
    import pandas

    path = Path(path)
    lines = _lines(path, comments)
    if not lines:
        return build_graph([], [], 0)
    if delimiter is None:
        delimiter = "," if "," in lines[0][1] else None
    rows = [[part.strip() for part in text.split(delimiter)] for _, text in lines]
    width = len(rows[0])
    for (number, text), row in zip(lines, rows, strict=True):
        if len(row) != width or len(row) < 2 or not all(row[:2]):
            raise DataError(f"{path}, line {number}: {text!r} has {len(row)} columns; expected {max(width, 2)}")
    table = pandas.DataFrame({"src": _typed([r[0] for r in rows]), "dst": _typed([r[1] for r in rows])})
    if table["src"].dtype != table["dst"].dtype:
        table = pandas.DataFrame({"src": [r[0] for r in rows], "dst": [r[1] for r in rows]})
    if weighted or (weighted is None and width == 3):
        weights = pandas.to_numeric(pandas.Series([row[2] if width > 2 else "" for row in rows]), errors="coerce")
        if weights.notna().all():
            table["weight"] = weights
        elif weighted:
            number, text = lines[int(np.flatnonzero(weights.isna())[0])]
            raise DataError(f"{path}, line {number}: {text!r} has no number as weight")
    for column in ("src", "dst"):
        if table[column].dtype.kind == "i" and (table[column] < 0).any():
            number, text = lines[int(np.flatnonzero(table[column] < 0)[0])]
            raise DataError(f"{path}, line {number}: {text!r} has a negative node id")
    return from_pandas(table, undirected=undirected)


def _typed(names: list[str]) -> Any:
    """Return whole numbers where all names are."""
    try:
        return np.array(names, dtype=np.int64)
    except (ValueError, OverflowError):
        return names


def _lines(path: Path, comments: str) -> list[tuple[int, str]]:
    """Return number and text of each line that holds something."""
    import bz2
    import gzip
    import lzma

    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            cut = (line.partition(comments)[0].strip() if comments else line.strip() for line in file)
            return [(number, text) for number, text in enumerate(cut, 1) if text]
    except (OSError, UnicodeDecodeError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error


def to_edge_list(graph: dgl.DGLGraph, path: str | os.PathLike, *, delimiter: str = " ") -> None:
    """Write one line per edge, in the order of edge ids: source, destination and, if there is one, ``weight``.

    Of an undirected graph (``reverse_id``) each edge is written once. Nodes without edges are not in the file.

    Parameters
    ----------
    graph : dgl.DGLGraph
    path : path
    delimiter : str

    Examples
    --------
    >>> import graphkit, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "edges.csv"
    >>> to_edge_list(graphkit.graphs.graph([0, 1], [1, 2], undirected=True), path, delimiter=",")
    >>> path.read_text().split()
    ['0,1', '1,2']
    """
    from graphkit.graphs.convert import _one_of_each

    src, dst, ids = _one_of_each(graph)
    columns = [src.tolist(), dst.tolist()]
    if "weight" in graph.edata:
        columns.append(graph.edata["weight"][ids].tolist())
    text = "".join(delimiter.join(map(str, row)) + "\n" for row in zip(*columns, strict=True))
    Path(path).write_text(text, encoding="utf-8")
