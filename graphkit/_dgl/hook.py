"""The import hook that makes ``import dgl`` work beside current PyTorch.

DGL 2.1.0 ships its ``graphbolt`` and ``sparse`` libraries for torch 2.0 to 2.2 only, and its ``import dgl`` fails
beside a later torch. :func:`install` adds a finder to ``sys.meta_path`` that acts when, and only when, DGL cannot
import by itself: it puts stand-ins in the place of those two sub-packages and lets DGL's own files do the rest.
Nothing heavy is imported before somebody imports dgl (``importlib.abc`` alone would cost 25 ms at every start, so the
loaders below have no base class).
"""

from __future__ import annotations

import copyreg
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import dgl

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


class _StandInLoader:
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name.partition(".")[2])

    def exec_module(self, module: types.ModuleType) -> None:
        return None


class _AliasLoader:
    """Loads ``setuptools.extern.packaging``, gone from setuptools, as the ``packaging`` it was a copy of."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        real = spec.name.partition("setuptools.extern")[2].lstrip(".")
        return importlib.import_module(real) if real else None

    def exec_module(self, module: types.ModuleType) -> None:
        if not hasattr(module, "__path__"):
            module.__path__ = []


class _DGLLoader:
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


class _Finder:
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
            return importlib.machinery.ModuleSpec(fullname, _StandInLoader(), is_package=True)  # type: ignore[arg-type]
        if fullname.startswith(("dgl.graphbolt.", "dgl.sparse.")):
            _, package, rest = fullname.split(".", 2)
            _refuse(StandInImportError, package, rest)
        gone = self.importing and fullname.startswith("setuptools.extern")
        if gone and importlib.machinery.PathFinder.find_spec(fullname, path) is None:
            return importlib.machinery.ModuleSpec(fullname, _AliasLoader(), is_package=True)  # type: ignore[arg-type]
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


#: Environment variables that are set, where the user has not set them, when graphkit is imported.
SETTINGS = {"DGLBACKEND": "pytorch", "OMP_WAIT_POLICY": "passive", "THP_MEM_ALLOC_ENABLE": "1"}


def install() -> None:
    """Make ``import dgl`` work beside this torch, in this process and in the workers it starts; idempotent.

    Examples
    --------
    >>> install()
    >>> import dgl
    """
    # Without the first DGL writes a file to the home folder; without the second idle OpenMP threads spin, and a small
    # kernel beside them takes up to 300 times as long; with the third torch asks for huge pages, and a sum over the
    # neighbours of 160 thousand nodes takes two thirds of the time (a row of a large matrix is a page of its own).
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
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

    from graphkit._dgl import mends

    copyreg.pickle(DGLGraph, _reduce_graph)  # type: ignore[arg-type]
    copyreg.pickle(DGLBlock, _reduce_graph)  # type: ignore[arg-type]
    mends.apply()
