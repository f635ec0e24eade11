"""Interleaved timing: every round runs each contender once, in a random order, and ratios are of minima."""

from __future__ import annotations

import importlib.metadata
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: A contender whose first step takes longer is left out with that as its reason.
TIME_LIMIT = 60.0


def start(
    makers: dict[str, Callable[[], Callable[[], object]]],
) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """Make each contender and run its first step; return those that run, and why the others do not."""
    contenders, failed = {}, {}
    for name, make in makers.items():
        try:
            run = make()
            took = _seconds(run)
        except (RuntimeError, MemoryError) as error:
            failed[name] = _reason(error)
            continue
        if took > TIME_LIMIT:
            failed[name] = f"over {TIME_LIMIT:.0f} s"
        else:
            contenders[name] = run
    return contenders, failed


def interleave(contenders: dict[str, Callable[[], object]], rounds: int, seed: int = 0) -> dict[str, list[float]]:
    """Return the seconds of each contender in each round, after one that compiles, caches and fills the allocator."""
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = random.Random(seed)
    for _ in range(rounds):
        names = list(times)
        order.shuffle(names)
        for name in names:
            times[name].append(_seconds(contenders[name]))
    return times


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    short = isinstance(error, MemoryError) or "memory" in text.lower()
    return "out of memory" if short else f"{type(error).__name__}: {text[:80]}"


def ratio(peer: list[float], ours: list[float], draws: int = 2000) -> dict[str, float]:
    """Peer's least time over our least, with the 95 % interval of resampled rounds."""
    rng = np.random.default_rng(0)
    a, b = np.array(peer), np.array(ours)
    least_a, least_b = (x[rng.integers(0, len(x), (draws, len(x)))].min(1) for x in (a, b))
    values = least_a / least_b
    low, high = np.quantile(values, [0.025, 0.975])
    return {"ratio": float(a.min() / b.min()), "low": float(low), "high": float(high)}


def provenance() -> dict[str, object]:
    """Versions, processor, commit and command."""
    model = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    packages = ("torch", "dgl", "numba", "numpy", "torch-geometric")
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": commit.stdout.strip(),
        "processor": model,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
