"""One epoch of 3-layer GraphSAGE on a graph on disk, in a process of its own; prints one line of JSON.

python benchmarks/scale/one_epoch.py FOLDER memory|packed|naive|pack --budget 2GB --packed FOLDER
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path

import torch

import graphkit as gk
from graphkit.core.random import Rng
from graphkit.models import build
from graphkit.tasks.node import NodeTask


def anonymous() -> int:
    """Bytes of anonymous memory of this process."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def from_device() -> int:
    """Bytes that this process has read from a device."""
    line = next(x for x in Path("/proc/self/io").read_text().splitlines() if x.startswith("read_bytes"))
    return int(line.split()[1])


def drop_cache(*folders: Path) -> None:
    """Ask the kernel to forget the pages of all files."""
    os.sync()
    for folder in folders:
        for path in folder.glob("*") if folder.is_dir() else ():
            if path.is_file():
                file = os.open(path, os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)


class Peak:
    """The largest anonymous memory, looked at every 10 ms."""

    def __init__(self) -> None:
        self.bytes, self.stopped = anonymous(), threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        while not self.stopped.wait(0.01):
            self.bytes = max(self.bytes, anonymous())


def warm_up(fanouts: list[int]) -> None:
    """Compile kernels and load libraries on a small graph, so that a run measures runs."""
    gk.fit("sage", gk.load("digits"), {"fanouts": fanouts}, epochs=1, batch_size=512, num_layers=3, progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("mode", choices=["memory", "packed", "naive", "pack"])
    parser.add_argument("--budget", default="2GB")
    parser.add_argument("--packed", type=Path, default=None)
    parser.add_argument("--fanouts", type=int, nargs=3, default=[5, 5, 5])
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    warm_up(asked.fanouts)
    base, started, before = anonymous(), time.perf_counter(), from_device()
    drop_cache(asked.folder, asked.packed or asked.folder)
    peak = Peak()
    data = gk.load(str(asked.folder))
    if asked.mode == "memory":
        data.features = data.features[:]
    options = {"fanouts": asked.fanouts, "batch_size": asked.batch_size}
    packed = {"memory_budget": asked.budget, "packed": str(asked.packed), "stored_epochs": 1}
    task = NodeTask(data, **options, **(packed if asked.mode in ("packed", "pack") else {}))
    torch.manual_seed(0)
    model = build("sage", data.spec(), num_layers=3, hidden=asked.hidden, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    rng, losses = Rng(0, ("train", 0)), []
    batches = task.batches("train", model, rng)
    first = next(batches)  # what is made once, the structure or the packed folder, is made for the first batch
    found = {"mode": asked.mode, "prepare_s": time.perf_counter() - started}
    if asked.mode != "pack":
        begun, read = time.perf_counter(), from_device()
        for epoch in range(asked.epochs):
            if epoch:
                batches = task.batches("train", model, Rng(0, ("train", epoch)))
                first = next(batches)
            for batch in ([first], batches):
                for one in batch:
                    loss = task.loss(model, one)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    losses.append(float(loss.detach()))
        found |= {"epoch_s": (time.perf_counter() - begun) / asked.epochs, "epoch_read": from_device() - read}
        model.eval()
        with torch.no_grad():
            judge = task if asked.mode == "packed" else NodeTask(data, **options, memory_budget="1TB")
            found |= {"val_accuracy": judge.evaluate(model, "val")["accuracy"], "loss": sum(losses[-10:]) / 10}
    if asked.mode in ("packed", "pack"):
        found |= task.packs(model).opened["train"].stats()
        found["packed_bytes"] = sum(path.stat().st_size for path in asked.packed.glob("*"))
    peak.stopped.set()
    found |= {"read": from_device() - before, "anonymous": max(peak.bytes, anonymous()) - base}
    print(json.dumps({**found, "structure": data.structure_bytes, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
