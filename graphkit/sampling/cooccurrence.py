"""How often the neighbours of two nodes occur in the sequence of either: what tells a common neighbour."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit._kernels import cooccurrence as kernels
from graphkit.core.errors import GraphKitError


def cooccurrence_counts(
    first: Tensor, first_mask: Tensor, second: Tensor, second_mask: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Count, for each entry w of two sequences of nodes, how often w occurs in the first and in the second.

    .. math:: c(w) = (|\{i : a_i = w\}|,\; |\{j : b_j = w\}|)

    Parameters
    ----------
    first, second : Tensor
        Node ids of P pairs of sequences, int64 ``[P, L]`` and ``[P, L']``; what padding holds is not looked at.
    first_mask, second_mask : Tensor
        Which entries are real, bool ``[P, L]`` and ``[P, L']``.

    Returns
    -------
    tuple of Tensor
        float32 ``[P, L, 2]`` and ``[P, L', 2]``, counts in the first sequence and in the second; 0 where padded.

    Raises
    ------
    GraphKitError
        If shapes do not fit or a real entry is negative.

    References
    ----------
    "Towards Better Dynamic Graph Learning: New Architecture and Unified Library", arXiv:2303.13047.

    Examples
    --------
    >>> a, b = torch.tensor([[4, 7, 7]]), torch.tensor([[5, 7, 0]])
    >>> ours, theirs = cooccurrence_counts(a, a > 0, b, b > 0)
    >>> ours[0].tolist(), theirs[0].tolist()
    ([[1.0, 0.0], [2.0, 1.0], [2.0, 1.0]], [[0.0, 1.0], [2.0, 1.0], [0.0, 0.0]])
    """
    for name, ids, mask in (("first", first, first_mask), ("second", second, second_mask)):
        if ids.dim() != 2 or ids.shape != mask.shape or len(ids) != len(first):
            raise GraphKitError(
                f"{name} has shape {list(ids.shape)}, its mask {list(mask.shape)}; expected [P, L] each"
            )
        if ids.numel() and int(ids.masked_fill(~mask, 0).min()) < 0:
            raise GraphKitError(f"{name} holds a negative node id that is no padding")
    pairs = ((first, first_mask), (second, second_mask))
    most = max((int(ids.masked_fill(~mask, 0).max()) for ids, mask in pairs if ids.numel()), default=0)
    arrays = [x.detach().cpu().contiguous().numpy() for x in (first, first_mask, second, second_mask)]
    made = [np.zeros((*ids.shape, 2), dtype=np.float32) for ids in (first, second)]
    kernels.count_both(*arrays, np.zeros((most + 1, 2), dtype=np.int64), *made)
    return torch.from_numpy(made[0]).to(first.device), torch.from_numpy(made[1]).to(first.device)
