"""Networks of several architectures trained on the spot on scikit-learn's digits, as graphs of their weights."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator, numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated, offsets_of
from graphkit.data.raw import Raw
from graphkit.data.store import Files
from graphkit.graphs.network import EDGE_TYPES, Layout, layout_of

#: Hidden widths or channels to choose from, and how often a family is drawn.
FAMILIES: dict[str, tuple[float, tuple[tuple[int, ...], ...]]] = {
    "mlp": (0.4, ((8,), (16,), (12, 8))),
    "residual": (0.2, ((12,),)),
    "cnn": (0.4, ((4, 8), (8, 8))),
}
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
LABELS = ("accuracy", "ignored")
NOISE = (0.0, 0.0, 0.2, 0.4, 0.6)
BATCH = 64


class Residual(nn.Module):
    """``x + W act(norm(x))``, one block of a residual network.

    >>> Residual(4, nn.ReLU)(torch.ones(2, 4)).shape
    torch.Size([2, 4])
    """

    def __init__(self, width: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.norm, self.inner, self.act, self.outer = (
            nn.LayerNorm(width), nn.Linear(width, width), activation(), nn.Linear(width, width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, width]``."""
        return x + self.outer(self.act(self.inner(self.norm(x))))


def architecture(family: str, widths: tuple[int, ...], activation: str) -> nn.Module:
    """Return an untrained network for digits ``[B, 64]``, or ``[B, 1, 8, 8]`` for the family ``cnn``.

    Parameters
    ----------
    family : str
        ``mlp``, ``residual`` (blocks with layer norm) or ``cnn`` (two convolutions of stride 2).
    widths : tuple of int
    activation : str
        ``relu`` or ``tanh``.

    Examples
    --------
    >>> architecture("cnn", (4, 8), "relu")(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    act = ACTIVATIONS[activation]
    if family == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, widths[0], 3, stride=2, padding=1), act(),
            nn.Conv2d(widths[0], widths[1], 3, stride=2, padding=1), act(), nn.Flatten(), nn.Linear(4 * widths[1], 10),
        )  # fmt: skip
    if family == "residual":
        return nn.Sequential(nn.Linear(64, widths[0]), Residual(widths[0], act), act(), nn.Linear(widths[0], 10))
    parts: list[nn.Module] = []
    for before, after in zip((64, *widths), widths, strict=False):
        parts += [nn.Linear(before, after), act()]
    return nn.Sequential(*parts, nn.Linear(widths[-1], 10))


def _recipe(rng: np.random.Generator) -> dict[str, Any]:
    """Draw one network: what it is, and how it is trained."""
    names = list(FAMILIES)
    family = names[int(rng.choice(len(names), p=[FAMILIES[name][0] for name in names]))]
    choices = FAMILIES[family][1]
    return {
        "family": family,
        "widths": choices[int(rng.integers(len(choices)))],
        "activation": ("relu", "tanh")[int(rng.integers(2))],
        "lr": float(10 ** rng.uniform(-3, -1.5)),
        "decay": float(rng.choice([0.0, 1e-2, 1e-1])),
        "steps": int(2 ** rng.uniform(5, 8)),
        "gain": float(2 ** rng.uniform(-1, 1)),
        "noise": float(rng.choice(NOISE)),
        "ignored": int(rng.integers(10)),
    }


def _digits() -> tuple[Tensor, Tensor, int]:
    """Return images ``[1797, 64]`` and labels in a fixed random order, and how many of them are for training."""
    from sklearn.datasets import load_digits

    held = load_digits()
    order = numpy_generator(0, "digits-networks", "split").permutation(len(held.target))
    x = torch.from_numpy(held.data[order] / 16.0).float()
    return x, torch.from_numpy(held.target[order].astype(np.int64)), round(0.7 * len(order))


def _allowed(recipes: list[dict], y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each network the rows it may see first, how many those are, and its (noisy) labels, ``[n, rows]``."""
    ignored = torch.tensor([r["ignored"] for r in recipes]).unsqueeze(1)
    hidden = y == ignored
    order = torch.argsort(hidden.long(), dim=1, stable=True)
    noise = torch.tensor([r["noise"] for r in recipes]).unsqueeze(1)
    other = (ignored + torch.randint(1, 10, hidden.shape, generator=rng)) % 10  # never the ignored class
    wrong = torch.rand(hidden.shape, generator=rng) < noise
    return order, (~hidden).sum(1, keepdim=True), torch.where(wrong, other, y)


def _train(net: nn.Module, recipes: list[dict], x: Tensor, y: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
    """Train all networks of one architecture side by side with Adam; return their stacked parameters.

    Recipes come with the most steps first.
    """
    torch_seed = int(torch.randint(2**31, (1,), generator=rng))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed)
        drawn = []
        for recipe in recipes:
            for part in net.modules():
                if hasattr(part, "reset_parameters"):
                    part.reset_parameters()  # type: ignore[operator]
            scale = recipe["gain"]
            drawn.append({k: p.detach() * (scale if p.dim() > 1 else 1.0) for k, p in net.named_parameters()})
    params = {k: torch.stack([one[k] for one in drawn]) for k in drawn[0]}
    first, second = ({k: torch.zeros_like(p) for k, p in params.items()} for _ in range(2))
    order, count, labels = _allowed(recipes, y, rng)
    rate, decay = (torch.tensor([r[k] for r in recipes]) for k in ("lr", "decay"))
    steps = torch.tensor([r["steps"] for r in recipes])

    def loss(weights: dict[str, Tensor], images: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(net, weights, (images,)), target)

    slope = vmap(grad(loss))
    for step in range(1, int(steps.max()) + 1):
        k = int((steps >= step).sum())  # those with most steps come first; the others are done
        rows = order[:k].gather(1, (torch.rand(k, BATCH, generator=rng) * count[:k]).long())
        grads = slope({name: p[:k] for name, p in params.items()}, x[rows], labels[:k].gather(1, rows))
        for name, p in params.items():
            mean, square = first[name][:k], second[name][:k]
            mean.lerp_(grads[name], 0.1)
            square.mul_(0.999).addcmul_(grads[name], grads[name], value=0.001)
            move = mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
            shape = (k, *[1] * (p.dim() - 1))
            p[:k] -= (move + decay[:k].view(shape) * p[:k]) * rate[:k].view(shape)
    return params


def _score(net: nn.Module, params: dict[str, Tensor], recipes: list[dict], x: Tensor, y: Tensor) -> Tensor:
    """Return each network's share of right answers on the digits of the classes that it was to know, ``[n]``."""
    with torch.no_grad():
        said = vmap(lambda weights: functional_call(net, weights, (x,)))(params).argmax(-1)
    known = y != torch.tensor([r["ignored"] for r in recipes]).unsqueeze(1)
    return ((said == y) & known).sum(1) / known.sum(1)


def _collate(parts: list[tuple[Layout, Tensor]], place: Tensor, facts: dict[str, Tensor]) -> Collated:
    """Join the graphs of all architectures and put graph i of the concatenation at ``place[i]``."""
    columns: dict[str, list[Tensor]] = {
        name: [] for name in ("src", "dst", "feat", "ntype", "order", "weights", "etype")
    }
    nodes, edges = [], []
    for layout, flat in parts:
        feat, weights = layout.rows(flat)
        n = len(flat)
        nodes += [layout.num_nodes] * n
        edges += [len(layout.src)] * n
        for name, value in (("src", layout.src), ("dst", layout.dst), ("ntype", layout.node["ntype"]),
                            ("order", layout.node["order"]), ("etype", layout.edge["etype"])):  # fmt: skip
            columns[name].append(value.repeat(n))
        columns["feat"].append(feat.flatten(0, 1))
        columns["weights"].append(weights.flatten(0, 1))
    joined = {name: torch.cat(values) for name, values in columns.items()}
    whole = Collated(
        offsets_of(torch.tensor(nodes)), offsets_of(torch.tensor(edges)), joined["src"], joined["dst"],
        {name: joined[name] for name in ("feat", "ntype", "order")},
        {"feat": joined["weights"], "etype": joined["etype"]},
    )  # fmt: skip
    made = whole.subset(torch.argsort(place))
    made.graph_fields.update(facts)
    return made


@register(
    "digits-networks",
    kind="reader",
    level="graph",
    title="Graph Metanetworks for Processing Diverse Neural Architectures",
    arxiv="2312.04501",
    keep="made",
)
def read_networks(
    files: Files | None = None,
    *,
    label: str = "accuracy",
    form: str = "kernels",
    graph_seed: int = 0,
    num_nets: int = 300,
    families: tuple[str, ...] = tuple(FAMILIES),
    name_outputs: bool = True,
) -> Raw:
    """Train perceptrons, residual networks and convolutional networks on digits, each by a recipe drawn at random.

    Each network never sees one class of digits. Recipes vary width, activation, first weights, rate, weight decay,
    number of steps and the share of wrong labels; no two networks come from one training.

    Parameters
    ----------
    files : Files, optional
        Not used.
    label : str
        ``accuracy``, on the test digits of the nine classes that a network was to know; or ``ignored``, the tenth.
    form : str
        As for :func:`graphkit.graphs.from_module`; kernels of 3 x 3 in the form ``kernels``.
    graph_seed : int
        Of recipes, first weights and batches.
    num_nets : int
    families : tuple of str
        Those to keep, of ``mlp``, ``residual`` and ``cnn``; all networks are drawn and trained nevertheless.
    name_outputs : bool
        Whether features say which output a neuron is; without, an encoder sees in outputs only their weights.

    Returns
    -------
    Raw
        Node ``feat``, ``ntype`` and ``order``, edge ``feat`` and ``etype`` as :func:`graphkit.graphs.from_module` makes
        them; ``label`` float32 ``[B, 1]`` or int64 ``[B]``; graph fields ``accuracy``, ``ignored``, ``family``,
        ``steps``, ``lr``, ``noise``.

    Raises
    ------
    GraphKitError
        If ``num_nets`` is not positive, or a label or family is unknown.

    References
    ----------
    Zoos of trained networks: Unterthiner et al., "Predicting Neural Network Accuracy from Weights", arXiv:2002.11448.
    """
    check_choice("label", label, LABELS)
    for family in families:
        check_choice("family", family, FAMILIES)
    if num_nets < 1 or not families:
        raise GraphKitError(f"num_nets={num_nets} and families={families}; expected at least one of each")
    x, y, cut = _digits()
    recipes = [_recipe(numpy_generator(graph_seed, "digits-networks", i)) for i in range(num_nets)]
    kinds = [(r["family"], r["widths"], r["activation"]) for r in recipes]
    parts, place, scores = [], [], []
    for kind in sorted(Counter(kinds)):
        if kind[0] not in families:
            continue
        mine = [i for i, other in enumerate(kinds) if other == kind]
        mine.sort(key=lambda i: -recipes[i]["steps"])
        net, some = architecture(*kind), [recipes[i] for i in mine]
        seen = x.view(-1, 1, 8, 8) if kind[0] == "cnn" else x
        params = _train(net, some, seen[:cut], y[:cut], generator(graph_seed, "digits-networks", kind))
        scores.append(_score(net, params, some, seen[cut:], y[cut:]))
        kernel = (3, 3) if form == "kernels" else None
        layout = layout_of(net, seen[:1], form, kernel, ends=(64, 10 * name_outputs))
        parts.append((layout, torch.cat([p.flatten(1) for p in params.values()], dim=1)))
        place += mine
    if not parts:
        raise GraphKitError(f"none of {num_nets} networks is of the families {families}; ask for more")
    order, kept = torch.tensor(place), sorted(place)
    facts = {"accuracy": torch.cat(scores)[torch.argsort(order)]}
    facts["ignored"] = torch.tensor([recipes[i]["ignored"] for i in kept])
    facts["family"] = torch.tensor([list(FAMILIES).index(recipes[i]["family"]) for i in kept])
    facts |= {k: torch.tensor([recipes[i][k] for i in kept]) for k in ("steps", "lr", "noise")}
    facts["label"] = facts["ignored"].clone() if label == "ignored" else facts["accuracy"].clone().unsqueeze(1)
    names = {"relation": list(EDGE_TYPES)}
    names |= {"class": [f"without {i}" for i in range(10)]} if label == "ignored" else {"target": ["accuracy"]}
    return Raw(_collate(parts, order, facts), {}, names, {}, undirected=False)
