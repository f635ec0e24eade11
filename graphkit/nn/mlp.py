"""The plain multi-layer perceptron, and activations by name."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from graphkit.core.check import check_choice, check_feat, check_size
from graphkit.nn.dropout import Dropout
from graphkit.nn.norm import make_norm

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "none": nn.Identity,
}


def make_activation(name: str) -> nn.Module:
    """Return the activation called ``name``.

    >>> make_activation("relu")
    ReLU()
    """
    check_choice("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


class MLP(nn.Module):
    """Multi-layer perceptron: ``x <- W_L act(norm(W_{L-1} ...)) + b_L``, row by row.

    Parameters
    ----------
    in_feats, out_feats : int
    hidden : int, optional
        Width between layers; ``out_feats`` without.
    num_layers : int, default 2
        Linear maps.
    dropout : float, default 0.0
        Before every linear map but the first; with ``input_dropout`` before the first too.
    norm : str, optional
        ``"batch"`` or ``"layer"``, after every linear map but the last.
    activation : str, default "relu"
    input_dropout : bool, default False
    bias : bool, default True

    Raises
    ------
    GraphKitError
        For input of another width than ``in_feats``, or of integers.

    Examples
    --------
    >>> import torch
    >>> MLP(4, 3, hidden=8)(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        in_feats: int,
        out_feats: int,
        hidden: int | None = None,
        num_layers: int = 2,
        dropout: float = 0.0,
        norm: str | None = None,
        activation: str = "relu",
        input_dropout: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        sizes = {"in_feats": in_feats, "out_feats": out_feats, "hidden": hidden, "num_layers": num_layers}
        for name, size in sizes.items():
            if name != "hidden" or size is not None:
                check_size(name, size)
        self.in_feats, self.out_feats, self.input_dropout = in_feats, out_feats, input_dropout
        widths = [in_feats, *[hidden or out_feats] * (num_layers - 1), out_feats]
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(make_norm(norm, width) for width in widths[1:-1])
        self.activation = make_activation(activation)
        self.dropout = Dropout(dropout)

    def forward(self, feat: Tensor) -> Tensor:
        """Return ``[..., out_feats]`` for rows ``[..., in_feats]``."""
        check_feat("feat", feat, width=self.in_feats)
        return self.after_first(self.linears[0](self.dropout(feat) if self.input_dropout else feat))

    def after_first(self, x: Tensor) -> Tensor:
        """Return ``[..., out_feats]`` for what the first linear map gives."""
        for norm, linear in zip(self.norms, self.linears[1:], strict=True):
            x = linear(self.dropout(self.activation(norm(x))))
        return x
