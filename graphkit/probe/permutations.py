"""Which axes of which parameters a permutation of hidden units moves, and moving them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.graphs.network.records import Wiring
from graphkit.graphs.network.trace import Tracer, trace
from graphkit.graphs.network.values import Neurons, rank_within

#: A permutation for each group: unit i of the result is unit ``p[i]`` of what was given.
Permutations = dict[str, np.ndarray]


@dataclass(frozen=True)
class Slot:
    """One axis of one parameter, and where the units of a group stand on it.

    Parameters
    ----------
    name : str
        Of the parameter or buffer.
    axis : int
    length : int
        Positions of the axis.
    table : ndarray
        int64 ``[n, spread]``, the positions of unit i, such as all places of a flattened channel.
    """

    name: str
    axis: int
    length: int
    table: np.ndarray


@dataclass
class PermutationSpec:
    """The groups of hidden units that may change places, found by tracing a network.

    Channels that a residual connection adds belong to one group; inputs, outputs, and the units inside of attention
    and of grouped norms stay.

    Parameters
    ----------
    sizes : dict of str to int
        Units of each group.
    slots : dict of str to list of Slot
        Axes of parameters that a group moves.
    buffers : dict of str to list of Slot
        The same of buffers, such as running means.
    watched : dict of str to list of (str, int, ndarray)
        Operators whose results hold a group's units: name, axis, units of its positions.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> PermutationSpec.from_module(net).sizes
    {'P0': 3}
    """

    sizes: dict[str, int]
    slots: dict[str, list[Slot]]
    buffers: dict[str, list[Slot]] = field(default_factory=dict)
    watched: dict[str, list[tuple[str, int, np.ndarray]]] = field(default_factory=dict)

    @classmethod
    def from_module(cls, module: nn.Module, example_input: Any = None) -> PermutationSpec:
        """Trace a network and find its groups.

        Parameters
        ----------
        module : nn.Module
        example_input : Tensor or tuple of Tensor, optional
            A batch of one; guessed from the first layer when None.

        Raises
        ------
        GraphKitError
            As :func:`graphkit.graphs.from_module`.
        """
        tracer = trace(module, example_input)
        wiring = tracer.wiring
        unit, group = _groups(wiring)
        rank = rank_within(group)
        names = {g: f"P{i}" for i, g in enumerate(sorted({int(g) for g in group if g >= 0}))}
        made = cls({name: int((group == g).sum()) for g, name in names.items()}, {name: [] for name in names.values()})
        for name in names.values():
            made.buffers[name], made.watched[name] = [], []
        for use in wiring.uses:
            for axis, owner in enumerate(use.axes):
                _place(made.slots, names, use.name, axis, owner, unit, group, rank)
        for buffer, axes in wiring.buffers.items():
            for axis, owner in enumerate(axes):
                _place(made.buffers, names, buffer, axis, owner, unit, group, rank)
        made._watch(tracer, names, unit, group, rank)
        return made

    def _watch(self, tracer: Tracer, names: dict[int, str], unit: Any, group: Any, rank: Any) -> None:
        for node, value in tracer.values.items():
            if isinstance(value, Neurons) and value.axis is not None:
                units = unit[value.owner]
                mine = int(group[units[0]])
                if mine >= 0 and (group[units] == mine).all() and len(np.unique(units)) == self.sizes[names[mine]]:
                    self.watched[names[mine]].append((node.name, value.axis, rank[units]))

    def identity(self) -> Permutations:
        """Return the permutations that move nothing."""
        return {name: np.arange(size) for name, size in self.sizes.items()}

    def random(self, seed: int = 0) -> Permutations:
        """Return a random permutation of each group."""
        rng = numpy_generator(seed, "permutations")
        return {name: rng.permutation(size) for name, size in self.sizes.items()}

    def order(self, permutations: Mapping[str, np.ndarray], buffers: bool = False) -> dict[str, dict[int, np.ndarray]]:
        """Return for each parameter and axis where the numbers come from: ``{name: {axis: index [n]}}``."""
        made: dict[str, dict[int, np.ndarray]] = {}
        sources = [self.slots, self.buffers] if buffers else [self.slots]
        for slots in sources:
            for group, places in slots.items():
                for slot in places:
                    axes = made.setdefault(slot.name, {})
                    index = axes.setdefault(slot.axis, np.arange(slot.length))
                    index[slot.table] = slot.table[permutations[group]]
        return made

    def apply(self, permutations: Mapping[str, np.ndarray], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return parameters and buffers with their units moved; the function that they compute stays the same.

        Parameters
        ----------
        permutations : mapping of str to ndarray
            One of each group; unit i of the result is unit ``p[i]``.
        state : mapping of str to Tensor
            Such as ``module.state_dict()``.

        Raises
        ------
        GraphKitError
            If a permutation is missing or no permutation.
        """
        for name, size in self.sizes.items():
            given = permutations.get(name)
            if given is None or not np.array_equal(np.sort(given), np.arange(size)):
                raise GraphKitError(f"the permutation {name!r} is missing or no order of {size} units")
        made = dict(state)
        for name, axes in self.order(permutations, buffers=True).items():
            for axis, index in axes.items():
                made[name] = made[name].index_select(axis, torch.from_numpy(index).to(made[name].device))
        return made


def _groups(wiring: Wiring) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit of each neuron ``[N]`` and the group of each unit ``[U]``, -1 for units that stay.

    Neurons that are tied are one unit. Units that lie in the same layers and are read by the same axes of the same
    parameters may change places.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes = wiring.num_nodes
    pairs = [np.concatenate(side) if side else np.empty(0, dtype=np.int64) for side in zip(*wiring.ties, strict=True)]
    one, other = pairs if pairs else (np.empty(0, dtype=np.int64),) * 2
    tied = coo_array((np.ones(len(one)), (one, other)), shape=(nodes, nodes))
    count, unit = connected_components(tied, directed=False)
    columns = [np.bincount(unit[wiring.column("layer") == i], minlength=count) for i in range(wiring.num_layers)]
    stays = np.zeros(count, dtype=bool)
    stays[unit[np.concatenate([*wiring.fixed, np.empty(0, dtype=np.int64)]).astype(np.int64)]] = True
    for column in columns:
        stays |= column > 1  # two neurons of one layer are one unit, so that its inside is not free
    read = [np.bincount(unit[owner], minlength=count) for use in wiring.uses for owner in use.axes if owner is not None]
    stays |= np.sum(read, axis=0) == 0
    _, group = np.unique(np.stack([*columns, *read], axis=1), axis=0, return_inverse=True)
    group = np.where(stays, -1, group.reshape(-1))
    sizes = np.bincount(group[group >= 0], minlength=1)
    group[(group >= 0) & (sizes[group] < 2)] = -1
    # numbered as the network makes them
    first = {int(g): int(np.flatnonzero(group == g)[0]) for g in np.unique(group) if g >= 0}
    again = {g: i for i, g in enumerate(sorted(first, key=lambda g: int(np.flatnonzero(unit == first[g])[0])))}
    return unit, np.array([again.get(int(g), -1) for g in group], dtype=np.int64)


def _place(
    into: dict[str, list[Slot]], names: dict[int, str], name: str, axis: int, owner: np.ndarray | None,
    unit: np.ndarray, group: np.ndarray, rank: np.ndarray,
) -> None:  # fmt: skip
    """Add the slots of one axis to the groups whose units stand on it."""
    if owner is None:
        return
    units = unit[owner]
    for g in np.unique(group[units]):
        if g >= 0:
            where = np.flatnonzero(group[units] == g)
            where = where[np.argsort(rank[units[where]], kind="stable")]
            count = int((group == g).sum())
            if len(where) % count == 0:
                into[names[int(g)]].append(Slot(name, axis, len(owner), where.reshape(count, -1)))
