"""The tensors of one graph as a Batch wants them, and the batch of a whole dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphkit.core.batch import Batch, Pairs
from graphkit.core.errors import GraphKitError, unknown

if TYPE_CHECKING:
    import dgl

    from graphkit.data import Dataset, FeatureStore

#: Fields with a place of their own in Batch, or with no use once edges are dropped.
_OWN_NODE = {"feat", "label"}
_OWN_EDGE = {"feat", "weight", "reverse_id", "label"}


@dataclass
class Store:
    """A message graph beside its tensors, taken out of the graph's fields once.

    Parameters
    ----------
    graph : dgl.DGLGraph
        The message graph, without fields.
    feat : Tensor or FeatureStore
        ``[N, D]``; ``[N, 0]`` where there are no features.
    edge_feat, edge_weight, reverse_id : Tensor, optional
        ``[E, D']``, ``[E]``, int64 ``[E]``.
    node_fields, edge_fields : dict of str to Tensor
        All others, such as ``ntype``, ``etype``.

    Examples
    --------
    >>> import graphkit
    >>> g = graphkit.graphs.graph([0, 1], [1, 2], edge_fields={"weight": [1.0, 2.0]})
    >>> Store.of(g).edge_weight.tolist(), tuple(Store.of(g).feat.shape)
    ([1.0, 2.0], (3, 0))
    """

    graph: dgl.DGLGraph
    feat: Tensor | FeatureStore
    edge_feat: Tensor | None = None
    edge_weight: Tensor | None = None
    reverse_id: Tensor | None = None
    node_fields: dict[str, Tensor] = field(default_factory=dict)
    edge_fields: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: dgl.DGLGraph) -> Store:
        """Take the fields of ``graph`` apart."""
        return cls.from_fields(graph, dict(graph.ndata), dict(graph.edata))

    @classmethod
    def of_data(cls, data: Dataset | dgl.DGLGraph) -> Store:
        """Take a dataset's one graph apart; features that are on disk stay there."""
        graph, features = message_graph(data), getattr(data, "features", None)
        return cls.of(graph) if features is None else cls(graph, features)

    @classmethod
    def from_fields(cls, graph: dgl.DGLGraph, node: dict[str, Tensor], edge: dict[str, Tensor]) -> Store:
        """Take given fields apart; the fields inside ``graph`` are not read."""
        feat = node.get("feat")
        if feat is None:
            feat = torch.empty(graph.num_nodes(), 0)
        weight = edge.get("weight")
        if weight is not None and not weight.is_floating_point():
            weight = weight.float()
        bare = graph.local_var()
        for name in list(bare.ndata):
            bare.ndata.pop(name)
        for name in list(bare.edata):
            bare.edata.pop(name)
        return cls(
            bare,
            feat if feat.is_floating_point() else feat.float(),
            edge.get("feat"),
            weight,
            edge.get("reverse_id"),
            {k: v for k, v in node.items() if k not in _OWN_NODE and not k.startswith("_")},
            {k: v for k, v in edge.items() if k not in _OWN_EDGE and not k.startswith("_")},
        )

    def named_edge_fields(self) -> dict[str, Tensor]:
        """Return the edge fields by their name in ``Batch.fields`` (``edge_x`` where a node field is called x)."""
        return {f"edge_{k}" if k in self.node_fields or k == "nid" else k: v for k, v in self.edge_fields.items()}

    def batch(self, **rest: Any) -> Batch:
        """Return the whole graph as a Batch; ``rest`` goes to Batch."""
        fields = {**self.node_fields, **self.named_edge_fields(), "nid": torch.arange(self.graph.num_nodes())}
        fields.update(rest.pop("fields", {}))
        feat = self.feat if isinstance(self.feat, Tensor) else self.feat[:]
        return Batch(self.whole(), feat, self.edge_feat, self.edge_weight, fields=fields, **rest)

    def whole(self) -> dgl.DGLGraph:
        """Return the graph in a form that kernels run on: 64-bit edges where it kept one 32-bit index."""
        from graphkit import _dgl

        structure = _dgl.structure(self.graph)
        if structure.is_narrow:
            self.graph = _dgl.from_arrays(structure.src, structure.dst, structure.num_src)
        return self.graph

    def prepare(self) -> None:
        """Build the index tensors that sampling reads, so that worker processes inherit them."""
        from graphkit import _dgl

        structure = _dgl.structure(self.graph)
        structure.incoming(), structure.degrees_out()
        if not structure.is_narrow:
            structure.csc(), structure.in_degrees, structure.out_degrees
            self.graph.create_formats_()

    def keep_edges(self, keep: Tensor) -> Store:
        """Return the store without the edges where ``keep`` (bool ``[E]``) is False; the others keep their order."""
        from graphkit import _dgl

        src, dst = self.graph.edges(order="eid")
        graph = _dgl.from_arrays(src[keep], dst[keep], self.graph.num_nodes())
        return Store(
            graph,
            self.feat,
            None if self.edge_feat is None else self.edge_feat[keep],
            None if self.edge_weight is None else self.edge_weight[keep],
            None,
            self.node_fields,
            {name: value[keep] for name, value in self.edge_fields.items()},
        )


def message_graph(data: Dataset | dgl.DGLGraph) -> dgl.DGLGraph:
    """Return the one graph that messages run on.

    Parameters
    ----------
    data : Dataset or dgl.DGLGraph

    Raises
    ------
    GraphKitError
        If the dataset is a set of several graphs.
    """
    if hasattr(data, "edata"):
        return data  # type: ignore[return-value]
    if data.task == "graph":
        raise GraphKitError(f"{data.name} is a set of {len(data)} graphs; use GraphLoader")
    if data.num_hyperedges:
        raise GraphKitError(
            f"{data.name} is a hypergraph, which cannot be sampled from: train on all of it, without a batch_size; "
            "graphkit.graphs.clique_expansion(data.graph) makes one graph of it, for Dataset.from_graph"
        )
    return data.graph


def split_ids(data: Dataset, split: str | Tensor | None) -> Tensor:
    """Return the ids of a split's nodes or graphs, int64; all of them for None.

    Parameters
    ----------
    data : Dataset
    split : str, Tensor or None
        A split's name, ids, or a boolean mask.

    Raises
    ------
    GraphKitError
        If there is no such split or an id is out of range.
    """
    from graphkit.graphs.build import check_ids, index_tensor

    total = data.num_rows if data.task == "graph" or data.num_hyperedges else message_graph(data).num_nodes()
    if split is None:
        return torch.arange(total)
    if isinstance(split, str):
        if split not in data.splits:
            raise unknown("split", split, data.splits)
        split = data.splits[split]
    if isinstance(split, Tensor) and split.dtype == torch.bool:
        split = split.nonzero()[:, 0]
    ids = index_tensor(split, "ids")
    check_ids(ids, total, "ids", "graphs" if data.task == "graph" else "nodes")
    return ids


def labels_of(data: Dataset | dgl.DGLGraph, ids: Tensor | slice) -> Tensor | None:
    """Return the labels of nodes or graphs ``ids``, None where the data has no labels."""
    labels = data.ndata.get("label") if hasattr(data, "ndata") else data.labels
    return None if labels is None else labels[ids]


def split_pairs(data: Dataset, split: Any) -> tuple[Pairs, Pairs | None]:
    """Return a split's true pairs and its stored negatives (None if it has none).

    Parameters
    ----------
    data : Dataset
        Of links or triples.
    split : str

    Raises
    ------
    GraphKitError
        If there is no such split, or the dataset's task has no pairs.
    """
    if data.task not in ("link", "triple"):
        raise GraphKitError(f"{data.name} is loaded for the task {data.task!r}, which has no pairs; load it for 'link'")
    if not isinstance(split, str) or split not in data.splits:
        raise unknown("split", split, data.splits)
    found = data.splits[split]
    negative = getattr(found, "neg", None)
    return found.pos, negative if negative is not None and len(negative) else None


def full_batch(data: Dataset | dgl.DGLGraph, split: str | Tensor | None = None) -> Batch:
    """Return everything as one batch: the whole message graph, and a split's targets, pairs or graphs.

    Parameters
    ----------
    data : Dataset or dgl.DGLGraph
    split : str, Tensor or None
        Name of the split, or ids of nodes or graphs. None: no targets (every node, every graph).

    Returns
    -------
    Batch
        For nodes ``targets`` and their ``label``; for links and triples ``pairs`` (true ones, then the negatives
        stored with the split) and ``label`` 1 or 0; for graph sets the batched graphs and their ``label``.

    Raises
    ------
    GraphKitError
        If there is no such split.

    Examples
    --------
    >>> import graphkit
    >>> batch = full_batch(graphkit.graphs.graph([0, 1], [1, 2]))
    >>> batch.num_outputs, batch.targets
    (3, None)
    """
    if hasattr(data, "edata"):
        ids = None if split is None else torch.as_tensor(split)
        return Store.of(data).batch(targets=ids, label=labels_of(data, slice(None) if ids is None else ids))
    if data.task == "graph":
        from graphkit.sampling.graphs import GraphMaker

        return GraphMaker.of(data, split_ids(data, split)).make(None, 0)
    if data.num_hyperedges:
        return _hyper_full(data, split)
    store = Store.of_data(data)
    if split is None:
        return store.batch(label=data.labels if data.task == "node" else None)
    if data.task == "node":
        ids = split_ids(data, split)
        return store.batch(targets=ids, label=labels_of(data, ids))
    positive, negative = split_pairs(data, split)
    return store.batch(pairs=join(positive, negative), label=truth(len(positive), len(negative or ())))


def hyper_batch(graph: dgl.DGLGraph, **rest: Any) -> Batch:
    """Return a hypergraph as a Batch: N rows in ``feat``, M in ``edge_feat``, weights of memberships, other fields.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph. Of its hyperedges' fields, ``feat`` is ``edge_feat``, the others are called ``hyperedge_...``
        (``weight`` is ``hyperedge_weight``).
    **rest
        Of Batch.

    Returns
    -------
    Batch

    Examples
    --------
    >>> import graphkit
    >>> h = graphkit.graphs.from_hyperedges([[0, 1], [1, 2]], hyperedge_fields={"weight": [1.0, 2.0]})
    >>> hyper_batch(h).num_outputs, hyper_batch(h).fields["hyperedge_weight"].tolist()
    (3, [1.0, 2.0])
    """
    node, hyperedge = (dict(graph.nodes[kind].data) for kind in ("node", "hyperedge"))
    feat, edge_feat, weight = node.get("feat"), hyperedge.get("feat"), graph.edges["in"].data.get("weight")
    fields = {name: value for name, value in node.items() if name not in _OWN_NODE}
    fields |= {f"hyperedge_{name}": value for name, value in hyperedge.items() if name not in _OWN_NODE}
    fields["nid"] = torch.arange(graph.num_nodes("node"))
    bare = graph.local_var()
    for kind in ("node", "hyperedge"):
        for name in list(bare.nodes[kind].data):
            bare.nodes[kind].data.pop(name)
    feat = torch.empty(graph.num_nodes("node"), 0) if feat is None else feat
    edge_feat, weight = (None if x is None else x.float() for x in (edge_feat, weight))
    return Batch(bare, feat.float(), edge_feat, weight, fields=fields, **rest)


def _hyper_full(data: Dataset, split: str | Tensor | None) -> Batch:
    if split is None:
        return hyper_batch(data.graph, label=data.labels if data.task == "node" else None)
    if data.task != "node":
        raise GraphKitError(f"{data.name} is a hypergraph loaded for {data.task!r}; systems here predict its nodes")
    ids = split_ids(data, split)
    return hyper_batch(data.graph, targets=ids, label=labels_of(data, ids))


def join(positive: Pairs, negative: Pairs | None) -> Pairs:
    """Return positives then negatives."""
    return positive if negative is None else Pairs.cat([positive, negative])


def truth(positives: int, negatives: int) -> Tensor:
    """Return float32 ones then zeros."""
    return torch.cat([torch.ones(positives), torch.zeros(negatives)])
