"""Loaders: the same batches whatever the workers, each example once, graphs from slices, whole-dataset batches."""

import dataclasses

import dgl
import pytest
import torch

import graphkit as gk
from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError
from graphkit.graphs import graph
from graphkit.sampling import GraphLoader, LinkLoader, NeighborLoader, full_batch


def flat(value):
    """All tensors of a batch, graphs as their edges."""
    if isinstance(value, dgl.DGLGraph):
        return [*value.edges(order="eid"), value.batch_num_nodes() if not value.is_block else torch.zeros(0)]
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for name in sorted(value) for t in flat(value[name])]
    if isinstance(value, list | tuple):
        return [t for item in value for t in flat(item)]
    if dataclasses.is_dataclass(value):
        return [t for f in dataclasses.fields(value) for t in flat(getattr(value, f.name))]
    assert value is None
    return []


def same(one, two):
    one, two = flat(one), flat(two)
    return len(one) == len(two) and all(torch.equal(a, b) for a, b in zip(one, two))


def points(total=60, edges=200, **fields):
    draw = torch.Generator().manual_seed(3)
    src, dst = (torch.randint(total, (edges,), generator=draw) for _ in range(2))
    node = {"feat": torch.randn(total, 4, generator=draw), "label": torch.randint(3, (total,), generator=draw)}
    return graph(src, dst, total, node, {"weight": torch.rand(edges, generator=draw)}, undirected=True)


@pytest.fixture(scope="module")
def links():
    return gk.Dataset.from_graph(points(), task="link", seed=1)


@pytest.fixture(scope="module")
def molecules():
    draw = torch.Generator().manual_seed(0)
    graphs = []
    for size in (3, 5, 2, 4, 6, 1, 3):
        ends = torch.randint(size, (2, 2 * size), generator=draw)
        graphs.append(graph(ends[0], ends[1], size, {"feat": torch.randn(size, 2, generator=draw)}, undirected=True))
    return gk.Dataset.from_graphs(graphs, labels=[0, 1, 0, 1, 0, 1, 1])


def loaders(links, molecules, **options):
    return {
        "node": NeighborLoader(points(), None, [2, -1], 16, shuffle=True, seed=5, **options),
        "link": LinkLoader(links, "train", 8, [3, 3], seed=5, remove_targets=True, **options),
        "link full": LinkLoader(links, "train", 32, seed=5, remove_targets="split", **options),
        "graph": GraphLoader(molecules, None, 2, shuffle=True, seed=5, **options),
    }


@pytest.mark.parametrize("kind", ["node", "link", "link full", "graph"])
def test_workers_do_not_change_the_batches(links, molecules, kind):
    here, there = (loaders(links, molecules, num_workers=n)[kind] for n in (0, 2))
    for epoch in (0, 1):
        for loader in (here, there):
            loader.set_epoch(epoch)
        one, two = list(here), list(there)
        assert len(one) == len(two) == len(here) and all(map(same, one, two))


def test_spawned_workers_do_not_change_the_batches():
    one, two = (
        list(
            NeighborLoader(points(), None, [2, 2], 30, shuffle=True, num_workers=n, start_method="spawn" if n else None)
        )
        for n in (0, 1)
    )
    assert len(one) == 2 and all(map(same, one, two))


def test_a_pass_cut_short_does_not_change_the_next():
    loader = NeighborLoader(points(), None, [2], 4, shuffle=True, num_workers=2)
    whole = NeighborLoader(points(), None, [2], 4, shuffle=True)
    next(iter(loader))
    loader.set_epoch(1)
    whole.set_epoch(1)
    assert all(map(same, list(loader), list(whole)))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_random_state_is_left_alone(workers):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(NeighborLoader(points(), None, [2], 30, shuffle=True, num_workers=workers))
    assert torch.equal(before, torch.get_rng_state())


def test_an_epoch_visits_each_node_once_and_epochs_differ():
    loader = NeighborLoader(points(), None, [2], 16, shuffle=True)
    epochs = [torch.cat([b.fields["nid"][b.targets] for b in loader]).tolist() for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(60)) and epochs[0] != epochs[1]
    loader.set_epoch(0)
    assert torch.cat([b.fields["nid"][b.targets] for b in loader]).tolist() == epochs[0]


def test_without_shuffling_every_pass_is_the_same():
    loader = NeighborLoader(points(), None, [2], 16)
    assert all(map(same, list(loader), list(loader)))


def test_seed_and_phase_change_the_draws():
    made = [
        next(iter(NeighborLoader(points(), None, [2], 60, seed=seed, phase=phase)))
        for seed, phase in ((0, "a"), (1, "a"), (0, "b"), (0, "a"))
    ]
    assert same(made[0], made[3]) and not same(made[0], made[1]) and not same(made[0], made[2])


def test_drop_last():
    assert [b.num_outputs for b in NeighborLoader(points(), None, [1], 25, drop_last=True)] == [25, 25]
    assert len(NeighborLoader(points(), torch.arange(3), [1], 25, drop_last=True)) == 1  # never nothing at all


def test_fanouts_none_gives_the_whole_graph():
    made = points()
    batch = next(iter(NeighborLoader(made, torch.tensor([4, 2]), None, 2)))
    assert batch.graph.num_edges() == made.num_edges() and batch.targets.tolist() == [4, 2]
    assert torch.equal(batch.edge_weight, made.edata["weight"]) and batch.blocks is None


def test_batches_hold_no_fields_inside_graphs():
    made = points()
    batch = full_batch(made)
    assert not batch.graph.ndata and not batch.graph.edata and "feat" in made.ndata


def test_graph_batches_equal_graphs_one_by_one(molecules):
    for batch in GraphLoader(molecules, torch.tensor([4, 0, 5]), 3):
        parts = dgl.unbatch(batch.graph)
        rows = batch.feat.split([g.num_nodes() for g in parts])
        for i, gid in enumerate([4, 0, 5]):
            alone = molecules[gid]
            assert torch.equal(torch.stack(parts[i].edges()), torch.stack(alone.edges()))
            assert torch.equal(rows[i], alone.ndata["feat"])
        assert batch.label.tolist() == [0, 0, 1] and batch.graph_fields["gid"].tolist() == [4, 0, 5]


def test_full_batch_of_each_task(links, molecules):
    data = gk.Dataset.from_graph(points(), splits={"train": [0, 1], "val": [2], "test": [4, 5]})
    batch = full_batch(data, "test")
    assert batch.targets.tolist() == [4, 5] and torch.equal(batch.label, data.labels[[4, 5]])
    assert full_batch(data).targets is None
    found = links.splits["val"]
    batch = full_batch(links, "val")
    assert torch.equal(batch.pairs.src, Pairs.cat([found.pos, found.neg]).src)
    assert batch.label.tolist() == [1.0] * len(found.pos) + [0.0] * len(found.neg)
    assert batch.graph.num_edges() == links.graph.num_edges()
    assert full_batch(molecules).graph.batch_size == 7


def test_wrong_requests_get_one_sentence(links, molecules):
    made = points()
    data = gk.Dataset.from_graph(made)
    for wrong, said in [
        (lambda: full_batch(data, "trian"), "unknown split 'trian'"),
        (lambda: full_batch(data, torch.tensor([60])), r"there are 60 nodes \(ids 0 to 59\)"),
        (lambda: GraphLoader(data), "needs a set of graphs"),
        (lambda: GraphLoader(molecules, torch.tensor([7])), "there are 7 graphs"),
        (lambda: NeighborLoader(molecules), "use GraphLoader"),
        (lambda: NeighborLoader(data, None, [2], batch_size=0), "batch_size is 0"),
        (lambda: NeighborLoader(data, None, [2], num_workers=-1), "num_workers is -1"),
        (lambda: LinkLoader(data), "has no pairs"),
        (lambda: LinkLoader(links, "tset"), "unknown split 'tset'"),
        (lambda: LinkLoader(links, remove_targets="half"), "unknown remove_targets 'half'"),
        (lambda: LinkLoader(links, num_negatives=-1), "num_negatives is -1"),
    ]:
        with pytest.raises(GraphKitError, match=said):
            wrong()


class Refuses:
    def make(self, rows, seed):
        raise GraphKitError("a sentence of a worker: with a colon")


def test_an_error_in_a_worker_is_the_same_sentence():
    from graphkit.sampling import Loader

    for workers in (0, 1):
        with pytest.raises(GraphKitError) as caught:
            list(Loader(Refuses(), 4, 2, num_workers=workers))
        assert str(caught.value) == "a sentence of a worker: with a colon"
