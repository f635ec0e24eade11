"""Graphs with and without a cycle of six nodes: counted by another program."""

from __future__ import annotations

import networkx
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError


def test_only_positive_graphs_hold_a_cycle_of_the_length():
    data = gk.load("cycles", num_graphs=(40, 10, 10))
    assert [len(part) for part in data.splits.values()] == [40, 10, 10]
    assert int(data.labels[:40].sum()) == 20 and int(data.labels.sum()) == 30
    assert len(data.collated.edge_counts.unique()) == 1 and len(data.collated.node_counts.unique()) == 1
    for graph, label in zip(data, data.labels.tolist(), strict=True):
        plain = networkx.Graph(list(zip(*(ends.tolist() for ends in graph.edges()), strict=True)))
        lengths = [len(cycle) for cycle in networkx.simple_cycles(plain)]
        assert networkx.is_connected(plain) and plain.number_of_nodes() == 56 and len(lengths) == 4
        assert (6 in lengths) == bool(label) and lengths.count(6) <= 1
    again = gk.load("cycles", num_graphs=(40, 10, 10))
    other = gk.load("cycles", num_graphs=(40, 10, 10), graph_seed=1)
    assert torch.equal(data.collated.src, again.collated.src)
    assert not torch.equal(data.collated.src, other.collated.src)


@pytest.mark.parametrize("changes", [{"length": 2}, {"cycles": 0}, {"num_nodes": 20}])
def test_cycles_that_do_not_fit(changes):
    with pytest.raises(GraphKitError, match="expected cycles of at least 3 nodes"):
        gk.load("cycles", num_graphs=(2, 0, 0), **changes)
