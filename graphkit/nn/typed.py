"""A linear map per type."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.check import check_feat, check_ids
from graphkit.core.errors import GraphKitError
from graphkit.nn.layer import glorot


class TypedLinear(nn.Module):
    """A linear map per type: ``y_i = W_t(i) x_i [+ b_t(i)]``, rows sorted by type and one product for each type.

    Parameters
    ----------
    in_feats, out_feats, num_types : int
    num_bases : int, optional
        ``W_t = sum_b a_tb V_b``; free without.
    bias : bool, default False

    Raises
    ------
    GraphKitError
        For types out of range, a wrong width or length, or integer features.

    Examples
    --------
    >>> TypedLinear(4, 2, num_types=3)(torch.ones(2, 4), torch.tensor([0, 2])).shape
    torch.Size([2, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_types: int, num_bases: int | None = None, bias: bool = False
    ) -> None:
        super().__init__()
        if num_types < 1:
            raise GraphKitError(f"num_types={num_types} is no number of types; expected at least 1")
        self.in_feats, self.out_feats, self.num_types = in_feats, out_feats, num_types
        self.weight = nn.Parameter(torch.empty(num_bases or num_types, in_feats, out_feats))
        self.coeff = nn.Parameter(torch.empty(num_types, num_bases)) if num_bases else None
        self.bias = nn.Parameter(torch.empty(num_types, out_feats)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; the bias becomes 0."""
        glorot(self.weight, self.coeff)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, feat: Tensor, types: Tensor) -> Tensor:
        """Return ``[N, out_feats]`` for ``feat [N, in_feats]`` and ``types [N]`` int64."""
        check_feat("feat", feat, None, self.in_feats)
        check_ids("types", types, self.num_types, len(feat))
        weight = self.weight if self.coeff is None else torch.einsum("tb,bio->tio", self.coeff, self.weight)
        out = feat @ weight[0] if self.num_types == 1 else ops.typed_matmul(feat, weight, types)
        return out if self.bias is None else out + self.bias[types]

    def extra_repr(self) -> str:
        """Return the widths, as ``print`` shows them."""
        return f"{self.in_feats}, {self.out_feats}, num_types={self.num_types}"
