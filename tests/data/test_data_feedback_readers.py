"""Signed networks and implicit feedback: readers, their unsound files, and the split by user."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError, UnknownNameError
from graphkit.data import from_files

from .test_data_readers import write

# --- signed ----------------------------------------------------------------------------------------------------------

SIGNED = "7,1,-10,30.5\n1,7,4,10.0\n\n7,300,1,20.25\n"


def test_signed_edges_stand_in_time_order_and_keep_sign_size_and_direction(tmp_path):
    data = from_files("signed-csv", write(tmp_path, {"x.csv": SIGNED.replace("\n", "\r\n")}), split=None, task="link",
                      val_ratio=0, test_ratio=0.34)  # fmt: skip
    g = data.original
    assert data.names["node"] == ["1", "7", "300"] and not data.undirected
    assert [ids.tolist() for ids in g.edges(order="eid")] == [[0, 1, 1], [1, 2, 0]]
    assert g.edata["time"].tolist() == [10.0, 20.25, 30.5] and g.edata["sign"].tolist() == [1, 1, -1]
    assert g.edata["weight"].tolist() == [4, 1, 10] and data.report == {
        "out_of_order": 1,
        "positive": 2,
        "self_loops": 0,
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1,2,5,10\n\n2,1,0,11\n", "x.csv, line 3: the rating is 0"),
        ("1,2,5,10\n1,2,4,11\n", "x.csv, line 2: the pair of source and target repeats"),
        ("1.5,2,5,10\n", "x.csv, line 1: an id is no whole number"),
        ("SOURCE,TARGET,RATING,TIME\n1,2,5,10\n", "x.csv, line 1: 'SOURCE' is not a number"),
        ("1,2,5\n", "x.csv, line 1: 3 columns where 4 were expected"),
        ("1;2;5;10\n", "x.csv, line 1: 1 columns where 4"),
        ("", "x.csv holds no ratings"),
    ],
)
def test_unsound_signed_files(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        from_files("signed-csv", write(tmp_path, {"x.csv": content}))


# --- ratings ---------------------------------------------------------------------------------------------------------

RATINGS = "user\titem\tcount\n10\t7\t3\n9\t7\t1\n9\t50\t2\n9\t7\t5\n10\t50\t1\n10\t3\t1\n"


def ratings(folder, content=RATINGS, **options):
    return from_files("ratings", write(folder, {"x.dat": content}), split={"train": _none()}, **options)


def _none():
    from graphkit.core.batch import Pairs
    from graphkit.data import LinkSplit

    return LinkSplit(Pairs(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)))


def test_ratings_number_users_before_items_and_take_each_pair_once(tmp_path):
    data = ratings(tmp_path)
    assert data.names["node"] == ["9", "10", "3", "7", "50"] and data.graph.ndata["ntype"].tolist() == [0, 0, 1, 1, 1]
    assert data.graph.num_edges() == 10 and data.report["repeated_edges"] == 1
    src, dst = data.graph.edges()
    assert data.graph.edata["rating"][(src == 0) & (dst == 3)].tolist() == [1.0]
    few = ratings(tmp_path, at_least=2.0)
    assert few.report["below_threshold"] == 3 and few.graph.num_edges() == 6


def test_ratings_in_the_forms_of_movielens_and_book_crossing(tmp_path):
    one = ratings(tmp_path / "a", "1::5::4::20\n2::5::3::10\n", header=False, delimiter="::",
                  columns="user,item,weight,time")  # fmt: skip
    assert one.graph.edata["time"].tolist() == [10, 10, 20, 20] and one.graph.num_nodes() == 3
    books = '"User-ID";"ISBN";"Book-Rating"\r\n"1";"03;4X";"0"\r\n"1";"\xe9";"7"\r\n'.encode("latin-1")
    two = ratings(tmp_path / "b", books, delimiter=";", encoding="latin-1")
    assert two.names["node"] == ["1", "03;4X", "\xe9"]
    friends = ratings(tmp_path / "c", "a\tb\n1\t2\n2\t1\n", columns="user,friend")
    assert friends.graph.num_edges() == 2 and "ntype" not in friends.graph.ndata


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("u\ti\tw\n1\t2\t3\n\n1\t3\n", "x.dat, line 4: 2 columns where user, item, weight were expected"),
        ("u\ti\tw\n1,2,3\n", "x.dat, line 2: 1 columns where user, item, weight were expected, cut at '\\\\t'"),
        ("u\ti\tw\n1\t2\tmany\n", "x.dat, line 2: the weight is 'many'; expected a number"),
        ("u\ti\tw\n1\t2\tnan\n", "x.dat, line 2: the weight is 'nan'"),
        ("u\ti\tw\n\t2\t1\n", "x.dat, line 2: the user is empty"),
        ("u\ti\tw\n", "x.dat holds no ratings"),
    ],
)
def test_unsound_ratings(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        ratings(tmp_path, content)


def test_an_unknown_column_of_ratings_lists_those_there_are(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown column 'stars'"):
        ratings(tmp_path, columns="user,item,stars")


# --- the split by user -----------------------------------------------------------------------------------------------


def feedback(users: int, items: int, seed: int):
    rng = np.random.default_rng(seed)
    taken = rng.random((users, items)) < 0.3
    taken[0, :12] = True
    src, dst = taken.nonzero()
    g = gk.graphs.graph(src, dst + users, users + items, undirected=True)
    g.ndata["ntype"] = (torch.arange(users + items) >= users).long()
    return g


@settings(deadline=None, max_examples=25)
@given(st.integers(3, 12), st.integers(20, 40), st.integers(0, 99), st.booleans())
def test_per_user_parts_are_disjoint_and_negatives_are_of_the_same_user(users, items, seed, one_out):
    g = feedback(users, items, seed)
    assume(int(g.out_degrees()[:users].max()) <= 0.7 * items)  # who took nearly all has too few left, and is refused
    data = gk.Dataset.from_graph(g, task="link", splits="per-user", seed=seed, leave_one_out=one_out)
    pairs = {name: list(zip(p.pos.src.tolist(), p.pos.dst.tolist(), strict=True)) for name, p in data.splits.items()}
    every = [pair for part in pairs.values() for pair in part]
    assert len(set(every)) == len(every) == g.num_edges() // 2
    assert all(u < users <= i for u, i in every)
    for name in ("val", "test"):
        neg = data.splits[name].neg
        false = list(zip(neg.src.tolist(), neg.dst.tolist(), strict=True))
        assert neg.src.tolist() == [u for u, _ in pairs[name]] and not set(false) & set(every)
        assert all(i >= users for _, i in false) and len(set(false)) == len(false)
        assert not data.graph.has_edges_between(*map(list, zip(*pairs[name], strict=True))).any()
    if one_out:
        assert np.bincount([u for u, _ in pairs["test"]]).max() == 1


def test_per_user_can_hold_out_the_latest_items():
    g = gk.graphs.graph([0] * 6, range(1, 7), 12, edge_fields={"time": np.arange(6)[::-1].copy()}, undirected=True)
    g.ndata["ntype"] = (torch.arange(12) > 0).long()
    data = gk.Dataset.from_graph(g, task="link", splits="per-user", latest=True, leave_one_out=True)
    assert [data.splits[name].pos.dst.tolist() for name in ("val", "test")] == [[2], [1]]


def test_per_user_refuses_what_it_cannot_split():
    with pytest.raises(GraphKitError, match="needs a bipartite graph of users and items; karate is none"):
        gk.load("karate", task="link", split="per-user")
    full = gk.graphs.graph([0] * 10, range(1, 11), 11, undirected=True)
    full.ndata["ntype"] = (torch.arange(11) > 0).long()
    with pytest.raises(GraphKitError, match="node 0 of graph leaves 0 items, too few as negatives"):
        gk.Dataset.from_graph(full, task="link", splits="per-user")
    with pytest.raises(GraphKitError, match="needs times of edges"):
        gk.Dataset.from_graph(full, task="link", splits="per-user", latest=True)


def test_random_negatives_of_a_bipartite_graph_join_its_sides():
    data = gk.Dataset.from_graph(feedback(6, 25, 0), task="link", splits="random-link")
    for name in ("val", "test"):
        neg = data.splits[name].neg
        assert ((neg.src < 6) != (neg.dst < 6)).all() and len(neg) == len(data.splits[name].pos)
