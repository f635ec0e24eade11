"""Many assays at once, pairs of molecules, and how both are measured."""

from __future__ import annotations

import dgl
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import graphkit as gk
from graphkit import metrics
from graphkit.core.batch import Batch, Encoded
from graphkit.core.errors import GraphKitError
from graphkit.core.spec import Spec
from graphkit.models import build
from graphkit.models.graph.cgib import CGIB, Bottleneck, Pairing
from graphkit.models.graph.multitask import Multitask, circular_fingerprint
from graphkit.sampling import GraphLoader
from graphkit.tasks import ConditionalTask, GraphTask
from graphkit.tasks.supervised import label_weights
from graphkit.testing.models import check_model
from tests.test_models_molecules import DRUGS, molecules, numbers, whole

# --- many assays --------------------------------------------------------------------------------------------------


def test_circular_fingerprints_tell_surroundings_apart_and_not_the_order_of_atoms():
    pytest.importorskip("rdkit")
    bits = lambda text, radius=2: circular_fingerprint(  # noqa: E731
        (g := gk.graphs.molecule(text)), g.ndata["feat"], g.edata["feat"], radius
    )
    assert torch.equal(bits("CCO"), bits("OCC")) and torch.equal(bits("c1ccccc1C"), bits("Cc1ccccc1"))
    assert not torch.equal(bits("CCO"), bits("CCN")) and not torch.equal(bits("CC=O"), bits("CCO"))
    # The two butanols differ only beyond one bond from the oxygen's carbon.
    assert bits("CCCCO", 0).sum() <= bits("CCCCO", 1).sum() <= bits("CCCCO", 2).sum()
    several = molecules()
    both = whole(several)
    found = circular_fingerprint(both.graph, both.feat, both.edge_feat)
    for i in (0, 5, 17):
        assert torch.equal(found[i : i + 1], bits(DRUGS[i]))


def test_missing_labels_have_no_gradient_whatever_stands_there():
    data = gk.Dataset.from_graphs(list(numbers()), torch.randint(2, (24, 3)).float(), splits=numbers().splits)
    task = GraphTask(data, balance="class")
    task.prepare(torch.nn.Identity())
    label = torch.tensor([[1.0, float("nan"), 0.0], [0.0, 1.0, float("nan")]])
    pred = torch.randn(2, 3, requires_grad=True)
    task.criterion(pred, label).backward()
    assert (pred.grad[torch.isnan(label)] == 0).all() and (pred.grad[~torch.isnan(label)] != 0).all()
    assert float(task.criterion(torch.zeros(2, 3), label * torch.nan)) == 0.0


def test_actives_and_inactives_of_every_assay_weigh_the_same():
    draw = torch.Generator().manual_seed(0)
    label = (torch.rand(500, 4, generator=draw) < torch.tensor([0.02, 0.5, 0.9, 0.0])).float()
    label[torch.rand(500, 4, generator=draw) < torch.tensor([0.0, 0.8, 0.3, 0.0])] = float("nan")
    weight = label_weights(label, "class")
    count = torch.stack([(label == 0).sum(0), (label == 1).sum(0)], 1)
    total = (weight * count)[:3]
    torch.testing.assert_close(total, total[:1, :1].expand(3, 2))
    assert float((weight * count).sum()) == pytest.approx(float(count.sum()), rel=1e-5)
    by_task = (label_weights(label, "task") * count).sum(1)
    torch.testing.assert_close(by_task, by_task[:1].expand(4))


def test_assays_of_one_class_are_skipped_and_counted():
    label = torch.tensor([[1.0, 1.0, float("nan")], [0.0, 1.0, float("nan")]])
    found = metrics.multitask_auc(torch.tensor([[0.2, 0.1, 0.1], [0.4, 0.2, 0.3]]), label)
    assert found.skipped == 2 and found.mean == 0.0 and found.per_task.isnan().tolist() == [False, True, True]
    with pytest.raises(GraphKitError, match="both classes"):
        metrics.multitask_auc(torch.zeros(2, 1), torch.ones(2, 1))
    assert metrics.sign_test([1.0] * 15, [0.0] * 15) == pytest.approx(2**-14)
    assert metrics.sign_test([1.0, float("nan")], [1.0, 0.0]) == 1.0
    with pytest.raises(GraphKitError, match="2 scores came beside 1"):
        metrics.sign_test([1.0, 2.0], [1.0])


def test_one_layer_in_place_of_two_and_wrong_sizes():
    assert [linear.out_features for linear in Multitask(3, hidden=1200, narrow=0).linears] == [1200]
    with pytest.raises(GraphKitError, match="length"):
        Multitask(3, length=0)
    with pytest.raises(GraphKitError, match="unknown balance 'classes'"):
        GraphTask(None, balance="classes")
    with pytest.raises(GraphKitError, match="one row for each graph, but the encoder gives none"):
        build("multitask", Spec("graph", 3, 2)).head(Encoded(dgl.graph(([0], [1])), torch.ones(2, 3)))


def test_one_trunk_for_many_assays_beats_one_network_each():
    """60 labels an assay are too few for one network; the trunk learns from all of them what they share."""
    from graphkit.nn import MLP

    draw = torch.Generator().manual_seed(0)
    bits = (torch.rand(3000, 256, generator=draw) < 0.2).float()
    mixing = torch.randn(256, 4, generator=draw) * (torch.rand(256, 1, generator=draw) > 0.7)
    score = ((bits - 0.2) @ mixing / 4).tanh() @ torch.randn(4, 120, generator=draw)
    truth = (score > score.median(0).values).float()
    label = torch.full_like(truth, float("nan"))
    for task in range(120):
        rows = torch.randperm(2400, generator=draw)[:60]
        label[rows, task] = truth[rows, task]

    def trained(columns, steps):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Linear(256, 32), torch.nn.ReLU(), torch.nn.Dropout(0.25), MLP(32, len(columns), 1, 1)
        )
        adam = torch.optim.Adam(net.parameters(), lr=3e-3, weight_decay=1e-4)
        mine = label[:2400, columns]
        rows = ~mine.isnan().all(1)
        task = GraphTask(None, objective="bce")
        for _ in range(steps):
            adam.zero_grad()
            task.criterion(net(bits[:2400][rows]), mine[rows]).backward()
            adam.step()
        return metrics.multitask_auc(net.eval()(bits[2400:]).detach(), truth[2400:, columns]).per_task

    together, alone = trained(list(range(120)), 150), [float(trained([t], 60)) for t in range(12)]
    assert float(together.mean()) >= 0.85
    assert float(together[:12].mean()) >= np.mean(alone) + 0.15
    assert metrics.sign_test(together[:12].tolist(), alone) < 0.01


# --- CGIB ---------------------------------------------------------------------------------------------------------


def pairs(count=3, seed=0, **options):
    data = gk.load("conditional-motif", num_pairs=max(count, 10), graph_seed=seed, **options)
    return next(iter(GraphLoader(data, torch.arange(count), batch_size=count, shuffle=False)))


def test_a_pair_meets_its_own_other_side_only():
    torch.manual_seed(0)
    batch = pairs(3)
    rows = torch.randn(batch.graph.num_nodes(), 5)
    found = Pairing(batch).interact(rows)
    owner = torch.repeat_interleave(batch.graph.batch_num_nodes())
    side, unit = batch.fields["side"], F.normalize(rows, dim=1)
    for i in range(len(rows)):
        other = unit[(owner == owner[i]) & (side != side[i])]
        expected = torch.cat([unit[i], (other @ unit[i]) @ other])
        torch.testing.assert_close(found[i], expected, atol=1e-5, rtol=1e-5)


def test_gates_of_one_keep_all_and_gates_of_zero_tell_nothing():
    torch.manual_seed(0)
    rows, offsets = torch.randn(9, 4), torch.tensor([0, 5, 9])
    published, gaussian = Bottleneck(4, 8, bound="published"), Bottleneck(4, 8)
    kept, _ = published.mix(rows, offsets, torch.ones(9))
    assert torch.equal(kept, rows)
    z = torch.randn(9, 4)
    one = published.information(torch.ones(9, 1), z, offsets)
    assert float(one) == pytest.approx(
        float(torch.stack([z[:5].square().mean(1).sum(), z[5:].square().mean(1).sum()]).mean())
    )
    assert float(published.information(torch.zeros(9, 1), z, offsets)) == pytest.approx(0.5 * 4.5)  # no term of z
    # All noise tells nothing at all; to keep more is never cheaper.
    assert float(gaussian.information(torch.zeros(9, 1), z, offsets)) == pytest.approx(0.0, abs=1e-6)
    bounds = [float(gaussian.information(torch.full((9, 1), keep), 0 * z, offsets)) for keep in (0.0, 0.3, 0.6, 0.9)]
    assert bounds == sorted(bounds)


def test_noise_has_the_mean_and_deviation_of_its_graph():
    torch.manual_seed(0)
    rows = torch.cat([5 + 2 * torch.randn(4000, 1), -3 + 0.5 * torch.randn(4000, 1)])
    noise, _ = Bottleneck(1, 4).mix(rows, torch.tensor([0, 4000, 8000]), torch.zeros(8000))
    assert float(noise[:4000].mean()) == pytest.approx(5, abs=0.2) and float(noise[:4000].std()) == pytest.approx(
        2, abs=0.1
    )
    assert float(noise[4000:].mean()) == pytest.approx(-3, abs=0.1)
    lonely, bound = Bottleneck(1, 4).mix(torch.ones(1, 1), torch.tensor([0, 1]), torch.tensor([0.5]))
    assert lonely.isfinite().all() and bound.isfinite()  # one atom has no deviation


def test_without_beta_and_with_open_gates_it_is_the_pair_regressor():
    torch.manual_seed(0)
    batch = pairs(8)
    model = build("cgib", Spec("graph", 2, 1), hidden=8, beta=0.0, tau=1e-3).train()
    with torch.no_grad():
        model.encoder.noise.score.linears[-1].bias.fill_(100.0)
    encoded = model(batch).encoded
    torch.testing.assert_close(encoded.layers[0], encoded.global_, atol=1e-4, rtol=1e-4)
    assert all(float(term.detach()) == 0.0 for term in encoded.aux.values())


@pytest.mark.parametrize("second", ["mixed", "own"])
def test_the_second_graph_tells_of_the_first_only_where_rows_are_mixed(second):
    """What the authors read of the second graph holds the first one's numbers, past the noise."""
    torch.manual_seed(0)
    batch = pairs(4)
    model = CGIB(2, hidden=6, second=second).train()
    other = slice(4 * 6, None)
    changed = batch.feat + (batch.fields["side"] == 0)[:, None] * torch.randn_like(batch.feat)
    seen, told = (model(batch.replace(feat=feat)).layers[0][:, other] for feat in (batch.feat, changed))
    assert torch.allclose(seen, told, atol=1e-6) == (second == "own")
    assert model(batch).global_.shape == (4, model.out_width)


@pytest.mark.parametrize("arguments", [{"condition": "contrast"}, {"bound": "published"}, {"second": "own"}])
def test_the_laws_hold_for_its_other_forms(arguments):
    assert "batching" in check_model("cgib", "graph", **arguments)


def test_noisy_views_are_held_to_the_labels_too():
    data = gk.load("conditional-motif", num_pairs=20)
    task = ConditionalTask(data)
    assert ConditionalTask.fits(data) and not ConditionalTask.fits(numbers())
    model = build("cgib", data, hidden=8, beta=0.0)
    batch = next(iter(GraphLoader(data, "train", batch_size=8)))
    torch.manual_seed(0)
    both = task.loss(model.train(), batch)
    torch.manual_seed(0)
    clean = GraphTask.loss(task, model, batch)
    assert float(both.detach()) > float(clean.detach()) > 0
    weight = model.encoder.importance(batch)
    assert weight.isnan().tolist() == (batch.fields["side"] == 1).tolist()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "no field 'side'"),
        ({"side": torch.tensor([0, 2])}, "must hold 0 or 1 for each of 2 nodes"),
        ({"side": torch.tensor([0])}, "must hold 0 or 1 for each of 2 nodes"),
    ],
)
def test_pairs_without_sides_get_one_sentence(fields, says):
    with pytest.raises(GraphKitError, match=says):
        CGIB(3, hidden=4)(Batch(dgl.graph(([0], [1])), torch.ones(2, 3), fields=fields))


def test_conditional_motifs_are_what_they_say():
    data = gk.load("conditional-motif", num_pairs=30, tree=4)
    for i, graph in enumerate(data):
        part, value = graph.ndata["part"], graph.ndata["feat"][:, 0]
        path = bool(data.collated.graph_fields["path"][i])
        assert torch.bincount(part, minlength=5)[1:3].tolist() == [5, 4] and bool(
            (graph.ndata["side"] == (part > 2)).all()
        )
        assert set(part[part > 2].tolist()) == {4 if path else 3}
        assert len(value[part == 1].unique()) == 1 and bool((value[(part == 0) | (part > 2)] == 0).all())
        assert float(data.labels[i]) == float(value[part == (2 if path else 1)][0])
        second = dgl.node_subgraph(graph, part > 2)
        assert int(second.in_degrees().max()) == (2 if path else second.num_nodes() - 1)
        clique = dgl.node_subgraph(graph, part == 2)
        assert clique.num_edges() == 12 and dgl.node_subgraph(graph, part == 1).in_degrees().tolist() == [2] * 5
    with pytest.raises(GraphKitError, match="num_pairs=0"):
        gk.load("conditional-motif", num_pairs=0)


# --- how they are measured -------------------------------------------------------------------------------------------


def test_the_forest_reads_fingerprints_and_scores_each_part():
    from graphkit.bench.baselines import morgan, morgan_forest

    data = molecules()
    found = morgan_forest(data, seed=0, trees=5)
    assert set(found) == {"val/rmse", "val/mae", "test/rmse", "test/mae"} and found["test/rmse"] > 0
    bits = morgan(["CCO", "OCC", "CCN"])
    assert (bits[0] == bits[1]).all() and (bits[0] != bits[2]).any() and bits.shape == (3, 2048)
    toxic = torch.zeros(30, 2)
    toxic[::2] = 1.0
    toxic[::3, 1] = float("nan")
    binary = gk.data.from_smiles(DRUGS, toxic)
    assert set(morgan_forest(binary, seed=0, trees=5)) == {"val/roc_auc", "val/ap", "test/roc_auc", "test/ap"}
    with pytest.raises(GraphKitError, match="holds no SMILES with numbers or 0/1 labels"):
        morgan_forest(gk.load("conditional-motif", num_pairs=20), seed=0)


def test_the_protocol_of_conditional_motifs_asks_both_conditions():
    from graphkit.bench import protocols
    from graphkit.bench.recipe import Recipe

    recipe = Recipe(
        "toy", "cgib", "conditional-motif", "graph", "conditional-motif", ("test/rmse", "test/importance_auc"),
        data={"num_pairs": 60}, arguments={"hidden": 4}, fit={"epochs": 1},
    )  # fmt: skip
    found = protocols.find("conditional-motif")(recipe, 0)
    assert 0 <= found.metrics["test/importance_auc"] <= 1 and len(found.details["importance_auc"]) == 2
    assert found.metrics["test/importance_auc"] == pytest.approx(np.mean(found.details["importance_auc"]))


def test_a_recipe_has_a_ceiling_for_errors_that_decides_no_number(tmp_path):
    from graphkit.bench.recipe import load_recipe

    text = "system: mpnn\ndataset: esol\ntask: graph\nprotocol: best-val\nmetrics: [test/rmse]\n"
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text + "ceiling: {test/rmse: 0.75}\n")
    with_ceiling = load_recipe(tmp_path / "b.yaml")
    assert with_ceiling.ceiling == {"test/rmse": 0.75}
    assert with_ceiling.digest() == load_recipe(tmp_path / "a.yaml").digest()
