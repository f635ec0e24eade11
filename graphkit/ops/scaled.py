"""Sums over neighbours between two scalings of the rows, as every normalised adjacency is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.ops._checks import check_rows, together
from graphkit.ops._relation import relation
from graphkit.ops._scaled import ScaledSum, scaled_plain
from graphkit.ops.message import flat, weight_columns

if TYPE_CHECKING:
    import dgl


def scaled_spmm(
    graph: dgl.DGLGraph,
    feat: Tensor,
    src_scale: Tensor | None = None,
    dst_scale: Tensor | None = None,
    edge_weight: Tensor | None = None,
    self_loops: bool = False,
) -> Tensor:
    r"""Sum the scaled features of each destination's sources, itself among them if wanted, and scale the sum.

    .. math:: y_v = t_v \Big( [s_v x_v] + \sum_{(u, v) = e} w_e s_u x_u \Big)

    Parameters
    ----------
    graph : dgl.DGLGraph
        A graph, batched graph, block, or one relation of a heterograph.
    feat : Tensor
        float ``[Nsrc, ..., D]``.
    src_scale, dst_scale : Tensor, optional
        ``[Nsrc]`` and ``[Ndst]``.
    edge_weight : Tensor, optional
        As in :func:`spmm`.
    self_loops : bool, default False
        Add the term in brackets; nothing is stored for it.

    Returns
    -------
    Tensor
        ``[Ndst, ..., D]``.

    Raises
    ------
    GraphKitError
        If feat or a scale does not have one row for each of its nodes, holds integers, or edge_weight does not fit; for
        self-loops between nodes of two types.

    Examples
    --------
    >>> import graphkit, dgl, torch
    >>> scaled_spmm(dgl.graph(([0, 1], [1, 1])), torch.ones(2, 1), dst_scale=torch.tensor([1.0, 0.5])).tolist()
    [[0.0], [1.0]]
    """
    rel = relation(graph)
    check_rows("feat", feat, rel.num_from, "source nodes")
    for name, scale, rows in (("src_scale", src_scale, rel.num_from), ("dst_scale", dst_scale, rel.num_to)):
        if scale is not None:
            check_rows(name, scale, rows, "source nodes" if name == "src_scale" else "destination nodes")
    if self_loops and rel.num_from != rel.num_to and not graph.is_block:
        raise GraphKitError(
            f"self_loops=True needs destinations that are sources too, got {rel.num_from} sources and "
            f"{rel.num_to} destinations"
        )
    weight = None if edge_weight is None else weight_columns(edge_weight, rel, feat)
    x, s, t, weight = together(flat(feat), _column(src_scale), _column(dst_scale), weight)
    assert x is not None
    if any(part is not None and part.requires_grad for part in (s, t, weight)):
        out = scaled_plain(rel, self_loops, x, s, t, weight)
    else:
        out = ScaledSum.apply(rel, self_loops, x, s, t, weight)
    # A matrix is no view of another, so that callers may add to it in place at no cost.
    return (out if feat.dim() == 2 else out.view(rel.num_to, *feat.shape[1:])).to(feat.dtype)


def _column(scale: Tensor | None) -> Tensor | None:
    return None if scale is None else scale.reshape(-1, 1)
