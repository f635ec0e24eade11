"""Sets of graphs that benchmark papers generate: PATTERN and CLUSTER, and the tree that over-squashing is shown on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot
from graphkit.data.store import Files

PARTS = ("train", "val", "test")
#: Community sizes are uniform on these, both included.
SIZES = (5, 34)
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def _block_matrix(community: np.ndarray, inside: float, across: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a symmetric bool adjacency matrix of a stochastic block model."""
    chance = np.where(community[:, None] == community[None, :], inside, across)
    upper = np.triu(rng.random(chance.shape) < chance, 1)
    return upper | upper.T


def _shuffled(adjacency: np.ndarray, signal: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> Sample:
    order = rng.permutation(len(label))
    return adjacency[np.ix_(order, order)], signal[order], label[order]


def _cluster(rng: np.random.Generator) -> Sample:
    sizes = rng.integers(SIZES[0], SIZES[1] + 1, size=6)
    community = np.repeat(np.arange(6), sizes)
    adjacency = _block_matrix(community, 0.55, 0.25, rng)
    signal = np.zeros(len(community), dtype=np.int64)
    signal[np.cumsum(sizes) - sizes + rng.integers(sizes)] = np.arange(1, 7)
    return _shuffled(adjacency, signal, community, rng)


def _pattern(planted: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> Sample:
    community = np.repeat(np.arange(5), rng.integers(SIZES[0], SIZES[1] + 1, size=5))
    base, size = len(community), len(planted[1])
    adjacency = np.zeros((base + size, base + size), dtype=bool)
    adjacency[:base, :base] = _block_matrix(community, 0.5, 0.35, rng)
    adjacency[base:, base:] = planted[0]
    tied = rng.random((base, size)) < 0.5
    adjacency[:base, base:], adjacency[base:, :base] = tied, tied.T
    signal = np.concatenate([rng.integers(3, size=base), planted[1]])
    return _shuffled(adjacency, signal, (np.arange(base + size) >= base).astype(np.int64), rng)


def _planted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    size = int(rng.integers(SIZES[0], SIZES[1] + 1))
    return _block_matrix(np.zeros(size, np.int64), 0.5, 0.5, rng), rng.integers(3, size=size)


def _union(draw: Callable[[], Sample], sizes: Sequence[int], width: int, groups: int = 1, renew=None) -> Raw:
    """Lay ``groups`` times as many graphs of each part as ``sizes`` says side by side in one graph."""
    src, dst, twin, signals, labels, counts, parts = [], [], [], [], [], [], []
    nodes = edges = 0
    for group in range(groups):
        if renew is not None:
            renew()
        for part, size in enumerate(sizes):
            share = size // groups + (group < size % groups)
            for _ in range(share):
                adjacency, signal, label = draw()
                to, source = np.nonzero(adjacency)  # rows in order: sorted by destination, then source
                place = np.zeros(adjacency.shape, dtype=np.int64)
                place[to, source] = np.arange(edges, edges + len(to))
                src.append(source + nodes)
                dst.append(to + nodes)
                twin.append(place[source, to])
                signals.append(signal)
                labels.append(label)
                counts.append(len(label))
                parts.append(part)
                nodes, edges = nodes + len(label), edges + len(to)
    graph = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    node_fields = {
        "feat": one_hot(torch.from_numpy(np.concatenate(signals)), width),
        "label": torch.from_numpy(np.concatenate(labels)),
        "graph": graph,
    }
    ends = [torch.from_numpy(np.concatenate(column)) for column in (src, dst, twin)]
    offsets = torch.tensor([0, nodes]), torch.tensor([0, edges])
    collated = Collated(*offsets, ends[0], ends[1], node_fields, {"reverse_id": ends[2]})
    part_of = torch.tensor(parts)[graph]
    split = {name: (part_of == i).nonzero()[:, 0] for i, name in enumerate(PARTS)}
    classes = int(node_fields["label"].max()) + 1
    return Raw(collated, {"public": split}, {"class": [str(c) for c in range(classes)]}, {"components": len(counts)})


def _check_sizes(num_graphs: Sequence[int]) -> list[int]:
    sizes = [int(size) for size in num_graphs]
    if len(sizes) != 3 or min(sizes) < 0 or sizes[0] < 1:
        raise GraphKitError(f"num_graphs={tuple(num_graphs)}; expected how many graphs to train, validate and test on")
    return sizes


@register("sbm-cluster", kind="reader", level="node", title="Benchmarking Graph Neural Networks", arxiv="2003.00982")
def read_cluster(
    files: Files | None = None, *, graph_seed: int = 0, num_graphs: Sequence[int] = (10000, 1000, 1000)
) -> Raw:
    """Make CLUSTER: six communities of 5 to 34 nodes, one node of each known; which community is a node in?

    Nodes are tied with probability 0.55 inside a community and 0.25 across. All graphs lie side by side in one, which
    no message crosses; ``ndata["graph"]`` says which is which.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    num_graphs : three int
        How many to train, validate and test on; the published numbers by default.

    Returns
    -------
    Raw
        ``feat`` one-hot float32 ``[N, 7]`` (0: unknown), ``label`` in 0..5, the split ``public``.

    Raises
    ------
    GraphKitError
        If ``num_graphs`` is not three counts.

    References
    ----------
    "Benchmarking Graph Neural Networks", arXiv:2003.00982.
    """
    rng = numpy_generator(graph_seed, "sbm-cluster")
    return _union(lambda: _cluster(rng), _check_sizes(num_graphs), 7)


@register("sbm-pattern", kind="reader", level="node", title="Benchmarking Graph Neural Networks", arxiv="2003.00982")
def read_pattern(
    files: Files | None = None,
    *,
    graph_seed: int = 0,
    num_graphs: Sequence[int] = (10000, 2000, 2000),
    patterns: int = 100,
) -> Raw:
    """Make PATTERN: five communities of 5 to 34 nodes and a pattern planted among them; which nodes are the pattern?

    Nodes are tied with probability 0.5 inside a community, 0.35 across, 0.5 inside the pattern and 0.5 between it and
    the rest; each carries one of three signals. Each pattern is planted in an equal share of every part. All graphs lie
    side by side in one, which no message crosses; ``ndata["graph"]`` says which is which.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    num_graphs : three int
        How many to train, validate and test on; the published numbers by default.
    patterns : int

    Returns
    -------
    Raw
        ``feat`` one-hot float32 ``[N, 3]``, ``label`` 1 in the pattern, the split ``public``.

    Raises
    ------
    GraphKitError
        If ``num_graphs`` is not three counts, or there is no pattern.

    References
    ----------
    "Benchmarking Graph Neural Networks", arXiv:2003.00982.
    """
    if patterns < 1:
        raise GraphKitError(f"patterns={patterns}; expected at least one")
    rng = numpy_generator(graph_seed, "sbm-pattern")
    planted = [_planted(rng)]

    def renew() -> None:
        planted[0] = _planted(rng)

    return _union(lambda: _pattern(planted[0], rng), _check_sizes(num_graphs), 3, patterns, renew)


@register(
    "tree-neighbours-match",
    kind="reader",
    level="graph",
    title="On the Bottleneck of Graph Neural Networks and its Practical Implications",
    arxiv="2006.05205",
)
def read_tree_neighbours_match(files: Files | None = None, *, graph_seed: int = 0, depth: int = 4) -> Raw:
    """Make NeighborsMatch on binary trees: the root must answer with the value of the leaf that has its key.

    Each leaf holds its own key and one of a permutation of the values; the root holds a key; every permutation is asked
    for every key. Edges run from children to parents. There are 1,000 permutations, fewer where the tree has fewer or
    32,000 graphs would be exceeded.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    depth : int
        1 to 14; the paper takes 2 to 8.

    Returns
    -------
    Raw
        ``feat`` float32 ``[N, 2 (L + 1)]``: one-hot key and value, each 0 where there is none, with L leaves; node
        fields ``key``, ``value``, ``root``; ``label`` the value less 1. The root is node 0 of its graph.

    Raises
    ------
    GraphKitError
        If ``depth`` is out of range.

    References
    ----------
    "On the Bottleneck of Graph Neural Networks and its Practical Implications", arXiv:2006.05205.
    """
    if not 1 <= depth <= 14:
        raise GraphKitError(f"depth={depth}; expected 1 to 14")
    rng = numpy_generator(graph_seed, "tree-neighbours-match", depth)
    leaves, nodes = 2**depth, 2 ** (depth + 1) - 1
    values = _permutations(leaves, min(1000, 32000 // leaves), rng)
    graphs = len(values) * leaves
    key, value = np.zeros((graphs, nodes), np.int64), np.zeros((graphs, nodes), np.int64)
    key[:, -leaves:], value[:, -leaves:] = np.arange(1, leaves + 1), np.repeat(values, leaves, axis=0)
    asked = np.tile(np.arange(leaves), len(values))
    key[:, 0] = asked + 1
    label = torch.from_numpy(np.repeat(values, leaves, axis=0)[np.arange(graphs), asked] - 1)
    keys, given = torch.from_numpy(key.reshape(-1)), torch.from_numpy(value.reshape(-1))
    children = torch.arange(1, nodes)
    node_fields: dict[str, Tensor] = {
        "feat": torch.cat([one_hot(keys, leaves + 1), one_hot(given, leaves + 1)], dim=1),
        "key": keys,
        "value": given,
        "root": (torch.arange(nodes) == 0).repeat(graphs),
    }
    collated = Collated(
        torch.arange(graphs + 1) * nodes,
        torch.arange(graphs + 1) * (nodes - 1),
        children.repeat(graphs),
        ((children - 1) // 2).repeat(graphs),
        node_fields,
        {},
        {"label": label},
    )
    return Raw(collated, {}, {"class": [str(v + 1) for v in range(leaves)]}, {}, undirected=False)


def _permutations(size: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Draw up to ``most`` distinct permutations of 1..size, all of them where there are no more."""
    import itertools

    if math.factorial(min(size, 8)) <= most:
        return np.array(list(itertools.permutations(range(1, size + 1))), dtype=np.int64)
    found: dict[bytes, np.ndarray] = {}
    while len(found) < most:
        drawn = rng.permutation(size) + 1
        found.setdefault(drawn.tobytes(), drawn)
    return np.stack(list(found.values()))
