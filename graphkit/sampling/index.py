"""Which edges join a pair of nodes, by binary search."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError


class EdgeIndex:
    """Edges by endpoints and, where given, relation.

    Parameters
    ----------
    src, dst : Tensor
        int64 ``[E]``.
    num_nodes : int
    rel : Tensor, optional
        int64 ``[E]``.

    Raises
    ------
    GraphKitError
        If nodes times nodes times relations do not fit 63 bits.

    Examples
    --------
    >>> index = EdgeIndex(torch.tensor([0, 0, 1]), torch.tensor([1, 1, 2]), num_nodes=3)
    >>> edges, counts = index.find(torch.tensor([2, 0]), torch.tensor([1, 1]))
    >>> edges.tolist(), counts.tolist()
    ([0, 1], [0, 2])
    """

    def __init__(self, src: Tensor, dst: Tensor, num_nodes: int, rel: Tensor | None = None) -> None:
        self.num_nodes, self.num_relations = num_nodes, 1
        if rel is not None and len(rel):
            self.num_relations = int(rel.max()) + 1
        if num_nodes * num_nodes * self.num_relations >= 2**63:
            raise GraphKitError(f"{num_nodes} nodes and {self.num_relations} relations are too many for a pair index")
        self.typed = rel is not None
        key = self._key(src, dst, rel)
        if bool((key[1:] >= key[:-1]).all()):  # edges sorted by destination are so already
            self.keys, self.order = key, torch.arange(len(key))
        else:
            self.keys, self.order = torch.sort(key, stable=True)
        self.simple = bool((self.keys[1:] != self.keys[:-1]).all())

    @classmethod
    def of(cls, pairs: Pairs, num_nodes: int, both: bool = False) -> EdgeIndex:
        """Index pairs, in both directions if ``both``."""
        src, dst, rel = pairs.src, pairs.dst, pairs.rel
        if both:
            src, dst = torch.cat([src, dst]), torch.cat([dst, src])
            rel = None if rel is None else torch.cat([rel, rel])
        return cls(src, dst, num_nodes, rel)

    def _key(self, src: Tensor, dst: Tensor, rel: Tensor | None) -> Tensor:
        pair = dst * self.num_nodes + src
        return pair if rel is None or not self.typed else pair * self.num_relations + rel

    def find(self, src: Tensor, dst: Tensor, rel: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the ids of all edges of each pair, concatenated, and how many each pair has, int64."""
        from graphkit.sampling.blocks import spread

        known = torch.ones_like(src, dtype=torch.bool)
        if self.typed and rel is not None:
            known = rel < self.num_relations
        key = self._key(src, dst, rel)
        first = torch.searchsorted(self.keys, key)
        if self.simple and len(self.keys):
            count = (known & (self.keys[first.clamp(max=len(self.keys) - 1)] == key)).long()
            return self.order[first[count > 0]], count
        count = torch.where(known, torch.searchsorted(self.keys, key, right=True) - first, 0)
        return self.order[spread(first, count)], count

    def contains(self, src: Tensor, dst: Tensor, rel: Tensor | None = None) -> Tensor:
        """Return, for each pair, whether an edge joins it, bool."""
        return self.find(src, dst, rel)[1] > 0
