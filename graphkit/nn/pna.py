"""PNA: Principal Neighbourhood Aggregation for Graph Nets, 2004.05718."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

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

    Raises
    ------
    GraphKitError
        For an unknown aggregator or scaler, none of either, a ``delta`` of 0 or less, a wrong width or length, or
        integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> PNAConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, aggregators: Sequence[str] = AGGREGATORS[:4],
        scalers: Sequence[str] = SCALERS, delta: float = 1.0, edge_feats: int = 0, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, edge_feats)
        for name, given, known in (("aggregator", aggregators, AGGREGATORS), ("scaler", scalers, SCALERS)):
            for one in given:
                check_choice(name, one, known)
        if not aggregators or not scalers or not delta > 0:
            raise GraphKitError(f"PNAConv needs an aggregator, a scaler and delta above 0, got delta={delta}")
        self.aggregators, self.scalers, self.delta = tuple(aggregators), tuple(scalers), delta
        self.fc_src = nn.Linear(in_feats, in_feats, bias=bias)
        self.fc_dst = nn.Linear(in_feats, in_feats, bias=False)
        self.fc_edge = nn.Linear(edge_feats, in_feats, bias=False) if edge_feats else None
        # U: the columns of the own row, then those of the aggregates, scaler by scaler
        self.fc_self = nn.Linear(in_feats, out_feats, bias=bias)
        self.fc_out = nn.Linear(
            len(aggregators) * in_feats, len(scalers) * out_feats, bias=False
        )  # U, scaler by scaler

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
        own = ops.dst_rows(graph, feat)
        mine, theirs = self.fc_dst(own), self.fc_src(feat)
        if self.fc_edge is None and edge_weight is None:
            heard = self._shifted(graph, theirs, mine)
        else:
            message = ops.sddmm(graph, theirs, mine, "add")  # [E, in]
            message = message if self.fc_edge is None else message + self.fc_edge(edge_feat)
            message = scale(message, edge_weight)
            heard = torch.cat([ops.edge_reduce(graph, message, name) for name in self.aggregators], -1)
        parts = self.fc_out(heard).unflatten(-1, (len(self.scalers), self.out_feats))  # scaling rows commutes with U
        return self.fc_self(own) + (parts * self._scales(graph, feat).unsqueeze(-1)).sum(1)

    def _shifted(self, graph: dgl.DGLGraph, theirs: Tensor, mine: Tensor) -> Tensor:
        """Return the aggregates of ``theirs_u + mine_v`` side by side, ``[Ndst, R in]``, from those of ``theirs``."""
        degree = ops.degrees(graph, "in", like=mine)
        times = [{"sum": degree, "std": degree * 0}.get(name, (degree > 0).to(mine)) for name in self.aggregators]
        shift = torch.stack(times, 1).unsqueeze(-1) * mine.unsqueeze(1)  # [Ndst, R, in]
        return (ops.multi_reduce(graph, theirs, self.aggregators) + shift).flatten(1)

    def _scales(self, graph: dgl.DGLGraph, like: Tensor) -> Tensor:
        """Return the factors of each target, ``[Ndst, S]``; attenuation counts degree 0 as 1."""
        degree = ops.degrees(graph, "in", like=like)
        factors = {
            "identity": torch.ones_like(degree),
            "amplification": torch.log1p(degree) / self.delta,
            "attenuation": self.delta / torch.log1p(degree.clamp(min=1)),
        }
        return torch.stack([factors[name] for name in self.scalers], 1)
