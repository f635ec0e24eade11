"""Loss and accuracy along the straight line between two networks, and how high the ridge between them is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from graphkit.core.errors import GraphKitError

#: Inputs and labels, or batches of them.
Data = tuple[Tensor, Tensor] | Iterable[tuple[Tensor, Tensor]]
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Barrier:
    """What a network loses on the way from A to B.

    Parameters
    ----------
    lambdas, loss, accuracy : ndarray
        float64 ``[n]``; accuracy is NaN where labels are no classes.

    Examples
    --------
    >>> found = Barrier(np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0, 2.0]), np.array([0.9, 0.5, 0.8]))
    >>> found.height, round(found.accuracy_drop, 2)
    (1.5, 0.35)
    """

    lambdas: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray

    @property
    def height(self) -> float:
        """How far the loss rises above the line between its ends, ``max_l L(l) - (1 - l) L(0) - l L(1)``."""
        return float((self.loss - (1 - self.lambdas) * self.loss[0] - self.lambdas * self.loss[-1]).max())

    @property
    def accuracy_drop(self) -> float:
        """How far the accuracy falls below the line between its ends."""
        line = (1 - self.lambdas) * self.accuracy[0] + self.lambdas * self.accuracy[-1]
        return float((line - self.accuracy).max())

    def plot(self, ax: Any = None, label: str = "", what: str = "loss") -> Any:
        """Draw ``loss`` or ``accuracy`` over the way; return the axes."""
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(5, 3))[1] if ax is None else ax
        ax.plot(self.lambdas, getattr(self, what), marker="o", markersize=3, label=label or None)
        ax.set_xlabel("from A to B")
        ax.set_ylabel(what)
        if label:
            ax.legend(frameon=False)
        return ax


def _batches(data: Data, size: int = 1024) -> list[tuple[Tensor, Tensor]]:
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor):
        x, y = data
        if len(x) != len(y) or not len(x):
            raise GraphKitError(f"got {len(x)} inputs and {len(y)} labels; expected as many of each, at least one")
        return list(zip(x.split(size), y.split(size), strict=True))
    made = list(data)
    if not made:
        raise GraphKitError("data hold no batch; expected (inputs, labels) or batches of them")
    return made


def measure(module: nn.Module, data: Data, loss: Loss = F.cross_entropy) -> tuple[float, float]:
    """Return the mean loss and the accuracy of a network (NaN where labels are no classes), in eval mode.

    Examples
    --------
    >>> net = nn.Linear(2, 2)
    >>> 0 <= measure(net, (torch.randn(8, 2), torch.zeros(8, dtype=torch.int64)))[1] <= 1
    True
    """
    total, right, count = 0.0, 0.0, 0
    mode = module.training
    module.eval()
    with torch.no_grad():
        for x, y in _batches(data):
            out = module(x)
            total += float(loss(out, y).double()) * len(y)
            right += float((out.argmax(-1) == y).sum()) if not y.is_floating_point() else float("nan")
            count += len(y)
    module.train(mode)
    return total / count, right / count


def recalibrate(module: nn.Module, data: Data) -> None:
    """Estimate the running means and variances of batch norms anew, in place; nothing happens without batch norms.

    Examples
    --------
    >>> recalibrate(nn.BatchNorm1d(2), (torch.randn(8, 2), torch.zeros(8)))
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    if not norms:
        return
    modes = {part: part.training for part in module.modules()}
    kept = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
    with torch.no_grad():
        for x, _ in _batches(data):
            module(x)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    for part, mode in modes.items():
        part.training = mode


def between(a: nn.Module, b: nn.Module, where: float, layers: Sequence[str] | None = None) -> nn.Module:
    """Return the network ``(1 - where) A + where B``, or with only some layers moved and the others as A's.

    Parameters
    ----------
    a, b : nn.Module
    where : float
    layers : sequence of str, optional
        Beginnings of parameters' names.

    Raises
    ------
    GraphKitError
        If the two differ in shape, or no parameter has such a name.

    Examples
    --------
    >>> between(nn.Linear(1, 1), nn.Linear(1, 1), 0.5).weight.shape
    torch.Size([1, 1])
    """
    one, other = a.state_dict(), b.state_dict()
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in other.items()}:
        raise GraphKitError("the two networks have parameters of other names or shapes; no line runs between them")
    chosen = set(one)
    if layers is not None:
        chosen = {name for name in one if any(name == part or name.startswith(part + ".") for part in layers)}
        if not chosen:
            raise GraphKitError(f"no parameter is of the layers {list(layers)}; names are {', '.join(list(one)[:6])}")
    made = copy.deepcopy(a)
    made.load_state_dict(
        {k: torch.lerp(v, other[k], where) if k in chosen and v.is_floating_point() else v for k, v in one.items()}
    )
    return made


def barrier(
    a: nn.Module, b: nn.Module, data: Data, n: int = 25, loss: Loss = F.cross_entropy,
    layers: Sequence[str] | None = None, calibrate: Data | None = None,
) -> Barrier:  # fmt: skip
    r"""Measure loss and accuracy along the straight line from ``a`` to ``b``.

    .. math:: \theta(\lambda) = (1 - \lambda)\,\theta_A + \lambda\,\theta_B

    Parameters
    ----------
    a, b : nn.Module
        Two networks of one architecture.
    data : (Tensor, Tensor) or iterable of (Tensor, Tensor)
        Inputs and labels, all of them, or batches.
    n : int
        Points, ends included.
    loss : callable
        Mean loss of ``(output, label)``.
    layers : sequence of str, optional
        Move only these layers, named by the beginnings of parameters' names, and keep A's others.
    calibrate : (Tensor, Tensor) or iterable, optional
        Training data on which batch norms are estimated anew at each point; statistics are interpolated without.

    Returns
    -------
    Barrier

    Raises
    ------
    GraphKitError
        If the two differ in shape, data are empty, or there are fewer than 2 points.

    Notes
    -----
    Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis", arXiv:1912.05671.

    Examples
    --------
    >>> net = nn.Linear(2, 2)
    >>> barrier(net, net, (torch.randn(8, 2), torch.zeros(8, dtype=torch.int64)), n=3).height < 1e-6
    True
    """
    if n < 2:
        raise GraphKitError(f"n={n} points; expected at least the two ends")
    batches = _batches(data)
    lambdas, found = np.linspace(0, 1, n), []
    for where in lambdas:
        module = between(a, b, float(where), layers)
        if calibrate is not None:
            recalibrate(module, calibrate)
        found.append(measure(module, batches, loss))
    losses, accuracies = (np.array(column) for column in zip(*found, strict=True))
    return Barrier(lambdas, losses, accuracies)
