"""Batches of node pairs, with the links to predict taken out of the message graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphkit.core.batch import Batch, Pairs
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.random import generator
from graphkit.sampling import negatives
from graphkit.sampling.blocks import block_batch, check_fanouts, surroundings
from graphkit.sampling.index import EdgeIndex
from graphkit.sampling.loader import Loader
from graphkit.sampling.neighbor import distinct
from graphkit.sampling.store import Store, join, message_graph, split_pairs, truth

if TYPE_CHECKING:
    from graphkit.data import Dataset


class Targets:
    """The message edges that each true pair would reveal: the edge itself, its parallels and their twins.

    Parameters
    ----------
    store : Store
        The message graph.
    pairs : Pairs
        P true pairs; with ``rel``, only edges of that relation (and their twins) count.
    index : EdgeIndex
        Of the message edges.
    directed : bool
        Whether the edge back, where no ``reverse_id`` names it, is another fact that may stay.

    Examples
    --------
    >>> import graphkit
    >>> store = Store.of(graphkit.graphs.graph([0, 1], [1, 2], undirected=True))
    >>> index = EdgeIndex(*store.graph.edges(order="eid"), 3)
    >>> Targets(store, Pairs(torch.tensor([1]), torch.tensor([0])), index).of(torch.tensor([0])).tolist()
    [0, 1]
    """

    def __init__(self, store: Store, pairs: Pairs, index: EdgeIndex, directed: bool = False) -> None:
        self.num_edges = store.graph.num_edges()
        edges, counts = index.find(pairs.src, pairs.dst, pairs.rel)
        if store.reverse_id is not None:
            edges, counts = torch.stack([edges, store.reverse_id[edges]], 1).reshape(-1), 2 * counts
        elif not directed and pairs.rel is None:
            back, more = index.find(pairs.dst, pairs.src)
            owner = torch.arange(len(pairs))
            owner = torch.cat([owner.repeat_interleave(counts), owner.repeat_interleave(more)])
            edges, counts = torch.cat([edges, back])[torch.argsort(owner, stable=True)], counts + more
        self.edges, self.counts = edges, counts
        self.starts = torch.cumsum(self.counts, 0) - self.counts

    def of(self, rows: Tensor) -> Tensor:
        """Return the ids of the edges that pairs ``rows`` would reveal, each once, sorted, int64.

        Raises
        ------
        GraphKitError
            If they are more than half of the message edges.
        """
        from graphkit.sampling.blocks import spread

        found = torch.unique(self.edges[spread(self.starts[rows], self.counts[rows])])
        if 2 * len(found) > self.num_edges:
            raise GraphKitError(
                f"removing the {len(rows)} target links of a batch would take {len(found)} of {self.num_edges} "
                'message edges, more than half; use a smaller batch_size, or remove_targets="split" or False'
            )
        return found


@dataclass
class PairMaker:
    """Makes the batch of some of the pairs, removing targets and drawing negatives."""

    store: Store
    pairs: Pairs
    label: Tensor | None
    targets: Targets | None
    known: EdgeIndex | None
    remove: bool | str
    num_negatives: int
    fanouts: list[int] | None
    depth: int
    directed: bool

    def make(self, rows: Tensor, seed: int) -> Batch:
        """Return the batch that scores ``pairs[rows]`` and, in training, their negatives."""
        pairs, label = self._scored(rows, seed)
        removed = None if self.targets is None else self.targets.of(self._hidden(rows, seed))
        if self.fanouts is None:
            store = self.store
            if removed is not None and len(removed):
                keep = torch.ones(store.graph.num_edges(), dtype=torch.bool)
                keep[removed] = False
                store = store.keep_edges(keep)
            return store.batch(pairs=pairs, label=label)
        nodes, where = distinct(torch.cat([pairs.src, pairs.dst]))
        seeds = surroundings(self.store.graph, nodes, self.depth, removed, both=self.directed)
        local = Pairs(where[: len(pairs)], where[len(pairs) :], pairs.rel, pairs.time)
        return block_batch(self.store, seeds, self.fanouts, removed, seed).replace(pairs=local, label=label)

    def _hidden(self, rows: Tensor, seed: int) -> Tensor:
        """Return the pairs whose edges leave the message graph: all, or a random half."""
        if self.remove != "split":
            return rows
        draw = generator(seed, "split")
        return rows[torch.randperm(len(rows), generator=draw)[: len(rows) // 2]]

    def _scored(self, rows: Tensor, seed: int) -> tuple[Pairs, Tensor]:
        pairs = self.pairs[rows]
        if self.label is not None:
            return pairs, self.label[rows]
        total = self.store.graph.num_nodes()
        draw = generator(seed, "negatives")
        if self.num_negatives == 0 or self.known is None:
            return pairs, torch.ones(len(pairs))
        if pairs.rel is not None:
            false = negatives.corrupt(pairs, self.num_negatives, total, self.known, draw)
        else:
            false = negatives.uniform(len(pairs) * self.num_negatives, total, self.known, draw)
        return join(pairs, false), truth(len(pairs), len(false))


class LinkLoader(Loader):
    """Iterates batches of pairs: true ones then negatives, with ``label`` 1 and 0.

    In training, the links of a batch leave the message graph with their parallels and their twins, and the
    negatives are drawn anew, uniformly (for triples: by corrupting one end), never a pair that the training
    links or the message graph hold. Validation and test splits score the pairs stored with the split, on the
    training graph.

    Parameters
    ----------
    data : Dataset
        Of links or triples.
    split : str
        ``"train"``, or a split with stored negatives.
    batch_size : int or None
        True pairs per batch in training, pairs per batch else; all at once for None.
    fanouts : sequence of int or None
        As in :class:`~graphkit.sampling.NeighborLoader`; None encodes the whole message graph.
    num_negatives : int
        Negatives per true pair in training.
    remove_targets : bool or "split"
        True: the batch's links leave the message graph. ``"split"``: a random half of them leaves, all are scored.
        False: all stay.
    structure_depth : int
        Hops around each pair that the head reads (heads with the trait ``reads_structure``): these nodes join the
        encoder's outputs, behind the pairs' own.
    train : bool, optional
        Whether to remove targets and draw negatives; by default if ``split`` is ``"train"``.
    shuffle, drop_last, seed, phase, num_workers, start_method
        As in :class:`~graphkit.sampling.Loader`; ``phase`` is the split's name and training shuffles by default.

    Raises
    ------
    GraphKitError
        If ``data`` has no pairs, there is no such split, or a batch would take more than half of the message edges.

    Notes
    -----
    The split into halves is that of R-GCN (Schlichtkrull et al., arXiv 1703.06103), which encodes one half of the
    training triples and scores all; with one batch per epoch it is the same.

    Examples
    --------
    >>> import graphkit
    >>> data = graphkit.load("karate", task="link")
    >>> batch = next(iter(LinkLoader(data, "train", batch_size=8, remove_targets=True)))
    >>> len(batch.pairs), data.graph.num_edges() - batch.graph.num_edges()
    (16, 16)
    """

    def __init__(
        self,
        data: Dataset,
        split: str = "train",
        batch_size: int | None = None,
        fanouts: Sequence[int] | None = None,
        *,
        num_negatives: int = 1,
        remove_targets: bool | str = True,
        structure_depth: int = 0,
        train: bool | None = None,
        shuffle: bool | None = None,
        phase: str | None = None,
        **options: Any,
    ) -> None:
        train = split == "train" if train is None else train
        if remove_targets not in (True, False, "split"):
            raise unknown("remove_targets", remove_targets, ["True", "False", "split"])
        if num_negatives < 0 or structure_depth < 0:
            raise GraphKitError(
                f"num_negatives is {num_negatives} and structure_depth {structure_depth}; expected 0 or more"
            )
        positive, negative = split_pairs(data, split)
        store = Store.of(message_graph(data))
        if fanouts is not None:
            fanouts = check_fanouts(fanouts)
            store.prepare()
        directed = bool(getattr(data.card, "directed", False)) and store.reverse_id is None
        hide = remove_targets if train else False
        index = _message_index(store, positive) if hide or (train and num_negatives) else None
        targets = Targets(store, positive, index, directed) if hide and index else None
        shuffle = train if shuffle is None else shuffle
        maker = PairMaker(
            store,
            positive if train else join(positive, negative),
            None if train else truth(len(positive), len(negative or ())),
            targets,
            _known(store, positive, index, directed) if train and num_negatives and index else None,
            hide,
            num_negatives,
            fanouts,
            structure_depth,
            directed,
        )
        super().__init__(maker, len(maker.pairs), batch_size, shuffle=shuffle, phase=phase or split, **options)
        if targets is not None:
            self._check_room(targets, hide == "split")

    def _check_room(self, targets: Targets, half: bool) -> None:
        """Refuse at once, not in the middle of an epoch, where an average batch would take too many edges."""
        hidden = self.batch_size // 2 if half else self.batch_size
        mean = len(torch.unique(targets.edges)) / max(self.num_examples, 1)
        if 2 * mean * hidden > targets.num_edges:
            targets.of(torch.arange(min(hidden, self.num_examples)))


def _message_index(store: Store, pairs: Pairs) -> EdgeIndex:
    """Index the message edges, by relation too if the pairs have one."""
    src, dst = store.graph.edges(order="eid")
    etype = store.edge_fields.get("etype") if pairs.rel is not None else None
    return EdgeIndex(src, dst, store.graph.num_nodes(), etype)


def _known(store: Store, positive: Pairs, index: EdgeIndex, directed: bool) -> EdgeIndex:
    """Index what no training negative may be: the training links and the message edges."""
    if positive.rel is not None:
        return EdgeIndex.of(positive, store.graph.num_nodes())
    if (directed or store.reverse_id is not None) and bool(index.contains(positive.src, positive.dst).all()):
        return index  # it has all links, and both directions where there are two
    src, dst = store.graph.edges(order="eid")
    total = store.graph.num_nodes()
    held = Pairs(torch.cat([positive.src, src]), torch.cat([positive.dst, dst]))
    return EdgeIndex.of(held, total, both=not directed)
