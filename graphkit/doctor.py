"""Says whether this environment can be trusted: versions, threads, and whether compiled parts answer correctly."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphkit.core.errors import GraphKitError

_PACKAGES = ("graphkit", "torch", "dgl", "numpy", "scipy", "pandas", "scikit-learn", "networkx", "lightning", "numba")
_EXTRAS = {"rdkit": "chem", "optuna": "search", "torch-geometric": "bench"}

#: The start-up hook's file; the name sorts it behind the entries that put an editable graphkit on the path.
HOOK_NAME = "zz_graphkit_dgl.pth"
_HOOK = "import importlib.util as u; u.find_spec('graphkit') and __import__('graphkit')\n"


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Parameters
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it is as it should be.
    detail : str
        What was found.

    Examples
    --------
    >>> Check("kernels", True, "spmm agrees with torch").ok
    True
    """

    name: str
    ok: bool
    detail: str


def report() -> list[Check]:
    """Look at everything and return what was found; nothing is raised, nothing is printed.

    Examples
    --------
    >>> [check.name for check in report() if not check.ok]
    []
    """
    checks = [Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    checks += [_version(name) for name in _PACKAGES]
    checks += [_extra(name, extra) for name, extra in _EXTRAS.items()]
    # DGL is first: what follows stands on it, and each says for itself what went wrong.
    checks += [_try(name, look) for name, look in _LOOKS]
    return checks


def _version(name: str) -> Check:
    if name == "graphkit":
        import graphkit

        return Check(name, True, graphkit.__version__)
    try:
        return Check(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "not installed")


def _extra(name: str, extra: str) -> Check:
    found = _version(name)
    return found if found.ok else Check(name, True, f"not installed (optional; pip install 'graphkit[{extra}]')")


def _try(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}")


def _import() -> str:
    import dgl

    from graphkit import _dgl

    how = "with stand-ins for dgl.graphbolt and dgl.sparse" if _dgl.stood_in() else "by itself"
    return f"dgl {dgl.__version__} imports {how}, backend {os.environ.get('DGLBACKEND', 'pytorch')}"


def _hook() -> str:
    path = hook_path()
    return f"written: {path}" if path.exists() else "not written (graphkit doctor --hook lets any program import dgl)"


def _threads() -> str:
    import torch
    from dgl.utils import get_num_threads

    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    pages = "on" if os.environ.get("THP_MEM_ALLOC_ENABLE") == "1" else "off"
    threads = f"torch {torch.get_num_threads()}, dgl {get_num_threads()}, cores {os.cpu_count()}"
    return f"{threads}, OMP_WAIT_POLICY {policy}, huge pages {pages}"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
    return "cpu"


def _random_graph(num_nodes: int = 64, num_edges: int = 400) -> Any:
    import torch

    from graphkit import _dgl
    from graphkit.core.random import generator

    ends = torch.randint(num_nodes, (2, num_edges), generator=generator(0, "doctor"))
    return _dgl.from_arrays(ends[0], ends[1], num_nodes)


def _kernels() -> str:
    import torch

    from graphkit import _dgl
    from graphkit.core.random import generator

    graph = _random_graph()
    src, dst = graph.edges()
    feat = torch.randn(64, 8, generator=generator(1, "doctor"))
    index = _dgl.structure(graph).gidx
    found = _dgl.spmm_kernel(index, "copy_lhs", "sum", feat, None)[0]
    if not torch.allclose(found, torch.zeros_like(feat).index_add(0, dst, feat[src]), atol=1e-5):
        raise GraphKitError("spmm disagrees with torch.index_add")
    best = _dgl.spmm_kernel(index, "copy_lhs", "max", feat, None)[0]
    wanted = torch.zeros_like(feat).scatter_reduce(0, dst[:, None].expand(-1, 8), feat[src], "amax", include_self=False)
    if not torch.allclose(best, wanted):
        raise GraphKitError("max disagrees with torch.scatter_reduce")
    dots = _dgl.sddmm_kernel(index, "dot", feat, feat)
    if not torch.allclose(dots.flatten(), (feat[src] * feat[dst]).sum(-1), atol=1e-5):
        raise GraphKitError("sddmm disagrees with torch")
    return "spmm (sum, max) and sddmm agree with torch"


def _metis() -> str:
    import torch

    from graphkit import graphs, sampling

    # Cutting a ladder of 200 rungs in two takes 2 of its 598 edges; a random split would take half of them.
    left = torch.arange(200)
    src = torch.cat([left, left[:-1], left[:-1] + 200])
    dst = torch.cat([left + 200, left[1:], left[1:] + 200])
    part = sampling.metis(graphs.graph(src, dst), 2)
    cut = int((part[src] != part[dst]).sum())
    if cut > 20 or not 150 <= int(part.sum()) <= 250:
        raise GraphKitError(
            f"METIS splits a ladder of 400 nodes into {int(part.sum())} and the rest, cutting {cut} edges"
        )
    return f"halves a ladder of 200 rungs by cutting {cut} edges"


def _sampler() -> str:
    import torch

    from graphkit import sampling

    graph = _random_graph()
    seeds = torch.arange(10)
    (block, nodes, edges), again, other = (sampling.sample_block(graph, seeds, 3, seed=s) for s in (1, 1, 2))
    if not torch.equal(edges, again[2]) or torch.equal(edges, other[2]):
        raise GraphKitError("the neighbour sampler does not follow its seed")
    src, dst = graph.edges()
    head, tail = block.edges()
    wanted = graph.in_degrees(seeds).clamp(max=3)
    same_ends = torch.equal(nodes[head], src[edges]) and torch.equal(nodes[tail], dst[edges])
    if not (same_ends and torch.equal(block.in_degrees(), wanted)):
        raise GraphKitError("the neighbour sampler draws edges that the graph does not have")
    return "draws edges of the graph, the same for the same seed"


_LOOKS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("dgl import", _import),
    ("start-up hook", _hook),
    ("threads", _threads),
    ("device", _device),
    ("kernels", _kernels),
    ("METIS", _metis),
    ("neighbour sampler", _sampler),
)


def hook_path(site: str | os.PathLike | None = None) -> Path:
    """Return where the start-up hook of this environment lies, or would lie.

    Parameters
    ----------
    site : path, optional
        A site-packages folder; that of the running Python when None.

    Examples
    --------
    >>> hook_path("site-packages").name
    'zz_graphkit_dgl.pth'
    """
    return Path(site if site is not None else sysconfig.get_path("purelib")) / HOOK_NAME


def write_hook(site: str | os.PathLike | None = None) -> Path:
    """Write a start-up hook, so that every Python program of this environment can ``import dgl``.

    The hook is one line in a ``.pth`` file that imports graphkit, which loads neither torch nor dgl. Where graphkit
    has been uninstalled it does nothing.

    Parameters
    ----------
    site : path, optional
        A site-packages folder; that of the running Python when None.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    GraphKitError
        If the folder cannot be written.
    """
    path = hook_path(site)
    try:
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text(_HOOK, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise GraphKitError(
            f"cannot write the start-up hook {path} ({error.strerror}); make an environment of your own with "
            f"{Path(sys.executable).name} -m venv"
        ) from error
    return path


def remove_hook(site: str | os.PathLike | None = None) -> bool:
    """Remove the start-up hook; return whether there was one.

    Parameters
    ----------
    site : path, optional
        A site-packages folder; that of the running Python when None.

    Raises
    ------
    GraphKitError
        If it cannot be removed.
    """
    path = hook_path(site)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise GraphKitError(f"cannot remove the start-up hook {path} ({error.strerror})") from error
    return True
