"""GML, the text format of Newman's network collection, read leniently: it may repeat edges and start ids anywhere."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, stand_in_features, tidy
from graphkit.data.store import Files

_TOKEN = re.compile(r'"[^"]*"|\[|\]|#[^\n]*|[^\s\[\]"]+|"|\n')


@register("gml", kind="reader", level="node link", title="GML: a portable graph file format")
def read_gml(
    files: Files,
    *,
    label: str = "",
    weight: str = "",
    directed: bool = False,
    largest_component: bool = False,
    features: str = "none",
) -> Raw:
    """Read the one ``graph [ node [ ... ] edge [ ... ] ]`` of a ``.gml`` file.

    Nodes are numbered in the order of the file. Repeated edges and self-loops are dropped and counted.

    Parameters
    ----------
    files : Files
    label : str
        Node attribute that is the class; its distinct values, numbers in their order, are the classes.
    weight : str
        Edge attribute that is the weight.
    directed : bool
        Keep the direction of edges; else both directions are stored.
    largest_component : bool
        Keep the largest weakly connected component only.
    features : str
        The file holds none: ``none``, ``degree`` or ``constant``.

    Returns
    -------
    Raw
        ``names["node"]`` from the attribute ``label`` of the nodes.

    Raises
    ------
    DataError
        Naming file and line: brackets that do not close, a node without id or attribute, an edge to no node.
    """
    found = [name for name in files.names() if name.endswith(".gml")]
    if len(found) != 1:
        raise DataError(f"expected one .gml file among the raw files, found {len(found)}")
    name = files.label(found[0])
    graph = _graph(files.read(found[0]).decode("utf-8", errors="replace"), name)
    nodes, edges = ([(line, dict(item)) for key, item, line in graph if key == kind] for kind in ("node", "edge"))
    place: dict[Any, int] = {}
    for line, node in nodes:
        if _need(node, "id", line, name, "node") in place:
            raise DataError(f"{name}, line {line}: the node id {node['id']} repeats")
        place[node["id"]] = len(place)
    ends = np.array([[_end(edge, side, place, line, name) for side in ("source", "target")] for line, edge in edges])
    ends = ends.reshape(-1, 2).astype(np.int64)
    titles = [html.unescape(str(node.get("label", node["id"]))) for _, node in nodes]
    names, node_fields, given = {"node": titles}, {}, {}
    if label:
        values = [_need(node, label, line, name, "node") for line, node in nodes]
        kinds = sorted(set(values), key=lambda value: (isinstance(value, str), value))
        names["class"] = [str(kind) for kind in kinds]
        node_fields["label"] = torch.tensor([kinds.index(value) for value in values])
    if weight:
        given["weight"] = np.array([_weight(edge, weight, line, name) for line, edge in edges], dtype=np.float32)
    if largest_component:
        ends, given, node_fields, names["node"] = _largest(ends, given, node_fields, titles)
    total = len(names["node"])
    src, dst, edge_fields, report = tidy(ends[:, 0], ends[:, 1], total, given, directed=directed)
    collated = Collated.from_edges(src, dst, torch.tensor([total]), node_fields, edge_fields)
    stand_in_features(collated, features)
    return Raw(collated, {}, names, report, not directed)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for found in _TOKEN.finditer(text):
        token = found.group()
        if token != "\n" and not token.startswith("#"):
            yield token, line
        line += token.count("\n")


def _value(token: str) -> Any:
    if token.startswith('"'):
        return token[1:-1]
    for kind in (int, float):
        try:
            return kind(token)
        except ValueError:
            continue
    return token


def _graph(text: str, name: str) -> list[tuple[str, Any, int]]:
    """Return the items of the one graph as (key, value, line), values being numbers, texts or lists of pairs."""
    top: list[tuple] = []
    stack: list[list] = [top]
    opened: list[int] = []
    key = ""
    line = 1
    for token, line in _tokens(text):
        if token == "]":
            if not opened or key:
                raise DataError(
                    f"{name}, line {line}: ']' where {'a value of ' + key if key else 'a key'} was expected"
                )
            stack.pop()
            opened.pop()
        elif not key:
            if token == "[" or token.startswith('"'):
                raise DataError(f"{name}, line {line}: {token[:40]} where a key was expected")
            key = token
        elif token == "[":
            inner: list = []
            stack[-1].append((key, inner, line) if len(stack) < 3 else (key, inner))
            stack.append(inner)
            opened.append(line)
            key = ""
        elif token == '"':
            raise DataError(f"{name}, line {line}: the text of {key} does not end")
        else:
            stack[-1].append((key, _value(token), line) if len(stack) < 3 else (key, _value(token)))
            key = ""
    if opened or key:
        where = f"the list that opens in line {opened[-1]} does not close" if opened else f"{key} has no value"
        raise DataError(f"{name} ends at line {line}, but {where}; it may be truncated")
    graphs = [item for kind, item, _ in top if kind == "graph" and isinstance(item, list)]
    if len(graphs) != 1:
        raise DataError(f"{name} holds {len(graphs)} graphs; expected one")
    for kind, item, where in graphs[0]:
        if kind in ("node", "edge") and not isinstance(item, list):
            raise DataError(f"{name}, line {where}: {kind} {item}; expected a list in brackets")
    return graphs[0]


def _need(item: dict, key: str, line: int, name: str, kind: str) -> Any:
    if key not in item or isinstance(item[key], list):
        raise DataError(f"{name}, line {line}: the {kind} has no {key!r}; it has {', '.join(item) or 'nothing'}")
    return item[key]


def _end(edge: dict, side: str, place: dict, line: int, name: str) -> int:
    end = _need(edge, side, line, name, "edge")
    if end not in place:
        raise DataError(f"{name}, line {line}: the edge's {side} is {end}, which is no node's id")
    return place[end]


def _weight(edge: dict, key: str, line: int, name: str) -> float:
    value = _need(edge, key, line, name, "edge")
    if isinstance(value, str):
        raise DataError(f"{name}, line {line}: the edge's {key} is {value!r}; expected a number")
    return float(value)


def _largest(ends: np.ndarray, given: dict, node_fields: dict, titles: list[str]) -> tuple:
    """Return edges, fields and names of the largest weakly connected component, nodes numbered anew."""
    import scipy.sparse

    matrix = scipy.sparse.coo_array((np.ones(len(ends)), ends.T), shape=(len(titles), len(titles)))
    _, owner = scipy.sparse.csgraph.connected_components(matrix, connection="weak")
    inside = owner == np.bincount(owner).argmax()
    edge = inside[ends[:, 0]]
    place = np.cumsum(inside) - 1
    kept = torch.from_numpy(inside)
    return (
        place[ends[edge]],
        {key: value[edge] for key, value in given.items()},
        {key: value[kept] for key, value in node_fields.items()},
        [title for title, keep in zip(titles, inside, strict=True) if keep],
    )
