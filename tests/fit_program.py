"""A training that is run in its own process and, if asked, kills itself with SIGKILL in the middle of an epoch."""

from __future__ import annotations

import os
import signal
import sys

import graphkit as gk
from graphkit.tasks import NodeTask
from tests.fit_toys import TwoPhases, blocks


def main(kind: str, folder: str, workers: int, die_at: int, resume: bool) -> None:
    """Fit ``kind`` in ``folder``; die at training step ``die_at`` (never if negative)."""
    seen = 0
    usual = NodeTask.step

    def step(self, model, batch, update):
        nonlocal seen
        loss = usual(self, model, batch, update)
        seen += 1
        if seen == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss

    NodeTask.step = step
    common = {"run_dir": folder, "resume": resume, "progress": False, "num_workers": workers, "seed": 3}
    if kind == "phases":
        gk.fit(TwoPhases(), blocks(), **common)
    else:
        options = {"epochs": 6, "batch_size": 8, "fanouts": [3, 3], "scheduler": "cosine", "patience": 5}
        gk.fit("sage", blocks(), hidden=8, **options, **common)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "resume")
