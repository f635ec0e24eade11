"""Small networks trained on the spot on scikit-learn's digits, as graphs of their neurons and weights."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator, numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated, offsets_of
from graphkit.data.raw import Raw, one_hot
from graphkit.data.store import Files

WIDTHS = (4, 8, 12, 16)
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
DECAYS = (0.0, 1e-4, 1e-2)
EPOCHS = (2, 5, 10, 20, 40)
ACTIVATIONS = ("relu", "tanh")
Weights = list[tuple[Tensor, Tensor]]


def _forward(layers: Weights, x: Tensor, activation: str) -> Tensor:
    for i, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        if i + 1 < len(layers):
            x = torch.relu(x) if activation == "relu" else torch.tanh(x)
    return x


def _train(layers: Weights, x: Tensor, y: Tensor, recipe: dict, rng: torch.Generator) -> None:
    """Fit in place with Adam on shuffled batches of 128."""
    flat = [part.requires_grad_() for layer in layers for part in layer]
    optimizer = torch.optim.Adam(flat, lr=recipe["lr"], weight_decay=recipe["weight_decay"])
    for _ in range(recipe["epochs"]):
        for rows in torch.randperm(len(x), generator=rng).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(_forward(layers, x[rows], recipe["activation"]), y[rows]).backward()
            optimizer.step()


def _initial(sizes: list[int], rng: torch.Generator) -> Weights:
    made = []
    for before, after in itertools.pairwise(sizes):
        bound = before**-0.5
        weight, bias = torch.empty(after, before), torch.empty(after)
        for part in (weight, bias):
            part.uniform_(-bound, bound, generator=rng)
        made.append((weight, bias))
    return made


def _recipe(rng: np.random.Generator) -> dict:
    depth = int(rng.integers(1, 3))
    return {
        "sizes": [64, *(int(width) for width in rng.choice(WIDTHS, depth)), 10],
        "activation": ACTIVATIONS[int(rng.integers(2))],
        "lr": float(rng.choice(RATES)),
        "weight_decay": float(rng.choice(DECAYS)),
        "epochs": int(rng.choice(EPOCHS)),
    }


def _edges(sizes: list[int], layers: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Return source, destination and weight of all connections, sorted by destination."""
    src, dst, start = [], [], 0
    for before, after in itertools.pairwise(sizes):
        src.append(torch.arange(before).repeat(after) + start)
        dst.append(torch.arange(after).repeat_interleave(before) + start + before)
        start += before
    return torch.cat(src), torch.cat(dst), torch.cat([weight.detach().reshape(-1) for weight, _ in layers])


def _net(seed: int, i: int, x: Tensor, y: Tensor, cut: int) -> tuple[Tensor, Tensor, Tensor, float, dict]:
    """Train network ``i`` on the first ``cut`` rows; return its neurons, connections, weights, accuracy and recipe."""
    recipe = _recipe(numpy_generator(seed, "digits-zoo", i))
    rng = generator(seed, "digits-zoo", "net", i)
    layers, sizes = _initial(recipe["sizes"], rng), recipe["sizes"]
    _train(layers, x[:cut], y[:cut], recipe, rng)
    with torch.no_grad():
        hit = _forward(layers, x[cut:], recipe["activation"]).argmax(1) == y[cut:]
    src, dst, weight = _edges(sizes, layers)
    place = torch.tensor([0, *range(1, len(sizes) - 1), 3]).repeat_interleave(torch.tensor(sizes))
    bias = torch.cat([torch.zeros(sizes[0]), *(bias.detach() for _, bias in layers)])
    kind = torch.full((len(place),), ACTIVATIONS.index(recipe["activation"]))
    rows = torch.cat([bias[:, None], one_hot(place, 4), one_hot(kind, 2)], dim=1)
    return rows, torch.stack([src, dst]), weight, float(hit.float().mean()), recipe


@register(
    "digits-zoo",
    kind="reader",
    level="graph",
    title="Graph Metanetworks for Processing Diverse Neural Architectures",
    arxiv="2312.04501",
    keep="made",
)
def read_digits_zoo(files: Files | None = None, *, graph_seed: int = 0, num_nets: int = 40) -> Raw:
    """Train multilayer perceptrons on scikit-learn's digits, each by a recipe drawn at random; predict their accuracy.

    A network has 64 inputs, one or two hidden layers of 4 to 16 neurons and 10 outputs. Its graph has a node for each
    neuron and an edge for each weight, from input to output.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
        Of recipes, first weights and batches.
    num_nets : int

    Returns
    -------
    Raw
        ``feat`` float32 ``[N, 7]``: the bias (0 of inputs), one-hot layer (first, hidden 1, hidden 2, last) and one-hot
        activation of the network; edge ``feat`` ``[E, 1]`` and ``weight``: the weight; ``label`` float32 ``[B, 1]``:
        accuracy on the 540 digits that no network was trained on; graph fields ``epochs`` and ``lr``.

    Raises
    ------
    GraphKitError
        If ``num_nets`` is not positive.

    References
    ----------
    Such zoos, of larger networks: Unterthiner et al., "Predicting Neural Network Accuracy from Weights",
    arXiv:2002.11448. Networks as graphs: arXiv:2312.04501.
    """
    from sklearn.datasets import load_digits

    if num_nets < 1:
        raise GraphKitError(f"num_nets={num_nets}; expected at least one")
    held = load_digits()
    order = numpy_generator(0, "digits-zoo", "split").permutation(len(held.target))
    x = torch.from_numpy(held.data[order] / 16.0).float()
    y = torch.from_numpy(held.target[order].astype(np.int64))
    cut = round(0.7 * len(y))
    nets = [_net(graph_seed, i, x, y, cut) for i in range(num_nets)]
    nodes, ends, weights, labels, recipes = zip(*nets, strict=True)
    counts, edges = [len(rows) for rows in nodes], [len(rows) for rows in weights]
    flat, joined = torch.cat(weights), torch.cat(ends, dim=1)
    facts = {
        "label": torch.tensor(labels).unsqueeze(1),
        "epochs": torch.tensor([recipe["epochs"] for recipe in recipes]),
        "lr": torch.tensor([recipe["lr"] for recipe in recipes]),
    }
    collated = Collated(
        offsets_of(torch.tensor(counts)),
        offsets_of(torch.tensor(edges)),
        joined[0],
        joined[1],
        {"feat": torch.cat(nodes)},
        {"feat": flat.unsqueeze(1), "weight": flat},
        facts,
    )
    return Raw(collated, {}, {"target": ["accuracy"]}, {}, undirected=False)
