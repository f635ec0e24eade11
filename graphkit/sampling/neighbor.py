"""Batches of nodes with their sampled neighbourhoods, the way of GraphSAGE (arXiv 1706.02216)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from graphkit import _dgl
from graphkit.core.batch import Batch
from graphkit.data.cut import PartDataset
from graphkit.sampling.blocks import block_batch, check_fanouts
from graphkit.sampling.loader import Loader
from graphkit.sampling.store import Store, labels_of, message_graph, split_ids

if TYPE_CHECKING:
    import dgl

    from graphkit.data import Dataset


def distinct(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return each id once and where the ids stand among them; the order given is kept if no id comes twice.

    >>> distinct(torch.tensor([5, 2]))[0].tolist(), distinct(torch.tensor([5, 2, 5]))[1].tolist()
    ([5, 2], [1, 0, 1])
    """
    once, where = torch.unique(ids, return_inverse=True)
    return (ids, torch.arange(len(ids))) if len(once) == len(ids) else (once, where)


@dataclass
class NodeMaker:
    """Makes the batch of some of the nodes ``ids``, which may be known to be ``distinct``."""

    store: Store
    labels: Tensor | None
    ids: Tensor
    fanouts: list[int] | None
    distinct: bool = field(default=False, kw_only=True)
    draws_by_node: ClassVar[bool] = True

    def make(self, rows: Tensor, seed: int) -> Batch:
        """Return the batch that predicts for ``ids[rows]``."""
        ids = self.ids[rows]
        label = None if self.labels is None else self.labels[ids]
        if self.fanouts is None:
            return self.store.batch(targets=ids, label=label)
        seeds, targets = (ids, torch.arange(len(ids))) if self.distinct else distinct(ids)
        return block_batch(self.store, seeds, self.fanouts, None, seed).replace(targets=targets, label=label)


@dataclass
class PartMaker(NodeMaker):
    """The same for one process of several, each of which holds a part of the graph.

    Parameters
    ----------
    owner : Tensor
        The part of each of ``ids``.
    degrees : tuple of Tensor
        In and out degrees of all nodes in the whole graph; the part's own edges do not tell them.
    """

    owner: Tensor
    degrees: tuple[Tensor, Tensor]

    def share(self, rows: Tensor, rank: int, ranks: int) -> tuple[Tensor, float]:
        """Return the rows of the part's own nodes; one that counts for nothing where a batch has none of them."""
        mine = rows[self.owner[rows] == rank]
        return (mine, 1) if len(mine) else (rows[:1], math.inf)

    def make(self, rows: Tensor, seed: int) -> Batch:
        """Return the batch that predicts for ``ids[rows]``."""
        batch = super().make(rows, seed)
        for block in batch.blocks:
            nodes = batch.fields["nid"][: block.num_src_nodes()]
            _dgl.set_degrees(block, *(degrees[nodes].long() for degrees in self.degrees))
        return batch


class NeighborLoader(Loader):
    """Iterates batches of nodes, each with one block of sampled neighbours per hop.

    Parameters
    ----------
    data : Dataset or dgl.DGLGraph
    ids : str, Tensor or None
        A split's name or node ids to predict for; all nodes for None.
    fanouts : sequence of int or None
        Edges drawn into each node, one number per message-passing layer, outermost first; -1 takes all. None gives
        every batch the whole graph.
    batch_size : int or None
        Nodes per batch.
    shuffle, drop_last, seed, phase, num_workers, start_method
        As in :class:`~graphkit.sampling.Loader`.

    Raises
    ------
    GraphKitError
        If ``data`` is a set of graphs, an id is out of range, or a fanout is neither -1 nor positive.

    Notes
    -----
    Hamilton, Ying, Leskovec, Inductive Representation Learning on Large Graphs, arXiv 1706.02216.

    Examples
    --------
    >>> import graphkit
    >>> g = graphkit.graphs.graph([0, 1, 2], [1, 2, 3], undirected=True)
    >>> [b.num_outputs for b in NeighborLoader(g, None, fanouts=[2, 2], batch_size=3)]
    [3, 1]
    """

    def __init__(
        self,
        data: Dataset | dgl.DGLGraph,
        ids: str | Tensor | None = "train",
        fanouts: Sequence[int] | None = (10, 10),
        batch_size: int | None = 512,
        **options: Any,
    ) -> None:
        graph = message_graph(data)
        if graph is data:
            ids = torch.arange(graph.num_nodes()) if ids is None or isinstance(ids, str) else torch.as_tensor(ids)
        else:
            ids = split_ids(data, ids)
        store = Store.of_data(data)
        if fanouts is not None:
            fanouts = check_fanouts(fanouts)
            store.prepare()
        apart = len(torch.unique(ids)) == len(ids)
        maker = NodeMaker(store, labels_of(data, slice(None)), ids, fanouts, distinct=apart)
        if isinstance(data, PartDataset) and data.part is not None:
            maker = PartMaker(**vars(maker), owner=data.owner[ids], degrees=(data.into, data.out))
        super().__init__(maker, len(ids), batch_size, **options)
