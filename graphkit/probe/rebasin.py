"""Git Re-Basin: Merging Models modulo Permutation Symmetries (Ainsworth et al., ICLR 2023), arXiv 2209.04836."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.graphs.network.trace import _symbolic
from graphkit.probe.permutations import Permutations, PermutationSpec, Slot

METHODS = ("weights", "activations")
State = Mapping[str, Tensor]


def _matrix(state: State, slot: Slot, order: Mapping[str, Mapping[int, np.ndarray]] | None = None) -> np.ndarray:
    """Return the numbers of each unit on one axis as rows ``[n, rest]``, other axes in the order given."""
    value = state[slot.name].detach().double().cpu().numpy()
    for axis, index in (order or {}).get(slot.name, {}).items():
        if axis != slot.axis:
            value = np.take(value, index, axis)
    value = np.moveaxis(value, slot.axis, 0)[slot.table]  # [n, spread, ...]
    return value.reshape(len(slot.table), -1)


def agreement(spec: PermutationSpec, a: State, b: State, permutations: Permutations) -> float:
    """Return the inner product of all weights of A and of B with its units moved, ``sum <A_w, (pi B)_w>``.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    >>> spec, state = PermutationSpec.from_module(net), net.state_dict()
    >>> agreement(spec, state, state, spec.identity()) > 0
    True
    """
    moved = spec.apply(permutations, b)
    names = {slot.name for slots in spec.slots.values() for slot in slots}
    return float(sum((a[name].detach().double() * moved[name].detach().double()).sum() for name in names))


def _assign(gain: np.ndarray) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(gain, maximize=True)[1]


def weight_matching(
    spec: PermutationSpec, a: State, b: State, max_iter: int = 100, seed: int = 0, start: Permutations | None = None
) -> tuple[Permutations, list[float]]:
    r"""Find permutations of B's units that bring its weights closest to A's.

    .. math:: \max_\pi \sum_w \langle A_w, (\pi B)_w \rangle

    Coordinate ascent: one group at a time, in random order, is solved as a linear assignment with all others held,
    until no group gains in a sweep.

    Parameters
    ----------
    spec : PermutationSpec
    a, b : mapping of str to Tensor
        Parameters by name.
    max_iter : int
        Sweeps.
    seed : int
        Of the order of groups.
    start : dict, optional
        Where to begin; the identity when None.

    Returns
    -------
    permutations : dict of str to ndarray
    objective : list of float
        Its value at first and after each sweep, never falling.

    Raises
    ------
    GraphKitError
        If the two have other shapes.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> spec = PermutationSpec.from_module(net)
    >>> shuffled = spec.apply({"P0": np.array([2, 0, 1])}, net.state_dict())
    >>> weight_matching(spec, net.state_dict(), shuffled)[0]["P0"].tolist()
    [1, 2, 0]
    """
    _check(spec, a, b)
    rng, made = numpy_generator(seed, "rebasin"), dict(start or spec.identity())
    history = [agreement(spec, a, b, made)]
    mine = {name: [_matrix(a, slot) for slot in slots] for name, slots in spec.slots.items()}
    names = list(spec.sizes)
    for _ in range(max_iter):
        best = history[-1]
        for name in rng.permutation(names) if names else ():
            order = spec.order(made)
            slots = spec.slots[name]
            gain = sum(x @ _matrix(b, slot, order).T for x, slot in zip(mine[name], slots, strict=True))
            tried = {**made, name: _assign(np.asarray(gain))}
            value = agreement(spec, a, b, tried)
            if value > best + 1e-12 * max(1.0, abs(best)):
                made, best = tried, value
        history.append(best)
        if best <= history[-2]:
            break
    return made, history


def _check(spec: PermutationSpec, a: State, b: State) -> None:
    for slots in spec.slots.values():
        for slot in slots:
            if slot.name not in a or slot.name not in b or a[slot.name].shape != b[slot.name].shape:
                shapes = [list(x[slot.name].shape) if slot.name in x else None for x in (a, b)]
                raise GraphKitError(
                    f"{slot.name!r} has the shapes {shapes[0]} and {shapes[1]}; permutations align networks of equal "
                    "widths (optimal transport aligns others)"
                )


class _Listener(fx.Interpreter):
    """Runs a network and keeps what some operators give."""

    def __init__(self, module: fx.GraphModule, wanted: set[str]) -> None:
        super().__init__(module)
        self.wanted, self.heard = wanted, {}  # type: ignore[var-annotated]

    def run_node(self, n: fx.Node) -> Any:
        """Run one operator."""
        out = super().run_node(n)
        if n.name in self.wanted:
            self.heard[n.name] = out
        return out


def _activations(spec: PermutationSpec, module: nn.Module, x: Tensor) -> dict[str, list[np.ndarray]]:
    """Return for each group the activations of its units at each operator that holds them, ``[n, samples]``."""
    listener = _Listener(_symbolic(module)[0], {name for watched in spec.watched.values() for name, _, _ in watched})
    with torch.no_grad():
        listener.run(x)
    made: dict[str, list[np.ndarray]] = {}
    for group, watched in spec.watched.items():
        made[group] = []
        for name, axis, unit in watched:
            rows = listener.heard[name].detach().double().movedim(axis, 0).flatten(1).cpu().numpy()
            order = np.argsort(unit, kind="stable")
            made[group].append(rows[order].reshape(spec.sizes[group], -1))
    return made


def activation_matching(
    spec: PermutationSpec, a: nn.Module, b: nn.Module, data: Tensor, correlate: bool = True
) -> Permutations:
    r"""Match units by what they say of the same inputs: ``max_P sum_i <z^A_i, z^B_{P(i)}>`` for each group on its own.

    Parameters
    ----------
    spec : PermutationSpec
    a, b : nn.Module
        Two networks of one architecture.
    data : Tensor
        Inputs, taken from the training data.
    correlate : bool
        Match by Pearson correlation (dead units count 0), not by inner product.

    Returns
    -------
    dict of str to ndarray

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> spec = PermutationSpec.from_module(net)
    >>> activation_matching(spec, net, net, torch.randn(50, 2))["P0"].shape
    (3,)
    """
    mine, theirs = (_activations(spec, module, data) for module in (a, b))
    made = {}
    for name, size in spec.sizes.items():
        gain = np.zeros((size, size))
        for x, y in zip(mine[name], theirs[name], strict=True):
            if correlate:
                x, y = (_unit(rows) for rows in (x, y))
            gain += x @ y.T
        made[name] = _assign(gain)
    return made


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(1, keepdims=True)
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, size, out=np.zeros_like(rows), where=size > 1e-12)


@dataclass(frozen=True)
class Rebased:
    """A network with its units moved.

    Parameters
    ----------
    module : nn.Module
        Computes what it did before, its weights close to the other network's.
    permutations : dict of str to ndarray
    objective : list of float
        Agreement of the weights after each sweep (weight matching).
    spec : PermutationSpec
    """

    module: nn.Module
    permutations: Permutations
    objective: list[float] = field(default_factory=list)
    spec: PermutationSpec | None = field(default=None, repr=False)

    @property
    def moved(self) -> int:
        """Units that changed their place."""
        return sum(int((p != np.arange(len(p))).sum()) for p in self.permutations.values())


def load(module: nn.Module, state: State) -> nn.Module:
    """Return a copy of a network with another state.

    >>> load(nn.Linear(1, 1), {"weight": torch.ones(1, 1), "bias": torch.zeros(1)}).weight.item()
    1.0
    """
    made = copy.deepcopy(module)
    made.load_state_dict(state)
    return made


def rebasin(
    a: nn.Module, b: nn.Module, method: str = "weights", data: Tensor | None = None, example_input: Any = None,
    seed: int = 0,
) -> Rebased:  # fmt: skip
    """Move the hidden units of ``b`` so that it lies in the basin of ``a``; its function stays the same.

    Parameters
    ----------
    a, b : nn.Module
        Two networks of one architecture.
    method : str
        ``weights`` (:func:`weight_matching`) or ``activations`` (:func:`activation_matching`).
    data : Tensor, optional
        Inputs for ``activations``.
    example_input : Tensor, optional
        For tracing; guessed when None.
    seed : int

    Returns
    -------
    Rebased

    Raises
    ------
    GraphKitError
        If a network cannot be traced, the two differ in shape, or data are missing.

    Notes
    -----
    Ainsworth, Hayase and Srinivasa, "Git Re-Basin: Merging Models modulo Permutation Symmetries", arXiv:2209.04836.

    Examples
    --------
    >>> one, two = (nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)) for _ in range(2))
    >>> x = torch.randn(5, 2)
    >>> bool(torch.allclose(rebasin(one, two).module(x), two(x), atol=1e-5))
    True
    """
    check_choice("method", method, METHODS)
    spec = PermutationSpec.from_module(a, data[:1] if example_input is None and data is not None else example_input)
    history: list[float] = []
    _check(spec, a.state_dict(), b.state_dict())
    if method == "weights":
        found, history = weight_matching(spec, a.state_dict(), b.state_dict(), seed=seed)
    else:
        if data is None:
            raise GraphKitError("matching activations needs data: inputs that both networks read, such as x[:500]")
        found = activation_matching(spec, a, b, data)
    return Rebased(load(b, spec.apply(found, b.state_dict())), found, history, spec)


def mean_state(modules: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return the mean of all parameters and buffers; whole numbers, such as counts of batches, are the first's.

    >>> mean_state([nn.Linear(1, 1), nn.Linear(1, 1)])["weight"].shape
    torch.Size([1, 1])
    """
    states = [module.state_dict() for module in modules]
    return {
        name: torch.stack([s[name] for s in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }


def merge(modules: Sequence[nn.Module], max_iter: int = 20, example_input: Any = None, seed: int = 0) -> nn.Module:
    """Merge networks into one: align each to the mean of the others until nothing moves, then take the mean.

    Parameters
    ----------
    modules : sequence of nn.Module
        Two or more of one architecture.
    max_iter : int
        Rounds over all of them.
    example_input : Tensor, optional
    seed : int

    Returns
    -------
    nn.Module

    Raises
    ------
    GraphKitError
        If there are fewer than two, or they differ in shape.

    Examples
    --------
    >>> nets = [nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)) for _ in range(3)]
    >>> merge(nets)(torch.ones(1, 2)).shape
    torch.Size([1, 1])
    """
    if len(modules) < 2:
        raise GraphKitError(f"got {len(modules)} networks; expected at least two to merge")
    spec, made = PermutationSpec.from_module(modules[0], example_input), list(modules)
    rng = numpy_generator(seed, "merge")
    for _ in range(max_iter):
        gained = False
        for i in rng.permutation(len(made)):
            others = mean_state([module for j, module in enumerate(made) if j != i])
            state = made[i].state_dict()
            found, history = weight_matching(spec, others, state, seed=int(rng.integers(2**31)))
            if history[-1] > history[0] + 1e-9 * max(1.0, abs(history[0])):
                made[i], gained = load(made[i], spec.apply(found, state)), True
        if not gained:
            break
    return load(modules[0], mean_state(made))
