"""Hypergraphs: dual twice is the same again, expansions equal their definitions, and refusals are one sentence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit import GraphKitError
from graphkit import graphs as gg
from graphkit.graphs import expansions

SETS = st.lists(st.lists(st.integers(0, 7), max_size=5), max_size=6)


def hypergraph(sets):
    nodes = {"feat": torch.arange(24.0).view(8, 3), "label": torch.arange(8)}
    edges = {"feat": torch.arange(2.0 * len(sets)).view(-1, 2), "weight": torch.arange(1.0, 1 + len(sets))}
    return gg.from_hyperedges(sets, 8, nodes, edges)


def same(one, other):
    for kind in ("in", "has"):
        for a, b in zip(one.edges(etype=kind, order="eid"), other.edges(etype=kind, order="eid"), strict=True):
            assert torch.equal(a, b)
    for kind in ("node", "hyperedge"):
        assert one.num_nodes(kind) == other.num_nodes(kind)
        held = one.nodes[kind].data
        assert set(held) == set(other.nodes[kind].data)
        assert all(torch.equal(value, other.nodes[kind].data[name]) for name, value in held.items())


def incidence(h):
    dense = torch.zeros(h.num_nodes("node"), h.num_nodes("hyperedge"))
    dense[h.edges(etype="in")] = 1
    return dense


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_the_dual_of_the_dual_is_the_hypergraph_with_its_fields(sets):
    h = hypergraph(sets)
    turned = gg.dual(h)
    assert torch.equal(incidence(turned), incidence(h).T)
    assert set(turned.nodes["node"].data) == {"feat", "weight"} and "label" in turned.nodes["hyperedge"].data
    same(gg.dual(turned), h)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_edges_become_nodes_and_back(pairs):
    src, dst = (np.array([p[i] for p in pairs], dtype=np.int64) for i in (0, 1))
    fields = {"feat": torch.arange(2.0 * len(pairs)).view(-1, 2)}
    g = gg.graph(src, dst, 6, {"feat": torch.arange(6.0)[:, None]}, fields)
    dual = gg.dual_hypergraph(g)
    m = torch.zeros(6, len(pairs))
    m[torch.from_numpy(src), torch.arange(len(pairs))] = m[torch.from_numpy(dst), torch.arange(len(pairs))] = 1
    assert torch.equal(incidence(dual), m.T)
    if pairs:
        assert torch.equal(dual.nodes["node"].data["feat"], g.edata["feat"])
    assert torch.equal(dual.nodes["hyperedge"].data["feat"], g.ndata["feat"])
    same(gg.dual(dual), gg.as_hypergraph(g))


def test_both_directions_of_an_edge_are_one_hyperedge():
    g = gg.graph([0, 1, 2], [1, 2, 2], 4, edge_fields={"weight": [3.0, 4.0, 5.0]}, undirected=True)
    h = gg.as_hypergraph(g)
    found = dict(zip(map(tuple, gg.members(h)), h.nodes["hyperedge"].data["weight"].tolist(), strict=True))
    assert found == {(0, 1): 3.0, (1, 2): 4.0, (2,): 5.0}


@settings(max_examples=40, deadline=None)
@given(SETS)
def test_expansions_equal_their_matrices(sets):
    h = hypergraph(sets)
    dense = incidence(h)
    for made, square in ((gg.clique_expansion(h), dense @ dense.T), (gg.line_graph(h), dense.T @ dense)):
        found = torch.zeros(len(square), len(square))
        found[made.edges()] = made.edata.get("weight", 1.0)
        square.fill_diagonal_(0)
        assert torch.equal(found, square)
    star = gg.star_expansion(h)
    n = len(dense)
    found = torch.zeros(star.num_nodes(), star.num_nodes())
    found[star.edges()] = 1
    assert torch.equal(found[:n, n:], dense) and torch.equal(found, found.T) and not found[:n, :n].any()
    assert torch.equal(star.ndata["feat"][:n], h.nodes["node"].data["feat"])


def test_a_star_tells_what_a_clique_cannot():
    triple, pairs = gg.from_hyperedges([[0, 1, 2]]), gg.from_hyperedges([[0, 1], [1, 2], [0, 2]])
    one, other = gg.clique_expansion(triple), gg.clique_expansion(pairs)
    assert all(torch.equal(a, b) for a, b in zip(one.edges(), other.edges(), strict=True))
    assert torch.equal(one.edata["weight"], other.edata["weight"])
    assert gg.star_expansion(triple).num_nodes() != gg.star_expansion(pairs).num_nodes()


def test_loners_get_a_hyperedge_of_their_own_behind_the_others():
    h = hypergraph([[0, 1], [], [3]])
    full = gg.add_self_hyperedges(h)
    assert gg.members(full) == [[0, 1], [], [3], [2], [4], [5], [6], [7]]
    assert full.nodes["hyperedge"].data["weight"].tolist() == [1, 2, 3, 1, 1, 1, 1, 1]
    assert full.nodes["hyperedge"].data["feat"][3:].eq(0).all()
    assert len(gg.members(gg.add_self_hyperedges(h, every=True))) == 3 + 8


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gg.from_hyperedges([[0, 9]], 4), r"node\[1\] is 9, but there are 4 nodes"),
        (lambda: gg.from_hyperedges([[0, -1]]), r"node\[0\] is -1|node\[1\] is -1"),
        (lambda: gg.from_incidence([0], [0, 1]), "node has 1 rows and hyperedge 2"),
        (lambda: gg.from_incidence([0], [3], num_hyperedges=2), "there are 2 hyperedges"),
        (lambda: gg.from_incidence([0.5], [0]), "expected whole numbers"),
        (lambda: gg.from_hyperedges([[0]], hyperedge_fields={"feat": torch.ones(2, 1)}), "expected 1 rows"),
        (lambda: gg.dual(gg.graph([0], [1])), "expected a hypergraph"),
        (lambda: gg.clique_expansion(gg.graph([0], [1])), "expected a hypergraph"),
        (lambda: gg.star_expansion(gg.graph([0], [1])), "expected a hypergraph"),
        (lambda: gg.as_hypergraph(gg.from_hyperedges([[0]])), "one node and one edge type"),
    ],
)
def test_refusals_are_one_sentence(call, says):
    with pytest.raises(GraphKitError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_clique_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(expansions, "MOST_PAIRS", 50)
    with pytest.raises(GraphKitError, match=r"hold 64 pairs of members \(the largest has 8 members\).*star_expansion"):
        gg.clique_expansion(gg.from_hyperedges([range(8)]))
