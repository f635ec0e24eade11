"""Tiny datasets and systems on which fits take a second."""

from __future__ import annotations

import torch
from torch import nn

import graphkit as gk
from graphkit.core.batch import Output
from graphkit.fit import Phase


def blocks(num_nodes: int = 60, task: str = "node", **options):
    """Return a graph of three groups, linked mostly inside, with noisy one-hot features."""
    draw = torch.Generator().manual_seed(1)
    group = torch.arange(num_nodes) % 3
    likely = torch.where(group[:, None] == group[None], 0.3, 0.02).triu(1)
    src, dst = (torch.rand(num_nodes, num_nodes, generator=draw) < likely).nonzero().T
    feat = torch.eye(3)[group] + torch.randn(num_nodes, 3, generator=draw)
    graph = gk.graphs.graph(src, dst, num_nodes, node_fields={"feat": feat}, undirected=True)
    labels = group if task == "node" else None
    return gk.Dataset.from_graph(graph, task=task, labels=labels, name="blocks", **options)


def rings(count: int = 36):
    """Return rings and stars of six to nine nodes, to be told apart."""
    graphs, labels = [], []
    for i in range(count):
        size, ring = 6 + i % 4, i % 2
        src = torch.arange(size) if ring else torch.zeros(size - 1, dtype=torch.int64)
        dst = (torch.arange(size) + 1) % size if ring else torch.arange(1, size)
        graph = gk.graphs.graph(src, dst, size, node_fields={"feat": torch.ones(size, 2)}, undirected=True)
        graphs.append(graph)
        labels.append(ring)
    return gk.Dataset.from_graphs(graphs, labels=labels, name="rings")


def family(num_nodes: int = 30):
    """Return triples of two relations: the next node, and the node three further on."""
    node = torch.arange(num_nodes)
    src, dst = torch.cat([node, node]), torch.cat([(node + 1) % num_nodes, (node + 3) % num_nodes])
    rel = torch.arange(2).repeat_interleave(num_nodes)
    graph = gk.graphs.graph(src, dst, num_nodes, edge_fields={"etype": rel})
    order = torch.randperm(2 * num_nodes, generator=torch.Generator().manual_seed(0))
    train, val = 8 * num_nodes // 5, 9 * num_nodes // 5
    splits = {"train": order[:train], "val": order[train:val], "test": order[val:]}
    return gk.Dataset.from_graph(graph, task="triple", splits=splits, name="family")


class Linear(nn.Module):
    """The plainest model there is: one linear map with dropout, rows of the targets."""

    def __init__(self, width: int = 3, classes: int = 3) -> None:
        super().__init__()
        self.drop, self.linear = nn.Dropout(0.3), nn.Linear(width, classes)

    def forward(self, batch) -> Output:
        rows = self.linear(self.drop(batch.feat))
        return Output(rows if batch.targets is None else rows[batch.targets])


class TwoPhases(Linear):
    """A system of two trainings: the second begins from the first's best weights, with a lower learning rate."""

    heard: list

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            super().__init__()

    def phases(self, task, settings):
        self.heard = []
        self.heard.append((yield Phase("warm", self, task, epochs=3, settings={"lr": 0.1})))
        self.heard.append((yield Phase("fine", self, task, epochs=4)))
