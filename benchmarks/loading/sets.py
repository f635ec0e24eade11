"""Graph sets of the size of published ones, generated from a seed and written as TUDataset's text files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Size:
    """How large a set is, and what its graphs look like."""

    graphs: int
    nodes: float
    edges: float
    spread: float
    largest: int
    kind: str
    batch_size: int


#: Means as TUDataset's page prints them; spreads and largest graphs near those of the published files.
SIZES = {
    "REDDIT-BINARY-LIKE": Size(2000, 429.63, 497.75, 554.0, 3782, "threads", 128),
    "COLLAB-LIKE": Size(5000, 74.49, 2457.78, 62.3, 492, "cliques", 64),
}


def node_counts(size: Size, rng: np.random.Generator) -> np.ndarray:
    """Log-normal sizes of the wanted mean and spread, cut off and scaled back to the mean, int64 ``[B]``."""
    sigma2 = np.log(1 + (size.spread / size.nodes) ** 2)
    drawn = rng.lognormal(np.log(size.nodes) - sigma2 / 2, np.sqrt(sigma2), size.graphs)
    for _ in range(20):
        drawn = np.clip(drawn * (size.nodes / drawn.mean()), 6, size.largest)
    return np.round(drawn).astype(np.int64)


def threads(nodes: int, edges: int, rng: np.random.Generator) -> np.ndarray:
    """A tree in which few nodes have most of the children, and random edges to make up the number, ``[E, 2]``."""
    child = np.arange(1, nodes)
    tree = np.stack([(child * rng.random(nodes - 1) ** 6).astype(np.int64), child], axis=1)
    more = rng.integers(nodes, size=(max(edges - len(tree), 0), 2))
    return np.concatenate([tree, more[more[:, 0] != more[:, 1]]])


def cliques(nodes: int, edges: int, rng: np.random.Generator) -> np.ndarray:
    """That many different pairs of a complete graph, ``[E, 2]``."""
    pairs = np.stack(np.triu_indices(nodes, 1), axis=1)
    return pairs[rng.choice(len(pairs), min(edges, len(pairs)), replace=False)]


def write(name: str, folder: Path, seed: int = 0) -> dict[str, float]:
    """Write ``NAME_A.txt``, ``NAME_graph_indicator.txt`` and ``NAME_graph_labels.txt``, and say what they hold."""
    size, rng = SIZES[name], np.random.default_rng(seed)
    counts = node_counts(size, rng)
    room = counts * (counts - 1) / 2 if size.kind == "cliques" else counts
    wanted = np.round(room * (size.edges * size.graphs / room.sum())).astype(np.int64)
    make = {"threads": threads, "cliques": cliques}[size.kind]
    start = np.concatenate([[0], np.cumsum(counts)])
    parts = []
    for i, (nodes, edges) in enumerate(zip(counts.tolist(), wanted.tolist(), strict=True)):
        pairs = np.unique(np.sort(make(nodes, edges, rng), axis=1), axis=0) + start[i] + 1
        parts.append(np.concatenate([pairs, pairs[:, ::-1]]))
    table = np.concatenate(parts)
    folder.mkdir(parents=True, exist_ok=True)
    labels = rng.integers(1, 3 if size.kind == "threads" else 4, size.graphs)
    for part, values in (
        ("A", table),
        ("graph_indicator", np.repeat(np.arange(1, size.graphs + 1), counts)[:, None]),
        ("graph_labels", labels[:, None]),
    ):
        _save(folder / f"{name}_{part}.txt", values)
    return {
        "graphs": size.graphs,
        "nodes_per_graph": len(np.repeat(counts, 1)) and float(counts.mean()),
        "edges_per_graph": len(table) / 2 / size.graphs,
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
    }


def _save(path: Path, values: np.ndarray) -> None:
    import pandas

    pandas.DataFrame(values).to_csv(path, header=False, index=False)
