"""Peak memory of a step of each layer, one process for each case: ``python benchmarks/speed/memory.py``.

What is counted is how far the resident memory rises, during a forward and a backward, above what it was when graph,
features and layer were there and the libraries had run once on a tiny graph. Writes memory.json and memory.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import graphkit  # noqa: F401

HERE = Path(__file__).parent
SECONDS = 300
#: Greatest wanted share of each peer's memory that ours takes.
TARGETS = {("GATv2", "dgl"): 0.5, ("GATv2", "pyg"): 0.5}


def _status(field: str) -> int:
    """Bytes of a field of the process's own status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def worker(size: str, layer: str, library: str) -> int:
    """Bytes that a step adds at its highest."""
    import torch
    from cases import MEMORY_LIMIT, SIZES, Inputs
    from contenders import CONTENDERS

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    torch.set_num_threads(1)
    make = CONTENDERS[layer][library]
    make(Inputs(replace(SIZES[size], nodes=100, edges=400, graphs=1)))()  # loads what is loaded once
    run = make(Inputs(SIZES[size]))
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    run()
    return _status("VmHWM") - before


def case(size: str, layer: str, library: str) -> dict:
    """One row, from a process of its own."""
    command = [sys.executable, __file__, "--worker", size, layer, library]
    row: dict = {"size": size, "layer": layer, "library": library}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {**row, "failed": f"over {SECONDS} s"}
    if done.returncode == 0:
        return {**row, "mib": round(int(done.stdout) / 2**20, 1)}
    last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    return {**row, "failed": "out of memory" if "memory" in last.lower() or done.returncode < 0 else last[:80]}


def table(result: dict) -> str:
    """The rows as Markdown, a line for each size and layer."""
    lines = [
        "# Memory of a step",
        "",
        "How far the resident memory rises during one forward and backward, MiB; one process for each case, one "
        "thread. A share is ours over the peer's.",
        "",
        "| size | layer | GraphKit | DGL | ours / DGL | PyG | ours / PyG | targets |",
        "|---|---|---|---|---|---|---|---|",
    ]
    cells: dict[tuple[str, str], dict[str, dict]] = {}
    for row in result["rows"]:
        cells.setdefault((row["size"], row["layer"]), {})[row["library"]] = row
    for (size, layer), by in cells.items():
        ours, line, said = by["graphkit"], [size, layer, _cell(by["graphkit"])], []
        for peer in ("dgl", "pyg"):
            share = ours["mib"] / by[peer]["mib"] if peer in by and "mib" in ours and "mib" in by[peer] else None
            line += [_cell(by[peer]) if peer in by else "", "" if share is None else f"{share:.2f}"]
            wanted = TARGETS.get((layer, peer))
            if wanted is not None and share is not None:
                said.append(f"{peer} {wanted:g} {'met' if share <= wanted else 'MISSED'}")
        lines.append("| " + " | ".join([*line, ", ".join(said)]) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: dict) -> str:
    return f"{row['mib']:.0f}" if "mib" in row else row["failed"]


def main() -> None:
    """Measure and write."""
    from contenders import CONTENDERS
    from layers import MAIN
    from timing import provenance

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["medium", "large"])
    parser.add_argument("--only", nargs="+", help="names of layers")
    parser.add_argument("--out", type=Path, default=HERE / "memory")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(worker(*arguments.worker))
        return
    result = {**provenance(), "rows": []}
    for size in arguments.sizes:
        for layer in arguments.only or [name for name in MAIN if name != "Linear alone"]:
            for library in (name for name in CONTENDERS[layer] if name in ("graphkit", "dgl", "pyg")):
                result["rows"].append(case(size, layer, library))
                print(result["rows"][-1], file=sys.stderr, flush=True)
                arguments.out.with_suffix(".json").write_text(json.dumps(result) + "\n")
    arguments.out.with_suffix(".md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
