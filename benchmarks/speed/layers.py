"""Forward and backward of each layer beside DGL's and PyG's own: ``python benchmarks/speed/layers.py``.

A random graph of N nodes and E edges, width D to D_out, gradients of the input and all parameters. Self-loops are left
out everywhere so that all do the same work; peers run as they come. Writes layers.json and layers.md beside itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from timing import interleave, provenance, ratio

import graphkit  # noqa: F401
from graphkit import nn as gk

HERE = Path(__file__).parent
#: Least wanted ratio of the peer's time to ours at one thread.
TARGETS = {
    ("GCN", "dgl"): 1.0, ("SAGE", "dgl"): 1.0, ("GIN", "dgl"): 1.0, ("GAT", "dgl"): 1.0,
    ("GCN", "pyg"): 4.0, ("SAGE", "pyg"): 4.0, ("GIN", "pyg"): 4.0,
}  # fmt: skip


def _step(module: torch.nn.Module, *args: object) -> Callable[[], None]:
    """A closure that runs the layer forwards and backwards."""
    feat = next(a for a in args if isinstance(a, torch.Tensor) and a.requires_grad)

    def run() -> None:
        out = module(*args)
        torch.autograd.grad(out.sum(), [feat, *module.parameters()], allow_unused=True)

    return run


def _linear(d_in: int, d_out: int) -> torch.nn.Linear:
    return torch.nn.Linear(d_in, d_out)


def contenders(nodes: int, edges: int, d_in: int, d_out: int, heads: int) -> dict[str, dict[str, Callable[[], None]]]:
    """Layer name to library name to closure."""
    import dgl
    import dgl.nn as theirs

    torch.manual_seed(0)
    src, dst = torch.randint(0, nodes, (edges,)), torch.randint(0, nodes, (edges,))
    graph = dgl.graph((src, dst), num_nodes=nodes)
    graph.create_formats_()
    x = torch.randn(nodes, d_in, requires_grad=True)
    per_head = d_out // heads
    found = {
        "GCN": {
            "graphkit": _step(gk.GCNConv(d_in, d_out, self_loops=False), graph, x),
            "dgl": _step(theirs.GraphConv(d_in, d_out, allow_zero_in_degree=True), graph, x),
        },
        "SAGE": {
            "graphkit": _step(gk.SAGEConv(d_in, d_out), graph, x),
            "dgl": _step(theirs.SAGEConv(d_in, d_out, "mean"), graph, x),
        },
        "GIN": {
            "graphkit": _step(gin(d_in, d_out), graph, x),
            "dgl": _step(theirs.GINConv(_linear(d_in, d_out)), graph, x),
        },
        "GAT": {
            "graphkit": _step(gk.GATConv(d_in, d_out, heads, self_loops=False), graph, x),
            "dgl": _step(theirs.GATConv(d_in, per_head, heads, allow_zero_in_degree=True), graph, x),
        },
        "GATv2": {
            "graphkit": _step(gk.GATv2Conv(d_in, d_out, heads, self_loops=False), graph, x),
            "dgl": _step(theirs.GATv2Conv(d_in, per_head, heads, allow_zero_in_degree=True), graph, x),
        },
    }
    _add_pyg(found, nodes, src, dst, x, d_in, d_out, heads)
    found["Linear alone"] = {"graphkit": _step(_linear(d_in, d_out), x)}
    return found


def gin(d_in: int, d_out: int) -> torch.nn.Module:
    """Our GIN around one Linear, like the peers'."""
    return gk.GINConv(d_in, d_out, mlp=_linear(d_in, d_out))


def _add_pyg(found: dict, nodes: int, src: torch.Tensor, dst: torch.Tensor, x: torch.Tensor, *widths: int) -> None:
    try:
        import torch_geometric.nn as theirs
    except ImportError:
        return
    d_in, d_out, heads = widths
    edge_index = torch.stack([src, dst])
    adjacency = torch.sparse_coo_tensor(edge_index.flip(0), torch.ones(len(src)), (nodes, nodes)).to_sparse_csr()
    make = {
        "GCN": lambda: theirs.GCNConv(d_in, d_out, add_self_loops=False),
        "SAGE": lambda: theirs.SAGEConv(d_in, d_out),
        "GIN": lambda: theirs.GINConv(_linear(d_in, d_out)),
        "GAT": lambda: theirs.GATConv(d_in, d_out // heads, heads, add_self_loops=False),
        "GATv2": lambda: theirs.GATv2Conv(d_in, d_out // heads, heads, add_self_loops=False),
    }
    for name, layer in make.items():
        found[name]["pyg"] = _step(layer(), x, edge_index)
        if name in ("GCN", "SAGE", "GIN"):
            found[name]["pyg-csr"] = _step(layer(), x, adjacency)


def measure(arguments: argparse.Namespace) -> dict:
    """All layers at all numbers of threads."""
    from dgl.utils import set_num_threads

    sizes = {k: getattr(arguments, k) for k in ("nodes", "edges", "d_in", "d_out", "heads")}
    result: dict = {**provenance(), **sizes, "rounds": arguments.rounds, "rows": []}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        set_num_threads(threads)
        for layer, runs in contenders(**sizes).items():
            if arguments.only and layer not in arguments.only:
                continue
            times = interleave(runs, arguments.rounds)
            row = {"layer": layer, "threads": threads, "ms": {k: 1e3 * min(t) for k, t in times.items()}}
            row["ratios"] = {k: ratio(t, times["graphkit"]) for k, t in times.items() if k != "graphkit"}
            row["rounds_ms"] = {k: [round(1e3 * v, 3) for v in t] for k, t in times.items()}
            print(layer, threads, {k: round(v, 1) for k, v in row["ms"].items()}, flush=True)
            result["rows"].append(row)
            write(result, arguments.out)  # a run that is cut short keeps what it measured
    return result


def write(result: dict, out: Path) -> None:
    """Write the JSON and the table."""
    out.with_suffix(".json").write_text(json.dumps(result) + "\n")
    out.with_suffix(".md").write_text(table(result))


def table(result: dict) -> str:
    """The result as Markdown."""
    lines = [
        "# Layer speed",
        "",
        f"Forward + backward, N={result['nodes']:,}, E={result['edges']:,}, D={result['d_in']} to {result['d_out']}, "
        f"{result['heads']} heads for attention; least of {result['rounds']} interleaved rounds, float32, "
        f"{result['processor']}. A ratio is the peer's time over GraphKit's, with its 95 % bootstrap interval; targets "
        "are judged at one thread. PyG runs with `edge_index`, its sparse-CSR form beside.",
        "",
        "| layer | threads | GraphKit ms | DGL ms | DGL / ours | PyG ms | PyG / ours | PyG CSR ms | targets |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [row["layer"], str(row["threads"]), f"{row['ms']['graphkit']:.1f}"]
        for peer in ("dgl", "pyg"):
            cells.append(f"{row['ms'][peer]:.1f}" if peer in row["ms"] else "")
            r = row["ratios"].get(peer)
            cells.append(f"{r['ratio']:.2f} ({r['low']:.2f} to {r['high']:.2f})" if r else "")
        cells.append(f"{row['ms']['pyg-csr']:.1f}" if "pyg-csr" in row["ms"] else "")
        cells.append(_verdict(row))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _verdict(row: dict) -> str:
    if row["threads"] != 1:
        return ""
    said = []
    for (layer, peer), wanted in TARGETS.items():
        r = row["ratios"].get(peer)
        if layer == row["layer"] and r:
            # "Not slower" allows for the noise of the measurement, the multiples do not.
            met = r["high"] >= 1 and r["ratio"] >= 0.95 if wanted == 1 else r["ratio"] >= wanted
            said.append(f"{peer} {wanted:g}x {'met' if met else 'MISSED'}")
    return ", ".join(said)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (
        ("nodes", 40_000),
        ("edges", 640_000),
        ("d-in", 128),
        ("d-out", 64),
        ("heads", 8),
        ("rounds", 9),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", help="names of layers")
    parser.add_argument("--out", type=Path, default=HERE / "layers")
    arguments = parser.parse_args()
    result = measure(arguments)
    print(table(result))


if __name__ == "__main__":
    main()
