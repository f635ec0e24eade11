"""Where questions come from: a model and its data, and what explainers that must be fitted draw from them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator
from graphkit.explain.question import Question, ask
from graphkit.explain.target import Target, check_range


class Source:
    """A model and its data: it asks questions about their predictions, and finds others like them.

    Parameters
    ----------
    model : nn.Module
    data : Dataset, dgl.DGLGraph or Batch
    asked : dict, optional
        Options of :func:`graphkit.explain.ask`.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> source = Source(gk.models.build("gcn", data), data)
    >>> [str(q.target) for q in source.peers(Target("node", (3,)), 2, seed=0)]
    ['node 9', 'node 23']
    """

    def __init__(self, model: nn.Module, data: Any, asked: dict[str, Any] | None = None) -> None:
        if getattr(data, "num_hyperedges", 0):
            raise GraphKitError(
                f"{getattr(model, 'name', '') or type(model).__name__} answers on the hypergraph {data.name}, whose "
                "memberships cannot be explained; explain a system for graphs on graphkit.graphs.clique_expansion"
            )
        self.model, self.data, self.asked = model, data, asked or {}
        self._whole: tuple[Batch, Any] | None = None
        self._cache: dict[str, Any] = {}

    def batch(self, target: Target) -> tuple[Batch, Any]:
        """Return the batch that the target is in, and the graph with its fields; see :func:`batch_for`."""
        if target.kind == "graph":
            return batch_for(self.data, target)
        if self._whole is None:
            self._whole = batch_for(self.data, target)
        return self._whole

    def labels(self, target: Target) -> Tensor | None:
        """Return all labels of the dataset, to judge by them how outputs are read; None where it has none."""
        labels = getattr(self.data, "labels", None)
        if labels is None and hasattr(self.data, "ndata") and target.kind == "node":
            labels = self.data.ndata.get("label")
        fitting = getattr(self.data, "task", "node") in {"node", "graph"}
        return labels if isinstance(labels, Tensor) and fitting else None

    def question(self, target: Target) -> Question:
        """Ask about one target; an edge becomes the pair of its ends unless the model labels edges.

        Raises
        ------
        GraphKitError
            As :func:`graphkit.explain.ask` does.
        """
        batch, graph = self.batch(target)
        if target.kind == "edge" and not _labels_edges(self.model):
            check_range("edge", target.ids[0], batch.graph.num_edges(), f"graph of {batch.graph.num_edges()} edges")
            ends = batch.graph.find_edges(torch.tensor(target.ids))
            etype = batch.fields.get("etype")
            rel = None if etype is None else int(etype[target.ids[0]])
            target = Target("pair", tuple(int(end) for end in ends), rel)
        twin = None if graph is None else graph.edata.get("reverse_id")
        cache = None if target.kind == "graph" else self._cache
        question = ask(
            self.model, batch, target, labels=self.labels(target), reverse_id=twin, cache=cache, **self.asked
        )
        question.source = self
        return question

    def peers(self, target: Target, count: int, seed: int = 0) -> list[Question]:
        """Ask ``count`` questions like the target's: of nodes or graphs to train on, or of pairs joined by an edge.

        Parameters
        ----------
        target : Target
        count : int
        seed : int

        Returns
        -------
        list of Question
            Fewer where there are not so many.
        """
        rng = generator(seed, "peers", target.kind)
        if target.kind in {"node", "graph"}:
            ids = self._training_ids(target)
            chosen = ids[torch.randperm(len(ids), generator=rng)[:count]].sort().values
            return [self.question(Target(target.kind, (i,))) for i in chosen.tolist()]
        batch, _ = self.batch(target)
        edges = torch.randperm(batch.graph.num_edges(), generator=rng)[:count].sort().values
        return [self.question(Target("edge", (i,))) for i in edges.tolist()]

    def _training_ids(self, target: Target) -> Tensor:
        splits = getattr(self.data, "splits", None)
        train = splits.get("train") if isinstance(splits, dict) else None
        if isinstance(train, Tensor) and getattr(self.data, "task", target.kind) == target.kind:
            return train
        total = self.batch(target)[0].graph.num_nodes() if target.kind == "node" else len(self.data)
        return torch.arange(total)

    def samples(self, target: Target, count: int, seed: int = 0) -> Batch:
        """Return a batch to observe the model on: the whole graph, or ``count`` graphs to train on."""
        if target.kind != "graph" or getattr(self.data, "task", None) != "graph":
            return self.batch(target)[0]
        from graphkit.sampling import GraphLoader

        ids = self._training_ids(target)
        ids = ids[torch.randperm(len(ids), generator=generator(seed, "samples"))[:count]]
        return next(iter(GraphLoader(self.data, ids, batch_size=len(ids), shuffle=False)))


def _labels_edges(model: nn.Module) -> bool:
    return type(getattr(model, "head", None)).__name__ == "EdgeHead"


def batch_for(data: Any, target: Target) -> tuple[Batch, Any]:
    """Return the batch of the graph that the target is in, and the DGLGraph that has its fields (None for a Batch).

    Parameters
    ----------
    data : Dataset, dgl.DGLGraph or Batch
    target : Target

    Raises
    ------
    GraphKitError
        If the target does not go with the data.
    """
    from graphkit.sampling import GraphLoader, full_batch

    if isinstance(data, Batch):
        return data, None
    task = getattr(data, "task", None)
    if target.kind == "graph":
        if task != "graph":
            if target.ids[0] != 0 or task is not None:
                raise GraphKitError(f"graph={target.ids[0]} needs a set of graphs; use node= or pair= for one graph")
            return full_batch(data), data
        number = target.ids[0]
        check_range("graph", number, len(data), f"set of {len(data)} graphs")
        batch = next(iter(GraphLoader(data, torch.tensor([number]), batch_size=1, shuffle=False)))
        return batch, data[number]
    if task == "graph":
        raise GraphKitError(f"{data.name} is a set of graphs; use graph= with a number from 0 to {len(data) - 1}")
    return full_batch(data), getattr(data, "graph", data)
