"""Systems on hypergraphs: identities of the zoo, PhenomNN's energy, LightHGNN's loss, training, files, refusals."""

import itertools

import pytest
import torch

import graphkit as gk
from graphkit import GraphKitError
from graphkit.core.batch import Batch
from graphkit.graphs import as_hypergraph, clique_expansion, from_hyperedges
from graphkit.models import build
from graphkit.models.hyper import lighthgnn
from graphkit.models.hyper.lighthgnn import distillation_loss, reliability, smoothness
from graphkit.models.hyper.phenomnn import Propagation, energy
from graphkit.nn import MLP, HyperGCNConv
from graphkit.sampling import full_batch
from graphkit.testing import check_model, hyper_sample
from graphkit.testing.hyper_models import hyper_spec


def planted(seed=0, groups=3, size=20, inside=30, across=6):
    """Hyperedges of three to five nodes, most inside one of three groups, and features that say little."""
    draw = torch.Generator().manual_seed(seed)
    label = torch.arange(groups).repeat_interleave(size)
    lists = []
    for i in range(groups * inside + across):
        low, room = (i % groups * size, size) if i < groups * inside else (0, groups * size)
        count = 3 + i % 3
        lists.append((low + torch.randperm(room, generator=draw)[:count]).tolist())
    feat = torch.randn(len(label), 8, generator=draw) + 0.4 * torch.eye(8)[label]
    h = from_hyperedges(lists, len(label), {"feat": feat})
    order = torch.randperm(len(label), generator=draw)
    parts = {"train": order[:15], "val": order[15:25], "test": order[25:]}
    return gk.Dataset.from_graph(h, labels=label, splits=parts, name="planted")


@pytest.fixture(scope="module")
def data():
    return planted()


ZOO = [
    "hgnn", "hypergcn", "hnhn", "unigcn", "unisage", "unigin", "unigat", "alldeepsets", "allsettransformer",
    "phenomnn", "lighthgnn",
]  # fmt: skip


@pytest.mark.parametrize("name", ZOO)
def test_every_system_trains_by_name_and_its_run_loads(name, data, tmp_path):
    arguments = {"dropout": 0.2} if name == "phenomnn" else {}
    run = gk.fit(name, data, epochs=3, progress=False, run_dir=tmp_path / "run", **arguments)
    again = gk.Run.load(tmp_path / "run", data)
    assert torch.equal(again.predict(nodes=[0, 59]), run.predict(nodes=[0, 59]))
    assert run.predict().shape == (60, 3) and {"test/accuracy", "val/accuracy"} <= set(run.metrics)


@pytest.mark.parametrize(("name", "arguments"), [("hgnn", {}), ("phenomnn", {"dropout": 0.2}), ("lighthgnn", {})])
def test_the_hypergraph_helps_beyond_the_features(name, arguments, data):
    run = gk.fit(name, data, epochs=60, progress=False, **arguments)
    alone = gk.fit("mlp", data, epochs=60, progress=False)
    assert run.metrics["test/accuracy"] >= alone.metrics["test/accuracy"] + 0.15


def test_laws_of_a_system_run_by_its_name():
    assert "equivariance" in check_model("hgnn", "node")


def test_nodes_without_features_get_learned_rows():
    h = from_hyperedges([[0, 1, 2], [2, 3], [3, 4]], 5)
    data = gk.Dataset.from_graph(h, labels=[0, 0, 0, 1, 1], splits={"train": [0, 4], "test": [1, 2, 3]})
    assert data.spec().in_feats == 0
    assert gk.fit("hgnn", data, epochs=2, progress=False, embedding=4).predict(nodes=[1]).shape == (1, 2)


def test_hyperedges_weights_reach_hgnn():
    lists, feat = [[0, 1], [1, 2]], torch.randn(4, 5)
    model = build("hgnn", hyper_spec()).eval()
    plain, weighted = (
        gk.sampling.full_batch(
            gk.Dataset.from_graph(
                from_hyperedges(lists, 4, {"feat": feat}, fields), labels=[0, 1, 0, 1], splits={"train": [0, 1, 2, 3]}
            ),
            None,
        )
        for fields in ({}, {"weight": torch.tensor([1.0, 7.0])})
    )
    assert weighted.fields["hyperedge_weight"].tolist() == [1, 7]
    one, other = model(plain).pred, model(weighted).pred
    assert not torch.allclose(one[1], other[1]) and torch.allclose(one[3], other[3])


# --- HyperGCN --------------------------------------------------------------------------------------------------------


def test_hypergcn_is_gcn_on_the_graph_of_its_definition():
    case = hyper_sample(nodes=9, hyperedges=5, members=20, in_feats=4)
    layer = HyperGCNConv(4, 3).double()
    x = layer.fc(case.feat)
    a = torch.eye(9).double()
    for e in range(5):
        inside = case.node[case.hyperedge == e].tolist()
        if len(inside) < 2:
            continue
        pairs = list(itertools.combinations(inside, 2))
        i, j = max(pairs, key=lambda p: float((x[p[0]] - x[p[1]]).detach().norm()))
        edges = [(i, j), *((end, k) for k in inside if k not in (i, j) for end in (i, j))]
        for u, v in edges:
            a[u, v] += 1 / (2 * len(inside) - 3)
            a[v, u] += 1 / (2 * len(inside) - 3)
    d = a.sum(0).rsqrt()
    assert torch.allclose(layer(case.graph, case.feat), d[:, None] * a * d @ x + layer.bias)


def test_large_hyperedges_are_searched_from_the_member_furthest_from_the_mean():
    from graphkit.nn.hyper.mediators import extremes

    rows = torch.randn(300, 2)
    rows[17], rows[251] = torch.tensor([90.0, 0.0]), torch.tensor([-80.0, 0.0])
    into = gk._dgl.relations(from_hyperedges([range(300)]))["in"]
    first, second, weight, _ = extremes(into, rows, mediators=False)
    assert sorted([int(first), int(second)]) == [17, 251] and weight.tolist() == [1.0]


# --- PhenomNN --------------------------------------------------------------------------------------------------------


def matrices(case):
    n, m = len(case.feat), len(case.edge_feat)
    b = torch.zeros(n, m).double()
    b[case.node, case.hyperedge] = 1
    size = b.sum(0)

    def sym(square):
        root = square.sum(1).rsqrt()
        return root[:, None] * square * root

    clique = sym(b @ b.T + torch.eye(n))
    star = sym(b * torch.where(size > 0, 1 / size.clamp(min=1), 0.0) @ b.T + torch.eye(n))
    return clique, star


@pytest.fixture(scope="module")
def case():
    return hyper_sample(nodes=30, hyperedges=12, members=60, in_feats=4)


def test_the_fixed_point_solves_the_linear_system(case):
    clique, star = matrices(case)
    lam0, lam1 = 1.0, 20.0
    solved = torch.linalg.solve(
        torch.diag(lam0 * clique.sum(1) + lam1 * star.sum(1) + 1) - lam0 * clique - lam1 * star, case.feat
    )
    layer = Propagation(4, 400, lam0, lam1, 1.0)
    assert (layer(case.graph, case.feat) - solved).abs().max() < 1e-8
    y = torch.randn(30, 4).double()
    laplacian = lam0 * (torch.diag(clique.sum(1)) - clique) + lam1 * (torch.diag(star.sum(1)) - star)
    expected = ((y - case.feat) ** 2).sum() + (y * (laplacian @ y)).sum()
    assert torch.allclose(energy(case.graph, y, case.feat, lam0, lam1), expected)


@pytest.mark.parametrize(("alpha", "left"), [(1.0, 1e-4), (0.5, 1.0), (0.1, 0.25)])
def test_the_energy_never_rises(case, alpha, left):
    def at(steps):
        y = Propagation(4, steps, 1.0, 20.0, alpha)(case.graph, case.feat)
        return float(energy(case.graph, y, case.feat, 1.0, 20.0))

    path = [at(k) for k in range(17)]
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(path))
    least = at(600)
    assert (path[16] - least) / (path[0] - least) < left


def test_without_terms_or_steps_it_is_the_mlp(case):
    rows = case.feat
    assert torch.equal(Propagation(4, 16, 0.0, 0.0, 1.0)(case.graph, rows), rows)
    assert torch.equal(Propagation(4, 0)(case.graph, rows), rows)


def test_the_general_form_with_identities_is_the_simple_one(case):
    """The star term is; the clique term counts both directions of each pair, and so stands for twice its weight."""
    simple, general = Propagation(4, 8, 0.0, 5.0, 1.0), Propagation(4, 8, 0.0, 5.0, 1.0, compat=True).double()
    with torch.no_grad():
        general.compat.copy_(torch.eye(4).expand(2, 4, 4))
    assert torch.allclose(general(case.graph, case.feat), simple(case.graph, case.feat))
    twice = Propagation(4, 2000, 6.0, 5.0, 0.3)(case.graph, case.feat)
    both = Propagation(4, 2000, 3.0, 5.0, 0.3, compat=True).double()
    with torch.no_grad():
        both.compat.copy_(torch.eye(4).expand(2, 4, 4))
    assert torch.allclose(both(case.graph, case.feat), twice, atol=1e-8)


def test_on_pairs_the_clique_term_is_a_step_of_a_graph_energy():
    g = gk.load("karate").graph
    x = torch.randn(34, 3).double()
    a = torch.zeros(34, 34).double()
    a[g.edges()] = 1
    degree = a.sum(0)
    square = a + torch.diag(degree + 1)  # the diagonal of B B^T is the degree
    root = square.sum(1).rsqrt()
    step = root[:, None] * square * root
    expected = (2.0 * step @ x + x) / (2.0 * step.sum(1) + 1)[:, None]
    assert torch.allclose(Propagation(3, 1, 2.0, 0.0, 1.0)(as_hypergraph(g), x), expected)


# --- LightHGNN -------------------------------------------------------------------------------------------------------


def test_the_divergence_is_that_of_hand_and_zero_for_equal_answers():
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, -1.0]]).double()
    student = torch.tensor([[1.0, 0.0], [0.0, 0.0], [3.0, -1.0]]).double().requires_grad_()
    p, q = teacher.softmax(1), student.softmax(1)
    assert torch.allclose(distillation_loss(student, teacher), (p * (p / q).log()).sum(1).mean())
    same = teacher.clone().requires_grad_()
    h = Batch(from_hyperedges([[0, 1], [1, 2], []]), teacher)
    loss = distillation_loss(same, teacher, h, torch.ones(3).double())
    assert abs(float(loss)) < 1e-12
    assert torch.autograd.grad(loss, same)[0].abs().max() < 1e-12


def test_hyperedges_that_are_never_drawn_leave_the_loss_alone():
    teacher, student = torch.randn(2, 4, 3).double()
    h = Batch(from_hyperedges([[0, 1], [1, 2, 3]]), teacher)
    base = distillation_loss(student, teacher)
    assert torch.equal(distillation_loss(student, teacher, h, torch.zeros(2).double()), base)
    p, q = teacher.softmax(1), student.softmax(1)
    means = [torch.stack([x[:2].mean(0), x[1:].mean(0)]) for x in (p, q)]
    more = (means[0] * (means[0] / means[1]).log()).sum(1).mean()
    assert torch.allclose(distillation_loss(student, teacher, h, torch.ones(2).double()), base + more)


def test_the_least_stable_hyperedge_is_never_trusted(data):
    model = build("hgnn", data).eval()
    torch.manual_seed(0)
    p = reliability(model, full_batch(data, None))
    assert p.min() == 0 and p.max() <= 1 and len(p) == data.num_hyperedges
    assert reliability(model, full_batch(data, None), noise=0.0).eq(1).all()


def test_the_student_answers_without_the_hypergraph(data):
    run = gk.fit("lighthgnn", data, epochs=3, progress=False, high_order=True, lam=0.1)
    assert [row["phase"] for row in run.rows][::3] == ["teacher", "student"]
    feat = data.graph.nodes["node"].data["feat"]
    with torch.no_grad():
        assert torch.allclose(run.model(Batch(None, feat)).pred.softmax(1), run.predict())


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_norms_folded_into_maps_change_no_answer(num_layers, monkeypatch):
    monkeypatch.setattr(lighthgnn, "ROWS", 4)
    torch.manual_seed(0)
    mlp = MLP(5, 3, 8, num_layers, 0.5, "batch")
    for _ in range(9):  # running statistics other than 0 and 1, and scales and shifts other than 1 and 0
        mlp(3 * torch.randn(20, 5) + 1)
    for norm in mlp.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    mlp.eval()
    for rows in (0, 1, 4, 11):
        feat = torch.randn(rows, 5)
        torch.testing.assert_close(lighthgnn.answer(mlp, feat), mlp(feat).detach(), atol=1e-5, rtol=1e-5)


def test_a_students_answers_have_gradients_where_they_are_asked_for(data):
    model = build("lighthgnn", data).eval()
    feat = data.graph.nodes["node"].data["feat"].clone().requires_grad_()
    pred = model(Batch(None, feat)).pred
    assert torch.autograd.grad(pred.sum(), feat)[0].abs().sum() > 0
    with torch.no_grad():
        torch.testing.assert_close(model(Batch(None, feat)).pred, pred.detach(), atol=1e-5, rtol=1e-5)


def test_smoothness_is_the_mean_distance_to_the_mean():
    h = from_hyperedges([[0, 1], [1, 2], []])
    assert smoothness(h, torch.tensor([[0.0], [2.0], [2.0]])) == pytest.approx(0.5)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda d: gk.fit("gcn", d, epochs=1), r"gcn reads graphs, and this is a hypergraph.*clique_expansion.*hgnn"),
        (lambda d: gk.fit("hgnn", gk.load("karate"), epochs=1), r"hgnn reads hypergraphs, and this is a graph.*as_hyp"),
        (lambda d: gk.fit("lighthgnn", gk.load("karate"), epochs=1), "lighthgnn reads hypergraphs"),
        (lambda d: gk.fit("hgnn", d, epochs=1, batch_size=8), "cannot be sampled from: train on all of it"),
        (lambda d: gk.fit("lighthgnn", d, epochs=1, teacher="gcn"), "teacher='gcn' reads no hypergraphs"),
        (lambda d: gk.fit("phenomnn", d, epochs=1, lam0=-1.0), "lam0=-1.0.*is out of range"),
        (lambda d: gk.fit("unigat", d, epochs=1, hidden=9), "num_heads=8 does not divide"),
        (
            lambda d: gk.explain(build("hgnn", d), d, node=1),
            "hgnn answers on the hypergraph planted",
        ),
        (lambda d: gk.fit("hgnn", d, epochs=1).predict(nodes=[60]), "node ids run from 0 to 59"),
    ],
)
def test_refusals_are_one_sentence(call, says, data):
    with pytest.raises(GraphKitError, match=says) as caught:
        call(data)
    assert "\n" not in str(caught.value)


def test_a_hypergraph_is_explained_by_way_of_its_clique_expansion(data):
    flat = gk.Dataset.from_graph(clique_expansion(data.graph), labels=data.labels, splits=data.splits)
    run = gk.fit("gcn", flat, epochs=2, progress=False)
    assert gk.explain(run, node=3, method="saliency").edge_mask.shape == (flat.graph.num_edges(),)


@pytest.mark.real
def test_the_shell_trains_on_a_hypergraph_and_names_the_next_step(fresh_python, tmp_path):
    words = ("cora-coauthorship", "--model", "hgnn", "--epochs", "2", "--out", str(tmp_path / "run"))
    out = fresh_python("", "-m", "graphkit", "train", *words)
    assert "accuracy" in out and "next: graphkit predict" in out
    assert "class" in fresh_python("", "-m", "graphkit", "predict", str(tmp_path / "run"), "--nodes", "0,1")
