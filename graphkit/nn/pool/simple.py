"""Sum, mean, maximum and attention pooling of the nodes of each graph; a graph without nodes gives 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_feat, check_size
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import find, register

if TYPE_CHECKING:
    import dgl


class Pool(nn.Module):
    """Base of pools: ``pool(graph, feat [N, D]) -> [B, out_feats]``, a function of the set of rows of each graph.

    Parameters
    ----------
    in_feats : int
        Width D.

    Attributes
    ----------
    out_feats : int
        Width of the pooled rows.
    """

    reduce: ClassVar[str] = "sum"

    def __init__(self, in_feats: int) -> None:
        super().__init__()
        check_size("in_feats", in_feats)
        self.in_feats = self.out_feats = in_feats

    def check(self, graph: dgl.DGLGraph, feat: Tensor) -> None:
        """Raise a :class:`GraphKitError` unless ``feat`` has one row of the right width per node."""
        check_feat("feat", feat, graph.num_nodes(), self.in_feats)

    def forward(self, graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
        """Return ``[B, D]`` for ``feat [N, D]``."""
        self.check(graph, feat)
        return ops.segment_reduce(feat, ops.offsets(graph), self.reduce)


def make_readout(readout: str | nn.Module, in_feats: int) -> nn.Module:
    """Return the registered pool called ``readout`` for rows of width ``in_feats``; a module passes.

    Raises
    ------
    GraphKitError
        If there is none of that name, or it gives a smaller graph and not one row per graph.

    Examples
    --------
    >>> make_readout("mean", 4).out_feats
    4
    """
    if not isinstance(readout, str):
        return readout
    entry = find("pool", readout)
    if "changes_graph" in entry.traits:
        raise GraphKitError(f"the pool {entry.name!r} gives a smaller graph, not one row per graph; try 'mean'")
    return entry.obj(in_feats)


@register("sum", kind="pool", title="How Powerful are Graph Neural Networks?", arxiv="1810.00826")
class SumPool(Pool):
    """Sum of the rows of each graph: ``g_b = sum_{v in b} x_v``.

    Parameters
    ----------
    in_feats : int
        Width D.

    Raises
    ------
    GraphKitError
        For a wrong width or number of rows, or integer features.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> SumPool(2)(dgl.graph(([0], [1])), torch.ones(2, 2)).tolist()
    [[2.0, 2.0]]
    """

    reduce = "sum"


@register("mean", kind="pool")
class MeanPool(Pool):
    """Mean of the rows of each graph: ``g_b = 1 / |b| sum_{v in b} x_v``.

    Parameters
    ----------
    in_feats : int
        Width D.

    Raises
    ------
    GraphKitError
        For a wrong width or number of rows, or integer features.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> MeanPool(2)(dgl.graph(([0], [1])), torch.ones(2, 2)).tolist()
    [[1.0, 1.0]]
    """

    reduce = "mean"


@register("max", kind="pool")
class MaxPool(Pool):
    """Maximum of the rows of each graph, column by column: ``g_b = max_{v in b} x_v``.

    Parameters
    ----------
    in_feats : int
        Width D.

    Raises
    ------
    GraphKitError
        For a wrong width or number of rows, or integer features.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> MaxPool(1)(dgl.graph(([0], [1])), torch.tensor([[-1.0], [-2.0]])).tolist()
    [[-1.0]]
    """

    reduce = "max"


@register("attention", kind="pool", title="Gated Graph Sequence Neural Networks", arxiv="1511.05493")
class AttentionPool(Pool):
    """Weighted mean with learned weights: ``g_b = sum_v softmax_{v in b}(a . x_v) x_v``.

    The score has no constant term, since a softmax does not see one.

    Parameters
    ----------
    in_feats : int
    gate : nn.Module, optional
        Takes the place of the linear score; ``[N, D] -> [N, 1]``.

    Raises
    ------
    GraphKitError
        For a wrong width or number of rows, or integer features.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> AttentionPool(4)(dgl.graph(([0], [1])), torch.ones(2, 4)).shape
    torch.Size([1, 4])
    """

    def __init__(self, in_feats: int, gate: nn.Module | None = None) -> None:
        super().__init__(in_feats)
        self.gate = nn.Linear(in_feats, 1, bias=False) if gate is None else gate

    def forward(self, graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
        """Return ``[B, D]`` for ``feat [N, D]``."""
        self.check(graph, feat)
        offsets = ops.offsets(graph)
        alpha = ops.segment_softmax(self.gate(feat), offsets)  # [N, 1]
        return ops.segment_reduce(alpha * feat, offsets, "sum")
