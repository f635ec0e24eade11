"""What a model gets and gives: Batch, Pairs, Encoded, Output."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    import dgl


def _to(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor | Pairs):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _to(item, device) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to(item, device) for item in value)
    return value


@dataclass
class Pairs:
    """P ordered pairs of rows of the encoder's output, with relations and times where they have them.

    Parameters
    ----------
    src, dst : Tensor
        int64 ``[P]``.
    rel : Tensor, optional
        Relation ids, int64 ``[P]``.
    time : Tensor, optional
        Times, ``[P]``.

    Examples
    --------
    >>> pairs = Pairs(torch.tensor([0, 1]), torch.tensor([2, 3]))
    >>> len(pairs), pairs[1:].src.tolist()
    (2, [1])
    """

    src: Tensor
    dst: Tensor
    rel: Tensor | None = None
    time: Tensor | None = None

    def __len__(self) -> int:
        return len(self.src)

    def __getitem__(self, index) -> Pairs:
        return Pairs(*(None if part is None else part[index] for part in self._parts()))

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.src, self.dst, self.rel, self.time

    def to(self, device: torch.device | str) -> Pairs:
        """Return the pairs on ``device``."""
        return Pairs(*(None if part is None else part.to(device) for part in self._parts()))

    @staticmethod
    def cat(parts: Sequence[Pairs]) -> Pairs:
        """Concatenate, keeping ``rel`` and ``time`` only where every part has them."""
        columns = list(zip(*(part._parts() for part in parts), strict=True))
        return Pairs(*(None if any(c is None for c in column) else torch.cat(column) for column in columns))


class Hop(NamedTuple):
    """What one message-passing layer of an encoder sees."""

    graph: dgl.DGLGraph
    edge_feat: Tensor | None
    edge_weight: Tensor | None
    etype: Tensor | None


@dataclass
class Batch:
    """What a model gets: a graph, its tensors, and what to predict.

    Layers, heads and models read tensors from here, never from ``graph.ndata``.

    Parameters
    ----------
    graph : dgl.DGLGraph
        The message graph of the batch; with ``blocks``, the subgraph induced on the output nodes in that order; or a
        hypergraph, whose outputs are its nodes.
    feat : Tensor
        ``[N, D]``; with ``blocks``, the rows of the first block's sources.
    edge_feat, edge_weight : Tensor, optional
        ``[E, D]`` and ``[E]``; with ``blocks``, a list with one tensor for each block. ``edge_weight`` multiplies
        messages after degree norms and attention ("frozen" norms). Of a hypergraph, ``[M, D]`` (rows of hyperedges) and
        ``[E]`` (weights of memberships).
    blocks : list of dgl block, optional
        One per hop, outermost first; if given, it is what the encoder runs on.
    pairs : Pairs, optional
        Row numbers of the encoder's output to score.
    targets : Tensor, optional
        int64 ``[T]``, row numbers of the encoder's output to predict for; all rows when None.
    label : Tensor, optional
        Labels of the targets, pairs or graphs.
    fields : dict
        Node or edge tensors by their standard names, such as ``etype``, ``ntype``, ``pos``, ``nid`` (the rows' ids
        in the dataset's graph). With ``blocks``, edge fields are lists like ``edge_feat``.
    graph_fields : dict
        ``[B, ...]`` tensors.

    Examples
    --------
    >>> import graphkit, dgl
    >>> g = dgl.graph(([0, 1], [1, 2]))
    >>> Batch(g, torch.ones(3, 4)).num_outputs
    3
    """

    graph: dgl.DGLGraph
    feat: Tensor
    edge_feat: Tensor | list[Tensor] | None = None
    edge_weight: Tensor | list[Tensor] | None = None
    blocks: list[dgl.DGLGraph] | None = None
    pairs: Pairs | None = None
    targets: Tensor | None = None
    label: Tensor | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    graph_fields: dict[str, Tensor] = field(default_factory=dict)

    @property
    def num_outputs(self) -> int:
        """Rows of the encoder's output."""
        if self.blocks:
            return self.blocks[-1].num_dst_nodes()
        return self.graph.num_nodes() if len(self.graph.ntypes) == 1 else self.graph.num_nodes("node")

    @property
    def graph_weight(self) -> Tensor | None:
        """Weights of the edges of ``graph`` ``[E]``: ``edge_weight``, or what the sampler put beside its blocks."""
        return self.edge_weight if self.blocks is None else self.fields.get("graph_weight")  # type: ignore[return-value]

    def to(self, device: torch.device | str) -> Batch:
        """Move tensors to ``device``; DGLGraphs stay on the CPU."""
        moved = {f.name: _to(getattr(self, f.name), device) for f in dataclasses.fields(self)}
        return Batch(**moved)

    def replace(self, **changes: Any) -> Batch:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def hops(self, num_layers: int) -> Iterator[Hop]:
        """Yield, for each layer, the graph it runs on and that graph's edge tensors.

        Raises
        ------
        GraphKitError
            If the batch holds another number of blocks than the encoder has layers.
        """
        from graphkit.core.errors import GraphKitError

        etype = self.fields.get("etype")
        if self.blocks is None:
            for _ in range(num_layers):
                yield Hop(self.graph, self.edge_feat, self.edge_weight, etype)  # type: ignore[arg-type]
            return
        if len(self.blocks) != num_layers:
            raise GraphKitError(
                f"the batch holds {len(self.blocks)} blocks but the encoder has {num_layers} message-passing "
                f"layers; sample with {num_layers} fanouts"
            )
        for i, block in enumerate(self.blocks):
            parts = [None if x is None else x[i] for x in (self.edge_feat, self.edge_weight, etype)]
            yield Hop(block, *parts)  # type: ignore[arg-type]


@dataclass
class Encoded:
    """What an encoder gives: node i of ``graph`` is row i of ``node``; heads read only it.

    Parameters
    ----------
    graph : dgl.DGLGraph
        ``batch.graph`` unless the encoder changes it (pooling, rewiring).
    node : Tensor
        ``[N, D]``.
    edge : Tensor, optional
        ``[E, D]``.
    global_ : Tensor, optional
        ``[B, D]``.
    layers : tuple of Tensor
        Outputs of the single layers, where a head wants them.
    aux : dict
        Named scalar loss terms.
    """

    graph: dgl.DGLGraph
    node: Tensor
    edge: Tensor | None = None
    global_: Tensor | None = None
    layers: tuple[Tensor, ...] = ()
    aux: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Output:
    """What a model gives: the prediction, named loss terms, and the encoder's output."""

    pred: Tensor
    aux: dict[str, Tensor] = field(default_factory=dict)
    encoded: Encoded | None = None
