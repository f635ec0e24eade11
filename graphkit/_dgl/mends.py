"""What DGL 2.1.0 gets wrong beside current NumPy and SciPy on paths that GraphKit uses, mended in memory.

Loaded once, by the hook, when DGL has been imported with stand-ins. Each mend has its test in
``tests/test_dgl_mends.py``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_STDERR = threading.Lock()


def apply() -> None:
    """Make all mends; a second call changes nothing.

    Examples
    --------
    >>> import graphkit, dgl
    >>> apply()
    """
    _accept_sparse_arrays()
    _silence_partition()
    _find_a_node_by_value()


def _wrap_once(module: Any, name: str, wrap: Callable[[Callable], Callable]) -> Callable:
    inner = getattr(module, name)
    if not hasattr(inner, "_graphkit_mend"):
        inner = functools.wraps(inner)(wrap(inner))
        inner._graphkit_mend = True  # type: ignore[attr-defined]
        setattr(module, name, inner)
    return inner


def _accept_sparse_arrays() -> None:
    """Let ``dgl.from_scipy`` and its like read SciPy's sparse arrays, which are no ``spmatrix``."""
    from dgl import utils
    from scipy import sparse

    def wrap(inner: Callable) -> Callable:
        def graphdata2tensors(data: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(data, sparse.sparray):
                data = getattr(sparse, f"{data.format}_matrix")(data)
            return inner(data, *args, **kwargs)

        return graphdata2tensors

    utils.data.graphdata2tensors = _wrap_once(utils, "graphdata2tensors", wrap)


def _silence_partition() -> None:
    """Keep the progress that partitioning prints, from Python to stdout and from C to stderr, off the screen."""
    from dgl import partition

    def wrap(inner: Callable) -> Callable:
        def quiet(*args: Any, **kwargs: Any) -> Any:
            with quiet_stderr():
                return inner(*args, **kwargs)

        return quiet

    partition.print = lambda *args, **kwargs: None
    _wrap_once(partition, "_CAPI_DGLMetisPartition_Hetero", wrap)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send what compiled code writes to file descriptor 2 to nowhere, for a while.

    Examples
    --------
    >>> with quiet_stderr():
    ...     _ = os.write(2, b"not seen")
    """
    with _STDERR:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (OSError, ValueError, AttributeError):  # a process without stderr, such as a Windows GUI or a daemon
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


class _OldWhere:
    """NumPy as SubgraphX knows it: ``int(np.where(row == value)[0])`` was allowed for one hit until NumPy 2.4."""

    def __getattr__(self, name: str) -> Any:
        import numpy

        return getattr(numpy, name)

    @staticmethod
    def where(condition: Any, *args: Any) -> Any:
        """Return as ``numpy.where`` does, but a single hit without its axis."""
        import numpy

        found = numpy.where(condition, *args)
        return tuple(hits.reshape(()) if hits.size == 1 else hits for hits in found) if not args else found


def _find_a_node_by_value() -> None:
    """Let DGL's SubgraphX (loaded with ``dgl.nn``) find a node's place in its random order."""
    module: Any = sys.modules.get("dgl.nn.pytorch.explain.subgraphx")
    if module is not None and not isinstance(module.np, _OldWhere):
        module.np = _OldWhere()
