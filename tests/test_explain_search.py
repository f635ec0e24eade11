"""Explainers that remove, search, learn or read attention, where the answer is known."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.explain import (
    carriers,
    corrupted,
    corruption_grid,
    fidelity_of,
    overlap,
    robust_fidelity,
    stability,
    unfaithfulness,
)
from graphkit.explain.carriers import carriers_sentence
from graphkit.nn import GCNConv


class Votes(nn.Module):
    """Class 1 if the neighbours' votes outweigh the bias; edges matter one by one."""

    num_layers = 1

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, batch):
        src, dst = batch.graph.edges(order="eid")
        weight = batch.edge_weight if batch.edge_weight is not None else batch.feat.new_ones(len(src))
        votes = torch.zeros(len(batch.feat)).index_add(0, dst, weight * batch.feat[src, 0])
        return torch.stack([-(votes + self.bias), votes + self.bias], 1)


def star(votes):
    n = len(votes) + 1
    leaf = torch.arange(1, n)
    zero = torch.zeros_like(leaf)
    graph = gk._dgl.from_arrays(torch.cat([leaf, zero]), torch.cat([zero, leaf]), n)
    graph.ndata["feat"] = torch.tensor([0.0, *votes])[:, None]
    return graph


@pytest.fixture(scope="module")
def karate():
    return gk.load("karate")


@pytest.fixture(scope="module")
def gcn(karate):
    torch.manual_seed(0)
    return gk.models.build("gcn", karate).eval()


def ends(why, k=1):
    table = why.top_edges(k)
    return [set(pair) for pair in zip(table.src.tolist(), table.dst.tolist(), strict=True)]


def test_occlusion_is_the_answer_less_that_without_each_edge(karate, gcn):
    for frozen in (False, True):
        why = gk.explain(gcn, karate, node=11, method="occlusion", of="logit", frozen=frozen, features=False)
        question, reading = why.question, why.question.reading
        for group in range(why.num_edges):
            kept = torch.ones(1, question.num_groups, dtype=torch.bool)
            kept[0, group] = False
            with question.open(), torch.no_grad():
                changed = {"weight": question.weights(kept.float())} if frozen else {"keep": question.group_keep(kept)}
                drop = reading.logit(question.reference) - reading.logit(question.rows(**changed))
            assert float(why.effect[why.group == group][0]) == pytest.approx(float(drop), abs=1e-5)
    voter = gk.explain(Votes(-1.0), star([3.0, 0.0, 1.0]), node=0, method="occlusion", of="logit")
    assert voter.effect[voter.src == 1].tolist() == [pytest.approx(3.0)]
    assert voter.feat_mask.tolist() == [pytest.approx(4.0)]


def test_models_that_take_no_weights_are_explained_by_removal():
    links = gk.load("karate", task="link")
    torch.manual_seed(0)
    model = gk.models.build("gae", links)
    model.forward, forward = (lambda batch: forward(batch.replace(edge_weight=None))), model.forward
    why = gk.explain(model, links, pair=(8, 20), method="occlusion")
    assert float(why.edge_mask.max()) > 0
    with pytest.raises(GraphKitError, match="does not change with any edge weight"):
        gk.explain(model, links, pair=(8, 20), method="saliency")


@pytest.mark.parametrize(
    ("votes", "bias", "size"),
    [([5.0, 1.0, 1.0], -4.5, 1), ([2.0, 2.0, 2.0, 2.0], -3.0, 3), ([1.0] * 9, -4.5, 5), ([0.1, 0.1], 5.0, 0)],
)
@pytest.mark.parametrize("budget", [1, 2000])
def test_counterfactuals_are_smallest(votes, bias, size, budget):
    why = gk.explain(Votes(bias), star(votes), node=0, method="counterfactual", budget=budget)
    question = why.question
    flips = []
    for kept in itertools.product([True, False], repeat=len(votes)):
        with question.open(), torch.no_grad():
            rows = question.rows(keep=question.group_keep(torch.tensor([kept])))
        if int(question.reading.answer(rows)) != question.reading.label:
            flips.append(len(votes) - sum(kept))
    assert why.info["flips"] == bool(flips) == bool(size)
    assert why.info["size"] == (min(flips) if flips else 0) == size
    assert why.info["answer"] == (1 - why.prediction.answer if size else why.prediction.answer)
    if size:
        assert why.fidelity(k=size)["plus_accuracy"] == 1.0
        assert [set(pair) for pair in why.info["edges"]] == ends(why, size)
    if budget > 1 and size in (0, 1, 3):
        assert why.info["exact"]


def test_counterfactuals_refuse_what_cannot_flip(karate, gcn):
    with pytest.raises(GraphKitError, match="is a number"):
        gk.explain(gcn, karate, node=3, method="counterfactual", mode="regression")
    label = gk.explain(gcn, karate, node=3, method="random").prediction.answer
    with pytest.raises(GraphKitError, match="another class was asked about"):
        gk.explain(gcn, karate, node=3, method="counterfactual", target_class=1 - label)
    with pytest.raises(GraphKitError, match="budget is 0"):
        gk.explain(gcn, karate, node=3, method="counterfactual", budget=0)


def test_subgraphx_finds_the_voters():
    why = gk.explain(Votes(-4.0), star([0.0, 3.0, 0.1, 3.0, 0.0]), node=0, method="subgraphx", max_nodes=3, rollouts=8)
    assert why.info["nodes"] == [0, 2, 4]
    assert {frozenset(pair) for pair in ends(why, 2)} == {frozenset({0, 2}), frozenset({0, 4})}


def test_shapley_values_are_those_of_the_game():
    # The voter is read through the target, which belongs to every subgraph: without it nobody's vote counts. So {0, i}
    # earns vote i and, in half of the coalitions, each other vote. A probability near 1/2 moves by half a small vote.
    votes = [0.02, 0.0, 0.01]
    why = gk.explain(Votes(0.01), star(votes), node=0, method="subgraphx", max_nodes=2, rollouts=20, samples=2000)
    table = why.top_edges(3)
    leaves = [int(max(pair)) for pair in zip(table.src, table.dst, strict=True)]
    for leaf, score in zip(leaves, table.importance, strict=True):
        wanted = (votes[leaf - 1] + (sum(votes) - votes[leaf - 1]) / 2) / 2
        assert score == pytest.approx(wanted, rel=0.04)


class Counter(nn.Module):
    """Class 1 where at least three neighbours carry feature 0, by a convolution with weights set by hand."""

    num_layers = 1

    def __init__(self) -> None:
        super().__init__()
        self.conv = GCNConv(2, 2, norm="none", self_loops=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[-2.0, 2.0], [0.0, 0.0]]))
            self.conv.bias.copy_(torch.tensor([5.0, -5.0]))

    def forward(self, batch):
        return self.conv(batch.graph, batch.feat, edge_weight=batch.edge_weight)


def test_pgexplainer_learns_what_its_instances_share(record_property):
    torch.manual_seed(0)
    src, dst = torch.randint(0, 60, (2, 300))
    graph = gk._dgl.from_arrays(torch.cat([src, dst]), torch.cat([dst, src]), 60)
    feat = (torch.rand(60) < 0.5).float()
    graph.ndata["feat"] = torch.stack([feat, 1 - feat], 1)
    model = Counter()
    answers = model(gk.Batch(graph, graph.ndata["feat"])).argmax(1)
    nodes = answers.nonzero()[:, 0].tolist()[:20]
    right, total = 0, 0
    for why in gk.explain(model, graph, nodes=nodes, method="pgexplainer", instances=30):
        into = why.dst == why.target.ids[0]
        votes, score = feat[why.src[into]] > 0, why.edge_mask[why.edges[into]]
        right += int((score[votes][:, None] > score[~votes]).sum())
        total += int(votes.sum() * (~votes).sum())
    record_property("auc", right / total)
    print("pgexplainer auc", right / total)
    assert total > 100
    assert right / total > 0.95


def test_attention_is_what_the_layer_pays(karate):
    torch.manual_seed(0)
    for name in ("gat", "gatv2"):
        model = gk.models.build(name, karate, num_layers=1, out_heads=1)
        why = gk.explain(model, karate, node=5, method="attention")
        conv = model.encoder.convs[0]
        # With W x replaced by one-hot sources, the layer's output would be the attention itself: use its weights'
        # gradient, d out_v / d w_uv = alpha_uv W x_u, against the rows.
        question = why.question
        weight = question.base_weight.clone().fill_(1.0).requires_grad_()
        with question.open():
            batch = model.inputs(question.batch)
            out = conv(batch.graph, batch.feat, edge_weight=weight)
            root = int(question.roots[0])
            (slope,) = torch.autograd.grad(out[root, 0], weight)
            rows = batch.feat @ conv.weight if name == "gat" else conv.fc_src(batch.feat)
        into = (question.dst == root).nonzero()[:, 0]
        alpha = slope[into] / rows[question.src[into], 0]
        for edge, value in zip(into.tolist(), alpha.tolist(), strict=True):
            back = (question.src == question.dst[edge]) & (question.dst == question.src[edge])
            mine = why.group == question.group[edge]
            known = float(why.edge_mask[why.edges[mine][0]])
            assert 0 < value <= 1
            assert known == pytest.approx((value + other(question, conv, batch, back)) / 2, abs=1e-4)


def other(question, conv, batch, back):
    weight = question.base_weight.clone().fill_(1.0).requires_grad_()
    edge = int(back.nonzero()[0])
    with question.open():
        out = conv(batch.graph, batch.feat, edge_weight=weight)
        (slope,) = torch.autograd.grad(out[question.dst[edge], 0], weight)
        rows = batch.feat @ conv.weight if hasattr(conv, "weight") else conv.fc_src(batch.feat)
    return float(slope[edge] / rows[question.src[edge], 0])


def test_attention_is_refused_where_there_is_none(karate, gcn):
    with pytest.raises(GraphKitError, match="gcn pays no attention"):
        gk.explain(gcn, karate, node=5, method="attention")
    torch.manual_seed(0)
    with pytest.raises(GraphKitError, match="2 attention layers"):
        gk.explain(gk.models.build("gat", karate), karate, node=5, method="attention", layer=5)


def test_random_scores_are_chance(karate, gcn):
    truth = torch.arange(karate.graph.num_edges()) % 3 == 0
    from graphkit.explain.agreement import edge_auc

    scores = [edge_auc(gk.explain(gcn, karate, node=0, method="random", seed=seed), truth) for seed in range(40)]
    assert abs(sum(scores) / 40 - 0.5) < 0.05
    assert len(set(scores)) > 30


def test_input_times_gradient_is_zero_where_the_input_is(karate):
    why = gk.explain(Votes(-1.0), star([3.0, 0.0, 1.0]), node=0, method="input-x-gradient")
    assert why.node_feat[:, 0].tolist() == [0.0, 3.0, 0.0, 1.0]
    assert why.top_edges(3).effect.tolist() == [3.0, 1.0, 0.0]


def test_a_pairs_score_is_carried_by_its_common_neighbours():
    links = gk.load("karate", task="link")
    why = gk.explain(gk.models.build("common-neighbors", links), links, pair=(8, 20), method="occlusion")
    table = carriers(why)
    assert table.path.tolist()[:2] == [[8, 32, 20], [8, 33, 20]]
    assert bool((table["drop"][:2] > 0).all())
    assert bool((table["drop"][2:] == 0).all())
    assert carriers_sentence(why) == "Carried by the common neighbours 32 and 33."
    with pytest.raises(GraphKitError, match="two ends"):
        carriers(gk.explain(Votes(1.0), star([1.0]), node=0, method="random"))
    with pytest.raises(GraphKitError, match="hops is 0"):
        carriers(why, hops=0)


def test_the_page_of_a_pair_names_what_carries_it(tmp_path):
    links = gk.load("karate", task="link")
    why = gk.explain(gk.models.build("common-neighbors", links), links, pair=(8, 20), method="occlusion")
    assert "common neighbours 32 and 33" in why.to_html(tmp_path / "why.html").read_text(encoding="utf-8")


def test_robust_fidelity_has_the_papers_identities(karate, gcn):
    why = gk.explain(gcn, karate, node=8, method="saliency")
    classical = why.fidelity(k=6)
    same = robust_fidelity(why, k=6, a1=1.0, a2=0.0)
    assert same == pytest.approx(classical, abs=1e-6)
    assert robust_fidelity(why, k=6, a1=0.0)["plus"] == pytest.approx(0, abs=1e-6)
    assert robust_fidelity(why, k=6, a2=1.0)["minus"] == pytest.approx(0, abs=1e-6)
    assert classical["plus_std"] == 0
    chosen = torch.zeros(why.num_edges, dtype=torch.bool)
    chosen[why.ranked_groups()[:6]] = True
    assert fidelity_of(why.question, chosen, remove=0.5, seed=3) == why.fidelity(k=6, remove=0.5, seed=3)
    with pytest.raises(GraphKitError, match="one entry for"):
        fidelity_of(why.question, chosen[:3])


def test_the_estimate_of_robust_fidelity_sharpens_with_its_draws(karate, gcn):
    why = gk.explain(gcn, karate, node=8, method="saliency")
    spread = {}
    for samples in (4, 64):
        found = [robust_fidelity(why, k=8, a1=0.5, samples=samples, seed=seed)["plus"] for seed in range(40)]
        spread[samples] = float(torch.tensor(found).var())
    assert 6 < spread[4] / spread[64] < 40  # 16 in expectation: the variance falls like 1 / n


def test_robust_fidelity_draws_each_edge_of_the_right_set_with_its_own_rate():
    # Votes are linear: the expected logit falls by the rate times the votes removed.
    votes = [0.02, 0.01, 0.03]
    why = gk.explain(Votes(0.0), star(votes), node=0, method="saliency")
    chosen = torch.tensor([True, True, False])
    found = fidelity_of(why.question, chosen, remove=0.25, keep=0.5, samples=4000)
    assert found["plus"] == pytest.approx(0.25 * 0.03 / 2, rel=0.1)
    assert found["minus"] == pytest.approx(0.5 * 0.03 / 2, rel=0.1)


def test_removing_from_a_set_is_keeping_of_what_its_complement_leaves_out(karate, gcn):
    """So Fid+ of a cause at a1 and Fid- of all other edges at a2 = 1 - a1 are one number, their ratios one ratio."""
    question = gk.explain(gcn, karate, node=8, method="saliency").question
    chosen = torch.arange(question.num_groups) % 3 == 0
    whole = fidelity_of(question, chosen)["plus"]
    assert abs(whole) > 1e-4 and whole == pytest.approx(fidelity_of(question, ~chosen)["minus"], abs=1e-7)
    one = fidelity_of(question, chosen, remove=0.3, samples=4000)
    other = fidelity_of(question, ~chosen, keep=0.7, samples=4000, seed=1)
    error = (one["plus_std"] ** 2 + other["minus_std"] ** 2) ** 0.5 / 4000**0.5
    assert 0 < abs(one["plus"] - other["minus"]) < 4 * error


def test_unfaithfulness_is_nothing_for_all_edges_and_more_for_fewer(karate, gcn):
    why = gk.explain(gcn, karate, node=8, method="saliency")
    assert unfaithfulness(why, fraction=1.0) == pytest.approx(0, abs=1e-6)
    p, q = torch.tensor([0.3, 0.7]), None
    with why.question.open(), torch.no_grad():
        none = torch.zeros(1, why.num_edges, dtype=torch.bool)
        q = why.question.rows(keep=why.question.group_keep(none)).softmax(1)[0].double()
    p = why.question.reference.softmax(1)[0].double()
    wanted = 1 - float((-(p * (p / q).log()).sum()).exp())
    assert unfaithfulness(why, k=0) == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(GraphKitError, match="is a number"):
        unfaithfulness(gk.explain(gcn, karate, node=8, method="saliency", mode="regression"))


def test_stability_tells_fixed_from_drawn(karate, gcn):
    torch.manual_seed(0)
    graph = karate.graph
    graph.ndata["feat"] = torch.randn(34, 6)
    data = gk.Dataset.from_graph(graph, labels=karate.labels)
    model = gk.models.build("gcn", data)
    fixed = stability(model, data, method="saliency", node=8, seeds=(0, 1, 2))
    drawn = stability(model, data, method="random", node=8, seeds=(0, 1, 2))
    assert fixed["seeds"] == 1.0
    assert fixed["inputs"] > 0.8
    assert fixed["inputs_distance"] < 0.01
    assert drawn["seeds"] < 0.5
    rough = stability(model, data, method="saliency", node=8, seeds=(0, 1, 2), noise=0.5)
    assert not rough["inputs_distance"] < fixed["inputs_distance"]
    with pytest.raises(GraphKitError, match="no overlap"):
        overlap([gk.explain(gcn, karate, node=8, method="random")])


def test_corrupted_explanations_lose_and_gain_what_was_asked():
    truth = torch.arange(40) < 10
    spoilt = corrupted(truth, 0.3, 0.5, seed=1)
    assert int((spoilt & truth).sum()) == 7
    assert int((spoilt & ~truth).sum()) == 5
    assert int(corrupted(truth[:12], 0.0, 1.0).sum()) == 12
    grid = corruption_grid(truth, steps=3, draws=2)
    assert len(grid) == 18
    assert grid[0][1] == 1.0
    assert min(likeness for _, likeness in grid) < 0.1
