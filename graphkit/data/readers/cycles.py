"""Graphs with and without a cycle of a given length, alike in everything that is easy to count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.readers.synthetic import PARTS, _check_sizes
from graphkit.data.store import Files


def cactus(lengths: Sequence[int], num_nodes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a connected graph whose only cycles have the given lengths, no two sharing an edge; edges int64 ``[E, 2]``.

    Cycles and single nodes are hung one after another on a node drawn from those there are, by an edge of their own.

    Examples
    --------
    >>> cactus([3, 4], 9, np.random.default_rng(0)).shape
    (10, 2)
    """
    pieces = [*lengths, *[1] * (num_nodes - sum(lengths))]
    order = rng.permutation(len(pieces))
    edges, there = [], 0
    for piece in order.tolist():
        size = pieces[piece]
        if there:
            edges.append((int(rng.integers(there)), there + int(rng.integers(size))))
        if size > 1:
            edges += [(there + i, there + (i + 1) % size) for i in range(size)]
        there += size
    shuffled = rng.permutation(num_nodes)
    return shuffled[np.array(edges, dtype=np.int64)]


@register(
    "cycles", kind="reader", level="graph", title="Benchmarking Graph Neural Networks", arxiv="2003.00982", keep=True
)
def read_cycles(
    files: Files | None = None,
    *,
    graph_seed: int = 0,
    num_graphs: Sequence[int] = (9000, 1000, 10000),
    num_nodes: int = 56,
    length: int = 6,
    cycles: int = 4,
) -> Raw:
    """Make graphs to be told apart by whether they hold a cycle of ``length`` nodes, half of each part each way.

    Each graph is connected and has ``cycles`` cycles that share no edge, so all have equally many nodes and edges. In a
    positive one, one cycle has ``length`` nodes; the others, and all of a negative one, have 3 to ``length + 3`` but
    not ``length``.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    num_graphs : three int
        How many to train, validate and test on; the published numbers by default.
    num_nodes, length, cycles : int

    Returns
    -------
    Raw
        ``feat`` of ones, ``label`` 1 where there is such a cycle, the split ``public``.

    Raises
    ------
    GraphKitError
        If the cycles do not fit in ``num_nodes``, or ``length`` is below 3.

    References
    ----------
    The task, its sizes and the length are those of CYCLES in "Benchmarking Graph Neural Networks", arXiv:2003.00982,
    after "Building powerful and equivariant graph neural networks with structural message-passing", arXiv:2006.15107,
    whose graphs are published as a file and not as a recipe; these are drawn anew by the recipe above.
    """
    sizes = _check_sizes(num_graphs)
    if length < 3 or cycles < 1 or cycles * (length + 3) > num_nodes:
        raise GraphKitError(
            f"length={length}, cycles={cycles}, num_nodes={num_nodes}; expected cycles of at least 3 nodes, of which "
            f"{cycles} of up to {length + 3} nodes fit"
        )
    rng = numpy_generator(graph_seed, "cycles", num_nodes, length, cycles)
    others = np.array([size for size in range(3, length + 4) if size != length])
    label = np.concatenate([rng.permutation(np.arange(size) % 2) for size in sizes])
    made = []
    for positive in label.tolist():
        lengths = rng.choice(others, cycles).tolist()
        lengths[0] = length if positive else lengths[0]
        made.append(cactus(lengths, num_nodes, rng))
    shift = np.arange(len(made)) * num_nodes
    ends = (np.stack(made) + shift[:, None, None]).reshape(-1, 2)
    counts = torch.full((len(made),), num_nodes)
    src, dst, fields, _ = tidy(ends[:, 0], ends[:, 1], len(made) * num_nodes)
    node_fields = {"feat": torch.ones(len(made) * num_nodes, 1)}
    collated = Collated.from_edges(src, dst, counts, node_fields, fields, {"label": torch.from_numpy(label)})
    cuts = np.cumsum([0, *sizes])
    split = {part: torch.arange(int(cuts[i]), int(cuts[i + 1])) for i, part in enumerate(PARTS)}
    return Raw(collated, {"public": split}, {"class": ["without", "with"]}, {})
