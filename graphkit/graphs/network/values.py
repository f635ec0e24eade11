"""What the tracer knows of a tensor: along which axis its neurons lie, and which neuron each position is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.graphs.network.records import Use, Wiring


@dataclass
class Neurons:
    """A tensor whose positions along ``axis`` are neurons; ``axis`` is None where all of it is one neuron.

    Parameters
    ----------
    axis : int or None
    owner : ndarray
        int64, the neuron of each position; a flattened map repeats its channel.
    """

    axis: int | None
    owner: np.ndarray


@dataclass
class Raw:
    """A tensor of inputs that no layer has read yet; who reads it first says along which axis its neurons lie."""

    made: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass
class Learned:
    """A parameter, or entries of one: ``index`` holds their places in the flat parameter."""

    name: str
    index: Tensor
    shape: tuple[int, ...]


#: None stands for tensors that hold no neurons, such as constants; lists for tuples of tensors.
Value = Neurons | Raw | Learned | list | None


def owners(wiring: Wiring, value: Value, axis: int, size: int, where: str) -> np.ndarray:
    """Return the neuron of each of ``size`` positions along ``axis``, making input neurons where they are missing.

    Raises
    ------
    GraphKitError
        If neurons lie along another axis, or there are none.
    """
    if isinstance(value, Raw):
        if axis not in value.made:
            value.made[axis] = wiring.add(size, "input", ordered=True)
            wiring.fixed.append(value.made[axis])
        return value.made[axis]
    if isinstance(value, Neurons):
        if value.axis is None:
            return np.full(size, value.owner[0])
        if value.axis == axis:
            return value.owner
        raise GraphKitError(f"{where} reads axis {axis}, but its input's neurons lie along axis {value.axis}")
    raise GraphKitError(f"{where} reads a tensor that no input or layer made, so its neurons are unknown")


def ids_tensor(value: Neurons, shape: torch.Size) -> Tensor:
    """Return the neuron of each entry of a tensor of this shape, int64."""
    owner = torch.from_numpy(np.ascontiguousarray(value.owner))
    if value.axis is None:
        return owner[0].expand(shape)
    return owner.view(*(-1 if d == value.axis else 1 for d in range(len(shape)))).expand(shape)


def from_ids(ids: Tensor, where: str) -> Neurons:
    """Find the axis along which the neurons of ``ids`` lie.

    Raises
    ------
    GraphKitError
        If they lie along more than one.

    >>> from_ids(torch.tensor([[0, 1], [0, 1]]), "view").axis
    1
    """
    varying = [d for d in range(ids.dim()) if not bool((ids == ids.narrow(d, 0, 1)).all())]
    if len(varying) > 1:
        raise GraphKitError(
            f"{where} spreads neurons over the axes {varying} of its result; a parameter graph needs them along one"
        )
    if not varying:
        return Neurons(None, ids.reshape(-1)[:1].numpy().copy())
    row = ids
    for d in reversed(range(ids.dim())):
        if d != varying[0]:
            row = row.select(d, 0)
    return Neurons(varying[0], row.contiguous().numpy().copy())


def rank_within(owner: np.ndarray) -> np.ndarray:
    """Return how many earlier positions have the same owner, int64.

    >>> rank_within(np.array([4, 4, 7, 4])).tolist()
    [0, 1, 0, 2]
    """
    order = np.argsort(owner, kind="stable")
    ordered = owner[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]] if len(owner) else np.empty(0, dtype=bool)
    start = np.maximum.accumulate(np.where(first, np.arange(len(owner)), 0))
    rank = np.empty(len(owner), dtype=np.int64)
    rank[order] = np.arange(len(owner)) - start
    return rank


def places(rank: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Return coordinates ``[n, 3]`` of numbers whose owner has several, and their extent; -1 where each has one."""
    coord = np.full((len(rank), 3), -1, dtype=np.int64)
    size = int(rank.max()) + 1 if len(rank) else 1
    if size > 1:
        coord[:, 0] = rank
    return coord, (size, 1, 1)


def per_neuron(name: str, shape: tuple[int, ...], kind: str, owner: np.ndarray, axis: int = 0) -> Use:
    """Return the use of a parameter whose axis ``axis`` lies along neurons, such as a bias."""
    view = [1] * len(shape)
    view[axis] = shape[axis]
    dst = np.broadcast_to(owner.reshape(view), shape).reshape(-1)
    coord, sizes = places(rank_within(dst))
    axes = tuple(owner if d == axis else None for d in range(len(shape)))
    return Use(name, tuple(shape), np.full(len(dst), kind), dst, None, coord, axes, sizes)


def attach(wiring: Wiring, learned: Learned, target: Neurons, dims: int, kind: str, where: str) -> None:
    """Record a parameter that is added to, multiplied with or joined to neurons.

    Raises
    ------
    GraphKitError
        If it has no axis along the neurons.
    """
    axis = None if target.axis is None else target.axis - dims + learned.index.dim()
    if axis is None or axis < 0 or learned.index.shape[axis] != len(target.owner):
        raise GraphKitError(
            f"the parameter {learned.name!r} of shape {list(learned.shape)} acts on all neurons of {where} at once; "
            "expected one number for each neuron"
        )
    flat = learned.index.movedim(axis, -1).reshape(-1, len(target.owner))
    flat, position = torch.unique(flat, return_inverse=False), flat
    neuron = np.empty(int(np.prod(learned.shape)), dtype=np.int64)
    neuron[position.numpy()] = target.owner
    if len(flat) != len(neuron):
        raise GraphKitError(f"{where} uses a part of the parameter {learned.name!r}; expected all of it in one place")
    coord, sizes = places(rank_within(neuron))
    kind = "grid" if sizes[0] > 1 and kind == "shift" else kind
    kept = [d for d, size in enumerate(learned.shape) if size == len(target.owner)]
    axes = tuple(
        target.owner if kept and d == kept[-1] and sizes[0] * len(target.owner) == len(neuron) else None
        for d in range(len(learned.shape))
    )
    wiring.uses.append(Use(learned.name, learned.shape, np.full(len(neuron), kind), neuron, None, coord, axes, sizes))
