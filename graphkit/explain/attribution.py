"""What an explainer gives back: numbers for groups of edges, features and nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Attribution:
    """Scores of one question, in its working graph.

    Parameters
    ----------
    edge : Tensor
        One score for each group of edges, ``[G]``; signed where ``signed``.
    feat : Tensor, optional
        Importance of features, ``[D]``, at least 0.
    node_feat : Tensor, optional
        Signed scores of each node's features, ``[n, D]``.
    signed : bool
        Whether the sign of an edge's score tells support from opposition.
    info : dict
        What the method measured of itself (JSON values).

    Examples
    --------
    >>> import torch
    >>> Attribution(torch.ones(2)).signed
    False
    """

    edge: Tensor
    feat: Tensor | None = None
    node_feat: Tensor | None = None
    signed: bool = False
    info: dict[str, Any] = field(default_factory=dict)
