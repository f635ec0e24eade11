"""The comparison of explainers: its targets, its rows, and the table that is written from them."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

import graphkit as gk
from graphkit.bench import explaining
from graphkit.bench.runner import measure
from graphkit.cli.app import app
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import entries
from graphkit.explain.leaderboard import board, judged, targets_of

RECIPE = """system: gcn
dataset: tree-cycles
task: node
protocol: explainers
arguments: {num_layers: 2, hidden: 8}
fit: {epochs: 2}
options:
  count: 2
  methods: [random, saliency, attention]
  limit: {random: 1}
  variants: {"saliency, of probability": {method: saliency, of: probability}}
  elsewhere: {attention: {system: gat, num_layers: 2, hidden: 8, num_heads: 2}}
metrics: [test/model_accuracy, test/saliency_auc]
reported: {system: null}
group: explaining
seeds: [0]
note: a tiny network.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("bench")
    (place / "recipes").mkdir()
    (place / "recipes" / "explain-tree-cycles.yaml").write_text(RECIPE)
    measure(place / "recipes" / "explain-tree-cycles.yaml", place / "results" / "explain-tree-cycles.json", [0])
    return place


def test_a_recipe_of_explainers_keeps_a_row_for_each(folder):
    record = json.loads((folder / "results" / "explain-tree-cycles.json").read_text())
    rows = record["seeds"][0]["details"]["explainers"]
    assert set(rows) == {"random", "saliency", "attention", "saliency, of probability"}
    assert rows["attention"]["system"] == "gat"
    assert 0 <= rows["attention"]["model_accuracy"] <= 1
    assert rows["saliency, of probability"]["options"] == {"of": "probability"}
    assert (rows["random"]["targets"], rows["saliency"]["targets"]) == (1, 2)
    for name in (
        "auc",
        "pooled_auc",
        "untrained_auc",
        "plus",
        "robust_minus",
        "unfaithfulness",
        "jaccard",
        "seeds",
        "cpu_seconds",
    ):
        assert math.isfinite(rows["saliency"][name]), name
    assert record["seeds"][0]["metrics"]["test/saliency_auc"] == rows["saliency"]["auc"]


def test_the_table_says_what_was_measured_and_what_does_not_apply(folder):
    assert explaining.explain_recipes(folder) == ["explain-tree-cycles"]
    text = explaining.write_table(folder).read_text()
    assert "## tree-cycles" in text
    assert "1 seed." in text
    assert text.index("| saliency | 2 |") > 0
    assert "| attention (of gat, test accuracy" in text
    assert text.index("## AUC on every dataset") < text.index("## tree-cycles")
    assert "| *gnnexplainer, untrained network* | - | - |" in text
    rows = explaining.blocks(folder)[0]["rows"]
    scored = [row["auc"][0] for row in rows if "auc" in row]
    assert scored == sorted(scored, reverse=True)


def test_explainers_that_are_even_share_the_mean_of_their_places(monkeypatch):
    scores = {"one": {"a": 0.5, "b": 0.9, "c": 0.9, "d": 0.1}, "two": {"a": 0.9, "b": 0.5, "c": 0.5, "d": 0.5}}
    found = [
        {"recipe": SimpleNamespace(dataset=name), "rows": [{"method": k, "auc": (v, None)} for k, v in rows.items()]}
        for name, rows in scores.items()
    ]
    monkeypatch.setattr(explaining, "blocks", lambda folder: found)
    places = dict(line.split(" | ")[:2] for line in explaining.summary()[2:-1])
    assert places == {"| a": "2.0", "| b": "2.2", "| c": "2.2", "| d": "3.5"}


def test_the_shell_writes_the_table(folder):
    done = CliRunner().invoke(app, ["bench", "explain", "tree-cycles", "--folder", str(folder)])
    assert done.exit_code == 0, done.output
    assert "saliency" in done.output
    assert "EXPLAINERS.md" in done.output


def test_the_shell_lists_every_explainer():
    done = CliRunner().invoke(app, ["explain", "--method", "list", "--json"])
    assert {row["name"] for row in json.loads(done.output)} == set(entries("explainer"))
    assert "goat" in CliRunner().invoke(app, ["explain", "--method", "list"]).output


def test_targets_are_motifs_and_graphs_with_a_cause():
    data = gk.load("tree-grid")
    nodes = targets_of(data, 5)["nodes"]
    motif = data.graph.ndata["motif"][nodes]
    assert len(set(motif.tolist())) == 5
    assert bool((motif >= 0).all())
    with pytest.raises(GraphKitError, match="marks no edges"):
        targets_of(gk.load("karate"))


def test_a_perfect_explanation_scores_one():
    data = gk.load("tree-cycles")
    torch.manual_seed(0)
    model = gk.models.build("gcn", data, num_layers=2, hidden=8)
    found = gk.explain(model, data, nodes=targets_of(data, 3)["nodes"], method="random")
    truth = data.graph.edata["motif_edge"].float()
    for why in found:
        why.edge_mask = truth.clone()
    scores = judged(data, found)
    assert (scores["auc"], scores["pooled_auc"]) == (1.0, 1.0)
    assert 0 < scores["sparsity"] < 1


def test_methods_that_do_not_apply_say_why():
    data = gk.load("tree-cycles")
    torch.manual_seed(0)
    model = gk.models.build("gat", data, num_layers=2, hidden=8).eval()
    table = board(model, model, data, count=2, methods=["goat", "attention"])
    assert "GatAttention" in table["goat"]["refused"]
    assert table["attention"]["auc"] == table["attention"]["untrained_auc"]
