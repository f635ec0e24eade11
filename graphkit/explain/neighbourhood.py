"""The computation graph of a prediction: which nodes and edges can reach the target in k hops."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Neighbourhood(NamedTuple):
    """The part of a graph that a prediction is computed from.

    Parameters
    ----------
    nodes : Tensor
        Ids of the nodes within k hops upstream of the targets, int64 ``[n]``, ascending.
    hops : Tensor
        Hops from each of them to the nearest target, int64 ``[n]``.
    edges : Tensor
        Ids of the edges on those paths, int64 ``[e]``, ascending; self-loops are left out.
    closure : Tensor
        Ids of ``nodes`` and all their neighbours in either direction, int64: in the subgraph induced on them every
        degree of ``nodes`` is the one of the whole graph.
    """

    nodes: Tensor
    hops: Tensor
    edges: Tensor
    closure: Tensor


def neighbourhood(src: Tensor, dst: Tensor, num_nodes: int, roots: Tensor, k: int | None) -> Neighbourhood:
    """Walk ``k`` hops against the edges from ``roots``; everything for None.

    Parameters
    ----------
    src, dst : Tensor
        The edges, int64 ``[E]``.
    num_nodes : int
    roots : Tensor
        int64 ids.
    k : int or None
        Message-passing layers of the model.

    Examples
    --------
    >>> part = neighbourhood(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3]), 4, torch.tensor([2]), 1)
    >>> part.nodes.tolist(), part.edges.tolist(), part.closure.tolist()
    ([1, 2], [1], [0, 1, 2, 3])
    """
    far = torch.iinfo(torch.int64).max
    hops = torch.full((num_nodes,), far)
    hops[roots] = 0
    reached = hops == 0
    step = 0
    while k is None or step < k:
        new = torch.zeros_like(reached)
        new[src[reached[dst]]] = True
        new &= ~reached
        if not bool(new.any()):
            break
        step += 1
        hops[new] = step
        reached |= new
    if k is None:  # nodes that no path joins to the roots are shown as one hop farther than the farthest
        hops[hops == far] = step + 1
        reached = torch.ones_like(reached)
    used = (src != dst) & (hops[dst] < (far if k is None else k))
    closure = reached.clone()
    closure[dst[reached[src]]] = True
    closure[src[reached[dst]]] = True
    nodes = reached.nonzero()[:, 0]
    return Neighbourhood(nodes, hops[nodes], used.nonzero()[:, 0], closure.nonzero()[:, 0])


def tie_directions(
    src: Tensor, dst: Tensor, num_nodes: int, reverse_id: Tensor | None = None, typed: bool = False
) -> Tensor:
    """Number the edges so that the two directions of an undirected edge share a number.

    Edges are tied by ``reverse_id`` where the graph stores it, and otherwise by their ends if every edge has an edge
    back. Typed graphs without ``reverse_id`` and directed graphs keep one number for each edge.

    Parameters
    ----------
    src, dst : Tensor
        int64 ``[E]``.
    num_nodes : int
    reverse_id : Tensor, optional
        The twin of each edge, int64 ``[E]``.
    typed : bool
        Whether edges have relations.

    Returns
    -------
    Tensor
        int64 ``[E]``, values ``0 .. groups - 1`` in the order of first appearance.

    Examples
    --------
    >>> tie_directions(torch.tensor([0, 1, 1]), torch.tensor([1, 0, 2]), 3).tolist()
    [0, 1, 2]
    >>> tie_directions(torch.tensor([0, 1, 1, 2]), torch.tensor([1, 2, 0, 1]), 3).tolist()
    [0, 1, 0, 1]
    """
    own = torch.arange(len(src))
    if reverse_id is not None:
        # Self-loops and one-way edges may carry -1 or themselves.
        key = torch.where(reverse_id >= 0, torch.minimum(own, reverse_id), own)
    elif typed or not _symmetric(src, dst, num_nodes):
        return own
    else:
        key = torch.minimum(src, dst) * num_nodes + torch.maximum(src, dst)
    _, group = torch.unique(key, return_inverse=True)
    first = torch.full((int(group.max()) + 1 if len(group) else 0,), len(src))
    first.scatter_reduce_(0, group, own, "amin")
    order = torch.empty_like(first)
    order[first.argsort()] = torch.arange(len(first))
    return order[group]


def _symmetric(src: Tensor, dst: Tensor, num_nodes: int) -> bool:
    there, back = (torch.sort(a * num_nodes + b).values for a, b in ((src, dst), (dst, src)))
    return bool(torch.equal(there, back))
