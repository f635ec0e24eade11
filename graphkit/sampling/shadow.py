"""A private subgraph for each target, in which a network of any depth runs: shaDow-GNN (arXiv 2201.07858)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit import _dgl
from graphkit._kernels import scopes as kernels
from graphkit.core.batch import Batch
from graphkit.core.check import check_choice, check_size
from graphkit.core.errors import GraphKitError
from graphkit.core.random import key
from graphkit.sampling.blocks import scratch_table
from graphkit.sampling.enclosing import simple_edges
from graphkit.sampling.loader import Loader
from graphkit.sampling.store import Store, labels_of, message_graph, split_ids

if TYPE_CHECKING:
    import dgl

    from graphkit.data import Dataset


@dataclass(frozen=True)
class Scope:
    """Which nodes a target sees.

    Parameters
    ----------
    kind : str
        ``khop``: all within ``depth`` hops, at most ``budget`` neighbours drawn of each node and hop (-1: all).
        ``ppr``: the ``budget`` nodes of highest personalised PageRank whose score is at least ``threshold`` of the
        highest but the target's own.
    depth : int
        Of ``khop``.
    budget : int, optional
        20 for ``khop``, 200 for ``ppr``.
    alpha : float
        Of ``ppr``: the mass that stays at each step; 0.85 is very local.
    eps : float
        Of ``ppr``: a score is exact to ``eps`` times the node's degree.
    threshold : float
        Of ``ppr``.

    Raises
    ------
    GraphKitError
        If the kind is unknown or a number out of range.

    Examples
    --------
    >>> Scope("ppr").budget
    200
    """

    kind: str = "khop"
    depth: int = 2
    budget: int | None = None
    alpha: float = 0.85
    eps: float = 1e-6
    threshold: float = 0.01

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("khop", "ppr"))
        if self.budget is None:
            object.__setattr__(self, "budget", 20 if self.kind == "khop" else 200)
        check_size("depth", self.depth)
        if self.budget < 1 and not (self.budget == -1 and self.kind == "khop"):
            raise GraphKitError(f"budget is {self.budget}; expected at least 1, or -1 for all neighbours of khop")
        for name, value in (("alpha", self.alpha), ("eps", self.eps)):
            if not 0 < value < 1:
                raise GraphKitError(f"{name} is {value}; expected a number between 0 and 1")
        if not 0 <= self.threshold <= 1:
            raise GraphKitError(f"threshold is {self.threshold}; expected a number from 0 to 1")

    def find(self, graph: dgl.DGLGraph, roots: Tensor, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return offsets ``[n + 1]`` and, for each root, the root and the others of its scope."""
        offsets = np.empty(len(roots) + 1, np.int64)
        if self.kind == "khop":
            indptr, index, _ = _dgl.structure(graph).incoming()
            table = scratch_table(graph.num_nodes())
            seed = key(seed, "scope")
            args = indptr.numpy(), index.numpy(), roots.numpy(), self.depth, self.budget, seed, table, offsets
            return offsets, kernels.khop_scopes(*args)
        indptr, index, _ = simple_edges(graph, ignore_direction=True)
        tables = _tables(graph.num_nodes())
        limits = self.budget, self.threshold, self.alpha, self.eps
        return offsets, kernels.ppr_scopes(indptr.numpy(), index.numpy(), roots.numpy(), *limits, *tables, offsets)


def _tables(nodes: int) -> tuple[np.ndarray, ...]:
    """Return what a push writes to: scores, residuals, states, and the nodes reached."""
    return np.zeros(nodes), np.zeros(nodes), np.zeros(nodes, np.int8), np.empty(nodes + 1, np.int64)


def approx_ppr(
    graph: dgl.DGLGraph, targets: Tensor | list[int], alpha: float = 0.85, eps: float = 1e-6
) -> tuple[Tensor, Tensor]:
    r"""Return personalised PageRank by local pushes, and the mass that is not yet spread.

    .. math:: p = \alpha \sum_k (1 - \alpha)^k W^k e_v, \quad W = (I + A D^{-1}) / 2

    A push moves ``alpha`` of a node's residual to its score, half of the rest back to it and half to its neighbours,
    until no residual is above ``eps`` times the degree; then every score is too low by at most that.

    Parameters
    ----------
    graph : dgl.DGLGraph
        Its direction, loops and parallel edges do not matter.
    targets : ids
        T nodes.
    alpha, eps : float

    Returns
    -------
    score, residual : Tensor
        float64 ``[T, N]``; they sum to 1 for each target.

    Notes
    -----
    Zeng et al., Decoupling the Depth and Scope of Graph Neural Networks, arXiv 2201.07858; the push is that of its
    reference code.

    Examples
    --------
    >>> import graphkit
    >>> score, rest = approx_ppr(graphkit.graphs.graph([0, 1], [1, 2], undirected=True), [0])
    >>> score.argmax(1).tolist(), round(float(score.sum() + rest.sum()), 6)
    ([0], 1.0)
    """
    Scope("ppr", alpha=alpha, eps=eps)
    indptr, index, _ = (x.numpy() for x in simple_edges(graph, ignore_direction=True))
    targets = torch.as_tensor(targets, dtype=torch.int64).reshape(-1)
    score, rest, queued, queue = _tables(graph.num_nodes())
    found = np.zeros((2, len(targets), graph.num_nodes()))
    for i, target in enumerate(targets.tolist()):
        score[:], rest[:], queued[:] = 0, 0, 0
        kernels.push_mass(indptr, index, target, alpha, eps, score, rest, queued, queue)
        found[0, i], found[1, i] = score, rest
    return torch.from_numpy(found[0]), torch.from_numpy(found[1])


def scope_batch(store: Store, roots: Tensor, scope: Scope, seed: int) -> Batch:
    """Return one graph of disjoint scopes, a copy of a shared node in each, with the roots as targets.

    Parameters
    ----------
    store : Store
    roots : Tensor
        int64 ``[T]``; a node may come twice.
    scope : Scope
    seed : int

    Returns
    -------
    Batch
        ``fields["nid"]`` holds the ids of the rows, ``fields["hop"]`` the hops to the root (-1: out of reach).

    Examples
    --------
    >>> import graphkit
    >>> ring = graphkit.graphs.graph([0, 1, 2, 3], [1, 2, 3, 0], undirected=True)
    >>> batch = scope_batch(Store.of(ring), torch.tensor([0, 1]), Scope(depth=1), seed=0)
    >>> batch.graph.batch_num_nodes().tolist(), batch.targets.tolist(), batch.fields["hop"].tolist()
    ([3, 3], [0, 3], [0, 1, 1, 0, 1, 1])
    """
    graph = store.graph
    offsets, nodes = scope.find(graph, roots, seed)
    indptr, index, eid = _dgl.structure(graph).incoming()
    arrays = indptr.numpy(), index.numpy(), nodes, offsets, scratch_table(graph.num_nodes())
    counts = np.zeros(len(roots), np.int64)
    kernels.count_inside(*arrays, counts)
    starts, total = np.cumsum(counts) - counts, int(counts.sum())
    src, dst, positions = (np.empty(total, np.int64) for _ in range(3))
    hops = np.empty(len(nodes), np.int64)
    kernels.fill_inside(*arrays, starts, src, dst, positions, hops)
    made = _dgl.from_arrays(torch.from_numpy(src), torch.from_numpy(dst), len(nodes))
    made.set_batch_num_nodes(torch.from_numpy(np.diff(offsets)))
    made.set_batch_num_edges(torch.from_numpy(counts))
    edges = torch.from_numpy(positions) if eid is None else eid[torch.from_numpy(positions)]
    batch = part_batch(store, made, torch.from_numpy(nodes), edges)
    return batch.replace(
        targets=torch.from_numpy(offsets[:-1].copy()), fields={**batch.fields, "hop": torch.from_numpy(hops)}
    )


def part_batch(store: Store, graph: dgl.DGLGraph, nodes: Tensor, edges: Tensor) -> Batch:
    """Return the batch of a subgraph whose rows are ``nodes`` and whose edges are ``edges`` of the store's graph."""

    def rows(values: Any) -> Any:
        return None if values is None else values[edges]

    fields = {name: value[nodes] for name, value in store.node_fields.items()}
    fields |= {name: value[edges] for name, value in store.named_edge_fields().items()}
    feat = store.feat[nodes]
    return Batch(graph, feat, rows(store.edge_feat), rows(store.edge_weight), fields={**fields, "nid": nodes})


@dataclass
class ShadowMaker:
    """Makes the batch of the scopes of some of the nodes ``ids``."""

    store: Store
    labels: Tensor | None
    ids: Tensor
    scope: Scope

    def make(self, rows: Tensor, seed: int) -> Batch:
        """Return the batch that predicts for ``ids[rows]``."""
        ids = self.ids[rows]
        return scope_batch(self.store, ids, self.scope, seed).replace(
            label=None if self.labels is None else self.labels[ids]
        )


class ShadowLoader(Loader):
    """Iterates batches of targets, each with a private subgraph in which a network of any depth may run.

    Parameters
    ----------
    data : Dataset or dgl.DGLGraph
    ids : str, Tensor or None
        A split's name or node ids; all nodes for None.
    scope : Scope, optional
        Two hops of 20 neighbours when None.
    batch_size : int or None
        Targets per batch.
    shuffle, drop_last, seed, phase, num_workers, start_method
        As in :class:`~graphkit.sampling.Loader`.

    Notes
    -----
    Zeng et al., Decoupling the Depth and Scope of Graph Neural Networks, arXiv 2201.07858.

    Examples
    --------
    >>> import graphkit
    >>> g = graphkit.graphs.graph([0, 1, 2], [1, 2, 3], undirected=True)
    >>> [b.graph.num_nodes() for b in ShadowLoader(g, None, Scope(depth=1), batch_size=2)]
    [5, 5]
    """

    def __init__(
        self,
        data: Dataset | dgl.DGLGraph,
        ids: str | Tensor | None = "train",
        scope: Scope | None = None,
        batch_size: int | None = 128,
        **options: Any,
    ) -> None:
        graph = message_graph(data)
        if graph is data:
            ids = torch.arange(graph.num_nodes()) if ids is None or isinstance(ids, str) else torch.as_tensor(ids)
        else:
            ids = split_ids(data, ids)
        store, scope = Store.of_data(data), scope or Scope()
        store.prepare()
        if scope.kind == "ppr":
            simple_edges(store.graph, ignore_direction=True)  # found here, so that workers inherit it
        super().__init__(ShadowMaker(store, labels_of(data, slice(None)), ids, scope), len(ids), batch_size, **options)
