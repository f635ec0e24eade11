"""The (node, relation) pairs that occur at one end of a typed graph's edges, found once and kept with the graph.

Optimizing CUDA Code Generator for End-to-End Training and Inference of Relational Graph Neural Networks (2301.06284).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit import _dgl
from graphkit._kernels import typed
from graphkit._kernels.sort import counting_sort
from graphkit.core.check import check_ids
from graphkit.core.errors import unknown

if TYPE_CHECKING:
    import dgl

#: Pairs that are worked on together: their rows, before and after the product, stay in the second cache.
ROWS = 2048


class Pairs:
    """The pairs at one end of the edges, sorted by relation, then node, and the edges of each.

    Attributes
    ----------
    node, rel : Tensor
        int64 ``[U]``.
    num_near, num_far : int
        Nodes at the pairs' end of the edges, and at the other.
    cuts : list of int
        ``[R + 1]``: where the pairs of each relation begin.
    indptr, index, edge : ndarray
        int64 ``[U + 1]``, ``[E]``, ``[E]``: the far ends of the edges of each pair, and their ids.
    """

    def __init__(self, near: Tensor, far: Tensor, etype: Tensor, sizes: tuple[int, int, int]) -> None:
        self.num_near, self.num_far, num_rels = sizes
        ends = near.numpy(), far.numpy(), etype.long().cpu().contiguous().numpy()
        edges = len(ends[0])
        by_node = _order(ends[0], self.num_near)
        self.edge = by_node[_order(ends[2][by_node], num_rels)]
        node, rel, indptr = np.empty(edges, np.int64), np.empty(edges, np.int64), np.empty(edges + 1, np.int64)
        self.index = np.empty(edges, np.int64)
        count = typed.find_pairs(self.edge, *ends, node, rel, indptr, self.index)
        self.indptr = indptr[: count + 1].copy()
        self.node = torch.from_numpy(node[:count].copy()).to(etype.device)
        self.rel = torch.from_numpy(rel[:count].copy()).to(etype.device)
        self._shares: dict[torch.dtype, Tensor] = {}
        self.cuts: list[int] = np.searchsorted(rel[:count], np.arange(num_rels + 1)).tolist()

    @cached_property
    def sizes(self) -> list[int]:
        """Pairs of each relation ``[R]``."""
        return np.diff(self.cuts).tolist()

    def shares(self, like: Tensor) -> Tensor:
        """One over the number of edges of each edge's pair ``[E]``, in the type and on the device of ``like``."""
        if like.dtype not in self._shares:
            counts = np.diff(self.indptr)
            found = np.empty(len(self.edge), np.float64)
            found[self.edge] = np.repeat(1.0 / counts, counts)
            self._shares[like.dtype] = torch.from_numpy(found).to(like.dtype)
        return self._shares[like.dtype].to(like.device)

    @cached_property
    def pair(self) -> Tensor:
        """The pair of each edge, int64 ``[E]``."""
        found = np.empty(len(self.edge), np.int64)
        found[self.edge] = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))
        return torch.from_numpy(found).to(self.node.device)

    @cached_property
    def graph(self) -> dgl.DGLGraph:
        """A bipartite graph whose edge e runs from the pair of edge e to the far end of edge e, as ops take it."""
        import dgl

        far = np.empty_like(self.index)
        far[self.edge] = self.index
        sizes = {"_U": len(self.node), "_V": self.num_far}
        return dgl.heterograph({("_U", "_E", "_V"): (self.pair.cpu(), torch.from_numpy(far))}, sizes)

    @cached_property
    def blocks(self) -> list[tuple[int, int, list[tuple[int, int, int]]]]:
        """``(low, high, [(relation, from, to), ...])``: ROWS pairs each, cut by relation, counted from ``low``."""
        found = []
        for low in range(0, len(self.node), ROWS):
            high = min(low + ROWS, len(self.node))
            first = int(np.searchsorted(self.cuts, low, side="right")) - 1
            last = int(np.searchsorted(self.cuts, high))
            bounds = np.clip(self.cuts[first : last + 1], low, high) - low
            parts = zip(range(first, last), bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
            found.append((low, high, [part for part in parts if part[1] < part[2]]))
        return found


def _order(keys: np.ndarray, size: int) -> np.ndarray:
    start, order = np.zeros(size + 1, np.int64), np.empty(len(keys), np.int64)
    counting_sort(np.ascontiguousarray(keys), start, order)
    return order


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
        Kept with the graph until it changes or other relations come.

    Raises
    ------
    GraphKitError
        If there is not one relation id for each edge, or one is out of range.

    Examples
    --------
    >>> import graphkit, dgl
    >>> pairs = compact(dgl.graph(([0, 0, 0], [1, 2, 2])), torch.tensor([1, 1, 0]), 2)
    >>> pairs.node.tolist(), pairs.rel.tolist(), pairs.pair.tolist()
    ([0, 0], [0, 1], [1, 1, 0])
    """
    if end not in ("src", "dst"):
        raise unknown("end", end, ("src", "dst"))
    structure = _dgl.structure(graph)
    kept: dict[str, Any] = structure.cached("compact", lambda _: {})
    found = kept.get(end)
    if found is not None and found[2] == num_rels and _same(found[0], found[1], etype):
        return found[3]
    check_ids("etype", etype, num_rels, structure.num_edges)
    near, far = (structure.src, structure.dst) if end == "src" else (structure.dst, structure.src)
    sizes = (structure.num_src, structure.num_dst) if end == "src" else (structure.num_dst, structure.num_src)
    with torch.inference_mode(False):
        pairs = Pairs(near.cpu(), far.cpu(), etype.detach(), (*sizes, num_rels))
    if not etype.is_inference():  # which has no count of its changes
        kept[end] = (etype, etype._version, num_rels, pairs)
    return pairs


def _same(kept: Tensor, version: int, etype: Tensor) -> bool:
    """Whether relations are those that pairs were found for: the same tensor untouched, or one of the same ids."""
    if kept._version != version:
        return False
    return kept is etype or (kept.device == etype.device and torch.equal(kept, etype))
