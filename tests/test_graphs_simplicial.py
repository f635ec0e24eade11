"""Timestamped simplices: time order, faces and boundaries against naive loops, holes by the Hodge Laplacian."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit import GraphKitError
from graphkit import graphs as gg
from graphkit.graphs import simplicial

SETS = st.lists(st.sets(st.integers(0, 6), min_size=1, max_size=4), min_size=1, max_size=6)


def made(sets):
    return gg.from_hyperedges([sorted(s) for s in sets], 7)


def test_simplices_are_sorted_by_time_and_counted_in_the_warning():
    with pytest.warns(UserWarning, match="1 simplices came before an earlier one"):
        h = gg.from_simplices([2, 1, 3], [4, 0, 1, 2, 2, 3], [5, 2, 7])
    assert gg.members(h) == [[1], [0, 4], [2, 3]] and h.nodes["hyperedge"].data["time"].tolist() == [2, 5, 7]
    assert gg.members(simplicial.between(h, 2, 5)) == [[0, 4]]
    assert gg.members(simplicial.between(h, end=5)) == [[1], [0, 4]]


@settings(max_examples=60, deadline=None)
@given(SETS, st.integers(0, 3))
def test_faces_are_all_subsets(sets, order):
    expected = sorted({t for s in sets for t in itertools.combinations(sorted(s), order + 1)})
    assert gg.faces(made(sets), order).tolist() == [list(t) for t in expected]


@settings(max_examples=40, deadline=None)
@given(SETS)
def test_a_boundary_has_no_boundary(sets):
    h = made(sets)
    for order in (1, 2):
        product = gg.boundary(h, order) @ gg.boundary(h, order + 1)
        assert not product.toarray().any()


def holes(h, order):
    parts = gg.hodge_laplacian(h, order)
    dense = (parts.lower + parts.upper).toarray()
    return int((np.abs(np.linalg.eigvalsh(dense)) < 1e-9).sum()) if len(dense) else 0


def test_a_hollow_octahedron_has_a_cavity_and_a_filled_one_has_none():
    poles = [(0, 1), (2, 3), (4, 5)]
    triangles = list(itertools.product(*poles))
    hollow = gg.from_hyperedges(triangles)
    assert [holes(hollow, k) for k in (0, 1, 2)] == [1, 0, 1]
    filled = gg.from_hyperedges([*triangles, range(6)])
    assert [holes(filled, k) for k in (0, 1, 2)] == [1, 0, 0]
    ring = gg.from_hyperedges([[0, 1], [1, 2], [2, 3], [3, 0]])
    assert [holes(ring, k) for k in (0, 1)] == [1, 1]


@settings(max_examples=40, deadline=None)
@given(SETS)
def test_neighbours_share_faces_and_cofaces(sets):
    h = made(sets)
    edges = [set(e) for e in gg.faces(h, 1).tolist()]
    filled = [set(t) for t in gg.faces(h, 2).tolist()]
    through = {"faces": set(), "cofaces": set()}
    for a, b in itertools.permutations(range(len(edges)), 2):
        if edges[a] & edges[b]:
            through["faces"].add((a, b))
        if any(edges[a] | edges[b] <= t for t in filled):
            through["cofaces"].add((a, b))
    for name, expected in through.items():
        g = gg.neighbours(h, 1, name)
        assert set(zip(*(x.tolist() for x in g.edges()), strict=True)) == expected
        assert torch.equal(g.ndata["members"], gg.faces(h, 1))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gg.from_simplices([2, 0], [0, 1], [1, 2]), "simplex 1 has 0 nodes; expected one or more"),
        (lambda: gg.from_simplices([2], [0, 1, 2]), "members has 3 rows; expected 2"),
        (lambda: gg.from_simplices([2], [0, 1], [1, 2]), "times has shape"),
        (lambda: gg.from_simplices([2], [0, 1], [float("nan")]), r"times\[0\] is no number"),
        (lambda: gg.from_simplices([2], [0, 5], num_nodes=3), r"node\[1\] is 5, but there are 3 nodes"),
        (lambda: simplicial.between(gg.from_hyperedges([[0]]), end=1), "no field 'time'"),
        (lambda: gg.faces(gg.graph([0], [1]), 1), "expected a hypergraph"),
        (lambda: gg.faces(gg.from_hyperedges([[0]]), -1), "order"),
        (lambda: gg.neighbours(gg.from_hyperedges([[0, 1]]), 0), "nodes have no faces"),
        (lambda: gg.neighbours(gg.from_hyperedges([[0, 1]]), 1, "facets"), "faces"),
    ],
)
def test_refusals_are_one_sentence(call, says):
    with pytest.raises(GraphKitError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_too_many_subsets_are_refused(monkeypatch):
    monkeypatch.setattr(simplicial, "LIMIT", 100)
    with pytest.raises(GraphKitError, match=r"1\.14e\+03 subsets of 3 nodes.*the largest has 20 nodes"):
        gg.faces(gg.from_hyperedges([range(20)]), 2)
