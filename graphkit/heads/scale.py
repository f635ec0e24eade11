"""Targets in their own units: a head learns numbers of mean 0 and deviation 1, and gives them as they were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded
from graphkit.core.errors import GraphKitError


class TargetScale(nn.Module):
    r"""Give what a head says in the units of the targets: ``y = mean + std * head(enc)``.

    Mean and deviation are buffers, so they are saved with the weights; they are 0 and 1 until :meth:`learn` is called,
    which tasks do with the numbers of the training part. Classes and 0/1 labels are left alone.

    Parameters
    ----------
    head : nn.Module
        Called as ``head(enc, batch)``, gives ``[B, T]``.
    out_feats : int
        Targets T.

    Examples
    --------
    >>> scale = TargetScale(nn.Identity(), 1)
    >>> scale.learn(torch.tensor([[1.0], [3.0], [float("nan")]]))
    >>> scale.mean.tolist(), scale.std.tolist()
    ([2.0], [1.0])
    """

    mean: Tensor
    std: Tensor
    learned: Tensor

    def __init__(self, head: nn.Module, out_feats: int) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("mean", torch.zeros(out_feats))
        self.register_buffer("std", torch.ones(out_feats))
        self.register_buffer("learned", torch.zeros((), dtype=torch.bool))

    def learn(self, targets: Tensor) -> None:
        """Take mean and deviation of each column of ``targets [B, T]``, NaN missing; once, later calls change nothing.

        Raises
        ------
        GraphKitError
            If there is another number of columns.
        """
        if bool(self.learned):
            return
        rows = targets.double().reshape(len(targets), -1)
        if rows.shape[1] != len(self.mean):
            raise GraphKitError(
                f"the targets have {rows.shape[1]} columns, but the head gives {len(self.mean)} numbers"
            )
        known = ~torch.isnan(rows)
        count = known.sum(0).clamp(min=1)
        mean = torch.where(known, rows, 0.0).sum(0) / count
        spread = (torch.where(known, rows - mean, 0.0).square().sum(0) / count).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(spread > 0, spread, 1.0))
        self.learned.fill_(True)

    def forward(self, enc: Encoded, batch: Batch | None = None) -> Any:
        """Return ``[B, T]``."""
        return self.mean + self.std * self.head(enc, batch)
