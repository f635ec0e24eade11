"""SMILES to graphs: molecules a second here and by PyTorch Geometric's ``from_smiles``, in one process.

    python benchmarks/molecules/featurise.py [--rounds 9] [--molecules 100]

Each takes the same SMILES of ESOL, Lipophilicity and Tox21 and gives graphs of heavy atoms with features of atoms and
bonds; parsing by RDKit is part of it. Times are CPU seconds of this process on one thread, the least of interleaved
rounds, so that a shared machine does not count. Writes featurise.json beside itself.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import graphkit as gk
from graphkit.bench.ledger import hardware, versions
from graphkit.graphs import smiles_to_collated

RESULT = Path(__file__).with_suffix(".json")
sys.path[:0] = [str(RESULT.parents[1] / "speed")]

from timing import ratio  # noqa: E402

SETS = ("esol", "lipophilicity", "tox21")


def contenders(smiles: list[str]) -> dict[str, Callable[[], object]]:
    """Return what turns all SMILES into graphs, by name."""
    from torch_geometric.utils import from_smiles

    return {
        "graphkit, a set": lambda: smiles_to_collated(smiles),
        "graphkit, one by one": lambda: [gk.graphs.molecule(text) for text in smiles],
        "pyg": lambda: [from_smiles(text) for text in smiles],
    }


def interleave(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return CPU seconds of each contender in each round, after one that nobody counts."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    order = random.Random(0)
    for turn in range(rounds + 1):
        names = list(runs)
        order.shuffle(names)
        for name in names:
            start = time.process_time()
            runs[name]()
            if turn:
                times[name].append(time.process_time() - start)
    return times


def measure(name: str, rounds: int, molecules: int) -> dict:
    """Measure one set."""
    smiles = gk.load(name).names["smiles"][:molecules]
    times = interleave(contenders(smiles), rounds)
    peer = times["pyg"]
    row = {"set": name, "molecules": len(smiles), "atoms": int(smiles_to_collated(smiles).node_offsets[-1])}
    row["per_second"] = {one: round(len(smiles) / min(seconds), 1) for one, seconds in times.items()}
    row["over_pyg"] = {one: ratio(peer, seconds) for one, seconds in times.items() if one != "pyg"}
    row["seconds"] = {one: np.round(seconds, 4).tolist() for one, seconds in times.items()}
    return row


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--molecules", type=int, default=100, help="of each set")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(name, arguments.rounds, arguments.molecules) for name in SETS]
    facts = {"command": "python benchmarks/molecules/featurise.py", "versions": versions(), "hardware": hardware()}
    RESULT.write_text(json.dumps({**facts, "rounds": arguments.rounds, "rows": rows}, indent=1) + "\n")
    for row in rows:
        print(row["set"], row["per_second"], {name: round(r["ratio"], 2) for name, r in row["over_pyg"].items()})


if __name__ == "__main__":
    main()
