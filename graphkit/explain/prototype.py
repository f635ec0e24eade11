"""Prototypes: what the explanations of many nodes of one class have in common (1903.03894, multi-instance part)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from graphkit import _dgl
from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator
from graphkit.explain.explanation import Explanation
from graphkit.explain.pgexplainer import node_rows

if TYPE_CHECKING:
    import dgl
    import pandas


@dataclass
class Prototype:
    """The median of aligned explanations, on the nodes of the reference explanation.

    Parameters
    ----------
    reference : Explanation
        The one whose target's row lies nearest to the mean of all targets' rows.
    nodes : Tensor
        Ids of the reference's nodes, its target first, int64 ``[n]``.
    adjacency : Tensor
        Median weight of each pair of them, symmetric, float32 ``[n, n]``.
    misfit : Tensor
        What is left between each explanation and the reference after aligning, as a share of the reference's own norm,
        float32 ``[Q]``; 0 for the reference.
    """

    reference: Explanation
    nodes: Tensor
    adjacency: Tensor
    misfit: Tensor

    def edges(self, threshold: float = 0.5) -> pandas.DataFrame:
        """Return the edges of at least ``threshold`` of the largest weight as a table: ``src, dst, weight``.

        Parameters
        ----------
        threshold : float, default 0.5

        Raises
        ------
        GraphKitError
            If it is not in (0, 1].
        """
        import pandas

        if not 0 < threshold <= 1:
            raise GraphKitError(f"threshold is {threshold}; expected a share above 0 and at most 1")
        above = self.adjacency.triu(1)
        src, dst = (above >= max(1e-6, threshold * float(above.max()))).nonzero().T
        weight = above[src, dst]
        order = torch.sort(weight, descending=True, stable=True).indices
        columns = {"src": self.nodes[src], "dst": self.nodes[dst], "weight": weight}
        return pandas.DataFrame({name: values[order].tolist() for name, values in columns.items()})

    def graph(self, threshold: float = 0.5) -> dgl.DGLGraph:
        """Return the prototype as a graph with ``edata["weight"]``; node 0 is the target's place.

        Parameters
        ----------
        threshold : float, default 0.5
            As for :meth:`edges`.
        """
        table = self.edges(threshold)
        place = {node: i for i, node in enumerate(self.nodes.tolist())}
        src, dst = ([place[node] for node in table[name]] for name in ("src", "dst"))
        made = _dgl.from_arrays(src + dst, dst + src, len(self.nodes))
        made.edata["weight"] = torch.tensor([*table["weight"]] * 2, dtype=torch.float32)
        return made


class _Part(NamedTuple):
    """The weightiest edges around one target: node ids with the target first, weights ``[n, n]``, rows ``[n, Z]``."""

    nodes: Tensor
    adjacency: Tensor
    rows: Tensor


def prototype(
    explanations: Sequence[Explanation], k: int = 12, steps: int = 1000, lr: float = 0.01, seed: int = 0
) -> Prototype:
    """Align the explanations of nodes of one class with one of them, and take the median.

    Each explanation is its ``k`` weightiest edges, as far as they hang together with the target: weights ``A_i`` and
    rows ``X_i``. The reference ``A*, X*`` is that of the target whose row is nearest to the mean. For each, Adam finds
    ``min_P ||P X_i - X*|| + ||P A_i P' - A*||`` from ``P = 1 / n*``, with target matched to target; the prototype is
    the median of ``P A_i P'``.

    Parameters
    ----------
    explanations : sequence of Explanation
        At least two, of nodes that the model gives one answer to.
    k : int, default 12
    steps : int, default 1000
    lr : float, default 0.01
        Of Adam, with betas (0.5, 0.999).
    seed : int, default 0
        Of the tenth by which the entries of the first P differ: from equal ones, nodes that mirror each other would
        stay mixed half and half.

    Returns
    -------
    Prototype

    Raises
    ------
    GraphKitError
        For fewer than two explanations, targets that are no nodes, answers of several classes, or a target without
        edges.

    Notes
    -----
    The rows are each node's features and what the model's layers give for it, each column scaled to one spread and all
    of them to norms near 1: the paper aligns by features, which say nothing where they are constant.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> model = gk.models.build("gcn", data)
    >>> found = gk.explain(model, data, nodes=[4, 5, 6], target_class=0, method="saliency")
    >>> bool((prototype(found, k=4, steps=10).adjacency >= 0).all())
    True
    """
    _check(explanations, k, steps, lr)
    parts = [_part(why, k) for why in explanations]
    targets = torch.stack([part.rows[0] for part in parts])
    first = int((targets - targets.mean(0)).norm(dim=1).argmin())
    every = torch.cat([part.rows for part in parts])
    scale = every.std(0, unbiased=False)
    scale = torch.where(scale > 1e-6, scale, 1.0) * every.shape[1] ** 0.5  # rows weigh about as much as edges
    aligned, misfit = _align([part._replace(rows=part.rows / scale) for part in parts], first, steps, lr, seed)
    median = aligned.median(0).values.clamp(min=0)
    return Prototype(explanations[first], parts[first].nodes, median.fill_diagonal_(0), misfit)


def _check(explanations: Sequence[Explanation], k: int, steps: int, lr: float) -> None:
    if len(explanations) < 2:
        raise GraphKitError(f"{len(explanations)} explanations have no prototype; give two or more of one class")
    if k < 1 or steps < 0 or lr <= 0:
        raise GraphKitError(f"k is {k}, steps {steps} and lr {lr}; expected k >= 1, steps >= 0 and lr > 0")
    labels = set()
    for why in explanations:
        if why.target.kind != "node":
            raise GraphKitError(f"a prototype is of nodes of one class; {why.target} was given")
        if why.num_edges == 0:
            raise GraphKitError(f"{why.target} has no edges, so that there is nothing to align; leave it out")
        labels.add(why.prediction.reading.label)
    if len(labels) > 1:
        raise GraphKitError(f"the explanations are of the classes {sorted(labels)}; a prototype is of one class")


def _part(why: Explanation, k: int) -> _Part:
    question = why.require_question()
    chosen = why._first_of_groups()[:k]
    weight, src, dst = why.edge_mask[why.edges[chosen]], why.src[chosen], why.dst[chosen]
    target = why.target.ids[0]
    inside = torch.tensor([target])
    while True:  # a hop at a time, at most k
        touched = torch.isin(src, inside) | torch.isin(dst, inside)
        wider = torch.unique(torch.cat([inside, src[touched], dst[touched]]))
        if len(wider) == len(inside):
            break
        inside = wider
    nodes = torch.cat([torch.tensor([target]), inside[inside != target]])
    place = {node: i for i, node in enumerate(nodes.tolist())}
    adjacency = torch.zeros(len(nodes), len(nodes))
    for u, v, w in zip(src[touched].tolist(), dst[touched].tolist(), weight[touched].tolist(), strict=True):
        adjacency[place[u], place[v]] = adjacency[place[v], place[u]] = w
    with question.open():
        rows = node_rows(question).float().cpu()
    return _Part(nodes, adjacency, rows[torch.searchsorted(question.node_ids, nodes)])


def _align(parts: list[_Part], first: int, steps: int, lr: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return all adjacencies ``[Q, n*, n*]`` on the reference's nodes, and what is left of each misfit ``[Q]``."""
    goal, wanted = parts[first].adjacency, parts[first].rows
    count, n, widest = len(parts), len(goal), max(len(part.nodes) for part in parts)
    adjacency, rows = torch.zeros(count, widest, widest), torch.zeros(count, widest, wanted.shape[1])
    real = torch.zeros(count, n, widest)
    for i, part in enumerate(parts):
        size = len(part.nodes)
        adjacency[i, :size, :size], rows[i, :size], real[i, 1:, 1:size] = part.adjacency, part.rows, 1.0
    matched = torch.zeros(n, widest)
    matched[0, 0] = 1.0
    drawn = torch.rand(real.shape, generator=generator(seed, "prototype"))
    free = (real / n * (0.95 + 0.1 * drawn)).requires_grad_()

    def left(p: Tensor) -> Tensor:
        by_rows = (p @ rows - wanted).flatten(1).norm(dim=1)
        return by_rows + (p @ adjacency @ p.mT - goal).flatten(1).norm(dim=1)

    optimizer = torch.optim.Adam([free], lr=lr, betas=(0.5, 0.999))
    for _ in range(steps):
        (free.grad,) = torch.autograd.grad(left(free * real + matched).sum(), free)
        optimizer.step()
    with torch.no_grad():
        p = free * real + matched
        p[first] = torch.eye(n, widest)
        return p @ adjacency @ p.mT, left(p) / (wanted.norm() + goal.norm()).clamp(min=1e-12)
