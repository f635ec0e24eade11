"""State in buffers whose number of rows changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from torch import Tensor, nn


class Clocks(nn.Module):
    """A module some of whose buffers hold times: they stay float64 when the module is cast to another type.

    Unix seconds have ten digits, float32 seven.

    Attributes
    ----------
    clocks : tuple of str
        Names of these buffers.

    Examples
    --------
    >>> import torch
    >>> class Watch(Clocks):
    ...     clocks = ("now",)
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.register_buffer("now", torch.tensor(1_600_000_001.0, dtype=torch.float64))
    >>> int(Watch().float().now)
    1600000001
    """

    clocks: ClassVar[tuple[str, ...]] = ()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        kept = {name: getattr(self, name) for name in self.clocks}
        super()._apply(fn, recurse)
        for name, value in kept.items():
            if getattr(self, name).dtype != value.dtype:
                setattr(self, name, value.to(getattr(self, name).device))
        return self


class GrowingState(Clocks):
    """A module some of whose buffers grow; it loads a state of any length.

    Attributes
    ----------
    growing : tuple of str
        Names of these buffers.

    Examples
    --------
    >>> import torch
    >>> class Bank(GrowingState):
    ...     growing = ("code",)
    ...     def __init__(self, rows):
    ...         super().__init__()
    ...         self.register_buffer("code", torch.arange(rows))
    >>> bank = Bank(0)
    >>> _ = bank.load_state_dict(Bank(3).state_dict())
    >>> bank.code.tolist()
    [0, 1, 2]
    """

    growing: ClassVar[tuple[str, ...]] = ()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in self.growing:
            value = state_dict.get(prefix + name)
            if value is not None and value.shape[1:] == getattr(self, name).shape[1:]:
                own = getattr(self, name)
                setattr(self, name, own.new_empty(value.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
