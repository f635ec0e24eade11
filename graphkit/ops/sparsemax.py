"""Sparsemax, the softmax with exact zeros: From Softmax to Sparsemax, 1602.02068."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit import _dgl
from graphkit.ops._checks import check_rows
from graphkit.ops._relation import segments
from graphkit.ops.message import flat
from graphkit.ops.segment import segment_reduce

if TYPE_CHECKING:
    import dgl


def segment_sparsemax(score: Tensor, offsets: Tensor) -> Tensor:
    r"""Project the scores of each segment of consecutive rows onto the simplex.

    .. math:: p = \operatorname{argmin}_{p \ge 0, \sum p = 1} \|p - z\|^2 = [z - \tau(z)]_+, \quad
              \tau = (\textstyle\sum_{j \in S} z_j - 1) / |S|

    Parameters
    ----------
    score : Tensor
        float ``[N]`` or ``[N, H]``; each column is projected by itself.
    offsets : Tensor
        int64 ``[B + 1]``.

    Returns
    -------
    Tensor
        The shape of score.

    Raises
    ------
    GraphKitError
        If the offsets do not rise from 0 to N.

    Examples
    --------
    >>> segment_sparsemax(torch.tensor([-2.0, 0.0, 0.5, 7.0]), torch.tensor([0, 3, 4])).tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    groups = segments(offsets, score.shape[0])
    check_rows("score", score, groups.num_items, "rows")
    ids = groups.ids_on(score.device)
    z = flat(score)  # [N, H]
    with torch.no_grad():
        support = _support(z, ids, offsets.to(score.device))
    inside = torch.where(support, z, 0.0)
    size = segment_reduce(support.to(z), offsets).clamp(min=1)
    tau = (segment_reduce(inside, offsets) - 1) / size  # [B, H]
    return torch.where(support, z - tau[ids], 0.0).reshape(score.shape)


def _support(z: Tensor, ids: Tensor, offsets: Tensor) -> Tensor:
    """Say which entries of ``z [N, H]`` the projection leaves above 0."""
    top = segment_reduce(z, offsets, "max")
    # Nothing 1 or more below the largest is ever in the support; float64 keeps long sums exact enough.
    z = (z - top[ids]).clamp(min=-1).double()
    order = z.argsort(dim=0, descending=True, stable=True)
    order = order.gather(0, ids[order].argsort(dim=0, stable=True))  # by segment, then falling
    falling = z.gather(0, order)
    total = falling.cumsum(0)
    start = offsets[ids]
    before = torch.cat([total.new_zeros(1, total.shape[1]), total])[start]
    rank = torch.arange(1, len(z) + 1, device=z.device) - start
    # Sums round, so what was clamped is left out by its value and not by the comparison.
    inside = (1 + rank.unsqueeze(1) * falling > total - before) & (falling > -1)
    return torch.zeros_like(inside).scatter(0, order, inside)


def edge_sparsemax(graph: dgl.DGLGraph, score: Tensor) -> Tensor:
    """Project the scores of each destination's incoming edges onto the simplex, as :func:`segment_sparsemax` does.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A graph, batched graph, block, or one relation of a heterograph.
    score : Tensor
        float ``[E]`` or ``[E, H]``.

    Returns
    -------
    Tensor
        The shape of score.

    Raises
    ------
    GraphKitError
        If score does not have one row for each edge.

    Examples
    --------
    >>> import graphkit, dgl
    >>> edge_sparsemax(dgl.graph(([0, 1, 2], [3, 3, 3])), torch.tensor([-2.0, 0.0, 0.5])).tolist()
    [0.0, 0.25, 0.75]
    """
    check_rows("score", score, graph.num_edges(), "edges")
    structure = _dgl.structure(graph)
    order = structure.dst.argsort(stable=True).to(score.device)
    offsets = torch.cat([order.new_zeros(1), structure.in_degrees.to(order.device).cumsum(0)])
    return torch.empty_like(score).index_copy(0, order, segment_sparsemax(score[order], offsets))
