"""DGL beside current PyTorch, and the cache of a graph's index tensors: the only file that touches DGL's insides.

DGL 2.1.0 ships its ``graphbolt`` and ``sparse`` libraries for torch 2.0 to 2.2 only, and its ``import dgl`` fails
beside a later torch. :func:`install` adds a finder to ``sys.meta_path`` that acts when, and only when, DGL cannot
import by itself: it puts stand-ins in the place of those two sub-packages and lets DGL's own files do the rest.
Nothing heavy is imported before somebody imports dgl.
"""

from __future__ import annotations

import contextlib
import copyreg
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import dgl
    import torch
    from torch import Tensor

#: Sub-packages whose C++ half is bound to one torch version, and what to use in their place.
_INSTEAD = {
    "graphbolt": "graphkit.sampling, dgl.sampling or dgl.dataloading",
    "sparse": "graphkit.ops (spmm, sddmm, edge_softmax) or graphkit.graphs.to_scipy",
}


class StandInError(Exception):
    """Something of DGL was asked for that has no library for this torch.

    It reaches those who import as an ``ImportError`` and those who take an attribute as an ``AttributeError``, since
    pickle and inspect probe the attributes of every loaded module and pass over that error only. (Python cannot make
    one class out of the two: their memory layouts differ.)
    """


class StandInImportError(StandInError, ImportError):
    """The :class:`StandInError` of an import statement."""


class StandInAttributeError(StandInError, AttributeError):
    """The :class:`StandInError` of an attribute."""


def _refuse(error: type[StandInError], package: str, wanted: str) -> NoReturn:
    import torch

    raise error(
        f"dgl.{package}.{wanted} needs a compiled library that DGL was built with for torch 2.0 to 2.2 only, and this "
        f"is torch {torch.__version__}; use {_INSTEAD[package]} instead"
    )


class _StandIn(types.ModuleType):
    """A module that can be imported, since DGL does so itself, and refuses everything else with one sentence."""

    def __init__(self, package: str) -> None:
        super().__init__(f"dgl.{package}", "Stand-in of GraphKit: this part of DGL has no library for this torch.")
        self.__path__: list[str] = []
        self.__all__: list[str] = []
        self._package = package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse(StandInAttributeError, self._package, name)


class _StandInLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name.partition(".")[2])

    def exec_module(self, module: types.ModuleType) -> None:
        return None


class _AliasLoader(importlib.abc.Loader):
    """Loads ``setuptools.extern.packaging``, gone from setuptools, as the ``packaging`` it was a copy of."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        real = spec.name.partition("setuptools.extern")[2].lstrip(".")
        return importlib.import_module(real) if real else None

    def exec_module(self, module: types.ModuleType) -> None:
        if not hasattr(module, "__path__"):
            module.__path__ = []


class _DGLLoader(importlib.abc.Loader):
    """DGL's own loader, with torch imported before and the mends made after."""

    def __init__(self, finder: _Finder, inner: Any) -> None:
        self._finder, self._inner = finder, inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self._finder.importing = True
        try:
            self._inner.exec_module(module)
        finally:
            self._finder.importing = False
        module.sparse = importlib.import_module("dgl.sparse")  # type: ignore[attr-defined]
        _after_import()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Finder(importlib.abc.MetaPathFinder):
    """Answers for ``dgl`` and the few modules it misses; every other name it leaves to the finders behind it."""

    def __init__(self) -> None:
        self.active = False  # stand-ins are in use in this process
        self.importing = False  # DGL's own __init__ is running

    def find_spec(
        self, fullname: str, path: Any = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "dgl":
            return self._find_dgl(path)
        if not self.active:
            return None
        if fullname in ("dgl.graphbolt", "dgl.sparse"):
            return importlib.machinery.ModuleSpec(fullname, _StandInLoader(), is_package=True)
        if fullname.startswith(("dgl.graphbolt.", "dgl.sparse.")):
            _, package, rest = fullname.split(".", 2)
            _refuse(StandInImportError, package, rest)
        if self.importing and fullname.startswith("setuptools.extern"):
            if importlib.machinery.PathFinder.find_spec(fullname, path) is None:
                return importlib.machinery.ModuleSpec(fullname, _AliasLoader(), is_package=True)
        return None

    def _find_dgl(self, path: Any) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec("dgl", path)
        if spec is None or spec.origin is None or spec.loader is None:
            return None
        # One OpenMP runtime: torch's must be in the process before libdgl looks for one.
        import torch

        if imports_by_itself(os.path.dirname(spec.origin), torch.__version__):
            return None
        self.active = True
        spec.loader = _DGLLoader(self, spec.loader)  # type: ignore[assignment]
        return spec


def imports_by_itself(folder: str, torch_version: str) -> bool:
    """Say whether the DGL in ``folder`` can import beside a torch of that version without help.

    Parameters
    ----------
    folder : str
        DGL's package folder.
    torch_version : str
        Such as ``"2.13.0+cpu"``.

    Examples
    --------
    >>> imports_by_itself("no-such-folder", "2.13.0")
    True
    """
    graphbolt = os.path.join(folder, "graphbolt")
    if not os.path.isdir(graphbolt):  # releases before graphbolt
        return True
    version = torch_version.partition("+")[0]
    if not any(f.rpartition(".")[0].endswith(f"graphbolt_pytorch_{version}") for f in os.listdir(graphbolt)):
        return False
    with open(os.path.join(graphbolt, "base.py"), encoding="utf-8") as file:
        if "torchdata.datapipes" not in file.read():
            return True
    torchdata = importlib.util.find_spec("torchdata")
    places = (torchdata.submodule_search_locations if torchdata else None) or ()
    return any(os.path.isdir(os.path.join(place, "datapipes")) for place in places)


_FINDER = _Finder()


def install() -> None:
    """Make ``import dgl`` work beside this torch, in this process and in the workers it starts; idempotent.

    Examples
    --------
    >>> install()
    >>> import dgl
    """
    # Without it DGL writes a file to the home folder; idle OpenMP threads that spin make small kernels 300 times slower.
    os.environ.setdefault("DGLBACKEND", "pytorch")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if _FINDER not in sys.meta_path and "dgl" not in sys.modules:
        sys.meta_path.insert(0, _FINDER)


def stood_in() -> bool:
    """Say whether this process runs DGL with stand-ins (after ``import dgl``)."""
    return _FINDER.active


def _blank_graph(block: bool) -> dgl.DGLGraph:
    """Make the empty object that pickle fills; naming this module first is what brings the hook to a new process."""
    from dgl.heterograph import DGLBlock, DGLGraph

    cls = DGLBlock if block else DGLGraph
    return cls.__new__(cls)


def _reduce_graph(graph: dgl.DGLGraph) -> tuple:
    return _blank_graph, (graph.is_block,), graph.__dict__


def _after_import() -> None:
    from dgl.heterograph import DGLBlock, DGLGraph

    copyreg.pickle(DGLGraph, _reduce_graph)  # type: ignore[arg-type]
    copyreg.pickle(DGLBlock, _reduce_graph)  # type: ignore[arg-type]


# --- the index tensors of a graph's structure, cached ---------------------------------------------------------------


class _Tensors:
    """What is cached of one graph index: tensors by name, and their size. Holds no reference to the index itself."""

    def __init__(self, ref: weakref.ref) -> None:
        self.ref, self.items, self.nbytes = ref, {}, 0
        self.lock = threading.RLock()
        self.items: dict[str, Any]


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
    return value.numel() * value.element_size() if hasattr(value, "element_size") else 64


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
        source, target = self._make("ends", lambda: tuple(gidx.metagraph.find_edge(0)))
        self.num_src: int = gidx.num_nodes(source)
        self.num_dst: int = gidx.num_nodes(target)
        self.num_edges: int = gidx.num_edges(0)

    def _make(self, name: str, make: Any) -> Any:
        cached = self._cached
        if name in cached.items:
            return cached.items[name]
        with cached.lock:
            if name not in cached.items:
                value = make()
                cached.items[name] = value
                _CACHE.charge(cached, _size(value))
        return cached.items[name]

    def cached(self, name: str, make: Any) -> Any:
        """Return what ``make(self)`` gave the first time that ``name`` was asked for; it must not refer to ``gidx``."""
        return self._make(f"user:{name}", lambda: make(self))

    def _edges(self) -> tuple[Tensor, Tensor]:
        def make() -> tuple[Tensor, Tensor]:
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


def _compress(key: Tensor, other: Tensor, counts: Tensor, is_sorted: bool) -> tuple[Tensor, Tensor, Tensor]:
    import torch

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
    gidx = graph._graph
    if gidx.number_of_etypes() != 1:
        from graphkit.core.errors import GraphKitError

        raise GraphKitError(
            f"expected a graph with one edge type, got {gidx.number_of_etypes()}; take one relation, such as "
            f"graph[{graph.canonical_etypes[0] if graph.canonical_etypes else 'etype'!r}]"
        )
    return Structure(gidx)
