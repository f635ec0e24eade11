"""Layers in which all nodes of a graph meet: softmax attention, Performer attention (2009.14794), virtual node."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_heads, check_rate
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.dropout import Dropout
from graphkit.nn.graph_norm import NO_EDGES, WHOLE, WholeGraph
from graphkit.nn.mlp import MLP

if TYPE_CHECKING:
    import dgl


def by_size(offsets: Tensor, attend: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """Apply a dense function to the graphs of a batch, those of like sizes together.

    Graphs of ``2^i`` to ``2^(i+1) - 1`` nodes share a bucket, so fewer than half of the dense rows are padding,
    however unequal the sizes are, and there are as many buckets as powers of 2.

    Parameters
    ----------
    offsets : Tensor
        int64 ``[B + 1]``.
    attend : callable
        ``attend(mask [b, M], *dense [b, M, ...]) -> [b, M, ...]``.
    *rows : Tensor
        ``[N, ...]`` each.

    Returns
    -------
    Tensor
        ``[N, ...]``.

    Examples
    --------
    >>> by_size(torch.tensor([0, 1, 3]), lambda mask, x: x.cumsum(1), torch.ones(3, 1)).flatten().tolist()
    [1.0, 1.0, 2.0]
    """
    sizes = offsets.diff()
    bucket = torch.frexp(sizes.double()).exponent  # 0 for no nodes
    owner = ops.segment_ids(offsets)
    ids: list[Tensor] = []
    parts: list[Tensor] = []
    for one in bucket.unique().tolist():
        chosen = bucket == one
        here = chosen[owner].nonzero().squeeze(1).to(rows[0].device)
        if len(here) == 0:
            continue
        mine = torch.cat([sizes.new_zeros(1), sizes[chosen].cumsum(0)])
        dense = [ops.to_dense(x[here], mine) for x in rows]
        mask = dense[0][1]
        parts.append(ops.from_dense(attend(mask, *(x for x, _ in dense)), mask))
        ids.append(here)
    if not ids:
        return rows[-1]
    return torch.empty_like(rows[-1]).index_copy(0, torch.cat(ids), torch.cat(parts))


class _GlobalAttention(WholeGraph):
    """What both share: maps to queries, keys and values in heads, and back."""

    def __init__(self, in_feats: int, out_feats: int | None, num_heads: int, attn_drop: float) -> None:
        super(WholeGraph, self).__init__(in_feats, in_feats if out_feats is None else out_feats)
        check_heads(self.out_feats, num_heads)
        check_rate("attn_drop", attn_drop)
        self.num_heads, self.head_feats = num_heads, self.out_feats // num_heads
        self.fc_query, self.fc_value = (nn.Linear(in_feats, self.out_feats) for _ in range(2))
        self.fc_key = nn.Linear(in_feats, self.out_feats, bias=False)
        self.fc_out = nn.Linear(self.out_feats, self.out_feats)
        self.dropout = Dropout(attn_drop)

    def _rows(self, feat: Tensor) -> list[Tensor]:
        heads = (self.num_heads, self.head_feats)
        return [fc(feat).unflatten(-1, heads) for fc in (self.fc_query, self.fc_key, self.fc_value)]  # [N, H, d]

    def _attend(self, mask: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} says nothing about how to attend")

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]``."""
        offsets, _ = self.parts(graph, feat, edge_weight)
        return self.fc_out(by_size(offsets, self._attend, *self._rows(feat)).flatten(1))


@register(
    "graphattention",
    kind="layer",
    title="Attention Is All You Need",
    arxiv="1706.03762",
    declines={"blocks": WHOLE, "edge_weight": NO_EDGES},
    example={"num_heads": 2},
)
class GraphAttention(_GlobalAttention):
    """Multi-head softmax attention among all nodes of a graph: ``h_v = W_O ||_heads sum_u alpha_uv W_V x_u``.

    ``alpha_uv = softmax_{u in graph of v}(W_Q x_v . W_K x_u / sqrt(d))``. Graphs of like sizes are computed together,
    see :func:`by_size`; memory is ``sum_b H n_b^2``, at most 4 times that with the padding. Keys have no constant term,
    since a softmax does not see one.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        Width of all heads together; ``in_feats`` without.
    num_heads : int, default 1
    attn_drop : float, default 0.0

    Raises
    ------
    GraphKitError
        On a block, for heads that do not divide the width, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> GraphAttention(4, 6, num_heads=2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 6])
    """

    def __init__(self, in_feats: int, out_feats: int | None = None, num_heads: int = 1, attn_drop: float = 0.0) -> None:
        super().__init__(in_feats, out_feats, num_heads, attn_drop)

    def _attend(self, mask: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        score = torch.einsum("bvhd,buhd->bhvu", query * self.head_feats**-0.5, key)
        alpha = torch.softmax(score.masked_fill(~mask[:, None, None], -torch.inf), -1)  # [b, H, M, M]
        return torch.einsum("bhvu,buhd->bvhd", self.dropout(alpha), value)


@register(
    "performerattention",
    kind="layer",
    title="Rethinking Attention with Performers",
    arxiv="2009.14794",
    declines={"blocks": WHOLE, "edge_weight": NO_EDGES},
    traits={"random"},
    example={"num_heads": 2, "num_features": 7},
)
class PerformerAttention(_GlobalAttention):
    """Attention in linear time: ``h_v = W_O ||_heads phi(q_v) . sum_u phi(k_u) v_u / (phi(q_v) . sum_u phi(k_u))``.

    ``phi(x) = exp(w_i . x' - ||x'||^2 / 2)_i`` with ``x' = x / d^(1/4)`` and orthogonal random ``w_i``, an unbiased
    estimate of the softmax's ``exp(q . k / sqrt(d))``; time and memory grow with ``N m d``.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        Width of all heads together; ``in_feats`` without.
    num_heads : int, default 1
    num_features : int, optional
        m, the random features; ``ceil(d log d)``, at least 1, without. They are a buffer, drawn when the layer is made.
    attn_drop : float, default 0.0
        Of the values, since no attention is ever formed.

    Raises
    ------
    GraphKitError
        On a block, for heads that do not divide the width, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> PerformerAttention(4, 6, num_heads=2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 6])
    """

    projection: Tensor

    def __init__(
        self, in_feats: int, out_feats: int | None = None, num_heads: int = 1, num_features: int | None = None,
        attn_drop: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats, num_heads, attn_drop)
        d = self.head_feats
        features = max(1, math.ceil(d * math.log(d))) if num_features is None else num_features
        if features < 1:
            raise GraphKitError(f"num_features={features} is no number of features; expected at least 1")
        self.register_buffer("projection", torch.empty(features, d))
        self.redraw()

    @torch.no_grad()
    def redraw(self) -> None:
        """Draw other random features: blocks of d orthogonal directions, with the lengths of Gaussian vectors."""
        m, d = self.projection.shape
        like = {"dtype": self.projection.dtype, "device": self.projection.device}
        q, r = torch.linalg.qr(torch.randn(-(-m // d), d, d, **like))
        q = q * r.diagonal(dim1=1, dim2=2).sign()[:, None]  # else not every direction is equally likely
        directions = q.reshape(-1, d)[:m]
        self.projection.copy_(directions * torch.randn(m, d, **like).norm(dim=1, keepdim=True))

    def _features(self, x: Tensor) -> Tensor:
        """Return ``log phi``, ``[b, M, H, m]``."""
        x = x * self.head_feats**-0.25
        return x @ self.projection.T - x.square().sum(-1, keepdim=True) / 2

    def _attend(self, mask: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        # The largest exponents cancel in the quotient; without them it overflows.
        q = self._features(query)
        q = (q - q.detach().amax(-1, keepdim=True)).exp()
        k = self._features(key).masked_fill(~mask[..., None, None], -torch.inf)
        k = (k - k.detach().amax((1, 3), keepdim=True)).exp()
        total = torch.einsum("buhm,buhd->bhmd", k, self.dropout(value))
        weight = torch.einsum("bvhm,bhm->bvh", q, k.sum(1))
        # A query and the keys may lie so far apart that every product underflows; such a row gets 0.
        tiny = torch.finfo(weight.dtype).tiny
        return torch.einsum("bvhm,bhmd->bvhd", q, total) / weight.clamp(min=tiny)[..., None]


@register(
    "virtualnode",
    kind="layer",
    title="Neural Message Passing for Quantum Chemistry",
    arxiv="1704.01212",
    declines={"blocks": WHOLE, "edge_weight": NO_EDGES},
    keeps_width=True,
)
class VirtualNode(WholeGraph):
    """A node joined to all others of its graph: ``g_b = MLP(sum_{v in b} x_v + g'_b)``, ``h_v = x_v + g_b``.

    ``g'`` is what the virtual node held before, 0 in the first layer; :meth:`read` takes and gives it, so that layers
    can hand it on.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    hidden : int, optional
        Of the MLP; twice the width without.
    norm : str, optional
        ``"batch"`` or ``"layer"``, in the MLP.

    Raises
    ------
    GraphKitError
        On a block, for a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> VirtualNode(4)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 4])
    """

    def __init__(
        self, in_feats: int, out_feats: int | None = None, hidden: int | None = None, norm: str | None = None
    ) -> None:
        super().__init__(in_feats, out_feats)
        self.mlp = MLP(in_feats, in_feats, hidden or 2 * in_feats, norm=norm)

    def read(self, graph: dgl.DGLGraph, feat: Tensor, state: Tensor | None = None) -> Tensor:
        """Return what the virtual nodes then hold, ``[B, D]``, for ``feat [N, D]`` and what they held, ``[B, D]``."""
        offsets, _ = self.parts(graph, feat, None)
        total = ops.segment_reduce(feat, offsets)
        return self.mlp(total if state is None else total + state)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, D]`` for ``feat [N, D]``."""
        _, owner = self.parts(graph, feat, edge_weight)
        return feat + self.read(graph, feat)[owner]
