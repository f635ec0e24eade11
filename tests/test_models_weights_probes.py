"""Probe features: the encoder runs the networks that it reads, and sees what they compute beside their weights."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.graphs.network import layout_of
from graphkit.models import build
from graphkit.models.weights.probes import Probes
from graphkit.probe.rebasin import load
from graphkit.sampling import full_batch

from .test_models_weights import batch_of, permuted, sines
from .test_probe import mlp


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


def waves(*sizes):
    parts = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), Sine())]
    return nn.Sequential(*parts[:-1])


def encoder(spec, name="neural-graphs", **arguments):
    torch.manual_seed(0)
    return build(name, spec, num_probes=5, **arguments).eval()


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU])
def test_probes_say_what_each_neuron_of_each_network_says(act):
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(3, 7), act(), nn.Linear(7, 4), act(), nn.Linear(4, 2)), waves(3, 6, 2)]
    batch, _ = batch_of(*nets)
    probes = Probes(3, 5, 4)
    said, x = probes.answers(batch), probes.inputs.T
    place = 0
    with torch.no_grad():
        for net in nets:
            layers = [x, *(net[: k + 1](x) for k in range(1, len(net) - 1, 2)), net(x)]
            for layer in layers:
                assert torch.allclose(said[place : place + layer.shape[1]], layer.T, atol=1e-6)
                place += layer.shape[1]
    assert place == len(said)


def test_probes_are_learned():
    batch, _ = batch_of(mlp(3, 7, 2))
    probes = Probes(3, 5, 4)
    probes(batch).square()[:, 0].sum().backward()
    assert probes.inputs.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["neural-graphs", "neural-graphs-t"])
def test_probed_networks_are_told_apart_whatever_the_order_of_their_neurons(name):
    torch.manual_seed(0)
    net = mlp(4, 12, 9, 3)
    batch, spec = batch_of(net, permuted(net), mlp(4, 12, 9, 3))
    for arguments in ({}, {"read_weights": False}):
        said = encoder(spec, name, num_inputs=4, **arguments)(batch).pred
        assert (said[0] - said[1]).abs().max() < 1e-5 < (said[0] - said[2]).abs().max()
        batch.feat, batch.edge_feat = batch.feat.double(), batch.edge_feat.double()
        said = encoder(spec, name, num_inputs=4, **arguments).double()(batch).pred
        assert (said[0] - said[1]).abs().max() < 1e-12
        batch.feat, batch.edge_feat = batch.feat.float(), batch.edge_feat.float()


def test_without_weights_only_the_function_counts():
    """A bias and the same plus a full turn are two weights and one function of sines."""
    torch.manual_seed(0)
    net = waves(2, 6, 1)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    state["0.bias"] += 2 * torch.pi
    batch, spec = batch_of(net, load(net, state), waves(2, 6, 1))
    batch.feat, batch.edge_feat = batch.feat.double(), batch.edge_feat.double()
    said = encoder(spec, num_inputs=2, read_weights=False).double()(batch).pred
    assert (said[0] - said[1]).abs().max() < 1e-5 < 1e-3 < (said[0] - said[2]).abs().max()
    said = encoder(spec, num_inputs=2).double()(batch).pred
    assert (said[0] - said[1]).abs().max() > 1e-3


def test_what_probes_cannot_run_is_said():
    convs = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    normed = nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    bare = gk.graphs.graph([0], [1], 2, {"feat": torch.ones(2, 4)}, {"feat": torch.ones(1, 1)})
    for graph, says in (
        (gk.graphs.from_module(convs, torch.zeros(1, 1, 8, 8), form="kernels"), "weights of type 'conv'"),
        (gk.graphs.from_module(normed, form="kernels"), "holds norms"),
        (gk.graphs.from_module(nn.Sequential(nn.Linear(2, 4), nn.ELU(), nn.Linear(4, 1)), form="kernels"), "'elu'"),
        (gk.graphs.from_module(mlp(4, 3, 2), form="kernels"), "a network of 4 inputs; the probes have 2"),
        (bare, "missing: ntype, layer, order, activation, etype"),
    ):
        with pytest.raises(GraphKitError, match=says) as caught:
            Probes(2, 3, 4)(full_batch(graph))
        assert "\n" not in str(caught.value)
    with pytest.raises(GraphKitError, match="say how many numbers one has"):
        encoder(batch_of(mlp(4, 3, 2))[1])


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "least"), [({}, 0.15), ({"num_probes": 16, "num_inputs": 1}, 0.9)])
def test_probes_tell_what_a_sine_network_computes(arguments, least):
    """Amplitude and frequency from the weights of 1 200 sine networks, R2 on 200 held-out ones."""
    flat, target = sines(1200)
    target = (target - target[:800].mean(0)) / target[:800].std(0)
    layout = layout_of(waves(1, 16, 16, 1), form="kernels")
    graphs = [layout.graph(row) for row in flat]
    splits = {"train": torch.arange(800), "val": torch.arange(800, 1000), "test": torch.arange(1000, 1200)}
    data = gk.Dataset.from_graphs(graphs, labels=target, splits=splits)
    run = gk.fit("neural-graphs", data, epochs=30, lr=2e-3, batch_size=32, seed=0, progress=False, **arguments)
    left = (run.predict(graphs=splits["test"]) - target[1000:]).square().mean(0)
    r2 = 1 - left / target[1000:].var(0, correction=0)
    print(arguments, "R2", r2.tolist())
    assert (r2 >= least).all()
