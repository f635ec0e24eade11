"""Parts of a graph: every node in one, halos that hold all that is read, gradients that add up to the whole's."""

from __future__ import annotations

import json

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from typer.testing import CliRunner

import graphkit as gk
from graphkit.cli.app import app
from graphkit.cli.partition import main
from graphkit.core.errors import GraphKitError
from graphkit.models import build
from graphkit.sampling import NeighborLoader, full_batch, partition
from graphkit.tasks.base import place
from tests.fit_toys import blocks


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(0, 3))
def test_halos_are_the_nodes_that_reach_a_part_in_so_many_hops(seed, parts, hops):
    plain = nx.gnp_random_graph(24, 0.08, seed=seed, directed=True)
    src, dst = zip(*plain.edges, strict=True) if plain.edges else ((), ())
    graph = gk.graphs.graph(src, dst, num_nodes=24)
    found = partition(graph, parts, hops)
    assert sorted(torch.cat([part.own for part in found]).tolist()) == list(range(24))
    backward = plain.reverse()
    for part in found:
        own = set(part.own.tolist())
        near = set().union(*(nx.single_source_shortest_path_length(backward, i, cutoff=hops) for i in own))
        assert part.halo.tolist() == sorted(near - own)
        assert part.cut == sum(v in own and u not in own for u, v in plain.edges)


@pytest.mark.parametrize("name", ["gcn", "sage", "gat"])
def test_gradients_of_parts_with_halos_add_up_to_those_of_the_whole_graph(name):
    data = blocks(num_nodes=90)
    model = build(name, data, hidden=8).double().eval()
    train, feat = data.splits["train"], data.graph.ndata["feat"].clone()

    def gradients(batch):
        model.zero_grad()
        pred = model(place(batch, model)).pred
        (F.cross_entropy(pred, batch.label, reduction="sum") / len(train)).backward()
        return [p.grad.clone() for p in model.parameters()]

    whole = gradients(full_batch(data, "train"))
    total = [torch.zeros_like(grad) for grad in whole]
    for part in partition(data.graph, 2, hops=2):
        known = torch.full_like(feat, 1e9)  # what a part does not hold must not matter
        known[part.nodes] = feat[part.nodes]
        data.graph.ndata["feat"] = known
        loader = NeighborLoader(data, part.targets(train), fanouts=[-1, -1], batch_size=None)
        total = [a + b for a, b in zip(total, gradients(next(iter(loader))), strict=True)]
    for expected, found in zip(whole, total, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


def test_more_parts_than_nodes_are_refused():
    with pytest.raises(GraphKitError, match="asked for 61 parts of 60 nodes; expected 1 to 60"):
        partition(blocks().graph, 61)


def test_the_shell_writes_the_part_of_each_node_and_refuses_other_files(tmp_path):
    run = CliRunner().invoke(app, ["partition", "karate", "--parts", "2", "--json", "--out", str(tmp_path / "p.npy")])
    said = json.loads(run.stdout)
    owner = np.load(tmp_path / "p.npy")
    assert [part["nodes"] for part in said["parts"]] == np.bincount(owner).tolist()
    src, dst = gk.load("karate").graph.edges()
    assert said["cut_share"] == pytest.approx(float((owner[src] != owner[dst]).mean()))
    with pytest.raises(GraphKitError, match=r"expected a folder for the parts, or a file that ends in \.npy"):
        main("karate", 2, 2, tmp_path / "p.csv", [], False)
    with pytest.raises(GraphKitError, match="which holds something else; expected a new folder"):
        main("karate", 2, 2, tmp_path, [], False)
    assert [path.name for path in tmp_path.iterdir()] == ["p.npy"]


def test_the_shell_writes_parts_that_train_takes(tmp_path):
    words = ["partition", "digits", "--parts", "3", "--hops", "1", "--out", str(tmp_path / "cut")]
    run = CliRunner().invoke(app, words)
    assert "graphkit train" in run.stdout and "--devices 3" in run.stdout, run.output
    assert gk.load(str(tmp_path / "cut")).parts == 3
