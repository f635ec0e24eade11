"""Systems for molecules: edge networks, learned fingerprints, one trunk for many assays, conditional bottlenecks."""

from __future__ import annotations

import dgl
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import graphkit as gk
from graphkit.core.batch import Batch, Encoded, Hop
from graphkit.core.errors import GraphKitError
from graphkit.core.spec import Spec
from graphkit.heads import TargetScale
from graphkit.models import build
from graphkit.models.graph.mpnn import MPNN, EdgeNetwork, GatedSum, PairMessage, edge_kinds
from graphkit.models.graph.multitask import circular_fingerprint
from graphkit.models.graph.neural_fingerprint import FingerprintConv, FingerprintHead
from graphkit.sampling import GraphLoader
from graphkit.testing.models import check_model

DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CC(=O)Nc1ccc(O)cc1",
    "c1ccccc1", "Cc1ccccc1", "CCO", "CCCCCC", "OCC(O)CO", "NC(N)=O", "c1ccc2ccccc2c1", "CCN(CC)CC", "ClC(Cl)Cl",
    "C1CCCCC1", "CC(C)=O", "OC(=O)CCC(=O)O", "c1ccncc1", "Nc1ccccc1", "COc1ccccc1", "CS(C)=O", "C#CC", "CC=C", "FC(F)F",
    "O=C1CCCCCN1", "CC(N)C(=O)O", "OC(=O)c1ccccc1", "Clc1ccccc1Cl", "CCCCO", "CCOCC", "O=CC=O",
]  # fmt: skip


def bonds(seed=0, nodes=6, kinds=3, edges=64):
    """A random graph whose edges have one of ``kinds`` rows of features."""
    draw = torch.Generator().manual_seed(seed)
    src, dst = torch.randint(nodes, (2, edges), generator=draw)
    rows = torch.randn(kinds, 4, generator=draw)
    return dgl.graph((src, dst), num_nodes=nodes), rows[torch.randint(kinds, (edges,), generator=draw)]


# --- MPNN ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [None, 8])
@pytest.mark.parametrize("towers", [1, 3])
def test_a_matrix_for_each_kind_of_bond_is_what_a_matrix_for_each_edge_gives(hidden, towers):
    torch.manual_seed(0)
    graph, edge_feat = bonds()
    layer, state, weight = EdgeNetwork(6, 4, hidden, towers), torch.randn(6, 6), torch.rand(64)
    kinds = edge_kinds(edge_feat)
    assert kinds is not None and len(kinds[0]) == 3 and torch.equal(kinds[0][kinds[1]], edge_feat)
    hop = Hop(graph, edge_feat, weight, None)
    torch.testing.assert_close(layer(hop, state, kinds), layer(hop, state, None), atol=1e-5, rtol=1e-5)


def test_edges_have_kinds_only_where_few_differ_and_no_gradient_is_asked_for():
    assert edge_kinds(torch.randn(64, 4)) is None and edge_kinds(torch.zeros(0, 4)) is None
    assert edge_kinds(torch.ones(64, 4).requires_grad_()) is None
    # Two rows with one key: 2 sqrt(2) = sqrt(8), so the rows must be compared, not only their keys.
    one, other = torch.zeros(8), torch.zeros(8)
    one[1], other[7] = 2.0, 1.0
    clash = torch.stack([one, other]).repeat(32, 1)
    found = edge_kinds(clash)
    assert found is None or torch.equal(found[0][found[1]], clash)


def test_the_message_is_that_of_dgl_and_a_relational_sum_where_the_network_is_linear():
    torch.manual_seed(0)
    graph, edge_feat = bonds()
    state, layer = torch.randn(6, 5), EdgeNetwork(5, 4, None)
    matrix = layer.matrices(edge_feat)[:, 0]  # [E, 5, 5]
    theirs = dgl.nn.NNConv(5, 5, lambda e: layer.matrices(e)[:, 0].flatten(1), "sum", bias=False)
    hop = Hop(graph, edge_feat, None, None)
    torch.testing.assert_close(layer(hop, state, edge_kinds(edge_feat)), theirs(graph, state, edge_feat))
    src, dst = graph.edges()
    by_hand = torch.zeros(6, 5).index_add(0, dst, torch.einsum("ei,eio->eo", state[src], matrix))
    torch.testing.assert_close(layer(hop, state, None), by_hand, atol=1e-5, rtol=1e-5)
    relation = torch.arange(64) % 3
    hop = Hop(graph, F.one_hot(relation, 4).float(), None, None)
    conv = layer.towers[0]
    by_relation = sum(
        torch.zeros(6, 5).index_add(
            0, dst[relation == r], state[src[relation == r]] @ (conv.weight[0] + conv.weight[1 + r])
        )
        for r in range(3)
    )
    torch.testing.assert_close(layer(hop, state, None), by_relation, atol=1e-5, rtol=1e-5)


def test_a_round_is_a_gru_that_hears_the_messages_and_keeps_the_state():
    torch.manual_seed(0)
    graph, edge_feat = bonds()
    model = MPNN(3, None, hidden=5, num_layers=1, edge_feats=4)
    feat = torch.randn(6, 3)
    rows = model(Batch(graph, feat, edge_feat)).node
    h = model.embed(feat)
    m = model.message(Hop(graph, edge_feat, None, None), h, None)
    torch.testing.assert_close(rows, torch.cat([model.update(m, h), h], 1), atol=1e-5, rtol=1e-5)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(rows[:, :5], model.update(h, m), atol=1e-3, rtol=1e-3)


def test_pair_messages_and_the_gated_sum_follow_their_formulas():
    torch.manual_seed(0)
    graph, edge_feat = bonds()
    layer, state = PairMessage(5, 4), torch.randn(6, 5)
    src, dst = graph.edges()
    w = torch.cat([layer.source.weight, layer.target.weight, layer.beside.weight], 1)
    hidden = F.relu(torch.cat([state[src], state[dst], edge_feat], 1) @ w.T + layer.source.bias)
    by_hand = torch.zeros(6, 5).index_add(0, dst, layer.out(hidden))
    torch.testing.assert_close(layer(Hop(graph, edge_feat, None, None), state, None), by_hand, atol=1e-5, rtol=1e-5)
    pool = GatedSum(5)
    torch.testing.assert_close(
        pool(graph, state), (pool.gate(state).sigmoid() * pool.value(state)).sum(0, keepdim=True)
    )


@pytest.mark.parametrize("arguments", [{"message": "pair"}, {"message": "linear"}, {"towers": 4, "hidden": 16}])
def test_the_laws_hold_for_every_message(arguments):
    assert "edge_weight" in check_model("mpnn", "graph", **arguments)


@pytest.mark.parametrize("readout", ["set2set", "gated", "sum"])
def test_readouts_by_name(readout):
    model = build("mpnn", Spec("graph", 5, 2, edge_feats=4), hidden=6, readout=readout)
    graph, edge_feat = bonds()
    assert model(Batch(graph, torch.randn(6, 5), edge_feat)).pred.shape == (1, 2)


def test_edges_without_features_carry_a_one():
    model = build("mpnn", Spec("graph", 5, 2), hidden=6).eval()
    graph, feat = bonds()[0], torch.randn(6, 5)
    assert torch.equal(model(Batch(graph, feat)).pred, model(Batch(graph, feat, torch.randn(64, 3))).pred)
    with pytest.raises(GraphKitError, match=r"mpnn expects edge features \[64, 4\], but the batch has none"):
        build("mpnn", Spec("graph", 5, 2, edge_feats=4))(Batch(graph, feat))
    with pytest.raises(GraphKitError, match="towers=4 does not divide hidden=6"):
        build("mpnn", Spec("graph", 5, 2, edge_feats=4), hidden=6, towers=4)


# --- targets in their own units -----------------------------------------------------------------------------------


def numbers(count=24, columns=2):
    draw = torch.Generator().manual_seed(0)
    graphs = [dgl.graph(([0, 1], [1, 0])) for _ in range(count)]
    for graph in graphs:
        graph.ndata["feat"] = torch.randn(2, 3, generator=draw)
    feat = torch.stack([graph.ndata["feat"].sum() for graph in graphs])
    label = torch.stack([1000.0 * feat + 5000.0, 0.01 * feat], 1)[:, :columns]
    return gk.Dataset.from_graphs(
        graphs, label, splits={"train": torch.arange(count - 6), "val": [18, 19, 20], "test": [21, 22, 23]}
    )


def test_targets_are_learned_in_units_of_their_deviation_and_given_as_they_are(tmp_path):
    data = numbers()
    run = gk.fit("mpnn", data, epochs=1, hidden=8, progress=False, run_dir=tmp_path / "run")
    scale = run.model.head
    torch.testing.assert_close(scale.mean, data.labels[:18].mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scale.std, data.labels[:18].std(0, unbiased=False), rtol=1e-5, atol=1e-5)
    pred = run.predict(graphs=[0, 1])
    assert abs(float(pred[0, 0]) - 5000) < 5000  # an untrained head says about the mean, not about 0
    # Both columns count the same in the loss, whatever their units.
    unit = (pred - data.labels[:2]) / scale.std
    assert float(run.task.criterion(pred, data.labels[:2])) == pytest.approx(float(unit.square().mean()), rel=1e-4)
    again = gk.Run.load(tmp_path / "run", data)
    assert torch.equal(again.predict(graphs=[0, 1]), pred)
    few = again.data.with_split({"train": [0], "val": [1], "test": [2]})
    assert torch.equal(again.predict(data=few, graphs=[0, 1]), pred)  # other data do not change the scale


def test_classes_are_not_scaled_and_missing_numbers_do_not_count():
    scale = TargetScale(torch.nn.Identity(), 2)
    scale.learn(torch.tensor([[1.0, float("nan")], [3.0, 7.0]]))
    assert scale.mean.tolist() == [2.0, 7.0] and scale.std.tolist() == [1.0, 1.0]
    scale.learn(torch.zeros(2, 2))
    assert scale.mean.tolist() == [2.0, 7.0]
    with pytest.raises(GraphKitError, match="the targets have 3 columns, but the head gives 2 numbers"):
        TargetScale(torch.nn.Identity(), 2).learn(torch.zeros(1, 3))
    data = numbers()
    binary = gk.Dataset.from_graphs(list(data), (data.labels > data.labels.mean(0)).float(), splits=data.splits)
    run = gk.fit("mpnn", binary, epochs=1, hidden=8, progress=False)
    assert not bool(run.model.head.learned)


# --- neural fingerprints ------------------------------------------------------------------------------------------


def molecules(texts=DRUGS):
    pytest.importorskip("rdkit")
    return gk.data.from_smiles(texts, np.linspace(0, 1, len(texts)))


def whole(data, **changes):
    batch = next(iter(GraphLoader(data, None, batch_size=len(data), shuffle=False)))
    return batch.replace(**changes)


def test_every_atom_writes_one_in_each_layer():
    batch = whole(molecules())
    model = build("neural-fingerprint", molecules()).eval()
    f = model.head.head.fingerprint(model.encode(batch))
    torch.testing.assert_close(f.sum(1), 5.0 * batch.graph.batch_num_nodes(), atol=1e-3, rtol=1e-5)


def test_the_matrix_is_that_of_the_degree():
    torch.manual_seed(0)
    graph = dgl.graph(([0, 1, 1, 2, 1, 3, 3, 4], [1, 0, 2, 1, 3, 1, 4, 3]), num_nodes=6)
    feat, edge_feat, conv = torch.randn(6, 3), torch.randn(8, 2), FingerprintConv(3, 4, 2, max_degree=3)
    expected = []
    for v in range(6):
        src, eid = graph.in_edges(v, form="all")[0], graph.in_edges(v, form="eid")
        row = conv.fc_self(feat[v])
        if len(src):
            row = row + torch.cat([feat[src], edge_feat[eid]], 1).sum(0) @ conv.weight[len(src) - 1]
        expected.append(row)
    torch.testing.assert_close(conv(graph, feat, edge_feat), torch.stack(expected), atol=1e-5, rtol=1e-5)
    with pytest.raises(GraphKitError, match="node 1 has 3 neighbours, more than max_degree=2; raise it, or take"):
        FingerprintConv(3, 4, 2, max_degree=2)(graph, feat, edge_feat)
    clamped = FingerprintConv(3, 4, 2, max_degree=2, overflow="clamp")
    assert clamped.degree(graph).tolist() == [0, 1, 0, 1, 0, 0]


def test_large_weights_make_hard_bits_that_agree_with_circular_fingerprints():
    torch.manual_seed(0)
    data = molecules()
    batch = whole(data)
    model = build("neural-fingerprint", data, length=512, hidden=32, num_layers=2).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e3)
        enc = model.encode(batch)
        head = model.head.head
        sharp = torch.cat([writer(rows).softmax(-1).max(-1).values for writer, rows in zip(head.writers, enc.layers)])
        assert float((sharp > 0.99).float().mean()) >= 0.95
        soft = head.fingerprint(enc).round()
        hard = circular_fingerprint(batch.graph, batch.feat, batch.edge_feat, 2, 4096, counts=True)
    pairs = torch.combinations(torch.arange(len(data)))

    def tanimoto(f):
        a, b = f[pairs[:, 0]], f[pairs[:, 1]]
        return torch.minimum(a, b).sum(1) / torch.maximum(a, b).sum(1)

    assert np.corrcoef(tanimoto(soft), tanimoto(hard))[0, 1] > 0.8


# --- a user's own molecules ---------------------------------------------------------------------------------------


def test_own_molecules_are_split_trained_and_asked_about_new_ones():
    data = molecules()
    assert data.names["smiles"] == DRUGS and data.labels.shape == (30, 1)
    by_scaffold = data.with_split("scaffold")
    groups = [{data.names["scaffold"][i] for i in part.tolist()} for part in by_scaffold.splits.values()]
    assert not groups[0] & groups[2]
    run = gk.fit("mpnn", data, epochs=1, hidden=8, progress=False)
    both = run.predict(smiles=[DRUGS[3], "CCCl"])
    torch.testing.assert_close(both[0], run.predict(graphs=3)[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(run.predict(smiles="CCCl")[0], both[1], atol=1e-5, rtol=1e-5)
    with pytest.raises(GraphKitError, match="row 1: the SMILES 'C\\(' does not parse"):
        run.predict(smiles=["C", "C("])
    skipping = pytest.warns(UserWarning, match="skipped 1 SMILES")
    with skipping:
        some = gk.data.from_smiles(["C(", "CC", "CO", "CN"], [1, 2, 3, 4.0], on_error="skip", ratio=(0.4, 0.3, 0.3))
    assert some.labels.flatten().tolist() == [2.0, 3.0, 4.0] and some.report["skipped"] == [[0, "C("]]


def test_new_molecules_need_a_run_of_molecules():
    run = gk.fit("mpnn", numbers(), epochs=1, hidden=8, progress=False)
    with pytest.raises(GraphKitError, match="holds no molecules that were read from SMILES"):
        run.predict(smiles="CCO")
    with pytest.raises(GraphKitError, match="labels have shape"):
        gk.data.from_smiles(["C", "CC"], [1.0])


def test_the_head_of_fingerprints_tells_what_each_atom_writes():
    rows = torch.randn(3, 4)
    enc = Encoded(dgl.graph(([0, 1], [1, 2])), rows, layers=(rows,))
    head = FingerprintHead([4], 1, length=6)
    torch.testing.assert_close(head.atoms(enc).sum(0, keepdim=True), head.fingerprint(enc))
