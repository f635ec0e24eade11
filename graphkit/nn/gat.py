"""Graph attention: Graph Attention Networks (1710.10903), How Attentive are Graph Attention Networks? (2105.14491)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_heads, check_rate
from graphkit.core.registry import register
from graphkit.nn.dropout import Dropout
from graphkit.nn.layer import Layer, glorot, joint

if TYPE_CHECKING:
    import dgl


class _Attention(Layer):
    """What both share: heads, loops, and how heads and residual make the output row."""

    def __init__(
        self, in_feats: int, out_feats: int, num_heads: int, feat_drop: float, attn_drop: float, concat: bool,
        residual: bool, self_loops: bool, negative_slope: float, edge_feats: int,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, edge_feats)
        if concat:
            check_heads(out_feats, num_heads)
        check_rate("attn_drop", attn_drop)
        self.num_heads, self.head_feats = num_heads, out_feats // num_heads if concat else out_feats
        self.attn_drop, self.concat, self.self_loops = attn_drop, concat, self_loops
        self.negative_slope = negative_slope
        self.feat_drop = Dropout(feat_drop)
        self.res_fc = nn.Linear(in_feats, out_feats, bias=False) if residual else None

    @property
    def _drop(self) -> float:
        return self.attn_drop if self.training else 0.0

    def _heads(self, flat: Tensor) -> Tensor:
        return flat.unflatten(-1, (self.num_heads, self.head_feats))  # [N, H, D]

    def _with_loops(
        self, graph: dgl.DGLGraph, edge_weight: Tensor | None, edge_term: Tensor | None
    ) -> tuple[dgl.DGLGraph, Tensor | None, Tensor | None]:
        """Append a loop of weight 1 without edge features at every target."""
        if not self.self_loops:
            return graph, edge_weight, edge_term
        looped = ops.add_self_loops(graph)
        if edge_term is not None:
            edge_term = torch.cat([edge_term, edge_term.new_zeros(graph.num_dst_nodes(), *edge_term.shape[1:])])
        return looped, None if edge_weight is None else ops.pad_self_loops(graph, edge_weight), edge_term

    def _output(self, graph: dgl.DGLGraph, feat: Tensor, h: Tensor) -> Tensor:
        h = h.flatten(1) if self.concat else h.mean(1)
        return h if self.res_fc is None else h + self.res_fc(ops.dst_rows(graph, feat))


@register("gatconv", kind="layer", title="Graph Attention Networks", arxiv="1710.10903", example={"num_heads": 2})
class GATConv(_Attention):
    """Graph attention: ``h_v = ||_heads sum_u alpha_uv w_uv W x_u + b``, loops included.

    ``alpha_uv = softmax_u(leaky_relu(a_src . W x_u + a_dst . W x_v [+ a_edge . W_e e_uv]))``; weights do not
    enter it.

    Parameters
    ----------
    in_feats, out_feats : int
        ``out_feats`` is the width of all heads together; with ``concat=False`` that of each, and they are averaged.
    num_heads : int, default 1
    feat_drop, attn_drop : float, default 0.0
        Dropout of the input rows and of the attention.
    negative_slope : float, default 0.2
    residual : bool, default False
        Add a linear map of the input.
    concat : bool, default True
    self_loops : bool, default True
        Loops carry no edge features.
    edge_feats : int, default 0
    bias : bool, default True

    Raises
    ------
    GraphKitError
        For heads that do not divide the width, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> GATConv(4, 6, num_heads=2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 6])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_heads: int = 1, feat_drop: float = 0.0, attn_drop: float = 0.0,
        negative_slope: float = 0.2, residual: bool = False, concat: bool = True, self_loops: bool = True,
        edge_feats: int = 0, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(
            in_feats, out_feats, num_heads, feat_drop, attn_drop, concat, residual, self_loops, negative_slope,
            edge_feats,
        )  # fmt: skip
        self.weight = nn.Parameter(torch.empty(in_feats, num_heads * self.head_feats))
        self.attn_src = nn.Parameter(torch.empty(num_heads, self.head_feats))
        self.attn_dst = nn.Parameter(torch.empty(num_heads, self.head_feats))
        self.weight_edge = nn.Parameter(torch.empty(edge_feats, num_heads * self.head_feats)) if edge_feats else None
        self.attn_edge = nn.Parameter(torch.empty(num_heads, self.head_feats)) if edge_feats else None
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; the bias becomes 0."""
        glorot(self.weight, self.attn_src, self.attn_dst, self.weight_edge, self.attn_edge)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        x = self.feat_drop(feat)
        # a . (W x) = (W a) . x: one product gives rows and scores.
        scored = [self._scoring(self.weight, attn) for attn in (self.attn_src, self.attn_dst)]
        widths = (self.weight.shape[1], self.num_heads, self.num_heads)
        z, s_src, s_dst = ops.columns(x @ torch.cat([self.weight, *scored], 1), widths)
        s_dst = ops.dst_rows(graph, s_dst)  # [Ndst, H]
        s_edge = None
        if self.weight_edge is not None:
            s_edge = edge_feat @ self._scoring(self.weight_edge, self.attn_edge)  # [E, H]
        looped, edge_weight, s_edge = self._with_loops(graph, edge_weight, s_edge)
        h = ops.attention(looped, self._heads(z), s_src, s_dst, s_edge, edge_weight, self.negative_slope, self._drop)
        h = self._output(graph, x, h)
        return h if self.bias is None else h + self.bias

    def _scoring(self, weight: Tensor, attn: Tensor) -> Tensor:
        """Return the map from features to scores, ``[D, H]``."""
        return (self._heads(weight) * attn).sum(-1)


@register(
    "gatv2conv",
    kind="layer",
    title="How Attentive are Graph Attention Networks?",
    arxiv="2105.14491",
    example={"num_heads": 2},
)
class GATv2Conv(_Attention):
    """Dynamic graph attention: ``h_v = ||_heads sum_u alpha_uv w_uv (W_src x_u + b_src)``, loops included.

    ``alpha_uv = softmax_u(a . leaky_relu(W_src x_u + b_src + W_dst x_v + b_dst [+ W_e e_uv]))``; weights do not enter
    it. The non-linearity stands before the attention vector, so the ranking of sources can depend on the target.

    Parameters
    ----------
    in_feats, out_feats, num_heads, feat_drop, attn_drop, negative_slope, residual, concat, self_loops, edge_feats
        As for :class:`GATConv`.
    bias : bool, default True
        In both linear maps (DGL's definition; PyG adds one more at the end).
    share_weights : bool, default False
        ``W_dst = W_src``.

    Raises
    ------
    GraphKitError
        For heads that do not divide the width, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> GATv2Conv(4, 6, num_heads=2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 6])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_heads: int = 1, feat_drop: float = 0.0, attn_drop: float = 0.0,
        negative_slope: float = 0.2, residual: bool = False, concat: bool = True, self_loops: bool = True,
        edge_feats: int = 0, bias: bool = True, share_weights: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            in_feats, out_feats, num_heads, feat_drop, attn_drop, concat, residual, self_loops, negative_slope,
            edge_feats,
        )  # fmt: skip
        width = num_heads * self.head_feats
        self.fc_src = nn.Linear(in_feats, width, bias=bias)
        self.fc_dst = self.fc_src if share_weights else nn.Linear(in_feats, width, bias=bias)
        self.fc_edge = nn.Linear(edge_feats, width, bias=False) if edge_feats else None
        self.attn = nn.Parameter(torch.empty(num_heads, self.head_feats))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; biases become 0."""
        glorot(self.attn, *(fc.weight for fc in (self.fc_src, self.fc_dst, self.fc_edge) if fc is not None))
        for fc in (self.fc_src, self.fc_dst):
            if fc.bias is not None:
                nn.init.zeros_(fc.bias)

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        x = self.feat_drop(feat)
        z_src, z_dst = (self._heads(z) for z in self._projected(graph, x))  # [Nsrc, H, D], [Ndst, H, D]
        z_edge = None if self.fc_edge is None else self._heads(self.fc_edge(edge_feat))  # [E, H, D]
        looped, edge_weight, z_edge = self._with_loops(graph, edge_weight, z_edge)
        h = ops.attention_v2(looped, z_src, z_dst, self.attn, z_edge, edge_weight, self.negative_slope, self._drop)
        return self._output(graph, x, h)

    def _projected(self, graph: dgl.DGLGraph, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``W_src x`` of the sources and ``W_dst x`` of the targets, by one product where both are all rows."""
        if self.fc_dst is self.fc_src:
            z = self.fc_src(x)
            return z, ops.dst_rows(graph, z)
        if graph.is_block:
            return self.fc_src(x), self.fc_dst(ops.dst_rows(graph, x))
        z_src, z_dst = joint(x, self.fc_src, self.fc_dst)
        return z_src, z_dst
