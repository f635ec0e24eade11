"""Per-node metrics of link predictors against loops over nodes, and the report made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.analysis import link_report, node_link_metrics, topological_concentration
from graphkit.analysis.per_node import scorer
from graphkit.core.batch import Pairs
from graphkit.data.splits.links import LinkSplit
from tests.fit_toys import blocks


def neighbours(parts):
    found = {}
    for part in parts:
        for u, v in zip(part.src.tolist(), part.dst.tolist(), strict=True):
            found.setdefault(u, set()).add(v)
            found.setdefault(v, set()).add(u)
    return found


def by_loops(scores, data, split, k):
    """Sort the candidates of each node; no two scores are equal."""
    truth = neighbours([data.splits[split].pos])
    known = neighbours([data.splits[name].pos for name in ("train", "val") if name != split])
    made = {name: [] for name in ("mrr", f"hits@{k}", f"recall@{k}", f"ndcg@{k}")}
    for i in range(len(scores)):
        if i not in truth:
            [column.append(np.nan) for column in made.values()]
            continue
        free = [j for j in range(len(scores)) if j != i and j not in known.get(i, ())]
        order = sorted(free, key=lambda j: -scores[i, j])
        ranks = [order.index(j) + 1 for j in truth[i]]
        made["mrr"].append(1 / min(ranks))
        made[f"hits@{k}"].append(float(min(ranks) <= k))
        made[f"recall@{k}"].append(np.mean([r <= k for r in ranks]))
        ideal = sum(1 / np.log2(1 + r) for r in range(1, min(k, len(ranks)) + 1))
        made[f"ndcg@{k}"].append(sum(1 / np.log2(1 + r) for r in ranks if r <= k) / ideal)
    return made


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("chunk", [1, 200, 1 << 24])
def test_metrics_are_those_of_sorting_each_nodes_candidates(split, chunk):
    data = blocks(task="link", val_ratio=0.2, test_ratio=0.3)
    scores = torch.randn(60, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = node_link_metrics(lambda nodes: scores[nodes], data, split, [4], chunk)
    for name, expected in by_loops(scores.numpy(), data, split, 4).items():
        assert np.allclose(made[name], expected, equal_nan=True, atol=1e-12), name


def test_tied_scores_get_their_mean_rank_even_at_minus_infinity():
    data = blocks(task="link")
    for value in (0.0, -float("inf")):
        made = node_link_metrics(lambda nodes, value=value: torch.full((len(nodes), 60), value), data, ks=[60])
        truth = neighbours([data.splits["test"].pos])
        known = neighbours([data.splits[name].pos for name in ("train", "val")])
        for i, others in truth.items():
            free = 59 - len(known.get(i, ()))
            assert float(made["mrr"][i]) == pytest.approx(2 / (1 + free)), (value, len(others))


def test_a_run_embeddings_and_a_function_score_alike():
    data = blocks(task="link")
    run = gk.fit("gae", data, epochs=2, progress=False)
    with torch.no_grad():
        rows = run.task.encode(run.model).encoded.node
    by_run, by_rows = node_link_metrics(run, data), node_link_metrics(rows, data)
    by_function = node_link_metrics(lambda nodes: rows[nodes] @ rows.T, data)
    for name in by_run:
        assert torch.allclose(by_run[name], by_rows[name], equal_nan=True)
        assert torch.allclose(by_function[name], by_rows[name], equal_nan=True)


def test_a_model_is_never_asked_for_a_node_with_itself():
    class Judge:
        """Scores pairs as many heads do: of different nodes only."""

        def predict(self, pairs, logits):
            assert logits
            assert (pairs.src != pairs.dst).all()
            return (pairs.src + 2 * pairs.dst).float()

    i = torch.arange(4)
    expected = (i[:, None] + 2.0 * i).masked_fill(torch.eye(4, dtype=torch.bool), -float("inf"))
    assert torch.equal(scorer(Judge(), 4)(i), expected)


def test_knowing_the_hidden_links_is_perfect_and_training_neighbours_do_not_compete():
    data = blocks(task="link")
    truth, known = torch.zeros(60, 60), torch.zeros(60, 60)
    test = data.splits["test"].pos
    truth[test.src, test.dst] = truth[test.dst, test.src] = 1.0
    for name in ("train", "val"):
        part = data.splits[name].pos
        known[part.src, part.dst] = known[part.dst, part.src] = 9.0
    made = node_link_metrics(lambda nodes: (truth + known)[nodes], data, ks=[20])
    found = made["recall@20"].isfinite()
    assert (made["recall@20"][found] == 1).all() and found.sum() == (truth.sum(1) > 0).sum()


def test_a_report_sets_scores_beside_degree_and_concentration():
    data = blocks(90, task="link", test_ratio=0.3)
    common = torch.zeros(90, 90)
    src, dst = data.graph.edges()
    common[src, dst] = 1.0
    report = link_report(lambda nodes: (common @ common)[nodes], data, ks=[10])
    table = report.nodes
    assert np.array_equal(table["degree"], data.graph.in_degrees())
    assert np.array_equal(table["tc"], topological_concentration(data.graph))
    assert np.array_equal(table["tc_split"], topological_concentration(data.graph, data.splits["test"].pos))
    assert table["mrr"].isna().equals(table["links"] == 0)
    asked = table[table["links"] > 0]
    for measure in ("degree", "tc"):
        bins = report.by(measure, 4)
        assert bins["nodes"].sum() == len(asked) and (bins["low"].diff()[1:] > 0).all()
        assert np.isclose((bins["mrr"] * bins["nodes"]).sum() / len(asked), asked["mrr"].mean())
    pairs = report.correlations()
    one = pairs[(pairs["measure"] == "degree") & (pairs["score"] == "mrr")]
    kept = asked[asked["covered"]]
    assert np.isclose(one["pearson"].iloc[0], np.corrcoef(kept["degree"], kept["mrr"])[0, 1])
    assert one["spearman"].iloc[0] == pytest.approx(kept["degree"].corr(kept["mrr"], method="spearman"))
    assert report.covered_fraction == (table["degree"] >= 2).mean()
    assert report.shift == pytest.approx((kept["tc"] - kept["tc_split"]).mean())


def test_slices_are_cold_low_and_the_rest():
    graph = gk.graphs.graph([0, 1, 2, 0, 3], [1, 2, 0, 3, 4], undirected=True)
    parts = {"train": [(0, 1), (1, 2), (0, 2), (0, 3)], "test": [(3, 4)]}
    splits = {name: LinkSplit(Pairs(*torch.tensor(part).T)) for name, part in parts.items()}
    data = gk.Dataset.from_graph(graph, task="link", splits=splits)
    slices = link_report(torch.eye(5), data, ks=[2]).slices(low=2)
    assert slices.index.tolist() == ["cold", "low"]
    assert slices["nodes"].tolist() == [1, 1] and slices["high"].tolist() == [0, 1]


def test_bad_input_gets_one_sentence():
    data = blocks(task="link")
    good = torch.zeros(60, 4)

    def broken():
        leaked = blocks(task="link")
        train, test = leaked.splits["train"].pos, leaked.splits["test"]
        test.pos = Pairs.cat([test.pos, Pairs(train.src[:2], train.dst[:2])])
        return node_link_metrics(good, leaked)

    cases = [
        (lambda: node_link_metrics(good, blocks()), "needs a dataset of links, got 'node'"),
        (lambda: node_link_metrics(good[:5], data), r"expected embeddings \[60, D\]"),
        (lambda: node_link_metrics("gae", data), "score is a str"),
        (lambda: node_link_metrics(lambda nodes: good, data), r"expected \[\d+, 60\]"),
        (lambda: node_link_metrics(lambda n: torch.full((len(n), 60), torch.nan), data), "scores hold NaN"),
        (lambda: node_link_metrics(good, data, "tset"), "unknown split 'tset'"),
        (lambda: node_link_metrics(good, data, ks=[0]), "k=0"),
        (broken, "2 of the test links of blocks are links of the training graph"),
        (lambda: link_report(good, data, "train"), "hidden links, but split is 'train'"),
        (lambda: link_report(good, data).by("size"), "unknown measure 'size'"),
    ]
    for call, sentence in cases:
        with pytest.raises(gk.GraphKitError, match=sentence) as caught:
            call()
        assert "\n" not in str(caught.value)
