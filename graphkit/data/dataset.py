"""Dataset: graphs with a card, labels and a split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import find
from graphkit.core.spec import Spec
from graphkit.data import own
from graphkit.data.cards import TASKS, Card
from graphkit.data.collated import Collated
from graphkit.data.divide import Divided, divide, keywords, protocols
from graphkit.data.raw import Raw
from graphkit.data.timed import Queries, candidates_of, count, queries_of, series_of, times_of, width, windows_of
from graphkit.graphs.hypergraph import NTYPES, unflatten

if TYPE_CHECKING:
    import dgl


class Dataset:
    """A sequence of graphs with labels and a split; ``gk.load`` and :meth:`from_graph` make them.

    For ``link``, ``triple`` and ``temporal-link`` tasks :attr:`graph` holds training edges only (for ``hyperedge``, the
    training hyperedges' members), and :attr:`original` all of them. A hypergraph is a heterograph of nodes and
    hyperedges (see ``graphkit.graphs.from_hyperedges``), which :attr:`collated` holds in its flat form.

    Parameters
    ----------
    raw : Raw
        What a reader gave.
    card : Card
    task : str
        ``node``, ``link``, ``graph``, ``triple``, ``temporal-link``, ``hyperedge`` or ``forecast``.
    split : str or mapping, optional
        A registered protocol, or ids (for links, ``LinkSplit``) by part; by default the card's.
    seed : int
        Of the split.
    split_options : mapping, optional
        Arguments of the protocol, such as ``fold``.

    Attributes
    ----------
    splits : dict
        ``train``, ``val``, ``test``: int64 ids (of nodes, graphs, events, hyperedges or windows), ``LinkSplit`` or
        ``TripleSplit``.
    collated : Collated
        All graphs, all edges.
    names : dict of str to list of str
        Such as ``class``, ``entity``, ``relation``, ``smiles``.
    report : dict
        What the reader mended, counted.
    checksums : dict of str to str
        SHA-256 of each raw file.
    reader_options : dict
        What the user told the reader, so that ``load`` can be told the same again.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate", seed=1)
    >>> data.graph.num_edges(), data.num_classes, len(data.splits["train"])
    (156, 2, 20)
    """

    def __init__(
        self,
        raw: Raw,
        card: Card,
        task: str,
        split: str | Mapping[str, Any] | None = None,
        seed: int = 0,
        split_options: Mapping[str, Any] | None = None,
        checksums: Mapping[str, str] | None = None,
        reader_options: Mapping[str, Any] | None = None,
    ) -> None:
        if task not in card.tasks:
            raise unknown("task", task, card.tasks)
        self.card, self.task, self.name = card, task, card.name
        self.collated, self.names, self.report = raw.collated, raw.names, raw.report
        self.undirected, self.published = raw.undirected, raw.splits
        kinds = raw.collated.node_fields["ntype"] if raw.names.get("ntype") == NTYPES else ()
        #: Hyperedges, if the dataset is a hypergraph; else 0.
        self.num_hyperedges = int(sum(kinds))
        self.checksums, self.reader_options = dict(checksums or {}), dict(reader_options or {})
        self._transforms: tuple[Callable, ...] = ()
        self.transform_names: tuple[str, ...] = ()
        self._divide(split, seed, dict(split_options or {}))

    def _divide(self, split: str | Mapping[str, Any] | None, seed: int, options: dict[str, Any]) -> None:
        split = self.card.split_for(self.task) if split is None else split
        if isinstance(split, str):
            options = {**self.card.split_options.get(split.lower(), {}), **options}
        done: Divided = divide(self, split, seed, options)
        self.split_name: str = split if isinstance(split, str) else "given"
        self.split_seed, self.split_options = int(seed), options
        self.splits: dict[str, Any] = done.parts
        self._message = done.message
        self._graphs: dict[str, dgl.DGLGraph] = {}
        if self.task in ("link", "triple"):
            for transform in self._transforms:
                self._message = self._apply(transform, self._message)

    # --- graphs ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.collated)

    def __getitem__(self, index: int) -> dgl.DGLGraph:
        if self.task == "graph":
            return self.collated[index]
        if index not in (0, -1):
            raise IndexError(f"graph {index} of 1")
        return self.graph

    def __iter__(self) -> Iterator[dgl.DGLGraph]:
        return (self[i] for i in range(len(self)))

    def _one(self, key: str, collated: Collated) -> dgl.DGLGraph:
        if self.task == "graph":
            raise GraphKitError(f"{self.name} is a set of {len(self)} graphs; take one as data[i]")
        if key not in self._graphs:
            self._graphs[key] = unflatten(collated[0]) if self.num_hyperedges else collated[0]
        return self._graphs[key]

    @property
    def graph(self) -> dgl.DGLGraph:
        """The one graph that messages run on; for links and triples, without validation and test edges.

        Raises
        ------
        GraphKitError
            If the dataset is a set of graphs.
        """
        return self._one("graph", self._message)

    @property
    def original(self) -> dgl.DGLGraph:
        """The one graph with all its edges."""
        return self._one("graph" if self._message is self.collated else "original", self.collated)

    @property
    def num_rows(self) -> int:
        """What a split's ids count: graphs, events, hyperedges, steps of a series, else nodes."""
        if self.task == "graph":
            return len(self.collated)
        if self.task in ("temporal-link", "forecast"):
            return len(self.times)
        return self.num_hyperedges if self.task == "hyperedge" else self.collated.num_nodes - self.num_hyperedges

    @property
    def times(self) -> Tensor:
        """When each event or hyperedge happened, non-decreasing; for a series, the number of each step."""
        return times_of(self)

    @property
    def queries(self) -> Queries:
        """What a generated stream asks: true events, each with the one false destination to rank below it."""
        return queries_of(self)

    def candidates(self, part: str) -> Queries:
        """Return the events of a part and the published negatives to rank each against, ``neg`` ``[Q, K]``."""
        return candidates_of(self, part)

    @property
    def series(self) -> Tensor:
        """The values on the nodes, float32 ``[T, N, F]``."""
        return series_of(self)

    def windows(self, ids: str | Tensor) -> tuple[Tensor, Tensor]:
        """Return windows of the series: what is read ``[W, history, N, F]`` and what follows ``[W, horizon, N, F]``."""
        return windows_of(self, ids)

    @property
    def labels(self) -> Tensor | None:
        """Labels of nodes or graphs: int64, -1 missing, or float32, NaN missing; None for links and triples."""
        if self.task == "node":
            found = self.collated.node_fields.get("label")
            return None if found is None else found[: self.num_rows]
        return self.collated.graph_fields.get("label") if self.task == "graph" else None

    @property
    def known(self) -> Pairs:
        """All true triples (or links) of every part, for filtered ranking."""
        full = self.collated
        return Pairs(full.src, full.dst, full.edge_fields.get("etype"))

    # --- counts ---------------------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        """Classes of int64 labels, columns of float labels, 1 for links, 0 without labels."""
        if self.task in ("link", "triple", "temporal-link", "hyperedge"):
            return 1
        if self.task == "forecast":
            return self.series.shape[-1]
        labels = self.labels
        if labels is None:
            return 0
        if labels.is_floating_point():
            return labels.shape[1] if labels.dim() > 1 else 1
        known = len(self.names.get("class", ()))
        return max(known, int(labels.max()) + 1 if len(labels) else 0)

    @property
    def num_relations(self) -> int:
        """Relations of typed edges, 0 if edges have no ``etype``."""
        etype = self.collated.edge_fields.get("etype")
        if etype is None:
            return 0
        return max(len(self.names.get("relation", ())), int(etype.max()) + 1 if len(etype) else 0)

    def spec(self) -> Spec:
        """Return what a system must know to be built for this dataset.

        >>> import graphkit as gk
        >>> gk.load("digits").spec()
        Spec(level='node', in_feats=64, out_feats=10, edge_feats=0, num_nodes=1797, num_relations=0)
        """
        message = self._message
        return Spec(
            self.task,
            in_feats=width(message.node_fields.get("feat")),
            out_feats=self.num_classes,
            edge_feats=width(message.edge_fields.get("feat")),
            num_nodes=0 if self.task == "graph" else message.num_nodes - self.num_hyperedges,
            num_relations=self.num_relations,
            class_relations=self.class_relations if self.task == "graph" else (),
            num_hyperedges=self.num_hyperedges,
        )

    @property
    def class_relations(self) -> tuple[int, ...]:
        """For each class the relation of the same name, -1 for none; empty where no class is a relation."""
        relations = {name: i for i, name in enumerate(self.names.get("relation", ()))}
        found = tuple(relations.get(name, -1) for name in self.names.get("class", ()))
        return found if any(i >= 0 for i in found) else ()

    def statistics(self) -> dict[str, int]:
        """Count what a card's ``statistics`` states; edges count both directions of an undirected edge.

        >>> import graphkit as gk
        >>> gk.load("les-miserables").statistics()
        {'nodes': 77, 'edges': 508}
        """
        return count(self)

    # --- splits ---------------------------------------------------------------------------------------------------

    def with_split(self, split: str | Mapping[str, Any], seed: int | None = None, **options: Any) -> Dataset:
        """Return the same data with another split.

        Parameters
        ----------
        split : str or mapping
            A registered protocol, or ids by part.
        seed : int, optional
            By default the present one.
        options
            Arguments of the protocol.

        Raises
        ------
        GraphKitError
            If the protocol is unknown or does not fit the data.

        Examples
        --------
        >>> import graphkit as gk
        >>> len(gk.load("karate").with_split("random", ratio=(0.5, 0.25, 0.25)).splits["train"])
        17
        """
        made = self._copy()
        made._divide(split, self.split_seed if seed is None else seed, options)
        return made

    def fold(self, k: int) -> Dataset:
        """Return the same data with fold ``k`` of the present protocol.

        Raises
        ------
        GraphKitError
            If the protocol has no folds.
        """
        if self.split_name not in protocols(self.task) or "fold" not in keywords(find("split", self.split_name).obj):
            raise GraphKitError(f"the split {self.split_name!r} has no folds; use 'stratified10' or 'folds'")
        return self.with_split(self.split_name, **{**self.split_options, "fold": k})

    @property
    def split_hash(self) -> str:
        """SHA-256 in hex over all arrays of the split."""
        digest = hashlib.sha256()
        for name in sorted(self.splits):
            digest.update(f"{name}:".encode())
            for array in _arrays(self.splits[name]):
                digest.update(np.ascontiguousarray(array.numpy()).tobytes() + b"|")
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """SHA-256 in hex of what a model may see: graphs, fields and labels as they are now, the task and the split."""
        digest = hashlib.sha256(f"{self.name} {self.task} {self.split_hash}".encode())
        for held in (self._message,) if self._message is self.collated else (self._message, self.collated):
            arrays = {"offsets": held.node_offsets, "edges": held.edge_offsets, "src": held.src, "dst": held.dst}
            for fields in (arrays, held.node_fields, held.edge_fields, held.graph_fields):
                for name in sorted(fields):
                    digest.update(name.encode() + np.ascontiguousarray(fields[name].numpy()).data)
        return digest.hexdigest()

    # --- changes --------------------------------------------------------------------------------------------------

    def _copy(self) -> Dataset:
        made = object.__new__(Dataset)
        made.__dict__.update(self.__dict__)
        made._graphs = {}
        return made

    def _apply(self, transform: Callable, collated: Collated) -> Collated:
        made = Collated.from_graphs([transform(collated[i]) for i in range(len(collated))], collated.graph_fields)
        if self.task != "graph" and made.num_nodes != collated.num_nodes:
            raise GraphKitError(
                f"{transform!r} changes {collated.num_nodes} nodes into {made.num_nodes}, but the split of {self.name} "
                "refers to nodes by id; transform the graph first and use Dataset.from_graph"
            )
        return made

    def transform(self, transform: Callable[[dgl.DGLGraph], dgl.DGLGraph]) -> Dataset:
        """Return the dataset with ``transform`` applied to each graph.

        For links and triples it sees the message graph only, so that no encoding knows a held-out edge; another split
        of the result applies it anew.

        Parameters
        ----------
        transform : callable
            Graph to graph, such as those of ``graphkit.transforms``.

        Raises
        ------
        GraphKitError
            If it changes the nodes that a split refers to.

        Examples
        --------
        >>> import graphkit as gk
        >>> gk.load("karate").transform(lambda g: g).graph.num_nodes()
        34
        """
        made = self._copy()
        made._transforms = (*self._transforms, transform)
        if self.task in ("link", "triple"):
            made._message = self._apply(transform, self._message)
        else:
            made.collated = made._message = self._apply(transform, self.collated)
        return made

    @classmethod
    def from_graph(
        cls,
        graph: dgl.DGLGraph,
        task: str = "node",
        labels: Any = None,
        splits: str | Mapping[str, Any] | None = None,
        name: str = "graph",
        seed: int = 0,
        **options: Any,
    ) -> Dataset:
        """Make a dataset of one's own graph.

        Parameters
        ----------
        graph : dgl.DGLGraph
            With one node and one edge type, or a hypergraph; ``ndata`` may hold ``feat``, ``label`` and ``train_mask``,
            ``val_mask``, ``test_mask``; ``edata`` may hold ``weight``, ``feat``, ``etype``, ``time``. If every edge has
            its reverse, the graph counts as undirected and gets a ``reverse_id``.
        task : str
            ``node``, ``link``, ``triple``, ``temporal-link`` or ``hyperedge``.
        labels : array_like, optional
            ``[N]`` or ``[N, T]``.
        splits : str or mapping, optional
            A registered protocol or ids by part; by default the masks, else a random split.
        name : str
        seed : int
        options
            Arguments of the protocol.

        Raises
        ------
        GraphKitError
            If the graph is a heterograph, features hold NaN, or the split does not fit.

        Examples
        --------
        >>> import graphkit as gk
        >>> g = gk.graphs.graph([0, 1, 2], [1, 2, 3], undirected=True)
        >>> gk.Dataset.from_graph(g, labels=[0, 1, 0, 1], splits={"train": [0, 1], "test": [2, 3]}).num_classes
        2
        """
        if task not in TASKS or task == "graph":
            raise unknown("task of one graph", task, [t for t in TASKS if t != "graph"])
        raw, masks = own.raw_of_graph(graph, labels, stream=task == "temporal-link")
        splits = masks if splits is None and masks and task == "node" else splits
        card = Card(name, name, "", (task,), directed=not raw.undirected, verified=False)
        if task == "triple" and splits is None:
            raise GraphKitError("a dataset of triples needs splits: a mapping of train, val, test to edge ids")
        return cls(raw, card, task, splits, seed, options)

    @classmethod
    def from_graphs(
        cls,
        graphs: Sequence[dgl.DGLGraph],
        labels: Any = None,
        splits: str | Mapping[str, Any] | None = None,
        name: str = "graphs",
        seed: int = 0,
        **options: Any,
    ) -> Dataset:
        """Make a dataset of one's own set of graphs; see :meth:`from_graph`.

        Examples
        --------
        >>> import graphkit as gk
        >>> data = gk.Dataset.from_graphs([gk.graphs.graph([0], [1])] * 5, labels=[0, 1, 0, 1, 0])
        >>> len(data), data.num_classes
        (5, 2)
        """
        raw = own.raw_of_graphs(graphs, labels)
        card = Card(name, name, "", ("graph",), directed=not raw.undirected, verified=False)
        return cls(raw, card, "graph", splits, seed, options)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.statistics().items())
        sizes = "/".join(str(len(part)) for part in self.splits.values())
        return f"Dataset({self.name}, {self.task}: {counts}; split {self.split_name} {sizes})"


def _arrays(part: Any) -> list[Tensor]:
    if isinstance(part, Tensor):
        return [part]
    found = [x for pairs in (part.pos, part.neg) for x in (pairs.src, pairs.dst, pairs.rel)]
    return [x for x in (*found, getattr(part, "candidates", None)) if x is not None]
