"""What every test may stand on: where raw data lies, a home of its own, and how to run a fresh Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphkit  # noqa: F401  its import hook is what lets the tests import dgl

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("GRAPHKIT_MIRROR", str(ROOT.parent / "shared" / "data"))
# Small kernels on several threads wait for each other far longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session", autouse=True)
def graphkit_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the tests' cache out of the user's."""
    home = tmp_path_factory.mktemp("graphkit-home")
    os.environ["GRAPHKIT_HOME"] = str(home)
    return home


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Return the folder of raw data files, or skip."""
    folder = Path(os.environ["GRAPHKIT_MIRROR"])
    if not folder.is_dir():
        pytest.skip(f"no raw data files at {folder}; set GRAPHKIT_MIRROR to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def fresh_python():
    """Return a function that runs a program in a new interpreter and gives back what it printed."""

    def run(program: str, *arguments: str, ok: bool = True, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, *(arguments or ("-c", program))],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        assert (done.returncode == 0) == ok, done.stderr
        return done.stdout if ok else done.stderr

    return run


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs raw files or a GPU, each with a plain line, where there are none."""
    has_files = Path(os.environ["GRAPHKIT_MIRROR"]).is_dir()
    for item in items:
        if "real" in item.keywords and not has_files:
            item.add_marker(pytest.mark.skip(reason="no raw data files; set GRAPHKIT_MIRROR to a folder that has them"))
        if "gpu" in item.keywords:
            import torch

            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
