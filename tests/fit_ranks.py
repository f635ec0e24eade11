"""What processes of one training run in the tests: a task that fails in one of them, and a program for torchrun."""

from __future__ import annotations

import os
import signal
import sys

import torch

import graphkit as gk
from graphkit.tasks import NodeTask
from tests.fit_toys import blocks

OPTIONS = {"hidden": 8, "epochs": 3, "seed": 3, "progress": False, "device": "cpu", "dropout": 0.0}


class Failing(NodeTask):
    """The node task, whose second process fails in the second epoch as the variable ``RANK_FAILS`` says."""

    epoch = -1

    def begin_epoch(self, model, epoch):
        """Note which epoch it is."""
        self.epoch = epoch

    def loss(self, model, batch):
        """Return the loss, or end by a signal, or return what is no number."""
        how = os.environ.get("RANK_FAILS") if (self.ranks[0], self.epoch) == (1, 1) else None
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(model, batch) * (torch.nan if how == "nan" else 1)


if __name__ == "__main__":
    data = gk.load(sys.argv[2]) if sys.argv[2:] else blocks()
    run = gk.fit("sage", data, batch_size=7, fanouts=[3, 2], run_dir=sys.argv[1], **OPTIONS)
    sent = run.data.features.rows_sent if sys.argv[2:] else 0
    print(f"loss {run.rows[-1]['train/loss']:.6f} sent {sent}")
