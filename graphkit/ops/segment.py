"""Reductions over consecutive rows, such as the nodes of each graph of a batch, and their dense form."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.ops._checks import check_reduce, check_rows, together
from graphkit.ops._relation import segments
from graphkit.ops._stats import GroupSoftmax
from graphkit.ops.message import _reduce_groups, flat


def segment_ids(offsets: Tensor) -> Tensor:
    """Give each row the number of its segment.

    Parameters
    ----------
    offsets : Tensor
        int64 ``[B + 1]``, rising from 0 to the number of rows.

    Returns
    -------
    Tensor
        int64 ``[N]``.

    Examples
    --------
    >>> segment_ids(torch.tensor([0, 2, 2, 3])).tolist()
    [0, 0, 2]
    """
    lengths = offsets.diff()
    return torch.repeat_interleave(torch.arange(len(lengths), device=offsets.device), lengths)


def segment_reduce(feat: Tensor, offsets: Tensor, reduce: str = "sum") -> Tensor:
    """Reduce each segment of consecutive rows.

    Parameters
    ----------
    feat : Tensor
        float ``[N, ...]``.
    offsets : Tensor
        int64 ``[B + 1]``: segment b is ``feat[offsets[b] : offsets[b + 1]]``.
    reduce : str
        As in :func:`spmm`.

    Returns
    -------
    Tensor
        ``[B, ...]``; 0 for an empty segment.

    Raises
    ------
    GraphKitError
        If the offsets do not rise from 0 to N.

    Examples
    --------
    >>> segment_reduce(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0, 2, 2, 3]), "mean").tolist()
    [1.5, 0.0, 5.0]
    """
    check_reduce(reduce)
    groups = segments(offsets, feat.shape[0])
    check_rows("feat", feat, groups.num_items, "rows")
    (x,) = together(flat(feat))
    assert x is not None
    return _reduce_groups(groups, x, reduce).view(groups.num_groups, *feat.shape[1:]).to(feat.dtype)


def segment_softmax(score: Tensor, offsets: Tensor) -> Tensor:
    """Normalise scores over each segment of consecutive rows.

    Parameters
    ----------
    score : Tensor
        float ``[N]`` or ``[N, H]``.
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
    >>> segment_softmax(torch.zeros(3), torch.tensor([0, 2, 3])).tolist()
    [0.5, 0.5, 1.0]
    """
    groups = segments(offsets, score.shape[0])
    check_rows("score", score, groups.num_items, "rows")
    (x,) = together(flat(score))
    return GroupSoftmax.apply(groups, x).view(score.shape).to(score.dtype)


def to_dense(feat: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Lay the segments side by side, filled up with zeros to the longest.

    Parameters
    ----------
    feat : Tensor
        ``[N, ...]``.
    offsets : Tensor
        int64 ``[B + 1]``.

    Returns
    -------
    dense : Tensor
        ``[B, M, ...]``, M the length of the longest segment.
    mask : Tensor
        bool ``[B, M]``, True where there is a row.

    Raises
    ------
    GraphKitError
        If the offsets do not rise from 0 to N.

    Examples
    --------
    >>> to_dense(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0, 2, 3]))[0].tolist()
    [[1.0, 2.0], [5.0, 0.0]]
    """
    groups = segments(offsets, feat.shape[0])
    offsets = offsets.to(feat.device)
    lengths = offsets.diff()
    longest = int(lengths.max()) if len(lengths) else 0
    mask = torch.arange(longest, device=feat.device) < lengths.unsqueeze(1)
    ids = groups.ids_on(feat.device)
    place = ids * longest + torch.arange(len(feat), device=feat.device) - offsets[ids]
    dense = feat.new_zeros(len(lengths) * longest, *feat.shape[1:]).index_copy(0, place, feat)
    return dense.view(len(lengths), longest, *feat.shape[1:]), mask


def from_dense(dense: Tensor, mask: Tensor) -> Tensor:
    """Undo :func:`to_dense`: the rows where the mask is True, one segment behind the other.

    Parameters
    ----------
    dense : Tensor
        ``[B, M, ...]``.
    mask : Tensor
        bool ``[B, M]``.

    Returns
    -------
    Tensor
        ``[N, ...]``.

    Raises
    ------
    GraphKitError
        If the shapes do not fit.

    Examples
    --------
    >>> from_dense(torch.tensor([[1.0, 2.0], [5.0, 0.0]]), torch.tensor([[True, True], [True, False]])).tolist()
    [1.0, 2.0, 5.0]
    """
    if mask.dim() != 2 or dense.shape[:2] != mask.shape:
        raise GraphKitError(f"expected dense [B, M, ...] and mask [B, M], got {list(dense.shape)}, {list(mask.shape)}")
    rows = mask.shape[0] * mask.shape[1]
    return dense.reshape(rows, *dense.shape[2:]).index_select(0, mask.flatten().nonzero().squeeze(1))
