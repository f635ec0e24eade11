"""Batches that are parts of the graph itself: clusters (Cluster-GCN) and weighted random subgraphs (GraphSAINT)."""

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
from graphkit.core.random import generator
from graphkit.sampling.blocks import induced
from graphkit.sampling.loader import Loader
from graphkit.sampling.metis import metis
from graphkit.sampling.shadow import part_batch
from graphkit.sampling.store import Store, labels_of, message_graph, split_ids

if TYPE_CHECKING:
    import dgl

    from graphkit.data import Dataset


def _targets(store: Store, data: Any, ids: Any) -> Tensor:
    """Return for each node whether it is to be predicted, bool ``[N]``."""
    graph = store.graph
    if hasattr(data, "splits"):
        ids = split_ids(data, ids)
    elif ids is None or isinstance(ids, str):
        ids = torch.arange(graph.num_nodes())
    asked = torch.zeros(graph.num_nodes(), dtype=torch.bool)
    asked[torch.as_tensor(ids)] = True
    return asked


def _induced_batch(store: Store, labels: Tensor | None, asked: Tensor, nodes: Tensor) -> tuple[Batch, Tensor]:
    """Return the batch of the subgraph induced on ``nodes``, with those asked for as targets, and its edges' ids."""
    graph, edges = induced(store.graph, nodes)
    targets = asked[nodes].nonzero()[:, 0]
    label = None if labels is None else labels[nodes[targets]]
    return part_batch(store, graph, nodes, edges).replace(targets=targets, label=label), edges


@dataclass
class ClusterMaker:
    """Makes the batch of some clusters and all edges among them."""

    store: Store
    labels: Tensor | None
    asked: Tensor
    order: Tensor
    offsets: Tensor

    def make(self, rows: Tensor, seed: int) -> Batch:
        """Return the batch of clusters ``rows``; nothing is drawn."""
        nodes = torch.cat([self.order[self.offsets[i] : self.offsets[i + 1]] for i in rows.tolist()])
        return _induced_batch(self.store, self.labels, self.asked, nodes.sort().values)[0]


class ClusterLoader(Loader):
    """Iterates batches of METIS clusters with all edges inside a batch, those between its clusters too.

    Parameters
    ----------
    data : Dataset or dgl.DGLGraph
    ids : str, Tensor or None
        A split's name or node ids: the targets of the clusters they are in. A batch may have none.
    parts : int
        Clusters of the graph.
    batch_size : int or None
        Clusters in a batch.
    shuffle, drop_last, seed, phase, num_workers, start_method
        As in :class:`~graphkit.sampling.Loader`.

    Raises
    ------
    GraphKitError
        If there are more parts than nodes.

    Notes
    -----
    Chiang et al., Cluster-GCN: An Efficient Algorithm for Training Deep and Large Graph Convolutional Networks, arXiv
    1905.07953.

    Examples
    --------
    >>> import graphkit
    >>> data = graphkit.load("digits")
    >>> sum(len(batch.targets) for batch in ClusterLoader(data, "train", parts=20, batch_size=4))
    1078
    """

    def __init__(
        self,
        data: Dataset | dgl.DGLGraph,
        ids: str | Tensor | None = "train",
        parts: int = 100,
        batch_size: int | None = 10,
        **options: Any,
    ) -> None:
        store = Store.of_data(data)
        assignment = metis(message_graph(data), parts)
        store.prepare()
        counts = assignment.bincount(minlength=parts)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        asked, order = _targets(store, data, ids), torch.argsort(assignment, stable=True)
        maker = ClusterMaker(store, labels_of(data, slice(None)), asked, order, offsets)
        super().__init__(maker, parts, batch_size, **options)


@dataclass(frozen=True)
class Saint:
    """How GraphSAINT draws a subgraph's nodes.

    Parameters
    ----------
    kind : str
        ``walk``: walks of ``steps`` steps from drawn roots. ``node``: nodes in proportion to the squared norm of their
        column of the normalised adjacency. ``edge``: both ends of edges in proportion to ``1 / deg u + 1 / deg v``.
    steps : int
        Of ``walk``.
    presamples : int
        Subgraphs drawn to estimate how often nodes and edges come; a node is drawn 50 times or so with the default.

    Raises
    ------
    GraphKitError
        If the kind is unknown.

    Examples
    --------
    >>> Saint("edge").steps
    2
    """

    kind: str = "walk"
    steps: int = 2
    presamples: int = 50

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("walk", "node", "edge"))
        check_size("steps", self.steps)
        check_size("presamples", self.presamples)

    def weights(self, store: Store) -> Tensor | None:
        """Return what nodes or edges are drawn in proportion to, float64; None for equal chances of roots."""
        structure = _dgl.structure(store.graph)
        if self.kind == "walk":
            return None
        degree = structure.in_degrees.double().clamp(min=1)
        if self.kind == "edge":
            return 1 / degree[structure.src] + 1 / degree[structure.dst]
        return torch.zeros(structure.num_src, dtype=torch.float64).index_add_(
            0, structure.src, 1 / degree[structure.dst] ** 2
        )

    def draw(self, store: Store, weights: Tensor | None, size: int, seed: int) -> Tensor:
        """Return the distinct nodes of one subgraph, ascending; about ``size`` draws."""
        draw = generator(seed, "saint")
        structure = _dgl.structure(store.graph)
        if self.kind == "walk":
            roots = torch.randint(structure.num_src, (max(size // (self.steps + 1), 1),), generator=draw)
            indptr, index, _ = structure.incoming()
            found = np.empty(len(roots) * (self.steps + 1), np.int64)
            kernels.walk_back(indptr.numpy(), index.numpy(), roots.numpy(), self.steps, seed, found)
            return torch.unique(torch.from_numpy(found))
        # Draws with replacement by inverting the cumulated weights: multinomial takes at most 2^24 of them.
        ends = weights.cumsum(0)
        drawn = torch.rand(size if self.kind == "node" else max(size // 2, 1), generator=draw, dtype=torch.float64)
        chosen = torch.searchsorted(ends, drawn * ends[-1], right=True).clamp(max=len(ends) - 1)
        if self.kind == "node":
            return torch.unique(chosen)
        return torch.unique(torch.cat([structure.src[chosen], structure.dst[chosen]]))


@dataclass
class SaintMaker:
    """Makes weighted subgraphs; their expected loss and mean over neighbours are those of the whole graph."""

    store: Store
    labels: Tensor | None
    asked: Tensor
    saint: Saint
    size: int
    weights: Tensor | None
    node_rate: Tensor
    edge_rate: Tensor

    @classmethod
    def of(cls, store: Store, labels: Tensor | None, asked: Tensor, saint: Saint, size: int, seed: int) -> SaintMaker:
        """Draw ``presamples`` subgraphs and count in how many of them each node and each edge comes."""
        nodes = torch.zeros(store.graph.num_nodes(), dtype=torch.float64)
        edges = torch.zeros(store.graph.num_edges(), dtype=torch.float64)
        weights = saint.weights(store)
        for number in range(saint.presamples):
            found = saint.draw(store, weights, size, generator(seed, "presample", number).initial_seed())
            nodes[found] += 1
            edges[induced(store.graph, found)[1]] += 1
        # What never came is taken for drawn half a time, lest it weigh infinitely much.
        rates = ((count.clamp(min=0.5) / saint.presamples).float() for count in (nodes, edges))
        return cls(store, labels, asked, saint, size, weights, *rates)

    def make(self, rows: Tensor, seed: int) -> Batch:
        """Return one subgraph; ``rows`` are not looked at."""
        nodes = self.saint.draw(self.store, self.weights, self.size, seed)
        batch, edges = _induced_batch(self.store, self.labels, self.asked, nodes)
        here, whole = _dgl.structure(batch.graph), _dgl.structure(self.store.graph)
        to = nodes[here.dst]
        # The neighbour's mean over the subgraph, made the mean over all: p(target) / p(edge), degree here by there.
        scale = here.in_degrees.float()[here.dst] / whole.in_degrees[to].float()
        weight = (self.node_rate[to] / self.edge_rate[edges]) * scale
        given: Any = batch.edge_weight
        weight = weight if given is None else weight * given
        loss = 1 / (self.node_rate[nodes[batch.targets]] * int(self.asked.sum()))
        return batch.replace(edge_weight=weight, fields={**batch.fields, "loss_weight": loss})


class SaintLoader(Loader):
    """Iterates random subgraphs, with weights that make their losses and their means over neighbours unbiased.

    ``edge_weight`` turns a mean over the subgraph's neighbours into an estimate of the mean over all; the field
    ``loss_weight`` holds, for each target, 1 / (its chance to be drawn times the number of targets in the graph).

    Parameters
    ----------
    data : Dataset or dgl.DGLGraph
    ids : str, Tensor or None
        A split's name or node ids.
    saint : Saint, optional
    batch_size : int
        Nodes to draw for a subgraph.
    shuffle, drop_last, seed, phase, num_workers, start_method
        As in :class:`~graphkit.sampling.Loader`; an epoch has as many subgraphs as hold the graph's nodes once.

    Raises
    ------
    GraphKitError
        If the batch size is None or not positive.

    Notes
    -----
    Zeng et al., GraphSAINT: Graph Sampling Based Inductive Learning Method, arXiv 1907.04931.

    Examples
    --------
    >>> import graphkit
    >>> g = graphkit.graphs.graph(range(99), range(1, 100), undirected=True)
    >>> loader = SaintLoader(g, None, batch_size=25)
    >>> len(loader), "loss_weight" in next(iter(loader)).fields
    (4, True)
    """

    def __init__(
        self,
        data: Dataset | dgl.DGLGraph,
        ids: str | Tensor | None = "train",
        saint: Saint | None = None,
        batch_size: int = 1000,
        *,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise GraphKitError(f"batch_size is {batch_size}; expected how many nodes to draw for a subgraph")
        store = Store.of_data(data)
        store.whole()
        store.prepare()
        asked, labels = _targets(store, data, ids), labels_of(data, slice(None))
        maker = SaintMaker.of(store, labels, asked, saint or Saint(), batch_size, seed)
        # Subgraphs of one epoch differ by their number, which is what a loader of one example a batch gives each.
        super().__init__(maker, max(store.graph.num_nodes() // batch_size, 1), 1, seed=seed, **options)
