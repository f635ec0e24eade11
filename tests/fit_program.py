"""A training that kills itself, if asked, with SIGKILL in the middle of an epoch; run in a process of its own."""

from __future__ import annotations

import os
import signal
import sys

import graphkit as gk
from graphkit.tasks import NodeTask
from tests.fit_toys import TwoPhases, blocks


class Mortal(NodeTask):
    """The node task, which ends its process after ``die_at`` training steps, before the epoch is over."""

    die_at = -1
    seen = 0

    def step(self, model, batch, update):
        """Train on one batch, and perhaps die."""
        loss = super().step(model, batch, update)
        Mortal.seen += 1
        if Mortal.seen == Mortal.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss


def main(kind: str, folder: str, workers: int = 0, resume: bool = False) -> None:
    """Fit ``kind``, ``sage`` in batches or a system of two phases, in ``folder``."""
    data = blocks()
    common = {"run_dir": folder, "resume": resume, "progress": False, "num_workers": workers, "seed": 3}
    if kind == "phases":
        gk.fit(TwoPhases(), data, Mortal(data), **common)
    else:
        task = Mortal(data, batch_size=8, fanouts=[3, 3])
        gk.fit("sage", data, task, hidden=8, epochs=6, scheduler="cosine", patience=5, **common)


if __name__ == "__main__":
    Mortal.die_at = int(sys.argv[3])
    main(sys.argv[1], sys.argv[2])
