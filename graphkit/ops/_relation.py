"""The two sides of a relation as the ops see them: edges grouped by destination or source, or rows by segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit import _dgl
from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    import dgl


class Groups:
    """E items in G groups, each item in one: the edges of each destination, or the rows of each segment.

    Parameters
    ----------
    indptr, item : ndarray
        int64 ``[G + 1]`` and ``[E]``: the items of group g are ``item[indptr[g] : indptr[g + 1]]``, ascending.
    ids : Tensor
        int64 ``[E]``, the group of each item.
    """

    def __init__(self, indptr: np.ndarray, item: np.ndarray, ids: Tensor) -> None:
        self.indptr, self.item, self.ids = indptr, item, ids
        self.num_groups, self.num_items = len(indptr) - 1, len(item)

    def ids_on(self, device: torch.device) -> Tensor:
        """Group of each item, on ``device``."""
        return self.ids if self.ids.device == device else self.ids.to(device)

    def counts(self, like: Tensor) -> Tensor:
        """Items of each group ``[G]``, in the type and on the device of ``like``."""
        return torch.from_numpy(np.diff(self.indptr)).to(like)


class Relation:
    """One relation of a graph as seen from the side that receives; :meth:`flip` is the same edges backwards.

    Parameters
    ----------
    structure : Structure
        From ``_dgl.structure``.
    backwards : bool
        True when destinations send to sources.
    """

    __slots__ = ("_backwards", "_structure", "num_edges", "num_from", "num_to")

    def __init__(self, structure: _dgl.Structure, backwards: bool = False) -> None:
        self._structure, self._backwards = structure, backwards
        self.num_from, self.num_to = structure.num_src, structure.num_dst
        if backwards:
            self.num_from, self.num_to = self.num_to, self.num_from
        self.num_edges = structure.num_edges

    def flip(self) -> Relation:
        """The same edges, backwards."""
        return Relation(self._structure, not self._backwards)

    def index(self) -> Any:
        """DGL's index of the edges, turned round for a flipped relation."""
        gidx = self._structure.gidx
        return gidx.reverse() if self._backwards else gidx

    def compressed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``indptr [to + 1], index [E], edge [E]``: who sends to each receiver, and by which edge."""
        name = "numpy_csr" if self._backwards else "numpy_csc"

        def make(structure: _dgl.Structure) -> tuple[np.ndarray, ...]:
            parts = structure.csr() if self._backwards else structure.csc()
            return tuple(part.cpu().numpy() for part in parts)

        return self._structure.cached(name, make)

    def in_order(self) -> bool:
        """Whether edge ids already run in the order of receivers."""
        return not self._backwards and self._structure.is_sorted_by_dst

    def ends(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Senders and receivers in the order of edge ids, int64 ``[E]`` each, on ``device``."""

        def make(structure: _dgl.Structure) -> tuple[Tensor, Tensor]:
            return structure.src.to(device), structure.dst.to(device)

        src, dst = self._structure.cached(f"ends_{device}", make)
        return (dst, src) if self._backwards else (src, dst)

    def counts(self, like: Tensor) -> Tensor:
        """Edges of each receiver ``[to]``, in the type and on the device of ``like``."""
        return (self._structure.out_degrees if self._backwards else self._structure.in_degrees).to(like)

    def groups(self) -> Groups:
        """The edges of each receiver."""
        indptr, _, edge = self.compressed()
        return Groups(indptr, edge, self._structure.src if self._backwards else self._structure.dst)


def relation(graph: dgl.DGLGraph) -> Relation:
    """The relation of a graph, batched graph, block, or slice of a heterograph."""
    return Relation(_dgl.structure(graph))


def segments(offsets: Tensor, num_rows: int) -> Groups:
    """Groups of consecutive rows, from int64 ``offsets [B + 1]``."""
    if offsets.dim() != 1 or len(offsets) == 0 or offsets.dtype != torch.int64:
        raise GraphKitError(f"expected int64 offsets [B + 1], got {offsets.dtype} of shape {list(offsets.shape)}")
    indptr = offsets.detach().cpu().contiguous()
    lengths = indptr.diff()
    if int(indptr[0]) != 0 or int(indptr[-1]) != num_rows or bool((lengths < 0).any()):
        raise GraphKitError(
            f"offsets must rise from 0 to the {num_rows} rows of feat, got {int(indptr[0])} to {int(indptr[-1])}"
        )
    ids = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return Groups(indptr.numpy(), np.arange(num_rows), ids)
