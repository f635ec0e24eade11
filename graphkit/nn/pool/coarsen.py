"""Pools that give a smaller graph: what they have in common, and how the smaller graph is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import _dgl, ops
from graphkit.core.batch import Encoded
from graphkit.core.check import check_feat, check_size, check_weight
from graphkit.core.errors import GraphKitError
from graphkit.nn.pool.sort import falling

if TYPE_CHECKING:
    import dgl


@dataclass
class Pooled(Encoded):
    """A smaller graph and its rows; node i of ``graph`` is row i of ``node``.

    Parameters
    ----------
    edge_weight : Tensor, optional
        ``[E']`` of the new graph.
    kept : Tensor, optional
        int64 ``[N']``: the node of the old graph that each new one was, for pools that choose nodes.
    assignment : Tensor, optional
        ``[N, K]``: the share of each old node in each cluster of its graph, for pools that make clusters.
    """

    edge_weight: Tensor | None = None
    kept: Tensor | None = None
    assignment: Tensor | None = None


class GraphPool(nn.Module):
    """Base of pools that change the graph: ``pool(graph, feat [N, D], edge_weight=None) -> Pooled``.

    Parameters
    ----------
    in_feats : int
        Width D.
    """

    def __init__(self, in_feats: int) -> None:
        super().__init__()
        check_size("in_feats", in_feats)
        self.in_feats = self.out_feats = in_feats

    def check(self, graph: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None) -> None:
        """Raise a :class:`GraphKitError` unless the tensors fit the graph, which is no block."""
        if graph.is_block:
            raise GraphKitError(f"{type(self).__name__} does not run on blocks: it reads all nodes of a graph")
        check_feat("feat", feat, graph.num_nodes(), self.in_feats)
        if edge_weight is not None:
            check_weight("edge_weight", edge_weight, graph.num_edges())


def check_ratio(ratio: float) -> None:
    """Raise unless ``ratio`` is a share in (0, 1] or a whole number of nodes.

    >>> check_ratio(0.5), check_ratio(10)
    (None, None)
    """
    if ratio <= 0 or (ratio > 1 and not isinstance(ratio, int)):
        raise GraphKitError(f"ratio={ratio} is neither a share in (0, 1] nor a whole number of nodes of at least 1")


def choose(score: Tensor, offsets: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Choose the nodes of highest score in each graph.

    Parameters
    ----------
    score : Tensor
        ``[N]``.
    offsets : Tensor
        int64 ``[B + 1]``.
    ratio : float or int
        A float: ``ceil(ratio n)`` of a graph's n nodes; an int: that many, or all.

    Returns
    -------
    kept : Tensor
        int64 ``[N']``, graph by graph, by falling score.
    sizes : Tensor
        int64 ``[B]``.

    Examples
    --------
    >>> [x.tolist() for x in choose(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0, 2, 3]), 0.5)]
    [[1, 2], [1, 1]]
    """
    offsets = offsets.to(score.device)
    sizes = offsets.diff()
    sizes = sizes.clamp(max=ratio) if isinstance(ratio, int) else (ratio * sizes).ceil().long()
    order, rank = falling(score, offsets)
    return order[rank < sizes[ops.segment_ids(offsets)]], sizes


def induced(graph: dgl.DGLGraph, kept: Tensor, sizes: Tensor) -> tuple[dgl.DGLGraph, Tensor]:
    """Return the batch of subgraphs on the chosen nodes, and the old ids of its edges.

    Parameters
    ----------
    graph : dgl.DGLGraph
    kept : Tensor
        int64 ``[N']``, graph by graph.
    sizes : Tensor
        int64 ``[B]``: how many nodes of each graph are kept.

    Returns
    -------
    graph : dgl.DGLGraph
        N' nodes, in the order of ``kept``.
    edges : Tensor
        int64 ``[E']``.

    Examples
    --------
    >>> import graphkit, dgl
    >>> small, edges = induced(dgl.graph(([0, 1], [1, 2])), torch.tensor([2, 1]), torch.tensor([2]))
    >>> small.edges(), edges
    ((tensor([1]), tensor([0])), tensor([1]))
    """
    kept, sizes = kept.cpu(), sizes.cpu()
    structure = _dgl.structure(graph)
    place = torch.full((graph.num_nodes(),), -1).index_copy(0, kept, torch.arange(len(kept)))
    src, dst = place[structure.src], place[structure.dst]
    edges = ((src >= 0) & (dst >= 0)).nonzero().squeeze(1)
    return batched(src[edges], dst[edges], sizes), edges


def batched(src: Tensor, dst: Tensor, sizes: Tensor) -> dgl.DGLGraph:
    """Return the batch of graphs of ``sizes [B]`` nodes with these edges.

    >>> batched(torch.tensor([0, 2]), torch.tensor([1, 2]), torch.tensor([2, 1])).batch_num_edges().tolist()
    [1, 1]
    """
    owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    made = _dgl.from_arrays(src, dst, int(sizes.sum()))
    made.set_batch_num_nodes(sizes)
    made.set_batch_num_edges(owner[dst].bincount(minlength=len(sizes)))
    return made


def complete(graphs: int, clusters: int) -> dgl.DGLGraph:
    """Return a batch of complete graphs with loops; edge ``(b, k, l)`` in row-major order runs from k to l.

    >>> complete(1, 2).edges()
    (tensor([0, 0, 1, 1]), tensor([0, 1, 0, 1]))
    """
    base = clusters * torch.arange(graphs)[:, None, None]
    one = torch.arange(clusters)
    src, dst = (x.expand(graphs, clusters, clusters).reshape(-1) for x in (base + one[:, None], base + one))
    return batched(src, dst, torch.full((graphs,), clusters))
