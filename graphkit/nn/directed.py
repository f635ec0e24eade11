"""Directed graphs: Dir-GNN (2305.10498) and MagNet (2102.11391)."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from graphkit import _dgl, ops
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import Propagation, scale
from graphkit.nn.layer import Layer, glorot

if TYPE_CHECKING:
    import dgl

ONE_WAY = "it also follows edges backwards, and a block holds those that enter its targets"


@register(
    "dirconv",
    kind="layer",
    title="Edge Directionality Improves Learning on Heterophilic Graphs",
    arxiv="2305.10498",
    declines={"blocks": ONE_WAY},
)
class DirConv(Layer):
    """Both directions apart: ``H = X W_self + alpha S X W_in + (1 - alpha) S' X W_out + b``.

    ``S`` passes rows along the edges and ``S'`` against them: ``S = D_in^-1/2 A^T D_out^-1/2`` and its transpose with
    ``norm="both"``. PyG's ``alpha`` is ours from 1.

    Parameters
    ----------
    in_feats, out_feats : int
    alpha : float, default 0.5
        Share of what comes along incoming edges.
    norm : str, default "both"
        ``both`` (Dir-GCN), ``right`` (the mean, Dir-SAGE), ``none`` or ``recompute``; see :class:`Propagation`.
    root_weight : bool, default True
        Whether there is ``W_self``.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block, for an ``alpha`` outside 0 to 1, an unknown norm, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> DirConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    aggregator: ClassVar[str] = "both directions"

    def __init__(
        self, in_feats: int, out_feats: int, alpha: float = 0.5, norm: str = "both", root_weight: bool = True,
        bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats)
        if not 0 <= alpha <= 1:
            raise GraphKitError(f"alpha={alpha} is no share; expected a number from 0 to 1")
        self.alpha, self.propagate = alpha, Propagation(norm, self_loops=False)
        self.weight_in = nn.Parameter(torch.empty(in_feats, out_feats))
        self.weight_out = nn.Parameter(torch.empty(in_feats, out_feats))
        self.fc_self = nn.Linear(in_feats, out_feats, bias=False) if root_weight else None
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights Glorot-uniform; the bias becomes 0."""
        glorot(self.weight_in, self.weight_out)
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
        """Return ``[N, ..., out_feats]`` for ``feat [N, ..., in_feats]`` and ``edge_weight [E]``."""
        self.refuse_blocks(graph, ONE_WAY)
        self.check(graph, feat, edge_weight=edge_weight)
        ways = ((graph, self.weight_in, self.alpha), (_dgl.reverse(graph), self.weight_out, 1 - self.alpha))
        if self.in_feats > self.out_feats:
            parts = [share * self.propagate(g, feat @ weight, edge_weight) for g, weight, share in ways]
        else:
            parts = [share * (self.propagate(g, feat, edge_weight) @ weight) for g, weight, share in ways]
        h = parts[0] + parts[1]
        h = h if self.fc_self is None else h + self.fc_self(feat)
        return h if self.bias is None else h + self.bias


@register(
    "magnetconv",
    kind="layer",
    title="MagNet: A Neural Network for Directed Graphs",
    arxiv="2102.11391",
    declines={"blocks": ONE_WAY},
)
class MagNetConv(Layer):
    """Chebyshev filter of the magnetic Laplacian: ``Z = sum_{j<k} T_j(-M) X W_j + b``, complex rows, real weights.

    ``M = D_s^-1/2 (A_s * exp(i Theta)) D_s^-1/2`` with ``A_s = (A + A^T) / 2`` and ``Theta = 2 pi q (A - A^T)``, so
    ``-M`` is the Laplacian ``I - M`` scaled to ``[-1, 1]``. A complex row is its real half followed by its imaginary
    half. Weights multiply messages; degrees and phases are of the unweighted graph.

    Parameters
    ----------
    in_feats, out_feats : int
        Widths of both halves together; ``out_feats`` is even.
    k : int, default 2
        Terms; ``k - 1`` hops.
    q : float, default 0.25
        Charge: 0 forgets directions.
    complex_input : bool, default False
        Whether ``feat`` has an imaginary half, as the output of such a layer does.
    activation : bool, default True
        Complex ReLU: keep numbers whose real part is not negative, else 0.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block, for an odd width, ``k`` below 1, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> MagNetConv(4, 6)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 6])
    """

    aggregator: ClassVar[str] = "both directions"

    def __init__(
        self, in_feats: int, out_feats: int, k: int = 2, q: float = 0.25, complex_input: bool = False,
        activation: bool = True, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats)
        if out_feats % 2 or (complex_input and in_feats % 2) or k < 1:
            raise GraphKitError(
                f"in_feats={in_feats}, out_feats={out_feats}, k={k}: expected even widths of complex rows and k from 1"
            )
        self.k, self.q, self.complex_input, self.activation = k, q, complex_input, activation
        self.weight = nn.Parameter(torch.empty(k, in_feats // 2 if complex_input else in_feats, out_feats // 2))
        self.bias = nn.Parameter(torch.zeros(out_feats)) if bias else None
        glorot(self.weight)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]`` and ``edge_weight [E]``."""
        self.refuse_blocks(graph, ONE_WAY)
        self.check(graph, feat, edge_weight=edge_weight)
        x = feat.unflatten(-1, (2, -1)) if self.complex_input else torch.stack([feat, torch.zeros_like(feat)], -2)
        move = _Magnetic(graph, feat, self.q, edge_weight)
        h = x @ self.weight[-1]  # [N, 2, out / 2]; Clenshaw's recurrence from here on
        before = torch.zeros_like(h)
        for weight in reversed(self.weight[1:-1]):
            h, before = x @ weight - 2 * move(h) - before, h
        if self.k > 1:
            h = x @ self.weight[0] - move(h) - before
        h = h.flatten(-2) if self.bias is None else h.flatten(-2) + self.bias
        return h * (h.chunk(2, -1)[0] >= 0).to(h).repeat(1, 2) if self.activation else h


class _Magnetic:
    """Product with ``M`` over the edges and their inverses."""

    def __init__(self, graph: dgl.DGLGraph, like: Tensor, q: float, edge_weight: Tensor | None) -> None:
        self.graph = _dgl.with_inverses(graph)
        theta = 2 * pi * q * _asymmetry(graph).to(like)
        # M[v, u] has the phase -theta for an edge u -> v; its inverse, in the second half, the opposite one.
        self.cosine = 0.5 * torch.cos(theta).repeat(2)
        self.sine = 0.5 * torch.cat([-torch.sin(theta), torch.sin(theta)])
        if edge_weight is not None:
            self.cosine, self.sine = self.cosine * edge_weight.repeat(2), self.sine * edge_weight.repeat(2)
        degree = ops.degrees(self.graph, "in", like=like) / 2
        self.scale = torch.where(degree > 0, degree, 1.0).rsqrt()

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``M x`` for ``x [N, 2, D]``, real parts first."""
        x = scale(x, self.scale)
        kept, turned = ops.spmm(self.graph, x, self.cosine), ops.spmm(self.graph, x, self.sine)
        return scale(kept + torch.stack([-turned[:, 1], turned[:, 0]], 1), self.scale)


def _asymmetry(graph: dgl.DGLGraph) -> Tensor:
    """Return ``A_uv - A_vu`` for each edge ``u -> v``, float32 ``[E]``; made once for each graph."""

    def make(s: _dgl.Structure) -> Tensor:
        there, back = s.src * s.num_dst + s.dst, s.dst * s.num_dst + s.src
        known, counts = torch.unique(there, return_counts=True)
        if len(known) == 0:
            return torch.zeros(0)

        def count(keys: Tensor) -> Tensor:
            at = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
            return torch.where(known[at] == keys, counts[at], 0)

        return (count(there) - count(back)).float()

    return _dgl.structure(graph).cached("asymmetry", make)
