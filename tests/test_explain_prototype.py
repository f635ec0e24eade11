"""Prototypes of a class: what many explanations share survives, what each adds by itself does not."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.explain import prototype


@pytest.fixture(scope="module")
def cycles():
    """Explanations of the node that ties each of nine cycles to its tree, told what the cause is."""
    data = gk.load("tree-cycles")
    torch.manual_seed(0)
    model = gk.models.build("gcn", data, num_layers=3, hidden=20, norm="none", self_loops=False).eval()
    motif = data.graph.ndata["motif"]
    nodes = [int((motif == i).nonzero()[0]) for i in range(9)]
    return data, gk.explain(model, data, nodes=nodes, method="random", target_class=1)


def told(data, why, noise, seed):
    """Give the cycle weight 1 and a third of the other edges a weight of up to ``noise``."""
    drawn = torch.rand(2, why.num_edges, generator=torch.Generator().manual_seed(seed))
    why.edge_mask = torch.zeros(data.graph.num_edges())
    why.edge_mask[why.edges] = (noise * drawn[0] * (drawn[1] > 0.67))[why.group]
    why.edge_mask[why.edges[data.graph.edata["motif_edge"][why.edges]]] = 1.0
    return why


@pytest.mark.parametrize("noise", [0.0, 0.6])
def test_the_cycle_survives_and_the_noise_of_each_does_not(cycles, noise):
    data, found = cycles
    made = prototype([told(data, why, noise, seed) for seed, why in enumerate(found)], k=9)
    table = made.edges()
    motif = data.graph.ndata["motif"]
    mine = made.reference.target.ids[0]
    assert len(table) == 6
    assert bool((motif[torch.tensor(table.src)] == motif[mine]).all())
    assert bool((motif[torch.tensor(table.dst)] == motif[mine]).all())
    assert min(table.weight) > 0.8
    assert int(made.nodes[0]) == mine
    graph = made.graph()
    assert sorted(graph.in_degrees().tolist())[-6:] == [2] * 6
    assert int(graph.in_degrees().sum()) == 12
    assert torch.equal(made.adjacency, made.adjacency.mT) or torch.allclose(made.adjacency, made.adjacency.mT)
    assert made.misfit[found.index(made.reference)] == 0
    assert float(made.misfit.max()) < 0.3


def test_the_reference_lies_nearest_to_the_mean(cycles):
    from graphkit.explain.pgexplainer import node_rows

    data, found = cycles
    made = prototype([told(data, why, 0.0, 0) for why in found], k=6, steps=0)
    rows = []
    for why in found:
        with why.question.open():
            rows.append(node_rows(why.question)[why.question.roots[0]])
    rows = torch.stack(rows)
    assert found.index(made.reference) == int((rows - rows.mean(0)).norm(dim=1).argmin())


def test_what_has_no_prototype_is_refused(cycles):
    data, found = cycles
    other = gk.explain(found[0].question.model, data, node=found[1].target.ids[0], method="random", target_class=0)
    ring = gk.explain(gk.models.build("gin", gk.load("ba-2motifs")), gk.load("ba-2motifs"), graph=0, method="random")
    for given, options, sentence in (
        (found[:1], {}, "give two or more"),
        ([found[0], other], {}, r"classes \[0, 1\]"),
        ([ring, ring], {}, "of nodes of one class"),
        (found, {"k": 0}, "k is 0"),
        (found, {"lr": 0.0}, "lr 0.0"),
    ):
        with pytest.raises(GraphKitError, match=sentence) as caught:
            prototype(given, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(GraphKitError, match="threshold is 0"):
        prototype(found, steps=1).edges(0)
