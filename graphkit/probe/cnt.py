"""CNT: Deep Neural Networks via Complex Network Theory: a Perspective (La Malfa et al., IJCAI 2024), 2404.11172."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from graphkit.core.errors import GraphKitError
from graphkit.graphs.network import known
from graphkit.graphs.network.trace import _symbolic, guess_input

WEIGHTED = (nn.Linear, *known.CONVS)


@dataclass(frozen=True)
class LayerMetrics:
    """What complex network theory says of one layer's neurons.

    Parameters
    ----------
    link_mean, link_var : float
        Over the layer's weights, biases left out.
    strength : Tensor
        ``s_k = sum_i W_ki + sum_j W'_jk``, weights that come in and go out, signed; in the shape of the layer's output
        without the batch.
    absolute : Tensor
        The same of the weights' absolute values, which do not cancel.
    fan : Tensor
        Number of weights behind each strength.
    neuron_mean, neuron_var, active_mean, active_var : Tensor or None
        Over the data: of what reaches a neuron, bias included, and of its activation.
    histogram : (Tensor, Tensor) or None
        Counts and edges of the activations of all neurons.
    """

    link_mean: float
    link_var: float
    strength: Tensor = field(repr=False)
    absolute: Tensor = field(repr=False)
    fan: Tensor = field(repr=False)
    neuron_mean: Tensor | None = field(default=None, repr=False)
    neuron_var: Tensor | None = field(default=None, repr=False)
    active_mean: Tensor | None = field(default=None, repr=False)
    active_var: Tensor | None = field(default=None, repr=False)
    histogram: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    @property
    def fluctuation(self) -> float:
        """Standard deviation of strengths over the layer, 0 if all neurons are as strong."""
        return float(self.strength.std(correction=0))

    @property
    def normalised(self) -> Tensor:
        """Strength per weight, comparable between layers of other widths."""
        return self.strength / self.fan.clamp(min=1)


def _without_bias(module: nn.Module, x: Tensor, change: Any) -> Tensor:
    weight, f = change(module.weight), nn.functional
    if isinstance(module, nn.Linear):
        return f.linear(x, weight)
    run = {3: f.conv1d, 4: f.conv2d, 5: f.conv3d}[module.weight.dim()]
    if module.padding_mode != "zeros":
        raise GraphKitError(
            f"a convolution pads by {module.padding_mode!r}, whose strengths are unknown; expected zeros"
        )
    return run(x, weight, None, module.stride, module.padding, module.dilation, module.groups)


class _Strengths(fx.Interpreter):
    """Sends ones through each weighted layer; gradients of the sums are what goes out of each neuron."""

    def __init__(self, module: fx.GraphModule, change: Any) -> None:
        super().__init__(module)
        self.extra_traceback, self.change = False, change
        self.leaves: dict[str, Tensor] = {}
        self.into: dict[str, Tensor] = {}
        self.total = torch.zeros(())

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Begin with ones."""
        x = super().placeholder(target, args, kwargs)
        self.leaves["input"] = torch.ones_like(x).requires_grad_()
        return self.leaves["input"]

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Cut at weighted layers; leave out activations and norms; pool by the mean."""
        module, name = self.module.get_submodule(target), str(target)
        if isinstance(module, WEIGHTED):
            sent = _without_bias(module, args[0], self.change)
            self.total = self.total + sent.sum()
            self.into[name] = _without_bias(module, torch.ones_like(args[0]), self.change).detach()
            self.leaves[name] = torch.ones_like(sent).requires_grad_()
            return self.leaves[name]
        if isinstance(module, nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d):
            kind = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}[args[0].dim() - 2]
            return kind(module.kernel_size, module.stride, module.padding, module.ceil_mode)(args[0])
        if isinstance(module, known.NORMS) or known.elementwise(type(module).__name__) is not None:
            return args[0]
        if isinstance(module, (*known.POOLS, *known.MOVE_MODULES)):
            return super().call_module(target, args, kwargs)
        raise GraphKitError(
            f"the module {type(module).__name__} at {name!r} has no strengths; known are Linear and Conv"
        )

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Leave out activations."""
        name = getattr(target, "__name__", str(target))
        return args[0] if known.elementwise(name) is not None else super().call_function(target, args, kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Leave out activations."""
        return args[0] if known.elementwise(str(target)) is not None else super().call_method(target, args, kwargs)


def _strengths(traced: fx.GraphModule, x: Tensor, change: Any) -> dict[str, Tensor]:
    """Return what comes into and goes out of each neuron of the input and of each weighted layer."""
    runner = _Strengths(traced, change)
    runner.run(x)
    names = list(runner.leaves)
    if not runner.into:
        raise GraphKitError("the network has no linear map or convolution, so its neurons have no strengths")
    sums = torch.autograd.grad(runner.total, [runner.leaves[name] for name in names], allow_unused=True)
    made = {}
    for name, out in zip(names, sums, strict=True):
        out = torch.zeros_like(runner.leaves[name]) if out is None else out
        made[name] = (out + runner.into[name] if name in runner.into else out)[0].detach()
    return made


def _heard(traced: fx.GraphModule, data: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return, for each weighted layer, what reaches its neurons and their activations, ``[n, ...]``."""
    outputs: dict[fx.Node, Any] = {}

    class _Keep(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            outputs[n] = super().run_node(n)
            return outputs[n]

    with torch.no_grad():
        _Keep(traced).run(data)
    made = {}
    for node, out in outputs.items():
        if node.op == "call_module" and isinstance(traced.get_submodule(str(node.target)), WEIGHTED):
            after = next((user for user in node.users if _is_activation(traced, user)), None)
            made[str(node.target)] = (out, out if after is None else outputs[after])
    return made


def _is_activation(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        called = type(traced.get_submodule(str(node.target))).__name__
    else:
        called = getattr(node.target, "__name__", str(node.target))
    return bool(known.elementwise(called))


def cnt_metrics(
    module: nn.Module, data: Tensor | None = None, example_input: Tensor | None = None, bins: int = 20
) -> dict[str, LayerMetrics]:
    """Describe a network by the strengths of its neurons, as a weighted graph and on data.

    A convolution counts as the unrolled matrix: each place of each map is a neuron. Norms and activations are left out
    of strengths, pooling hands its weights on by the mean, residual connections carry no weight of their own.

    Parameters
    ----------
    module : nn.Module
        Of linear maps and convolutions.
    data : Tensor, optional
        Inputs ``[n, ...]`` for the metrics on data; take training data.
    example_input : Tensor, optional
        A batch of one, for the sizes of maps; the first of ``data``, or guessed, when None.
    bins : int
        Of the histogram.

    Returns
    -------
    dict of str to LayerMetrics
        ``input`` (strengths alone) and each weighted layer by its name.

    Raises
    ------
    GraphKitError
        If it cannot be traced, or holds other layers with weights than linear maps, convolutions and norms.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> cnt_metrics(net)["0"].strength.shape
    torch.Size([3])
    """
    traced, prefix = _symbolic(module)
    x = data[:1] if example_input is None and data is not None else example_input
    x = (guess_input(module) if x is None else x[:1]).detach()
    mode = module.training
    module.eval()
    try:
        plain, absolute = (_strengths(traced, x, change) for change in (lambda w: w, torch.abs))
        fan = _strengths(traced, x, torch.ones_like)
        heard = {} if data is None else _heard(traced, data)
    finally:
        module.train(mode)
    made = {}
    for name, strength in plain.items():
        weight = None if name == "input" else traced.get_submodule(name).weight.detach()
        links = (float("nan"),) * 2 if weight is None else (float(weight.mean()), float(weight.var(correction=0)))
        found: dict[str, Any] = {}
        if name in heard:
            before, after = heard[name]
            counts, edges = torch.histogram(after.float().flatten(), bins)
            found = {
                "neuron_mean": before.mean(0), "neuron_var": before.var(0, correction=0), "active_mean": after.mean(0),
                "active_var": after.var(0, correction=0), "histogram": (counts, edges),
            }  # fmt: skip
        made[name.removeprefix(prefix)] = LayerMetrics(*links, strength, absolute[name], fan[name], **found)
    return made
