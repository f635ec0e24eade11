"""Graphs made from index tensors and from other graphs' structures."""

from __future__ import annotations

from typing import Any

import dgl
import torch
from dgl import heterograph_index
from dgl.heterograph import DGLBlock, DGLGraph
from torch import Tensor

from graphkit._dgl.index import Structure, structure
from graphkit.core.errors import GraphKitError

#: Degrees in the parent message graph that the sampler records on a block.
DEGREES = ("gk_in_degrees", "gk_out_degrees")


def from_arrays(src: Any, dst: Any, num_nodes: int) -> dgl.DGLGraph:
    """Return the homogeneous graph whose edge i runs from ``src[i]`` to ``dst[i]``.

    Parameters
    ----------
    src, dst : Tensor or array
        ``[E]``; kept in the order given, as int64.
    num_nodes : int
        N.

    Raises
    ------
    GraphKitError
        If an id is negative or not below ``num_nodes``, or the lengths differ.

    Examples
    --------
    >>> import graphkit
    >>> from_arrays([0, 1], [1, 2], 4).num_nodes()
    4
    """
    ends = [torch.as_tensor(x).long().contiguous() for x in (src, dst)]
    if ends[0].dim() != 1 or ends[0].shape != ends[1].shape:
        raise GraphKitError(f"expected src and dst of one length, got shapes {[list(x.shape) for x in ends]}")
    for name, x in zip(("src", "dst"), ends, strict=True):
        low, high = (int(end) for end in torch.aminmax(x)) if len(x) else (0, -1)
        if low < 0 or high >= num_nodes:
            bad = low if low < 0 else high
            raise GraphKitError(f"{name} holds the node id {bad}, but the graph has nodes 0 to {num_nodes - 1}")
    return dgl.graph((ends[0], ends[1]), num_nodes=num_nodes)


def from_incoming(indptr: Any, index: Any) -> dgl.DGLGraph:
    """Return the graph that keeps one index only, sources by destination, in 32-bit numbers where they suffice.

    Nothing is copied: the graph stands on the given arrays, which may be memory-mapped.

    Parameters
    ----------
    indptr, index : Tensor
        ``[N + 1]`` and ``[E]``, int32 both or int64 both; edge i is ``index[i]`` to the node whose range holds i.

    Examples
    --------
    >>> import graphkit
    >>> graph = from_incoming(torch.tensor([0, 1, 3]).int(), torch.tensor([1, 0, 1]).int())
    >>> structure(graph).is_narrow, graph.num_edges()
    (True, 3)
    """
    if indptr.dtype != index.dtype or indptr.dtype not in (torch.int32, torch.int64):
        raise GraphKitError(f"expected indptr and index both int32 or both int64, got {indptr.dtype}, {index.dtype}")
    parts = ("csc", (indptr, index, index.new_empty(0)))
    return dgl.graph(parts, num_nodes=len(indptr) - 1, idtype=indptr.dtype).formats("csc")


def trusted(src: Tensor, dst: Tensor, num_nodes: int) -> dgl.DGLGraph:
    """Return :func:`from_arrays` of int64 ends that a sampler made, which are not looked at again.

    Examples
    --------
    >>> import graphkit
    >>> trusted(torch.tensor([0]), torch.tensor([1]), 2).num_edges()
    1
    """
    gidx = heterograph_index.create_unitgraph_from_coo(1, num_nodes, num_nodes, src, dst, ["coo", "csr", "csc"])
    return DGLGraph(gidx, ["_N"], ["_E"])


def set_degrees(block: dgl.DGLGraph, into: Tensor, out: Tensor) -> None:
    """Keep on a block the degrees that its sources have in the message graph, int64 ``[Nsrc]``.

    Examples
    --------
    >>> import graphkit
    >>> block = block_of(torch.tensor([0, 1]), torch.tensor([1]), 2)
    >>> set_degrees(block, torch.tensor([1, 0]), torch.tensor([0, 1]))
    >>> block.dstdata["gk_in_degrees"].tolist(), block.srcdata["gk_out_degrees"].tolist()
    ([1], [0, 1])
    """
    count = block.num_dst_nodes()
    # Through its dictionaries a block checks each field, for longer than a small batch takes.
    block._node_frames[0].update(dict(zip(DEGREES, (into, out), strict=True)))
    block._node_frames[1].update(dict(zip(DEGREES, (into[:count], out[:count]), strict=True)))


def block_of(indptr: Tensor, src: Tensor, num_src: int) -> dgl.DGLGraph:
    """Return the block whose i-th destination receives from sources ``src[indptr[i] : indptr[i + 1]]``, in this order.

    Examples
    --------
    >>> import graphkit
    >>> block_of(torch.tensor([0, 2]), torch.tensor([1, 2]), 3).in_degrees().tolist()
    [2]
    """
    dst = torch.repeat_interleave(torch.arange(len(indptr) - 1), indptr.diff(), output_size=len(src))
    # DGL's own way looks for the largest id in both arrays first, which takes as long as sampling them did.
    gidx = heterograph_index.create_unitgraph_from_coo(2, num_src, len(indptr) - 1, src, dst, ["coo", "csr", "csc"])
    block = DGLBlock(gidx, (["_N"], ["_N"]), ["_E"])
    known = structure(block)
    known._make("edges", lambda: (src, dst))
    known._make("sorted", lambda: True)
    known._make("in", lambda: indptr.diff())
    known._make("csc", lambda: (indptr, src, torch.arange(len(src))))
    return block


def _with_index(graph: dgl.DGLGraph, gidx: Any) -> dgl.DGLGraph:
    """Return a graph of the same kind, nodes and batch over another index, without fields."""
    if graph.is_block:
        return DGLBlock(gidx, (graph.srctypes, graph.dsttypes), graph.etypes)
    new = DGLGraph(gidx, graph.ntypes, graph.etypes)
    if graph._batch_num_nodes is not None:
        new.set_batch_num_nodes(graph.batch_num_nodes())
    return new


def _index(graph: dgl.DGLGraph, src: Tensor, dst: Tensor, num_src: int, num_dst: int) -> Any:
    dtype = graph.idtype
    bipartite = graph.is_block
    return heterograph_index.create_unitgraph_from_coo(
        2 if bipartite else 1, num_src, num_dst, src.to(dtype), dst.to(dtype), ["coo", "csr", "csc"]
    )


def with_self_loops(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the graph with one loop for each destination node, appended behind the edges it has.

    Edges 0 to E-1 are unchanged, edge E+i is the loop of node i; the new structure is made once for each graph.
    Fields are not carried over, but for the degrees that a sampler recorded on a block, which grow by one.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A homogeneous or batched graph, or a block (whose first sources are its destinations).

    Returns
    -------
    dgl.DGLGraph

    Raises
    ------
    GraphKitError
        If sources and destinations are different kinds of node.

    Examples
    --------
    >>> import graphkit, dgl
    >>> with_self_loops(dgl.graph(([0], [1]))).edges()[1].tolist()
    [1, 0, 1]
    """
    tensors = structure(graph)
    if not graph.is_block and graph.srctypes != graph.dsttypes:
        raise GraphKitError(f"a relation from {graph.srctypes[0]!r} to {graph.dsttypes[0]!r} has no self-loops")

    def make(s: Structure) -> Any:
        loop = torch.arange(s.num_dst, device=s.dst.device)
        return _index(graph, torch.cat([s.src, loop]), torch.cat([s.dst, loop]), s.num_src, s.num_dst)

    new = _with_index(graph, tensors.cached("loops", make))
    if graph.is_block:
        for there, here in ((new.srcdata, graph.srcdata), (new.dstdata, graph.dstdata)):
            there.update({name: here[name] + 1 for name in DEGREES if name in here})
    return new


def reverse(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the homogeneous or batched graph with each edge turned round, keeping edge ids; made once for each graph.

    Examples
    --------
    >>> import graphkit, dgl
    >>> reverse(dgl.graph(([0], [1]))).edges()[0].tolist()
    [1]
    """
    new = structure(graph).cached("reverse", lambda s: _index(graph, s.dst, s.src, s.num_dst, s.num_src))
    return _with_index(graph, new)


def with_inverses(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the graph with the reverse of every edge appended: edge E+i is edge i turned round; made once.

    Raises
    ------
    GraphKitError
        On a block, whose edges lead one way only.

    Examples
    --------
    >>> import graphkit, dgl
    >>> [ends.tolist() for ends in with_inverses(dgl.graph(([0, 1], [1, 2]))).edges()]
    [[0, 1, 1, 2], [1, 2, 0, 1]]
    """
    if graph.is_block:
        raise GraphKitError("the edges of a block lead one way, so it has no inverse edges; add them before sampling")

    def make(s: Structure) -> Any:
        return _index(graph, torch.cat([s.src, s.dst]), torch.cat([s.dst, s.src]), s.num_src, s.num_dst)

    return _with_index(graph, structure(graph).cached("inverses", make))


def two_hops(graph: dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the graph that joins u to v where two edges lead from u to v, no edge does and u is not v; made once.

    There is one edge for each such pair, whatever the number of paths: up to the sum over the nodes of in-degree times
    out-degree.

    Raises
    ------
    GraphKitError
        On a block, which holds one hop.

    Examples
    --------
    >>> import graphkit, dgl
    >>> [ends.tolist() for ends in two_hops(dgl.graph(([0, 1], [1, 2]))).edges()]
    [[0], [2]]
    """
    if graph.is_block:
        raise GraphKitError("a block holds one hop, so nothing is two hops away; use the full graph")

    def make(s: Structure) -> Any:
        from scipy.sparse import coo_matrix

        ends = s.src.cpu().numpy(), s.dst.cpu().numpy()
        one = coo_matrix((torch.ones(s.num_edges).numpy(), ends), shape=(s.num_src, s.num_dst)).tocsr()
        two = (one @ one).tocoo()
        src, dst = torch.from_numpy(two.row).long(), torch.from_numpy(two.col).long()
        near = torch.isin(src * s.num_dst + dst, s.src.cpu() * s.num_dst + s.dst.cpu())
        kept = ~near & (src != dst)
        return _index(graph, src[kept].to(s.src.device), dst[kept].to(s.src.device), s.num_src, s.num_dst)

    return _with_index(graph, structure(graph).cached("two hops", make))
