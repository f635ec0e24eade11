"""PhenomNN: From Hypergraph Energy Functions to Hypergraph Neural Networks (Wang et al., ICML 2023), 2306.09623."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.batch import Batch
from graphkit.core.check import check_size
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.models.hyper.base import COMMON
from graphkit.nn import Dropout, Encoder
from graphkit.nn.gcn import scale
from graphkit.nn.hyper import HyperLayer
from graphkit.nn.hyper.base import inverse

if TYPE_CHECKING:
    import dgl

PROTOCOL = "10 published splits of 140 training nodes, best test epoch"


@register(
    "phenomnn",
    title="From Hypergraph Energy Functions to Hypergraph Neural Networks",
    arxiv="2306.09623",
    reported=[
        Reported("cora-coauthorship", "accuracy", 77.1, protocol=PROTOCOL),
        Reported("dblp-coauthorship", "accuracy", 91.8, protocol=PROTOCOL),
        Reported("cora-cocitation", "accuracy", 73.1, protocol=PROTOCOL),
        Reported("pubmed-cocitation", "accuracy", 78.1, protocol=PROTOCOL),
        Reported("citeseer-cocitation", "accuracy", 65.1, protocol=PROTOCOL),
    ],
    **{
        **COMMON,
        "fit": {"node": {"lr": 0.01, "weight_decay": 5e-4, "epochs": 1000, "patience": 100, "clip": 40.0}},
        "example": {"lam0": 0.5, "lam1": 1.0, "k": 4},
    },
)
class PhenomNN(Encoder):
    """Rows that minimise an energy of cliques and stars: a linear map, ``k`` steps downhill, another linear map.

    ``X -> dropout -> Linear -> ReLU -> dropout -> k steps -> ReLU -> dropout -> Linear``; see :class:`Propagation`.
    Defaults are the paper's for co-authorship Cora; its others are (lam0, lam1, alpha) = (100, 100, 0.1) for
    co-authorship DBLP and (0, 20, 1), (0, 20, 0.1), (1, 20, 1) for co-citation Cora, PubMed, CiteSeer.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, default 64
    k : int, default 16
        Steps.
    lam0, lam1 : float, default 20 and 80
        Weights of the clique and the star term.
    alpha : float, default 0.1
        Length of a step; 0 stands for ``1 / (1 + lam0 + lam1)``.
    dropout : float, default 0.7
    compat : bool, default False
        Learn which features should agree (the paper's general form).
    proximal : bool, default False
        Apply the ReLU after every step, as the paper's formula does; its code applies it after the last.

    Raises
    ------
    GraphKitError
        For a negative weight or a step length outside [0, 1].

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> PhenomNN(4, 3)(Batch(from_hyperedges([[0, 1], [1, 2]]), torch.ones(3, 4))).shape
    torch.Size([3, 3])
    """

    def __init__(
        self, in_feats: int, out_feats: int, hidden: int = 64, k: int = 16, lam0: float = 20.0, lam1: float = 80.0,
        alpha: float = 0.1, dropout: float = 0.7, compat: bool = False, proximal: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_feats, self.out_width, self.num_layers = in_feats, out_feats, k
        self.dropout = Dropout(dropout)
        self.first, self.last = nn.Linear(in_feats, hidden), nn.Linear(hidden, out_feats)
        self.propagate = Propagation(hidden, k, lam0, lam1, alpha, compat, proximal)

    def forward(self, batch: Batch) -> Tensor:
        """Return ``[N, out_feats]``."""
        x = torch.relu(self.first(self.dropout(batch.feat)))
        x = torch.relu(self.propagate(batch.graph, self.dropout(x), edge_weight=batch.edge_weight))
        return self.last(self.dropout(x))


class Norms(NamedTuple):
    """What both terms scale rows by, ``[N]`` each: the roots of ``sym``, and the row sums after it."""

    clique: Tensor
    star: Tensor
    clique_sum: Tensor
    star_sum: Tensor


class Propagation(HyperLayer):
    r"""Preconditioned steps down the energy of :func:`energy`, from ``Y0``: nothing is learned unless ``compat``.

    .. math:: Y \leftarrow (1 - \alpha) Y + \alpha Q^{-1} ((\lambda_0 A_C + \lambda_1 A_S) Y + Y_0), \quad
        Q = \lambda_0 D_C + \lambda_1 D_S + I

    with :math:`A_C = sym(H H^T + I)`, :math:`A_S = sym(H D_e^{-1} H^T + I)`, ``sym(M)`` dividing by the roots of M's
    row sums on both sides, and D the row sums after it. With ``compat`` the terms become :math:`\lambda_0 (A_C Y (H_0 +
    H_0^T) - D_C Y H_0 H_0^T)` and :math:`\lambda_1 (L_S Y + A_S Y (H_1 + H_1^T) - D_S Y H_1 H_1^T)`; with both
    matrices I the star term is the simple one, and the clique term counts twice, both ways. Memberships' weights
    multiply messages after the norms.

    Parameters
    ----------
    width : int
    k : int, default 16
    lam0, lam1 : float
    alpha : float, default 0.1
    compat, proximal : bool, default False

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> h, rows = from_hyperedges([[0, 1], [1, 2]]), torch.eye(3)
    >>> bool((Propagation(3, k=0)(h, rows) == rows).all())
    True
    """

    def __init__(
        self, width: int, k: int = 16, lam0: float = 20.0, lam1: float = 80.0, alpha: float = 0.1,
        compat: bool = False, proximal: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(width, width)
        check_size("k", k, 0)
        if lam0 < 0 or lam1 < 0 or not 0 <= alpha <= 1:
            raise GraphKitError(
                f"lam0={lam0}, lam1={lam1}, alpha={alpha} is out of range; expected weights of at least 0 and a step "
                "length from 0 to 1"
            )
        self.k, self.lam0, self.lam1, self.proximal = k, float(lam0), float(lam1), proximal
        self.alpha = float(alpha) or 1 / (1 + lam0 + lam1)
        shape = (2, width, width) if compat else (0,)
        start = torch.eye(width) + torch.randn(shape) / width if compat else torch.empty(shape)
        self.compat = nn.Parameter(start) if compat else None

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the rows after ``k`` steps from ``feat [N, width]``."""
        into, back = self.sides(graph, feat, None, edge_weight)
        norms, spread = spreaders(into, back, feat, edge_weight)
        q = self.lam0 * norms.clique_sum + self.lam1 * norms.star_sum + 1
        y = feat
        for _ in range(self.k):
            step = scale(self.attract(y, norms, spread) + feat, q.reciprocal())
            y = (1 - self.alpha) * y + self.alpha * step
            y = torch.relu(y) if self.proximal else y
        return y

    def attract(self, y: Tensor, norms: Norms, spread: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        """Return what the two terms pull the rows to, ``[N, width]``."""
        clique, star = spread(y)
        if self.compat is None:
            return self.lam0 * clique + self.lam1 * star
        h0, h1 = self.compat
        first = clique @ (h0 + h0.T) - scale(y @ h0 @ h0.T, norms.clique_sum)
        second = scale(y, norms.star_sum) - star + star @ (h1 + h1.T) - scale(y @ h1 @ h1.T, norms.star_sum)
        return self.lam0 * first + self.lam1 * second


def spreaders(
    into: dgl.DGLGraph, back: dgl.DGLGraph, like: Tensor, edge_weight: Tensor | None = None
) -> tuple[Norms, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    """Return the norms, and the function ``Y -> (A_C Y, A_S Y)``, which reads the memberships twice for both.

    Parameters
    ----------
    into, back : dgl.DGLGraph
        The relations from nodes to hyperedges and back.
    like : Tensor
        Of the device and type wanted.
    edge_weight : Tensor, optional
        ``[E]``, multiplies messages both ways and no norm.
    """
    size = ops.degrees(into, "in", like=like)  # [M]
    degree = ops.degrees(back, "in", like=like)  # [N]
    share = inverse(size)
    roots = torch.stack([ops.spmm(back, size[:, None])[:, 0] + 1, degree + 1], -1).rsqrt()  # [N, 2]
    clique, star = roots.unbind(-1)
    there = ops.spmm(into, roots)  # [M, 2]
    sums = roots * (ops.spmm(back, torch.stack([there[:, 0], there[:, 1] * share], -1)) + roots)

    def spread(y: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.cat([scale(y, clique), scale(y, star)], -1)
        z = ops.spmm(into, rows, edge_weight)
        z = torch.cat([z[:, : y.shape[1]], scale(z[:, y.shape[1] :], share)], -1)
        heard = ops.spmm(back, z, edge_weight) + rows
        return scale(heard[:, : y.shape[1]], clique), scale(heard[:, y.shape[1] :], star)

    return Norms(clique, star, *sums.unbind(-1)), spread


def energy(graph: dgl.DGLGraph, y: Tensor, y0: Tensor, lam0: float, lam1: float) -> Tensor:
    r"""Return the energy that the simple form goes down.

    .. math:: \|Y - Y_0\|^2 + \lambda_0 tr Y^T (D_C - A_C) Y + \lambda_1 tr Y^T (D_S - A_S) Y

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph.
    y, y0 : Tensor
        ``[N, D]``.
    lam0, lam1 : float

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> float(energy(from_hyperedges([[0, 1]]), torch.ones(2, 1), torch.zeros(2, 1), 1.0, 1.0))
    2.0
    """
    layer = Propagation(y.shape[1], 0, lam0, lam1)
    into, back = layer.sides(graph, y)
    norms, spread = spreaders(into, back, y)
    clique, star = spread(y)
    rough = lam0 * (scale(y, norms.clique_sum) - clique) + lam1 * (scale(y, norms.star_sum) - star)
    return ((y - y0) ** 2).sum() + (y * rough).sum()
