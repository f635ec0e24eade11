"""Blocks against brute force: which edges, which degrees, which subgraph."""

import dgl
import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.core.errors import GraphKitError
from graphkit.graphs import graph
from graphkit.sampling import NeighborLoader, Store, block_batch, in_edges, induced, sample_block
from graphkit.sampling.blocks import check_fanouts, surroundings


@st.composite
def cases(draw):
    """A directed multigraph, distinct seeds and some removed edges."""
    total = draw(st.integers(1, 12))
    ends = draw(st.lists(st.tuples(st.integers(0, total - 1), st.integers(0, total - 1)), max_size=40))
    seeds = draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=total, unique=True))
    removed = draw(st.lists(st.integers(0, max(len(ends) - 1, 0)), max_size=10)) if ends else []
    made = graph([u for u, _ in ends], [v for _, v in ends], total)
    return made, torch.tensor(seeds), torch.tensor(removed, dtype=torch.int64)


def without(made, removed):
    keep = torch.ones(made.num_edges(), dtype=torch.bool)
    keep[removed] = False
    return keep


@settings(max_examples=50, deadline=None)
@given(cases(), st.sampled_from([-1, 1, 2, 3]), st.integers(0, 9))
def test_a_block_holds_the_edges_into_its_seeds(case, fanout, seed):
    made, seeds, removed = case
    keep = without(made, removed)
    block, nodes, edges = sample_block(made, seeds, fanout, removed, seed)
    src, dst = made.edges(order="eid")
    assert nodes[: len(seeds)].tolist() == seeds.tolist()
    assert len(set(nodes.tolist())) == len(nodes) and len(set(edges.tolist())) == len(edges)
    assert bool(keep[edges].all())
    u, v = block.edges(order="eid")
    assert torch.equal(nodes[u], src[edges]) and torch.equal(seeds[v], dst[edges])
    assert bool((v[1:] >= v[:-1]).all())  # sorted by destination
    into = torch.bincount(dst[keep], minlength=made.num_nodes())
    out = torch.bincount(src[keep], minlength=made.num_nodes())
    wanted = into[seeds] if fanout == -1 else into[seeds].clamp(max=fanout)
    assert torch.equal(torch.bincount(v, minlength=len(seeds)), wanted)
    assert set(nodes.tolist()) == set(seeds.tolist()) | set(src[edges].tolist())
    for data, ids in ((block.srcdata, nodes), (block.dstdata, seeds)):
        assert torch.equal(data["gk_in_degrees"], into[ids]) and torch.equal(data["gk_out_degrees"], out[ids])


@settings(max_examples=40, deadline=None)
@given(cases())
def test_the_induced_subgraph_is_that_of_dgl_less_the_removed(case):
    made, seeds, removed = case
    part, edges = induced(made, seeds, removed)
    theirs = dgl.node_subgraph(made, seeds)
    ids = theirs.edata[dgl.EID]
    keep = without(made, removed)
    assert sorted(edges.tolist()) == sorted(ids[keep[ids]].tolist())
    src, dst = made.edges(order="eid")
    assert torch.equal(seeds[part.edges()[0]], src[edges]) and torch.equal(seeds[part.edges()[1]], dst[edges])
    assert part.num_nodes() == len(seeds)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(0, 3), st.booleans())
def test_surroundings_are_those_of_a_breadth_first_search(case, depth, both):
    made, seeds, removed = case
    keep = without(made, removed)
    src, dst = (ids[keep].tolist() for ids in made.edges(order="eid"))
    walk = networkx.DiGraph()
    walk.add_nodes_from(range(made.num_nodes()))
    walk.add_edges_from(zip(dst, src))
    if both:
        walk.add_edges_from(zip(src, dst))
    wanted = set()
    for seed in seeds.tolist():
        wanted |= set(networkx.single_source_shortest_path_length(walk, seed, cutoff=depth))
    found = surroundings(made, seeds, depth, removed, both).tolist()
    assert len(found) == len(set(found)) and set(found) == wanted and found[: len(seeds)] == seeds.tolist()


@settings(max_examples=40, deadline=None)
@given(cases())
def test_full_neighbourhoods_compute_what_the_full_graph_computes(case):
    made, seeds, removed = case
    made.ndata["feat"] = torch.randn(made.num_nodes(), 3, dtype=torch.float64)
    made.edata["weight"] = torch.rand(made.num_edges(), dtype=torch.float64)
    made.edata["etype"] = torch.arange(made.num_edges())
    store = Store.of(made)
    batch = block_batch(store, seeds, [-1, -1], removed, 0)
    keep = without(made, removed).double()
    src, dst = made.edges(order="eid")
    dense = torch.zeros(made.num_nodes(), made.num_nodes(), dtype=torch.float64)
    dense.index_put_((dst, src), made.edata["weight"] * keep, accumulate=True)
    state = batch.feat
    for hop in batch.hops(2):
        u, v = hop.graph.edges(order="eid")
        assert torch.equal(made.edata["weight"][hop.etype], hop.edge_weight)
        state = torch.zeros(hop.graph.num_dst_nodes(), 3, dtype=torch.float64).index_add(
            0, v, state[u] * hop.edge_weight[:, None]
        )
    torch.testing.assert_close(state, (dense @ dense @ made.ndata["feat"])[seeds])
    assert torch.equal(store.feat[batch.fields["nid"]], batch.feat)


@pytest.mark.parametrize("removed", [None, torch.tensor([9])])
def test_draws_are_uniform_over_the_edges_that_stay(removed):
    made = graph(torch.arange(10), torch.full((10,), 10))
    counts = torch.zeros(10)
    for seed in range(600):
        counts[sample_block(made, torch.tensor([10]), 3, removed, seed)[2]] += 1
    stay = 10 if removed is None else 9
    assert counts.sum() == 1800 and int((counts == 0).sum()) == 10 - stay
    wanted = 1800 / stay
    assert float(((counts[:stay] - wanted) ** 2 / wanted).sum()) < 27  # chi-square, 9 degrees, p about 0.001


def test_a_node_whose_edges_are_removed_still_gets_its_full_fanout():
    made = graph(torch.arange(10), torch.full((10,), 10))
    for seed in range(10):
        assert sample_block(made, torch.tensor([10]), 1, torch.arange(9), seed)[2].tolist() == [9]


def test_edges_into_no_nodes():
    made = graph([0], [1])
    assert in_edges(made, torch.empty(0, dtype=torch.int64)).tolist() == []


@pytest.mark.parametrize("fanouts", [[], [0], [2, -2], 3, [1.5]])
def test_wrong_fanouts_get_one_sentence(fanouts):
    with pytest.raises(GraphKitError, match="fanouts"):
        check_fanouts(fanouts)


def test_targets_may_repeat():
    made = graph([0, 1, 2], [1, 2, 3], undirected=True, node_fields={"label": [5, 6, 7, 8]})
    batch = next(iter(NeighborLoader(made, torch.tensor([3, 1, 3]), [1], batch_size=3)))
    assert batch.fields["nid"][batch.targets].tolist() == [3, 1, 3] and batch.label.tolist() == [8, 6, 8]


def test_searching_and_looking_up_give_the_same_block(monkeypatch):
    made = graph(torch.randint(40, (200,)), torch.randint(40, (200,)), 40)
    seeds, removed = torch.tensor([7, 3, 39]), torch.tensor([0, 5, 9])
    found = []
    for table in (16, 0):
        monkeypatch.setattr("graphkit.sampling.blocks._TABLE", table)
        block, nodes, edges = sample_block(made, seeds, -1, removed)
        found.append([*block.edges(order="eid"), nodes, edges, induced(made, seeds, removed)[1]])
    assert all(torch.equal(a, b) for a, b in zip(*found))
