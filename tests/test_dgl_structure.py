"""The cached index tensors: right for every kind of graph, new after a mutation, gone with the graph."""

from __future__ import annotations

import gc
import threading

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from graphkit import GraphKitError, _dgl, sampling
from graphkit._dgl import index

import dgl  # isort: skip


def check(tensors: _dgl.Structure) -> None:
    """Compare both compressed forms with a plain loop over the edges."""
    src, dst = tensors.src.tolist(), tensors.dst.tolist()
    for (indptr, other, eid), key, far, rows in (
        (tensors.csc(), dst, src, tensors.num_dst),
        (tensors.csr(), src, dst, tensors.num_src),
    ):
        assert indptr.dtype == other.dtype == eid.dtype == torch.int64
        for row in range(rows):
            found = eid[indptr[row] : indptr[row + 1]].tolist()
            assert found == [e for e, k in enumerate(key) if k == row]
            assert other[indptr[row] : indptr[row + 1]].tolist() == [far[e] for e in found]
        assert len(indptr) == rows + 1
    assert tensors.in_degrees.tolist() == np.bincount(dst, minlength=tensors.num_dst).tolist()
    assert tensors.out_degrees.tolist() == np.bincount(src, minlength=tensors.num_src).tolist()
    assert tensors.is_sorted_by_dst == (dst == sorted(dst))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=12)))
def test_compressed_forms_of_any_graph(edges):
    src, dst = zip(*edges, strict=True) if edges else ((), ())
    check(_dgl.structure(_dgl.from_arrays(torch.tensor(src).long(), torch.tensor(dst).long(), 6)))


def kinds() -> dict[str, dgl.DGLGraph]:
    plain = dgl.graph(([3, 1, 0, 0], [0, 1, 2, 0]), num_nodes=5)
    typed = dgl.heterograph(
        {("node", "in", "hyperedge"): ([0, 1, 2], [0, 0, 1]), ("hyperedge", "has", "node"): ([1], [2])}
    )
    return {
        "plain": plain,
        "int32": plain.int(),
        "sorted": dgl.graph(([3, 1, 0], [0, 1, 2])),
        "edgeless": dgl.graph(([], []), num_nodes=3),
        "batched": dgl.batch([plain, plain]),
        "block": dgl.to_block(dgl.in_subgraph(plain, [0, 2]), [2, 0]),
        "relation": typed["in"],
        "relation back": typed["has"],
        "from csr": dgl.graph(("csr", ([0, 2, 3], [1, 0, 1], [2, 0, 1]))),
    }


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_kind_of_graph(kind):
    graph = kinds()[kind]
    tensors = _dgl.structure(graph)
    check(tensors)
    src, dst = graph.edges(order="eid")
    assert tensors.src.tolist() == src.tolist() and tensors.dst.tolist() == dst.tolist()
    assert (tensors.num_src, tensors.num_dst) == (graph.num_src_nodes(), graph.num_dst_nodes())
    assert tensors.src.dtype == torch.int64


def test_several_relations_at_once_are_refused():
    typed = dgl.heterograph({("a", "x", "b"): ([0], [0]), ("b", "y", "a"): ([0], [0])})
    with pytest.raises(GraphKitError, match="one edge type, got one with 2"):
        _dgl.structure(typed)


def test_tensors_are_made_once_and_shared_by_copies():
    graph = kinds()["plain"]
    assert _dgl.structure(graph).csc()[0] is _dgl.structure(graph.local_var()).csc()[0]


@pytest.mark.parametrize(
    "mutate", [lambda g: g.add_edges([4], [4]), lambda g: g.remove_edges([0]), lambda g: g.add_nodes(1)]
)
def test_a_mutated_graph_has_a_new_structure(mutate):
    graph = kinds()["plain"]
    before = _dgl.structure(graph)
    before.csc()
    mutate(graph)
    after = _dgl.structure(graph)
    assert (after.num_edges, after.num_dst) == (graph.num_edges(), graph.num_nodes())
    assert (after.num_edges, after.num_dst) != (before.num_edges, before.num_dst)
    check(after)
    check(before)


def test_entries_die_with_their_graph():
    gc.collect()
    before = _dgl.cache_size()
    graph = dgl.rand_graph(50, 400)
    _dgl.structure(graph).csr()
    _dgl.with_self_loops(graph)
    assert _dgl.cache_size()[0] > before[0] and _dgl.cache_size()[1] > before[1]
    del graph
    gc.collect()
    assert _dgl.cache_size() == before


def test_a_structure_in_hand_outlives_its_graph():
    tensors = _dgl.structure(dgl.rand_graph(5, 9))
    gc.collect()
    check(tensors)


def test_an_id_used_again_is_not_believed():
    """CPython gives a new object the id of a dead one; here one finalizer comes too late."""
    cache = index._Cache(1 << 20)
    first, second = dgl.rand_graph(3, 2)._graph, dgl.rand_graph(3, 2)._graph
    entry = cache.get(first)
    entry.items["csc"] = "of the first"
    cache.entries[id(second)] = cache.entries.pop(id(first))
    assert "csc" not in cache.get(second).items
    many = set()
    for n in range(1, 200):
        graph = dgl.graph((torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.int64)))
        many.add(id(graph._graph))
        assert len(_dgl.structure(graph).src) == n
        del graph
    assert len(many) < 199


def test_the_cache_is_bounded_in_bytes_and_drops_the_least_recently_used(monkeypatch):
    cache = index._Cache(limit=3000)
    monkeypatch.setattr(index, "_CACHE", cache)
    graphs = [_dgl.from_arrays(torch.zeros(50).long(), torch.zeros(50).long(), 1) for _ in range(6)]
    for graph in graphs:
        _dgl.structure(graph).dst  # noqa: B018
        _dgl.structure(graphs[0])
    assert cache.total <= 3000
    assert id(graphs[0]._graph) in cache.entries and id(graphs[1]._graph) not in cache.entries
    assert cache.total == sum(entry.nbytes for entry in cache.entries.values())
    large = _dgl.from_arrays(torch.zeros(5000).long(), torch.zeros(5000).long(), 1)
    assert len(_dgl.structure(large).dst) == 5000
    assert list(cache.entries) == [id(large._graph)]


def test_threads_get_the_same_tensors():
    graphs = [dgl.rand_graph(30, 200) for _ in range(20)]
    seen: list[list[int]] = []

    def work() -> None:
        seen.append([id(_dgl.structure(graph).csc()[0]) for graph in graphs for _ in range(5)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(row == seen[0] for row in seen)


def test_tensors_made_while_predicting_are_good_for_training():
    graph = dgl.rand_graph(5, 9)
    with torch.inference_mode():
        tensors = _dgl.structure(graph)
        made = [tensors.src, *tensors.csc(), *tensors.csr(), tensors.in_degrees]
    assert not any(x.is_inference() for x in made)


@pytest.mark.parametrize("kind", ["plain", "int32", "edgeless", "batched", "block", "sorted"])
def test_self_loops_are_appended(kind):
    graph = kinds()[kind]
    looped = _dgl.with_self_loops(graph)
    src, dst = graph.edges()
    loop = torch.arange(graph.num_dst_nodes())
    assert looped.edges()[0].tolist() == src.tolist() + loop.tolist()
    assert looped.edges()[1].tolist() == dst.tolist() + loop.tolist()
    assert (type(looped), looped.idtype) == (type(graph), graph.idtype)
    assert looped.num_src_nodes() == graph.num_src_nodes()
    assert looped._graph is _dgl.with_self_loops(graph)._graph
    if kind == "batched":
        assert looped.batch_num_nodes().tolist() == [5, 5]
    check(_dgl.structure(looped))


def test_self_loops_between_different_kinds_of_node_are_refused():
    with pytest.raises(GraphKitError, match="'node' to 'hyperedge'"):
        _dgl.with_self_loops(kinds()["relation"])


@pytest.mark.parametrize("kind", ["plain", "batched", "edgeless"])
def test_reverse_turns_each_edge(kind):
    graph = kinds()[kind]
    assert [x.tolist() for x in _dgl.reverse(graph).edges()] == [x.tolist() for x in graph.edges()[::-1]]


@pytest.mark.parametrize(
    ("src", "dst", "words"),
    [([0, 5], [1, 1], "src holds the node id 5"), ([0], [-1], "id -1"), ([0], [], "one length")],
)
def test_wrong_ends_are_refused(src, dst, words):
    with pytest.raises(GraphKitError, match=words):
        _dgl.from_arrays(torch.tensor(src).long(), torch.tensor(dst).long(), 3)


def test_samples_follow_the_seed_on_any_number_of_threads():
    graph = dgl.rand_graph(40, 900)
    seeds = torch.arange(20)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append([sampling.sample_block(graph, seeds, 4, seed=s)[2].tolist() for s in (0, 1, 2**62, -1)])
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert found[0] == found[1]
    assert len({tuple(x) for x in found[0]}) == 4


def test_self_loops_on_a_block_raise_the_degrees_it_recorded():
    graph = dgl.rand_graph(40, 900)
    block, _, _ = sampling.sample_block(graph, torch.tensor([7, 3]), 2)
    assert torch.equal(block.dstdata["gk_in_degrees"], graph.in_degrees([7, 3]))
    assert torch.equal(_dgl.with_self_loops(block).dstdata["gk_in_degrees"], block.dstdata["gk_in_degrees"] + 1)


def test_kernels_agree_with_torch():
    graph = dgl.rand_graph(20, 90)
    gidx = _dgl.structure(graph).gidx
    src, dst = graph.edges()
    feat, weight = torch.rand(20, 3), torch.rand(90)
    wanted = torch.zeros(20, 3).index_add(0, dst, feat[src] * weight[:, None])
    assert torch.allclose(_dgl.spmm_kernel(gidx, "mul", "sum", feat, weight[:, None])[0], wanted, atol=1e-6)
    assert torch.allclose(_dgl.sddmm_kernel(gidx, "add", feat, feat), feat[src] + feat[dst])
