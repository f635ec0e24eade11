"""CompGCN: Composition-based Multi-Relational Graph Convolutional Networks, 1911.03082."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_choice, check_feat
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import Propagation, scale
from graphkit.nn.layer import Layer, glorot

if TYPE_CHECKING:
    import dgl


def compose(feat: Tensor, rel: Tensor, how: str) -> Tensor:
    """Compose rows of nodes and relations, ``[U, D]`` each: ``sub``, ``mult`` or ``corr`` (circular correlation).

    >>> compose(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 5.0]]), "corr").round().tolist()
    [[13.0, 11.0]]
    """
    if how == "sub":
        return feat - rel
    if how == "mult" or len(feat) == 0:  # the transform refuses no rows
        return feat * rel
    spectrum = torch.fft.rfft(feat).conj() * torch.fft.rfft(rel)
    return torch.fft.irfft(spectrum, feat.shape[-1])


@register(
    "compgcnconv",
    kind="layer",
    title="Composition-based Multi-Relational Graph Convolutional Networks",
    arxiv="1911.03082",
    example={"num_rels": 4},
)
class CompGCNConv(Layer):
    """Compose nodes with relations: ``h_v = (sum_{u,r} n_uv w_uv W_dir(r) phi(x_u, z_r) + W_S phi(x_v, z_S)) / 3``.

    Relations ``r < num_rels / 2`` are original (``W_O``), the others their inverses (``W_I``); the graph must hold
    both. A bias is added at the end. ``phi(x_u, z_r)`` is computed once for each pair (u, r) that occurs.

    Parameters
    ----------
    in_feats, out_feats : int
    num_rels : int
        Even: originals, then inverses.
    composition : str, default "corr"
        ``sub``, ``mult`` or ``corr``.
    norm : str, default "both"
        ``n_uv``: ``both`` (of out-degree of u and in-degree of v), ``right`` or ``none``, as for
        :class:`~graphkit.nn.GCNConv`; weights do not count.
    bias : bool, default True
    updates_relations : bool, default False
        Return ``(node, rel)``, with ``rel = W_rel z [R, out_feats]`` for the next layer's ``rel_feat``.

    Raises
    ------
    GraphKitError
        For an odd ``num_rels``, an unknown composition or norm, relation ids out of range, a wrong width or length, or
        integers.

    Examples
    --------
    >>> import graphkit, dgl
    >>> layer = CompGCNConv(4, 2, num_rels=2)
    >>> layer(dgl.graph(([0, 1], [1, 0])), torch.ones(2, 4), etype=torch.tensor([0, 1])).shape
    torch.Size([2, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_rels: int, composition: str = "corr", norm: str = "both",
        bias: bool = True, updates_relations: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, num_rels=num_rels)
        check_choice("composition", composition, ("sub", "mult", "corr"))
        check_choice("norm", norm, ("both", "right", "none"))
        if num_rels < 2 or num_rels % 2:
            raise GraphKitError(f"num_rels={num_rels}; expected an even number, relations and then their inverses")
        self.composition, self.norm = composition, Propagation(norm, self_loops=False)
        self.rel = nn.Parameter(torch.empty(num_rels, in_feats))
        self.loop_rel = nn.Parameter(torch.empty(1, in_feats))
        self.weight = nn.Parameter(torch.empty(2, in_feats, out_feats))  # W_O, W_I
        self.loop_weight = nn.Parameter(torch.empty(in_feats, out_feats))
        self.weight_rel = nn.Parameter(torch.empty(in_feats, out_feats)) if updates_relations else None
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; the bias becomes 0."""
        glorot(self.rel, self.loop_rel, self.weight, self.loop_weight, self.weight_rel)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None, rel_feat: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``etype [E]`` int64, ``edge_weight [E]``.

        ``rel_feat [R, in_feats]`` takes the place of the layer's own relations.
        """
        self.check(graph, feat, edge_weight=edge_weight, etype=etype)
        assert etype is not None
        if rel_feat is not None:
            check_feat("rel_feat", rel_feat, self.num_rels, self.in_feats)
        z = self.rel if rel_feat is None else rel_feat
        pairs = ops.compact(graph, etype, self.num_rels)
        s, t = self.norm.scales(graph, feat, None)
        message = compose(feat[pairs.node], z[pairs.rel], self.composition)  # [U, in]
        message = ops.typed_matmul(message, self.weight, (2 * pairs.rel >= self.num_rels).long())  # [U, out]
        message = scale(message, None if s is None else s[pairs.node])
        h = scale(ops.spmm(pairs.graph, message, edge_weight), t)  # [Ndst, out]
        own = ops.dst_rows(graph, feat)
        h = (h + compose(own, self.loop_rel.expand(len(own), -1), self.composition) @ self.loop_weight) / 3
        h = h if self.bias is None else h + self.bias
        return h if self.weight_rel is None else (h, z @ self.weight_rel)
