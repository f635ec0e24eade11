"""Argument checks: each knows the argument's name and says in one sentence what came and what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.core.errors import GraphKitError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise unless ``value`` is one of ``choices``.

    >>> check_choice("norm", "both", ["both", "none"])
    """
    choices = list(choices)
    if value not in choices:
        raise unknown(name, value, choices)


def check_feat(name: str, feat: Tensor, rows: int | None = None, width: int | None = None) -> None:
    """Raise unless ``feat`` is a floating-point ``[rows, ..., width]`` tensor.

    Parameters
    ----------
    name : str
        The argument's name, which the sentence begins with.
    feat : Tensor
    rows, width : int, optional
        Expected first and last sizes; None does not check.

    Raises
    ------
    GraphKitError
        If it is no tensor, is of another shape, or holds integers.

    Examples
    --------
    >>> import torch
    >>> check_feat("feat", torch.zeros(3, 4), 3, 4)
    """
    import torch

    if not isinstance(feat, torch.Tensor):
        raise GraphKitError(f"{name} is a {type(feat).__name__}; expected a floating-point tensor")
    if feat.dim() < 2 or (rows is not None and len(feat) != rows) or (width is not None and feat.shape[-1] != width):
        expected = f"[{'rows' if rows is None else rows}, {'width' if width is None else width}]"
        raise GraphKitError(f"{name} has shape {list(feat.shape)}; expected {expected}")
    if not feat.is_floating_point():
        raise GraphKitError(f"{name} holds {_dtype(feat)}; expected floating-point numbers, such as {name}.float()")


def check_rows(name: str, value: Tensor, rows: int, what: str = "rows") -> None:
    """Raise unless the tensor ``value`` has ``rows`` entries in its first dimension.

    >>> import torch
    >>> check_rows("edge_weight", torch.ones(3), 3, "edges")
    """
    if value.dim() == 0 or len(value) != rows:
        raise GraphKitError(f"{name} has shape {list(value.shape)}; expected one entry for each of the {rows} {what}")


def check_weight(name: str, weight: Tensor, rows: int, what: str = "edges") -> None:
    """Raise unless ``weight`` holds one floating-point number for each of ``rows`` things.

    >>> import torch
    >>> check_weight("edge_weight", torch.ones(3), 3)
    """
    import torch

    if not isinstance(weight, torch.Tensor):
        raise GraphKitError(f"{name} is a {type(weight).__name__}; expected a floating-point tensor")
    if weight.dim() != 1 or len(weight) != rows:
        raise GraphKitError(f"{name} has shape {list(weight.shape)}; expected one number for each of the {rows} {what}")
    if not weight.is_floating_point():
        raise GraphKitError(f"{name} holds {_dtype(weight)}; expected floating-point numbers, such as {name}.float()")


def check_ids(name: str, ids: Tensor, size: int, rows: int | None = None) -> None:
    """Raise unless ``ids`` is an integer vector with values in ``[0, size)``.

    Parameters
    ----------
    name : str
        The argument's name.
    ids : Tensor
        ``[rows]``.
    size : int
        One more than the greatest valid id.
    rows : int, optional
        Expected length.

    Raises
    ------
    GraphKitError
        If it holds no integers, has another shape, or an id is out of range.

    Examples
    --------
    >>> import torch
    >>> check_ids("etype", torch.tensor([0, 1]), 2)
    """
    import torch

    if not isinstance(ids, torch.Tensor) or ids.dtype not in (torch.int64, torch.int32):
        came = _dtype(ids) if isinstance(ids, torch.Tensor) else type(ids).__name__
        raise GraphKitError(f"{name} holds {came}; expected int64 ids")
    if ids.dim() != 1 or (rows is not None and len(ids) != rows):
        raise GraphKitError(f"{name} has shape {list(ids.shape)}; expected [{'rows' if rows is None else rows}]")
    if len(ids):
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= size:
            raise GraphKitError(f"{name} holds id {low if low < 0 else high}; expected ids from 0 to {size - 1}")


def check_finite(name: str, value: Tensor | None) -> None:
    """Raise if ``value`` holds NaN or infinity, naming the first such row.

    >>> import torch
    >>> check_finite("feat", torch.zeros(3, 4))
    """
    import torch

    # One reduction answers the usual case: a sum is finite unless something in it is not (or it overflows).
    if value is None or not value.is_floating_point() or value.numel() == 0 or torch.isfinite(value.sum()):
        return
    bad = (~torch.isfinite(value)).nonzero()
    if len(bad):
        rows = len(bad[:, 0].unique())
        raise GraphKitError(
            f"{name} holds NaN or infinity in {rows} of {len(value)} rows, first in row {int(bad[0, 0])}"
        )


def check_size(name: str, value: int, least: int = 1) -> None:
    """Raise unless ``value`` is a whole number of at least ``least``.

    >>> check_size("in_feats", 16)
    """
    if not isinstance(value, int) or value < least:
        raise GraphKitError(f"{name}={value!r} is no size; expected a whole number of at least {least}")


def check_heads(out_feats: int, num_heads: int) -> None:
    """Raise unless the heads divide the width.

    >>> check_heads(64, 8)
    """
    if num_heads < 1 or out_feats % num_heads:
        raise GraphKitError(
            f"num_heads={num_heads} does not divide out_feats={out_feats}; out_feats is the width of all heads together"
        )


def check_rate(name: str, value: float) -> None:
    """Raise unless ``value`` is in [0, 1).

    >>> check_rate("dropout", 0.5)
    """
    if not 0 <= value < 1:
        raise GraphKitError(f"{name}={value} is out of range; expected a number from 0 up to, not including, 1")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
