"""Splits: disjoint, complete, repeatable, and without leakage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.data.splits.links import LinkSplit, draw_negatives
from graphkit.graphs import graph

PARTS = ("train", "val", "test")


def edges(num_nodes: int, count: int, seed: int) -> tuple[list[int], list[int]]:
    rng = np.random.default_rng(seed)
    return rng.integers(num_nodes, size=count).tolist(), rng.integers(num_nodes, size=count).tolist()


def unordered(pairs) -> set[tuple[int, int]]:
    return {(min(u, v), max(u, v)) for u, v in zip(pairs.src.tolist(), pairs.dst.tolist(), strict=True)}


def ordered(pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.src.tolist(), pairs.dst.tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(st.integers(12, 40), st.integers(30, 120), st.integers(0, 10**6), st.booleans())
def test_link_splits_do_not_leak(num_nodes, count, seed, undirected):
    src, dst = edges(num_nodes, count, seed)
    data_graph = graph(src, dst, num_nodes, undirected=undirected)
    data = gk.Dataset.from_graph(data_graph, "link", seed=seed)
    key = unordered if data.undirected else ordered
    u, v = data_graph.edges(order="eid")
    every = key(gk.Pairs(u, v))
    links = {pair for pair in every if pair[0] != pair[1]}
    positive = {part: key(data.splits[part].pos) for part in PARTS}
    negative = {part: key(data.splits[part].neg) for part in ("val", "test")}

    assert set.union(*positive.values()) == links and sum(map(len, positive.values())) == len(links)
    for part in ("val", "test"):
        assert len(negative[part]) == len(data.splits[part].neg) == len(positive[part])
        assert not negative[part] & every
        assert all(a != b for a, b in negative[part])
    assert not negative["val"] & negative["test"]

    u, v = data.graph.edges(order="eid")
    message = key(gk.Pairs(u, v))
    assert message == every - positive["val"] - positive["test"]
    assert data.original.num_edges() == data_graph.num_edges()
    if data.undirected and data.graph.num_edges():
        twin = data.graph.edata["reverse_id"]
        assert torch.equal(u[twin], v) and torch.equal(v[twin], u)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-1, 3), min_size=40, max_size=120),
    st.sampled_from(["random", "stratified10", "random-stratified"]),
    st.integers(0, 1000),
)
def test_row_splits_are_disjoint_complete_and_repeatable(labels, protocol, seed):
    if sum(label >= 0 for label in labels) < 12:
        return
    graphs = [graph([], [], 1)] * len(labels)
    options = {"stratified": True} if protocol == "random-stratified" else {}
    name = protocol.removesuffix("-stratified")
    made = [gk.Dataset.from_graphs(graphs, labels, name, seed=seed, **options) for _ in range(2)]
    parts = [made[0].splits[part] for part in PARTS]
    both = torch.cat(parts)
    assert sorted(both.tolist()) == [i for i, label in enumerate(labels) if label >= 0]
    assert made[0].split_hash == made[1].split_hash


def test_ten_folds_partition_the_set_with_equal_class_shares():
    labels = [0] * 63 + [1] * 125
    data = gk.Dataset.from_graphs([graph([], [], 1)] * 188, labels, "stratified10")
    folds = [data.fold(k) for k in range(10)]
    assert sorted(torch.cat([fold.splits["test"] for fold in folds]).tolist()) == list(range(188))
    for fold in folds:
        zeros = int((data.labels[fold.splits["test"]] == 0).sum())
        assert zeros in (6, 7) and len(fold.splits["test"]) in (18, 19)
        assert len(fold.splits["val"]) in (16, 17)
        assert abs(int((data.labels[fold.splits["val"]] == 0).sum()) - 17 / 3) < 1.5
    with pytest.raises(GraphKitError, match=r"fold=10.*expected 0 to 9"):
        data.fold(10)


@pytest.mark.parametrize("sizes", [(500, 500), (400, 1600), (30, 30, 30), (500, 300, 200)])
def test_ten_folds_of_round_class_sizes_hold_every_class_once_they_held_one(sizes):
    labels = [kind for kind, size in enumerate(sizes) for _ in range(size)]
    data = gk.Dataset.from_graphs([graph([], [], 1)] * len(labels), labels, "stratified10")
    for k in range(10):
        found = torch.bincount(data.labels[data.fold(k).splits["test"]], minlength=len(sizes))
        assert all(abs(int(n) - size / 10) <= 1 for n, size in zip(found, sizes, strict=True))


def test_random_per_class_draws_sizes_and_differs_by_seed():
    data = gk.load("digits", split="random-per-class")
    assert torch.bincount(data.labels[data.splits["train"]]).tolist() == [20] * 10
    assert [len(data.splits[part]) for part in PARTS] == [200, 500, 1000]
    assert data.split_hash != data.with_split("random-per-class", seed=1).split_hash
    with pytest.raises(GraphKitError, match="class 0 of karate has 17 rows; expected more than 20"):
        gk.load("karate", split="random-per-class")


def test_rows_without_a_label_enter_no_split():
    g = graph([0], [1], 20)
    data = gk.Dataset.from_graph(g, labels=[-1] * 5 + [0, 1] * 7 + [0])
    assert min(int(part.min()) for part in data.splits.values()) == 5


def test_a_tiny_link_split_is_one_clear_error():
    with pytest.raises(GraphKitError, match="2 links, too few"):
        gk.Dataset.from_graph(graph([0, 1], [1, 2], undirected=True), "link")
    src, dst = np.triu_indices(10, 1)
    with pytest.raises(GraphKitError, match="0 pairs of nodes without a link; expected at least"):
        gk.Dataset.from_graph(graph(src, dst, undirected=True), "link")


def test_a_given_split_that_overlaps_is_refused():
    g = graph([0, 1], [1, 2], 4)
    with pytest.raises(GraphKitError, match="part test repeats nodes"):
        gk.Dataset.from_graph(g, labels=[0, 1, 0, 1], splits={"train": [0, 1], "test": [1, 2]})
    with pytest.raises(GraphKitError, match=r"test\[0\] is 9, but there are 4 nodes"):
        gk.Dataset.from_graph(g, labels=[0, 1, 0, 1], splits={"train": [0, 1], "test": [9]})
    with pytest.raises(GraphKitError, match="mask train has 3 rows"):
        gk.Dataset.from_graph(g, labels=[0, 1, 0, 1], splits={"train": torch.tensor([True, False, True])})


def test_a_given_link_split_with_a_true_link_as_negative_is_refused():
    g = graph([0, 1, 2], [1, 2, 3], undirected=True)
    pairs = gk.Pairs(torch.tensor([0]), torch.tensor([1]))
    other = gk.Pairs(torch.tensor([3]), torch.tensor([2]))
    good = {"train": LinkSplit(pairs), "test": LinkSplit(other, gk.Pairs(torch.tensor([0]), torch.tensor([3])))}
    assert gk.Dataset.from_graph(g, "link", splits=good).graph.num_edges() == 4
    with pytest.raises(GraphKitError, match="stores true links as negatives"):
        gk.Dataset.from_graph(
            g, "link", splits={**good, "test": LinkSplit(other, gk.Pairs(torch.tensor([2]), torch.tensor([1])))}
        )
    with pytest.raises(GraphKitError, match="repeats links"):
        gk.Dataset.from_graph(g, "link", splits={**good, "val": LinkSplit(gk.Pairs(other.dst, other.src))})


@given(st.integers(2, 30), st.integers(0, 60), st.booleans(), st.integers(0, 1000))
def test_negatives_are_distinct_free_and_all_reachable(num_nodes, taken, undirected, seed):
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(num_nodes, size=(2, taken))
    if undirected:
        src, dst = np.minimum(src, dst), np.maximum(src, dst)
    codes = src * num_nodes + dst
    all_pairs = {
        u * num_nodes + v for u in range(num_nodes) for v in range(num_nodes) if (u < v if undirected else u != v)
    }
    free = all_pairs - set(codes.tolist())
    assert set(draw_negatives(codes, num_nodes, len(free), undirected, rng).tolist()) == free
    with pytest.raises(GraphKitError):
        draw_negatives(codes, num_nodes, len(free) + 1, undirected, rng)


def test_negatives_of_a_large_sparse_graph_are_drawn_without_listing_all():
    rng = np.random.default_rng(0)
    taken = rng.integers(10**8, size=1000) * 100_003 % 10**10
    found = draw_negatives(taken, 100_000, 5000, False, rng)
    assert len(np.unique(found)) == 5000 and not np.isin(found, taken).any()
    assert (found // 100_000 != found % 100_000).all()


def test_scaffolds_are_not_shared():
    from graphkit.data.splits.scaffold import group_cut

    groups = [str(g) for g in np.random.default_rng(0).integers(20, size=100)]
    parts = group_cut(groups, (0.8, 0.1, 0.1))
    held = [{groups[i] for i in part} for part in parts]
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]


def test_of_scaffolds_of_one_size_the_last_goes_first():
    """The order that MoleculeNet's splits were made in; the other one left BBBP's test part with one class."""
    from graphkit.data.splits.scaffold import group_cut

    parts = group_cut(["a", "b", "c", "b", "d", "d", "e"], (0.6, 0.2, 0.2))
    assert [part.tolist() for part in parts] == [[1, 3, 4, 5], [6], [0, 2]]


def test_the_order_of_ids_does_not_tell_links_from_non_links():
    splits = gk.load("digits", task="link").splits
    for pairs in (splits["train"].pos, splits["test"].pos, splits["test"].neg):
        assert 0.4 < (pairs.src < pairs.dst).float().mean() < 0.6
