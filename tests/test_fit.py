"""fit: seeds, workers, kills and resumptions, phases, early stopping, bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.fit import Settings, TrainingError, fit
from graphkit.tasks import GraphTask, NodeTask
from tests import fit_program
from tests.fit_toys import Linear, TwoPhases, blocks, family, rings

ROOT = Path(__file__).resolve().parents[1]
QUIET = {"progress": False, "epochs": 3}


def train(kind: str, folder: Path, die_at: int) -> int:
    """Run tests/fit_program.py in its own process, which kills itself, and return how it ended."""
    command = [sys.executable, "-m", "tests.fit_program", kind, str(folder), str(die_at)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240).returncode


def test_the_module_is_the_function():
    assert callable(gk.fit)
    assert gk.fit.fit is fit
    assert gk.Run is gk.fit.Run


@pytest.mark.parametrize(
    ("model", "data", "options"),
    [
        ("sage", blocks, {"batch_size": 8, "fanouts": [2, 2]}),
        ("gin", rings, {"batch_size": 8}),
        ("sage", lambda: blocks(task="link"), {"batch_size": 16, "fanouts": [2, 2]}),
    ],
)
def test_one_seed_gives_one_history_whatever_the_workers(model, data, options):
    runs = [fit(model, data(), seed=5, num_workers=w, **options, **QUIET) for w in (0, 0, 2)]
    assert runs[0].rows == runs[1].rows == runs[2].rows
    assert runs[0].metrics == runs[2].metrics
    assert fit(model, data(), seed=6, **options, **QUIET).rows != runs[0].rows


def test_fit_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    fit("gcn", blocks(), **QUIET)
    assert torch.equal(torch.rand(1), expected)


def test_sigkill_in_the_middle_of_an_epoch_costs_that_epoch_only(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fit_program.main("sage", str(whole))
    steps = len(range(0, len(blocks().splits["train"]), 8))
    assert steps > 2
    assert train("sage", killed, die_at=3 * steps + 2) == -signal.SIGKILL
    assert len(pd.read_csv(killed / "metrics.csv")) == 3
    assert not (killed / "model.safetensors").exists()
    with pytest.raises(GraphKitError, match="unfinished"):
        gk.Run.load(killed, blocks())
    fit_program.main("sage", str(killed), workers=2, resume=True)
    for name in ("metrics.csv", "result.json", "model.safetensors", "config.yaml"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    assert not list(killed.glob(".*"))


def test_a_kill_in_the_second_phase_keeps_the_first(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fit_program.main("phases", str(whole))
    assert train("phases", killed, die_at=6) == -signal.SIGKILL
    assert len(pd.read_csv(killed / "metrics.csv")) == 5
    fit_program.main("phases", str(killed), resume=True)
    assert (whole / "metrics.csv").read_bytes() == (killed / "metrics.csv").read_bytes()
    assert (whole / "model.safetensors").read_bytes() == (killed / "model.safetensors").read_bytes()


def test_phases_run_in_turn_and_hear_their_results():
    model = TwoPhases()
    run = fit(model, blocks(), progress=False)
    assert run.history["phase"].tolist() == ["warm"] * 3 + ["fine"] * 4
    assert run.history["lr"].tolist() == [0.1] * 3 + [0.01] * 4
    assert [result.name for result in model.heard] == ["warm", "fine"]
    assert model.heard[0].metrics["val/accuracy"] == max(run.history["val/accuracy"][:3])


def test_scores_are_read_at_the_first_of_the_best_validation_epochs():
    run = fit("gcn", blocks(), progress=False, epochs=40)
    column = run.history["val/accuracy"]
    assert run.epoch == int(column.idxmax())
    assert run.metrics["val/accuracy"] == column.max()
    assert run.evaluate("val")["accuracy"] == column.max()


def test_patience_ends_the_training_and_test_is_not_looked_at_on_the_way():
    run = fit("gcn", blocks(), progress=False, epochs=300, patience=5)
    assert len(run.rows) == run.epoch + 1 + 5 < 300
    assert not [name for name in run.history if name.startswith("test/")]
    tracked = fit("gcn", blocks(), progress=False, epochs=300, patience=5, track=("val", "test"))
    assert tracked.metrics == run.metrics
    assert "test/accuracy" in tracked.history


def test_more_epochs_go_on_where_a_finished_run_ended(tmp_path):
    fit("gcn", blocks(), run_dir=tmp_path / "a", **QUIET)
    (tmp_path / "a" / ".checkpoint.pt.killed").write_bytes(b"half a checkpoint")
    longer = fit("gcn", blocks(), run_dir=tmp_path / "a", resume=True, progress=False, epochs=6)
    assert longer.rows == fit("gcn", blocks(), progress=False, epochs=6).rows
    again = fit("gcn", blocks(), run_dir=tmp_path / "a", resume=True, progress=False, epochs=6)
    assert again.metrics == longer.metrics
    assert not list((tmp_path / "a").glob(".*"))


@pytest.mark.parametrize("scheduler", ["cosine", "step", "exponential", "plateau", {"name": "step", "step_size": 1}])
def test_schedulers_change_the_learning_rate(scheduler):
    run = fit("gcn", blocks(), scheduler=scheduler, **QUIET)
    assert run.history["lr"][0] == 0.01
    if scheduler == {"name": "step", "step_size": 1}:
        assert run.history["lr"].tolist() == pytest.approx([0.01, 0.005, 0.0025])


def test_a_callable_scheduler_and_a_clipped_gradient():
    def halve(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)

    run = fit("gcn", blocks(), scheduler=halve, clip=1e-9, weight_decay=0.0, **QUIET)
    assert run.history["lr"].tolist() == pytest.approx([0.01, 0.005, 0.0025])
    assert "halve" in run.config["training"]["scheduler"]


@pytest.mark.parametrize("precision", ["64", "bf16-mixed"])
def test_precisions(precision, tmp_path):
    run = fit("gcn", blocks(), precision=precision, run_dir=tmp_path / "run", **QUIET)
    assert next(run.model.parameters()).dtype == (torch.float64 if precision == "64" else torch.float32)
    assert torch.equal(gk.Run.load(tmp_path / "run", blocks()).predict(), run.predict())


def test_a_loss_that_becomes_nan_is_told_and_loses_nothing(tmp_path):
    class Breaks(NodeTask):
        def loss(self, model, batch):
            self.calls = getattr(self, "calls", 0) + 1
            return super().loss(model, batch) * (float("nan") if self.calls == 3 else 1.0)

    data = blocks()
    with pytest.raises(TrainingError, match=r"loss became nan at epoch 2, batch 0 of phase 'train'; try a smaller lr"):
        fit(Linear(), data, Breaks(data), run_dir=tmp_path / "run", progress=False, epochs=9)
    with pytest.raises(TrainingError) as caught:
        fit(Linear(), data, Breaks(data), progress=False, epochs=9)
    assert len(caught.value.run.rows) == 2
    assert torch.isfinite(caught.value.run.predict()).all()
    assert len(pd.read_csv(tmp_path / "run" / "metrics.csv")) == 2
    resumed = fit(Linear(), data, type("Breaks", (NodeTask,), {"__module__": Breaks.__module__})(data), progress=False)
    assert resumed.epoch >= 0


def test_nan_features_are_told_before_training():
    data = blocks()
    data.graph.ndata["feat"][7, 1] = float("nan")
    with pytest.raises(GraphKitError, match="feat holds NaN or infinity in 1 of 60 rows, first in row 7"):
        fit("gcn", data, **QUIET)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"precision": "16-mixed"}, "needs a CUDA GPU, not cpu"),
        ({"precision": "8"}, "unknown precision '8'"),
        ({"device": "cuda:77"}, "this machine has"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"epochs": -1}, "epochs is -1"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"scheduler": "cosin"}, "did you mean|expected one of"),
        ({"resume": True}, "needs run_dir"),
        ({"task": "link"}, "was loaded for 'node'"),
        ({"task": {"fanout": [2]}}, "option of the node task"),
        ({"hiden": 8}, "hidden"),
        ({"devices": 0}, "devices is 0"),
        ({"devices": "two"}, "devices is 'two'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"select": "f1"}, "unknown monitored score 'val/f1'"),
    ],
)
def test_bad_arguments_get_one_sentence(arguments, sentence):
    with pytest.raises(GraphKitError, match=sentence) as caught:
        fit("gcn", blocks(), **{**QUIET, "device": "cpu", **arguments})
    assert "\n" not in str(caught.value)


def test_unknown_model_suggests_the_nearest():
    with pytest.raises(GraphKitError, match="did you mean 'gcn'"):
        fit("gcnn", blocks(), **QUIET)


def test_a_models_own_defaults_and_a_users_say():
    run = fit("gcn", blocks(), **QUIET)
    assert run.config["training"]["weight_decay"] == 5e-4
    assert fit("gcn", blocks(), weight_decay=0, **QUIET).config["training"]["weight_decay"] == 0
    graphs = fit("gin", rings(), batch_size="full", **QUIET)
    assert graphs.config["training"]["scheduler"] == "step"
    assert isinstance(graphs.task, GraphTask)


def test_without_a_validation_part_the_last_epoch_counts():
    data = blocks(splits={"train": torch.arange(30), "test": torch.arange(30, 60)})
    run = fit("gcn", data, **QUIET)
    assert run.epoch == 2
    assert set(run.metrics) == {"train/loss", "test/loss", "test/accuracy"}


def test_settings_refuse_what_they_do_not_know():
    with pytest.raises(GraphKitError, match="unknown setting 'epoch'"):
        Settings().replace(epoch=3)


def test_every_level_learns_something():
    assert fit("gcn", blocks(), progress=False, epochs=60).metrics["test/accuracy"] > 0.7
    assert fit("gin", rings(), progress=False, epochs=20).metrics["test/accuracy"] > 0.9
    assert fit("gae", blocks(task="link"), progress=False, epochs=60).metrics["test/auc"] > 0.6
    run = fit("distmult", family(), progress=False, epochs=60, hidden=16)
    assert run.rows[-1]["train/loss"] < run.rows[0]["train/loss"]
