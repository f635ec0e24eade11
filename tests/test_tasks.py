"""Tasks: losses, objectives, filtered ranking, the reconstruction loss against its definition."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import graphkit as gk
from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError
from graphkit.core.random import Rng
from graphkit.fit import fit
from graphkit.models import build
from graphkit.sampling import full_batch
from graphkit.tasks import GraphTask, LinkTask, NodeTask, TripleTask, for_data, triple
from graphkit.tasks.base import place
from graphkit.tasks.link import reconstruction_loss
from tests.fit_toys import blocks, family, rings


def test_for_data_follows_the_dataset():
    assert isinstance(for_data(blocks()), NodeTask)
    assert isinstance(for_data(blocks(task="link"), num_negatives=3), LinkTask)
    assert isinstance(for_data(rings()), GraphTask)
    assert isinstance(for_data(family()), TripleTask)
    with pytest.raises(GraphKitError, match="unknown option of the node task 'fanout'"):
        for_data(blocks(), fanout=[3])
    assert for_data(blocks(), batch_size=4).options == {"batch_size": 4}


def test_reconstruction_loss_is_the_papers():
    data = blocks(num_nodes=20, task="link")
    model = build("gae", data)
    output = model(full_batch(data, "train"))
    z = output.encoded.node
    target = torch.zeros(20, 20)
    target[tuple(data.graph.edges())] = 1.0
    target.fill_diagonal_(1.0)
    links = target.sum()
    weight, norm = (400 - links) / links, 400 / (2 * (400 - links))
    expected = norm * F.binary_cross_entropy_with_logits(z @ z.T, target, pos_weight=weight)
    assert reconstruction_loss(model, output).item() == pytest.approx(expected.item(), rel=1e-5)


def test_gae_reconstructs_and_keeps_its_edges_while_others_sample():
    task = for_data(blocks(task="link"))
    task.prepare(build("gae", task.data))
    assert (task.objective, task.remove_targets, task.batch_size) == ("reconstruction", False, None)
    task = for_data(blocks(task="link"), remove_targets=True)
    task.prepare(build("gae", task.data))
    assert (task.objective, task.batch_size) == ("sampled", task.size("train") // 10)
    task = for_data(blocks(task="link"), objective="reconstruction", batch_size=8)
    with pytest.raises(GraphKitError, match="takes no batch_size"):
        task.prepare(build("gae", task.data))


def test_removed_targets_are_not_in_the_message_graph():
    data = blocks(task="link")
    task = for_data(data, remove_targets=True, batch_size=8)
    model = build("gae", data)
    task.prepare(model)
    for batch in task.batches("train", model, Rng(0, ("train", 0))):
        true = batch.pairs[: int(batch.label.sum())]
        assert not batch.graph.has_edges_between(true.src, true.dst).any()
        assert not batch.graph.has_edges_between(true.dst, true.src).any()


def test_link_scores_beside_auc():
    run = fit("gae", blocks(task="link"), epochs=2, scores=["mrr", "hits@5"], select="mrr", progress=False)
    assert {"test/auc", "test/ap", "test/mrr", "test/hits@5"} <= set(run.metrics)
    with pytest.raises(GraphKitError, match="unknown score 'hits'"):
        LinkTask(blocks(task="link"), scores=["hits"])


def test_filtered_ranking_agrees_with_one_query_at_a_time():
    data = family(12)
    scores = torch.randint(4, (2, 2, 12, 12), generator=torch.Generator().manual_seed(0)).float()

    def score(given, rel, side):
        return scores[int(side == "src"), rel, given]

    found = triple.rank_both_sides(data, "test", score, chunk=3)
    known = set(zip(data.known.src.tolist(), data.known.rel.tolist(), data.known.dst.tolist(), strict=True))
    true = data.splits["test"].pos
    ranks = []
    for side in ("dst", "src"):
        for s, r, d in zip(true.src.tolist(), true.rel.tolist(), true.dst.tolist(), strict=True):
            given, asked = (s, d) if side == "dst" else (d, s)
            row = scores[int(side == "src"), r, given]
            rivals = [
                row[e] for e in range(12) if e != asked and ((s, r, e) if side == "dst" else (e, r, d)) not in known
            ]
            ranks.append(1 + sum(x > row[asked] for x in rivals) + 0.5 * sum(x == row[asked] for x in rivals))
    rank = torch.tensor([float(r) for r in ranks])
    assert found["mrr"] == pytest.approx(float((1 / rank).mean()), rel=1e-6)
    assert found["hits@3"] == pytest.approx(float((rank <= 3).float().mean()))


def test_the_frequency_baseline_ranks_by_counts():
    data = family()
    found = triple.frequency_baseline(data)
    assert 0 < found["mrr"] < 1
    assert set(found) == {"mrr", "hits@1", "hits@3", "hits@10"}


def test_float_labels_with_gaps_are_scored_by_auc_and_numbers_by_error():
    draw = torch.Generator().manual_seed(0)
    labels = (torch.rand(60, 2, generator=draw) < 0.5).float()
    labels[::5, 0] = float("nan")
    data = gk.Dataset.from_graph(blocks().graph, labels=labels, splits="random", ratio=(0.5, 0.25, 0.25))
    run = fit("gcn", data, epochs=2, progress=False)
    assert {"test/roc_auc", "test/ap"} <= set(run.metrics)
    assert ((run.predict() >= 0) & (run.predict() <= 1)).all()
    data = gk.Dataset.from_graph(blocks().graph, labels=torch.randn(60, 1), splits="random", ratio=(0.5, 0.25, 0.25))
    run = fit("gcn", data, epochs=2, progress=False)
    assert {"test/mae", "test/rmse"} <= set(run.metrics)
    assert run.task.monitor == ("val/mae", "min")


def test_scores_in_batches_are_the_scores_at_once():
    data = blocks()
    run = fit("gcn", data, epochs=2, progress=False)
    batched = NodeTask(data, eval_batch_size=7)
    expected = run.task.predict(run.model.eval(), None)
    assert torch.allclose(batched.predict(run.model, None), expected, atol=1e-6)


def test_place_follows_the_model():
    data = blocks()
    batch = full_batch(data, "train")
    assert place(batch, torch.nn.Linear(1, 1).double()).feat.dtype == torch.float64
    assert (
        place(batch.replace(pairs=Pairs(torch.tensor([0]), torch.tensor([1]))), torch.nn.Linear(1, 1)).label is not None
    )


def test_a_users_task_is_left_as_it_was():
    data = blocks(task="link")
    task = LinkTask(data)
    fit("gae", data, task, epochs=1, progress=False)
    assert (task.objective, task.remove_targets) == (None, None)
    assert task.on(blocks(task="link")).data is not data
