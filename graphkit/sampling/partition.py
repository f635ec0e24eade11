"""Cut a graph into parts with few edges between them, each with the halo of nodes that its own nodes hear from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit import _dgl
from graphkit.core.check import check_size
from graphkit.sampling.metis import metis

if TYPE_CHECKING:
    import dgl


@dataclass(frozen=True)
class Part:
    """One part of a graph.

    Parameters
    ----------
    number : int
    own : Tensor
        Nodes of this part and no other, ascending, int64 ``[n]``.
    halo : Tensor
        Nodes of other parts from which at most ``hops`` edges lead to an own one, ascending, int64 ``[h]``: an encoder
        of that many layers reads no others.
    cut : int
        Edges into own nodes from nodes of other parts.
    """

    number: int
    own: Tensor
    halo: Tensor
    cut: int

    @property
    def nodes(self) -> Tensor:
        """Own nodes and halo, ascending."""
        return torch.cat([self.own, self.halo]).sort().values

    def targets(self, ids: Tensor) -> Tensor:
        """Return those of ``ids [T]`` that are the part's own, in their order."""
        return ids[torch.isin(ids, self.own)]


def partition(graph: dgl.DGLGraph, parts: int, hops: int = 2) -> list[Part]:
    """Cut a graph into ``parts`` of about equal size by METIS, each with its halo.

    Every node is the own node of one part. Blocks with full neighbourhoods around a part's own nodes lie inside own
    nodes and halo, so the parts' gradients, weighted by their targets, add up to those of the whole graph.

    Parameters
    ----------
    graph : dgl.DGLGraph
    parts : int
    hops : int, default 2
        Layers of the encoder.

    Raises
    ------
    GraphKitError
        If there are more parts than nodes, or none, or ``hops`` is negative.

    Examples
    --------
    >>> import graphkit
    >>> ring = graphkit.graphs.graph(range(40), [*range(1, 40), 0], undirected=True)
    >>> found = partition(ring, 2, hops=3)
    >>> sorted(torch.cat([part.own for part in found]).tolist()) == list(range(40)), found[0].cut == found[1].cut
    (True, True)
    """
    check_size("hops", hops, 0)
    owner = metis(graph, parts)
    structure = _dgl.structure(graph)
    src, dst = structure.src, structure.dst
    found = []
    for number in range(parts):
        mine = owner == number
        reached = mine.clone()
        for _ in range(hops):
            reached[src[reached[dst]]] = True
        cut = int((mine[dst] & ~mine[src]).sum())
        found.append(Part(number, mine.nonzero()[:, 0], (reached & ~mine).nonzero()[:, 0], cut))
    return found
