"""Pairs that are not edges."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError
from graphkit.sampling.index import EdgeIndex

#: Rounds of rejection before the free places are listed one by one.
_ROUNDS = 30
#: Largest number of node pairs that may be listed.
_LISTED = 1 << 24


def uniform(num: int, num_nodes: int, known: EdgeIndex, generator: torch.Generator) -> Pairs:
    r"""Draw ordered pairs uniformly, with replacement, from those that are no edge and no loop.

    .. math:: (u, v) \sim \mathrm{U}\{(u, v) : u \ne v, (u, v) \notin E\}

    Parameters
    ----------
    num : int
        P, how many.
    num_nodes : int
    known : EdgeIndex
        The pairs never drawn; index both directions of undirected edges.
    generator : torch.Generator

    Returns
    -------
    Pairs
        int64 ``[P]`` each.

    Raises
    ------
    GraphKitError
        If every pair is an edge.

    Examples
    --------
    >>> known = EdgeIndex(torch.tensor([0, 1]), torch.tensor([1, 0]), num_nodes=3)
    >>> drawn = uniform(50, 3, known, torch.Generator().manual_seed(0))
    >>> bool(known.contains(drawn.src, drawn.dst).any() | (drawn.src == drawn.dst).any())
    False
    """
    src = torch.empty(num, dtype=torch.int64)
    dst = torch.empty(num, dtype=torch.int64)
    todo = torch.arange(num)
    for _ in range(_ROUNDS if num_nodes else 0):
        src[todo] = torch.randint(num_nodes, (len(todo),), generator=generator)
        dst[todo] = torch.randint(num_nodes, (len(todo),), generator=generator)
        todo = todo[(src[todo] == dst[todo]) | known.contains(src[todo], dst[todo])]
        if not len(todo):
            return Pairs(src, dst)
    free = _free(num_nodes, known)
    if num and not len(free):
        raise GraphKitError(f"no negatives can be drawn: every pair of the {num_nodes} nodes is an edge")
    code = free[torch.randint(len(free), (len(todo),), generator=generator)] if num else todo
    src[todo], dst[todo] = code // max(num_nodes, 1), code % max(num_nodes, 1)
    return Pairs(src, dst)


def _free(num_nodes: int, known: EdgeIndex) -> Tensor:
    """List the pairs that are neither edge nor loop, as ``src * num_nodes + dst``."""
    if num_nodes * num_nodes > _LISTED:
        raise GraphKitError(f"too few pairs of the {num_nodes} nodes are free of edges to draw negatives from")
    code = torch.arange(num_nodes * num_nodes)
    src, dst = code // max(num_nodes, 1), code % max(num_nodes, 1)
    return code[(src != dst) & ~known.contains(src, dst)]


def corrupt(pairs: Pairs, num: int, num_nodes: int, known: EdgeIndex, generator: torch.Generator) -> Pairs:
    """Replace the source or the destination of each pair, by a fair coin, so that no known pair results.

    Parameters
    ----------
    pairs : Pairs
        P true pairs or triples; ``rel`` is kept.
    num : int
        K corruptions of each.
    num_nodes : int
    known : EdgeIndex
        Pairs (with relations, if typed) that count as true.
    generator : torch.Generator

    Returns
    -------
    Pairs
        ``[P * K]``, the K of one pair together. A pair whose corruptions are nearly all true keeps, after 30 draws,
        the last one.

    Notes
    -----
    Bordes et al., Translating Embeddings for Modeling Multi-relational Data (2013), filtered.

    Examples
    --------
    >>> true = Pairs(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    >>> drawn = corrupt(true, 4, 9, EdgeIndex.of(true, 9), torch.Generator().manual_seed(0))
    >>> drawn.rel.tolist(), bool(((drawn.src == 0) ^ (drawn.dst == 1)).all())
    ([2, 2, 2, 2], True)
    """
    base = pairs[torch.arange(len(pairs)).repeat_interleave(num)]
    head = torch.rand(len(base), generator=generator) < 0.5
    src, dst = base.src.clone(), base.dst.clone()
    todo = torch.arange(len(base))
    for _ in range(_ROUNDS):
        other = torch.randint(num_nodes, (len(todo),), generator=generator)
        src[todo] = torch.where(head[todo], other, src[todo])
        dst[todo] = torch.where(head[todo], dst[todo], other)
        rel = None if base.rel is None else base.rel[todo]
        todo = todo[known.contains(src[todo], dst[todo], rel)]
        if not len(todo):
            break
    return Pairs(src, dst, base.rel)
