"""What every hypergraph layer has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from graphkit import _dgl, ops
from graphkit.core.check import check_feat, check_size, check_weight
from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    import dgl

TWO_HOPS = "goes to the hyperedges and back, and a block holds one hop"


class Sides(NamedTuple):
    """The two relations of a hypergraph: ``into`` from nodes to hyperedges, ``back`` from hyperedges to nodes."""

    into: dgl.DGLGraph
    back: dgl.DGLGraph


class HyperLayer(nn.Module):
    """Base of hypergraph layers: ``layer(graph, feat [N, D], edge_feat [M, D'], edge_weight [E]) -> [N, out_feats]``.

    ``graph`` has node types ``node``, ``hyperedge`` and edge types ``in``, ``has``, edge i of one being edge i of the
    other turned round (``graphkit.graphs.from_hyperedges`` makes one). ``edge_weight`` belongs to the E memberships and
    multiplies messages both ways, after the degree norms, which do not see it. On ``graphkit.graphs.dual(graph)`` the
    same layer computes rows of hyperedges.

    Parameters
    ----------
    in_feats, out_feats : int
    edge_feats : int, default 0
        Width of ``edge_feat``, 0 if the layer reads none.
    """

    def __init__(self, in_feats: int, out_feats: int, edge_feats: int = 0) -> None:
        super().__init__()
        check_size("in_feats", in_feats)
        check_size("out_feats", out_feats)
        check_size("edge_feats", edge_feats, 0)
        self.in_feats, self.out_feats, self.edge_feats = in_feats, out_feats, edge_feats

    def sides(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        hyperedge_weight: Tensor | None = None,
    ) -> Sides:
        """Return the two relations; raise a :class:`GraphKitError` of one sentence unless everything fits."""
        name = type(self).__name__
        if graph.is_block:
            raise GraphKitError(f"{name} does not run on blocks: it {TWO_HOPS}")
        if sorted(graph.ntypes) != ["hyperedge", "node"] or sorted(graph.etypes) != ["has", "in"]:
            raise GraphKitError(
                f"{name} expects a hypergraph (node types 'node', 'hyperedge'; edge types 'in', 'has'), "
                f"got node types {graph.ntypes} and edge types {graph.etypes}"
            )
        found = _dgl.relations(graph)
        into = found["in"]
        check_feat("feat", feat, into.num_src_nodes(), self.in_feats)
        if self.edge_feats:
            if edge_feat is None:
                raise GraphKitError(
                    f"{name} expects edge_feat of width {self.edge_feats}, a row per hyperedge, got None"
                )
            check_feat("edge_feat", edge_feat, into.num_dst_nodes(), self.edge_feats)
        if edge_weight is not None:
            check_weight("edge_weight", edge_weight, into.num_edges(), "memberships")
        if hyperedge_weight is not None:
            check_weight("hyperedge_weight", hyperedge_weight, into.num_dst_nodes(), "hyperedges")
        return Sides(into, found["has"])

    def extra_repr(self) -> str:
        """Return the widths, as ``print`` shows them."""
        return f"{self.in_feats}, {self.out_feats}"


def inverse(degree: Tensor) -> Tensor:
    """Return ``1 / degree`` with 0 for 0, in value and in gradient.

    >>> import torch
    >>> inverse(torch.tensor([0.0, 2.0])).tolist()
    [0.0, 0.5]
    """
    some = degree > 0
    return degree.where(some, 1.0).reciprocal().where(some, 0.0)


def mean_members(into: dgl.DGLGraph, feat: Tensor, edge_weight: Tensor | None) -> Tensor:
    """Return the mean of the members' rows, ``[M, D]``; 0 for an empty hyperedge."""
    return ops.spmm(into, feat, edge_weight, "mean")
