"""Run folders: what they hold, that they predict the same numbers, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

import graphkit as gk
from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError
from graphkit.fit import Run, fit
from graphkit.fit.folder import Folder, plain
from tests.fit_toys import Linear, blocks, family, rings

CASES = {
    "node": ("gcn", blocks, {"hidden": 8}),
    "graph": ("gin", rings, {"hidden": 8}),
    "link": ("gae", lambda: blocks(task="link"), {}),
    "triple": ("rgcn", family, {"hidden": 8}),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    """Return a short run for each level."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        level: fit(model, data(), epochs=3, seed=2, run_dir=folder / level, progress=False, **options)
        for level, (model, data, options) in CASES.items()
    }


@pytest.mark.parametrize("level", CASES)
def test_a_loaded_run_predicts_the_same_to_the_last_digit(runs, level):
    run = runs[level]
    loaded = Run.load(run.path, CASES[level][1]())
    asked = {"pairs": run.data.splits["test"].pos} if level in ("link", "triple") else {}
    assert torch.equal(loaded.predict(**asked), run.predict(**asked))
    assert torch.equal(loaded.predict(logits=True, **asked), run.predict(logits=True, **asked))
    assert loaded.metrics == run.metrics
    assert loaded.evaluate("test") == {k[5:]: v for k, v in run.metrics.items() if k.startswith("test/")}
    assert loaded.rows == run.rows
    assert loaded.epoch == run.epoch
    pd.testing.assert_frame_equal(loaded.history, run.history)


@pytest.mark.parametrize("level", CASES)
def test_the_folder_says_what_the_run_depends_on(runs, level):
    path = runs[level].path
    names = {"config.yaml", "metrics.csv", "model.safetensors", "versions.json", "result.json", "checkpoint.pt"}
    assert {p.name for p in path.iterdir()} == names
    config = yaml.safe_load((path / "config.yaml").read_text())
    assert config["format_version"] == 1
    assert config["model"]["name"] == CASES[level][0]
    assert config["model"]["arguments"] == CASES[level][2]
    assert config["dataset"]["split"]["hash"] == runs[level].data.split_hash
    assert config["task"]["name"] == level
    assert config["seed"] == 2
    assert len(pd.read_csv(path / "metrics.csv")) == 3
    assert "torch" in json.loads((path / "versions.json").read_text())
    assert set(torch.load(path / "checkpoint.pt", weights_only=True)) == {"done", "current"}


def test_a_named_dataset_is_loaded_again_by_itself(tmp_path):
    run = fit("gcn", gk.load("karate", split="random", seed=3, ratio=(0.5, 0.2, 0.3)), epochs=2, progress=False)
    path = run.save(tmp_path / "saved")
    assert torch.equal(Run.load(path).predict(), run.predict())
    assert gk.evaluate(path) == gk.evaluate(run)
    with pytest.raises(GraphKitError, match="holds a run already"):
        run.save(path)


def test_another_dataset_split_or_content_is_refused(runs):
    path = runs["node"].path
    with pytest.raises(GraphKitError, match=r"is of dataset 'blocks' \(node\), not of 'karate' \(node\)"):
        Run.load(path, gk.load("karate"))
    with pytest.raises(GraphKitError, match="holds other examples"):
        Run.load(path, blocks(seed=9))
    other = blocks()
    other.collated.node_fields["feat"] = other.collated.node_fields["feat"] + 1
    with pytest.raises(GraphKitError, match="other content"):
        Run.load(path, other)
    with pytest.raises(GraphKitError, match="loads by name"):
        Run.load(path)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"model": "sage"}, "its model.name is 'gcn', not 'sage'"),
        ({"hidden": 16}, "its model.arguments.hidden is 8, not 16"),
        ({"seed": 3}, "its seed is 2, not 3"),
        ({"lr": 0.5}, "its training.lr is 0.01, not 0.5"),
        ({"data": lambda: blocks(seed=9)}, "its dataset.split.seed is 0, not 9"),
    ],
)
def test_resuming_another_run_is_refused(runs, changed, sentence):
    changed = {"model": "gcn", "data": blocks, "hidden": 8, "seed": 2, "epochs": 3, **changed}
    model, data = changed.pop("model"), changed.pop("data")()
    before = {p.name: p.read_bytes() for p in runs["node"].path.iterdir()}
    with pytest.raises(GraphKitError, match=sentence):
        fit(model, data, run_dir=runs["node"].path, resume=True, progress=False, **changed)
    with pytest.raises(GraphKitError, match="holds a run already; resume it"):
        fit(model, data, run_dir=runs["node"].path, progress=False, **changed)
    assert before == {p.name: p.read_bytes() for p in runs["node"].path.iterdir()}


def damaged(run: Run, tmp_path: Path, **changes) -> Path:
    """Copy a run's folder and change entries of its configuration."""
    path = tmp_path / "copy"
    shutil.copytree(run.path, path)
    config = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))
    return path


def test_unknown_formats_and_damaged_files_are_refused(runs, tmp_path):
    path = damaged(runs["node"], tmp_path, format_version=99)
    with pytest.raises(GraphKitError, match="has run format 99; this GraphKit reads format 1"):
        Run.load(path, blocks())
    shutil.rmtree(path)
    path = damaged(runs["node"], tmp_path, model={**runs["node"].config["model"], "arguments": {"hidden": 9}})
    with pytest.raises(GraphKitError, match="are of another model"):
        Run.load(path, blocks())
    (path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(GraphKitError, match="is damaged"):
        Run.load(path, blocks())
    (path / "config.yaml").write_text("[unclosed")
    with pytest.raises(GraphKitError, match="is not YAML"):
        Run.load(path, blocks())
    with pytest.raises(GraphKitError, match="holds no run"):
        Run.load(tmp_path, blocks())
    with pytest.raises(GraphKitError, match="is not a folder"):
        Run.load(tmp_path / "nowhere", blocks())


def test_a_hostile_checkpoint_is_refused_and_not_executed(runs, tmp_path):
    class Hostile:
        def __reduce__(self):
            return Path.touch, (tmp_path / "owned",)

    path = tmp_path / "copy"
    shutil.copytree(runs["node"].path, path)
    torch.save({"done": [], "current": Hostile()}, path / "checkpoint.pt")
    with pytest.raises(GraphKitError, match="damaged or no checkpoint"):
        fit("gcn", blocks(), hidden=8, seed=2, epochs=3, run_dir=path, resume=True, progress=False)
    assert not (tmp_path / "owned").exists()


def test_predictions_of_each_level(runs):
    node = runs["node"]
    assert node.predict(nodes=3).shape == (1, 3)
    assert torch.allclose(node.predict(nodes=[3, 4]).sum(-1), torch.ones(2))
    assert torch.equal(node.predict()[[4, 3]], node.predict(nodes=[4, 3]))
    assert runs["graph"].predict(graphs=[0, 1]).shape == (2, 2)
    link = runs["link"]
    scores = [link.predict(pairs=p) for p in ((3, 4), [(3, 4)], torch.tensor([[3, 4]]))]
    assert all(torch.equal(s, scores[0]) for s in scores)
    assert 0 <= float(scores[0]) <= 1
    pairs = Pairs(torch.tensor([3]), torch.tensor([4]))
    assert torch.equal(link.predict(pairs=pairs), scores[0])
    assert runs["triple"].predict(pairs=[(3, 1, 4)]).shape == (1,)


@pytest.mark.parametrize(
    ("level", "asked", "sentence"),
    [
        ("node", {"pairs": (1, 2)}, "predicts nodes, not links"),
        ("node", {"nodes": [60]}, "node ids run from 0 to 59; got 60 to 60"),
        ("graph", {"graphs": [-1]}, "graph ids run from 0 to 35"),
        ("link", {}, "name the pairs"),
        ("link", {"pairs": [[1, 2, 3, 4]]}, r"expected \[P, 2\] or \[P, 3\]"),
        ("link", {"pairs": (1, 99)}, "node ids run from 0 to 59"),
        ("triple", {"pairs": (1, 2)}, "need relations"),
        ("triple", {"pairs": (1, 7, 2)}, "relation ids run from 0 to 1"),
    ],
)
def test_bad_questions_get_one_sentence(runs, level, asked, sentence):
    with pytest.raises(GraphKitError, match=sentence):
        runs[level].predict(**asked)


def test_a_users_own_module_is_loaded_into_a_module(tmp_path):
    run = fit(Linear(), blocks(), epochs=2, run_dir=tmp_path / "own", progress=False)
    with pytest.raises(GraphKitError, match="has no registered name"):
        Run.load(run.path, blocks())
    assert torch.equal(Run.load(run.path, blocks(), model=Linear()).predict(), run.predict())


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GraphKitError, match="cannot write"):
        fit("gcn", blocks(), epochs=1, run_dir=tmp_path / "file" / "run", progress=False)


def test_plain_values_survive_yaml():
    class Thing:
        pass

    assert plain({"a": (1, None), "t": torch.tensor(2.5), "c": Thing})["t"] == 2.5
    assert Folder("nowhere").result() == {}
