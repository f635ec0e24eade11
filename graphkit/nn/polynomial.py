"""Polynomials of the adjacency: SGC (1902.07153), TAG (1710.10370), ChebNet (1606.09375) and MixHop (1905.00067)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.gcn import Propagation
from graphkit.nn.layer import Layer, glorot
from graphkit.nn.propagate import K_HOPS

if TYPE_CHECKING:
    import dgl

DECLINES = {"blocks": f"with more than one hop it {K_HOPS}"}


class _Polynomial(Layer):
    """What all share: ``terms`` weights ``W_j [in, out]``, ``hops`` products with ``S``, a bias."""

    def __init__(
        self, in_feats: int, out_feats: int, terms: int, hops: int, norm: str, self_loops: bool, bias: bool
    ) -> None:
        super().__init__(in_feats, out_feats)
        if hops < 0 or terms < 1:
            raise GraphKitError(f"{type(self).__name__} cannot have {hops} hops and {terms} terms; choose a greater k")
        self.k = hops
        self.propagate = Propagation(norm, self_loops)
        self.weight = nn.Parameter(torch.empty(terms, in_feats, out_feats))
        self.bias = nn.Parameter(torch.empty(out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; the bias becomes 0."""
        glorot(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def check(self, graph: dgl.DGLGraph, feat: Tensor, *args: Tensor | None, **kwargs: Tensor | None) -> None:
        """Raise unless the input has the expected shapes; a block will do for one hop."""
        if self.k > 1:
            self.refuse_blocks(graph, f"it {K_HOPS}")
        super().check(graph, feat, *args, **kwargs)

    def _products(self, feat: Tensor) -> tuple[Tensor, ...]:
        """Return ``X W_j`` for each term, by one product."""
        return (feat @ torch.cat(tuple(self.weight), 1)).split(self.weight.shape[2], -1)

    def _shift(self, h: Tensor) -> Tensor:
        return h if self.bias is None else h + self.bias

    def extra_repr(self) -> str:
        """Return widths and hops, as ``print`` shows them."""
        return f"{self.in_feats}, {self.out_feats}, hops={self.k}"


@register(
    "sgconv",
    kind="layer",
    title="Simplifying Graph Convolutional Networks",
    arxiv="1902.07153",
    declines=DECLINES,
    example={"k": 2},
)
class SGConv(_Polynomial):
    """Simplified graph convolution: ``H = S^k X W + b`` with ``S = D^-1/2 (A + I) D^-1/2``.

    Parameters
    ----------
    in_feats, out_feats : int
    k : int, default 2
        Hops; a block will do for one.
    norm : str, default "both"
        As for :class:`Propagation`; PyG's weighted degrees are ``"recompute"``.
    self_loops, bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block with ``k > 1``, for an unknown norm, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> SGConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, k: int = 2, norm: str = "both", self_loops: bool = True, bias: bool = True
    ) -> None:
        super().__init__(in_feats, out_feats, 1, k, norm, self_loops, bias)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, ..., out_feats]`` for ``feat [Nsrc, ..., in_feats]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        narrows = self.in_feats > self.out_feats
        h = feat @ self.weight[0] if narrows else feat
        for _ in range(self.k):
            h = self.propagate(graph, h, edge_weight)  # S H
        return self._shift(h if narrows else h @ self.weight[0])


@register(
    "tagconv",
    kind="layer",
    title="Topology Adaptive Graph Convolutional Networks",
    arxiv="1710.10370",
    declines=DECLINES,
    example={"k": 2},
)
class TAGConv(_Polynomial):
    """Topology-adaptive convolution: ``H = sum_{j=0..k} S^j X W_j + b`` with ``S = D^-1/2 A D^-1/2``.

    Where the weights narrow the rows, Horner's scheme ``S (... S (X W_k) + X W_{k-1} ...) + X W_0`` passes the narrow
    ones.

    Parameters
    ----------
    in_feats, out_feats : int
    k : int, default 2
        Hops; a block will do for one.
    norm : str, default "both"
        As for :class:`Propagation`.
    self_loops : bool, default False
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block with ``k > 1``, for an unknown norm, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> TAGConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, k: int = 2, norm: str = "both", self_loops: bool = False, bias: bool = True
    ) -> None:
        super().__init__(in_feats, out_feats, k + 1, k, norm, self_loops, bias)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, ..., out_feats]`` for ``feat [Nsrc, ..., in_feats]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        if self.in_feats > self.out_feats:
            *rest, h = self._products(feat)
            for z in reversed(rest):
                h = ops.dst_rows(graph, z) + self.propagate(graph, h, edge_weight)
            return self._shift(h)
        h, out = feat, ops.dst_rows(graph, feat) @ self.weight[0]
        for weight in self.weight[1:]:
            h = self.propagate(graph, h, edge_weight)  # S^j X
            out = out + h @ weight
        return self._shift(out)


@register(
    "chebconv",
    kind="layer",
    title="Convolutional Neural Networks on Graphs with Fast Localized Spectral Filtering",
    arxiv="1606.09375",
    declines=DECLINES,
    example={"k": 3},
)
class ChebConv(_Polynomial):
    """Chebyshev filter: ``H = sum_{j<k} T_j(L) X W_j + b``, ``L = 2 / lambda_max (I - D^-1/2 A D^-1/2) - I``.

    ``T_0 = I``, ``T_1 = L``, ``T_j = 2 L T_{j-1} - T_{j-2}``. Where the weights narrow the rows, Clenshaw's recurrence
    passes the narrow ones.

    Parameters
    ----------
    in_feats, out_feats : int
    k : int, default 3
        Terms, as DGL and PyG count: ``k - 1`` hops; a block will do for one.
    lambda_max : float, default 2.0
        Greatest eigenvalue of the Laplacian, or a bound on it; 2 bounds that of every undirected graph.
    norm : str, default "both"
        As for :class:`Propagation`.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block with more than one hop, for a ``lambda_max`` of 0 or less, a wrong width or length, or integer
        features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ChebConv(4, 2)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        k: int = 3,
        lambda_max: float = 2.0,
        norm: str = "both",
        bias: bool = True,
    ) -> None:
        super().__init__(in_feats, out_feats, k, k - 1, norm, False, bias)
        if not lambda_max > 0:
            raise GraphKitError(f"lambda_max={lambda_max} is no greatest eigenvalue; expected a number above 0")
        self.lambda_max = lambda_max

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, ..., out_feats]`` for ``feat [Nsrc, ..., in_feats]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        if self.k and self.in_feats > self.out_feats:
            first, *rest, h = self._products(feat)
            before: Tensor | None = None
            for z in reversed(rest):
                h, before = _less(z + 2 * self._laplacian(graph, h, edge_weight), before), h
            out = ops.dst_rows(graph, first) + self._laplacian(graph, h, edge_weight)
            return self._shift(_less(out, before))
        h, before, out = feat, None, ops.dst_rows(graph, feat) @ self.weight[0]
        for weight in self.weight[1:]:
            step = self._laplacian(graph, h, edge_weight)
            h, before = step if before is None else 2 * step - before, h  # T_j X
            out = out + h @ weight
        return self._shift(out)

    def _laplacian(self, graph: dgl.DGLGraph, x: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Return ``L x`` for the scaled Laplacian."""
        stretch = 2 / self.lambda_max
        passed = self.propagate(graph, x, edge_weight) * -stretch
        return passed if stretch == 1 else passed + (stretch - 1) * ops.dst_rows(graph, x)


def _less(value: Tensor, other: Tensor | None) -> Tensor:
    return value if other is None else value - other


@register(
    "mixhopconv",
    kind="layer",
    title="MixHop: Higher-Order Graph Convolutional Architectures via Sparsified Neighborhood Mixing",
    arxiv="1905.00067",
    declines=DECLINES,
    example={"powers": (0, 2)},
)
class MixHopConv(_Polynomial):
    """Hops side by side: ``H = ||_{j in powers} S^j X W_j + b`` with ``S = D^-1/2 (A + I) D^-1/2``.

    Parameters
    ----------
    in_feats, out_feats : int
        ``out_feats`` is the width of all powers together, which their number divides.
    powers : sequence of int, default (0, 1, 2)
        A block will do for powers up to 1.
    norm : str, default "both"
        As for :class:`Propagation`.
    self_loops, bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block with a power above 1, for powers that do not divide the width, a wrong width or length, or integer
        features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> MixHopConv(4, 6)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 6])
    """

    def __init__(
        self, in_feats: int, out_feats: int, powers: Sequence[int] = (0, 1, 2), norm: str = "both",
        self_loops: bool = True, bias: bool = True,
    ) -> None:  # fmt: skip
        self.powers = tuple(powers)
        if not self.powers or min(self.powers) < 0 or out_feats % len(self.powers):
            raise GraphKitError(
                f"powers={self.powers} do not fit out_feats={out_feats}; expected hops whose number divides it"
            )
        super().__init__(in_feats, out_feats, len(self.powers), max(self.powers), norm, self_loops, bias)
        self.weight = nn.Parameter(torch.empty(len(self.powers), in_feats, out_feats // len(self.powers)))
        glorot(self.weight)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, ..., out_feats]`` for ``feat [Nsrc, ..., in_feats]`` and ``edge_weight [E]``."""
        self.check(graph, feat, edge_weight=edge_weight)
        width, parts, rows = self.weight.shape[2], {}, {0: ops.dst_rows(graph, feat)}
        if sum(self.powers) * width < self.k * self.in_feats:
            z = dict(enumerate(self._products(feat)))
            parts = {i: ops.dst_rows(graph, z[i]) for i, power in enumerate(self.powers) if power == 0}
            for hop in range(1, self.k + 1):
                going = [i for i, power in enumerate(self.powers) if power >= hop]
                moved = self.propagate(graph, torch.cat([z[i] for i in going], -1), edge_weight).split(width, -1)
                z.update(zip(going, moved, strict=True))
                parts |= {i: z[i] for i in going if self.powers[i] == hop}
        else:
            h = feat
            for hop in range(1, self.k + 1):
                rows[hop] = h = self.propagate(graph, h, edge_weight)  # S^j X
            parts = {i: rows[power] @ self.weight[i] for i, power in enumerate(self.powers)}
        return self._shift(torch.cat([parts[i] for i in range(len(self.powers))], -1))
