"""Relational graph convolution: Modeling Relational Data with Graph Convolutional Networks, 1703.06103."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import _dgl, ops
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.layer import Layer, glorot

if TYPE_CHECKING:
    import dgl


@register(
    "relgraphconv",
    kind="layer",
    title="Modeling Relational Data with Graph Convolutional Networks",
    arxiv="1703.06103",
    example={"num_rels": 3},
)
class RelGraphConv(Layer):
    """A linear map per relation: ``h_v = W_0 x_v + sum_r sum_{u -r-> v} w_uv / c_vr W_r x_u + b``.

    Parameters
    ----------
    in_feats, out_feats : int
    num_rels : int
        Relations R; inverse relations are relations of their own, which the graph must hold.
    regularizer : str, optional
        ``"basis"``: ``W_r = sum_b a_rb V_b``; ``"bdd"``: ``W_r = diag(Q_r1, ..., Q_rB)``; None: free.
    num_bases : int, optional
        B, at most R for ``basis``; ``num_rels`` without. For ``bdd`` it divides both widths.
    norm : str, default "per_relation"
        ``c_vr``: edges of relation r that enter v; with ``"total"`` all edges that enter v. Weights do not count.
    self_loop : bool, default True
        Whether there is ``W_0``.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        For an unknown regularizer or norm, blocks that do not divide the widths, relation ids out of range, a wrong
        width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> layer = RelGraphConv(4, 2, num_rels=3, regularizer="basis", num_bases=2)
    >>> layer(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), etype=torch.tensor([0, 2])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_rels: int, regularizer: str | None = None,
        num_bases: int | None = None, norm: str = "per_relation", self_loop: bool = True, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, num_rels=num_rels)
        check_choice("regularizer", regularizer, (None, "basis", "bdd"))
        check_choice("norm", norm, ("per_relation", "total"))
        if num_rels < 1:
            raise GraphKitError(f"num_rels={num_rels} is no number of relations; expected at least 1")
        bases = num_bases or num_rels
        if regularizer == "bdd" and (in_feats % bases or out_feats % bases):
            raise GraphKitError(f"num_bases={bases} blocks do not divide both widths, {in_feats} and {out_feats}")
        self.regularizer, self.num_bases, self.norm = regularizer, bases, norm
        shapes: dict[str | None, tuple[int, ...]] = {
            None: (num_rels, in_feats, out_feats),
            "basis": (bases, in_feats, out_feats),
        }
        shapes["bdd"] = (num_rels, bases, in_feats // bases, out_feats // bases)
        self.weight = nn.Parameter(torch.empty(shapes[regularizer]))
        self.coeff = nn.Parameter(torch.empty(num_rels, bases)) if regularizer == "basis" else None
        self.loop_weight = nn.Parameter(torch.empty(in_feats, out_feats)) if self_loop else None
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; the bias becomes 0."""
        glorot(self.weight, self.coeff, self.loop_weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``etype [E]`` int64, ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight, etype=etype)
        assert etype is not None
        inverse_c = self._normaliser(graph, feat, etype)  # [E]
        h = self._messages(graph, feat, etype, scale(inverse_c, edge_weight))
        if self.loop_weight is not None:
            h = h + ops.dst_rows(graph, feat) @ self.loop_weight
        return h if self.bias is None else h + self.bias

    def _normaliser(self, graph: dgl.DGLGraph, feat: Tensor, etype: Tensor) -> Tensor:
        """Return ``1 / c`` for each edge, ``[E]``."""
        if self.norm == "total":
            return ops.gather_dst(graph, ops.degrees(graph, "in", like=feat).clamp(min=1).reciprocal())
        dst = _dgl.structure(graph).dst.to(etype.device)
        _, group, count = torch.unique(dst * self.num_rels + etype, return_inverse=True, return_counts=True)
        return count.to(feat).reciprocal()[group]

    def _messages(self, graph: dgl.DGLGraph, feat: Tensor, etype: Tensor, weight: Tensor) -> Tensor:
        """Return ``sum_e weight_e W_r(e) x_u(e)`` for each target, ``[Ndst, out_feats]``."""
        if self.coeff is not None:
            mixed = self.coeff[etype] * weight[:, None]  # [E, B]
            if self.in_feats > self.out_feats:
                z = torch.einsum("ni,bio->nbo", feat, self.weight)  # [Nsrc, B, out]
                return ops.spmm(graph, z, mixed).sum(1)
            z = ops.spmm(graph, feat[:, None].expand(-1, self.num_bases, -1), mixed)  # [Ndst, B, in]
            return torch.einsum("nbi,bio->no", z, self.weight)
        message = scale(ops.gather_src(graph, feat), weight)  # [E, in]
        if self.regularizer == "bdd":
            block = torch.arange(self.num_bases, device=etype.device)
            parts = message.unflatten(-1, (self.num_bases, -1)).flatten(0, 1)  # [E B, in/B]
            types = (etype[:, None] * self.num_bases + block).flatten()
            message = ops.typed_matmul(parts, self.weight.flatten(0, 1), types).reshape(-1, self.out_feats)
        else:
            message = ops.typed_matmul(message, self.weight, etype)  # [E, out]
        return ops.edge_reduce(graph, message)
