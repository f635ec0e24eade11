"""Messages made on edges: EdgeConv (1801.07829), NNConv (1704.01212) and CFConv (1706.08566)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.check import check_choice, check_size
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.layer import Layer, glorot
from graphkit.nn.mlp import MLP

if TYPE_CHECKING:
    import dgl

AGGREGATORS = ("max", "mean", "sum")


@register("edgeconv", kind="layer", title="Dynamic Graph CNN for Learning on Point Clouds", arxiv="1801.07829")
class EdgeConv(Layer):
    """Edge convolution: ``h_v = agg_u w_uv MLP(x_v || x_u - x_v)``.

    The first linear map is split over the ends of the edge, so its products are over nodes. DGL's layer, which is
    linear, is ``num_layers=1``; its arrays are over nodes only, unless there are weights.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, optional
        Width inside the MLP; ``out_feats`` without.
    num_layers : int, default 2
    aggregator : str, default "max"
        ``max``, ``mean`` or ``sum``.
    norm : str, optional
        Norm inside the MLP, over edges: ``"batch"`` or ``"layer"``.

    Raises
    ------
    GraphKitError
        For an unknown aggregator or norm, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> EdgeConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int | None = None, num_layers: int = 2, aggregator: str = "max",
        norm: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats)
        check_choice("aggregator", aggregator, AGGREGATORS)
        self.aggregator = aggregator
        self.mlp = MLP(2 * in_feats, out_feats, hidden, num_layers, norm=norm)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        first = self.mlp.linears[0]
        assert isinstance(first, nn.Linear)
        own, other = first.weight.split(self.in_feats, 1)
        theirs = feat @ other.T  # [Nsrc, hidden]
        mine = F.linear(ops.dst_rows(graph, feat), own - other, first.bias)  # [Ndst, hidden]
        if len(self.mlp.linears) == 1 and edge_weight is None:  # one shift for all neighbours commutes with agg
            degree = ops.degrees(graph, "in", like=feat)
            degree = degree if self.aggregator == "sum" else (degree > 0).to(feat)
            return ops.spmm(graph, theirs, reduce=self.aggregator) + scale(mine, degree)
        message = self.mlp.after_first(ops.sddmm(graph, theirs, mine, "add"))  # [E, out]
        return ops.edge_reduce(graph, scale(message, edge_weight), self.aggregator)


@register(
    "nnconv",
    kind="layer",
    title="Neural Message Passing for Quantum Chemistry",
    arxiv="1704.01212",
    example={"edge_feats": 2},
)
class NNConv(Layer):
    """A matrix per edge: ``h_v = W x_v + agg_u w_uv A(e_uv) x_u + b``, ``A(e) = A_0 + sum_j relu(U e + c)_j A_j``.

    The matrices of edges are never made: ``A(e) x`` is summed as ``sum_j r_j (A_j x)`` or ``A_j sum_u r_j x_u``.

    Parameters
    ----------
    in_feats, out_feats : int
    edge_feats : int
    hidden : int, optional
        Length of ``U e + c``; without, ``A`` is linear in e: ``A(e) = A_0 + sum_j e_j A_j``.
    aggregator : str, default "sum"
        ``sum``, ``mean`` or ``max``.
    root_weight, bias : bool, default True
        Whether there are ``W`` and ``b``.

    Raises
    ------
    GraphKitError
        For ``edge_feats`` of 0, an unknown aggregator, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> NNConv(4, 2, edge_feats=3, hidden=8)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), torch.ones(2, 3)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, edge_feats: int, hidden: int | None = None, aggregator: str = "sum",
        root_weight: bool = True, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, edge_feats)
        _need_edges(self)
        check_choice("aggregator", aggregator, AGGREGATORS)
        check_size("hidden", hidden or 1)
        self.aggregator = aggregator
        self.fc_edge = nn.Linear(edge_feats, hidden) if hidden else None  # U, c
        self.weight = nn.Parameter(torch.empty(1 + (hidden or edge_feats), in_feats, out_feats))  # A_0, A_1, ...
        self.fc_root = nn.Linear(in_feats, out_feats, bias=False) if root_weight else None
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the matrices Glorot-uniform, as if one; the bias becomes 0."""
        glorot(self.weight.view(-1, self.out_feats))
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
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        assert edge_feat is not None
        r = edge_feat if self.fc_edge is None else F.relu(self.fc_edge(edge_feat))
        r = scale(F.pad(r, (1, 0), value=1.0), edge_weight)  # [E, J], the first for A_0
        if self.aggregator != "max" and self.in_feats < self.out_feats:
            x = feat.unsqueeze(1).expand(-1, len(self.weight), -1)
            h = ops.spmm(graph, x, r, self.aggregator).flatten(1) @ self.weight.flatten(
                0, 1
            )  # [Ndst, J in] @ [J in, out]
        else:
            z = torch.einsum("ni,jio->njo", feat, self.weight)  # [Nsrc, J, out]
            if self.aggregator == "max":
                h = ops.edge_reduce(graph, (ops.gather_src(graph, z) * r.unsqueeze(-1)).sum(1), "max")
            else:
                h = ops.spmm(graph, z, r, self.aggregator).sum(1)
        h = h if self.fc_root is None else h + self.fc_root(ops.dst_rows(graph, feat))
        return h if self.bias is None else h + self.bias


@register(
    "cfconv",
    kind="layer",
    title="SchNet: A continuous-filter convolutional neural network for modeling quantum interactions",
    arxiv="1706.08566",
    example={"edge_feats": 2},
)
class CFConv(Layer):
    """Continuous filter: ``h_v = ssp(W_2 sum_u w_uv f(e_uv) * (W_1 x_u + b_1) + b_2)``.

    ``ssp(x) = softplus(x) - log 2``; the filter is ``f(e) = ssp(U_2 ssp(U_1 e + c_1) + c_2)``; ``e`` is usually an
    expansion of a distance.

    Parameters
    ----------
    in_feats, out_feats : int
    edge_feats : int
    hidden : int, optional
        Filters; ``out_feats`` without.
    activate : bool, default True
        Without, ``h_v`` is what the last ``ssp`` would take.

    Raises
    ------
    GraphKitError
        For ``edge_feats`` of 0, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> CFConv(4, 2, edge_feats=3)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4), torch.ones(2, 3)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, edge_feats: int, hidden: int | None = None, activate: bool = True
    ) -> None:
        super().__init__(in_feats, out_feats, edge_feats)
        _need_edges(self)
        width = hidden or out_feats
        check_size("hidden", width)
        self.activate = activate
        self.filter = nn.ModuleList([nn.Linear(edge_feats, width), nn.Linear(width, width)])
        self.fc = nn.Linear(in_feats, width)
        self.fc_out = nn.Linear(width, out_feats)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        assert edge_feat is not None
        h = ops.filter_sum(graph, self.fc(feat), edge_feat, edge_weight, _filter, list(self.filter.parameters()))
        h = self.fc_out(h)
        return ops.shifted_softplus(h) if self.activate else h


def _filter(rows: Tensor, *params: Tensor) -> Tensor:
    for weight, bias in zip(params[::2], params[1::2], strict=True):
        rows = ops.shifted_softplus(F.linear(rows, weight, bias))
    return rows


def _need_edges(layer: Layer) -> None:
    if layer.edge_feats < 1:
        raise GraphKitError(f"{type(layer).__name__} works by edge features; expected edge_feats of at least 1")
