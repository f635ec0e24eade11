"""What relational layers share: one projection per (node, relation) pair that occurs, and a linear map per type.

Optimizing CUDA Code Generator for End-to-End Training and Inference of Relational Graph Neural Networks (2301.06284).
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkit import _dgl, ops
from graphkit.core.check import check_feat, check_ids
from graphkit.core.errors import GraphKitError
from graphkit.nn.layer import glorot

if TYPE_CHECKING:
    import dgl


class Pairs(NamedTuple):
    """The (node, relation) pairs that occur at one end of the edges, sorted by relation, then node.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A bipartite graph whose edge e runs from the pair of edge e to the other end of edge e (pairs of sources), which
        ops take as they take the graph itself.
    node, rel : Tensor
        int64 ``[U]``.
    pair : Tensor
        int64 ``[E]``: the pair of each edge.
    """

    graph: dgl.DGLGraph
    node: Tensor
    rel: Tensor
    pair: Tensor


def compact(graph: dgl.DGLGraph, etype: Tensor, num_rels: int, end: str = "src") -> Pairs:
    """Find the pairs of a node and a relation that occur, so that their quantities are computed once per pair.

    Parameters
    ----------
    graph : dgl.DGLGraph
    etype : Tensor
        int64 ``[E]``, in ``[0, num_rels)``.
    num_rels : int
    end : str
        Pairs of ``src`` or of ``dst`` nodes.

    Returns
    -------
    Pairs
        Kept with the graph until it changes or another ``etype`` comes.

    Examples
    --------
    >>> import graphkit, dgl
    >>> pairs = compact(dgl.graph(([0, 0, 0], [1, 2, 2])), torch.tensor([1, 1, 0]), 2)
    >>> pairs.node.tolist(), pairs.rel.tolist(), pairs.pair.tolist()
    ([0, 0], [0, 1], [1, 1, 0])
    """
    structure = _dgl.structure(graph)
    kept: dict[str, Any] = structure.cached("compact", lambda _: {})
    found = kept.get(end)
    if found is not None and found[0]() is etype and found[1:3] == (etype._version, num_rels):
        return found[3]
    ends, number = (structure.src, structure.num_src) if end == "src" else (structure.dst, structure.num_dst)
    key, pair = torch.unique(etype.long() * max(number, 1) + ends.to(etype.device), return_inverse=True)
    made = _bipartite(pair.cpu(), structure.dst, len(key), structure.num_dst)
    pairs = Pairs(made, key % max(number, 1), key // max(number, 1), pair)
    kept[end] = (weakref.ref(etype), etype._version, num_rels, pairs)
    return pairs


def _bipartite(src: Tensor, dst: Tensor, num_src: int, num_dst: int) -> dgl.DGLGraph:
    import dgl

    sizes = {"_U": num_src, "_V": num_dst}
    return dgl.heterograph({("_U", "_E", "_V"): (src, dst)}, sizes)


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
