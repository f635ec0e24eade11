"""LMC: Landscaping Linear Mode Connectivity (Singh, Adilova, Kamp, Fischer, Schoelkopf and Hofmann), 2406.16300."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from graphkit.core.errors import GraphKitError
from graphkit.probe.barrier import Data, Loss, _batches


def _chosen(a: nn.Module, b: nn.Module, layers: Sequence[str] | None) -> dict[str, Tensor]:
    """Return what leads from A to B, ``delta``, 0 for parameters of other layers."""
    one, other = dict(a.named_parameters()), dict(b.named_parameters())
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in other.items()}:
        raise GraphKitError("the two networks have parameters of other names or shapes; no line runs between them")
    made = {}
    for name, value in one.items():
        mine = layers is None or any(name == part or name.startswith(part + ".") for part in layers)
        step = other[name].detach() - value.detach()
        made[name] = step if mine else torch.zeros_like(step)
    if not any(bool(step.any()) for step in made.values()) and layers is not None:
        raise GraphKitError(f"no parameter of the layers {list(layers)} differs; names are {', '.join(list(one)[:6])}")
    return made


def _slopes(module: nn.Module, at: dict[str, Tensor], delta: dict[str, Tensor], data: Data, loss: Loss) -> Tensor:
    """Return the first and second derivative of the mean loss along ``delta``, float64 ``[2]``."""
    buffers = dict(module.named_buffers())
    total, count = torch.zeros(2, dtype=torch.float64), 0
    for x, y in _batches(data):
        way = torch.zeros((), dtype=x.dtype if x.is_floating_point() else None, requires_grad=True)
        moved = {name: value + way * delta[name] for name, value in at.items()}
        value = loss(functional_call(module, {**moved, **buffers}, (x,)), y)
        (first,) = torch.autograd.grad(value, way, create_graph=True)
        second = torch.autograd.grad(first, way)[0] if first.requires_grad else torch.zeros(())
        total += torch.stack([first.detach(), second]).double() * len(y)
        count += len(y)
    return total / count


def barrier_estimate(
    a: nn.Module, b: nn.Module, data: Data, loss: Loss = F.cross_entropy, layers: Sequence[str] | None = None
) -> float:
    r"""Estimate the height of the barrier half-way from slopes and curvatures at both ends.

    .. math:: \tfrac14 (g_A - g_B) \cdot \Delta + \tfrac1{16} \Delta^\top (H_A + H_B) \Delta

    This averages the expansions to second order at A and at B. For a quadratic loss it is exact, ``-1/8 d^T H d``,
    which is never above 0: a positive barrier is what no quadratic has. Derivatives are taken along the line alone.

    Parameters
    ----------
    a, b : nn.Module
        Two networks of one architecture.
    data : (Tensor, Tensor) or iterable of (Tensor, Tensor)
        Training data, all of them.
    loss : callable
        Mean loss of ``(output, label)``.
    layers : sequence of str, optional
        Move only these layers, named by the beginnings of parameters' names; all others stay as A's.

    Returns
    -------
    float

    Raises
    ------
    GraphKitError
        If the two differ in shape, or nothing moves in ``layers``.

    Notes
    -----
    The expansion is ours, after Singh et al., "Landscaping Linear Mode Connectivity", arXiv:2406.16300; the paper's
    constants may differ.

    Examples
    --------
    >>> net = nn.Linear(2, 2)
    >>> barrier_estimate(net, net, (torch.randn(8, 2), torch.zeros(8, dtype=torch.int64)))
    0.0
    """
    delta = _chosen(a, b, layers)
    modes = a.training
    a.eval()
    start = {name: value.detach() for name, value in a.named_parameters()}
    end = {name: value + delta[name] for name, value in start.items()}
    here, there = (_slopes(a, at, delta, data, loss) for at in (start, end))
    a.train(modes)
    return float((here[0] - there[0]) / 4 + (here[1] + there[1]) / 16)
