"""ARMA filters: Graph Neural Networks with Convolutional ARMA Filters, 1901.01343."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import register
from graphkit.nn.dropout import Dropout
from graphkit.nn.gcn import Propagation
from graphkit.nn.layer import Layer, glorot
from graphkit.nn.mlp import make_activation
from graphkit.nn.propagate import K_HOPS

if TYPE_CHECKING:
    import dgl


@register(
    "armaconv",
    kind="layer",
    title="Graph Neural Networks with Convolutional ARMA Filters",
    arxiv="1901.01343",
    declines={"blocks": f"with more than one layer in a stack it {K_HOPS}"},
    example={"num_stacks": 2, "num_layers": 2},
)
class ARMAConv(Layer):
    """Mean of ARMA stacks: ``Y_t = act(S Y_{t-1} W_t + X V_t + b_t)``, ``Y_0 = X``, ``S = D^-1/2 A D^-1/2``.

    Parameters
    ----------
    in_feats, out_feats : int
    num_stacks : int, default 1
        Stacks that run side by side.
    num_layers : int, default 1
        Steps T of each; a block will do for one.
    shared_weights : bool, default False
        The same ``V`` and ``b`` for all t, and the same ``W`` for all t > 1.
    activation : str, default "relu"
    dropout : float, default 0.0
        Of ``X`` before ``V``.
    norm : str, default "both"
        As for :class:`Propagation`.
    bias : bool, default True

    Raises
    ------
    GraphKitError
        On a block with more than one step, for a count below 1, a wrong width or length, or integer features.

    Examples
    --------
    >>> import graphkit, dgl
    >>> ARMAConv(4, 2, num_stacks=3)(dgl.graph(([0, 1], [1, 2])), torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, in_feats: int, out_feats: int, num_stacks: int = 1, num_layers: int = 1, shared_weights: bool = False,
        activation: str = "relu", dropout: float = 0.0, norm: str = "both", bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_feats, out_feats)
        if num_stacks < 1 or num_layers < 1:
            raise GraphKitError(f"num_stacks={num_stacks} and num_layers={num_layers} must both be at least 1")
        self.k, self.propagate = num_layers, Propagation(norm, self_loops=False)
        roots = 1 if shared_weights else num_layers
        self.init_weight = nn.Parameter(torch.empty(num_stacks, in_feats, out_feats))
        steps = min(num_layers - 1, 1) if shared_weights else num_layers - 1
        self.weight = nn.Parameter(torch.empty(steps, num_stacks, out_feats, out_feats)) if steps else None
        self.root_weight = nn.Parameter(torch.empty(roots, num_stacks, in_feats, out_feats))
        self.bias = nn.Parameter(torch.empty(roots, num_stacks, out_feats)) if bias else None
        self.activation, self.dropout = make_activation(activation), Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights Glorot-uniform; biases become 0."""
        glorot(self.init_weight, self.weight, self.root_weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        graph: dgl.DGLGraph,
        feat: Tensor,
        edge_feat: Tensor | None = None,
        edge_weight: Tensor | None = None,
        etype: Tensor | None = None,
    ) -> Tensor:
        """Return ``[Ndst, out_feats]`` for ``feat [Nsrc, in_feats]`` and ``edge_weight [E]``."""
        if self.k > 1:
            self.refuse_blocks(graph, f"it {K_HOPS}")
        self.check(graph, feat, edge_weight=edge_weight)
        x = ops.dst_rows(graph, feat)
        h = torch.einsum("ni,kio->nko", feat, self.init_weight)  # [Nsrc, K, out]
        for t in range(self.k):
            if t and self.weight is not None:
                h = torch.einsum("nki,kio->nko", h, self.weight[min(t, len(self.weight)) - 1])
            at = min(t, len(self.root_weight) - 1)
            root = torch.einsum("ni,kio->nko", self.dropout(x), self.root_weight[at])
            h = self.propagate(graph, h, edge_weight) + root
            h = self.activation(h if self.bias is None else h + self.bias[at])
        return h.mean(1)
