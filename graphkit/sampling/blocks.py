"""Neighbour blocks: which edges carry messages into a set of nodes, hop by hop."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit import _dgl
from graphkit._kernels import neighbors as kernels
from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator, key
from graphkit.sampling.store import Store

if TYPE_CHECKING:
    import dgl


#: A table over all nodes is read faster than ids are searched for, up to so many nodes per id.
_TABLE = 16


def check_fanouts(fanouts: Sequence[int]) -> list[int]:
    """Return the fanouts as a list of integers.

    Parameters
    ----------
    fanouts : sequence of int
        Edges drawn into each node, one number per hop, outermost first; -1 takes all.

    Raises
    ------
    GraphKitError
        If there is none, or one is neither -1 nor positive.

    Examples
    --------
    >>> check_fanouts((10, -1))
    [10, -1]
    """
    if isinstance(fanouts, int) or not all(isinstance(f, int) for f in fanouts) or not len(fanouts):
        raise GraphKitError(f"fanouts is {fanouts!r}; expected one whole number per hop, such as [10, 10]")
    for fanout in fanouts:
        if fanout != -1 and fanout < 1:
            raise GraphKitError(f"fanouts holds {fanout}; expected -1 (all neighbours) or a positive number")
    return [int(f) for f in fanouts]


def spread(starts: Tensor, counts: Tensor) -> Tensor:
    """Return ``starts[i], ..., starts[i] + counts[i] - 1`` for each i, concatenated, int64.

    >>> spread(torch.tensor([5, 9]), torch.tensor([2, 1])).tolist()
    [5, 6, 9]
    """
    ends = torch.cumsum(counts, 0)
    total = int(ends[-1]) if len(ends) else 0
    return torch.arange(total) + torch.repeat_interleave(starts - (ends - counts), counts)


def in_edges(graph: dgl.DGLGraph, nodes: Tensor, removed: Tensor | None = None) -> Tensor:
    """Return the ids of all edges into ``nodes``, grouped by node in the order given, without ``removed``.

    Parameters
    ----------
    graph : dgl.DGLGraph
    nodes : Tensor
        int64 ``[n]``.
    removed : Tensor, optional
        Edge ids, int64.

    Examples
    --------
    >>> import graphkit, dgl
    >>> in_edges(dgl.graph(([0, 1, 0], [2, 2, 1])), torch.tensor([2, 1]), removed=torch.tensor([0])).tolist()
    [1, 2]
    """
    indptr, _, eid = _dgl.structure(graph).incoming()
    found = spread(indptr[nodes].long(), (indptr[nodes + 1] - indptr[nodes]).long())
    found = found if eid is None else eid[found].long()
    return found if removed is None or not len(removed) else found[~torch.isin(found, removed)]


def out_edges(graph: dgl.DGLGraph, nodes: Tensor) -> Tensor:
    """Return the ids of all edges out of ``nodes``, as :func:`in_edges`."""
    indptr, _, eid = _dgl.structure(graph).csr()
    return eid[spread(indptr[nodes], indptr[nodes + 1] - indptr[nodes])]


class _Scratch(threading.local):
    """A table over all nodes for each thread, all 0 between calls; kept, since zeroing it costs more than a batch."""

    def __init__(self) -> None:
        self.held = np.zeros(0, np.int32)

    def table(self, num_nodes: int) -> np.ndarray:
        """Return zeros ``[>= num_nodes]``, to be left as zeros."""
        if len(self.held) < num_nodes:
            self.held = np.zeros(num_nodes, np.int32)
        return self.held


_SCRATCH = _Scratch()


def scratch_table(num_nodes: int) -> np.ndarray:
    """Return this thread's table of at least ``num_nodes`` zeros, int32; whoever writes to it leaves it as it was."""
    return _SCRATCH.table(num_nodes)


def _drawn(graph: dgl.DGLGraph, seeds: Tensor, fanout: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets ``[n + 1]`` and, for each seed, ascending places of at most ``fanout`` edges in the index."""
    indptr = _dgl.structure(graph).incoming()[0].numpy()
    offsets = np.empty(len(seeds) + 1, np.int64)
    kernels.count_drawn(indptr, seeds.numpy(), fanout, offsets)
    positions = np.empty(offsets[-1], np.int64)
    kernels.draw_neighbors(indptr, seeds.numpy(), offsets, key(seed, "draw"), positions)
    return offsets, positions


def _choose(graph: dgl.DGLGraph, seeds: Tensor, fanout: int, removed: Tensor, seed: int) -> Tensor:
    """Return ids of at most ``fanout`` edges into each seed, drawn without replacement from those not removed."""
    if fanout == -1:
        return in_edges(graph, seeds, removed)
    structure = _dgl.structure(graph)
    eid = structure.incoming()[2]
    hit = torch.isin(seeds, structure.dst[removed])
    chosen = torch.from_numpy(_drawn(graph, seeds[~hit], fanout, seed)[1])
    chosen = chosen if eid is None else eid[chosen]
    # What is drawn first and removed then would give these nodes too few.
    return torch.cat([chosen, _draw(structure.dst, in_edges(graph, seeds[hit], removed), fanout, seed)])


def _draw(dst: Tensor, edges: Tensor, fanout: int, seed: int) -> Tensor:
    """Return ``fanout`` of the edges into each node, or all where there are no more."""
    draw = torch.rand(len(edges), generator=generator(seed, "draw"), dtype=torch.float64)
    edges = edges[torch.argsort(draw)]
    edges = edges[torch.sort(dst[edges], stable=True).indices]
    _, counts = torch.unique_consecutive(dst[edges], return_counts=True)
    rank = spread(torch.zeros_like(counts), counts)
    return edges[rank < fanout]


def _place(nodes: Tensor, ids: Tensor, total: int | None = None) -> Tensor:
    """Return where each id below ``total`` stands in ``nodes`` (distinct), -1 where it does not."""
    if not len(nodes):
        return torch.full_like(ids, -1)
    if total is not None and total <= _TABLE * (len(nodes) + len(ids)):
        table = torch.full((total,), -1)
        table[nodes] = torch.arange(len(nodes))
        return table[ids]
    ordered, order = torch.sort(nodes)
    where = torch.searchsorted(ordered, ids).clamp(max=len(nodes) - 1)
    return torch.where(ordered[where] == ids, order[where], -1)


def _beyond(seeds: Tensor, ids: Tensor, total: int) -> Tensor:
    """Return the distinct ids that are no seed, sorted."""
    if total <= _TABLE * len(ids):
        mark = torch.zeros(total, dtype=torch.bool)
        mark[ids] = True
        mark[seeds] = False
        return mark.nonzero()[:, 0]
    reached = torch.unique(ids)
    return reached[~torch.isin(reached, seeds)]


def _degrees_at(degrees: Tensor, ends: Tensor, nodes: Tensor, removed: Tensor | None) -> Tensor:
    """Return the degrees of ``nodes`` in the message graph less the removed edges, int64."""
    found = degrees[nodes]
    if removed is None or not len(removed):
        return found
    touched, lost = torch.unique(ends[removed], return_counts=True)
    where = _place(touched, nodes)
    return found - torch.where(where >= 0, lost[where.clamp(min=0)], 0)


def sample_block(
    graph: dgl.DGLGraph, seeds: Tensor, fanout: int, removed: Tensor | None = None, seed: int = 0
) -> tuple[dgl.DGLGraph, Tensor, Tensor]:
    """Return the block of edges drawn into ``seeds``.

    Parameters
    ----------
    graph : dgl.DGLGraph
        The message graph.
    seeds : Tensor
        Distinct node ids, int64 ``[n]``; the block's destinations in this order.
    fanout : int
        Edges drawn into each seed without replacement; -1 takes all.
    removed : Tensor, optional
        Ids of edges that do not carry messages, int64.
    seed : int
        Of the draw.

    Returns
    -------
    block : dgl block
        Sorted by destination. ``srcdata`` and ``dstdata`` hold ``gk_in_degrees`` and ``gk_out_degrees``, the int64
        degrees in the message graph without the removed edges.
    nodes : Tensor
        Ids of the sources, the seeds first.
    edges : Tensor
        Ids of the edges.

    Examples
    --------
    >>> import graphkit, dgl
    >>> block, nodes, edges = sample_block(dgl.graph(([0, 1, 3], [2, 2, 1])), torch.tensor([2]), fanout=-1)
    >>> nodes.tolist(), edges.tolist(), block.srcdata["gk_in_degrees"].tolist()
    ([2, 0, 1], [0, 1], [2, 0, 1])
    """
    if removed is None or not len(removed):
        return _sample_all(graph, seeds, fanout, seed)
    import dgl

    removed = torch.unique(removed)
    structure = _dgl.structure(graph)
    edges = _choose(graph, seeds, fanout, removed, seed)
    target = _place(seeds, structure.dst[edges], structure.num_src)
    order = torch.argsort(target * max(structure.num_edges, 1) + edges)
    edges, target = edges[order], target[order]
    source = structure.src[edges]
    nodes = torch.cat([seeds, _beyond(seeds, source, structure.num_src)])
    block = dgl.create_block(
        (_place(nodes, source, structure.num_src), target), num_src_nodes=len(nodes), num_dst_nodes=len(seeds)
    )
    into = _degrees_at(structure.in_degrees, structure.dst, nodes, removed)
    out = _degrees_at(structure.out_degrees, structure.src, nodes, removed)
    _dgl.set_degrees(block, into, out)
    return block, nodes, edges


def _sample_all(graph: dgl.DGLGraph, seeds: Tensor, fanout: int, seed: int) -> tuple[dgl.DGLGraph, Tensor, Tensor]:
    """Return what :func:`sample_block` does where no edge is removed; reads nothing but the incoming index."""
    structure = _dgl.structure(graph)
    indptr, index, eid = structure.incoming()
    offsets, positions = _drawn(graph, seeds, fanout, seed)
    sources, fresh = np.empty(len(positions), np.int64), np.empty(len(positions), np.int64)
    table, ids = _SCRATCH.table(structure.num_src), seeds.numpy()
    found = kernels.mark_fresh(index.numpy(), positions, ids, table, sources, fresh)
    fresh = np.sort(fresh[:found])
    local = np.empty(len(positions), np.int64)
    kernels.place_sources(sources, ids, fresh, table, local)
    nodes = torch.cat([seeds, torch.from_numpy(fresh)])
    block = _dgl.block_of(torch.from_numpy(offsets), torch.from_numpy(local), len(nodes))
    into, out = np.empty(len(nodes), np.int64), np.empty(len(nodes), np.int64)
    kernels.read_degrees(indptr.numpy(), structure.degrees_out().numpy(), nodes.numpy(), into, out)
    _dgl.set_degrees(block, torch.from_numpy(into), torch.from_numpy(out))
    places = torch.from_numpy(positions)
    return block, nodes, places if eid is None else eid[places]


def induced(graph: dgl.DGLGraph, nodes: Tensor, removed: Tensor | None = None) -> tuple[dgl.DGLGraph, Tensor]:
    """Return the subgraph induced on distinct ``nodes``, in that order, without ``removed``; and its edges' ids.

    Examples
    --------
    >>> import graphkit, dgl
    >>> part, edges = induced(dgl.graph(([0, 1, 0], [1, 2, 2])), torch.tensor([2, 0]))
    >>> part.edges()[0].tolist(), part.edges()[1].tolist(), edges.tolist()
    ([1], [0], [2])
    """
    structure = _dgl.structure(graph)
    indptr, index, eid = structure.incoming()
    room = int((indptr[nodes + 1] - indptr[nodes]).sum())
    targets, sources, positions = (np.empty(room, np.int64) for _ in range(3))
    table = _SCRATCH.table(structure.num_src)
    found = kernels.place_inside(indptr.numpy(), index.numpy(), nodes.numpy(), table, targets, sources, positions)
    target, source, edges = (torch.from_numpy(x[:found]) for x in (targets, sources, positions))
    edges = edges if eid is None else eid[edges]
    if removed is not None and len(removed):
        keep = ~torch.isin(edges, removed)
        target, source, edges = target[keep], source[keep], edges[keep]
    return _dgl.trusted(source, target, len(nodes)), edges


def surroundings(
    graph: dgl.DGLGraph, nodes: Tensor, depth: int, removed: Tensor | None = None, both: bool = False
) -> Tensor:
    """Return ``nodes`` followed by all nodes within ``depth`` hops against the edges, each once.

    Parameters
    ----------
    graph : dgl.DGLGraph
    nodes : Tensor
        Distinct ids, int64.
    depth : int
    removed : Tensor, optional
        Edges not walked on.
    both : bool
        Walk along the edges too; for directed graphs.

    Examples
    --------
    >>> import graphkit, dgl
    >>> surroundings(dgl.graph(([0, 1], [1, 2])), torch.tensor([2]), depth=2).tolist()
    [2, 1, 0]
    """
    structure = _dgl.structure(graph)
    fresh = nodes
    for _ in range(depth):
        reached = structure.src[in_edges(graph, fresh, removed)]
        if both:
            leaving = out_edges(graph, fresh)
            if removed is not None:
                leaving = leaving[~torch.isin(leaving, removed)]
            reached = torch.cat([reached, structure.dst[leaving]])
        reached = torch.unique(reached)
        fresh = reached[~torch.isin(reached, nodes)]
        nodes = torch.cat([nodes, fresh])
    return nodes


def block_batch(store: Store, seeds: Tensor, fanouts: Sequence[int], removed: Tensor | None, seed: int) -> Batch:
    """Return the batch whose encoder outputs are ``seeds``, in that order.

    Parameters
    ----------
    store : Store
        The message graph and its tensors.
    seeds : Tensor
        Distinct node ids, int64 ``[n]``.
    fanouts : sequence of int
        One per hop, outermost first.
    removed : Tensor, optional
        Ids of edges that leave the message graph.
    seed : int
        Of the draws.

    Returns
    -------
    Batch
        With one block per hop; ``fields["nid"]`` holds the ids of the rows of ``feat``, and ``graph_weight`` what
        heads that read the structure find in :attr:`~graphkit.core.batch.Batch.graph_weight`.
    """
    blocks: list[dgl.DGLGraph] = []
    edge_ids: list[Tensor] = []
    nodes = seeds
    for hop, fanout in enumerate(reversed(fanouts)):
        block, nodes, edges = sample_block(store.graph, nodes, fanout, removed, key(seed, "hop", hop))
        blocks.insert(0, block)
        edge_ids.insert(0, edges)

    def rows(values: Tensor | None) -> list[Tensor] | None:
        return None if values is None else [values[edges] for edges in edge_ids]

    part, kept = induced(store.graph, seeds, removed)
    weight = {} if store.edge_weight is None else {"graph_weight": store.edge_weight[kept]}
    return Batch(
        part,
        store.feat[nodes],
        rows(store.edge_feat),
        rows(store.edge_weight),
        blocks=blocks,
        fields={
            **{name: value[nodes] for name, value in store.node_fields.items()},
            **{name: rows(value) for name, value in store.named_edge_fields().items()},
            **weight,
            "nid": nodes,
        },
    )
