"""Edges sampled per second by our loader, DGL's and PyG's: python benchmarks/scale/neighbours.py."""

import argparse
import json
import os
import time
from pathlib import Path

import graphkit as gk  # isort: skip  its hook is what lets dgl be imported
import dgl
import numpy as np
import torch

from graphkit import _dgl
from graphkit.sampling import NeighborLoader

HERE = Path(__file__).parent


def graphs(nodes: int, degree: int) -> dict[str, dgl.DGLGraph]:
    """The same kind of graph with sources anywhere, and with few of them the sources of most nodes."""
    draw, indptr = np.random.default_rng(0), torch.arange(nodes + 1, dtype=torch.int32) * degree
    sources = {"uniform": draw.integers(nodes, size=nodes * degree), "skewed": nodes * draw.random(nodes * degree) ** 2}
    return {name: _dgl.from_incoming(indptr, torch.from_numpy(x.astype(np.int32))) for name, x in sources.items()}


def ours(graph, seeds, fanouts, size, number):
    loader = NeighborLoader(graph, seeds, fanouts, size, seed=number)
    return sum(b.num_edges() for batch in loader for b in batch.blocks)


def dgls(graph, seeds, fanouts, size, number):
    sampler = dgl.dataloading.NeighborSampler(fanouts)
    dgl.seed(number)
    loader = dgl.dataloading.DataLoader(graph, seeds.int(), sampler, batch_size=size)
    return sum(b.num_edges() for _, _, blocks in loader for b in blocks)


def pyg_or_why(graph):
    """PyG's loader as a contender, or why there is none."""
    try:
        import torch_geometric
        from torch_geometric.data import Data
        from torch_geometric.loader import NeighborLoader
    except ImportError as error:
        return None, str(error)
    src, dst = _dgl.structure(graph).src, _dgl.structure(graph).dst
    data = Data(edge_index=torch.stack([src, dst]), num_nodes=graph.num_nodes())

    def pyg(_, seeds, fanouts, size, number):
        loader = NeighborLoader(data, list(reversed(fanouts)), input_nodes=seeds, batch_size=size)
        return sum(batch.edge_index.shape[1] for batch in loader)

    try:
        pyg(None, torch.arange(8), [2], 8, 0)
    except ImportError as error:
        return None, f"torch_geometric {torch_geometric.__version__}: {error}"
    return pyg, ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=HERE / "neighbours.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    dgl.utils.set_num_threads(1)
    rows = []
    for name, graph in graphs(asked.nodes, 10).items():
        pyg, why = pyg_or_why(graph)
        contenders = {"graphkit": ours, "dgl": dgls} | ({"pyg": pyg} if pyg else {})
        seeds = torch.randperm(asked.nodes, generator=torch.Generator().manual_seed(0))[:10240]
        for fanouts, size in (([5, 5, 5], 1024), ([10, 10], 1024), ([10, 10], 256), ([-1], 1024)):
            best = dict.fromkeys(contenders, 0.0)
            cpu = dict.fromkeys(contenders, 0.0)
            for number in range(asked.rounds + 1):
                for who, run in contenders.items():
                    begun, used = time.perf_counter(), time.process_time()
                    edges = run(graph, seeds, fanouts, size, number)
                    if number:  # the first compiles and caches
                        best[who] = max(best[who], edges / (time.perf_counter() - begun))
                        cpu[who] = max(cpu[who], edges / (time.process_time() - used))
            row = {"graph": name, "fanouts": fanouts, "batch_size": size, "edges_per_s": best, "edges_per_cpu_s": cpu}
            rows.append({**row, "pyg": why or "runs", "ratio_to_dgl": best["graphkit"] / best["dgl"]})
            print(
                name, fanouts, size, {who: f"{x / 1e6:.1f}M" for who, x in best.items()}, f"{row_ratio(rows):.2f}", why
            )
    stated = {"nodes": asked.nodes, "rows": rows, "load": os.getloadavg(), "version": gk.__version__}
    asked.out.write_text(json.dumps(stated, indent=1) + "\n")


def row_ratio(rows: list) -> float:
    return rows[-1]["ratio_to_dgl"]


if __name__ == "__main__":
    main()
