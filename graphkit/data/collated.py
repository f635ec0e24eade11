"""A set of graphs as concatenated arrays and offsets: one graph is built on access, a batch from slices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.check import check_finite
from graphkit.core.errors import DataError, GraphKitError
from graphkit.graphs.build import check_ids

if TYPE_CHECKING:
    import dgl

Fields = dict[str, Tensor]


def offsets_of(counts: Tensor) -> Tensor:
    """Return int64 ``[B + 1]`` offsets from ``[B]`` counts.

    >>> offsets_of(torch.tensor([2, 3])).tolist()
    [0, 2, 5]
    """
    out = torch.zeros(len(counts) + 1, dtype=torch.int64)
    torch.cumsum(counts, 0, out=out[1:])
    return out


def spread(values: Tensor, counts: Tensor) -> Tensor:
    """Repeat ``values[i]`` ``counts[i]`` times, int64; numpy does it in a third of torch's time.

    >>> spread(torch.tensor([5, 7]), torch.tensor([2, 1])).tolist()
    [5, 5, 7]
    """
    return torch.from_numpy(np.repeat(values.numpy(), counts.numpy()))


def ranges(starts: Tensor, counts: Tensor) -> Tensor:
    """Concatenate the ranges ``starts[i] .. starts[i] + counts[i]`` without a loop, int64.

    >>> ranges(torch.tensor([5, 0]), torch.tensor([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    made = spread(starts - offsets_of(counts)[:-1], counts)
    return made.add_(torch.arange(len(made)))


@dataclass
class Collated:
    """B graphs as one: node ids are global, graph i owns the nodes ``node_offsets[i] .. node_offsets[i + 1]``.

    Parameters
    ----------
    node_offsets, edge_offsets : Tensor
        int64 ``[B + 1]``.
    src, dst : Tensor
        int64 ``[E]``, ids inside their own graph; the edges of one graph stand together.
    node_fields, edge_fields, graph_fields : dict of str to Tensor
        ``[N, ...]``, ``[E, ...]``, ``[B, ...]``. ``reverse_id`` counts edges inside their own graph.

    Raises
    ------
    DataError
        If an id is out of range, a field has the wrong number of rows, or features hold NaN.

    Examples
    --------
    >>> import graphkit
    >>> two = Collated.from_edges(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([2, 2]))
    >>> two[1].edges()[1].tolist(), two.batch([1, 0])[0].batch_num_nodes().tolist()
    ([1], [2, 2])
    """

    node_offsets: Tensor
    edge_offsets: Tensor
    src: Tensor
    dst: Tensor
    node_fields: Fields = field(default_factory=dict)
    edge_fields: Fields = field(default_factory=dict)
    graph_fields: Fields = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = {"node": self.num_nodes, "edge": self.num_edges, "graph": len(self)}
        for kind, fields in (("node", self.node_fields), ("edge", self.edge_fields), ("graph", self.graph_fields)):
            for name, value in fields.items():
                if len(value) != rows[kind]:
                    raise DataError(
                        f"{kind} field {name!r} has {len(value)} rows; expected one for each of {rows[kind]}"
                    )
                if name == "feat":
                    check_finite(f"{kind} field 'feat'", value)
        sizes = self.node_counts.repeat_interleave(self.edge_counts)
        for name, ids in (("src", self.src), ("dst", self.dst)):
            wrong = ((ids < 0) | (ids >= sizes)).nonzero()[:1, 0]
            if len(wrong):
                e = int(wrong[0])
                g = int(torch.searchsorted(self.edge_offsets, e, right=True)) - 1
                raise DataError(f"edge {e} has {name} {int(ids[e])}, but its graph {g} has {int(sizes[e])} nodes")

    @classmethod
    def trusted(cls, *arrays: Any) -> Collated:
        """Make a set of what was checked before, such as a copy in the cache, in the order of the parameters."""
        made = object.__new__(cls)
        for one, value in zip(dataclasses.fields(cls), arrays, strict=True):
            setattr(made, one.name, value)
        return made

    @classmethod
    def from_edges(
        cls,
        src: Tensor,
        dst: Tensor,
        node_counts: Tensor,
        node_fields: Mapping[str, Tensor] | None = None,
        edge_fields: Mapping[str, Tensor] | None = None,
        graph_fields: Mapping[str, Tensor] | None = None,
    ) -> Collated:
        """Collate edges of global node ids, given how many nodes each graph has.

        Parameters
        ----------
        src, dst : Tensor
            int64 ``[E]``, global ids, in any order (the order inside each graph is kept).
        node_counts : Tensor
            int64 ``[B]``.
        node_fields, edge_fields, graph_fields : mapping of str to Tensor, optional
            ``reverse_id`` as global edge ids.

        Raises
        ------
        DataError
            If an edge joins two graphs, or an id is out of range.
        """
        offsets = offsets_of(node_counts)
        total, edge_fields = int(offsets[-1]), dict(edge_fields or {})
        for name, ids in (("src", src), ("dst", dst)):
            try:
                check_ids(ids, total, name)
            except GraphKitError as error:
                raise DataError(str(error)) from None
        owner = torch.repeat_interleave(torch.arange(len(node_counts)), node_counts)
        if len(node_counts) > 1 and len(src):
            apart = (owner[src] != owner[dst]).nonzero()[:1, 0]
            if len(apart):
                e = int(apart[0])
                raise DataError(
                    f"edge {e} joins node {int(src[e])} of graph {int(owner[src[e]])} and node {int(dst[e])} of graph "
                    f"{int(owner[dst[e]])}; expected edges inside graphs"
                )
        of_edge = owner[dst]
        if len(node_counts) > 1 and not bool((of_edge[1:] >= of_edge[:-1]).all()):
            order = torch.argsort(of_edge, stable=True)
            src, dst, of_edge = src[order], dst[order], of_edge[order]
            edge_fields = {name: value[order] for name, value in edge_fields.items()}
            if "reverse_id" in edge_fields:
                edge_fields["reverse_id"] = torch.argsort(order)[edge_fields["reverse_id"]]
        edge_offsets = offsets_of(torch.bincount(of_edge, minlength=len(node_counts)))
        if "reverse_id" in edge_fields:
            edge_fields["reverse_id"] = edge_fields["reverse_id"] - edge_offsets[of_edge]
        shift = offsets[of_edge]
        return cls(
            offsets,
            edge_offsets,
            src - shift,
            dst - shift,
            dict(node_fields or {}),
            edge_fields,
            dict(graph_fields or {}),
        )

    @classmethod
    def from_graphs(cls, graphs: Sequence[dgl.DGLGraph], graph_fields: Mapping[str, Tensor] | None = None) -> Collated:
        """Collate DGLGraphs; they must have the same fields.

        Raises
        ------
        DataError
            If the graphs' fields differ.
        """
        edges = [graph.edges(order="eid") for graph in graphs]
        empty = [torch.empty(0, dtype=torch.int64)]
        return cls(
            offsets_of(torch.tensor([graph.num_nodes() for graph in graphs], dtype=torch.int64)),
            offsets_of(torch.tensor([graph.num_edges() for graph in graphs], dtype=torch.int64)),
            torch.cat([src for src, _ in edges] or empty).long(),
            torch.cat([dst for _, dst in edges] or empty).long(),
            _stack([graph.ndata for graph in graphs], "node"),
            _stack([graph.edata for graph in graphs], "edge"),
            dict(graph_fields or {}),
        )

    def __len__(self) -> int:
        return len(self.node_offsets) - 1

    @property
    def num_nodes(self) -> int:
        """Nodes of all graphs."""
        return int(self.node_offsets[-1])

    @property
    def num_edges(self) -> int:
        """Edges of all graphs, both directions of an undirected edge counted."""
        return len(self.src)

    @property
    def node_counts(self) -> Tensor:
        """Nodes of each graph, int64 ``[B]``."""
        return self.node_offsets.diff()

    @property
    def edge_counts(self) -> Tensor:
        """Edges of each graph, int64 ``[B]``."""
        return self.edge_offsets.diff()

    def __getitem__(self, index: int) -> dgl.DGLGraph:
        """Build graph ``index`` with its node and edge fields.

        Raises
        ------
        IndexError
            If there is no such graph.
        """
        from graphkit import _dgl

        if not -len(self) <= index < len(self):
            raise IndexError(f"graph {index} of {len(self)}")
        index %= len(self)
        nodes = slice(int(self.node_offsets[index]), int(self.node_offsets[index + 1]))
        edges = slice(int(self.edge_offsets[index]), int(self.edge_offsets[index + 1]))
        graph = _dgl.from_arrays(self.src[edges], self.dst[edges], nodes.stop - nodes.start)
        graph.ndata.update({name: value[nodes] for name, value in self.node_fields.items()})
        graph.edata.update({name: value[edges] for name, value in self.edge_fields.items()})
        return graph

    def batch(self, ids: Any) -> tuple[dgl.DGLGraph, Fields, Fields, Fields]:
        """Build one batched graph of the graphs ``ids`` from slices, with no loop over graphs.

        Parameters
        ----------
        ids : Tensor or sequence of int
            ``[b]``; repeats are allowed.

        Returns
        -------
        graph : dgl.DGLGraph
            With ``batch_num_nodes`` and ``batch_num_edges`` set, without fields.
        node_fields, edge_fields, graph_fields : dict of str to Tensor
            Rows in the batch's order; ``reverse_id`` counts edges of the batch.

        Raises
        ------
        GraphKitError
            If an id is out of range.
        """
        from graphkit import _dgl

        ids = torch.as_tensor(ids, dtype=torch.int64).reshape(-1)
        check_ids(ids, len(self), "ids", "graphs")
        node_counts, edge_counts = self.node_counts[ids], self.edge_counts[ids]
        nodes, edges = ranges(self.node_offsets[ids], node_counts), ranges(self.edge_offsets[ids], edge_counts)
        shift = spread(offsets_of(node_counts)[:-1], edge_counts)
        src, dst = (ends.index_select(0, edges).add_(shift) for ends in (self.src, self.dst))
        graph = _dgl.from_arrays(src, dst, len(nodes))
        graph.set_batch_num_nodes(node_counts)
        graph.set_batch_num_edges(edge_counts)
        edge_fields = {name: value.index_select(0, edges) for name, value in self.edge_fields.items()}
        if "reverse_id" in edge_fields:
            edge_fields["reverse_id"].add_(spread(offsets_of(edge_counts)[:-1], edge_counts))
        return (
            graph,
            {name: value.index_select(0, nodes) for name, value in self.node_fields.items()},
            edge_fields,
            {name: value.index_select(0, ids) for name, value in self.graph_fields.items()},
        )

    def subset(self, ids: Any) -> Collated:
        """Return the set of the graphs ``ids`` alone."""
        ids = torch.as_tensor(ids, dtype=torch.int64).reshape(-1)
        check_ids(ids, len(self), "ids", "graphs")
        node_counts, edge_counts = self.node_counts[ids], self.edge_counts[ids]
        nodes, edges = ranges(self.node_offsets[ids], node_counts), ranges(self.edge_offsets[ids], edge_counts)
        return Collated(
            offsets_of(node_counts),
            offsets_of(edge_counts),
            self.src[edges],
            self.dst[edges],
            {name: value[nodes] for name, value in self.node_fields.items()},
            {name: value[edges] for name, value in self.edge_fields.items()},
            {name: value[ids] for name, value in self.graph_fields.items()},
        )

    def keep_edges(self, keep: Tensor) -> Collated:
        """Return the set without the edges where ``keep`` (bool ``[E]``) is False; twins must go together."""
        fields = {name: value[keep] for name, value in self.edge_fields.items()}
        before = offsets_of(keep.long())
        edge_offsets = before[self.edge_offsets]
        if "reverse_id" in fields:
            first = torch.repeat_interleave(self.edge_offsets[:-1], self.edge_counts)
            now = torch.repeat_interleave(edge_offsets[:-1], self.edge_counts)
            fields["reverse_id"] = (before[self.edge_fields["reverse_id"] + first] - now)[keep]
        return Collated(
            self.node_offsets, edge_offsets, self.src[keep], self.dst[keep], self.node_fields, fields, self.graph_fields
        )


def _stack(tables: Sequence[Mapping[str, Tensor]], kind: str) -> Fields:
    if not tables:
        return {}
    names = set(tables[0])
    for index, table in enumerate(tables):
        if set(table) != names:
            raise DataError(
                f"graph {index} has the {kind} fields {sorted(table)}; expected those of graph 0, {sorted(names)}"
            )
    return {name: torch.cat([table[name] for table in tables]) for name in tables[0]}
