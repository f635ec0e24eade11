"""What every message-passing layer has in common: widths, one check of its input, a short description."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_feat, check_ids, check_size, check_weight
from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    import dgl


class Layer(nn.Module):
    """Base of layers: ``layer(graph, feat, edge_feat, edge_weight, etype) -> [N, out_feats]``.

    ``graph`` is a full graph, a batched graph or a block; with a block, ``feat`` covers the sources, of which the first
    are the targets. A layer reads the edge tensors that its formula names and leaves the others alone.

    Parameters
    ----------
    in_feats, out_feats : int
        Widths of the rows that go in and come out.
    edge_feats : int, default 0
        Width of ``edge_feat``, 0 if the layer reads none.
    num_rels : int, optional
        Relations; without, the layer reads no ``etype``, and its attribute is 0.

    Attributes
    ----------
    updates_edges : bool
        True for layers that return ``(node, edge)``.
    """

    updates_edges: ClassVar[bool] = False

    def __init__(self, in_feats: int, out_feats: int, edge_feats: int = 0, num_rels: int | None = None) -> None:
        super().__init__()
        check_size("in_feats", in_feats)
        check_size("out_feats", out_feats)
        check_size("edge_feats", edge_feats, 0)
        if num_rels is not None:
            check_size("num_rels", num_rels)
        self.in_feats, self.out_feats = in_feats, out_feats
        self.edge_feats, self.num_rels = edge_feats, num_rels or 0

    def check(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> None:
        """Raise a :class:`GraphKitError` of one sentence unless the input has the shapes that the layer expects."""
        if len(graph.etypes) != 1:
            raise GraphKitError(
                f"{type(self).__name__} expects a graph with one edge type, got {len(graph.etypes)}; take one "
                "relation, graph['name'], or graphkit.graphs.to_typed(graph)"
            )
        check_feat("feat", feat, graph.num_src_nodes(), self.in_feats)
        edges = graph.num_edges()
        if edge_weight is not None:
            check_weight("edge_weight", edge_weight, edges)
        if self.edge_feats:
            if edge_feat is None:
                raise GraphKitError(f"{type(self).__name__} expects edge_feat of width {self.edge_feats}, got None")
            check_feat("edge_feat", edge_feat, edges, self.edge_feats)
        if self.num_rels:
            if etype is None:
                raise GraphKitError(f"{type(self).__name__} expects etype, the relation id of each edge, got None")
            check_ids("etype", etype, self.num_rels, edges)

    def refuse_blocks(self, graph: dgl.DGLGraph, why: str) -> None:
        """Raise if ``graph`` is a block, with the reason."""
        if graph.is_block:
            raise GraphKitError(
                f"{type(self).__name__} does not run on blocks: {why}; train on full graphs or subgraphs"
            )

    def extra_repr(self) -> str:
        """Return the widths, as ``print`` shows them."""
        return f"{self.in_feats}, {self.out_feats}"


def glorot(*weights: Tensor | None) -> None:
    """Draw each weight Glorot-uniform over its last two sizes, in place.

    >>> import torch
    >>> w = torch.empty(2, 3)
    >>> glorot(w); bool(w.abs().max() <= (6 / 5) ** 0.5)
    True
    """
    for weight in weights:
        if weight is not None:
            bound = (6.0 / (weight.shape[-2] + weight.shape[-1])) ** 0.5
            nn.init.uniform_(weight, -bound, bound)


def joint(x: Tensor, *maps: nn.Linear) -> tuple[Tensor, ...]:
    """What each linear map makes of x, by one product with all their weights.

    >>> import torch
    >>> a, b = nn.Linear(3, 2), nn.Linear(3, 4)
    >>> [y.shape[1] for y in joint(torch.ones(5, 3), a, b)]
    [2, 4]
    """
    weight = torch.cat([fc.weight for fc in maps])
    bias = None
    if any(fc.bias is not None for fc in maps):
        bias = torch.cat([fc.weight.new_zeros(fc.out_features) if fc.bias is None else fc.bias for fc in maps])
    return ops.columns(nn.functional.linear(x, weight, bias), [fc.out_features for fc in maps])
