"""Dataset and collated sets: batches from slices, one's own graphs, transforms, what is kept in the cache."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError
from graphkit.data.collated import Collated
from graphkit.data.processed import put, take
from graphkit.data.raw import Raw
from graphkit.graphs import graph


def random_graphs(seed: int, count: int = 6) -> list:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        n = int(rng.integers(1, 7))
        src, dst = rng.integers(n, size=(2, int(rng.integers(0, 9))))
        made.append(graph(src, dst, n, {"feat": rng.normal(size=(n, 2))}, undirected=True))
    return made


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 5), max_size=8))
def test_a_batch_from_slices_equals_the_graphs_joined(seed, ids):
    graphs = random_graphs(seed)
    data = gk.Dataset.from_graphs(graphs, labels=[0, 1] * 3)
    batch, node, edge, whole = data.collated.batch(ids)
    assert whole["label"].tolist() == [i % 2 for i in ids]
    assert batch.batch_num_nodes().tolist() == [graphs[i].num_nodes() for i in ids]
    assert batch.batch_num_edges().tolist() == [graphs[i].num_edges() for i in ids]
    src, dst = batch.edges(order="eid")
    first_node = first_edge = 0
    for i in ids:
        u, v = graphs[i].edges(order="eid")
        edges = slice(first_edge, first_edge + len(u))
        assert torch.equal(src[edges], u + first_node) and torch.equal(dst[edges], v + first_node)
        assert torch.equal(edge["reverse_id"][edges], graphs[i].edata["reverse_id"] + first_edge)
        assert torch.equal(node["feat"][first_node : first_node + graphs[i].num_nodes()], graphs[i].ndata["feat"])
        first_node, first_edge = first_node + graphs[i].num_nodes(), first_edge + len(u)


def test_one_graph_of_a_set_is_the_graph_that_went_in():
    graphs = random_graphs(3)
    data = gk.Dataset.from_graphs(graphs, labels=[0] * 6)
    for made, given_graph in zip(data, graphs, strict=True):
        assert torch.equal(made.edges(order="eid")[0], given_graph.edges(order="eid")[0])
        assert torch.equal(made.edata["reverse_id"], given_graph.edata["reverse_id"])
    assert data[-1].num_nodes() == graphs[-1].num_nodes()
    with pytest.raises(IndexError, match="graph 6 of 6"):
        data[6]
    with pytest.raises(GraphKitError, match="set of 6 graphs; take one as"):
        _ = data.graph
    part = data.collated.subset([4, 1])
    assert torch.equal(part[1].ndata["feat"], graphs[1].ndata["feat"])


def test_edges_that_come_in_any_order_are_collated():
    src, dst = torch.tensor([3, 0, 4, 1]), torch.tensor([4, 1, 3, 0])
    made = Collated.from_edges(src, dst, torch.tensor([2, 0, 3]), {}, {"reverse_id": torch.tensor([2, 3, 0, 1])})
    assert made.edge_counts.tolist() == [2, 0, 2] and made.edge_fields["reverse_id"].tolist() == [1, 0, 1, 0]
    assert made[2].edges()[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Collated.from_edges(torch.tensor([0]), torch.tensor([5]), torch.tensor([2])), r"dst\[0\] is 5"),
        (lambda: Collated.from_edges(torch.tensor([0]), torch.tensor([2]), torch.tensor([2, 2])), "joins node 0 of gr"),
        (
            lambda: Collated(*map(torch.tensor, ([0, 2], [0, 1], [0], [7]))),
            "edge 0 has dst 7, but its graph 0 has 2 nodes",
        ),
        (
            lambda: gk.Dataset.from_graph(graph([0], [1], node_fields={"feat": [[1.0], [float("nan")]]})),
            "'feat' holds NaN or infinity in 1 of 2 rows, first in row 1",
        ),
        (
            lambda: gk.Dataset.from_graph(graph([0], [1]), labels=[0, 1, 2]),
            r"labels have shape \[3\]; expected one row",
        ),
        (lambda: gk.Dataset.from_graph(graph([0], [1]), labels=[0, -2]), "hold the class -2"),
        (lambda: gk.Dataset.from_graph([1, 2]), "got a list; expected a dgl.DGLGraph"),
        (lambda: gk.Dataset.from_graph(graph([0], [1]), "graph"), "unknown task of one graph 'graph'"),
        (
            lambda: gk.Dataset.from_graphs([graph([0], [1]), graph([0], [1], 2, {"feat": [[1.0]] * 2})]),
            "graph 1 has the",
        ),
    ],
)
def test_unsound_graphs_are_refused_in_one_sentence(make, says):
    with pytest.raises(GraphKitError, match=says):
        make()


def test_a_heterograph_is_sent_to_to_typed():
    import dgl

    g = dgl.heterograph({("a", "x", "b"): ([0], [0]), ("b", "y", "a"): ([0], [0])})
    with pytest.raises(GraphKitError, match="to_typed"):
        gk.Dataset.from_graph(g)


def test_ones_own_masks_and_twins_are_found():
    g = graph([0, 1, 2], [1, 0, 2], 3)
    for name, rows in (("train_mask", [1, 0, 0]), ("val_mask", [0, 1, 0]), ("test_mask", [0, 0, 1])):
        g.ndata[name] = torch.tensor(rows).bool()
    data = gk.Dataset.from_graph(g, labels=[0, 1, 1])
    assert [part.tolist() for part in data.splits.values()] == [[0], [1], [2]]
    assert data.undirected and data.graph.edata["reverse_id"].tolist() == [1, 0, 2]
    assert "train_mask" not in data.graph.ndata
    assert not gk.Dataset.from_graph(graph([0], [1]), labels=[0, 1]).undirected


def test_floats_are_targets_and_integers_classes():
    g = graph([0], [1], 4)
    assert gk.Dataset.from_graph(g, labels=[[0.5, 1.0]] * 4).spec().out_feats == 2
    assert gk.Dataset.from_graph(g, labels=np.array([0.5] * 4)).labels.dtype == torch.float32
    assert gk.Dataset.from_graph(g, labels=[0, 2, 1, 0]).num_classes == 3


def test_a_transform_of_links_sees_training_edges_only_and_follows_the_split():
    seen = []

    def remember(g):
        seen.append(g.num_edges())
        g.ndata["feat"] = torch.ones(g.num_nodes(), 3)
        return g

    data = gk.load("karate", task="link").transform(remember)
    assert seen == [data.splits["train"].pos.src.numel() * 2] and data.spec().in_feats == 3
    again = data.with_split("random-link", seed=5)
    assert len(seen) == 2 and again.spec().in_feats == 3 and again.split_hash != data.split_hash
    assert "feat" not in gk.load("karate", task="link").graph.ndata


def test_a_transform_that_changes_the_nodes_of_a_split_is_refused():
    with pytest.raises(GraphKitError, match="changes 34 nodes into 2"):
        gk.load("karate").transform(lambda g: graph([0], [1]))


def test_the_fingerprint_depends_on_data_and_split():
    one = gk.load("karate")
    assert one.fingerprint() == gk.load("karate").fingerprint()
    assert one.fingerprint() != gk.load("karate", seed=1).fingerprint()
    assert one.fingerprint() != gk.load("karate", task="link").fingerprint()


def test_a_dataset_survives_pickle():
    data = pickle.loads(pickle.dumps(gk.load("karate", task="link")))
    assert data.graph.num_edges() == 132 and data.splits["val"].neg.src.shape == (4,)


def test_what_is_kept_in_the_cache_comes_back_and_damage_is_noticed(tmp_path):
    collated = gk.Dataset.from_graphs(random_graphs(1), labels=[0, 1] * 3).collated
    fold = {"train": torch.tensor([0, 1]), "test": torch.tensor([2])}
    raw = Raw(collated, {"folds": [fold, fold], "public": fold}, {"class": ["a", "é"]}, {"n": 1}, undirected=False)
    place, vouched = tmp_path / "x.safetensors", {"checksums": {"a.txt": "0"}, "unverified": {}}
    put(place, raw, vouched)
    back, said = take(place)
    assert said == vouched
    assert (back.names, back.report, back.undirected) == (raw.names, raw.report, False)
    assert [sorted(f) for f in back.splits["folds"]] == [["test", "train"]] * 2
    assert torch.equal(back.splits["public"]["train"], fold["train"])
    for name in ("src", "dst", "node_offsets", "edge_offsets"):
        assert torch.equal(getattr(back.collated, name), getattr(collated, name))
    assert torch.equal(back.collated.graph_fields["label"], collated.graph_fields["label"])
    whole = place.read_bytes()
    for damaged in (whole[:-50], whole[:-3] + b"xyz", whole.replace(b"undirected", b"undirectEd"), b""):
        place.write_bytes(damaged)
        with pytest.raises(DataError, match=r"x\.safetensors is (damaged|not a processed dataset)"):
            take(place)


def test_ba_shapes_is_as_published():
    data = gk.data.generate.ba_shapes(3)
    g = data.graph
    assert torch.bincount(data.labels).tolist() == [300, 160, 160, 80]
    src, dst = g.edges(order="eid")
    motif = g.edata["motif_edge"]
    house = g.ndata["house"]
    assert int(motif.sum()) == 960 and (house[src[motif]] == house[dst[motif]]).all() and (house[src[motif]] >= 0).all()
    inside = torch.bincount(dst[motif], minlength=700)
    assert [sorted(set(inside[data.labels == role].tolist())) for role in range(4)] == [[0], [3], [2], [2]]
    assert data.report["extra_edges"] == 20 and g.num_edges() // 2 == 480 + 1475 + 80 + 20
    assert data.fingerprint() != gk.data.generate.ba_shapes(4).fingerprint()
    assert torch.equal(data.graph.edges()[0], gk.data.generate.ba_shapes(3).graph.edges()[0])
    assert [len(part) for part in data.splits.values()] == [560, 70, 70]


def test_the_catalog_needs_neither_torch_nor_dgl(fresh_python):
    program = (
        "import sys, graphkit.data as d; d.card('cora'); d.names('link');"
        "print(sorted({'torch', 'dgl', 'sklearn', 'pandas', 'numba'} & set(sys.modules)))"
    )
    assert fresh_python(program).strip() == "[]"


def test_reader_options_are_remembered_and_change_the_fingerprint():
    plain, wide = gk.load("digits"), gk.load("digits", k=8)
    assert wide.reader_options == {"k": 8} and wide.graph.num_edges() > plain.graph.num_edges()
    assert plain.split_hash == wide.split_hash and plain.fingerprint() != wide.fingerprint()


def test_the_fingerprint_of_a_transformed_set_is_of_what_is_there_now():
    data = gk.load("karate")
    one, two = (data.transform(lambda g, n=n: _with_feat(g, n)) for n in (1, 2))
    assert one.fingerprint() != two.fingerprint() != data.fingerprint()
    assert one.fingerprint() == data.transform(lambda g: _with_feat(g, 1)).fingerprint()


def _with_feat(g, value):
    g.ndata["feat"] = torch.full((g.num_nodes(), 1), float(value))
    return g
