"""Graphs with planted motifs, made from a seed: the ground truth that explanations are measured against."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.generate import HOUSE, _extra_edges, barabasi_albert, read_ba_shapes
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files

CYCLE5 = np.array([(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)])
CYCLE6 = np.array([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)])
#: Nodes 0..8 row by row.
GRID = np.array([(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (0, 3), (3, 6), (1, 4), (4, 7), (2, 5), (5, 8)])


@register("ba-community", kind="reader", level="node", title="GNNExplainer", arxiv="1903.03894")
def read_ba_community(
    files: Files | None = None, *, graph_seed: int = 0, m: int = 5, joining: int = 350, width: int = 10
) -> Raw:
    """Make BA-Community: two BA-Shapes with features that tell them apart, joined by random edges.

    Features are normal; in the first two columns their mean is -1 in the first community, 1 in the second, with
    variance 1/2, and in the others 0 with variance 1.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    m : int
        Edges of each new node of the bases. The count of edges in the authors' file (4,460) is that of 5.
    joining : int
        Edges between the communities.
    width : int
        Of the features, at least 2.

    Returns
    -------
    Raw
        ``label`` in 0..7 (four roles in each community), ``feat`` float32 ``[1400, width]``, node fields ``house``
        (-1 for the bases) and ``community``, edge field ``motif_edge``.

    Raises
    ------
    GraphKitError
        If ``width`` is below 2.

    References
    ----------
    "GNNExplainer: Generating Explanations for Graph Neural Networks", arXiv:1903.03894.
    """
    if width < 2:
        raise GraphKitError(f"width={width}; expected at least 2, since two columns tell the communities apart")
    rng = numpy_generator(graph_seed, "ba-community")
    halves = [read_ba_shapes(graph_seed=int(seed), m=m) for seed in rng.integers(2**31, size=2)]
    size = halves[0].collated.num_nodes
    joined = rng.choice(size * size, joining, replace=False)
    parts = [half.collated for half in halves]
    src = np.concatenate([parts[0].src.numpy(), parts[1].src.numpy() + size, joined // size])
    dst = np.concatenate([parts[0].dst.numpy(), parts[1].dst.numpy() + size, joined % size + size])
    motif = np.concatenate([*(part.edge_fields["motif_edge"].numpy() for part in parts), np.zeros(joining, bool)])
    source, target, fields, report = tidy(src, dst, 2 * size, {"motif_edge": motif})
    community = torch.arange(2).repeat_interleave(size)
    feat = rng.standard_normal((2 * size, width)).astype(np.float32)
    feat[:, :2] = feat[:, :2] * np.sqrt(0.5) + (2.0 * community.numpy()[:, None] - 1.0)
    houses = [part.node_fields["house"] for part in parts]
    second = torch.where(houses[1] < 0, houses[1], houses[1] + int(houses[0].max()) + 1)
    node_fields = {
        "feat": torch.from_numpy(feat),
        "label": torch.cat([part.node_fields["label"] for part in parts]) + 4 * community,
        "house": torch.cat([houses[0], second]),
        "community": community,
    }
    collated = Collated.from_edges(source, target, torch.tensor([2 * size]), node_fields, fields)
    roles = halves[0].names["class"]
    return Raw(collated, {}, {"class": [f"{role} {c}" for c in (1, 2) for role in roles]}, report)


def _tree_with(
    motif: np.ndarray, count: int, depth: int, extra: float, width: int, rng: np.random.Generator, name: str
) -> Raw:
    """Hang ``count`` copies of a motif on a balanced binary tree and add random edges."""
    base, size = 2 ** (depth + 1) - 1, int(motif.max()) + 1
    if depth < 1 or count > base:
        raise GraphKitError(f"{count} motifs on a tree of depth {depth}; expected at most one for each of {base} nodes")
    num_nodes = base + count * size
    children = np.arange(1, base)
    tree = np.stack([(children - 1) // 2, children], axis=1)
    first = base + size * np.arange(count)
    planted = (first[:, None, None] + motif).reshape(-1, 2)
    ties = np.stack([rng.choice(base, count, replace=False), first], axis=1)
    edges = np.concatenate([planted, tree, ties])
    edges = np.concatenate([edges, _extra_edges(edges, num_nodes, round(extra * len(edges)), rng)])
    in_motif = np.arange(len(edges)) < len(planted)
    src, dst, fields, report = tidy(edges[:, 0], edges[:, 1], num_nodes, {"motif_edge": in_motif})
    owner = np.concatenate([np.full(base, -1), np.repeat(np.arange(count), size)])
    node_fields = {
        "feat": torch.ones(num_nodes, width),
        "label": torch.from_numpy((owner >= 0).astype(np.int64)),
        "motif": torch.from_numpy(owner),
    }
    collated = Collated.from_edges(src, dst, torch.tensor([num_nodes]), node_fields, fields)
    return Raw(collated, {}, {"class": ["tree", name]}, report)


@register("tree-cycles", kind="reader", level="node", title="GNNExplainer", arxiv="1903.03894")
def read_tree_cycles(
    files: Files | None = None,
    *,
    graph_seed: int = 0,
    depth: int = 8,
    cycles: int = 60,
    extra: float = 0.01,
    width: int = 10,
) -> Raw:
    """Make Tree-Cycles: a balanced binary tree with six-node cycles hung on it, and random extra edges.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    depth, cycles : int
    extra : float
        Random extra edges, as a share of the others.
    width : int
        Of the constant features.

    Returns
    -------
    Raw
        ``label`` 0 (tree) or 1 (cycle), node field ``motif`` (its number, -1 in the tree), edge field ``motif_edge``.

    Raises
    ------
    GraphKitError
        If there are more cycles than nodes of the tree.

    References
    ----------
    "GNNExplainer: Generating Explanations for Graph Neural Networks", arXiv:1903.03894.
    """
    return _tree_with(CYCLE6, cycles, depth, extra, width, numpy_generator(graph_seed, "tree-cycles"), "cycle")


@register("tree-grid", kind="reader", level="node", title="GNNExplainer", arxiv="1903.03894")
def read_tree_grid(
    files: Files | None = None,
    *,
    graph_seed: int = 0,
    depth: int = 8,
    grids: int = 80,
    extra: float = 0.01,
    width: int = 10,
) -> Raw:
    """Make Tree-Grid: a balanced binary tree with 3 x 3 grids hung on it, and random extra edges.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    depth, grids : int
    extra : float
        Random extra edges, as a share of the others. The authors' file holds 1 %, other texts say 10 %.
    width : int
        Of the constant features.

    Returns
    -------
    Raw
        ``label`` 0 (tree) or 1 (grid), node field ``motif`` (its number, -1 in the tree), edge field ``motif_edge``.

    Raises
    ------
    GraphKitError
        If there are more grids than nodes of the tree.

    References
    ----------
    "GNNExplainer: Generating Explanations for Graph Neural Networks", arXiv:1903.03894.
    """
    return _tree_with(GRID, grids, depth, extra, width, numpy_generator(graph_seed, "tree-grid"), "grid")


@register("ba-2motifs", kind="reader", level="graph", title="PGExplainer", arxiv="2011.04573")
def read_ba_2motifs(
    files: Files | None = None,
    *,
    graph_seed: int = 0,
    num_graphs: int = 1000,
    base: int = 20,
    m: int = 1,
    width: int = 10,
    value: float = 0.1,
) -> Raw:
    """Make BA-2Motifs: Barabasi-Albert graphs, each with a house or a five-node cycle tied to it by one edge.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
    num_graphs : int
        Half of each kind, in random order.
    base, m : int
        Nodes of the base, and edges that each new one brings.
    width : int
    value : float
        Of the constant features, 0.1 in the authors' file.

    Returns
    -------
    Raw
        ``label`` 0 (house) or 1 (cycle), node field ``motif`` (bool), edge field ``motif_edge``.

    References
    ----------
    "Parameterized Explainer for Graph Neural Network", arXiv:2011.04573.
    """
    rng = numpy_generator(graph_seed, "ba-2motifs")
    label = rng.permutation(np.arange(num_graphs) % 2)
    size = base + 5
    edges, planted = [], []
    for graph, kind in enumerate(label):
        motif = base + (CYCLE5 if kind else HOUSE)
        tie = np.array([[int(rng.integers(base)), base + int(rng.integers(5))]])
        edges.append(np.concatenate([motif, barabasi_albert(base, m, rng), tie]) + graph * size)
        planted.append(np.arange(len(edges[-1])) < len(motif))
    ends = np.concatenate(edges)
    src, dst, fields, report = tidy(ends[:, 0], ends[:, 1], num_graphs * size, {"motif_edge": np.concatenate(planted)})
    node_fields = {
        "feat": torch.full((num_graphs * size, width), float(value)),
        "motif": torch.arange(size).ge(base).repeat(num_graphs),
    }
    counts = torch.full((num_graphs,), size, dtype=torch.int64)
    collated = Collated.from_edges(src, dst, counts, node_fields, fields, {"label": torch.from_numpy(label)})
    return Raw(collated, {}, {"class": ["house", "cycle"]}, report)
