"""Bytes that an edge takes in memory once a graph is trained on: python benchmarks/scale/edge_bytes.py.

Anonymous memory that a process holds after training on a random graph, beyond libraries, features and 8 columns of
activations, for each edge; the constant `EDGE_BYTES` of graphkit/fit/planning.py is about the mean.
"""

import argparse
import gc
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: Rows of 8 floats that are kept by the process, features and freed activations among them.
ROWS = 5


def measure(model: str, nodes: int, edges: int) -> float:
    import torch
    from one_epoch import anonymous

    import graphkit as gk
    from graphkit import _dgl

    torch.set_num_threads(1)
    gk.fit(model, gk.load("digits"), epochs=1, progress=False)
    gc.collect()
    base, draw = anonymous(), torch.Generator().manual_seed(0)
    ends = torch.randint(nodes, (2, edges), generator=draw)
    graph = _dgl.from_arrays(ends[0].clone(), ends[1].clone(), nodes)
    del ends
    graph.ndata["feat"] = torch.randn(nodes, 8, generator=draw)
    labels = torch.randint(3, (nodes,), generator=draw)
    data = gk.Dataset.from_graph(graph, labels=labels, splits={"train": torch.arange(1000)})
    run = gk.fit(model, data, epochs=2, hidden=8, progress=False)
    gc.collect()
    held = anonymous() - base - ROWS * 32 * nodes
    return held / edges if run.rows else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=200_000)
    parser.add_argument("--edges", type=int, default=2_000_000)
    parser.add_argument("--out", type=Path, default=HERE / "edge_bytes.json")
    asked = parser.parse_args()
    found = {}
    for model in ("gcn", "sage", "gat", "gin"):
        words = [sys.executable, __file__, "measure", model, str(asked.nodes), str(asked.edges)]
        found[model] = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        print(f"{model:6} {found[model]:6.1f} bytes an edge")
    asked.out.write_text(json.dumps({"nodes": asked.nodes, "edges": asked.edges, "bytes": found}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(measure(sys.argv[2], *map(int, sys.argv[3:])))
    else:
        main()
