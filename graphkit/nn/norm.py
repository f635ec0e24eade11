"""Norms over the nodes of a batch."""

from __future__ import annotations

from torch import Tensor, nn


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over node rows, ``gamma (x - mean) / std + beta``, which also takes one row or none.

    The variance of a single row says nothing, so such a batch is normalised by the running statistics, in training
    too. Arguments are those of :class:`torch.nn.BatchNorm1d`.

    Examples
    --------
    >>> import torch
    >>> BatchNorm(4)(torch.ones(1, 4)).shape
    torch.Size([1, 4])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised rows ``[N, D]``."""
        if self.training and len(input) < 2:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def make_norm(name: str | None, width: int) -> nn.Module:
    """Return the norm called ``name`` (``"batch"``, ``"layer"`` or None) for rows of ``width``.

    >>> import torch
    >>> make_norm(None, 4)(torch.ones(2, 4)).shape
    torch.Size([2, 4])
    """
    from graphkit.core.check import check_choice

    check_choice("norm", name, [None, "batch", "layer"])
    if name is None:
        return nn.Identity()
    return BatchNorm(width) if name == "batch" else nn.LayerNorm(width)
