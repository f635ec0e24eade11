"""EpiGNN: states stay probabilities, tables are composed exactly, evidence is intersected, paths are learned."""

from __future__ import annotations

import functools
import itertools

import dgl
import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.batch import Batch, Pairs
from graphkit.core.errors import GraphKitError
from graphkit.core.spec import Spec
from graphkit.data import relation_paths
from graphkit.data.relation_paths import permutation_table
from graphkit.models import build
from graphkit.models.knowledge.epignn import Composition, EpiGNN, on_path
from graphkit.sampling import GraphLoader

S3 = permutation_table(3)
IDENTITY = 0


def question(edges, etype, head, tail, nodes=None):
    src, dst = zip(*edges, strict=True) if edges else ((), ())
    graph = dgl.graph((torch.tensor(src).long(), torch.tensor(dst).long()), num_nodes=nodes or 1 + max(src + dst))
    pairs = Pairs(torch.tensor([head]), torch.tensor([tail]))
    return Batch(graph, torch.zeros(graph.num_nodes(), 2), pairs=pairs, fields={"etype": torch.tensor(etype).long()})


def chain(word):
    return question([(i, i + 1) for i in range(len(word))], list(word), 0, len(word))


def encoder(rels=4, **options):
    torch.manual_seed(0)
    return EpiGNN(2, rels, rels, **{"hidden": 20, "facets": 4, "class_relations": range(rels), **options})


def by_table(table, **options):
    """Return an encoder of one facet that composes by a table, bool ``[n, n, n]`` (out, first, second)."""
    size = len(table)
    model = encoder(size, hidden=size, facets=1, **options)
    tensor = (table / table.sum(0, keepdim=True)).float()
    model.compose.tensor = lambda: tensor[None]
    with torch.no_grad():
        model.relations.copy_(torch.where(torch.eye(size, dtype=torch.bool), 60.0, -60.0)[:, None])
    return model


@pytest.mark.parametrize("normalise", ["balanced", "free"])
def test_compositions_are_probabilities_of_the_result_and_keep_the_identity(normalise):
    compose = Composition(3, 5, normalise)
    x, first = torch.rand(4, 3, 5).softmax(-1), torch.eye(5)[[0] * 3].expand(4, 3, 5)
    torch.testing.assert_close(compose.tensor().sum(1), torch.ones(3, 5, 5))
    torch.testing.assert_close(compose(x, x).sum(-1), torch.ones(4, 3))
    assert torch.equal(compose(first, x), x)
    assert torch.equal(compose(x, first), x)


def test_only_a_free_composition_can_send_everything_to_one_result():
    made = {}
    for normalise in ("balanced", "free"):
        compose = Composition(1, 4, normalise)
        with torch.no_grad():
            compose.weight[:] = 0
            compose.weight[:, 2] = 30
        made[normalise] = compose.tensor()[0, 2, 1:, 1:]
    torch.testing.assert_close(made["free"], torch.ones(3, 3))
    torch.testing.assert_close(made["balanced"], torch.full((3, 3), 1 / 4))
    with pytest.raises(GraphKitError, match="composition"):
        Composition(1, 4, "fre")


def group_table():
    table = torch.zeros(6, 6, 6, dtype=torch.bool)
    for g, h in itertools.product(range(6), repeat=2):
        table[S3[g, h], g, h] = True
    return table


# --- states ---------------------------------------------------------------------------------------------------------


def test_the_composition_tensor_keeps_probabilities_and_has_an_identity():
    torch.manual_seed(0)
    compose = Composition(3, 5)
    tensor = compose.tensor()
    assert tensor.shape == (3, 5, 5, 5)
    assert torch.allclose(tensor.sum(1), torch.ones(3, 5, 5), atol=1e-6)
    assert sum(p.numel() for p in compose.parameters()) == 3 * 5 * 4 * 4
    x, y = torch.rand(7, 3, 5).softmax(-1), torch.rand(7, 3, 5).softmax(-1)
    first = torch.zeros(7, 3, 5)
    first[..., 0] = 1
    assert torch.equal(compose(first, x), x)
    assert torch.equal(compose(x, first), x)
    assert not torch.allclose(compose(x, y), compose(y, x), atol=1e-3)
    expected = torch.stack([sum(tensor[m, :, i, j] * x[2, m, i] * y[2, m, j] for i in range(5) for j in range(5))
                            for m in range(3)])  # fmt: skip
    assert torch.allclose(compose(x, y)[2], expected, atol=1e-6)


@pytest.mark.parametrize("aggregate", ["mul", "min"])
def test_states_are_probabilities_after_every_round(aggregate):
    batch = question([(0, 1), (1, 2), (0, 2), (2, 3), (3, 1), (4, 3)], [0, 1, 2, 3, 0, 1], 0, 3)
    for rounds in range(1, 7):
        model = encoder(aggregate=aggregate, rounds=rounds)
        states, tensor = model.states(), model.compose.tensor()
        onward = torch.einsum("mpij,rmj->rmpi", tensor, states)[batch.fields["etype"]]
        x = model.walk(batch.graph, batch.pairs.src, onward)
        assert (x >= 0).all()
        assert torch.allclose(x.sum(-1), torch.ones(5, 4), atol=1e-5)
        assert x[0, :, 0].tolist() == [1.0] * 4  # the head stays the identity
        assert torch.allclose(x[4], torch.full((4, 5), 0.2))  # nothing comes in
        rows = model(batch).node.view(5, 4, 5)
        assert torch.allclose(rows.sum(-1), torch.ones(5, 4), atol=1e-5)


@pytest.mark.parametrize("aggregate", ["mul", "min"])
def test_a_path_of_one_edge_says_its_relation(aggregate):
    """From either end; the minimum over both nodes is then it too, and the product its square."""
    model, batch = encoder(aggregate=aggregate), chain([2])
    relation, tensor = model.states()[2], model.compose.tensor()
    onward = torch.einsum("mpij,rmj->rmpi", tensor, model.states())[[2]]
    assert torch.allclose(model.walk(batch.graph, batch.pairs.src, onward)[1], relation, atol=1e-6)
    assert torch.allclose(model(batch).node.view(2, 4, 5), relation.expand(2, -1, -1), atol=1e-6)
    answer = relation if aggregate == "min" else relation**2 / (relation**2).sum(-1, keepdim=True)
    unit = torch.nn.functional.normalize(model.states().flatten(1))
    expected = (unit @ torch.nn.functional.normalize(answer.flatten(), dim=0)).log()
    assert torch.allclose(model(batch).global_[0], expected, atol=1e-5)


# --- known tables ---------------------------------------------------------------------------------------------------


def test_the_permutations_of_three_things_do_not_commute():
    assert (S3[IDENTITY] == np.arange(6)).all()
    assert (S3[:, IDENTITY] == np.arange(6)).all()
    assert (S3 != S3.T).any()
    for a, b, c in itertools.product(range(6), repeat=3):
        assert S3[S3[a, b], c] == S3[a, S3[b, c]]


@pytest.mark.parametrize("aggregate", ["mul", "min"])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 9, 14])
def test_a_group_table_gives_the_exact_product_of_any_chain(length, aggregate):
    """A chain of up to twice as many edges as rounds meets in the middle."""
    model, draw = by_table(group_table(), aggregate=aggregate), np.random.default_rng(length)
    for word in draw.integers(6, size=(8, length)):
        product = functools.reduce(lambda g, h: int(S3[g, h]), word.tolist())
        scores = model(chain(word)).global_[0]
        assert int(scores.argmax()) == product
        assert scores[product].item() == pytest.approx(0, abs=1e-5)
        assert model.reachable(chain(word)).tolist() == [True]


def test_the_order_of_the_relations_matters():
    model = by_table(group_table())
    g, h = next((g, h) for g, h in itertools.product(range(6), repeat=2) if S3[g, h] != S3[h, g])
    assert int(model(chain([g, h])).global_.argmax()) == S3[g, h]
    assert int(model(chain([h, g])).global_.argmax()) == S3[h, g]


#: RCC-8 with equality first: EQ, DC, EC, PO, TPP, NTPP, TPPi, NTPPi.
EQ, DC, EC, PO, TPP, NTPP, TPPI, NTPPI = range(8)
INSIDE = {DC, EC, PO, TPP, NTPP}
OUTSIDE = {DC, EC, PO, TPPI, NTPPI}
RCC8 = {
    DC: {DC: set(range(8)), EC: INSIDE, PO: INSIDE, TPP: INSIDE, NTPP: INSIDE, TPPI: {DC}, NTPPI: {DC}},
    EC: {DC: OUTSIDE, EC: {EQ, DC, EC, PO, TPP, TPPI}, PO: INSIDE, TPP: {EC, PO, TPP, NTPP}, NTPP: {PO, TPP, NTPP},
         TPPI: {DC, EC}, NTPPI: {DC}},
    PO: {DC: OUTSIDE, EC: OUTSIDE, PO: set(range(8)), TPP: {PO, TPP, NTPP}, NTPP: {PO, TPP, NTPP}, TPPI: OUTSIDE,
         NTPPI: OUTSIDE},
    TPP: {DC: {DC}, EC: {DC, EC}, PO: INSIDE, TPP: {TPP, NTPP}, NTPP: {NTPP}, TPPI: {EQ, DC, EC, PO, TPP, TPPI},
          NTPPI: OUTSIDE},
    NTPP: {DC: {DC}, EC: {DC}, PO: INSIDE, TPP: {NTPP}, NTPP: {NTPP}, TPPI: INSIDE, NTPPI: set(range(8))},
    TPPI: {DC: OUTSIDE, EC: {EC, PO, TPPI, NTPPI}, PO: {PO, TPPI, NTPPI}, TPP: {EQ, PO, TPP, TPPI},
           NTPP: {PO, TPP, NTPP}, TPPI: {TPPI, NTPPI}, NTPPI: {NTPPI}},
    NTPPI: {DC: OUTSIDE, EC: {PO, TPPI, NTPPI}, PO: {PO, TPPI, NTPPI}, TPP: {PO, TPPI, NTPPI},
            NTPP: {EQ, PO, TPP, NTPP, TPPI, NTPPI}, TPPI: {NTPPI}, NTPPI: {NTPPI}},
}  # fmt: skip
CONVERSE = {EQ: EQ, DC: DC, EC: EC, PO: PO, TPP: TPPI, NTPP: NTPPI, TPPI: TPP, NTPPI: NTPP}


def rcc8(first, second):
    if EQ in (first, second):
        return {first if second == EQ else second}
    return RCC8[first][second]


def test_the_rcc8_table_is_consistent_with_its_converses():
    for a, b in itertools.product(range(8), repeat=2):
        assert {CONVERSE[c] for c in rcc8(a, b)} == rcc8(CONVERSE[b], CONVERSE[a])
        for c in rcc8(a, b):
            assert a in rcc8(c, CONVERSE[b])


def rcc8_model():
    table = torch.zeros(8, 8, 8, dtype=torch.bool)
    for a, b in itertools.product(range(8), repeat=2):
        table[list(rcc8(a, b)), a, b] = True
    return by_table(table, aggregate="min")


def answer_of(model, batch):
    """Return what may hold between head and tail: the entries of the answer that are not ruled out."""
    return set((model.infer(batch)[1][0, 0] > 1e-6).nonzero()[:, 0].tolist())


def closure(word):
    """Return what a chain allows: single relations, composed set by set."""
    found = {word[0]}
    for relation in word[1:]:
        found = set().union(*(rcc8(x, relation) for x in found))
    return found


def test_the_minimum_of_two_paths_is_the_intersection_of_what_they_allow():
    model, draw, narrowed = rcc8_model(), np.random.default_rng(0), 0
    for _ in range(120):
        a, b, c, d = draw.integers(1, 8, size=4).tolist()
        both = closure([a, b]) & closure([c, d])
        if not both:
            continue
        found = answer_of(model, question([(0, 2), (2, 1), (0, 3), (3, 1)], [a, b, c, d], 0, 1))
        assert found == both, (a, b, c, d)
        narrowed += len(both) < min(len(closure([a, b])), len(closure([c, d])))
    assert narrowed > 5


def test_longer_chains_rule_out_nothing_that_may_hold():
    model, draw = rcc8_model(), np.random.default_rng(1)
    for length in (2, 3, 4, 5):
        for word in draw.integers(1, 8, size=(10, length)).tolist():
            assert answer_of(model, chain(word)) >= closure(word)


# --- paths, batches, refusals ---------------------------------------------------------------------------------------


def test_only_nodes_on_shortest_paths_give_evidence():
    edges = [(0, 1), (1, 2), (0, 3), (3, 4), (4, 2), (5, 1), (2, 6)]
    batch = question(edges, [0] * 7, 0, 2)
    assert on_path(batch.graph, batch.pairs, 9).tolist() == [True, True, True, False, False, False, False]
    assert on_path(batch.graph, batch.pairs, 9, "all").tolist() == [True] * 5 + [False, False]


def test_what_cannot_be_reached_is_undecided():
    model, batch = encoder(score="entropy"), question([(1, 0), (2, 1)], [0, 1], 0, 2)
    assert model.reachable(batch).tolist() == [False]
    assert torch.allclose(model(batch).global_, torch.full((1, 4), float(np.log(0.2))), atol=1e-5)


def test_a_weight_of_zero_silences_an_edge():
    model = by_table(group_table())
    batch = question([(0, 1), (1, 2), (0, 2)], [1, 2, 3], 0, 2)
    batch.edge_weight = torch.tensor([0.0, 0.0, 1.0])
    node = model(batch).node
    direct = model(question([(0, 2)], [3], 0, 2, nodes=3)).node
    assert torch.allclose(node[[0, 2]], direct[[0, 2]], atol=1e-5)


def test_datasets_ask_about_their_pairs():
    data = relation_paths(num_train=20, num_test=3, num_paths=2, seed=3)
    batch = next(iter(GraphLoader(data, "test", batch_size=4, shuffle=False)))
    assert (
        batch.pairs.src.tolist() == (batch.graph.batch_num_nodes().cumsum(0) - batch.graph.batch_num_nodes()).tolist()
    )
    assert batch.feat[batch.pairs.src].tolist() == [[1.0, 0.0]] * 4
    assert batch.feat[batch.pairs.dst].tolist() == [[0.0, 1.0]] * 4
    model = by_table(group_table())
    assert model(batch).global_.argmax(1).tolist() == batch.label.tolist()
    built = build("epignn", data)
    assert built.encoder.relations.shape == (6, 8, 8)
    assert built(batch).pred.shape == (4, 6)


def test_classes_that_are_no_relations_have_states_of_their_own():
    model = build("epignn", Spec("graph", 2, 3, num_relations=2, class_relations=(1, -1, -1)))
    assert model.encoder.class_rows == [1, 2, 3]
    assert model.encoder.relations.shape[0] == 4


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: encoder(hidden=21), "facets=4 does not divide hidden=21"),
        (lambda: encoder(aggregate="mean"), "unknown aggregate 'mean'"),
        (lambda: encoder(class_relations=[0, 9, 1, 2]), "name no relation below 4"),
        (lambda: build("epignn", Spec("graph", 2, 3)), "the data have no relations"),
        (lambda: encoder()(chain([0]).replace(pairs=None)), "the batch has none"),
        (lambda: encoder()(chain([0]).replace(fields={})), "with the relation of each edge"),
        (lambda: encoder()(chain([7])), "etype holds id 7"),
        (lambda: relation_paths(np.zeros((2, 3), dtype=int)), r"table has shape \[2, 3\]"),
        (lambda: relation_paths(train_lengths=(0,)), "at least one edge"),
        (lambda: relation_paths(np.array([[0, 1], [5, 0]])), "relations from 0 to R - 1"),
    ],
)
def test_wrong_requests_get_one_sentence(call, sentence):
    with pytest.raises(GraphKitError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_edges_off_the_path_explain_nothing(method):
    src, dst = torch.tensor([0, 2, 2, 1]), torch.tensor([2, 1, 3, 3])
    torch.manual_seed(0)
    model = build("epignn", Spec("graph", 2, 4, num_relations=4))
    with torch.no_grad():
        model.encoder.relations.normal_(std=3)
    graph, pairs = dgl.graph((src, dst)), Pairs(torch.tensor([0]), torch.tensor([1]))
    batch = Batch(graph, torch.ones(4, 2), pairs=pairs, fields={"etype": torch.tensor([1, 3, 2, 2])})
    found = gk.explain(model, batch, graph=0, method=method)
    assert found.edge_mask[:2].min() > 5 * found.edge_mask[2:].max()
    assert found.feat_mask is None or not found.feat_mask.any()


# --- learning -------------------------------------------------------------------------------------------------------


def test_a_shorter_table_is_learned_to_longer_paths():
    """Two relations that cancel: trained on paths of one to three edges, asked about up to seven."""
    data = relation_paths(permutation_table(2), (1, 2, 3), (5, 7), num_train=300, num_test=50)
    options = {"epochs": 40, "batch_size": 100, "hidden": 16, "facets": 4, "lr": 0.05, "select": "loss"}
    run = gk.fit("epignn", data, seed=0, progress=False, **options)
    assert run.metrics["test/accuracy"] >= 0.98
