"""shaDow scopes, clusters, GraphSAINT and layer-by-layer predictions: identities, isolation, unbiased weights."""

import dgl
import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit import _dgl
from graphkit.core.errors import GraphKitError
from graphkit.core.spec import Spec
from graphkit.models import build
from graphkit.sampling import (
    ClusterLoader,
    NeighborLoader,
    Saint,
    SaintLoader,
    Scope,
    ShadowLoader,
    Store,
    approx_ppr,
    metis,
)
from graphkit.sampling.shadow import scope_batch
from tests.test_sampling_loaders import points, same


def cubic(nodes=200, seed=0):
    """A graph of 200 nodes with about three neighbours each, and random features."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(nodes)
    src = np.concatenate([order, np.arange(0, nodes, 2)])
    dst = np.concatenate([np.roll(order, 1), draw.permutation(np.arange(1, nodes, 2))])
    feat = torch.from_numpy(draw.standard_normal((nodes, 6)).astype(np.float32))
    return gk.graphs.graph(src, dst, nodes, {"feat": feat}, undirected=True)


def model(name, layers, **more):
    torch.manual_seed(0)
    return build(name, Spec("node", 6, 4, num_nodes=200), num_layers=layers, hidden=8, **more).eval()


@pytest.mark.parametrize("alpha", [0.85, 0.25])
def test_pushed_pagerank_is_within_its_bound(alpha):
    graph, eps = gk.load("karate").graph, 1e-3
    score, rest = approx_ppr(graph, torch.arange(34), alpha, eps)
    degree = graph.in_degrees().double()
    walk = torch.eye(34, dtype=torch.float64)
    walk = (walk + graph.adj_external().to_dense().double().T / degree) / 2
    exact = alpha * torch.linalg.inv(torch.eye(34, dtype=torch.float64) - (1 - alpha) * walk)
    assert bool(((score - exact.T).abs() <= eps * degree).all()) and bool((score - exact.T).abs().max() > 0)
    assert bool((score.sum(1) + rest.sum(1) - 1).abs().max() < 1e-8)


def test_full_scopes_equal_the_whole_graph_as_deep_as_they_reach():
    graph = cubic()
    store, roots = Store.of(graph), torch.arange(0, 200, 7)
    batch = scope_batch(store, roots, Scope(depth=2, budget=-1), seed=0)
    gaps = {}
    for name in ("sage", "gcn"):
        for layers in (1, 2, 3):
            net = model(name, layers)
            gaps[name, layers] = (net(batch).pred - net(store.batch(targets=roots)).pred).abs().max().item()
    # A mean over neighbours needs the neighbours; GCN's norm needs their degrees too, which the border has lost.
    assert gaps["sage", 1] < 1e-5 and gaps["sage", 2] < 1e-5 < 1e-2 < gaps["sage", 3]
    assert gaps["gcn", 1] < 1e-5 and gaps["gcn", 2] > 1e-2


@pytest.mark.parametrize("scope", [Scope(budget=2), Scope("ppr", budget=12), Scope(depth=3, budget=-1)])
def test_targets_of_a_batch_do_not_see_each_other(scope):
    store, net = Store.of(cubic()), model("gat", 3)
    alone = [net(scope_batch(store, torch.tensor([v]), scope, seed=5)).pred[0] for v in (3, 3, 90)]
    for others in ([7, 8], [4, 5, 6, 3], [9]):
        roots = torch.tensor([3, *others, 3, 90])
        found = net(scope_batch(store, roots, scope, seed=5)).pred[[0, -2, -1]]
        assert (found - torch.stack(alone)).abs().max() < 1e-6


def test_scopes_are_what_they_say():
    graph = cubic()
    for scope in (Scope(depth=1, budget=2), Scope(depth=2, budget=-1), Scope("ppr", budget=5)):
        batch = scope_batch(Store.of(graph), torch.tensor([4, 9, 4]), scope, seed=1)
        for part, root in zip(dgl.unbatch(batch.graph), (4, 9, 4)):
            nodes = batch.fields["nid"][: part.num_nodes()]
            rest = batch.fields["nid"][part.num_nodes() :]
            batch.fields["nid"] = rest
            assert int(nodes[0]) == root and len(set(nodes.tolist())) == len(nodes)
            whole = dgl.node_subgraph(graph, nodes)
            assert sorted(zip(*map(torch.Tensor.tolist, part.edges()))) == sorted(
                zip(*map(torch.Tensor.tolist, whole.edges()))
            )
            if scope.kind == "ppr":
                assert len(nodes) <= 6
                score = approx_ppr(graph, [root])[0][0]
                best = [v for v in score.argsort(descending=True, stable=True).tolist() if v != root][:5]
                assert set(nodes[1:].tolist()) <= set(best)
            elif scope.budget == 2:
                assert len(nodes) <= 3
    batch = scope_batch(Store.of(graph), torch.tensor([4]), Scope(depth=2, budget=-1), seed=1)
    hops = dgl.shortest_dist(graph, 4)[batch.fields["nid"]]
    assert torch.equal(batch.fields["hop"], hops) and torch.equal(batch.feat, graph.ndata["feat"][batch.fields["nid"]])


def test_a_scope_tells_a_ring_of_six_from_two_triangles():
    def constant(src, dst):
        return gk.graphs.graph(src, dst, 6, {"feat": torch.ones(6, 6)}, undirected=True)

    ring, triangles = constant(range(6), [1, 2, 3, 4, 5, 0]), constant(range(6), [1, 2, 0, 4, 5, 3])
    torch.manual_seed(0)
    net = build("gin", Spec("node", 6, 4), num_layers=2, hidden=8).double().eval()

    def both(batch):
        batch.feat = batch.feat.double()
        return net(batch).pred[0]

    whole = [both(Store.of(g).batch(targets=torch.tensor([0]))) for g in (ring, triangles)]
    scoped = [
        both(scope_batch(Store.of(g), torch.tensor([0]), Scope(depth=1, budget=-1), 0)) for g in (ring, triangles)
    ]
    assert (whole[0] - whole[1]).abs().max() < 1e-10 and (scoped[0] - scoped[1]).abs().max() > 1e-3


def test_isolated_nodes_have_a_scope_of_their_own():
    graph = gk.graphs.graph([0], [1], 3, {"feat": torch.ones(3, 6)}, undirected=True)
    for scope in (Scope(), Scope("ppr")):
        batch = scope_batch(Store.of(graph), torch.tensor([2]), scope, seed=0)
        assert batch.fields["nid"].tolist() == [2] and batch.graph.num_edges() == 0
        assert model("gcn", 2)(batch).pred.isfinite().all()


def samplers(data=None, **options):
    data = data or gk.Dataset.from_graph(points(), splits="random")
    return {
        "khop": ShadowLoader(data, "train", Scope(budget=2), 10, seed=2, **options),
        "ppr": ShadowLoader(data, "train", Scope("ppr", budget=5), 10, seed=2, **options),
        "cluster": ClusterLoader(data, "train", 12, 3, seed=2, **options),
        "walk": SaintLoader(data, "train", batch_size=20, seed=2, **options),
        "edge": SaintLoader(data, "train", Saint("edge"), 20, seed=2, **options),
        "node": SaintLoader(data, "train", Saint("node"), 20, seed=2, **options),
    }


@pytest.mark.parametrize("kind", ["khop", "ppr", "cluster", "walk", "edge", "node"])
def test_workers_do_not_change_the_batches_of_any_sampler(kind):
    data = gk.Dataset.from_graph(points(), splits="random")
    here, there = (samplers(data, shuffle=True, num_workers=n)[kind] for n in (0, 2))
    for epoch in (0, 1):
        here.set_epoch(epoch), there.set_epoch(epoch)
        one, two = list(here), list(there)
        assert len(one) == len(two) == len(here) > 1 and all(map(same, one, two))


@pytest.mark.parametrize("kind", ["khop", "ppr", "cluster"])
def test_an_epoch_visits_each_training_node_once(kind):
    loader = samplers(shuffle=True)[kind]
    train = gk.Dataset.from_graph(points(), splits="random").splits["train"]
    for _ in range(2):
        seen = torch.cat([batch.fields["nid"][batch.targets] for batch in loader])
        assert sorted(seen.tolist()) == sorted(train.tolist())


def test_a_ring_is_cut_where_it_must_be():
    ring = gk.graphs.graph(range(2000), [*range(1, 2000), 0], undirected=True)
    parts, (src, dst) = metis(ring, 10), ring.edges()
    assert int((parts[src] != parts[dst]).sum()) == 20  # both directions of ten edges
    assert parts.bincount().min() > 180


def test_clusters_keep_most_edges_and_metis_prints_nothing(capfd):
    data = gk.load("digits")
    capfd.readouterr()
    parts = metis(data.graph, 10)
    assert capfd.readouterr() == ("", "") and torch.equal(parts, metis(data.graph, 10))
    src, dst = data.graph.edges()
    chance = torch.randperm(len(parts), generator=torch.Generator().manual_seed(0))
    assert (parts[src] == parts[dst]).float().mean() > 3 * (parts[chance][src] == parts[chance][dst]).float().mean()
    assert parts.bincount().max() < 1.1 * len(parts) / 10
    kept = sum(batch.graph.num_edges() for batch in ClusterLoader(data, "train", 10, 1))
    assert kept == int((parts[src] == parts[dst]).sum())


@pytest.mark.parametrize("kind", ["walk", "edge", "node"])
@pytest.mark.parametrize(
    ("presamples", "rounds", "near"), [(500, 250, 0.04), pytest.param(2000, 700, 0.02, marks=pytest.mark.slow)]
)
def test_saint_weights_make_losses_and_means_unbiased(kind, presamples, rounds, near):
    graph = cubic()
    value = torch.rand(200, generator=torch.Generator().manual_seed(1))
    data = gk.Dataset.from_graph(graph, labels=torch.zeros(200, dtype=torch.int64), splits={"train": torch.arange(150)})
    loader = SaintLoader(data, "train", Saint(kind, presamples=presamples), 60, shuffle=True)
    losses, total, count = [], torch.zeros(200), torch.zeros(200)
    for _ in range(rounds):
        for batch in loader:
            nodes = batch.fields["nid"]
            losses.append((value[nodes[batch.targets]] * batch.fields["loss_weight"]).sum())
            mean = gk.ops.spmm(batch.graph, value[nodes, None], batch.edge_weight, "mean")[:, 0]
            total[nodes] += mean
            count[nodes] += 1
    # The mean of 750 subgraphs' losses, whose spread is a sixth of their mean, and chances counted in 500 others.
    assert abs(torch.stack(losses).mean() / value[:150].mean() - 1) < near
    exact = gk.ops.spmm(graph, value[:, None], None, "mean")[:, 0]
    assert (total / count - exact).mean().abs() < 0.02 and torch.corrcoef(torch.stack([total / count, exact]))[
        0, 1
    ] > 0.9


@pytest.mark.parametrize("name", ["sage", "gcn", "gat", "gatv2"])
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_layer_by_layer_equals_the_whole_graph(name, place, tmp_path):
    graph = cubic()
    graph.ndata["label"] = torch.arange(200) % 4
    data = gk.Dataset.from_graph(graph, splits="random")
    run = gk.fit(name, data, epochs=1, progress=False, num_layers=3)
    whole = run.predict(logits=True)
    other = gk.data.to_disk(data, tmp_path) if place == "disk" else data
    run.task.eval_batch_size = 33
    for nodes in (None, torch.arange(150, 0, -1), [5]):
        found = run.predict(nodes=nodes, data=other, logits=True)
        assert (found - whole[slice(None) if nodes is None else nodes]).abs().max() < 1e-5


def test_wrong_samplers_get_one_sentence():
    data = gk.load("karate")
    for options, said in [
        ({"sampler": "shadw"}, "unknown sampler 'shadw'"),
        ({"sampler": "shadow", "sampler_options": {"dept": 2}}, "unknown option of the sampler 'shadow' 'dept'"),
        ({"sampler": "shadow", "sampler_options": {"depth": 0}}, "depth"),
        ({"sampler": "shadow", "sampler_options": {"budget": 0}}, "budget is 0"),
        ({"sampler": "shadow", "sampler_options": {"kind": "ppr", "alpha": 2}}, "alpha is 2"),
        ({"sampler": "neighbor", "sampler_options": {"parts": 2}}, "takes no option 'parts'"),
        ({"sampler": "cluster", "sampler_options": {"parts": 35}}, "asked for 35 parts of 34 nodes"),
        ({"sampler": "shadow", "memory_budget": "1MB"}, "packs batches of the sampler 'neighbor'"),
    ]:
        with pytest.raises(GraphKitError, match=said):
            gk.fit("sage", data, options, epochs=1, progress=False)


def test_one_index_of_64_bit_numbers_is_drawn_from_like_one_of_32():
    """What a graph of 2^31 edges and more keeps."""
    indptr, index, _ = _dgl.structure(gk.load("digits").graph).csc()
    small, large = (_dgl.from_incoming(indptr.to(kind), index.to(kind)) for kind in (torch.int32, torch.int64))
    batches = [list(NeighborLoader(graph, None, [3, -1], 500, seed=1)) for graph in (small, large)]
    assert len(batches[0]) == 4
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.fields["nid"], other.fields["nid"])
        for here, there in zip(one.blocks, other.blocks, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(here.edges(), there.edges(), strict=True))
