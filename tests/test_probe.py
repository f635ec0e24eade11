"""Measures of trained networks: permutations that keep the function, re-basin, barriers and strengths of neurons."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from graphkit import probe
from graphkit.core.errors import GraphKitError
from graphkit.probe.rebasin import load


class ResNet(nn.Module):
    """One residual block of convolutions with batch norms."""

    def __init__(self, width=12):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width)
        self.first, self.first_norm = nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width)
        self.second, self.second_norm = nn.Conv2d(2 * width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        inner = F.relu(self.first_norm(self.first(x)))
        x = F.relu(x + self.second_norm(self.second(inner)))
        return self.fc(F.adaptive_avg_pool2d(x, 2).flatten(1))


class FeedForward(nn.Module):
    """The feed-forward part of a transformer, with its residual connection."""

    def __init__(self, width=16):
        super().__init__()
        self.into, self.norm = nn.Linear(5, width), nn.LayerNorm(width)
        self.up, self.down, self.out = nn.Linear(width, 32), nn.Linear(32, width), nn.Linear(width, 3)

    def forward(self, x):
        x = self.into(x)
        return self.out(x + self.down(F.gelu(self.up(self.norm(x)))))


class Joined(nn.Module):
    """Two branches side by side."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 6), nn.Linear(4, 5), nn.Linear(11, 3)

    def forward(self, x):
        return self.out(torch.cat([torch.tanh(self.a(x)), F.relu(self.b(x))], dim=1))


def mlp(*sizes):
    parts = []
    for before, after in itertools.pairwise(sizes):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


NETS = {
    "mlp": (lambda: mlp(4, 32, 24, 3), (4,)),
    "resnet": (ResNet, (1, 8, 8)),
    "transformer": (FeedForward, (5,)),
    "joined": (Joined, (4,)),
}


def made(name, seed=0):
    """Return a network off its special values, its norms with statistics, and inputs for it."""
    torch.manual_seed(seed)
    make, shape = NETS[name]
    net, x = make(), torch.randn(64, *shape)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    net.train()(x)
    return net.eval(), x


@pytest.mark.parametrize("name", NETS)
def test_a_permuted_network_computes_the_same(name):
    net, x = made(name)
    spec = probe.PermutationSpec.from_module(net, x[:1])
    moved = load(net, spec.apply(spec.random(3), net.state_dict())).eval()
    assert sum(spec.sizes.values()) >= 11
    assert not torch.equal(
        nn.utils.parameters_to_vector(moved.parameters()), nn.utils.parameters_to_vector(net.parameters())
    )
    with torch.no_grad():
        assert (net(x) - moved(x)).abs().max() < 1e-5


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("method", ["weights", "activations"])
@pytest.mark.parametrize("name", NETS)
def test_rebasin_of_a_permuted_copy_finds_the_permutation_and_no_barrier(name, method, noise):
    net, x = made(name)
    spec = probe.PermutationSpec.from_module(net, x[:1])
    planted = spec.random(5)
    state = spec.apply(planted, net.state_dict())
    draw = torch.Generator().manual_seed(1)
    names = {n for n, _ in net.named_parameters()}
    state = {
        k: v + noise * float(v.std(correction=0)) * torch.randn(v.shape, generator=draw) if k in names else v
        for k, v in state.items()
    }
    copy = load(net, state).eval()
    back = probe.rebasin(net, copy, method=method, data=x)
    for group, found in back.permutations.items():
        assert np.array_equal(planted[group][found], np.arange(len(found)))
    with torch.no_grad():
        label = net(x).argmax(1)
        assert (back.module(x) - copy(x)).abs().max() < 1e-5
    assert back.moved > 0
    after = probe.barrier(net, back.module, (x, label), n=9)
    if noise == 0:
        assert abs(after.height) < 1e-6 and after.accuracy_drop == 0
    if method == "weights":
        assert all(b >= a for a, b in zip(back.objective, back.objective[1:], strict=False))


def test_what_may_not_move_stays():
    def sizes(net, x=None):
        return sorted(probe.PermutationSpec.from_module(net, x).sizes.values())

    image = torch.zeros(1, 1, 8, 8)
    conv = nn.Conv2d(1, 6, 3)
    assert sizes(nn.Sequential(conv, nn.GroupNorm(6, 6), nn.Flatten(), nn.Linear(216, 2)), image) == [6]
    assert sizes(nn.Sequential(conv, nn.GroupNorm(2, 6), nn.Flatten(), nn.Linear(216, 2)), image) == []
    assert sizes(nn.Sequential(conv, nn.Conv2d(6, 6, 3, groups=6), nn.Flatten(), nn.Linear(96, 2)), image) == [6]
    assert sizes(nn.Sequential(conv, nn.Conv2d(6, 6, 3, groups=2), nn.Flatten(), nn.Linear(96, 2)), image) == []
    assert sizes(nn.Linear(3, 2)) == []


def test_matching_refuses_other_widths_and_missing_data():
    for call, says in (
        (lambda: probe.rebasin(mlp(4, 8, 2), mlp(4, 9, 2)), "permutations align networks of equal widths"),
        (lambda: probe.rebasin(mlp(4, 8, 2), mlp(4, 8, 2), method="activations"), "needs data"),
        (lambda: probe.rebasin(mlp(4, 8, 2), mlp(4, 8, 2), method="weight"), "unknown method 'weight'"),
        (lambda: probe.merge([mlp(4, 8, 2)]), "at least two"),
        (
            lambda: probe.barrier(mlp(4, 8, 2), mlp(4, 9, 2), (torch.zeros(1, 4), torch.zeros(1))),
            "other names or shapes",
        ),
        (lambda: probe.barrier(mlp(4, 2), mlp(4, 2), (torch.zeros(2, 4), torch.zeros(1))), "2 inputs and 1 labels"),
        (lambda: probe.barrier(mlp(4, 2), mlp(4, 2), []), "hold no batch"),
        (lambda: probe.between(mlp(4, 2), mlp(4, 2), 0.5, layers=["fc"]), "no parameter is of the layers"),
    ):
        with pytest.raises(GraphKitError, match=says) as caught:
            call()
        assert "\n" not in str(caught.value)


def mixture(seed=0):
    """Return 4,000 training and 2,000 test points of a mixture of 40 Gaussians in 32 dimensions with 10 classes."""
    draw = torch.Generator().manual_seed(seed)
    centre, kind = torch.randn(40, 32, generator=draw), torch.arange(40) % 10
    parts = []
    for count in (4000, 2000):
        which = torch.randint(40, (count,), generator=draw)
        parts.append((centre[which] + torch.randn(count, 32, generator=draw), kind[which]))
    return parts


def trained(seed, data, width=256, epochs=15, layers=3, start=None):
    torch.manual_seed(seed)
    net = mlp(32, *[width] * layers, 10) if start is None else load(start, start.state_dict())
    optimizer, draw = torch.optim.Adam(net.parameters(), lr=1e-3), torch.Generator().manual_seed(seed)
    x, y = data
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=draw).split(200):
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net


@pytest.fixture(scope="module")
def pair():
    train, test = mixture()
    return trained(1, train), trained(2, train), train, test


def test_weight_matching_takes_away_the_barrier_between_two_trainings(pair):
    """Thresholds of the specification, and the way there: 1.1 without, about 0.04 with."""
    a, b, train, test = pair
    plain = probe.barrier(a, b, test, n=11)
    aligned = probe.rebasin(a, b)
    after = probe.barrier(a, aligned.module, test, n=11)
    assert plain.height >= 0.8
    assert after.height <= 0.10 and after.height <= 0.15 * plain.height
    assert min(after.accuracy[0], after.accuracy[-1]) - after.accuracy[5] <= 0.02
    by_activations = probe.rebasin(a, b, method="activations", data=train[0][:500])
    assert probe.barrier(a, by_activations.module, test, n=5).height <= 0.3 * plain.height
    merged = probe.merge([a, b])
    assert probe.measure(merged, test)[1] >= after.accuracy[0] - 0.03


def test_barriers_are_symmetric_and_layers_can_be_moved_alone(pair):
    a, b, _, test = pair
    there, back = probe.barrier(a, b, test, n=5), probe.barrier(b, a, test, n=5)
    assert np.allclose(there.loss, back.loss[::-1], atol=1e-5)
    part = probe.barrier(a, b, test, n=3, layers=["2"])
    assert part.loss[0] == there.loss[0] and part.loss[-1] != there.loss[-1]


def test_the_estimate_of_a_quadratic_loss_is_exact():
    torch.manual_seed(0)
    x = torch.randn(40, 6, dtype=torch.float64)
    y = torch.randn(40, 2, dtype=torch.float64)
    a, b = (nn.Linear(6, 2).double() for _ in range(2))
    found = probe.barrier(a, b, (x, y), n=3, loss=F.mse_loss)
    gap = found.loss[1] - (found.loss[0] + found.loss[2]) / 2
    estimate = probe.barrier_estimate(a, b, (x, y), loss=F.mse_loss)
    step = torch.cat([b.weight - a.weight, (b.bias - a.bias)[:, None]], dim=1).detach()
    rows = torch.cat([x, torch.ones(40, 1, dtype=torch.float64)], dim=1)
    exact = -0.25 * float(((rows @ step.T) ** 2).mean())  # -1/8 d^T H d with H = 2/n X^T X
    assert abs(gap - estimate) < 1e-6 and abs(estimate - exact) < 1e-6 and estimate < 0
    with pytest.raises(GraphKitError, match="no parameter of the layers"):
        probe.barrier_estimate(a, b, (x, y), loss=F.mse_loss, layers=["fc"])


def test_the_estimate_orders_pairs_as_their_barriers_do(pair):
    a, b, train, _ = pair
    some = (train[0][:1000], train[1][:1000])
    aligned = probe.barrier_estimate(a, probe.rebasin(a, b).module, some)
    assert probe.barrier_estimate(a, b, some) > aligned > 0


def test_batch_norms_are_estimated_anew_on_the_way():
    net, x = made("resnet")
    other, _ = made("resnet", seed=1)
    label = torch.zeros(len(x), dtype=torch.int64)
    mean = probe.between(net, other, 0.5)
    before = mean.norm.running_mean.clone()
    probe.recalibrate(mean, (x, label))
    exact = mean.stem(x).mean((0, 2, 3))
    assert torch.allclose(mean.norm.running_mean, exact, atol=1e-5) and not torch.allclose(before, exact, atol=1e-3)
    assert mean.norm.momentum == 0.1 and not mean.norm.training
    found = probe.barrier(net, other, (x, label), n=3, calibrate=(x, label))
    assert np.isfinite(found.loss).all()


def test_strengths_are_weighted_degrees():
    """Checked against networkx on the graph written down edge by edge."""
    import networkx as nx

    torch.manual_seed(0)
    net = mlp(3, 5, 4, 2)
    graph, start, widths = nx.DiGraph(), 0, (3, 5, 4, 2)
    for layer, linear in enumerate(net[::2]):
        after = start + widths[layer]
        for j, i in np.ndindex(*linear.weight.shape):
            graph.add_edge(start + int(i), after + int(j), weight=float(linear.weight[j, i]))
        start = after
    expected = [graph.in_degree(v, weight="weight") + graph.out_degree(v, weight="weight") for v in range(14)]
    found = probe.cnt_metrics(net)
    strengths = torch.cat([found[name].strength for name in ("input", "0", "2", "4")])
    assert torch.allclose(strengths, torch.tensor(expected), atol=1e-6)
    assert found["0"].fan.tolist() == [7] * 5
    spread = torch.tensor(expected[3:8]).std(correction=0)
    assert abs(found["0"].fluctuation - float(spread)) < 1e-6
    assert (found["0"].absolute >= found["0"].strength.abs() - 1e-6).all()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_strengths_of_convolutions_are_those_of_the_unrolled_matrix(stride, padding):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3, stride, padding), nn.ReLU(), nn.Conv2d(2, 3, 2))
    x = torch.zeros(1, 1, 6, 6)
    middle = net[0](x).shape[1:]

    def unrolled(layer, shape):
        eye = torch.eye(int(np.prod(shape))).view(-1, *shape)
        return (F.conv2d(eye, layer.weight, None, layer.stride, layer.padding).flatten(1)).T  # [out, in]

    first, second = unrolled(net[0], (1, 6, 6)), unrolled(net[2], tuple(middle))
    found = probe.cnt_metrics(net, example_input=x)
    assert torch.allclose(found["0"].strength.flatten(), first.sum(1) + second.sum(0), atol=1e-6)
    assert torch.allclose(found["input"].strength.flatten(), first.sum(0), atol=1e-6)
    assert torch.allclose(found["2"].strength.flatten(), second.sum(1), atol=1e-6)


def test_metrics_on_data_and_their_symmetry():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    ones = probe.cnt_metrics(net, torch.ones(4, 3))
    assert torch.allclose(ones["0"].neuron_mean, net[0].weight.sum(1) + net[0].bias, atol=1e-6)
    assert torch.allclose(ones["0"].active_mean, ones["0"].neuron_mean) and (ones["0"].neuron_var < 1e-10).all()
    net, x = made("mlp")
    spec = probe.PermutationSpec.from_module(net)
    one = probe.cnt_metrics(net, x)
    two = probe.cnt_metrics(load(net, spec.apply(spec.random(1), net.state_dict())), x)
    for name, layer in one.items():
        other = two[name]
        assert abs(layer.fluctuation - other.fluctuation) < 1e-5
        assert torch.allclose(layer.strength.sort().values, other.strength.sort().values, atol=1e-5)
        if layer.neuron_mean is not None:
            assert torch.allclose(layer.active_var.sort().values, other.active_var.sort().values, atol=1e-5)
            assert torch.equal(layer.histogram[0].sum(), other.histogram[0].sum())
    assert bool((one["0"].active_mean >= 0).all()) and not bool((one["0"].neuron_mean >= 0).all())


def test_training_makes_neurons_unequal():
    train, _ = mixture()
    grown = 0
    for seed in range(5):
        torch.manual_seed(seed)
        before = probe.cnt_metrics(mlp(32, 48, 48, 10))
        after = probe.cnt_metrics(trained(seed, (train[0][:1500], train[1][:1500]), width=48, epochs=8, layers=2))
        grown += all(after[name].fluctuation > before[name].fluctuation for name in ("0", "2"))
    assert grown >= 4


def test_strengths_refuse_what_has_none():
    for net, says in (
        (nn.Sequential(nn.Linear(2, 3), nn.LSTM(3, 3)), "LSTM at '1' has no strengths"),
        (nn.Sequential(nn.ReLU()), "no layer of Sequential tells"),
    ):
        with pytest.raises(GraphKitError, match=says) as caught:
            probe.cnt_metrics(net)
        assert "\n" not in str(caught.value)
