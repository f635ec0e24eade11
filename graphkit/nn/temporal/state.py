"""State in buffers whose number of rows changes."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn


class GrowingState(nn.Module):
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
