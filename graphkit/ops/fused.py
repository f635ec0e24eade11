"""Sums over messages with edge features in one pass over the edges, without an array of all messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from graphkit.core.errors import GraphKitError, unknown
from graphkit.ops._checks import check_rows, together
from graphkit.ops._messages import FilterSum, GatedSum, ReluPower, ReluSoftmax
from graphkit.ops._relation import Relation, relation
from graphkit.ops._stats import inverse_counts
from graphkit.ops._stream import identity

if TYPE_CHECKING:
    import dgl

Linear = tuple[Tensor, Tensor | None]

#: Numbers up to which the rows that a network makes of edges are kept for the gradient: making them again takes longer.
KEPT = 1 << 22


def _check(rel: Relation, width: int, edge_feat: Tensor, edge_weight: Tensor | None, mapped: bool) -> None:
    check_rows("edge_feat", edge_feat, rel.num_edges, "edges")
    if edge_feat.dim() != 2 or (not mapped and edge_feat.shape[1] != width):
        wanted = "[E, De]" if mapped else f"[E, {width}]"
        raise GraphKitError(f"expected edge_feat {wanted}, got shape {list(edge_feat.shape)}")
    if edge_weight is not None:
        check_rows("edge_weight", edge_weight, rel.num_edges, "edges")
        if edge_weight.numel() != rel.num_edges:
            raise GraphKitError(f"expected edge_weight [E], got shape {list(edge_weight.shape)}")


def _check_feat(rel: Relation, feat: Tensor) -> None:
    check_rows("feat", feat, rel.num_from, "source nodes")
    if feat.dim() != 2:
        raise GraphKitError(f"expected feat [Nsrc, D], got shape {list(feat.shape)}")


def _check_linear(linear: Linear | None, width: int, edge_feat: Tensor) -> None:
    if linear is not None and linear[0].shape != (width, edge_feat.shape[1]):
        raise GraphKitError(
            f"expected linear's weight of shape {[width, edge_feat.shape[1]]}, got {list(linear[0].shape)}"
        )


def _params(linear: Linear | None) -> list[Tensor]:
    return [] if linear is None else [x for x in linear if x is not None]


def _bias_on_nodes(rows: Tensor, linear: Linear | None) -> tuple[Tensor, Linear | None]:
    """Add the bias of the edges' map to the nodes' rows that it meets: the same sum by N additions, not E."""
    if linear is None or linear[1] is None:
        return rows, linear
    return rows + linear[1], (linear[0], None)


def _column(edge_weight: Tensor | None) -> Tensor | None:
    return None if edge_weight is None else edge_weight.reshape(-1, 1)


def relu_reduce(
    graph: dgl.DGLGraph,
    feat: Tensor,
    edge_feat: Tensor,
    edge_weight: Tensor | None = None,
    reduce: str = "sum",
    linear: Linear | None = None,
    eps: float = 0.0,
    power: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    r"""Reduce the messages that GINE and GEN send, ReLU of a source's row plus the edge's.

    .. math:: y_v = \rho_{(u, v) = e} \; w_e m_e^p, \quad m_e = \mathrm{relu}(x_u + W r_e + b) + \epsilon

    Parameters
    ----------
    graph : dgl.DGLGraph
    feat : Tensor
        float ``[Nsrc, D]``.
    edge_feat : Tensor
        r, float ``[E, De]``; De is D without ``linear``.
    edge_weight : Tensor, optional
        ``[E]``.
    reduce : str
        ``sum``, ``mean`` (over the number of edges), or ``softmax``: the sum under weights ``softmax_e(beta m_e)`` over
        each destination's edges, column by column.
    linear : (Tensor, Tensor or None), optional
        W ``[D, De]`` and b ``[D]``; the projected edge features are made a piece at a time, forward and backward.
    eps : float
    power : Tensor, optional
        p, one number, for ``sum`` and ``mean``.
    beta : Tensor, optional
        One number, for ``softmax``.

    Returns
    -------
    Tensor
        ``[Ndst, D]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If a tensor does not fit the graph or the widths, or the reduction is unknown.

    Notes
    -----
    "Strategies for Pre-training Graph Neural Networks", arXiv:1905.12265, and "DeeperGCN: All You Need to Train Deeper
    GCNs", arXiv:2006.07739.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> relu_reduce(dgl.graph(([0, 1], [2, 2])), torch.ones(3, 1), torch.tensor([[2.0], [-3.0]]))[2].item()
    3.0
    """
    if reduce not in ("sum", "mean", "softmax"):
        raise unknown("reduce", reduce, ("sum", "mean", "softmax"))
    rel = relation(graph)
    _check_feat(rel, feat)
    _check(rel, feat.shape[1], edge_feat, edge_weight, linear is not None)
    _check_linear(linear, feat.shape[1], edge_feat)
    number = beta if reduce == "softmax" else power
    rows, linear = _bias_on_nodes(feat, linear)
    inputs = together(rows, edge_feat, _column(edge_weight), number, *_params(linear))
    function = ReluSoftmax if reduce == "softmax" else ReluPower
    if reduce == "softmax" and number is None:
        inputs[3] = feat.new_ones(())
    out = function.apply(rel, identity if linear is None else F.linear, float(eps), *inputs)
    if reduce == "mean":
        out = out * inverse_counts(rel.counts(out))
    return out.to(feat.dtype)


def filter_sum(
    graph: dgl.DGLGraph,
    feat: Tensor,
    edge_feat: Tensor,
    edge_weight: Tensor | None = None,
    row_map: Callable[..., Tensor] | None = None,
    params: Sequence[Tensor] = (),
) -> Tensor:
    r"""Sum the sources' rows under a filter for each edge that a small network makes of its features.

    .. math:: y_v = \sum_{(u, v) = e} w_e \, f(r_e) \odot x_u

    Parameters
    ----------
    graph : dgl.DGLGraph
    feat : Tensor
        float ``[Nsrc, D]``.
    edge_feat : Tensor
        r, float ``[E, De]``; De is D without ``row_map``.
    edge_weight : Tensor, optional
        ``[E]``.
    row_map : callable, optional
        f, called as ``row_map(rows, *params)`` on some rows of edge_feat at a time and again for the gradient: a pure
        function, row by row, of its arguments, that returns ``[rows, D]``.
    params : sequence of Tensor
        Parameters of f.

    Returns
    -------
    Tensor
        ``[Ndst, D]``; 0 for a destination without edges.

    Raises
    ------
    GraphKitError
        If a tensor does not fit the graph or the widths.

    Notes
    -----
    "SchNet: A continuous-filter convolutional neural network for modeling quantum interactions", arXiv:1706.08566.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> filter_sum(dgl.graph(([0, 1], [2, 2])), torch.ones(3, 1), torch.tensor([[2.0], [3.0]]))[2].item()
    5.0
    """
    rel = relation(graph)
    _check_feat(rel, feat)
    _check(rel, feat.shape[1], edge_feat, edge_weight, row_map is not None)
    if row_map is not None and rel.num_edges * feat.shape[1] <= KEPT:
        edge_feat, row_map, params = row_map(edge_feat, *params), None, ()
    inputs = together(feat, edge_feat, _column(edge_weight), *params)
    return FilterSum.apply(rel, row_map or identity, 0.0, *inputs).to(feat.dtype)


def gated_sum(
    graph: dgl.DGLGraph,
    src_feat: Tensor,
    dst_gate: Tensor,
    edge_feat: Tensor | None = None,
    edge_weight: Tensor | None = None,
    linear: Linear | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Sum the sources' rows under gates made of both ends and the edge, and give the gates' sums and states.

    .. math:: y_v = \sum_{(u, v) = e} w_e \sigma(s_e) \odot x_u, \quad t_v = \sum_e \sigma(s_e), \quad
        s_e = a_u + b_v + W r_e + c

    Parameters
    ----------
    graph : dgl.DGLGraph
    src_feat : Tensor
        x beside a, float ``[Nsrc, 2 * D]``: side by side because every edge reads both.
    dst_gate : Tensor
        b, ``[Ndst, D]``.
    edge_feat : Tensor, optional
        r, ``[E, De]``; De is D without ``linear``.
    edge_weight : Tensor, optional
        ``[E]``.
    linear : (Tensor, Tensor or None), optional
        W ``[D, De]`` and c ``[D]``.

    Returns
    -------
    y, t : Tensor
        ``[Ndst, D]``; 0 for a destination without edges.
    s : Tensor
        ``[E, D]``.

    Raises
    ------
    GraphKitError
        If a tensor does not fit the graph or the widths.

    Notes
    -----
    "Residual Gated Graph ConvNets", arXiv:1711.07553; the edge states are those of arXiv:2003.00982.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> y, t, s = gated_sum(dgl.graph(([0], [1])), torch.tensor([[4.0, 0.0], [0.0, 0.0]]), torch.zeros(2, 1))
    >>> y[1].item(), t[1].item(), s.item()
    (2.0, 0.5, 0.0)
    """
    rel = relation(graph)
    check_rows("src_feat", src_feat, rel.num_from, "source nodes")
    check_rows("dst_gate", dst_gate, rel.num_to, "destination nodes")
    if dst_gate.dim() != 2 or src_feat.shape[1:] != (2 * dst_gate.shape[1],):
        raise GraphKitError(
            f"expected src_feat [Nsrc, 2 * D] and dst_gate [Ndst, D], got {list(src_feat.shape)} and "
            f"{list(dst_gate.shape)}"
        )
    if edge_feat is not None:
        _check(rel, dst_gate.shape[1], edge_feat, edge_weight, linear is not None)
        _check_linear(linear, dst_gate.shape[1], edge_feat)
    row_map = None if edge_feat is None else (identity if linear is None else F.linear)
    gate, linear = (dst_gate, None) if edge_feat is None else _bias_on_nodes(dst_gate, linear)
    inputs = together(src_feat, gate, edge_feat, _column(edge_weight), *_params(linear))
    heard, total, state = GatedSum.apply(rel, row_map, 0.0, *inputs)
    return heard.to(src_feat.dtype), total.to(src_feat.dtype), state.to(src_feat.dtype)
