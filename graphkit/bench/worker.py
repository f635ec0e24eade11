"""The process that measures one recipe: ``python -m graphkit.bench.worker RECIPE TARGET SEEDS``."""

from __future__ import annotations

import sys
from pathlib import Path

from graphkit.bench.runner import measure
from graphkit.core.errors import GraphKitError


def main(recipe: str, target: str, seeds: str) -> int:
    """Measure and return the exit code: 0, or 2 on bad input."""
    try:
        measure(Path(recipe), Path(target), [int(seed) for seed in seeds.split(",")])
    except GraphKitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
