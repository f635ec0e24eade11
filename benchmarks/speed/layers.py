"""Forward and backward of each layer beside DGL's and PyG's own: ``python benchmarks/speed/layers.py``.

Random graphs of the sizes in cases.py, gradients of the inputs and all parameters, contenders interleaved in one
process for each size. Rows measured anew replace the old ones of the same size, layer and number of threads in
layers.json; layers.md is the table of all rows (``--table`` writes it without measuring).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import graphkit  # noqa: F401

HERE = Path(__file__).parent
#: Layers with a target of their own; those of them with one at the large size; those with heads.
MAIN = (
    "GCN", "SAGE", "GIN", "GAT", "GATv2", "Transformer", "Transformer, edges", "GINE", "GatedGCN", "GEN softmax",
    "GEN power", "PNA", "Linear alone",
)  # fmt: skip
LARGE = tuple(name for name in MAIN if name not in ("Transformer, edges", "GEN power", "PNA"))
ATTENTION = ("GAT", "GATv2", "Transformer")


def layers_of(size: str, threads: int, only: list[str] | None) -> list[str]:
    """Names of the layers that run at a size; with several threads those that have a target."""
    from contenders import CONTENDERS

    # A matrix for each of 640 thousand edges is more than the peers' memory; memory.py shows it.
    whole = tuple(name for name in CONTENDERS if name != "NNConv" or size == "molecules")
    names = {"large": LARGE, "medium-8x16": ATTENTION}.get(size, whole if threads == 1 else LARGE)
    return [name for name in names if only is None or name in only]


def measure(size: str, threads: int, only: list[str] | None, rounds: int) -> list[dict]:
    """Rows of one size at one number of threads; each layer's contenders are interleaved."""
    import torch
    from cases import MEMORY_LIMIT, SIZES, Inputs
    from contenders import CONTENDERS
    from dgl.utils import set_num_threads
    from timing import interleave, ratio, start

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    torch.set_num_threads(threads)
    set_num_threads(threads)
    inputs, rows = Inputs(SIZES[size]), []
    for layer in layers_of(size, threads, only):
        runs, failed = start({k: lambda make=make: make(inputs) for k, make in CONTENDERS[layer].items()})
        times = interleave(runs, rounds)
        row = {"size": size, "layer": layer, "threads": threads, "rounds": rounds, "failed": failed}
        row["ms"] = {k: round(1e3 * min(t), 3) for k, t in times.items()}
        if "graphkit" in times:
            row["ratios"] = {k: ratio(t, times["graphkit"]) for k, t in times.items() if k != "graphkit"}
        row["rounds_ms"] = {k: [round(1e3 * v, 3) for v in t] for k, t in times.items()}
        print(size, layer, threads, row["ms"], failed or "", file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def run_size(size: str, threads: int, arguments: argparse.Namespace) -> list[dict]:
    """Measure a size in a process of its own, so that what one size leaves behind does not slow another."""
    command = [sys.executable, __file__, "--worker", "--sizes", size, "--threads", str(threads)]
    command += ["--rounds", str(arguments.rounds), *(["--only", *arguments.only] if arguments.only else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: the process of size {size} ended with {done.returncode}")
    return json.loads(done.stdout)


def merge(path: Path, rows: list[dict]) -> dict:
    """Put rows into the file in place of older ones and return all."""
    from timing import provenance

    result = json.loads(path.read_text()) if path.exists() else {}
    about = provenance()
    for row in rows:
        row["commit"] = about["commit"]
    fresh = {_key(row) for row in rows}
    kept = [row for row in result.get("rows", []) if _key(row) not in fresh]
    result = {**about, "command": "python benchmarks/speed/layers.py", "rows": sorted(kept + rows, key=_key)}
    path.write_text(json.dumps(result) + "\n")
    return result


def _key(row: dict) -> tuple:
    from cases import SIZES
    from contenders import CONTENDERS

    return list(SIZES).index(row["size"]), list(CONTENDERS).index(row["layer"]), row["threads"]


def main() -> None:
    """Measure and write."""
    from cases import SIZES
    from report import table

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", help="names of layers")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=HERE / "layers")
    parser.add_argument("--table", action="store_true", help="write the table from the JSON and measure nothing")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(arguments.sizes[0], arguments.threads[0], arguments.only, arguments.rounds)))
        return
    path = arguments.out.with_suffix(".json")
    if not arguments.table:
        for threads in arguments.threads:
            for size in arguments.sizes:
                merge(path, run_size(size, threads, arguments))
    text = table(json.loads(path.read_text()))
    arguments.out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
