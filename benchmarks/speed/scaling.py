"""How time grows with edges, and how near sums are to what memory gives: ``python benchmarks/speed/scaling.py``.

Layers, forward and backward, on random graphs of mean degree 16 from 640 thousand to 10 million edges: the slope of log
time over log edges, by least squares. Sums: bytes of rows gathered per second, beside a plain compiled loop that
gathers the same rows and adds them up. One thread. Writes scaling.json and scaling.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numba
import numpy as np
import torch
from timing import interleave, provenance

from graphkit import nn as gk
from graphkit import ops

if TYPE_CHECKING:
    import dgl

HERE = Path(__file__).parent
EDGES = (640_000, 1_280_000, 2_560_000, 5_120_000, 10_240_000)
DEGREE, WIDTH, HEADS = 16, 64, 8
#: Greatest wanted slope, and least wanted share of the plain loop's bandwidth.
SLOPE, SHARE = 1.15, 0.6


@numba.njit(cache=True, fastmath=True)
def gather(indptr: np.ndarray, index: np.ndarray, x: np.ndarray, out: np.ndarray) -> None:
    """Add up, for each row, the rows of x that its edges name."""
    width = x.shape[1]
    for v in range(len(indptr) - 1):
        row = out[v]
        for f in range(width):
            row[f] = 0
        for j in range(indptr[v], indptr[v + 1]):
            term = x[index[j]]
            for f in range(width):
                row[f] += term[f]


def random_graph(nodes: int, edges: int) -> dgl.DGLGraph:
    """A graph with its formats made."""
    import dgl

    graph = dgl.graph((torch.randint(0, nodes, (edges,)), torch.randint(0, nodes, (edges,))), num_nodes=nodes)
    graph.create_formats_()
    return graph


def layer_step(make: Callable[[], torch.nn.Module], graph: dgl.DGLGraph) -> Callable[[], None]:
    """Forwards and backwards once."""
    layer, feat = make(), torch.randn(graph.num_nodes(), WIDTH, requires_grad=True)

    def run() -> None:
        torch.autograd.grad(layer(graph, feat).sum(), [feat, *layer.parameters()], allow_unused=True)

    return run


LAYERS: dict[str, Callable[[], torch.nn.Module]] = {
    "GCN": lambda: gk.GCNConv(WIDTH, WIDTH, self_loops=False),
    "SAGE": lambda: gk.SAGEConv(WIDTH, WIDTH),
    "GIN": lambda: gk.GINConv(WIDTH, WIDTH, mlp=torch.nn.Linear(WIDTH, WIDTH)),
    "GAT": lambda: gk.GATConv(WIDTH, WIDTH, HEADS, self_loops=False),
    "GATv2": lambda: gk.GATv2Conv(WIDTH, WIDTH, HEADS, self_loops=False),
    "Transformer": lambda: gk.TransformerConv(WIDTH, WIDTH, HEADS),
    "PNA": lambda: gk.PNAConv(WIDTH, WIDTH),
}


def slopes(rounds: int) -> list[dict]:
    """Times of each layer at each number of edges and the slope between them."""
    rows: list[dict] = [{"layer": name, "edges": list(EDGES), "ms": []} for name in LAYERS]
    for edges in EDGES:
        graph = random_graph(edges // DEGREE, edges)
        times = interleave({name: layer_step(make, graph) for name, make in LAYERS.items()}, rounds)
        for row in rows:
            row["ms"].append(round(1e3 * min(times[row["layer"]]), 2))
            print(edges, row["layer"], row["ms"][-1], file=sys.stderr, flush=True)
    for row in rows:
        row["slope"] = float(np.polyfit(np.log(row["edges"]), np.log(row["ms"]), 1)[0])
    return rows


def bandwidths(rounds: int) -> list[dict]:
    """Gathered bytes per second of the sums and of the plain loop, at two widths."""
    rows = []
    for nodes, edges, width in ((40_000, 640_000, 64), (40_000, 640_000, 128), (170_000, 2_400_000, 128)):
        graph = random_graph(nodes, edges)
        x, weight = torch.randn(nodes, width), torch.rand(edges)
        indptr, index, _ = (part.numpy() for part in graph.adj_tensors("csc"))
        out = np.empty((nodes, width), np.float32)
        runs = {
            "loop": lambda: gather(indptr, index, x.numpy(), out),  # noqa: B023
            "sum": lambda: ops.spmm(graph, x),  # noqa: B023
            "weighted": lambda: ops.spmm(graph, x, weight),  # noqa: B023
        }
        times = {name: min(taken) for name, taken in interleave(runs, rounds).items()}
        row = {"nodes": nodes, "edges": edges, "width": width}
        row["gb_per_s"] = {name: round(edges * width * 4 / took / 1e9, 2) for name, took in times.items()}
        row["share"] = {name: times["loop"] / times[name] for name in ("sum", "weighted")}
        rows.append(row)
    return rows


def table(result: dict) -> str:
    """Both parts as Markdown."""
    lines = [
        "# Growth with edges",
        "",
        f"Forward + backward, mean degree {DEGREE}, {WIDTH} to {WIDTH}, one thread, ms; wanted a slope of at most "
        f"{SLOPE} (log time over log edges).",
        "",
        "| layer | " + " | ".join(f"{edges / 1e6:.2f} M" for edges in EDGES) + " | slope | |",
        "|---|" + "---|" * (len(EDGES) + 2),
    ]
    for row in result["slopes"]:
        cells = [f"{value:.0f}" for value in row["ms"]]
        met = "met" if row["slope"] <= SLOPE else "MISSED"
        lines.append("| " + " | ".join([row["layer"], *cells, f"{row['slope']:.3f}", met]) + " |")
    lines += [
        "",
        "# Bandwidth of sums over neighbours",
        "",
        f"Gathered bytes per second; wanted at least {SHARE:.0%} of a plain compiled loop in the same run.",
        "",
        "| nodes | edges | width | loop GB/s | sum GB/s | share | weighted GB/s | share | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["bandwidths"]:
        speed, share = row["gb_per_s"], row["share"]
        cells = [f"{row[k]:,}" for k in ("nodes", "edges", "width")] + [f"{speed['loop']:.1f}"]
        for name in ("sum", "weighted"):
            cells += [f"{speed[name]:.1f}", f"{share[name]:.0%}"]
        met = "met" if min(share.values()) >= SHARE else "MISSED"
        lines.append("| " + " | ".join([*cells, met]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "scaling")
    arguments = parser.parse_args()
    from dgl.utils import set_num_threads

    torch.manual_seed(0)
    torch.set_num_threads(1)
    set_num_threads(1)
    result = {**provenance(), "bandwidths": bandwidths(2 * arguments.rounds), "slopes": slopes(arguments.rounds)}
    arguments.out.with_suffix(".json").write_text(json.dumps(result) + "\n")
    arguments.out.with_suffix(".md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
