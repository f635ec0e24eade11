"""Worked examples of the papers, controls that must fail, and how several right answers are scored."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.explain.agreement import NETWORK, edge_auc, rank_auc
from graphkit.explain.judging import again, group_scores, same_top
from graphkit.explain.leaderboard import cause_size, judged, steadiness, targets_of, truths_of


class Formula(nn.Module):
    """A number for each node, from its own features."""

    num_layers = 0

    def __init__(self, formula):
        super().__init__()
        self.formula = formula

    def forward(self, batch):
        return self.formula(batch.feat)[:, None]


def shares(formula, x, **options):
    """Return the integrated gradients of one node's features."""
    feat = torch.tensor([x], dtype=torch.float64)
    batch = gk.Batch(gk._dgl.from_arrays([], [], 1), feat)
    options = {"of": "logit", "mode": "regression", "over": "features", **options}
    why = gk.explain(Formula(formula), batch, node=0, method="integrated-gradients", **options)
    return why.node_feat[0].tolist()


@pytest.mark.parametrize("rule", ["midpoint", "trapezoid", "gauss"])
def test_what_a_flat_gradient_hides_is_shared_out(rule):
    """F = 1 - relu(1 - x) at 2: the gradient there is 0, but F rose by 1 on the way."""
    (found,) = shares(lambda x: 1 - F.relu(1 - x[:, 0]), [2.0], rule=rule, steps=400)
    assert found == pytest.approx(1.0, abs=0.01)
    batch = gk.Batch(gk._dgl.from_arrays([], [], 1), torch.tensor([[2.0]]))
    slope = gk.explain(Formula(lambda x: 1 - F.relu(1 - x[:, 0])), batch, node=0, method="saliency", mode="regression")
    assert slope.node_feat.tolist() == [[0.0]]


def test_two_networks_of_one_function_get_one_explanation():
    """At (3, 1), where layer-wise rules tell the two apart; 20 midpoints are exact."""
    for formula in (
        lambda x: F.relu(F.relu(x[:, 0]) - 1 - F.relu(x[:, 1])),
        lambda x: F.relu(F.relu(x[:, 0] - 1) - F.relu(x[:, 1])),
    ):
        found = shares(formula, [3.0, 1.0], rule="midpoint", steps=20, max_steps=20)
        assert found == pytest.approx([1.5, -0.5], abs=1e-6)


@pytest.mark.parametrize("name", ["ba-shapes", "ba-community", "tree-cycles", "tree-grid"])
def test_gnnexplainer_knows_nothing_of_an_untrained_network(name):
    data = gk.load(name)
    torch.manual_seed(0)
    model = gk.models.build("gcn", data, **NETWORK).eval()
    nodes = targets_of(data, 20)["nodes"]
    found = judged(data, gk.explain(model, data, nodes=nodes, method="gnnexplainer"), samples=1)
    assert found["auc"] < 0.7
    assert found["pooled_auc"] < 0.7


def test_ranks_give_the_area_under_the_curve():
    torch.manual_seed(0)
    score = torch.randint(0, 5, (40,)).float()  # with ties
    known = torch.rand(6, 40) < 0.3
    wanted = [roc_auc_score(row.numpy(), score.numpy()) for row in known]
    assert rank_auc(score, known).tolist() == pytest.approx(wanted, abs=1e-12)


@pytest.fixture(scope="module")
def two_rings():
    """A chain of two squares: either of them, or both, is the cause."""
    pairs = [(0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (4, 5), (5, 6), (6, 7), (7, 4)]
    src, dst = [a for a, _ in pairs] + [b for _, b in pairs], [b for _, b in pairs] + [a for a, _ in pairs]
    graph = gk._dgl.from_arrays(src, dst, 8)
    graph.ndata["feat"] = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    graph.ndata["explanation"] = torch.tensor([1, 1, 1, 1, 2, 2, 2, 2])
    graph.edata["motif_edge"] = torch.tensor([True] * 4 + [False] + [True] * 4).repeat(2)
    torch.manual_seed(0)
    data = gk.Dataset.from_graphs([graph, graph], labels=torch.tensor([0, 1]))
    return data, gk.models.build("gin", data, num_layers=2, hidden=8).eval()


def told(why, weighty):
    why.edge_mask = torch.zeros(18)
    why.edge_mask[[e + shift for e in weighty for shift in (0, 9)]] = 1.0
    return why


def test_finding_any_one_of_several_causes_is_right(two_rings):
    data, model = two_rings
    why = gk.explain(model, data, graph=0, method="random")
    truths = truths_of(data, why)
    assert truths.shape == (3, 18)
    assert sorted(truths.sum(1).tolist()) == [8, 8, 16]
    assert cause_size(data, why) == 4
    union = data[0].edata["motif_edge"].bool()
    for weighty, right in (([0, 1, 2, 3], True), ([5, 6, 7, 8], True), ([0, 1, 2, 3, 5, 6, 7, 8], True),
                           ([0, 1, 5, 6], False), ([4], False)):  # fmt: skip
        told(why, weighty)
        assert (edge_auc(why, truths) == 1.0) == right
        assert (judged(data, [why], samples=1)["jaccard"] == 1.0) == right
    assert edge_auc(told(why, [0, 1, 2, 3]), union) < 1.0
    assert judged(data, [told(why, [5, 6, 7, 8])], samples=1)["pooled_auc"] == 1.0
    with pytest.raises(GraphKitError, match="expected one for each of 18 edges"):
        edge_auc(why, truths[:, :5])


def test_steadiness_tells_drawn_from_fixed(two_rings):
    from graphkit.explain import Chance, InputXGradient

    data, model = two_rings
    fixed = steadiness(model, data, InputXGradient(), {"graphs": [0, 1]}, 0, noise=1e-4)
    assert (fixed["seeds"], fixed["inputs"]) == (1.0, 1.0)
    drawn = steadiness(model, data, Chance(), {"graphs": [0, 1]}, 0)
    assert drawn["seeds"] < 0.8
    why = gk.explain(model, data, graph=0, method="saliency")
    from graphkit.explain import Saliency

    assert torch.equal(group_scores(why), again(Saliency(), why.question, 0))
    assert same_top(group_scores(why), -group_scores(why), 4) < 1.0
