"""Networks as graphs of weights and of operators: what stands where, the way back, symmetries, and what is refused."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError
from graphkit.graphs.network import EDGE_TYPES, NODE_TYPES, OPERATORS, flatten, from_modules, layout_of
from graphkit.probe import PermutationSpec
from graphkit.probe.rebasin import load

from .data.test_data_programs_and_nets import NODES, message, model, node
from .test_probe import FeedForward, Joined, ResNet, mlp


class Transformer(nn.Module):
    """A small vision transformer: patches, a class token, positions, one block."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.patch, self.cls = nn.Conv2d(1, width, 4, 4), nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 5, width))
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True)
        self.inner = nn.Sequential(nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width))
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        h = self.first(x)
        x = x + self.attend(h, h, h, need_weights=False)[0]
        return self.head((x + self.inner(self.second(x)))[:, 0])


class Projected(nn.Module):
    """A residual block with a projection, and a squeeze-and-excite gate."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.short = nn.Conv2d(2, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(2, 6, 1, 2)
        self.norm, self.gate = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 1)
        self.depth, self.fc = nn.Conv2d(6, 6, 3, groups=6, bias=False), nn.Linear(24, 4)

    def forward(self, x):
        y = self.norm(self.b(F.relu(self.a(x)))) + self.short(x)
        y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        return self.fc(self.depth(y).view(y.size(0), -1))


NETS = {
    "mlp": (lambda: mlp(4, 8, 6, 3), (4,)),
    "residual": (ResNet, (1, 8, 8)),
    "projected": (Projected, (2, 8, 8)),
    "feed-forward": (FeedForward, (5,)),
    "joined": (Joined, (4,)),
    "transformer": (Transformer, (1, 8, 8)),
    "sequence": (lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)), (2, 6)),
    "words": (lambda: nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 3)), None),
    "slopes": (lambda: nn.Sequential(nn.Linear(3, 4), nn.PReLU(4), nn.Linear(4, 2)), (3,)),
    "linear": (lambda: nn.Linear(3, 2), (3,)),
}


def made(name, seed=0):
    torch.manual_seed(seed)
    make, shape = NETS[name]
    x = torch.randint(7, (5, 6)) if shape is None else torch.randn(5, *shape)
    return make().eval(), x


@pytest.mark.parametrize("form", ["scalars", "kernels"])
@pytest.mark.parametrize("name", NETS)
def test_a_network_rebuilt_from_its_graph_is_the_same_function(name, form):
    net, x = made(name)
    graph = gk.graphs.from_module(net, x[:1], form=form)
    other = made(name, seed=1)[0]
    with torch.no_grad():
        assert (other(x) - net(x)).abs().max() > 1e-3
    rebuilt = gk.graphs.to_module(graph, other).eval()
    for one, two in zip(net.parameters(), rebuilt.parameters(), strict=True):
        assert torch.equal(one, two)
    with torch.no_grad():
        assert (rebuilt(x) - net(x)).abs().max() <= 1e-6


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_is_one_edge_in_the_order_of_the_parameters(name):
    net, x = made(name)
    graph = gk.graphs.from_module(net, x[:1])
    flat = flatten(net)
    held = graph.edata["param"][:, 0]
    assert torch.equal(held[: len(flat)], torch.arange(len(flat))) and (held[len(flat) :] < 0).all()
    assert torch.equal(graph.edata["feat"][: len(flat), 0], flat)
    kinds = {EDGE_TYPES[i] for i in graph.edata["etype"][len(flat) :].tolist()}
    assert kinds <= {"residual", "gate", "head"} and (graph.edata["feat"][len(flat) :, 0] == 1).all()
    src, dst = graph.edges()
    layer = graph.ndata["layer"]
    assert (layer[dst] >= layer[src]).all()


def test_types_say_what_nodes_and_edges_are():
    net, x = made("transformer")
    graph = gk.graphs.from_module(net, x[:1])
    kinds = [NODE_TYPES[i] for i in graph.ndata["ntype"].tolist()]
    assert {k: kinds.count(k) for k in NODE_TYPES} == {
        "input": 1, "hidden": 8 + 8 + 8 + 8 + 16 + 8, "output": 3, "bias": 8, "scale": 2, "shift": 3, "grid": 5,
        "head": 2,
    }  # fmt: skip
    edges = [EDGE_TYPES[i] for i in graph.edata["etype"].tolist()]
    assert edges.count("query") == edges.count("key") == edges.count("value") == 64
    assert edges.count("query bias") == 8 and edges.count("residual") == 16 and edges.count("head") == 16
    assert edges.count("grid") == 40 and edges.count("conv") == 128


def isomorphic(one, two):
    """Compare graphs by colours that neighbours refine, with weights to 5 digits; enough to tell these apart."""

    def colours(graph):
        src, dst = (end.tolist() for end in graph.edges())
        weight = [tuple(round(v, 5) for v in row) for row in graph.edata["feat"].tolist()]
        kind = graph.edata["etype"].tolist()
        now = [tuple(round(v, 5) for v in row) for row in graph.ndata["feat"].tolist()]
        for _ in range(4):
            seen = [[hash(c)] for c in now]
            for u, v, w, k in zip(src, dst, weight, kind, strict=True):
                seen[v].append(hash((0, now[u], w, k)))
                seen[u].append(hash((1, now[v], w, k)))
            now = [hash((s[0], *sorted(s[1:]))) for s in seen]
        return sorted(now)

    return colours(one) == colours(two)


@pytest.mark.parametrize("form", ["scalars", "kernels"])
@pytest.mark.parametrize("name", ["mlp", "residual", "projected", "feed-forward", "joined", "transformer"])
def test_a_permuted_network_has_an_isomorphic_graph(name, form):
    net, x = made(name)
    spec = PermutationSpec.from_module(net, x[:1])
    moved = load(net, spec.apply(spec.random(2), net.state_dict()))
    one, two = (gk.graphs.from_module(n, x[:1], form=form) for n in (net, moved))
    assert not torch.equal(one.edata["feat"], two.edata["feat"])
    assert isomorphic(one, two)
    assert not isomorphic(one, gk.graphs.from_module(made(name, seed=1)[0], x[:1], form=form))


def test_heads_of_attention_and_their_neurons_may_change_places():
    """Queries with keys, values with the output's columns, whole heads: each keeps the function and the graph."""
    net, x = made("transformer")
    width, heads = 8, 2

    def permuted(matched, carried):
        state = {k: v.clone() for k, v in net.state_dict().items()}
        rows = torch.cat([matched, width + matched, 2 * width + carried])
        state["attend.in_proj_weight"] = state["attend.in_proj_weight"][rows]
        state["attend.in_proj_bias"] = state["attend.in_proj_bias"][rows]
        state["attend.out_proj.weight"] = state["attend.out_proj.weight"][:, carried]
        return load(net, state).eval()

    within = torch.cat([torch.randperm(4), 4 + torch.randperm(4)])
    swapped = torch.tensor([4, 5, 6, 7, 0, 1, 2, 3])
    with torch.no_grad():
        net.attend.in_proj_bias.normal_()
        graph = gk.graphs.from_module(net, x[:1])
        for matched, carried in ((within, torch.arange(8)), (torch.arange(8), within), (swapped, swapped)):
            other = permuted(matched, carried)
            assert (other(x) - net(x)).abs().max() < 1e-5
            assert isomorphic(graph, gk.graphs.from_module(other, x[:1]))
        wrong = permuted(torch.arange(8), swapped)
        assert (wrong(x) - net(x)).abs().max() > 1e-4 and not isomorphic(graph, gk.graphs.from_module(wrong, x[:1]))
    assert heads == int((graph.ndata["ntype"] == NODE_TYPES.index("head")).sum())


def test_a_batch_of_networks_is_laid_out_at_once():
    nets = [mlp(4, 8, 3) for _ in range(5)]
    layout = layout_of(nets[0], form="kernels")
    node, edge = layout.rows(torch.stack([flatten(net) for net in nets]))
    for i, net in enumerate(nets):
        graph = gk.graphs.from_module(net, form="kernels")
        assert torch.equal(graph.ndata["feat"], node[i]) and torch.equal(graph.edata["feat"], edge[i])
    with pytest.raises(GraphKitError, match="got 3 parameters; expected 67"):
        layout.rows(torch.zeros(3))


def test_networks_of_several_shapes_make_one_dataset():
    nets = [mlp(4, 8, 3), mlp(4, 6, 6, 3), nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(60, 3))]
    graphs = from_modules([*nets, *nets], form="scalars")
    data = gk.Dataset.from_graphs(graphs, labels=[0, 1, 0, 1, 0, 1], splits={"train": [0, 1, 2], "test": [3, 4, 5]})
    assert data.spec().edge_feats == 4 and len({g.ndata["feat"].shape[1] for g in graphs}) == 1
    run = gk.fit("gmn", data, epochs=1, hidden=8, progress=False)
    assert run.predict().shape == (6, 2)


def test_modes_and_statistics_of_a_network_stay_as_they_were():
    net, x = made("residual")
    net.train()
    net.norm.eval()
    before = net.second_norm.running_mean.clone()
    gk.graphs.from_module(net, x)
    assert net.second_norm.training and not net.norm.training and torch.equal(net.second_norm.running_mean, before)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x):
        return self.fc(x) if x.sum() > 0 else x


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        return self.fc(torch.relu(self.fc(x)))


class Spare(Branching):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)

    def forward(self, x):
        return self.fc(x)


class Solver(Branching):
    def forward(self, x):
        return torch.linalg.inv(self.fc(x))


class Scaled(Branching):
    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.alpha * self.fc(x)


@pytest.mark.parametrize(
    ("net", "x", "says"),
    [
        (nn.Sequential(nn.Linear(2, 3), nn.LSTM(3, 3)), None, "the module LSTM at '1' is unknown to the tracer"),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 3)),
            None,
            "ConvTranspose2d at '1' is unknown .* Conv2d",
        ),
        (
            Solver(),
            torch.randn(1, 2, 2, generator=torch.manual_seed(0)),
            "the operator .*inv at 'linalg_inv' is unknown",
        ),
        (nn.Sequential(nn.ReLU()), None, "Sequential has no parameters, so there is no parameter graph"),
        (nn.ReLU(), None, "ReLU has no parameters"),
        (Branching(), None, "torch.fx cannot trace Branching"),
        (Shared(), None, "'fc.weight' is used by 'fc' and again by 'fc'"),
        (Spare(), None, "the parameters spare.weight, spare.bias of Spare take no part"),
        (Scaled(), None, "'alpha' of shape .1. acts on all neurons"),
        (mlp(4, 3, 2), torch.zeros(1, 5), "'_0' cannot read the example"),
        ("resnet18", None, "got a str; expected a torch.nn.Module"),
        (nn.Sequential(nn.Linear(2, 4), nn.PReLU()), None, "one slope for all neurons"),
    ],
    ids=str,
)
def test_what_the_tracer_does_not_know_is_named_in_one_sentence(net, x, says):
    with pytest.raises(GraphKitError, match=says) as caught:
        gk.graphs.from_module(net, x)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_wrong_forms_and_foreign_graphs_are_refused():
    net = mlp(4, 3, 2)
    graph = gk.graphs.from_module(net)
    convs = nn.Sequential(nn.Conv2d(1, 2, 5), nn.Flatten(), nn.Linear(1568, 2))
    for call, says in (
        (lambda: gk.graphs.from_module(net, form="scalar"), "unknown form 'scalar'"),
        (lambda: gk.graphs.from_module(net, ends=(3, 2)), "too small for 4 inputs and 2 outputs"),
        (lambda: gk.graphs.from_module(convs, form="kernels", kernel=(3, 3)), "smaller than the network's kernels"),
        (lambda: gk.graphs.from_module(convs, form="kernels", kernel=(5, 5)), "784 weights join one channel"),
        (
            lambda: gk.graphs.to_module(graph, mlp(4, 5, 2)),
            "the graph holds 23 of the network's 37",
        ),
        (lambda: gk.graphs.to_module(graph, mlp(4, 2, 2)), "the graph holds 23 parameters and the network 16"),
        (lambda: gk.graphs.to_module(gk.graphs.graph([0], [1]), net), "no edge fields 'feat' and 'param'"),
    ):
        with pytest.raises(GraphKitError, match=says) as caught:
            call()
        assert "\n" not in str(caught.value)


def names(graph):
    return [OPERATORS[i] for i in graph.ndata["ntype"].tolist()]


def test_operators_of_a_module():
    net, x = made("residual")
    graph = gk.graphs.operator_graph(net, x[:1])
    assert names(graph) == [
        "Input", "Conv", "BatchNormalization", "Relu", "Conv", "BatchNormalization", "Relu", "Conv",
        "BatchNormalization", "Add", "Relu", "GlobalAveragePool", "Flatten", "Gemm", "Output",
    ]  # fmt: skip
    assert int(graph.ndata["params"].sum()) == sum(p.numel() for p in net.parameters())
    assert graph.ndata["shape"][-2].tolist() == [1, 10, 0, 0, 0]
    add = names(graph).index("Add")
    assert sorted(graph.predecessors(add).tolist()) == [3, 8]
    with pytest.raises(GraphKitError, match="the operator linalg_inv at 'linalg_inv' is unknown"):
        gk.graphs.operator_graph(Solver(), torch.zeros(1, 2, 2))
    assert "LSTM" in names(gk.graphs.operator_graph(nn.Sequential(nn.LSTM(3, 3)), torch.zeros(1, 4, 3)))


def test_operators_of_an_onnx_file(tmp_path):
    graph = gk.graphs.from_onnx(model(tmp_path) / "m.onnx")
    assert names(graph) == ["Conv", "Relu", "Add"] and graph.num_edges() == 3
    assert names(gk.graphs.from_onnx(tmp_path / "m.onnx", keep=True))[0] == "ConstantOfShape"
    weight = message((1, 4), (1, 3), (8, "w"))
    (tmp_path / "w.onnx").write_bytes(message((7, message(node("Gemm", ["x", "w"], ["y"]), (5, weight)))))
    assert gk.graphs.from_onnx(tmp_path / "w.onnx").ndata["params"].tolist() == [12]


def test_files_that_are_not_onnx(tmp_path):
    sound = (model(tmp_path) / "m.onnx").read_bytes()
    path = tmp_path / "broken.onnx"
    for content in (b"", b"not a model at all", sound[:-9], b"\x89PNG\r\n\x1a\n" + bytes(50), b"\xff" * 40):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"broken.onnx (is truncated|holds no graph)") as caught:
            gk.graphs.from_onnx(path)
        assert "\n" not in str(caught.value)
    model(tmp_path, (node("Convv", ["x"], ["y"]),))
    with pytest.raises(DataError, match=r"m.onnx, operator 0 is Convv, which is unknown; the nearest known is Conv"):
        gk.graphs.from_onnx(tmp_path / "m.onnx")
    model(tmp_path, (NODES[2], NODES[1]))
    with pytest.raises(DataError, match="takes a value that a later operator gives"):
        gk.graphs.from_onnx(tmp_path / "m.onnx")
    with pytest.raises(DataError, match=r"there is no file none.onnx"):
        gk.graphs.from_onnx(tmp_path / "none.onnx")


@pytest.mark.real
def test_classic_networks_are_read(mirror):
    data = gk.load("onnx-light")
    files = sorted(mirror.glob("**/light_resnet50.onnx"))
    graph = gk.graphs.from_onnx(files[0])
    row = data.names["instance"].index("light_resnet50")
    assert graph.num_nodes() == data[row].num_nodes() and names(graph).count("Conv") == 53


def test_layers_and_activations_are_noted():
    graph = gk.graphs.from_module(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), form="kernels")
    assert graph.ndata["layer"].tolist() == [0, 0, 1, 1, 1, 2]
    assert graph.ndata["activation"].tolist() == [0, 0, 3, 3, 3, 0]
    hidden = graph.ndata["feat"][2:5, 3:]
    assert all(torch.equal(a, b) for a, b in itertools.pairwise(hidden))
