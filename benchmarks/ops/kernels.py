"""Which kernel for which op, and from what size a second thread pays: ``python benchmarks/ops/kernels.py``.

Each op's candidates run interleaved on one graph; the choice in graphkit/ops follows what this writes to kernels.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "speed"))

from timing import interleave, provenance

import graphkit  # noqa: F401
from graphkit import _dgl, ops
from graphkit._kernels import sums
from graphkit.ops import _linear
from graphkit.ops._relation import relation


def candidates(nodes: int, edges: int, width: int) -> dict[str, dict[str, Callable[[], object]]]:
    """Op to candidate to closure, forward only."""
    import dgl
    from dgl.nn.functional import edge_softmax

    torch.manual_seed(0)
    graph = dgl.graph((torch.randint(0, nodes, (edges,)), torch.randint(0, nodes, (edges,))), num_nodes=nodes)
    graph.create_formats_()
    gidx, rel = _dgl.structure(graph).gidx, relation(graph)
    x, w, score = torch.randn(nodes, width), torch.rand(edges), torch.randn(edges, 8)
    indptr, index, edge = (torch.from_numpy(a) for a in rel.compressed())
    src, dst = rel.ends(x.device)
    heads = width // 8
    by_head = x.view(nodes, 8, heads)
    column = w.unsqueeze(1)

    def csr(values: torch.Tensor) -> torch.Tensor:
        return torch.sparse_csr_tensor(indptr, index, values, size=(nodes, nodes)) @ x

    def numba_sum() -> torch.Tensor:
        out = torch.empty(nodes, width)
        sums.neighbour_sum(0, nodes, *rel.compressed()[:2], x.numpy(), out.numpy())
        return out

    def numba_weighted() -> torch.Tensor:
        out = torch.empty(nodes, width)
        parts = rel.compressed()
        sums.neighbour_weighted_sum(0, nodes, *parts, column.numpy(), x.numpy(), out.numpy())
        return out

    ones = torch.ones(edges)
    return {
        "sum": {
            "graphkit": lambda: _linear.raw_sum(rel, x, None),
            "numba": numba_sum,
            "dgl": lambda: _dgl.spmm_kernel(gidx, "copy_lhs", "sum", x, None),
            "torch-csr": lambda: csr(ones),
            "index_add": lambda: x.new_zeros(nodes, width).index_add_(0, dst, x[src]),
        },
        "weighted sum": {
            "graphkit": lambda: _linear.raw_sum(rel, x, column),
            "numba": numba_weighted,
            "dgl": lambda: _dgl.spmm_kernel(gidx, "mul", "sum", x, column),
            "torch-csr": lambda: csr(w[edge]),
        },
        "weighted sum by head": {
            "numba": lambda: _linear.raw_sum(rel, x, score),
            "dgl": lambda: _dgl.spmm_kernel(gidx, "mul", "sum", by_head, score.unsqueeze(-1)),
        },
        "max": {
            "numba": lambda: ops.spmm(graph, x, reduce="max"),
            "dgl": lambda: _dgl.spmm_kernel(gidx, "copy_lhs", "max", x, None),
        },
        "dot": {
            "numba": lambda: ops.sddmm(graph, by_head, by_head),
            "dgl": lambda: _dgl.sddmm_kernel(gidx, "dot", by_head, by_head),
        },
        "edge_softmax": {"numba": lambda: ops.edge_softmax(graph, score), "dgl": lambda: edge_softmax(graph, score)},
    }


def threads_pay(sizes: list[int], rounds: int) -> list[dict[str, float]]:
    """Milliseconds of the neighbour sum with one and two threads by number of multiply-adds."""
    import dgl

    rows = []
    default = _linear.threads_for
    for edges in sizes:
        graph = dgl.rand_graph(edges // 16 + 32, edges)
        x, rel = torch.randn(graph.num_nodes(), 64), relation(graph)

        def run(threads: int, x: torch.Tensor = x, rel: object = rel) -> torch.Tensor:
            _linear.threads_for = lambda work: threads
            return _linear.raw_sum(rel, x, None)

        times = interleave({"one": lambda run=run: run(1), "two": lambda run=run: run(2)}, rounds * 5)
        rows.append({"multiply_adds": edges * 64, **{k: 1e3 * float(np.min(t)) for k, t in times.items()}})
    _linear.threads_for = default
    return rows


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--nodes", type=int, default=40_000)
    parser.add_argument("--edges", type=int, default=640_000)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 64, 128])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result: dict = {**provenance(), "nodes": arguments.nodes, "edges": arguments.edges, "rows": []}
    for nodes, edges in ((arguments.nodes, arguments.edges), (50, 200)):
        for width in arguments.widths:
            for op, runs in candidates(nodes, edges, width).items():
                times = interleave(runs, arguments.rounds)
                row = {"op": op, "edges": edges, "width": width, "ms": {k: 1e3 * min(t) for k, t in times.items()}}
                print(op, edges, width, {k: round(v, 3) for k, v in row["ms"].items()}, flush=True)
                result["rows"].append(row)
    result["threads"] = threads_pay([200, 2_000, 20_000, 64_000, 200_000], arguments.rounds)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
