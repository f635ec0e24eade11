"""PNA: Principal Neighbourhood Aggregation for Graph Nets, 2004.05718."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.layer import Layer

if TYPE_CHECKING:
    import dgl

AGGREGATORS = ("mean", "min", "max", "std", "sum")
SCALERS = ("identity", "amplification", "attenuation")


def log_degree(graph: dgl.DGLGraph) -> float:
    """Return the mean of ``log(d_in + 1)`` over the nodes: ``delta`` of :class:`PNAConv`, from the training graphs.

    >>> import graphkit, dgl
    >>> round(log_degree(dgl.graph(([0, 1], [1, 0]))), 4)
    0.6931
    """
    return float(torch.log1p(ops.degrees(graph)).mean()) if graph.num_dst_nodes() else 0.0


@register(
    "pnaconv",
    kind="layer",
    title="Principal Neighbourhood Aggregation for Graph Nets",
    arxiv="2004.05718",
    example={"edge_feats": 2},
)
class PNAConv(Layer):
    """Several aggregators, each under several degree scalers: ``h_v = U (x_v || s(d_v) (x) agg_u m_uv) + b``.

    ``m_uv = w_uv (M_src x_u + M_dst x_v [+ M_edge e_uv])``; ``s`` are 1, ``log(d + 1) / delta`` and its inverse.
    Without edge tensors nothing is stored for an edge: ``M_dst x_v`` moves each aggregate of v by itself, save ``std``.
    Each tower has maps of its own and gives ``out_feats / towers`` columns, which a linear map ``V`` mixes.

    Parameters
    ----------
    in_feats, out_feats : int
    aggregators : sequence of str, default ("mean", "min", "max", "std")
        Of these and ``sum``; ``std`` is ``sqrt(var + 1e-5)``.
    scalers : sequence of str, default ("identity", "amplification", "attenuation")
    delta : float, default 1.0
        Mean of ``log(d + 1)`` over the training graphs; see :func:`log_degree`.
    edge_feats : int, default 0
    bias : bool, default True
    towers : int, default 1
    divide_input : bool, default False
        Give each tower its share of the columns, not all of them.

    Raises
    ------
    GraphKitError
        For an unknown aggregator or scaler, none of either, a ``delta`` of 0 or less, towers that do not divide the
        widths, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> PNAConv(4, 2, towers=2, divide_input=True)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, aggregators: Sequence[str] = AGGREGATORS[:4],
        scalers: Sequence[str] = SCALERS, delta: float = 1.0, edge_feats: int = 0, bias: bool = True, towers: int = 1,
        divide_input: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, edge_feats)
        _check(aggregators, scalers, delta, towers, (out_feats, in_feats) if divide_input else (out_feats,))
        self.aggregators, self.scalers, self.delta = tuple(aggregators), tuple(scalers), delta
        self.towers, self.shares = towers, towers if divide_input else 1
        width = in_feats // self.shares  # of each tower's messages
        self.fc_src = nn.Linear(width, towers * width, bias=bias)
        self.fc_dst = nn.Linear(width, towers * width, bias=False)
        self.fc_edge = nn.Linear(edge_feats, towers * width, bias=False) if edge_feats else None
        self.fc_self = nn.Linear(width, out_feats, bias=bias)  # U: the columns of the own row,
        self.fc_out = nn.Linear(len(aggregators) * width, len(scalers) * out_feats, bias=False)  # and of the aggregates
        self.fc_mix = nn.Linear(out_feats, out_feats, bias=bias) if towers > 1 else None  # V

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        own, theirs = ops.dst_rows(graph, feat), _each(feat, self.fc_src.weight, self.fc_src.bias, self.shares)
        if self.fc_edge is None and edge_weight is None:
            parts = _shifted(self, graph, own, self._above(ops.multi_reduce(graph, theirs, self.aggregators)))
        else:
            mine = _each(own, self.fc_dst.weight, None, self.shares)
            message = ops.sddmm(graph, theirs, mine, "add")  # [E, T width]
            message = message if self.fc_edge is None else message + self.fc_edge(edge_feat)
            parts = self._above(ops.edge_multi_reduce(graph, scale(message, edge_weight), self.aggregators))
        parts = parts.unflatten(-1, (self.towers, len(self.scalers), -1))
        factors = degree_factors(graph, feat, self.scalers, self.delta)  # scaling rows commutes with U
        heard = (parts * factors[:, None, :, None]).sum(2).flatten(1)
        h = _each(own, self.fc_self.weight, self.fc_self.bias, self.shares) + heard
        return h if self.fc_mix is None else self.fc_mix(h)

    def _above(self, heard: Tensor) -> Tensor:
        """U's columns of the aggregates ``[Ndst, R, T width]``: ``[Ndst, T S out / T]``."""
        rows = heard.unflatten(-1, (self.towers, -1)).transpose(1, 2).flatten(1)
        return _each(rows, self.fc_out.weight, None, self.towers)


def _shifted(layer: PNAConv, graph: dgl.DGLGraph, own: Tensor, parts: Tensor) -> Tensor:
    """Add what ``M_dst x_v`` is above U: once for mean, min and max, by the degree for a sum, nothing for std."""
    degree = ops.degrees(graph, "in", like=own)
    width, some = layer.fc_src.in_features, degree > 0
    u = layer.fc_out.weight.view(layer.towers, -1, len(layer.aggregators), width)
    for names, times in ((("mean", "min", "max"), None if bool(some.all()) else some.to(own)), (("sum",), degree)):
        which = [i for i, name in enumerate(layer.aggregators) if name in names]
        if which:
            weight = (u[:, :, which].sum(2) @ layer.fc_dst.weight.view(layer.towers, width, width)).flatten(0, 1)
            rows = scale(own, times)
            alone = layer.shares == 1
            parts = torch.addmm(parts, rows, weight.T) if alone else parts + _each(rows, weight, None, layer.shares)
    return parts


def degree_factors(graph: dgl.DGLGraph, like: Tensor, scalers: Sequence[str], delta: float) -> Tensor:
    """Return the scalers' factors of each target, ``[Ndst, S]``; attenuation counts degree 0 as 1.

    >>> import graphkit, dgl
    >>> degree_factors(dgl.graph(([0], [1])), torch.ones(2), ["identity"], 1.0).tolist()
    [[1.0], [1.0]]
    """
    degree = ops.degrees(graph, "in", like=like)
    factors = {
        "identity": torch.ones_like(degree),
        "amplification": torch.log1p(degree) / delta,
        "attenuation": delta / torch.log1p(degree.clamp(min=1)),
    }
    return torch.stack([factors[name] for name in scalers], 1)


def _check(
    aggregators: Sequence[str], scalers: Sequence[str], delta: float, towers: int, widths: Sequence[int]
) -> None:
    for name, given, known in (("aggregator", aggregators, AGGREGATORS), ("scaler", scalers, SCALERS)):
        for one in given:
            check_choice(name, one, known)
    if not aggregators or not scalers or not delta > 0:
        raise GraphKitError(f"PNAConv needs an aggregator, a scaler and delta above 0, got delta={delta}")
    for width in widths:
        if towers < 1 or width % towers:
            raise GraphKitError(f"towers={towers} do not divide the width {width}; expected a divisor of it")


def _each(rows: Tensor, weight: Tensor, bias: Tensor | None, towers: int) -> Tensor:
    """Map each tower's share of the columns by its own rows of weight ``[T out, in]``, side by side again."""
    if towers == 1:
        return F.linear(rows, weight, bias)
    shares = rows.unflatten(-1, (towers, -1))
    out = torch.einsum("nti,toi->nto", shares, weight.view(towers, -1, shares.shape[-1])).flatten(1)
    return out if bias is None else out + bias
