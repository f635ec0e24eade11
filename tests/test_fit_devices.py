"""Several processes that train one model: the same weights as one process, a clear end when one dies, no lost work."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

import graphkit as gk
from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.fit import TrainingError
from graphkit.fit.folder import Folder
from graphkit.sampling import Loader
from tests.fit_ranks import OPTIONS, Alike, Failing, two_machines
from tests.fit_toys import blocks, rings

ROOT = Path(__file__).resolve().parents[1]
#: Batches of 7 over two processes are uneven, and the last of an epoch is smaller still.
SAGE = {**OPTIONS, "batch_size": 7, "fanouts": [-1, -1]}


def assert_same_training(one, other):
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(other.model.state_dict()[name], value, rtol=1e-5, atol=1e-5)
    for a, b in zip(one.rows, other.rows, strict=True):
        assert b == pytest.approx(a, abs=1e-5)
    assert other.metrics == pytest.approx(one.metrics, abs=1e-5)


class Rows:
    def make(self, rows, seed):
        return Batch(None, None, label=rows)


@pytest.mark.parametrize("total", [10, 11, 13])
def test_the_shares_of_a_batch_are_the_batch_and_one_row_is_everybodys(total):
    whole = list(Loader(Rows(), total, 6, shuffle=True, seed=4))
    shares = []
    for rank in range(3):
        loader = Loader(Rows(), total, 6, shuffle=True, seed=4)
        loader.divide(rank, 3)
        shares.append(list(loader))
    assert len({len(share) for share in shares}) == 1
    for index, batch in enumerate(whole):
        parts = [share[index] for share in shares]
        rows = torch.cat([part.label for part in parts])
        if len(batch.label) < 3:
            assert torch.equal(rows, batch.label.repeat(3))
            assert {part.fields["copies"] for part in parts} == {3}
        else:
            assert torch.equal(rows.sort().values, batch.label.sort().values)
            assert not any(part.fields for part in parts)


def test_two_processes_draw_the_neighbours_that_one_would():
    drawn = {**SAGE, "fanouts": [2, 3]}
    assert_same_training(gk.fit("sage", blocks(), **drawn), gk.fit("sage", blocks(), devices=2, **drawn))


def test_two_processes_train_to_the_weights_of_one(tmp_path):
    one = gk.fit("sage", blocks(), **SAGE)
    two = gk.fit("sage", blocks(), devices=2, run_dir=tmp_path / "run", **SAGE)
    assert_same_training(one, two)
    assert two.config["training"]["devices"] == 2
    assert torch.equal(gk.Run.load(tmp_path / "run", blocks()).predict(), two.predict())
    # With one process more of the same run is trained; the number of processes is no part of what it is.
    more = gk.fit("sage", blocks(), run_dir=tmp_path / "run", resume=True, **{**SAGE, "epochs": 4})
    assert more.rows[:3] == two.rows
    assert len(more.rows) == 4


def test_processes_cut_the_same_clusters():
    """A batch of one cluster is everybody's, so the weights tell whether the clusters agree."""
    options = {**OPTIONS, "batch_size": 10, "sampler": "cluster", "sampler_options": {"parts": 6}}
    assert_same_training(*(gk.fit("sage", blocks(), devices=n, **options) for n in (1, 2)))


def test_graphs_and_links_are_shared_too():
    # Each process normalises by the means of its own share, so the weights are not those of one process.
    graphs = gk.fit("gin", rings(), Alike(rings()), devices=2, **{**OPTIONS, "batch_size": 8, "epochs": 2})
    assert len(graphs.rows) == 2
    assert graphs.path is None
    links = [gk.fit("sage", blocks(task="link"), devices=2, **{**SAGE, "batch_size": 16}) for _ in range(2)]
    assert links[0].rows == links[1].rows
    assert links[0].rows[-1]["train/loss"] < links[0].rows[0]["train/loss"]


def failing(data):
    return Failing(data, batch_size=7, fanouts=[-1, -1])


def test_a_killed_process_ends_the_run_which_resumes_to_the_same_end(tmp_path, monkeypatch):
    data, folder = blocks(), tmp_path / "run"
    monkeypatch.setenv("RANK_FAILS", "killed")
    with pytest.raises(TrainingError, match=r"process 1 of 2 was killed by SIGKILL.*up to epoch 1: go on with resume"):
        gk.fit("sage", data, failing(data), devices=2, run_dir=folder, **OPTIONS)
    assert Folder(folder).checkpoint()["current"]["epoch"] == 1
    assert not Folder(folder).finished
    monkeypatch.delenv("RANK_FAILS")
    resumed = gk.fit("sage", data, failing(data), devices=2, run_dir=folder, resume=True, **OPTIONS)
    assert_same_training(gk.fit("sage", data, failing(data), **OPTIONS), resumed)


def test_processes_end_with_the_one_that_started_them(tmp_path):
    words = f"gk.fit('sage', blocks(), devices=2, run_dir={str(tmp_path / 'run')!r}, **{ {**SAGE, 'epochs': 400}!r})"
    program = f"import graphkit as gk\nfrom tests.fit_toys import blocks\nif __name__ == '__main__': {words}\n"
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    started = psutil.Popen([sys.executable, str(tmp_path / "program.py")], env=environment)
    while Folder(tmp_path / "run").checkpoint() is None and started.poll() is None:
        time.sleep(0.05)
    ranks = started.children(recursive=True)
    started.kill()
    assert len(ranks) >= 2
    assert psutil.wait_procs(ranks, timeout=30)[1] == []
    short = {**SAGE, "epochs": Folder(tmp_path / "run").checkpoint()["current"]["epoch"] + 1}
    resumed = gk.fit("sage", blocks(), run_dir=tmp_path / "run", resume=True, **short)
    assert_same_training(gk.fit("sage", blocks(), **short), resumed)


def test_a_loss_that_is_no_number_in_one_process_ends_all_with_its_sentence(monkeypatch):
    data = blocks()
    monkeypatch.setenv("RANK_FAILS", "nan")
    with pytest.raises(TrainingError, match=r"the loss became .* at epoch 1, batch 0"):
        gk.fit("sage", data, failing(data), devices=2, **OPTIONS)


def test_two_machines_meet_through_torchrun(tmp_path):
    """Two loopback addresses stand for two machines."""
    said = two_machines(tmp_path / "run", 29541, [60, 60])
    assert [status for status, _, _ in said] == [0, 0], said
    one = gk.fit("sage", blocks(), **{**SAGE, "fanouts": [3, 2]})
    assert {out.strip() for _, out, _ in said} == {f"loss {one.rows[-1]['train/loss']:.6f} sent 0"}
    assert Folder(tmp_path / "run").finished


def test_machines_with_different_data_are_told_and_write_nothing(tmp_path):
    said = two_machines(tmp_path / "run", 29542, [60, 63])
    assert all(status != 0 for status, _, _ in said)
    for _, _, errors in said:
        assert "process 1 holds other data than process 0: its dataset." in errors, errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "data", "options", "sentence"),
    [
        ("gcn", blocks, {}, "2 processes share the examples of each batch; give a batch_size"),
        ("sage", blocks, {"batch_size": 1}, "batch_size 1 is less than the 2 processes"),
        ("sage", blocks, {"batch_size": 8, "resume": True}, "resume=True needs run_dir"),
        ("sage", blocks, {"batch_size": 8, "scheduler": lambda optimizer: None}, "to other processes, which fails"),
    ],
)
def test_what_cannot_be_shared_is_told_in_one_sentence(model, data, options, sentence):
    with pytest.raises(GraphKitError, match=sentence) as caught:
        gk.fit(model, data(), devices=2, epochs=2, progress=False, device="cpu", **options)
    assert "\n" not in str(caught.value)
