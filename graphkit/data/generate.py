"""Benchmark graphs that are made from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset

#: The house: a square (0, 1, 2, 3) under a roof (4); 0 and 1 carry the roof. Roles: 1 shoulders, 2 feet, 3 roof.
HOUSE = np.array([(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)])
ROLES = np.array([1, 1, 2, 2, 3])


def barabasi_albert(num_nodes: int, m: int, rng: np.random.Generator) -> np.ndarray:
    """Grow a Barabasi-Albert graph from a star of ``m + 1`` nodes, edges int64 ``[E, 2]``.

    Each new node ties itself to ``m`` distinct nodes, drawn in proportion to their degrees.

    Raises
    ------
    GraphKitError
        If ``m`` is not between 1 and ``num_nodes - 1``.

    >>> barabasi_albert(10, 2, np.random.default_rng(0)).shape
    (16, 2)
    """
    if not 1 <= m < num_nodes:
        raise GraphKitError(f"m={m} with {num_nodes} nodes; expected 1 to {num_nodes - 1}")
    edges = [(0, node) for node in range(1, m + 1)]
    ends = [node for edge in edges for node in edge]
    for node in range(m + 1, num_nodes):
        chosen: dict[int, None] = {}
        while len(chosen) < m:
            chosen[ends[int(rng.integers(len(ends)))]] = None
        edges += [(node, other) for other in chosen]
        ends += [end for other in chosen for end in (node, other)]
    return np.array(edges, dtype=np.int64)


@register("ba-shapes", kind="reader", level="node", title="GNNExplainer", arxiv="1903.03894")
def read_ba_shapes(
    files: Files | None = None,
    *,
    graph_seed: int = 0,
    base: int = 300,
    m: int = 5,
    houses: int = 80,
    extra: float = 0.01,
    width: int = 10,
) -> Raw:
    """Make BA-Shapes: a Barabasi-Albert base, houses hung on it, and random extra edges.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
        Of the graph (the split has its own).
    base, m : int
        Nodes of the base, and edges that each new one brings.
    houses : int
        Each of 5 nodes and 6 edges, its first node (a shoulder) tied by one edge to a node of the base, as in the
        authors' generator.
    extra : float
        Random extra edges, as a share of the others.
    width : int
        Of the constant features.

    Returns
    -------
    Raw
        ``feat`` ones, ``label`` the role (0 base, 1 shoulder, 2 foot, 3 roof), node field ``house`` (-1 for the base),
        edge field ``motif_edge`` (bool), the ground truth of explanations.

    References
    ----------
    "GNNExplainer: Generating Explanations for Graph Neural Networks", arXiv:1903.03894.
    """
    rng = numpy_generator(graph_seed, "ba-shapes")
    num_nodes = base + 5 * houses
    first = base + 5 * np.arange(houses)
    motif = (first[:, None, None] + HOUSE).reshape(-1, 2)
    ties = np.stack([rng.choice(base, houses, replace=houses > base), first], axis=1)
    edges = np.concatenate([motif, barabasi_albert(base, m, rng), ties])
    edges = np.concatenate([edges, _extra_edges(edges, num_nodes, round(extra * len(edges)), rng)])
    in_motif = np.arange(len(edges)) < len(motif)
    src, dst, fields, report = tidy(edges[:, 0], edges[:, 1], num_nodes, {"motif_edge": in_motif})
    label = np.concatenate([np.zeros(base, np.int64), np.tile(ROLES, houses)])
    house = np.concatenate([np.full(base, -1), np.repeat(np.arange(houses), 5)])
    node_fields = {
        "feat": torch.ones(num_nodes, width),
        "label": torch.from_numpy(label),
        "house": torch.from_numpy(house),
    }
    report |= {"house_edges": len(motif), "extra_edges": len(edges) - len(motif) - len(ties) - m * (base - m - 1) - m}
    collated = Collated.from_edges(src, dst, torch.tensor([num_nodes]), node_fields, fields)
    return Raw(collated, {}, {"class": ["base", "shoulder", "foot", "roof"]}, report)


def _extra_edges(edges: np.ndarray, num_nodes: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``count`` edges that are not there yet."""
    from graphkit.data.splits.links import draw_negatives, pair_codes

    taken = pair_codes(edges[:, 0], edges[:, 1], num_nodes, undirected=True)
    codes = draw_negatives(taken, num_nodes, count, True, rng)
    return np.stack([codes // num_nodes, codes % num_nodes], axis=1)


def ba_shapes(seed: int = 0, split_seed: int | None = None, **options) -> Dataset:
    """Return BA-Shapes as a Dataset, an 80/10/10 split of its nodes included; see :func:`read_ba_shapes`.

    Parameters
    ----------
    seed : int
        Of the graph, and of the split unless ``split_seed`` is given.
    split_seed : int, optional
    options
        Sizes, as in :func:`read_ba_shapes`.

    Examples
    --------
    >>> data = ba_shapes(0)
    >>> data.graph.num_nodes(), int(data.graph.edata["motif_edge"].sum()), data.num_classes
    (700, 960, 4)
    """
    from graphkit.data.loading import load

    return load("ba-shapes", seed=seed if split_seed is None else split_seed, graph_seed=seed, **options)
