"""A plan: three ways, the first that fits is advised, its numbers follow what is trained."""

import json

import pytest
import torch

import graphkit as gk
from graphkit.cli import run as shell
from graphkit.core.errors import GraphKitError
from graphkit.fit.planning import PIECE, Measured
from tests.test_packed import powers


def test_the_first_way_that_fits_is_advised(tmp_path):
    data = gk.data.to_disk(powers(nodes=3000, width=256), tmp_path)
    found = gk.plan("sage", data, batch_size=64, fanouts=[3, 3], memory="2GB")
    memory = {way.name: way.memory for way in found.ways}
    assert "without a batch_size" in found.advice and memory["full batch"] > memory["sampling"] > memory["disk"]
    for way, said in (("sampling", "batch_size=64"), ("disk", "memory_budget='")):
        assert said in gk.plan("sage", data, batch_size=64, fanouts=[3, 3], memory=int(1.02 * memory[way])).advice
    assert "nothing fits in 1.00 MB" in gk.plan("sage", data, batch_size=64, fanouts=[3, 3], memory="1MB").advice


def test_the_least_budget_of_a_plan_is_enough_and_little_more_than_training_asks_for():
    data = powers(nodes=3000, width=256)
    found = gk.plan("sage", data, batch_size=300, fanouts=[3, 3])
    run = {"epochs": 1, "batch_size": 300, "fanouts": [3, 3], "progress": False}
    gk.fit("sage", data, memory_budget=int(1.2 * found.least_budget), **run)
    with pytest.raises(GraphKitError, match="need"):
        gk.fit("sage", data, memory_budget=int(found.least_budget / 1.5), **run)


def test_more_nodes_than_a_piece_scale_what_was_measured(monkeypatch):
    data = powers(nodes=2000, edges=8000, width=64)
    whole = gk.plan("sage", data, memory="1GB").ways[0]
    monkeypatch.setattr("graphkit.fit.planning.PIECE", 500)
    piece = gk.plan("sage", data, memory="1GB").ways[0]
    assert PIECE == 20_000 and whole.memory == pytest.approx(piece.memory, rel=0.15)


def test_what_a_backward_pass_keeps_is_counted():
    data = powers(nodes=1000, width=16)
    run = gk.fit("mlp", data, epochs=1, progress=False, hidden=32, dropout=0.0)
    batch = gk.sampling.full_batch(data, "train")
    _, kept = Measured(run.model.train(), run.task, data, 0).step(batch)
    # ReLU's output of 1000 rows is kept; the rows that come in and the weights are not counted again.
    assert 4 * 1000 * 32 <= kept <= 3 * 4 * 1000 * 32


def test_planning_leaves_no_trace():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, two = (gk.plan("gcn", gk.load("karate"), memory="1GB") for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert [way.memory for way in one.ways] == [way.memory for way in two.ways]


def test_plans_are_for_nodes_of_one_graph():
    with pytest.raises(GraphKitError, match="plans are made for node prediction"):
        gk.plan("gae", gk.load("karate", task="link"))
    with pytest.raises(GraphKitError, match="memory is 'much'"):
        gk.plan("gcn", gk.load("karate"), memory="much")


def test_the_shell_prints_a_plan(capsys):
    assert shell(["plan", "karate", "--model", "sage", "--memory", "1GB"]) == 0
    shown = capsys.readouterr().out
    assert "full batch" in shown and "train without a batch_size" in shown and max(map(len, shown.splitlines())) <= 80
    assert shell(["plan", "karate", "--model", "sage", "--memory", "1GB", "--json"]) == 0
    assert [way["name"] for way in json.loads(capsys.readouterr().out)["ways"]] == ["full batch", "sampling", "disk"]
