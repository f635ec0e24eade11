"""What processes of one training run in the tests: tasks that fail in one of them, and a program for torchrun."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

import graphkit as gk
from graphkit.tasks import NodeTask
from tests.fit_toys import blocks

OPTIONS = {"hidden": 8, "epochs": 3, "seed": 3, "progress": False, "device": "cpu", "dropout": 0.0}


class Failing(NodeTask):
    """The node task, whose second process fails once ``flag`` exists: killed, or by a loss that is no number."""

    how, flag = "", Path()

    def loss(self, model, batch):
        """Return the loss, and fail where that is wanted."""
        loss = super().loss(model, batch)
        if self.ranks[0] == 1 and Failing.flag.exists():
            if Failing.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            loss = loss * torch.nan
        return loss


class Killed(Failing):
    """Fails by a signal in the second epoch."""

    def begin_epoch(self, model, epoch):
        """Arm the failure."""
        Failing.how, Failing.flag = "kill" if epoch == 1 else "", Path(__file__) if epoch == 1 else Path("no such file")


class Diverging(Killed):
    """Fails by its loss in the second epoch."""

    def begin_epoch(self, model, epoch):
        """Arm the failure."""
        super().begin_epoch(model, epoch)
        Failing.how = ""


if __name__ == "__main__":
    run = gk.fit("sage", blocks(), batch_size=7, fanouts=[-1, -1], run_dir=sys.argv[1], **OPTIONS)
    print(f"loss {run.rows[-1]['train/loss']:.6f}")
