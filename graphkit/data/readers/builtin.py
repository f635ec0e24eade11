"""Graphs that need no download: scikit-learn's digits, the karate club, Les Miserables."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files
from graphkit.graphs.knn import nearest


@register(
    "digits",
    kind="reader",
    level="node link",
    title="Optical recognition of handwritten digits (UCI), as in scikit-learn",
)
def read_digits(files: Files | None = None, *, k: int = 5) -> Raw:
    """Make the kNN graph of scikit-learn's 1,797 handwritten digits, in 64 grey values from 0 to 1.

    An edge joins two images if either is among the other's ``k`` nearest, by Euclidean distance.

    Parameters
    ----------
    files : Files, optional
        Not used.
    k : int

    Returns
    -------
    Raw
        ``feat`` float32 ``[1797, 64]``, ``label`` int64 in 0..9.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    points = (bunch.data / 16.0).astype(np.float64)
    _, near = nearest(points, k, algorithm="brute")
    src = np.repeat(np.arange(len(points)), k)
    source, target, edge_fields, report = tidy(src, near.reshape(-1), len(points))
    node_fields = {"feat": torch.from_numpy(points.astype(np.float32)), "label": torch.from_numpy(bunch.target).long()}
    collated = Collated.from_edges(source, target, torch.tensor([len(points)]), node_fields, edge_fields)
    pixels = [f"row {i // 8 + 1}, column {i % 8 + 1}" for i in range(64)]
    return Raw(collated, {}, {"class": [str(c) for c in range(10)], "feature": pixels}, report)


@register(
    "karate",
    kind="reader",
    level="node link",
    title="An information flow model for conflict and fission in small groups",
)
def read_karate(files: Files | None = None) -> Raw:
    """Take Zachary's karate club from networkx: 34 members, 78 ties, the faction each joined.

    Returns
    -------
    Raw
        ``label`` 0 (Mr. Hi) or 1 (Officer), ``weight`` the number of contexts in which two members met.
    """
    import networkx

    graph = networkx.karate_club_graph()
    clubs = ["Mr. Hi", "Officer"]
    label = torch.tensor([clubs.index(graph.nodes[node]["club"]) for node in graph])
    return _from_networkx(graph, {"label": label}, {"class": clubs})


@register("les-miserables", kind="reader", level="link", title="The Stanford GraphBase")
def read_les_miserables(files: Files | None = None) -> Raw:
    """Take Knuth's Les Miserables graph from networkx: 77 characters, 254 pairs who share a chapter.

    Returns
    -------
    Raw
        ``weight`` the number of chapters shared; the characters' names in ``names["node"]``.
    """
    import networkx

    graph = networkx.les_miserables_graph()
    return _from_networkx(graph, {}, {"node": list(graph)})


def _from_networkx(graph, node_fields: dict, names: dict) -> Raw:
    place = {node: i for i, node in enumerate(graph)}
    rows = [(place[u], place[v], float(weight)) for u, v, weight in graph.edges(data="weight", default=1.0)]
    src, dst, weight = (np.array(column) for column in zip(*rows, strict=True))
    weights = {"weight": weight.astype(np.float32)}
    source, target, edge_fields, report = tidy(src, dst, len(place), weights)
    collated = Collated.from_edges(source, target, torch.tensor([len(place)]), node_fields, edge_fields)
    return Raw(collated, {}, names, report)
