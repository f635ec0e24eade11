"""One load and one pass of batches in this process, timed: what a user's script would wait for; prints JSON."""

from __future__ import annotations

import importlib
import json
import sys
import time


def graphkit(name: str, batch_size: int, features: str) -> tuple[float, float, float, int]:
    """Ours: seconds of import, load and pass, and how many edges the batches held."""
    start = time.perf_counter()
    from graphkit.data import load
    from graphkit.sampling import GraphLoader

    importlib.import_module("dgl")  # GraphKit would do it at the first graph
    imported = time.perf_counter()
    data = load(f"tu/{name}", split="random", verify=False, features=features)
    loaded = time.perf_counter()
    edges = sum(batch.graph.num_edges() for batch in GraphLoader(data, None, batch_size, shuffle=True))
    return imported - start, loaded - imported, time.perf_counter() - loaded, edges


def pyg(name: str, batch_size: int, features: str, root: str) -> tuple[float, float, float, int]:
    """The same with PyTorch Geometric's TUDataset and DataLoader."""
    start = time.perf_counter()
    import torch
    from torch_geometric.datasets import TUDataset
    from torch_geometric.loader import DataLoader
    from torch_geometric.transforms import OneHotDegree
    from torch_geometric.utils import degree

    def log_degree(graph):
        graph.x = torch.log1p(degree(graph.edge_index[0], graph.num_nodes)).unsqueeze(1)
        return graph

    imported = time.perf_counter()
    transform = None
    if features == "degree":
        transform = OneHotDegree(491) if name.startswith("COLLAB") else log_degree
    data = TUDataset(root, name, transform=transform)
    loaded = time.perf_counter()
    edges = sum(batch.num_edges for batch in DataLoader(data, batch_size, shuffle=True))
    return imported - start, loaded - imported, time.perf_counter() - loaded, edges


if __name__ == "__main__":
    library, name, batch_size, features, *rest = sys.argv[1:]
    run = graphkit if library == "graphkit" else pyg
    imported, loaded, passed, edges = run(name, int(batch_size), features, *rest)
    print(json.dumps({"import": imported, "load": loaded, "pass": passed, "edges": edges}))
