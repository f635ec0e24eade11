"""Graphs of other libraries, and back: networkx, scipy, PyG, heterographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, require
from graphkit.graphs.build import graph as build_graph
from graphkit.graphs.build import undirect

if TYPE_CHECKING:
    import dgl

#: What PyG calls the standard fields.
_PYG_NODE = {"x": "feat", "y": "label", "pos": "pos"}
_PYG_EDGE = {"edge_attr": "feat", "edge_weight": "weight", "edge_type": "etype", "edge_label": "label"}


def _numbers(rows: list[Mapping[str, Any]], wanted: Sequence[str] | None, what: str) -> dict[str, Tensor]:
    """Stack the attributes that all rows have as numbers; those asked for by name must be."""
    fields = {}
    for name in wanted if wanted is not None else (rows[0] if rows else ()):
        try:
            values = np.array([row[name] for row in rows])
            if values.dtype.kind not in "biuf":
                raise TypeError(f"holds {type(rows[0][name]).__name__}")
            fields[str(name)] = torch.from_numpy(values)
        except (KeyError, TypeError, ValueError) as error:
            if wanted is not None:
                why = "is missing on some" if isinstance(error, KeyError) else "is not numeric, or not of one shape"
                raise GraphKitError(f"the {what} attribute {name!r} {why}; expected numbers on every {what}") from None
    return fields


def from_networkx(
    source: Any, node_attrs: Sequence[str] | None = None, edge_attrs: Sequence[str] | None = None
) -> dgl.DGLGraph:
    """Turn a networkx graph of any of its four kinds into a DGLGraph.

    Nodes are numbered in the order of ``source.nodes``. An undirected graph stores both directions with
    ``reverse_id``; parallel edges are kept.

    Parameters
    ----------
    source : networkx.Graph
    node_attrs, edge_attrs : sequence of str, optional
        Attributes that become fields; by default all that every node (edge) has as numbers of one shape.

    Raises
    ------
    GraphKitError
        If an attribute asked for is missing or not numeric.

    Examples
    --------
    >>> import networkx
    >>> g = from_networkx(networkx.path_graph(3))
    >>> g.num_edges(), g.edata["reverse_id"].tolist()
    (4, [1, 0, 3, 2])
    """
    place = {name: i for i, name in enumerate(source.nodes)}
    edges = list(source.edges(data=True))
    src = torch.tensor([place[u] for u, _, _ in edges], dtype=torch.int64)
    dst = torch.tensor([place[v] for _, v, _ in edges], dtype=torch.int64)
    nodes = _numbers([data for _, data in source.nodes(data=True)], node_attrs, "node")
    fields = _numbers([data for _, _, data in edges], edge_attrs, "edge")
    if not source.is_directed():
        src, dst, fields = undirect(src, dst, fields, coalesce=False)
    return build_graph(src, dst, len(place), nodes, fields)


def _plain(tensor: Tensor) -> list:
    return tensor.detach().cpu().tolist()


def _one_of_each(graph: dgl.DGLGraph) -> tuple[Tensor, Tensor, Tensor]:
    """Return source, destination and id of every edge, of a twin pair only one."""
    src, dst = graph.edges(order="eid")
    ids = torch.arange(len(src))
    twin = graph.edata.get("reverse_id")
    if twin is not None:
        ids = ids[(src < dst) | ((src == dst) & (ids <= twin))]
    return src[ids], dst[ids], ids


def to_networkx(
    graph: dgl.DGLGraph, node_attrs: Sequence[str] | None = None, edge_attrs: Sequence[str] | None = None
) -> Any:
    """Turn a DGLGraph into a networkx graph: undirected if its edges know their twins (``reverse_id``).

    Parameters
    ----------
    graph : dgl.DGLGraph
    node_attrs, edge_attrs : sequence of str, optional
        Fields that become attributes (numbers or lists); by default all but ``reverse_id``.

    Returns
    -------
    networkx.Graph
        Graph, DiGraph, or their Multi form where edges are parallel.

    Examples
    --------
    >>> import graphkit
    >>> to_networkx(graphkit.graphs.graph([0, 1], [1, 2], undirected=True)).edges
    EdgeView([(0, 1), (1, 2)])
    """
    import networkx

    src, dst, ids = _one_of_each(graph)
    ends = torch.stack([src, dst], 1)
    parallel = len(torch.unique(ends, dim=0)) < len(ends)
    kinds = {
        (False, False): networkx.DiGraph,
        (False, True): networkx.MultiDiGraph,
        (True, False): networkx.Graph,
        (True, True): networkx.MultiGraph,
    }
    made = kinds["reverse_id" in graph.edata, parallel]()
    made.add_nodes_from(range(graph.num_nodes()))
    edge_names = [n for n in graph.edata if n != "reverse_id"] if edge_attrs is None else list(edge_attrs)
    columns = [_plain(_field(graph.edata, name, "edge")[ids]) for name in edge_names]
    rows = zip(*columns, strict=True) if columns else ((),) * len(ids)
    made.add_edges_from(
        (u, v, dict(zip(edge_names, row, strict=True)))
        for u, v, row in zip(src.tolist(), dst.tolist(), rows, strict=True)
    )
    for name in graph.ndata if node_attrs is None else node_attrs:
        networkx.set_node_attributes(made, dict(enumerate(_plain(_field(graph.ndata, name, "node")))), name)
    return made


def _field(fields: Mapping[str, Tensor], name: str, what: str) -> Tensor:
    if name not in fields:
        from graphkit.core.errors import unknown

        raise unknown(f"{what} field", name, fields)
    return fields[name]


def from_scipy(
    matrix: Any, undirected: bool = False, weight: bool | None = None, node_fields: Mapping[str, Any] | None = None
) -> dgl.DGLGraph:
    """Turn a scipy sparse matrix or array into a DGLGraph: entry (i, j) is an edge from i to j.

    Parameters
    ----------
    matrix : scipy.sparse matrix or array
        Square ``[N, N]``, of any format, also the new ``coo_array``; entries stored twice are added up, stored zeros
        are no edges.
    undirected : bool
        Store both directions with ``reverse_id``.
    weight : bool, optional
        Whether to store the entries as ``weight``; by default if one of them is not 1.
    node_fields : mapping of str to array_like, optional
        ``[N, ...]`` each.

    Raises
    ------
    GraphKitError
        If the matrix is not sparse or not square.

    Examples
    --------
    >>> import scipy.sparse
    >>> g = from_scipy(scipy.sparse.coo_array(([2.0, 1.0], ([0, 1], [1, 2])), shape=(3, 3)))
    >>> g.edges()[1].tolist(), g.edata["weight"].tolist()
    ([1, 2], [2.0, 1.0])
    """
    import scipy.sparse

    if not scipy.sparse.issparse(matrix):
        raise GraphKitError(f"expected a scipy sparse matrix, got {type(matrix).__name__}")
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise GraphKitError(f"expected a square matrix, got shape {tuple(matrix.shape)}")
    rows = scipy.sparse.csr_array(matrix)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    entries = scipy.sparse.coo_array(rows)
    row, column = entries.coords if hasattr(entries, "coords") else (entries.row, entries.col)
    store = bool((entries.data != 1).any()) if weight is None else weight
    edge_fields = {"weight": entries.data.astype(np.float32)} if store else {}
    return build_graph(row, column, matrix.shape[0], node_fields, edge_fields, undirected=undirected)


def to_scipy(graph: dgl.DGLGraph, weight: str | None = "weight", format: str = "csr") -> Any:
    """Turn a DGLGraph into a scipy sparse array ``[N, N]``: an edge from i to j is entry (i, j).

    Parameters
    ----------
    graph : dgl.DGLGraph
    weight : str or None
        The edge field that gives the entries, 1 where there is no such field; parallel edges add up.
    format : str
        ``"csr"``, ``"csc"``, ``"coo"``, ...

    Examples
    --------
    >>> import graphkit
    >>> to_scipy(graphkit.graphs.graph([0, 1], [1, 2])).toarray().tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    import scipy.sparse

    src, dst = graph.edges(order="eid")
    values = graph.edata.get(weight) if weight else None
    values = np.ones(len(src), dtype=np.float32) if values is None else values.detach().cpu().numpy()
    if values.ndim != 1:
        raise GraphKitError(f"the edge field {weight!r} has shape {values.shape}; expected one number per edge")
    made = scipy.sparse.coo_array(
        (values, (src.cpu().numpy(), dst.cpu().numpy())), shape=(graph.num_nodes(), graph.num_nodes())
    )
    made.sum_duplicates()
    return made.asformat(format)


def from_pyg(data: Any, undirected: bool = False) -> dgl.DGLGraph:
    """Turn a PyG ``Data`` into a DGLGraph, or a ``HeteroData`` into a heterograph.

    ``x``, ``y``, ``edge_attr``, ``edge_weight``, ``edge_type`` become ``feat``, ``label``, ``feat``, ``weight``,
    ``etype``; other tensors of one row per node or edge keep their names. What belongs to the whole graph is left out.

    Parameters
    ----------
    data : torch_geometric.data.Data or HeteroData
    undirected : bool
        For ``Data``: store both directions, once each, with ``reverse_id``; edges are then sorted.

    Raises
    ------
    GraphKitError
        If ``data`` is neither.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from_pyg(SimpleNamespace(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=4)).num_nodes()
    4
    """
    if hasattr(data, "edge_types") and hasattr(data, "node_types"):
        return _from_hetero_data(data)
    if getattr(data, "edge_index", None) is None:
        raise GraphKitError(f"expected a PyG Data with edge_index, got {type(data).__name__}")
    nodes, edges = _pyg_fields(data, int(data.num_nodes), data.edge_index.shape[1])
    src, dst = data.edge_index
    return build_graph(src, dst, int(data.num_nodes), nodes, edges, undirected=undirected)


def _pyg_fields(data: Any, num_nodes: int, num_edges: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    nodes, edges = {}, {}
    keys = data.keys() if callable(getattr(data, "keys", None)) else vars(data)
    for name in keys:
        value = data[name] if hasattr(data, "__getitem__") else getattr(data, name)
        if name == "edge_index" or not isinstance(value, Tensor) or value.dim() == 0:
            continue
        of_edge = name in _PYG_EDGE or name.startswith("edge") or name == "reverse_id"
        if of_edge and len(value) == num_edges:
            edges[_PYG_EDGE.get(name, name.removeprefix("edge_"))] = value
        elif not of_edge and len(value) == num_nodes:
            nodes[_PYG_NODE.get(name, name)] = value
        elif len(value) == num_edges:
            edges[name] = value
    if "feat" in edges and edges["feat"].dim() == 1:
        edges["feat"] = edges["feat"][:, None]
    return nodes, edges


def _from_hetero_data(data: Any) -> dgl.DGLGraph:
    import dgl

    ends = {kind: tuple(data[kind].edge_index) for kind in data.edge_types}
    counts = {kind: int(data[kind].num_nodes) for kind in data.node_types}
    made = dgl.heterograph(ends, num_nodes_dict=counts)
    for kind in data.node_types:
        made.nodes[kind].data.update(_pyg_fields(data[kind], counts[kind], -1)[0])
    for kind in data.edge_types:
        made.edges[kind].data.update(_pyg_fields(data[kind], -1, len(ends[kind][0]))[1])
    return made


def to_pyg(graph: dgl.DGLGraph) -> Any:
    """Turn a DGLGraph into a PyG ``Data``, the inverse of :func:`from_pyg`.

    Parameters
    ----------
    graph : dgl.DGLGraph
        Homogeneous.

    Raises
    ------
    MissingExtraError
        If PyG is not installed.

    Examples
    --------
    >>> import graphkit
    >>> to_pyg(graphkit.graphs.graph([0, 1], [1, 2])).edge_index.tolist()  # doctest: +SKIP
    [[0, 1], [1, 2]]
    """
    require("torch_geometric", "bench", "to_pyg")
    from torch_geometric.data import Data

    if not graph.is_homogeneous:
        raise GraphKitError(f"expected a homogeneous graph, got {len(graph.ntypes)} node types; use to_typed first")
    nodes = {mine: theirs for theirs, mine in _PYG_NODE.items()}
    edges = {mine: theirs for theirs, mine in _PYG_EDGE.items()}
    values = {nodes.get(name, name): value for name, value in graph.ndata.items()}
    for name, value in graph.edata.items():
        standard = edges.get(name, name if name == "reverse_id" else f"edge_{name}")
        values[standard] = value
    return Data(edge_index=torch.stack(graph.edges(order="eid")), num_nodes=graph.num_nodes(), **values)


@dataclass
class Typed:
    """A heterograph as one typed homogeneous graph.

    Parameters
    ----------
    graph : dgl.DGLGraph
        ``ntype`` int64 ``[N]`` and ``etype`` int64 ``[E]``; nodes and edges of one type stand together, in the order
        of ``ntypes`` and ``etypes``.
    ntypes : list of str
    etypes : list of (str, str, str)
    offsets : Tensor
        int64 ``[len(ntypes) + 1]``: where each node type begins.
    fields : dict
        ``feat``: the features by node type, where their widths differ or some types have none.
    """

    graph: dgl.DGLGraph
    ntypes: list[str]
    etypes: list[tuple[str, str, str]]
    offsets: Tensor
    fields: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def to_typed(source: dgl.DGLGraph) -> Typed:
    """Turn a heterograph into one homogeneous graph with ``ntype`` and ``etype``.

    A node field that every type has in one shape is concatenated. ``label`` and boolean masks of some types are
    filled with "missing" (-1, NaN, False) on the others. Everything else stays in ``fields``, by type. Edge fields
    that every relation has in one shape are concatenated.

    Parameters
    ----------
    source : dgl.DGLGraph
        A heterograph.

    Returns
    -------
    Typed

    Examples
    --------
    >>> import graphkit, dgl
    >>> made = to_typed(dgl.heterograph({("a", "to", "b"): ([0, 1], [0, 0]), ("b", "back", "a"): ([0], [1])}))
    >>> made.graph.ndata["ntype"].tolist(), made.graph.edata["etype"].tolist(), made.graph.edges()[0].tolist()
    ([0, 0, 1], [0, 0, 1], [0, 1, 2])
    """
    ntypes, etypes = list(source.ntypes), sorted(source.canonical_etypes, key=source.get_etype_id)
    counts = torch.tensor([source.num_nodes(kind) for kind in ntypes])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cumsum(counts, 0)])
    start = dict(zip(ntypes, offsets.tolist(), strict=False))
    ends = [source.edges(etype=kind, order="eid") for kind in etypes]
    src = torch.cat([u + start[kind[0]] for (u, _), kind in zip(ends, etypes, strict=True)])
    dst = torch.cat([v + start[kind[2]] for (_, v), kind in zip(ends, etypes, strict=True)])
    sizes = torch.tensor([len(u) for u, _ in ends])
    nodes, apart = _merge({kind: dict(source.nodes[kind].data) for kind in ntypes}, counts.tolist(), fill=True)
    edges, _ = _merge({kind: dict(source.edges[kind].data) for kind in etypes}, sizes.tolist(), fill=False)
    nodes["ntype"] = torch.repeat_interleave(torch.arange(len(ntypes)), counts)
    edges["etype"] = torch.repeat_interleave(torch.arange(len(etypes)), sizes)
    return Typed(build_graph(src, dst, int(counts.sum()), nodes, edges), ntypes, etypes, offsets, apart)


def _missing(like: Tensor, rows: int) -> Tensor:
    """Return ``rows`` rows that say "missing"."""
    value = False if like.dtype == torch.bool else float("nan") if like.is_floating_point() else -1
    return torch.full((rows, *like.shape[1:]), value, dtype=like.dtype)


def _merge(
    by_type: dict[Any, dict[str, Tensor]], counts: list[int], fill: bool
) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """Concatenate fields over types where their shapes agree; return the others by type."""
    merged: dict[str, Tensor] = {}
    apart: dict[str, dict[str, Tensor]] = {}
    names = sorted({name for fields in by_type.values() for name in fields} - {"ntype", "etype", "reverse_id"})
    for name in names:
        held = {kind: fields[name] for kind, fields in by_type.items() if name in fields}
        like = next(iter(held.values()))
        same = all(v.shape[1:] == like.shape[1:] and v.dtype == like.dtype for v in held.values())
        fillable = fill and (name == "label" or like.dtype == torch.bool)
        if same and (len(held) == len(by_type) or fillable):
            parts = [held.get(kind) for kind in by_type]
            merged[name] = torch.cat(
                [_missing(like, n) if part is None else part for part, n in zip(parts, counts, strict=True)]
            )
        else:
            apart[name] = held
    return merged, apart
