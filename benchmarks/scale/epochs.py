"""The table of one epoch in memory, packed under a budget, and by a naive memory-mapped reader; each in a process.

python benchmarks/scale/epochs.py FOLDER --budget 2GB --rounds 3 --out benchmarks/scale/epochs.json
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import graphkit as gk
from graphkit.core.sizes import parse_bytes

HERE = Path(__file__).parent


def run(*words: str) -> dict:
    done = subprocess.run([sys.executable, HERE / "one_epoch.py", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="2GB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packed", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=HERE / "epochs.json")
    asked, rest = parser.parse_known_args()  # the rest is one_epoch.py's
    packed = asked.packed or asked.folder.with_name(asked.folder.name + "-packed")
    common = ["--budget", asked.budget, "--packed", str(packed), *rest]
    about = gk.load(str(asked.folder)).statistics()
    rows = [run(str(asked.folder), "pack", *common)]
    for _ in range(asked.rounds):  # alternating, so that what else the machine does touches all alike
        rows += [run(str(asked.folder), mode, *common) for mode in ("memory", "packed", "naive")]
    best = {
        mode: min((r for r in rows if r["mode"] == mode), key=lambda r: r["epoch_s"])
        for mode in ("memory", "packed", "naive")
    }
    found = {
        "graph": about,
        "budget": parse_bytes(asked.budget),
        "pack": rows[0],
        "best": best,
        "speed_of_memory": {mode: best["memory"]["epoch_s"] / row["epoch_s"] for mode, row in best.items()},
        "anonymous_over_structure_and_budget": {
            mode: row["anonymous"] / (row["structure"] + parse_bytes(asked.budget)) for mode, row in best.items()
        },
        "rounds": rows,
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        },
    }
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    for mode, row in best.items():
        print(
            f"{mode:8} {row['epoch_s']:8.2f} s  {row['anonymous'] / 1e6:9.1f} MB anonymous  "
            f"{row['epoch_read'] / 1e6:9.1f} MB read  accuracy {row['val_accuracy']:.4f}"
        )


if __name__ == "__main__":
    main()
