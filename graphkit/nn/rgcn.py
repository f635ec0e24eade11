"""Relational graph convolution: Modeling Relational Data with Graph Convolutional Networks, 1703.06103."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.layer import Layer, glorot

if TYPE_CHECKING:
    import dgl


#: A block-diagonal matrix is made of dense pieces up to this wide: smaller products take as long.
PIECE = 64


def weight_shapes(
    regularizer: str | None, widths: tuple[int, int], num_rels: int, bases: int
) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    """Shapes of ``weight`` and of ``coeff``, if there is one.

    Raises
    ------
    GraphKitError
        For an unknown regularizer, no relations, or blocks that do not divide the widths.

    Examples
    --------
    >>> weight_shapes("basis", (4, 2), 3, 2)
    ((2, 4, 2), (3, 2))
    """
    check_choice("regularizer", regularizer, (None, "basis", "bdd"))
    if num_rels < 1:
        raise GraphKitError(f"num_rels={num_rels} is no number of relations; expected at least 1")
    if regularizer == "bdd":
        if widths[0] % bases or widths[1] % bases:
            raise GraphKitError(f"num_bases={bases} blocks do not divide both widths, {widths[0]} and {widths[1]}")
        return (num_rels, bases, widths[0] // bases, widths[1] // bases), None
    return (bases, *widths) if regularizer else (num_rels, *widths), (num_rels, bases) if regularizer else None


def merge_blocks(weight: Tensor, piece: int = PIECE) -> Tensor:
    """Merge diagonal blocks ``[R, B, i, o]`` to larger ones, zeros between, as many as stay within ``piece`` columns.

    >>> merge_blocks(torch.ones(1, 2, 1, 1)).tolist()
    [[[[1.0, 0.0], [0.0, 1.0]]]]
    """
    rels, blocks, wide, deep = weight.shape
    together = max(n for n in range(1, blocks + 1) if blocks % n == 0 and (n == 1 or n * max(wide, deep) <= piece))
    if together == 1:
        return weight
    apart = torch.eye(together, dtype=weight.dtype, device=weight.device)[:, None, :, None]
    merged = weight.view(rels, -1, together, wide, 1, deep) * apart  # [R, B / n, n, i, n, o]
    return merged.reshape(rels, -1, together * wide, together * deep)


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
        For an unknown regularizer or norm, blocks that do not divide the widths, ids out of range, or wrong shapes.

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
        check_choice("norm", norm, ("per_relation", "total"))
        self.regularizer, self.num_bases, self.norm = regularizer, num_bases or num_rels, norm
        weight, coeff = weight_shapes(regularizer, (in_feats, out_feats), num_rels, self.num_bases)
        self.weight = nn.Parameter(torch.empty(weight))
        self.coeff = nn.Parameter(torch.empty(coeff)) if coeff else None
        self.loop_weight = nn.Parameter(torch.empty(in_feats, out_feats)) if self_loop else None
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; the bias becomes 0."""
        glorot(self.weight, self.coeff, self.loop_weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``etype [E]`` int64, ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight, etype=etype)
        assert etype is not None
        if self.norm == "per_relation":
            inverse_c = ops.compact(graph, etype, self.num_rels, "dst").shares(feat)  # [E]
            h = self._messages(graph, feat, etype, scale(inverse_c, edge_weight))
        else:
            inverse_c = ops.degrees(graph, "in", like=feat).clamp(min=1).reciprocal()  # [Ndst]
            h = scale(self._messages(graph, feat, etype, edge_weight), inverse_c)
        if self.loop_weight is not None:
            h = h + ops.dst_rows(graph, feat) @ self.loop_weight
        return h if self.bias is None else h + self.bias

    def _messages(self, graph: dgl.DGLGraph, feat: Tensor, etype: Tensor, weight: Tensor | None) -> Tensor:
        """Return ``sum_e weight_e W_r(e) x_u(e)`` for each target, ``[Ndst, out_feats]``."""
        matrices = merge_blocks(self.weight) if self.regularizer == "bdd" else self.weight
        if self.coeff is None:
            return ops.typed_spmm(graph, feat, matrices, etype, weight)
        return ops.typed_spmm(graph, feat, matrices, etype, weight, self.coeff)
