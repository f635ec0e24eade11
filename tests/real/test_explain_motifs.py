"""GOAt and robust fidelity on BA-2Motifs, where a house or a cycle is the cause (2401.14578, 2310.01820)."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

import graphkit as gk
from graphkit import ops
from graphkit.explain import corruption_grid, fidelity_of
from graphkit.explain.measures import changed
from graphkit.nn import GCNConv
from graphkit.sampling import GraphLoader

pytestmark = pytest.mark.slow


class Net(nn.Module):
    """Three sum convolutions of width 20, a readout, a head with one hidden layer.

    ``loops="edges"``: a node is its own neighbour. ``"apart"``: its own row has weights of its own, which no edge
    weight touches.
    """

    num_layers = 3

    def __init__(self, width: int, readout: str, loops: str) -> None:
        super().__init__()
        widths = [width, 20, 20, 20]
        self.readout = readout.split("||")
        self.convs = nn.ModuleList(
            GCNConv(a, b, norm="none", self_loops=loops == "edges") for a, b in itertools.pairwise(widths)
        )
        own = [nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths)] if loops == "apart" else []
        self.own = nn.ModuleList(own)
        self.inner, self.outer = nn.Linear(20 * len(self.readout), 20), nn.Linear(20, 2)

    def forward(self, batch):
        x = batch.feat
        for layer, conv in enumerate(self.convs):
            own = self.own[layer](x) if len(self.own) else 0.0
            x = F.relu(conv(batch.graph, x, edge_weight=batch.edge_weight) + own)
        offsets = F.pad(batch.graph.batch_num_nodes().cumsum(0), (1, 0))
        pooled = [ops.segment_reduce(x, offsets, how) for how in self.readout]
        return self.outer(F.relu(self.inner(torch.cat(pooled, 1))))


@pytest.fixture(scope="module")
def data():
    return gk.load("ba-2motifs", seed=0)


def trained(data, readout, loops, seed=0, epochs=250):
    torch.manual_seed(seed)
    model = Net(data[0].ndata["feat"].shape[1], readout, loops)
    parts = {name: next(iter(GraphLoader(data, ids, batch_size=len(ids), shuffle=False)))
             for name, ids in data.splits.items()}  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        optimizer.zero_grad()
        F.cross_entropy(model(parts["train"]), parts["train"].label).backward()
        optimizer.step()
    test = parts["test"]
    with torch.no_grad():
        accuracy = float((model.eval()(test).argmax(1) == test.label).double().mean())
    return model, accuracy


def test_goat_conserves_on_every_graph_and_finds_the_house(data, record_property):
    model, accuracy = trained(data, "mean", "edges")
    assert accuracy >= 0.98
    gaps, aucs = [], {"goat": [], "goat, houses": [], "goat, cycles": [], "signed gradient": [], "gradient": []}
    ids = data.splits["test"].tolist()
    for i, why in zip(ids, gk.explain(model, data, graphs=ids, method="goat", progress=False), strict=True):
        gaps.append(abs(why.info["gap"]))
        if i not in ids[:40]:
            continue
        first = why._first_of_groups()
        truth = data[i].edata["motif_edge"].bool()[why.edges[first]].numpy()
        slope = gk.explain(model, data, graph=i, method="saliency")
        other = slope._first_of_groups()
        known = data[i].edata["motif_edge"].bool()[slope.edges[other]].numpy()
        aucs["goat"].append(roc_auc_score(truth, why.effect[first].numpy()))
        aucs["goat, houses" if truth.sum() == 6 else "goat, cycles"].append(aucs["goat"][-1])
        aucs["signed gradient"].append(roc_auc_score(known, slope.effect[other].numpy()))
        aucs["gradient"].append(roc_auc_score(known, slope.effect[other].abs().numpy()))
    means = {name: sum(values) / len(values) for name, values in aucs.items()}
    print("accuracy", accuracy, "largest gap", max(gaps), means)
    for name, value in {**means, "gap": max(gaps), "accuracy": accuracy}.items():
        record_property(name, value)
    assert max(gaps) < 1e-8
    assert means["goat"] >= 0.70
    assert means["goat, houses"] >= 0.90


def questions(data, model, count=40):
    """Return questions about test graphs, each with which of its groups of edges belong to the motif."""
    found = []
    for why in gk.explain(model, data, graphs=data.splits["test"].tolist()[:count], method="random", progress=False):
        truth = torch.zeros(why.num_edges, dtype=torch.bool)
        truth[why.group] = data[why.target.ids[0]].edata["motif_edge"].bool()[why.edges]
        found.append((why.question, truth))
    return found


@pytest.fixture(scope="module")
def asked(data):
    model, accuracy = trained(data, "max||mean", "apart")
    assert accuracy >= 0.98
    return questions(data, model)


def mean(asked, name, chosen, **rates):
    values = [fidelity_of(question, chosen(truth), samples=50, **rates)[name] for question, truth in asked]
    return sum(values) / len(values)


def told_apart(asked):
    motif, rest = (lambda truth: truth), (lambda truth: ~truth)
    return {
        "Fid- of the motif": mean(asked, "minus", motif),
        "Fid- of the rest": mean(asked, "minus", rest),
        "robust Fid- of the motif": mean(asked, "minus", motif, keep=0.9),
        "robust Fid- of the rest": mean(asked, "minus", rest, keep=0.9),
        "robust Fid+ of the motif": mean(asked, "plus", motif, remove=0.1),
        "robust Fid+ of the rest": mean(asked, "plus", rest, remove=0.1),
    }


def test_robust_fidelity_sees_that_the_motif_is_enough(asked, record_property):
    """The bare motif is unlike what the network was trained on, so that Fid- calls it insufficient; the robust one not.

    How much better the motif looks than its complement is recorded: it depends on what the network rests on. Of those
    with this readout that were trained, the ratio of robust Fid+ was 6.9, 1.5, 0.6, 1.6 and 1.1. That of robust Fid- is
    the same number but for the draws: a tenth of the motif is missing where nine tenths of it are kept with the rest.
    """
    found = told_apart(asked)
    print(found)
    for name, value in found.items():
        record_property(name, value)
    assert found["Fid- of the motif"] >= 0.35
    assert found["robust Fid- of the motif"] <= 0.15
    assert found["robust Fid- of the motif"] < found["robust Fid- of the rest"]
    assert found["robust Fid+ of the motif"] > found["robust Fid+ of the rest"]


def test_robust_fidelity_tells_the_cause_from_its_complement_where_the_network_cannot_count_edges(
    data, record_property
):
    """A mean over nodes sees that a house has one edge more than a cycle; networks that use it rest on all edges."""
    found = []
    for seed in range(3):
        model, accuracy = trained(data, "max", "apart", seed, epochs=500)
        assert accuracy >= 0.98
        found.append(told_apart(questions(data, model, 20)))
        print(seed, accuracy, found[-1])
    means = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
    for name, value in means.items():
        record_property(name, value)
    assert means["robust Fid- of the motif"] <= 0.15
    assert means["robust Fid- of the rest"] >= 1.5 * means["robust Fid- of the motif"]
    assert means["robust Fid+ of the motif"] >= 3 * means["robust Fid+ of the rest"]


def test_robust_fidelity_falls_with_the_likeness_to_the_cause(asked, record_property):
    cells, steps, draws, samples = {}, 6, 5, 20
    rng = torch.Generator().manual_seed(0)
    for question, truth in asked[:12]:
        whole = float(question.reading.probability(question.reference))
        grid = corruption_grid(truth, steps, draws)
        chosen = torch.stack([one for one, _ in grid])
        rest = torch.rand(len(grid), samples, len(truth), generator=rng) < 0.9
        robust = whole - changed(question, (chosen[:, None] | rest).flatten(0, 1))[0].view(-1, samples).mean(1)
        plain = whole - changed(question, chosen)[0]
        for at, (_, likeness) in enumerate(grid):
            cells.setdefault(at // draws, []).append((likeness, float(robust[at]), float(plain[at])))
    likeness, robust, plain = ([sum(row[i] for row in rows) / len(rows) for rows in cells.values()] for i in range(3))
    found = {"robust": -spearmanr(likeness, robust).statistic, "classical": -spearmanr(likeness, plain).statistic}
    print(found)
    for name, value in found.items():
        record_property(name, value)
    assert found["robust"] >= 0.75
