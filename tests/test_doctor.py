"""The doctor finds a healthy environment healthy, and says what is wrong with a sick one."""

from __future__ import annotations

import os

import pytest

from graphkit import GraphKitError, _dgl, doctor, sampling


def test_this_environment_is_healthy():
    found = {check.name: check for check in doctor.report()}
    assert [check for check in found.values() if not check.ok] == []
    assert {"python", "torch", "dgl", "threads", "kernels", "METIS", "neighbour sampler"} <= found.keys()


def test_a_wrong_kernel_is_found(monkeypatch):
    right = _dgl.spmm_kernel
    monkeypatch.setattr(_dgl, "spmm_kernel", lambda *args: (right(*args)[0] + 1, (None, None)))
    check = next(check for check in doctor.report() if check.name == "kernels")
    assert not check.ok
    assert "spmm disagrees" in check.detail


def test_a_sampler_that_ignores_its_seed_is_found(monkeypatch):
    right = sampling.sample_block
    monkeypatch.setattr(sampling, "sample_block", lambda *args, seed: right(*args, seed=5))
    check = next(check for check in doctor.report() if check.name == "neighbour sampler")
    assert (check.ok, "seed" in check.detail) == (False, True)


def test_the_hook_is_written_at_once_and_twice(tmp_path):
    assert doctor.write_hook(tmp_path) == doctor.write_hook(tmp_path)
    assert os.listdir(tmp_path) == [doctor.HOOK_NAME]


def test_a_folder_that_cannot_be_written_gets_one_sentence(tmp_path):
    with pytest.raises(GraphKitError, match="cannot write the start-up hook"):
        doctor.write_hook(tmp_path / "not" / "there")
