"""DGL beside current PyTorch, and the cache of a graph's index tensors: the only room that touches DGL's insides.

Importing it loads neither torch nor dgl; its parts are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graphkit._dgl.hook import StandInError, imports_by_itself, install, stood_in

_PARTS = {
    "Structure": "index",
    "structure": "index",
    "cache_size": "index",
    "from_arrays": "build",
    "from_incoming": "build",
    "block_of": "build",
    "set_degrees": "build",
    "trusted": "build",
    "with_self_loops": "build",
    "reverse": "build",
    "with_inverses": "build",
    "two_hops": "build",
    "DEGREES": "build",
    "spmm_kernel": "kernels",
    "sddmm_kernel": "kernels",
    "one_thread": "kernels",
    "seed_sampler": "kernels",
    "relations": "slices",
    "derived": "slices",
}

__all__ = ["StandInError", "imports_by_itself", "install", "stood_in", *_PARTS]

if TYPE_CHECKING:
    from graphkit._dgl.build import (
        DEGREES,
        block_of,
        from_arrays,
        from_incoming,
        reverse,
        set_degrees,
        trusted,
        two_hops,
        with_inverses,
        with_self_loops,
    )
    from graphkit._dgl.index import Structure, cache_size, structure
    from graphkit._dgl.kernels import one_thread, sddmm_kernel, seed_sampler, spmm_kernel
    from graphkit._dgl.slices import derived, relations


def __getattr__(name: str) -> Any:
    if name not in _PARTS:
        raise AttributeError(f"module 'graphkit._dgl' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"graphkit._dgl.{_PARTS[name]}"), name)
    globals()[name] = value
    return value
