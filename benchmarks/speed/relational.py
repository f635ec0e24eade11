"""Forward and backward of relational layers beside DGL's and PyG's own: ``python benchmarks/speed/relational.py``.

AIFB and MUTAG with inverse relations, and a random graph of 1M edges and 50 relations of skewed sizes; contenders are
interleaved in one process for each graph, memory is measured in a process for each case. Writes relational.json and
relational.md. A graph whose raw files are not to be had is left out with a line that says so.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import graphkit

HERE = Path(__file__).parent
GRAPHS = ("aifb", "mutag-rdf", "synthetic")
LAYERS = ("R-GCN", "R-GCN basis", "R-GCN bdd", "R-GAT", "HGT")
#: Least wanted ratio of a peer's time to ours, and greatest share of its memory.
TARGETS = {"dgl": 2.0, "pyg": 3.0}
#: Seconds after which the first step of a contender is broken off.
SECONDS = 30
#: A contender whose first step takes longer than SLOW seconds runs in the first SLOW_ROUNDS rounds only (at two threads
#: in one).
SLOW, SLOW_ROUNDS = 3.0, 3


def measure(graph: str, threads: int, only: list[str] | None, rounds: int, failed: dict) -> dict:
    """What a graph is, and a row for each layer; ``failed`` says what is not to be tried, by layer and library."""
    import torch
    from dgl.utils import set_num_threads
    from relational_cases import CONTENDERS, MEMORY_LIMIT, inputs_of
    from timing import ratio

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    torch.set_num_threads(threads)
    set_num_threads(threads)
    try:
        inputs = inputs_of(graph)
    except graphkit.GraphKitError as error:
        return {"about": {"skipped": str(error)}, "rows": []}
    rows = []
    for layer in LAYERS if only is None else only:
        makers = {k: lambda make=make: make(inputs) for k, make in CONTENDERS[layer].items()}
        times, why = race(makers, failed.get(layer, {}), rounds, SLOW_ROUNDS if threads == 1 else 1)
        row = {"graph": graph, "layer": layer, "threads": threads, "failed": why}
        row["ms"] = {k: round(1e3 * min(t), 3) for k, t in times.items()}
        row["ratios"] = {k: ratio(t, times["graphkit"]) for k, t in times.items() if k != "graphkit"}
        row["rounds_ms"] = {k: [round(1e3 * v, 3) for v in t] for k, t in times.items()}
        print(graph, layer, threads, row["ms"], why or "", file=sys.stderr, flush=True)
        rows.append(row)
    return {"about": inputs.about(), "rows": rows}


def race(
    makers: dict[str, Callable[[], Callable[[], None]]], failed: dict[str, str], rounds: int, slow_rounds: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of each contender in each round, slow ones in the first rounds only, and why some have none."""
    from timing import interleave

    runs, slow, why = {}, set(), dict(failed)
    for name in makers.keys() - failed.keys():
        try:
            runs[name], first = limited(makers[name])
        except (RuntimeError, MemoryError) as error:
            said = str(error) or "out of memory"
            why[name] = "out of memory" if "memory" in said.lower() else said.splitlines()[0][:80]
        else:
            slow |= {name} if first > SLOW else set()
    runs = {name: runs[name] for name in makers if name in runs}
    if not slow:
        return interleave(runs, rounds), why
    times = interleave(runs, slow_rounds)
    more = interleave({name: run for name, run in runs.items() if name not in slow}, rounds - slow_rounds)
    return {name: t + more.get(name, []) for name, t in times.items()}, why


def peak(graph: str, layer: str, library: str) -> int:
    """Bytes by which the resident memory rises from before the layer is built to the highest of its first step."""
    import torch
    from relational_cases import CONTENDERS, MEMORY_LIMIT, inputs_of, tiny

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    torch.set_num_threads(1)
    make = CONTENDERS[layer][library]
    make(tiny())()  # loads what is loaded once
    inputs = inputs_of(graph)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    limited(lambda: make(inputs))
    return _status("VmHWM") - before


def limited(make: Callable[[], Callable[[], None]]) -> tuple[Callable[[], None], float]:
    """Make a step and run it once, giving up after SECONDS; with the seconds that this took."""

    def stop(*_: object) -> None:
        raise RuntimeError(f"over {SECONDS} s")

    began = time.perf_counter()
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        run = make()
        run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return run, time.perf_counter() - began


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _run(*arguments: str, errors: int | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, check=False)


def memory(graph: str, layer: str, failed: dict[str, str]) -> dict[str, float | str]:
    """MiB of each library's step, or why there is none, from a process for each."""
    from relational_cases import CONTENDERS

    found: dict[str, float | str] = {}
    for library in CONTENDERS[layer]:
        if library in failed:
            found[library] = failed[library]
            continue
        done = _run("--peak", graph, layer, library, errors=subprocess.PIPE)
        last = (done.stderr.strip().splitlines() or [""])[-1]
        short = done.returncode < 0 or "memory" in last.lower()
        found[library] = "out of memory" if short else last[:80] if done.returncode else _mib_of(done.stdout)
    print(graph, layer, "MiB", found, file=sys.stderr, flush=True)
    return found


def _mib_of(printed: str) -> float:
    return round(int(printed) / 2**20, 1)


def table(result: dict) -> str:
    """The rows as Markdown, a section for each graph."""
    lines = [
        "# Relational layers",
        "",
        "Forward + backward, gradients of inputs and parameters, float32, 64 columns in and out; least of the "
        f"interleaved rounds ({SLOW_ROUNDS} of a contender over {SLOW:g} s, 1 at two threads), on "
        f"{result['processor']}. A ratio is the peer's time over GraphKit's with its 95 % "
        "bootstrap interval; targets (twice DGL, three times PyG, less memory than both) are judged at one thread. "
        "Memory is how far the resident memory rises from before the layer is built to the highest of its first step, "
        "indices included, MiB. " + result["peers"],
    ]
    for graph, about in result["graphs"].items():
        lines += ["", f"## {graph}", ""]
        if "skipped" in about:
            lines.append(f"Left out: {about['skipped']}")
            continue
        lines += [
            ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in about.items()), "",
            "| layer | threads | GraphKit ms | DGL ms | DGL / ours | PyG ms | PyG / ours | PyG loop ms | MiB: ours, "
            "DGL, PyG, PyG loop | targets |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        lines += [_line(row) for row in result["rows"] if row["graph"] == graph]
    return "\n".join(lines) + "\n"


def _line(row: dict) -> str:
    cells = [row["layer"], str(row["threads"]), _ms(row, "graphkit")]
    for peer in ("dgl", "pyg"):
        r = row["ratios"].get(peer)
        cells += [_ms(row, peer), f"{r['ratio']:.2f} ({r['low']:.2f} to {r['high']:.2f})" if r else ""]
    mib = row.get("mib", {})
    cells += [_ms(row, "pyg-loop"), ", ".join(_mib(value) for value in mib.values())]
    return "| " + " | ".join([*cells, verdict(row)]) + " |"


def _mib(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.0f}"


def _ms(row: dict, library: str) -> str:
    if library in row["failed"]:
        return row["failed"][library]
    value = row["ms"].get(library)
    return "" if value is None else f"{value:.1f}"


def verdict(row: dict) -> str:
    """Whether what was wanted of a row at one thread is met."""
    if row["threads"] != 1:
        return ""
    said = [
        f"{peer} {wanted:g}x {'met' if row['ratios'][peer]['ratio'] >= wanted else 'MISSED'}"
        for peer, wanted in TARGETS.items()
        if peer in row["ratios"]
    ]
    mib = row.get("mib", {})
    least = min((v for k, v in mib.items() if k in TARGETS and not isinstance(v, str)), default=None)
    if least is not None and not isinstance(mib["graphkit"], str):
        said.append(f"memory {'met' if mib['graphkit'] < least else 'MISSED'}")
    return ", ".join(said)


def _all(arguments: argparse.Namespace) -> dict:
    from relational_cases import PEERS
    from timing import provenance

    result: dict = {**provenance(), "command": "python benchmarks/speed/relational.py", "peers": PEERS}
    result |= {"graphs": {}, "rows": []}
    only = ["--only", *arguments.only] if arguments.only else []
    for graph in arguments.graphs:
        for threads in arguments.threads:
            known = json.dumps({row["layer"]: row["failed"] for row in result["rows"] if row["graph"] == graph})
            done = _run("--worker", graph, str(threads), known, "--rounds", str(arguments.rounds), *only)
            if done.returncode:
                raise SystemExit(f"error: the process of {graph} ended with {done.returncode}")
            found = json.loads(done.stdout)
            result["graphs"][graph] = found["about"]
            result["rows"] += found["rows"]
        for row in [row for row in result["rows"] if row["graph"] == graph and row["threads"] == 1]:
            row["mib"] = memory(graph, row["layer"], row["failed"])
    order = {name: i for i, name in enumerate(LAYERS)}
    result["rows"].sort(key=lambda row: (GRAPHS.index(row["graph"]), order[row["layer"]], row["threads"]))
    return result


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", nargs="+", choices=GRAPHS, default=list(GRAPHS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", choices=LAYERS, help="names of layers")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=HERE / "relational")
    parser.add_argument("--table", action="store_true", help="write the table from the JSON and measure nothing")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        graph, threads, known = arguments.worker
        print(json.dumps(measure(graph, int(threads), arguments.only, arguments.rounds, json.loads(known))))
        return
    if arguments.peak:
        print(peak(*arguments.peak))
        return
    path = arguments.out.with_suffix(".json")
    if not arguments.table:
        path.write_text(json.dumps(_all(arguments)) + "\n")
    text = table(json.loads(path.read_text()))
    arguments.out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
