"""The index tensors of a graph's structure, made once for each structure and kept while it lives."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import dgl
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError


class _Tensors:
    """What is cached of one graph index: tensors by name, and their size. Holds no reference to the index itself."""

    def __init__(self, ref: weakref.ref) -> None:
        self.ref, self.nbytes = ref, 0
        self.items: dict[str, Any] = {}
        self.lock = threading.RLock()


class _Cache:
    """Entries by ``id`` of the graph index, dropped when it dies, the least recently used first when they are too many.

    DGL's index cannot be a dictionary key (its hash is that of a handle) and its ``id`` is used again after its death;
    so an entry is believed only if its weak reference still points at the very index that asks.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.total = limit, 0
        self.entries: OrderedDict[int, _Tensors] = OrderedDict()
        self.lock = threading.RLock()

    def get(self, gidx: Any) -> _Tensors:
        key = id(gidx)
        with self.lock:
            entry = self.entries.get(key)
            if entry is not None and entry.ref() is gidx:
                self.entries.move_to_end(key)
                return entry
            self._drop(key)
            entry = self.entries[key] = _Tensors(weakref.ref(gidx))
            weakref.finalize(gidx, self._dead, key, weakref.ref(entry)).atexit = False
            return entry

    def _dead(self, key: int, entry: weakref.ref) -> None:
        with self.lock:
            if key in self.entries and self.entries[key] is entry():
                self._drop(key)

    def _drop(self, key: int) -> None:
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.total -= entry.nbytes

    def charge(self, entry: _Tensors, nbytes: int) -> None:
        with self.lock:
            entry.nbytes += nbytes
            if self.entries.get(id(entry.ref())) is not entry:
                return
            self.total += nbytes
            while self.total > self.limit and len(self.entries) > 1:
                oldest = next(iter(self.entries))
                if self.entries[oldest] is entry:
                    self.entries.move_to_end(oldest)
                    continue
                self._drop(oldest)


#: Bytes of index tensors kept; ``GRAPHKIT_STRUCTURE_BYTES`` changes it.
_CACHE = _Cache(int(os.environ.get("GRAPHKIT_STRUCTURE_BYTES", 2 << 30)))


def _size(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(_size, value))
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    # A derived index grows to two ends, two compressed forms and their edge ids once kernels ran on it.
    return 48 * value.num_edges(0) if hasattr(value, "num_edges") else 64


def _sizes(gidx: Any) -> tuple[int, int, int]:
    if gidx.number_of_etypes() != 1:
        raise GraphKitError(
            f"expected a graph with one edge type, got one with {gidx.number_of_etypes()}; take one relation of it, "
            "graph['name']"
        )
    source, target = gidx.metagraph.find_edge(0)
    return gidx.num_nodes(source), gidx.num_nodes(target), gidx.num_edges(0)


class Structure:
    """The index tensors of one relation, each computed when first asked for and shared by all who ask.

    Parameters
    ----------
    gidx : HeteroGraphIndex
        DGL's immutable index with one edge type; this object keeps it alive.
    """

    __slots__ = ("_cached", "gidx", "num_dst", "num_edges", "num_src")

    def __init__(self, gidx: Any) -> None:
        self.gidx = gidx
        self._cached = _CACHE.get(gidx)
        sizes = self._cached.items.get("sizes") or self._make("sizes", lambda: _sizes(gidx))
        self.num_src: int = sizes[0]
        self.num_dst: int = sizes[1]
        self.num_edges: int = sizes[2]

    def _make(self, name: str, make: Callable[[], Any]) -> Any:
        cached = self._cached
        if name in cached.items:
            return cached.items[name]
        # What is made while somebody only predicts must still be good for the training that follows.
        with cached.lock, torch.inference_mode(False):
            if name not in cached.items:
                value = make()
                cached.items[name] = value
                _CACHE.charge(cached, _size(value))
        return cached.items[name]

    def cached(self, name: str, make: Callable[[Structure], Any]) -> Any:
        """Return what ``make(self)`` gave the first time that ``name`` was asked for; it must not refer to ``gidx``."""
        return self._make(f"user:{name}", lambda: make(self))

    def _edges(self) -> tuple[Tensor, Tensor]:
        def make() -> tuple[Tensor, Tensor]:
            if self.is_narrow:  # DGL lists the edges of such a graph in no order but its own
                indptr, index, _ = self.incoming()
                return index.long(), torch.repeat_interleave(torch.arange(self.num_dst), indptr.long().diff())
            src, dst, _ = self.gidx.edges(0, "eid")
            return src.long(), dst.long()

        return self._make("edges", make)

    @property
    def src(self) -> Tensor:
        """Sources in the order of edge ids, int64 ``[E]``."""
        return self._edges()[0]

    @property
    def dst(self) -> Tensor:
        """Destinations in the order of edge ids, int64 ``[E]``."""
        return self._edges()[1]

    @property
    def in_degrees(self) -> Tensor:
        """Edges that enter each destination, int64 ``[Ndst]``."""
        return self._make("in", lambda: self.dst.bincount(minlength=self.num_dst))

    @property
    def out_degrees(self) -> Tensor:
        """Edges that leave each source, int64 ``[Nsrc]``."""
        return self._make("out", lambda: self.src.bincount(minlength=self.num_src))

    @property
    def is_sorted_by_dst(self) -> bool:
        """Whether edge ids already run in the order of destinations."""
        return self._make("sorted", lambda: bool((self.dst[1:] >= self.dst[:-1]).all()))

    def csc(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``(indptr [Ndst + 1], src [E], eid [E])``: edges by destination, then by edge id."""
        return self._make("csc", lambda: _compress(self.dst, self.src, self.in_degrees, self.is_sorted_by_dst))

    def csr(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``(indptr [Nsrc + 1], dst [E], eid [E])``: edges by source, then by edge id."""
        return self._make("csr", lambda: _compress(self.src, self.dst, self.out_degrees, False))

    @property
    def is_narrow(self) -> bool:
        """Whether the graph keeps one compressed index, by destination, and can make no other."""
        # What a graph may keep is settled when it is made, and asking DGL takes a tenth of a small batch.
        return self._make("narrow", lambda: self.gidx.formats() == {"created": ["csc"], "not created": []})

    def incoming(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return ``(indptr [Ndst + 1], src [E], eid [E] or None)`` as :meth:`csc`, in the graph's own integers.

        Of a narrow graph nothing is copied or converted; without ``eid`` edge i stands at place i.
        """
        if not self.is_narrow:
            indptr, src, eid = self.csc()
            return indptr, src, None if self.is_sorted_by_dst else eid

        # The arrays belong to the graph; they are kept by name so that they are not wrapped anew for each batch.
        held = self._cached.items.get("incoming")
        if held is None:
            held = self._cached.items["incoming"] = self.gidx.adjacency_matrix_tensors(0, True, "csr")[2:]
        return held[0], held[1], held[2] if len(held[2]) else None

    def degrees_out(self) -> Tensor:
        """Return :attr:`out_degrees`; of a narrow graph as int32, counted without a table of edges."""
        if not self.is_narrow:
            return self.out_degrees
        return self._make("out32", lambda: self.incoming()[1].bincount(minlength=self.num_src).int())


def _compress(key: Tensor, other: Tensor, counts: Tensor, is_sorted: bool) -> tuple[Tensor, Tensor, Tensor]:
    indptr = torch.zeros(len(counts) + 1, dtype=torch.int64, device=key.device)
    torch.cumsum(counts, 0, out=indptr[1:])
    if is_sorted:
        return indptr, other, torch.arange(len(key), device=key.device)
    eid = torch.argsort(key, stable=True)
    return indptr, other[eid], eid


def structure(graph: dgl.DGLGraph) -> Structure:
    """Return the index tensors of a graph, a batched graph, a block or one relation, from the cache.

    Parameters
    ----------
    graph : dgl.DGLGraph
        With one edge type.

    Raises
    ------
    GraphKitError
        If the graph has several edge types.

    Examples
    --------
    >>> import graphkit, dgl
    >>> structure(dgl.graph(([0, 1, 0], [2, 0, 1]))).csc()[0].tolist()
    [0, 1, 2, 3]
    """
    return Structure(graph._graph)


def cache_size() -> tuple[int, int]:
    """Return how many structures are cached, and their bytes.

    Examples
    --------
    >>> len(cache_size())
    2
    """
    return len(_CACHE.entries), _CACHE.total
