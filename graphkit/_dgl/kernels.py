"""DGL's kernels and its sampler, called so that the answer depends on the seed and on nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import dgl
import torch
from dgl._sparse_ops import _gsddmm, _gspmm
from dgl.utils import get_num_threads, set_num_threads
from torch import Tensor

from graphkit.core.random import key


def spmm_kernel(
    gidx: Any, op: str, reduce: str, ufeat: Tensor | None, efeat: Tensor | None
) -> tuple[Tensor, tuple[Tensor | None, Tensor | None]]:
    """Run DGL's SpMM on a raw index, without autograd: ``(out, (argmax source, argmax edge))``.

    Parameters
    ----------
    gidx : HeteroGraphIndex
        ``structure(graph).gidx``.
    op : str
        ``copy_lhs``, ``copy_rhs``, ``mul``, ``add``, ``sub`` or ``div`` of source and edge features.
    reduce : str
        ``sum``, ``max`` or ``min``.
    ufeat, efeat : Tensor, optional
        ``[Nsrc, ...]`` and ``[E, ...]``, contiguous.
    """
    return _gspmm(gidx, op, reduce, ufeat, efeat)


def sddmm_kernel(gidx: Any, op: str, lhs: Tensor, rhs: Tensor, lhs_target: str = "u", rhs_target: str = "v") -> Tensor:
    """Run DGL's SDDMM on a raw index, without autograd.

    Parameters
    ----------
    gidx : HeteroGraphIndex
        ``structure(graph).gidx``.
    op : str
        ``add``, ``sub``, ``mul``, ``div``, ``dot``, ``copy_lhs`` or ``copy_rhs``.
    lhs, rhs : Tensor
        Contiguous; rows of what the targets ``u``, ``v`` or ``e`` say.

    Returns
    -------
    Tensor
        ``[E, ...]``.
    """
    return _gsddmm(gidx, op, lhs, rhs, lhs_target, rhs_target)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run DGL and torch on one thread inside, since with two the same seed draws other samples.

    Examples
    --------
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    before = get_num_threads(), torch.get_num_threads()
    if before != (1, 1):
        torch.set_num_threads(1)
        set_num_threads(1)
    try:
        yield
    finally:
        if before != (1, 1):
            torch.set_num_threads(before[1])
            set_num_threads(before[0])


def seed_sampler(seed: int) -> None:
    """Seed DGL's random numbers in this thread; what is drawn next inside :func:`one_thread` depends on nothing else.

    Parameters
    ----------
    seed : int
        Any integer, such as ``core.random.key(seed, phase, epoch, batch)``.
    """
    # DGL takes a C int; hashing lets every bit of a longer seed matter.
    dgl.seed(key(seed, "dgl") & 0x7FFFFFFF)
