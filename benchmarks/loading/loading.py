"""A second load and one pass of batches, beside PyTorch Geometric's: ``python benchmarks/loading/loading.py``.

Sets of the size of REDDIT-BINARY and COLLAB are generated from a seed and written as TUDataset's text files. Each
measurement is a Python process of its own, as a user's second run would be; contenders take turns in a random order.
Writes loading.json and loading.md beside itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "speed")]

import sets  # noqa: E402
from timing import provenance, ratio  # noqa: E402

FEATURES = {"none": "bare graphs", "degree": "degrees as features"}
LIBRARIES = ("graphkit", "pyg")
#: What a second load and pass must reach: PyG's time over ours, and our first load over our second load and pass.
TARGETS = {"peer": 1.0, "first": 10.0}


def once(python: list[str], scratch: Path, library: str, name: str, features: str) -> dict[str, float]:
    """Load and pass in a new process."""
    rest = [str(scratch / "pyg")] if library == "pyg" else []
    command = [*python, str(HERE / "once.py"), library, name, str(sets.SIZES[name].batch_size), features, *rest]
    environment = {**os.environ, "GRAPHKIT_HOME": str(scratch / "home"), "GRAPHKIT_MIRROR": str(scratch / "mirror")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else every process compiles both libraries anew
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def prepare(name: str, scratch: Path, seed: int) -> dict[str, float]:
    """Write the raw files where each library looks for them, unless they are there already."""
    folder, facts = scratch / "mirror" / "tu" / name, scratch / f"{name}.json"
    if not facts.exists():
        facts.parent.mkdir(parents=True, exist_ok=True)
        facts.write_text(json.dumps(sets.write(name, folder, seed)))
        raw = scratch / "pyg" / name / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            shutil.copy(file, raw)
    return json.loads(facts.read_text())


def measure(name: str, scratch: Path, arguments: argparse.Namespace, row: dict) -> dict:
    """First loads once each, then rounds of second loads with a pass; ``row`` is what an earlier run measured."""
    python = shlex.split(arguments.python)
    row = {**row, "set": name, **prepare(name, scratch, arguments.seed)}
    cases = [(library, features) for features in FEATURES for library in LIBRARIES]
    if not arguments.rounds_only:
        for folder in (scratch / "home" / "processed", scratch / "pyg" / name / "processed"):
            shutil.rmtree(folder, ignore_errors=True)
        made = [(*case, once(python, scratch, case[0], name, case[1])) for case in cases]
        # PyG keeps one processed file, whatever the features: its second case here was no first load.
        row["first"] = {f"{library} {features}": run["load"] for library, features, run in made[:3]}
    order, rounds = random.Random(arguments.seed), {case: [] for case in cases}
    for _ in range(arguments.rounds):
        order.shuffle(cases)
        for case in cases:
            rounds[case].append(once(python, scratch, case[0], name, case[1]))
    if arguments.rounds:
        row["cases"] = [_case(features, row["first"], rounds) for features in FEATURES]
        if len({run["edges"] for runs in rounds.values() for run in runs}) > 1:
            raise SystemExit(f"the batches of {name} do not hold the same edges in both libraries")
    return row


def _case(features: str, first: dict, rounds: dict) -> dict:
    """Summarise one way of loading: times with and without imports, ratios with their intervals."""
    case: dict = {"features": features, "rounds": {}}
    for library in LIBRARIES:
        runs = rounds[library, features]
        case["rounds"][library] = [{key: round(value, 4) for key, value in run.items()} for run in runs]
        case[library] = {key: min(run[key] for run in runs) for key in ("import", "load", "pass")}
        case[library]["second"] = min(run["load"] + run["pass"] for run in runs)
        case[library]["whole"] = min(run["import"] + run["load"] + run["pass"] for run in runs)
    ours, peer = ([run["load"] + run["pass"] for run in rounds[library, features]] for library in LIBRARIES)
    case["peer_ratio"] = ratio(peer, ours)
    ours, peer = (
        [run["import"] + run["load"] + run["pass"] for run in rounds[library, features]] for library in LIBRARIES
    )
    case["peer_ratio_with_import"] = ratio(peer, ours)
    for library in LIBRARIES:
        if f"{library} {features}" in first:
            case[library]["first_load"] = first[f"{library} {features}"]
    case["first_over_second"] = case["graphkit"]["first_load"] / case["graphkit"]["second"]
    return case


def table(result: dict) -> str:
    """The result as Markdown."""
    lines = [
        "# Loading speed",
        "",
        "Generated sets of the size of REDDIT-BINARY (2,000 graphs, 430 nodes and 498 edges on average, batches of "
        "128) and COLLAB (5,000 graphs, 74.5 nodes and 2,458 edges, batches of 64), read from TUDataset's text files. "
        "Second load = the processed copy and one shuffled pass of batches, a fresh process each; least seconds of "
        f"{result['rounds']} interleaved rounds, {result['threads']} threads, {result['processor']}. A ratio is PyG's "
        "time over GraphKit's, with its 95 % bootstrap interval; targets are judged without imports.",
        "",
        "| set | features | ours: first load | load + pass | PyG: first load | load + pass | PyG / ours | with imports "
        "(ours, PyG) | first / second | targets |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        for case in row.get("cases", ()):
            ours, peer, r = case["graphkit"], case["pyg"], case["peer_ratio"]
            first = f"{peer['first_load']:.1f}" if "first_load" in peer else ""
            lines.append(
                f"| {row['set']} | {case['features']} | {ours['first_load']:.2f} | {ours['load']:.3f} + "
                f"{ours['pass']:.3f} | {first} | {peer['load']:.3f} + {peer['pass']:.3f} | {r['ratio']:.2f} "
                f"({r['low']:.2f} to {r['high']:.2f}) | {ours['whole']:.2f}, {peer['whole']:.2f} | "
                f"{case['first_over_second']:.0f} | {_verdict(case)} |"
            )
    return "\n".join(lines) + "\n"


def _verdict(case: dict) -> str:
    said = []
    for name, value, wanted in (
        ("PyG", case["peer_ratio"]["ratio"], TARGETS["peer"]),
        ("first load", case["first_over_second"], TARGETS["first"]),
    ):
        said.append(f"{name} {wanted:g}x {'met' if value >= wanted else 'MISSED'}")
    return ", ".join(said)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(sets.SIZES), default=list(sets.SIZES))
    parser.add_argument("--python", default=sys.executable, help="the command that starts Python")
    parser.add_argument("--scratch", type=Path, help="a folder that keeps raw files and caches (4 GB) between runs")
    parser.add_argument("--rounds-only", action="store_true", help="take first loads from the JSON and the scratch")
    parser.add_argument("--out", type=Path, default=HERE / "loading")
    arguments = parser.parse_args()
    threads = os.environ.setdefault("OMP_NUM_THREADS", "2")
    out = arguments.out.with_suffix(".json")
    rows = {row["set"]: row for row in json.loads(out.read_text())["rows"]} if out.exists() else {}
    result = {**provenance(), "rounds": arguments.rounds, "threads": int(threads), "seed": arguments.seed}
    result["command"] = "python benchmarks/loading/loading.py"
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            rows[name] = measure(name, arguments.scratch or Path(folder), arguments, rows.get(name, {}))
            result["rows"] = [rows[name] for name in sets.SIZES if name in rows]
            out.write_text(json.dumps(result) + "\n")
    arguments.out.with_suffix(".md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
