"""Link batches: no target in the message graph, negatives that are none, halves, refusals."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError
from graphkit.graphs import graph
from graphkit.sampling import EdgeIndex, LinkLoader, NeighborLoader, negatives


def dataset(made, pos, task="link", directed=False, neg=None):
    part = SimpleNamespace(pos=pos, neg=neg)
    return SimpleNamespace(
        name="toy",
        task=task,
        graph=made,
        num_hyperedges=0,
        splits={"train": part},
        card=SimpleNamespace(directed=directed),
    )


@st.composite
def undirected(draw):
    """An undirected simple graph whose every edge is a training link, written in a random direction."""
    total = draw(st.integers(4, 12))
    every = [(u, v) for u in range(total) for v in range(u)]
    links = draw(st.lists(st.sampled_from(every), min_size=4, max_size=len(every) - 1, unique=True))
    turned = [(v, u) if draw(st.booleans()) else (u, v) for u, v in links]
    src, dst = torch.tensor(turned).T
    made = graph(src, dst, total, {"feat": torch.arange(float(total))[:, None]}, undirected=True)
    return made, Pairs(src, dst)


def edge_set(made, names=None):
    src, dst = made.edges()
    if names is not None:
        src, dst = names[src], names[dst]
    return set(zip(src.tolist(), dst.tolist()))


@settings(max_examples=40, deadline=None)
@given(undirected(), st.sampled_from([None, [-1], [2, 2], [-1, -1]]), st.integers(0, 2), st.booleans())
def test_no_target_leaks_in_either_direction(case, fanouts, depth, knows_twins):
    made, pos = case
    if not knows_twins:
        made.edata.pop("reverse_id")
    size = max(1, len(pos) // 3)
    seen = []
    for batch in LinkLoader(dataset(made, pos), "train", size, fanouts, structure_depth=depth, seed=depth):
        names = torch.arange(made.num_nodes()) if fanouts is None else batch.fields["nid"]
        true = int(batch.label.sum())
        src, dst = names[batch.pairs.src].tolist(), names[batch.pairs.dst].tolist()
        targets = set(zip(src[:true], dst[:true])) | set(zip(dst[:true], src[:true]))
        seen += list(zip(src[:true], dst[:true]))
        whole = edge_set(made)
        left = edge_set(batch.graph, names[: batch.num_outputs])
        assert not targets & left
        if fanouts is None:
            assert left == whole - targets and batch.graph.num_edges() == made.num_edges() - 2 * true
            assert batch.fields["nid"].tolist() == list(range(made.num_nodes()))
        else:
            outputs = set(names[: batch.num_outputs].tolist())
            assert left == {(u, v) for u, v in whole - targets if u in outputs and v in outputs}
            start = len(names)
            for block in batch.blocks:
                u, v = block.edges()
                assert not targets & set(zip(names[u].tolist(), names[v].tolist()))
                assert block.num_src_nodes() <= start
        false = set(zip(src[true:], dst[true:]))
        assert len(src) == 2 * true and not false & whole and all(u != v for u, v in false)
        assert torch.equal(batch.feat[:, 0].long(), names)
    assert sorted(seen) == sorted(zip(pos.src.tolist(), pos.dst.tolist()))


@settings(max_examples=30, deadline=None)
@given(undirected(), st.integers(1, 3))
def test_heads_that_read_structure_get_the_neighbourhoods_they_declare(case, depth):
    made, pos = case
    for batch in LinkLoader(dataset(made, pos), "train", 1, [2], structure_depth=depth, remove_targets=False):
        names = batch.fields["nid"][: batch.num_outputs].tolist()
        ends = {names[i] for i in [*batch.pairs.src.tolist(), *batch.pairs.dst.tolist()]}
        wanted, edges = set(ends), edge_set(made)
        for _ in range(depth):
            wanted |= {u for u, v in edges if v in wanted}
        assert set(names) == wanted


@settings(max_examples=30, deadline=None)
@given(undirected(), st.integers(0, 5))
def test_split_hides_a_random_half_and_scores_all(case, seed):
    made, pos = case
    batch = next(iter(LinkLoader(dataset(made, pos), "train", remove_targets="split", seed=seed)))
    assert int(batch.label.sum()) == len(pos)
    assert batch.graph.num_edges() == made.num_edges() - 2 * (len(pos) // 2)
    left = edge_set(batch.graph)
    assert left <= edge_set(made) and all((v, u) in left for u, v in left)


def test_remove_targets_false_keeps_the_graph():
    made = graph([0, 1, 2], [1, 2, 3], undirected=True)
    batch = next(iter(LinkLoader(dataset(made, Pairs(torch.tensor([0]), torch.tensor([1]))), remove_targets=False)))
    assert batch.graph.num_edges() == 6


@pytest.mark.parametrize("fanouts", [None, [-1]])
def test_a_batch_that_would_take_more_than_half_is_refused(fanouts):
    made = graph([0, 1, 2, 3], [1, 2, 3, 0], undirected=True)
    data = dataset(made, Pairs(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3])))
    assert len(list(LinkLoader(data, batch_size=2, fanouts=fanouts))) == 2  # exactly half is allowed
    with pytest.raises(GraphKitError, match="6 of 8 message edges, more than half; use a smaller batch_size"):
        LinkLoader(data, batch_size=3, fanouts=fanouts)


def test_a_directed_graph_keeps_the_edge_back():
    made = graph([0, 1, 1, 2, 3, 0], [1, 0, 2, 3, 0, 2])
    pos = Pairs(torch.tensor([0]), torch.tensor([1]))
    for directed, left in ((True, {(1, 0)}), (False, set())):
        batch = next(iter(LinkLoader(dataset(made, pos, directed=directed))))
        assert edge_set(batch.graph) & {(0, 1), (1, 0)} == left


def test_parallel_edges_all_leave():
    made = graph([0, 0, 1, 2, 3, 3], [1, 1, 2, 3, 0, 1])
    batch = next(iter(LinkLoader(dataset(made, Pairs(torch.tensor([0]), torch.tensor([1]))))))
    assert edge_set(batch.graph) == edge_set(made) - {(0, 1)} and batch.graph.num_edges() == 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 5)), min_size=6, unique=True), st.data())
def test_triples_leave_alone_and_are_corrupted_at_one_end(triples, data):
    src, rel, dst = torch.tensor(triples).T
    made = graph(src, dst, 6, edge_fields={"etype": rel})
    toy = dataset(made, Pairs(src, dst, rel), task="triple", directed=True)
    fanouts = data.draw(st.sampled_from([None, [-1, -1]]))
    for batch in LinkLoader(toy, "train", 3, fanouts, num_negatives=2):
        names = batch.fields["nid"] if fanouts else torch.arange(6)
        true = int(batch.label.sum())
        rows = list(zip(names[batch.pairs.src].tolist(), batch.pairs.rel.tolist(), names[batch.pairs.dst].tolist()))
        if fanouts is None:
            u, v = batch.graph.edges(order="eid")
            held = set(zip(u.tolist(), batch.fields["etype"].tolist(), v.tolist()))
            assert held == set(triples) - set(rows[:true])
        else:
            for block, etype in zip(batch.blocks, batch.fields["etype"]):
                u, v = block.edges(order="eid")
                assert not set(rows[:true]) & set(zip(names[u].tolist(), etype.tolist(), names[v].tolist()))
        assert len(rows) == 3 * true
        for i, (head, relation, tail) in enumerate(rows[true:]):
            a, r, b = rows[i // 2]
            assert relation == r and (head == a or tail == b)


def test_typed_twins_leave_with_the_triple():
    src, dst = torch.tensor([0, 1, 2, 1, 2, 3]), torch.tensor([1, 2, 3, 0, 1, 2])
    fields = {"etype": torch.tensor([0, 0, 0, 1, 1, 1]), "reverse_id": torch.tensor([3, 4, 5, 0, 1, 2])}
    toy = dataset(graph(src, dst, 4, edge_fields=fields), Pairs(src[:1], dst[:1], torch.tensor([0])), task="triple")
    batch = next(iter(LinkLoader(toy)))
    assert edge_set(batch.graph) == {(1, 2), (2, 3), (2, 1), (3, 2)}


def test_validation_scores_what_the_split_stores():
    made = graph([0, 1, 2], [1, 2, 3], undirected=True)
    pos, neg = Pairs(torch.tensor([0]), torch.tensor([2])), Pairs(torch.tensor([1, 0]), torch.tensor([3, 3]))
    toy = dataset(made, pos, neg=neg)
    toy.splits["val"] = toy.splits.pop("train")
    batches = list(LinkLoader(toy, "val", batch_size=2))
    assert [b.label.tolist() for b in batches] == [[1.0, 0.0], [0.0]]
    assert torch.cat([b.pairs.dst for b in batches]).tolist() == [2, 3, 3]
    assert all(b.graph.num_edges() == 6 for b in batches)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 7), st.data())
def test_negatives_are_free_pairs_also_where_few_are_left(total, data):
    every = [(u, v) for u in range(total) for v in range(total) if u != v]
    free = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=2, unique=True))
    taken = [pair for pair in every if pair not in free]
    ends = torch.tensor(taken, dtype=torch.int64).reshape(-1, 2).T
    drawn = negatives.uniform(200, total, EdgeIndex(*ends, total), torch.Generator().manual_seed(0))
    assert set(zip(drawn.src.tolist(), drawn.dst.tolist())) == set(free)


def test_no_free_pair_gets_one_sentence():
    known = EdgeIndex(torch.tensor([0, 1]), torch.tensor([1, 0]), 2)
    with pytest.raises(GraphKitError, match="every pair of the 2 nodes is an edge"):
        negatives.uniform(1, 2, known, torch.Generator())
    assert len(negatives.uniform(0, 2, known, torch.Generator())) == 0


def test_negatives_are_uniform():
    known = EdgeIndex(torch.tensor([0, 1]), torch.tensor([1, 2]), 4)
    drawn = negatives.uniform(10_000, 4, known, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn.src * 4 + drawn.dst, minlength=16)
    counts = counts[counts > 0].double()
    assert len(counts) == 10 and float(((counts - 1000) ** 2 / 1000).sum()) < 28  # chi-square, 9 degrees, p about 0.001


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=20), st.tuples(*[st.integers(0, 4)] * 3))
def test_the_edge_index_finds_every_parallel_edge(edges, query):
    assume(edges)
    src, dst, rel = torch.tensor(edges).T
    u, v, r = (torch.tensor([x]) for x in query)
    typed = EdgeIndex(src, dst, 5, rel).find(u, v, r)[0].tolist()
    plain = EdgeIndex(src, dst, 5).find(u, v)[0].tolist()
    assert sorted(typed) == [i for i, e in enumerate(edges) if e == query]
    assert sorted(plain) == [i for i, e in enumerate(edges) if e[:2] == query[:2]]


def test_too_many_nodes_for_an_index():
    empty = torch.empty(0, dtype=torch.int64)
    with pytest.raises(GraphKitError, match="too many for a pair index"):
        EdgeIndex(empty, empty, 2**32)


def test_degrees_on_blocks_are_those_without_the_targets():
    made = graph([0, 1, 2, 3], [1, 2, 3, 0], undirected=True)
    toy = dataset(made, Pairs(torch.tensor([0]), torch.tensor([1])))
    batch = next(iter(LinkLoader(toy, fanouts=[1], num_negatives=0)))
    names = batch.fields["nid"].tolist()
    degrees = batch.blocks[0].srcdata["gk_in_degrees"].tolist()
    assert dict(zip(names, degrees)) == {n: 1 if n in (0, 1) else 2 for n in names}
    whole = next(iter(NeighborLoader(made, None, [1], 4)))
    assert whole.blocks[0].srcdata["gk_in_degrees"].tolist() == [2, 2, 2, 2]
