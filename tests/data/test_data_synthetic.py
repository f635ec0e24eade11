"""Sets of graphs that papers generate: their laws."""

from __future__ import annotations

import itertools

import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError


def densities(data):
    """Return the share of tied pairs inside a class, and across, over all graphs."""
    graph = data.graph
    src, dst = graph.edges()
    assert torch.equal(graph.ndata["graph"][src], graph.ndata["graph"][dst])
    twin = graph.edata["reverse_id"]
    assert torch.equal(src[twin], dst) and torch.equal(dst[twin], src) and not bool((src == dst).any())
    same = data.labels[src] == data.labels[dst]
    counts = torch.zeros(int(graph.ndata["graph"].max()) + 1, data.num_classes)
    counts.index_put_((graph.ndata["graph"], data.labels), torch.tensor(1.0), accumulate=True)
    inside = (counts * (counts - 1)).sum()
    every = (counts.sum(1) * (counts.sum(1) - 1)).sum()
    return float(same.sum() / inside), float((~same).sum() / (every - inside)), counts


def test_cluster_follows_its_law():
    data = gk.load("cluster", num_graphs=(160, 20, 20))
    inside, across, counts = densities(data)
    assert abs(inside - 0.55) < 0.01 and abs(across - 0.25) < 0.01
    assert int(counts.min()) >= 5 and int(counts.max()) <= 34
    signal, graph = data.graph.ndata["feat"].argmax(1), data.graph.ndata["graph"]
    assert bool((torch.bincount(graph[signal > 0]) == 6).all())
    assert torch.equal(signal[signal > 0] - 1, data.labels[signal > 0])
    parts = [graph[ids].unique() for ids in data.splits.values()]
    assert [len(part) for part in parts] == [160, 20, 20]


def test_pattern_follows_its_law():
    data = gk.load("pattern", num_graphs=(60, 12, 13), patterns=5)
    graph = data.graph.ndata["graph"]
    planted = torch.bincount(graph[data.labels == 1], minlength=85)
    assert len(planted.unique()) <= 5 and int(planted.min()) >= 5 and int(planted.max()) <= 34
    _, across, _ = densities(data)
    assert abs(across - 0.5) < 0.01
    assert torch.allclose(data.graph.ndata["feat"][data.labels == 0].mean(0), torch.full((3,), 1 / 3), atol=0.03)
    assert [len(graph[ids].unique()) for ids in data.splits.values()] == [60, 12, 13]
    same = gk.load("pattern", num_graphs=(60, 12, 13), patterns=5)
    assert torch.equal(data.labels, same.labels)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_neighbours_match_asks_every_key_of_every_permutation(depth):
    data = gk.load("tree-neighbours-match", depth=depth, ratio=(0.5, 0.0, 0.5))
    leaves = 2**depth
    assert len(data) == {1: 2, 2: 24, 3: 1000}[depth] * leaves and data.num_classes == leaves
    for i in range(0, len(data), max(1, len(data) // 7)):
        graph = data[i]
        value = dict(zip(graph.ndata["key"][-leaves:].tolist(), graph.ndata["value"][-leaves:].tolist(), strict=True))
        assert value[int(graph.ndata["key"][0])] - 1 == int(data.labels[i])
        assert graph.in_degrees().tolist() == [2] * (leaves - 1) + [0] * leaves
        assert graph.ndata["root"].tolist() == [True] + [False] * (2 * leaves - 2)
    if depth == 2:
        seen = {tuple(data[i].ndata["value"][-4:].tolist()) for i in range(0, len(data), 4)}
        assert seen == set(itertools.permutations(range(1, 5)))


def test_sizes_that_make_no_sense():
    with pytest.raises(GraphKitError, match="expected how many graphs to train"):
        gk.load("cluster", num_graphs=(1, 2))
    with pytest.raises(GraphKitError, match="patterns=0; expected at least one"):
        gk.load("pattern", patterns=0)
    with pytest.raises(GraphKitError, match="depth=0; expected 1 to 14"):
        gk.load("tree-neighbours-match", depth=0)
