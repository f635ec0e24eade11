"""Graphs from arrays: both directions once, twins, checks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.core.errors import GraphKitError
from graphkit.graphs import graph, undirect

ends = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), max_size=25)


@settings(max_examples=80, deadline=None)
@given(ends, st.sampled_from(["plain", "typed", "timed"]))
def test_both_directions_once_with_twins(edges, kind):
    src, dst, mark = (torch.tensor([e[i] for e in edges], dtype=torch.int64) for i in range(3))
    name = {"plain": "mark", "typed": "etype", "timed": "time"}[kind]
    u, v, fields = undirect(src, dst, {name: mark, "row": torch.arange(len(edges))})
    twin = fields["reverse_id"]
    assert torch.equal(u[twin], v) and torch.equal(v[twin], u) and torch.equal(twin[twin], torch.arange(len(u)))
    assert torch.equal(fields["row"][twin], fields["row"])

    def same_edge(a, b, m):
        return (min(a, b), max(a, b), m if kind != "plain" else 0)

    first = {}
    for row, (a, b, m) in enumerate(edges):
        first.setdefault(same_edge(a, b, m), row)
    found = list(zip(u.tolist(), v.tolist(), fields[name].tolist(), fields["row"].tolist()))
    assert {same_edge(a, b, m): row for a, b, m, row in found} == first
    assert len(found) == sum(1 if key[0] == key[1] else 2 for key in first)
    order = list(zip(fields["time"].tolist() if kind == "timed" else [0] * len(u), v.tolist(), u.tolist()))
    assert order == sorted(order)


@settings(max_examples=40, deadline=None)
@given(ends)
def test_without_coalescing_every_edge_stays(edges):
    src, dst = (torch.tensor([e[i] for e in edges], dtype=torch.int64) for i in range(2))
    u, v, fields = undirect(src, dst, coalesce=False)
    twin = fields["reverse_id"]
    loops = sum(a == b for a, b, _ in edges)
    assert (
        len(u) == 2 * len(edges) - loops and torch.equal(u[twin], v) and torch.equal(twin[twin], torch.arange(len(u)))
    )


@settings(max_examples=40, deadline=None)
@given(ends)
def test_sorting_carries_fields_and_twins(edges):
    src, dst, mark = (torch.tensor([e[i] for e in edges], dtype=torch.int64) for i in range(3))
    made = graph(src, dst, 6, edge_fields={"mark": mark}, sort=True)
    u, v = made.edges(order="eid")
    assert sorted(zip(v.tolist(), u.tolist())) == list(zip(v.tolist(), u.tolist()))
    assert sorted(zip(u.tolist(), v.tolist(), made.edata["mark"].tolist())) == sorted(edges)


def test_sorting_keeps_twins():
    made = graph([2, 0, 1, 0], [0, 1, 0, 2], edge_fields={"reverse_id": [3, 2, 1, 0]}, sort=True)
    u, v = made.edges(order="eid")
    twin = made.edata["reverse_id"]
    assert torch.equal(u[twin], v) and torch.equal(v[twin], u)


def test_order_is_kept_and_doubles_become_floats():
    made = graph([2, 0], [1, 2], 3, {"feat": torch.ones(3, 2, dtype=torch.float64)}, {"weight": [0.5, 2.0]})
    assert made.edges(order="eid")[0].tolist() == [2, 0]
    assert made.ndata["feat"].dtype == made.edata["weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0, 1], [1]), "src names 2 edges and dst 1"),
        (([0, 3], [1, 1], 3), r"src\[1\] is 3, but there are 3 nodes \(ids 0 to 2\)"),
        (([0, -1], [1, 1]), r"src\[1\] is -1"),
        (([0.5], [1]), "whole numbers"),
        (([[0]], [1]), "one dimension"),
        (([0], [1], 2, {"feat": [[1.0]] * 3}), "node field 'feat' has shape"),
        (([0], [1], 2, None, {"weight": [1.0, 2.0]}), "edge field 'weight' has shape"),
        (([0], [0], 0), "there are no nodes"),
    ],
)
def test_wrong_edges_get_one_sentence(arguments, said):
    with pytest.raises(GraphKitError, match=said):
        graph(*arguments)


def test_no_edges_no_nodes():
    assert graph([], []).num_nodes() == 0
    assert graph([], [], 3, undirected=True).edata["reverse_id"].shape == (0,)
