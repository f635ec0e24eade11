"""A DGLGraph from arrays of edges, with checks, twins and standard field names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    import dgl

#: Edge fields that tell parallel edges apart.
_IDENTITY = ("etype", "time")


def index_tensor(values: Any, name: str) -> Tensor:
    """Return ``values`` as a contiguous int64 vector on the CPU.

    Parameters
    ----------
    values : array_like
        Integers ``[n]``.
    name : str
        What they are, for the error.

    Raises
    ------
    GraphKitError
        If they are not whole numbers in one dimension.

    Examples
    --------
    >>> index_tensor([1, 2], "src").dtype
    torch.int64
    """
    found = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values, copy=True))
    if found.numel() == 0:
        return torch.empty(0, dtype=torch.int64)
    if found.dim() != 1:
        raise GraphKitError(f"{name} has shape {tuple(found.shape)}; expected one dimension of node ids")
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise GraphKitError(f"{name} has dtype {found.dtype}; expected whole numbers")
    return found.to(device="cpu", dtype=torch.int64).contiguous()


def check_ids(ids: Tensor, limit: int, name: str, what: str = "nodes") -> None:
    """Raise unless every id lies in ``[0, limit)``.

    Parameters
    ----------
    ids : Tensor
        int64, any shape.
    limit : int
        How many ``what`` there are.
    name, what : str
        For the error.

    Raises
    ------
    GraphKitError
        Naming the first id out of range and where it stands.

    Examples
    --------
    >>> check_ids(torch.tensor([0, 3]), 3, "dst")
    Traceback (most recent call last):
    graphkit.core.errors.GraphKitError: dst[1] is 3, but there are 3 nodes (ids 0 to 2)
    """
    if ids.numel() == 0 or (int(ids.min()) >= 0 and int(ids.max()) < limit):
        return
    where = int(((ids < 0) | (ids >= limit)).reshape(-1).nonzero()[0])
    held = f"there are {limit} {what} (ids 0 to {limit - 1})" if limit else f"there are no {what}"
    raise GraphKitError(f"{name}[{where}] is {int(ids.reshape(-1)[where])}, but {held}")


def _fields(fields: Mapping[str, Any] | None, rows: int, what: str) -> dict[str, Tensor]:
    """Return the fields as tensors of ``rows`` rows each."""
    made = {}
    for name, value in (fields or {}).items():
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value, copy=True))
        if tensor.dim() == 0 or len(tensor) != rows:
            raise GraphKitError(f"{what} field {name!r} has shape {tuple(tensor.shape)}; expected {rows} rows")
        made[name] = tensor.float() if tensor.dtype == torch.float64 else tensor
    return made


def _endpoints(src: Any, dst: Any, num_nodes: int | None) -> tuple[Tensor, Tensor, int]:
    """Return checked endpoints and the number of nodes."""
    src, dst = index_tensor(src, "src"), index_tensor(dst, "dst")
    if len(src) != len(dst):
        raise GraphKitError(f"src names {len(src)} edges and dst {len(dst)}; expected as many of each")
    if num_nodes is None:
        num_nodes = int(max(src.max(), dst.max())) + 1 if len(src) else 0
    check_ids(src, num_nodes, "src")
    check_ids(dst, num_nodes, "dst")
    return src, dst, int(num_nodes)


def _keys(columns: list[Tensor]) -> Tensor:
    """Return int64 ``[n]`` that orders, and tells apart, the rows of ``columns`` as they are read left to right."""
    key = torch.zeros(len(columns[0]), dtype=torch.int64)
    room = 1
    for column in columns:
        if column.is_floating_point() or column.dim() > 1:
            _, column = torch.unique(column, dim=0, return_inverse=True)
        low = int(column.min())
        width = int(column.max()) - low + 1
        if room * width >= 2**63:
            (_, key), (_, column) = (torch.unique(x, return_inverse=True) for x in (key, column))
            low, room, width = 0, int(key.max()) + 1, int(column.max()) + 1
        key, room = key * width + (column.long() - low), room * width
    return key


def _first(group: Tensor) -> Tensor:
    """Return the position where each value of ``group`` is first seen, in the order of values, int64."""
    ordered, order = torch.sort(group, stable=True)
    head = torch.ones(len(ordered), dtype=torch.bool)
    head[1:] = ordered[1:] != ordered[:-1]
    return order[head]


def undirect(
    src: Any,
    dst: Any,
    edge_fields: Mapping[str, Any] | None = None,
    num_nodes: int | None = None,
    *,
    coalesce: bool = True,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    r"""Store both directions of every edge, once each, with each edge knowing its twin.

    .. math:: E' = \{(u, v) : (u, v) \in E \text{ or } (v, u) \in E\}

    Edges with equal endpoints (in either order) and, where given, equal ``etype`` and ``time`` are one undirected
    edge, whose first appearance gives the fields of both directions. A self-loop stays one edge, its own twin.

    Parameters
    ----------
    src, dst : array_like
        Node ids ``[E]``, each edge in one direction or both.
    edge_fields : mapping of str to array_like, optional
        ``[E, ...]`` each.
    num_nodes : int, optional
        For the check of ids; by default one more than the largest.
    coalesce : bool
        False makes every given edge an undirected edge of its own, also where another joins the same nodes.

    Returns
    -------
    src, dst : Tensor
        int64 ``[E']``, sorted by time where there is one, then destination, then source.
    edge_fields : dict of str to Tensor
        The given fields and ``reverse_id`` (int64 ``[E']``): edge ``reverse_id[e]`` runs the other way.

    Raises
    ------
    GraphKitError
        If ids are out of range or lengths differ.

    Examples
    --------
    >>> src, dst, fields = undirect([0, 1, 2], [1, 0, 2], {"weight": [5.0, 6.0, 7.0]})
    >>> src.tolist(), dst.tolist(), fields["reverse_id"].tolist(), fields["weight"].tolist()
    ([1, 0, 2], [0, 1, 2], [1, 0, 2], [5.0, 5.0, 7.0])
    """
    src, dst, _ = _endpoints(src, dst, num_nodes)
    fields = _fields({k: v for k, v in (edge_fields or {}).items() if k != "reverse_id"}, len(src), "edge")
    identity = [fields[name] for name in _IDENTITY if name in fields]
    if not len(src):
        return src, dst, {**fields, "reverse_id": src.clone()}
    once = torch.arange(len(src))
    if coalesce:
        once = _first(_keys([torch.minimum(src, dst), torch.maximum(src, dst), *identity])).sort().values
    two = once[src[once] != dst[once]]
    source = torch.cat([src[once], dst[two]])
    target = torch.cat([dst[once], src[two]])
    row = torch.cat([once, two])
    twin = torch.arange(len(row))
    forward = (src[once] != dst[once]).nonzero()[:, 0]
    back = torch.arange(len(once), len(row))
    twin[forward], twin[back] = back, forward
    time = [fields["time"][row]] if "time" in fields else []
    relation = [fields["etype"][row]] if "etype" in fields else []
    order = torch.sort(_keys([*time, target, source, *relation]), stable=True).indices
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    made = {name: value[row[order]] for name, value in fields.items()}
    return source[order], target[order], {**made, "reverse_id": place[twin[order]]}


def graph(
    src: Any,
    dst: Any,
    num_nodes: int | None = None,
    node_fields: Mapping[str, Any] | None = None,
    edge_fields: Mapping[str, Any] | None = None,
    undirected: bool = False,
    sort: bool = False,
) -> dgl.DGLGraph:
    """Build a DGLGraph from its edges and fields.

    Parameters
    ----------
    src, dst : array_like
        Node ids ``[E]``.
    num_nodes : int, optional
        By default one more than the largest id.
    node_fields, edge_fields : mapping of str to array_like, optional
        ``[N, ...]`` and ``[E, ...]``, by their standard names (``feat``, ``label``, ``weight``, ``etype``, ...);
        float64 becomes float32.
    undirected : bool
        Store both directions, once each, with ``reverse_id`` (see :func:`undirect`).
    sort : bool
        Store edges by destination, then source; else in the order given. Undirected edges are sorted anyway.

    Returns
    -------
    dgl.DGLGraph

    Raises
    ------
    GraphKitError
        If ids are out of range or a field has the wrong number of rows.

    Examples
    --------
    >>> g = graph([0, 1], [1, 2], node_fields={"feat": [[1.0], [2.0], [3.0]]}, undirected=True)
    >>> g.num_nodes(), g.num_edges(), g.edata["reverse_id"].tolist()
    (3, 4, [1, 0, 3, 2])
    """
    from graphkit import _dgl

    if num_nodes is None and node_fields:
        num_nodes = len(next(iter(node_fields.values())))
    src, dst, num_nodes = _endpoints(src, dst, num_nodes)
    if undirected:
        src, dst, edge_fields = undirect(src, dst, edge_fields)
    edges = _fields(edge_fields, len(src), "edge")
    if sort and not undirected:
        order = torch.from_numpy(np.lexsort((src.numpy(), dst.numpy())))
        src, dst, edges = src[order], dst[order], {name: value[order] for name, value in edges.items()}
        if "reverse_id" in edges:
            edges["reverse_id"] = torch.argsort(order)[edges["reverse_id"]]
    made = _dgl.from_arrays(src, dst, num_nodes)
    made.ndata.update(_fields(node_fields, num_nodes, "node"))
    made.edata.update(edges)
    return made
