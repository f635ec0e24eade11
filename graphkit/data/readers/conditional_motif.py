"""Pairs of graphs where the second says which part of the first counts, made from a seed."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.readers.motifs import CYCLE5
from graphkit.data.store import Files

CLIQUE4 = np.array([(i, j) for j in range(4) for i in range(j)])
#: What a node is part of.
PARTS = ["tree", "cycle", "clique", "star", "path"]


def _first(rng: np.random.Generator, size: int, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return edges, parts and values of a random tree with a cycle and a clique, each on a branch of its own."""
    child = np.arange(1, size)
    tree = np.stack([(rng.random(size - 1) * child).astype(np.int64), child], 1)
    ties = np.stack([rng.choice(size, 2, replace=False), np.array([size, size + 5])], 1)
    edges = np.concatenate([tree, CYCLE5 + size, CLIQUE4 + size + 5, ties])
    part = np.repeat([0, 1, 2], [size, 5, 4])
    return edges, part, np.array([0.0, *values])[part]


def _second(size: int, path: bool) -> np.ndarray:
    """Return the edges of a path or a star of ``size`` nodes."""
    child = np.arange(1, size)
    return np.stack([child - 1 if path else np.zeros_like(child), child], 1)


@register(
    "conditional-motif",
    kind="reader",
    level="graph",
    title="Conditional Graph Information Bottleneck for Molecular Relational Learning",
    arxiv="2305.01520",
)
def read_conditional_motif(
    files: Files | None = None, *, graph_seed: int = 0, num_pairs: int = 2000, tree: int = 8
) -> Raw:
    """Make pairs: a tree with a 5-cycle and a 4-clique that carry numbers a and b, beside a star or a path.

    The number to predict is a if the second graph is a star, b if it is a path. Stars and paths have 5 to 8 nodes,
    trees ``tree`` to ``2 tree - 1``; a and b are normal.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    num_pairs : int
    tree : int
        At least 2.

    Returns
    -------
    Raw
        ``feat`` float32 ``[N, 2]``: the number that a node carries, and 1; node fields ``side`` and ``part`` (0 tree, 1
        cycle, 2 clique, 3 star, 4 path); graph fields ``label`` float32 ``[B, 1]`` and ``path`` (bool).

    Raises
    ------
    GraphKitError
        If there is no pair, or the tree has no two nodes.
    """
    if num_pairs < 1 or tree < 2:
        raise GraphKitError(f"num_pairs={num_pairs}, tree={tree}; expected at least 1 pair and a tree of 2 nodes")
    rng = numpy_generator(graph_seed, "conditional-motif")
    edges, parts, numbers, counts, shift = [], [], [], [], 0
    values, path = rng.standard_normal((num_pairs, 2)), rng.random(num_pairs) < 0.5
    for value, straight in zip(values, path, strict=True):
        ties, part, carried = _first(rng, int(rng.integers(tree, 2 * tree)), value)
        size = int(rng.integers(5, 9))
        edges += [ties + shift, _second(size, straight) + shift + len(part)]
        parts += [part, np.full(size, 4 if straight else 3)]
        numbers += [carried, np.zeros(size)]
        counts.append(len(part) + size)
        shift += counts[-1]
    pairs = np.concatenate(edges)
    src, dst, fields, report = tidy(pairs[:, 0], pairs[:, 1], shift)
    kind = torch.from_numpy(np.concatenate(parts))
    feat = torch.from_numpy(np.concatenate(numbers)).float()
    node_fields = {"feat": torch.stack([feat, torch.ones_like(feat)], 1), "side": (kind > 2).long(), "part": kind}
    label = np.where(path, values[:, 1], values[:, 0]).astype(np.float32)
    collated = Collated.from_edges(
        src,
        dst,
        torch.tensor(counts),
        node_fields,
        fields,
        {"label": torch.from_numpy(label)[:, None], "path": torch.from_numpy(path)},
    )
    return Raw(collated, {}, {"part": PARTS, "target": ["the number that counts"]}, report)
