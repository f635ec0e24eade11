"""SIR-GCN: Contextualized Messages Boost Graph Representations, 2403.12529."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_choice, check_size
from graphkit.core.registry import register
from graphkit.nn.dropout import Dropout
from graphkit.nn.gcn import Propagation, scale
from graphkit.nn.layer import Layer
from graphkit.nn.mlp import make_activation

if TYPE_CHECKING:
    import dgl


@register(
    "sirconv",
    kind="layer",
    title="Contextualized Messages Boost Graph Representations",
    arxiv="2403.12529",
    example={"edge_feats": 2},
)
class SIRConv(Layer):
    """Messages that know both ends: ``h_v = agg_u w_uv W_R act(W_Q x_v + W_K x_u [+ W_E e_uv])``.

    For ``sum``, ``mean`` and ``sym`` (``1 / sqrt(d_out(u) d_in(v))``, degrees without weights), ``W_R`` and its bias
    come once, after the sum; for ``max`` in every message. There is no term of the own row.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, optional
        Width of messages; ``out_feats`` without.
    activation : str or nn.Module, default "relu"
        A module may be a small network on rows of width ``hidden``.
    aggregator : str, default "sum"
        ``sum``, ``mean``, ``max`` or ``sym``.
    edge_feats : int, default 0
    dropout : float, default 0.0
        Of ``W_Q x`` and ``W_K x``.
    inner_bias, outer_bias : bool, default True
        Of ``W_Q`` and ``W_R``.

    Raises
    ------
    GraphKitError
        For an unknown aggregator or activation, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> SIRConv(4, 2, hidden=8)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int | None = None, activation: str | nn.Module = "relu",
        aggregator: str = "sum", edge_feats: int = 0, dropout: float = 0.0, inner_bias: bool = True,
        outer_bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, edge_feats)
        check_choice("aggregator", aggregator, ("sum", "mean", "max", "sym"))
        width = hidden or out_feats
        check_size("hidden", width)
        self.aggregator = aggregator
        self.activation = activation if isinstance(activation, nn.Module) else make_activation(activation)
        self.fc_query = nn.Linear(in_feats, width, bias=inner_bias)
        self.fc_key = nn.Linear(in_feats, width, bias=False)
        self.fc_edge = nn.Linear(edge_feats, width, bias=False) if edge_feats else None
        self.fc_relay = nn.Linear(width, out_feats, bias=outer_bias)
        self.dropout, self.norm = Dropout(dropout), Propagation("both", self_loops=False)

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        query = self.dropout(self.fc_query(ops.dst_rows(graph, feat)))  # [Ndst, hidden]
        inner = ops.sddmm(graph, self.dropout(self.fc_key(feat)), query, "add")  # [E, hidden]
        if self.fc_edge is not None:
            inner = inner + self.fc_edge(edge_feat)
        message = self.activation(inner)
        if self.aggregator == "max":
            return ops.edge_reduce(graph, scale(self.fc_relay(message), edge_weight), "max")
        message = scale(message, edge_weight)
        if self.aggregator != "sym":
            return self.fc_relay(ops.edge_reduce(graph, message, self.aggregator))
        s, t = self.norm.scales(graph, feat, None)
        assert s is not None
        return self.fc_relay(scale(ops.edge_reduce(graph, scale(message, ops.gather_src(graph, s))), t))
