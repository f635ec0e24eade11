"""Generalised aggregation: DeeperGCN: All You Need to Train Deeper GCNs, 2006.07739."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.check import check_choice
from graphkit.core.registry import register
from graphkit.nn.gcn import scale
from graphkit.nn.layer import Layer
from graphkit.nn.mlp import MLP

if TYPE_CHECKING:
    import dgl

#: Largest exponent between two rows of a graph that the softmax takes node by node; float32 ends near 87.
SPREAD = 60.0


class _Generalised(Layer):
    """The aggregations that GENConv learns to move between: of messages of nodes, and of messages of edges."""

    beta: Tensor
    p: Tensor
    fc_edge: nn.Linear | None

    def _set(self, aggregator: str, eps: float, beta: tuple[float, bool], p: tuple[float, bool]) -> None:
        check_choice("aggregator", aggregator, ("softmax", "power", "mean", "sum", "max"))
        self.aggregator, self.eps = aggregator, eps
        for name, (start, learn) in (("beta", beta), ("p", p)):
            value = torch.tensor(float(start))
            if learn:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def _of_nodes(self, graph: dgl.DGLGraph, message: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Aggregate messages that depend on their source only, ``[Nsrc, D]``, without an array of all edges."""
        if self.aggregator == "power":
            return self._root(ops.spmm(graph, message**self.p, edge_weight, "mean"))
        if self.aggregator != "softmax":
            return ops.spmm(graph, message, edge_weight, self.aggregator)
        share = self._share(message)
        if share is None:
            message = ops.gather_src(graph, message)
            return ops.edge_reduce(graph, scale(ops.edge_softmax(graph, self.beta * message) * message, edge_weight))
        total = ops.spmm(graph, share)
        return ops.spmm(graph, share * message, edge_weight) / torch.where(total > 0, total, 1.0)

    def _share(self, message: Tensor) -> Tensor | None:
        """Return ``exp(beta m)`` but for one factor a column, which no softmax sees; None where it would underflow."""
        score = self.beta * message
        bare = score.detach()
        if len(bare) == 0 or not float((bare.amax(0) - bare.amin(0)).max()) <= SPREAD:
            return None
        return torch.exp(score - bare.amax(0))

    def _of_edges(self, graph: dgl.DGLGraph, z: Tensor, edge_feat: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Aggregate one message per edge."""
        if self.aggregator == "max":
            message = F.relu(ops.gather_src(graph, z) + self.fc_edge(edge_feat)) + self.eps
            return ops.edge_reduce(graph, scale(message, edge_weight), "max")
        linear = self.fc_edge.weight, self.fc_edge.bias
        if self.aggregator == "power":
            return self._root(ops.relu_reduce(graph, z, edge_feat, edge_weight, "mean", linear, self.eps, power=self.p))
        return ops.relu_reduce(graph, z, edge_feat, edge_weight, self.aggregator, linear, self.eps, beta=self.beta)

    def _root(self, mean: Tensor) -> Tensor:
        some = mean > 0  # nothing heard: 0, and no infinite slope there
        return torch.where(some, torch.where(some, mean, 1.0) ** (1 / self.p), 0.0)


@register(
    "genconv",
    kind="layer",
    title="DeeperGCN: All You Need to Train Deeper GCNs",
    arxiv="2006.07739",
    example={"edge_feats": 2, "learn_beta": True},
)
class GENConv(_Generalised):
    """Softmax or power mean of messages: ``h_v = MLP(z_v + agg_u m_uv)``, ``m_uv = relu(z_u + W_e e_uv) + eps``.

    ``softmax``: ``agg = sum_u w_uv softmax_u(beta m_uv) m_uv``, feature by feature; ``power``: ``agg = (mean_u w_uv
    m_uv^p)^(1/p)``; ``mean``, ``sum``, ``max``: of ``w_uv m_uv``. ``z = W x`` where the widths differ, else ``x``. With
    ``msg_norm``, ``agg`` becomes ``s |z_v| agg / |agg|``.

    Parameters
    ----------
    in_feats, out_feats : int
    aggregator : str, default "softmax"
    beta, p : float, default 1.0
        Inverse temperature and power.
    learn_beta, learn_p : bool, default False
    msg_norm : bool, default False
        Message normalisation, with a learnt ``s``.
    edge_feats : int, default 0
    num_layers, expansion : int, default 2
        Linear maps of the MLP, and how much wider it is inside.
    norm : str, optional, default "batch"
        Of the MLP.
    eps : float, default 1e-7
    bias : bool, default True

    Raises
    ------
    GraphKitError
        For an unknown aggregator or norm, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> GENConv(4, 2, aggregator="power", p=2.0).eval()(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, aggregator: str = "softmax", beta: float = 1.0, learn_beta: bool = False,
        p: float = 1.0, learn_p: bool = False, msg_norm: bool = False, edge_feats: int = 0, num_layers: int = 2,
        expansion: int = 2, norm: str | None = "batch", eps: float = 1e-7, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, edge_feats)
        self._set(aggregator, eps, (beta, learn_beta), (p, learn_p))
        self.fc = nn.Linear(in_feats, out_feats, bias=bias) if in_feats != out_feats else None
        self.fc_edge = nn.Linear(edge_feats, out_feats, bias=bias) if edge_feats else None
        self.msg_scale = nn.Parameter(torch.ones(())) if msg_norm else None
        self.mlp = MLP(out_feats, out_feats, expansion * out_feats, num_layers, norm=norm, bias=bias)

    def forward(
        self, graph: dgl.DGLGraph, feat: Tensor, edge_feat: Tensor | None = None, edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]``, ``edge_feat [E, De]``, ``edge_weight [E]``."""
        self.check(graph, feat, edge_feat, edge_weight)
        z = feat if self.fc is None else self.fc(feat)
        if self.fc_edge is None:
            heard = self._of_nodes(graph, F.relu(z) + self.eps, edge_weight)
        else:
            heard = self._of_edges(graph, z, edge_feat, edge_weight)
        z = ops.dst_rows(graph, z)
        if self.msg_scale is not None:
            heard = F.normalize(heard, dim=-1) * z.norm(dim=-1, keepdim=True) * self.msg_scale
        return self.mlp(z + heard)
