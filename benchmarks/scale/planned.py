"""What `graphkit plan` predicts beside what runs take: python benchmarks/scale/planned.py writes planned.json.

Each prediction and each run has a process of its own. Memory is the largest anonymous memory beyond what libraries and
compiled kernels hold; time is that of the fastest of the epochs, validation scores included.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
#: Dataset, model, its arguments, the way, and what `fit` gets for it.
CASES = {
    "pubmed-gcn-full": ("pubmed", "gcn", {}, "full batch", {}),
    "pubmed-gat-full": ("pubmed", "gat", {}, "full batch", {}),
    "planted-sage-full": ("planted", "sage", {"hidden": 64}, "full batch", {"batch_size": "full"}),
    "planted-sage-sampled": ("planted", "sage", {"hidden": 64}, "sampling", {"batch_size": 1024}),
    "planted-gcn-sampled": ("planted", "gcn", {"hidden": 64}, "sampling", {"batch_size": 1024}),
    "planted-sage-disk": ("disk", "sage", {"hidden": 64}, "disk", {"batch_size": 1024}),
}


def dataset(name: str, folder: str):
    import graphkit as gk

    if name == "pubmed":
        return gk.load("pubmed")
    data = gk.load(folder)
    if name == "disk":
        return data
    from graphkit import _dgl

    structure = _dgl.structure(data.graph)
    graph = _dgl.from_arrays(structure.src, structure.dst, data.num_rows)
    graph.ndata["feat"], splits = data.features[:], dict(data.splits)
    made = gk.Dataset.from_graph(graph, labels=data.labels.clone(), splits=splits, name="planted")
    data._built = None
    return made


def predict(case: str, folder: str) -> dict:
    import torch

    import graphkit as gk

    torch.set_num_threads(1)
    name, model, arguments, way, _ = CASES[case]
    found = gk.plan(model, dataset(name, folder), batch_size=1024, **arguments)
    chosen = next(one for one in found.ways if one.name == way)
    return {"memory": chosen.memory, "seconds": chosen.seconds, "disk": chosen.disk, "least_budget": found.least_budget}


def measure(case: str, folder: str, budget: int) -> dict:
    import torch
    from one_epoch import Peak, anonymous

    import graphkit as gk
    from graphkit.fit.loop import Loop

    torch.set_num_threads(1)
    name, model, arguments, way, options = CASES[case]
    gk.fit(model, gk.load("digits"), epochs=1, progress=False)
    gk.fit(model, gk.load("digits"), epochs=1, batch_size=512, memory_budget="100MB", progress=False)
    times, inner = [], Loop._one_epoch

    def timed(self) -> None:
        before = time.perf_counter()
        inner(self)
        times.append(time.perf_counter() - before)

    Loop._one_epoch = timed
    base = anonymous()
    peak = Peak()
    data = dataset(name, folder)
    if name == "planted":  # what making it took is not what it takes
        import gc

        gc.collect()
        peak.bytes = anonymous()
    more = {"memory_budget": budget} if way == "disk" else {}
    gk.fit(model, data, epochs=4, progress=False, **arguments, **options, **more)
    return {"memory": max(peak.bytes, anonymous()) - base, "seconds": min(times), "load": os.getloadavg()[0]}


def child(what: str, *words: str) -> dict:
    done = subprocess.run([sys.executable, __file__, what, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="a graph of benchmarks/scale/generate.py")
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--out", type=Path, default=HERE / "planned.json")
    asked = parser.parse_args()
    rows = {}
    for case in asked.cases:
        said = child("predict", case, asked.folder)
        budget = int(1.5 * said["least_budget"])
        found = child("measure", case, asked.folder, str(budget))
        if CASES[case][3] == "disk":  # the prediction is for the least budget; this run was given more
            said["memory"] += budget - said["least_budget"]
        ratio = {key: found[key] / said[key] for key in ("memory", "seconds")}
        rows[case] = {"predicted": said, "measured": found, "measured_by_predicted": ratio}
        print(case, {key: f"{value:.2f}" for key, value in ratio.items()}, f"{said['memory'] / 1e6:.0f} MB", flush=True)
        asked.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "predict":
        print(json.dumps(predict(*sys.argv[2:4])))
    elif sys.argv[1] == "measure":
        print(json.dumps(measure(*sys.argv[2:4], int(sys.argv[4]))))
    else:
        main()
