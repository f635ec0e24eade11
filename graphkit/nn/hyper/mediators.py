"""HyperGCN: each hyperedge becomes the pair of its members that differ most, and mediators between, 1809.02589."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from graphkit import _dgl, ops
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.hyper.base import TWO_HOPS, HyperLayer

if TYPE_CHECKING:
    import dgl


def extremes(into: dgl.DGLGraph, signal: Tensor, mediators: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the edges that stand for the hyperedges: the pair of members furthest apart, and mediators between.

    Parameters
    ----------
    into : dgl.DGLGraph
        The relation from nodes to hyperedges.
    signal : Tensor
        ``[N, D]``, in which distances are measured; exact up to 128 members, beyond from the member furthest from the
        mean.
    mediators : bool, default True
        Join both ends with every other member, at weight ``1 / (2 |e| - 3)`` an edge; without, one edge of weight 1.

    Returns
    -------
    first, second : Tensor
        The memberships (edge ids of ``into``) of both ends, int64 ``[K]``, each edge once.
    weight : Tensor
        ``[K]``, of the type of ``signal``.
    hyperedge : Tensor
        int64 ``[K]``.

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> h = from_hyperedges([[0, 1, 2]])
    >>> first, second, weight, _ = extremes(_dgl.relations(h)["in"], torch.tensor([[0.0], [5.0], [1.0]]))
    >>> first.tolist(), second.tolist(), [round(w, 2) for w in weight.tolist()]
    ([0, 0, 1], [1, 2, 2], [0.33, 0.33, 0.33])
    """
    from graphkit._kernels.extremes import furthest_pairs

    structure = _dgl.structure(into)
    owner = structure.dst.numpy()
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(into.num_dst_nodes() + 1))
    sizes = np.diff(starts)
    rows = signal.detach().to("cpu", torch.float64).contiguous().numpy()
    ends = np.zeros((len(sizes), 2), dtype=np.int64)
    furthest_pairs(starts, structure.src.numpy()[order], rows, ends)
    some = np.flatnonzero(sizes > 1)
    first, second, hyper = starts[some] + ends[some, 0], starts[some] + ends[some, 1], some
    weight = np.ones(len(some))
    if mediators and len(some):
        weight = 1.0 / (2.0 * sizes[some] - 3.0)
        which = np.repeat(np.arange(len(some)), sizes[some])
        member = np.arange(len(which)) - (sizes[some].cumsum() - sizes[some])[which] + starts[some][which]
        other = (member != first[which]) & (member != second[which])
        member, which = member[other], which[other]
        edges = [(first, second, some), (first[which], member, some[which]), (second[which], member, some[which])]
        weight = np.concatenate([weight, weight[which], weight[which]])
        first, second, hyper = (np.concatenate(column) for column in zip(*edges, strict=True))
    edge_of = torch.from_numpy(order)
    found = edge_of[torch.from_numpy(first)], edge_of[torch.from_numpy(second)]
    return *found, torch.from_numpy(weight).to(signal), torch.from_numpy(hyper)


@register(
    "hypergcnconv",
    kind="layer",
    title="HyperGCN: A New Method of Training Graph Convolutional Networks on Hypergraphs",
    arxiv="1809.02589",
    declines={"blocks": TWO_HOPS},
    hypergraph=True,
)
class HyperGCNConv(HyperLayer):
    """GCN on a graph of the hyperedges' extremes: ``X' = D^-1/2 (A + I) D^-1/2 X Theta + b``, D of A + I.

    In A every hyperedge is the pair ``(i, j) = argmax ||(x_i - x_j) Theta||`` of its members and, with mediators, the
    edges from both to every other member, all of weight ``1 / (2 |e| - 3)``; equal edges add up. A is made anew from
    the current signal at each call, or from ``signal`` if given (the paper's fast variant). A membership's weight
    multiplies the messages of its edges.

    Parameters
    ----------
    in_feats, out_feats : int
    mediators : bool, default True
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block or another graph, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ends = (torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))
    >>> g = dgl.heterograph({("node", "in", "hyperedge"): ends, ("hyperedge", "has", "node"): ends[::-1]})
    >>> HyperGCNConv(4, 2)(g, torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_feats: int, out_feats: int, mediators: bool = True, bias: bool = True) -> None:
        super().__init__(in_feats, out_feats)
        self.mediators = mediators
        self.fc = nn.Linear(in_feats, out_feats, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_feats)) if bias else None

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        signal: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]``, ``edge_weight [E]``, ``signal [N, D]``."""
        into, _ = self.sides(graph, feat, None, edge_weight)
        x = self.fc(feat)
        first, second, weight, _ = extremes(into, x if signal is None else signal, self.mediators)
        structure = _dgl.structure(into)
        ends = structure.src[first], structure.src[second]
        flat = _dgl.from_arrays(torch.cat(ends), torch.cat(ends[::-1]), len(feat))
        both = weight.repeat(2)
        degree = 1 + ops.edge_reduce(flat, both[:, None])[:, 0]
        if edge_weight is not None:
            both = both * (edge_weight[first] * edge_weight[second]).repeat(2)
        root = degree.rsqrt()
        x = scale(x, root)
        x = scale(ops.spmm(flat, x, both) + x, root)
        return x if self.bias is None else x + self.bias
