"""Batch norm, and norms of plain rows by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.layer import Layer

if TYPE_CHECKING:
    import dgl


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation over node rows, ``gamma (x - mean) / std + beta``, which also takes one row or none.

    The variance of a single row says nothing, so such a batch is normalised by the running statistics, in training
    too. Arguments are those of :class:`torch.nn.BatchNorm1d`.

    Examples
    --------
    >>> import torch
    >>> BatchNorm1d(4)(torch.ones(1, 4)).shape
    torch.Size([1, 4])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised rows ``[N, D]``."""
        if self.training and len(input) < 2:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


@register(
    "batchnorm",
    kind="layer",
    title="Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
    arxiv="1502.03167",
    declines={"edge_weight": "reads no edges"},
    keeps_width=True,
)
class BatchNorm(Layer):
    """Normalise each column over all nodes of the batch: ``gamma (x - mean) / sqrt(var + eps) + beta``.

    In eval mode, and for a single row, mean and variance are the running ones. ``rows`` is the same without a graph.

    Parameters
    ----------
    in_feats : int
    out_feats : int, optional
        ``in_feats``; no other width is possible.
    eps : float, default 1e-5
    momentum : float, default 0.1
        Share of a batch in the running mean and variance.

    Raises
    ------
    GraphKitError
        For an ``out_feats`` that differs, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> BatchNorm(1)(dgl.graph(([0], [1])), torch.tensor([[1.0], [3.0]])).round().tolist()
    [[-1.0], [1.0]]
    """

    def __init__(self, in_feats: int, out_feats: int | None = None, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(in_feats, in_feats if out_feats is None else out_feats)
        if self.out_feats != in_feats:
            raise GraphKitError(f"BatchNorm keeps the width: out_feats={out_feats} is not in_feats={in_feats}")
        self.rows = BatchNorm1d(in_feats, eps, momentum)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, ..., D]`` for ``feat [Nsrc, ..., D]``; on a block the targets are normalised."""
        self.check(graph, feat, edge_weight=edge_weight)
        x = ops.dst_rows(graph, feat)
        return self.rows(x.flatten(0, -2)).view(x.shape)


def make_norm(name: str | None, width: int) -> nn.Module:
    """Return the norm called ``name`` (``"batch"``, ``"layer"`` or None) for rows of ``width``.

    >>> import torch
    >>> make_norm(None, 4)(torch.ones(2, 4)).shape
    torch.Size([2, 4])
    """
    check_choice("norm", name, [None, "batch", "layer"])
    if name is None:
        return nn.Identity()
    return BatchNorm1d(width) if name == "batch" else nn.LayerNorm(width)
