"""What tracing a network leaves behind: neurons, parameters with the neurons they join, and ties between neurons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: Types of nodes, in the order of their ids.
NODE_TYPES = ("input", "hidden", "output", "bias", "scale", "shift", "grid", "head")
#: Types of edges, in the order of their ids; the last ones hold no parameter.
EDGE_TYPES = (
    "linear", "conv", "bias", "scale", "shift", "grid", "embedding", "query", "key", "value",
    "query bias", "key bias", "value bias", "residual", "gate", "head",
)  # fmt: skip
#: Edge types that are structure, with the weight 1.
STRUCTURAL = ("residual", "gate", "head")
#: Activations that a neuron may pass through, in the order of their ids.
ACTIVATIONS = ("none", "relu", "gelu", "tanh", "sigmoid", "silu", "leaky_relu", "elu", "sin", "other")


@dataclass
class Use:
    """A parameter and the neurons that each of its numbers joins.

    Parameters
    ----------
    name : str
        As in ``named_parameters()``.
    shape : tuple of int
    kind : tuple of str
        Edge type of each row of the first axis, or one for all.
    dst : ndarray
        int64 ``[numel]``, the neuron that each number acts on.
    src : ndarray or None
        int64 ``[numel]``, the neuron that it reads; None for biases and their like.
    coord : ndarray
        int64 ``[numel, 3]``, place in the kernel or grid, -1 where unused.
    axes : tuple
        For each axis the neuron of each position, int64; None for an axis of no neurons.
    sizes : tuple of int
        Extent of ``coord``; of a kernel its shape.
    """

    name: str
    shape: tuple[int, ...]
    kind: np.ndarray
    dst: np.ndarray
    src: np.ndarray | None
    coord: np.ndarray
    axes: tuple[np.ndarray | None, ...]
    sizes: tuple[int, int, int] = (1, 1, 1)


@dataclass
class Wiring:
    """A network as neurons, uses of parameters, unit edges and ties.

    Parameters
    ----------
    ntype, layer, order, activation : list of ndarray
        One part for each layer of neurons; ``order`` is the place among inputs or outputs, -1 inside.
    uses : list of Use
    buffers : dict of str to tuple
        Buffers whose axes lie along neurons, such as running means.
    links : list of (ndarray, ndarray, str)
        Unit edges: sources, destinations, edge type.
    ties : list of (ndarray, ndarray)
        Neurons that a permutation must move together.
    fixed : list of ndarray
        Neurons that no permutation may move.
    """

    ntype: list[np.ndarray] = field(default_factory=list)
    layer: list[np.ndarray] = field(default_factory=list)
    order: list[np.ndarray] = field(default_factory=list)
    activation: list[np.ndarray] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    buffers: dict[str, tuple[np.ndarray | None, ...]] = field(default_factory=dict)
    links: list[tuple[np.ndarray, np.ndarray, str]] = field(default_factory=list)
    ties: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    fixed: list[np.ndarray] = field(default_factory=list)
    num_nodes: int = 0

    def add(self, size: int, kind: str, ordered: bool = False, layer: int | None = None) -> np.ndarray:
        """Add nodes of one layer (a new one unless given) and return their ids.

        >>> Wiring().add(3, "hidden").tolist()
        [0, 1, 2]
        """
        ids = np.arange(self.num_nodes, self.num_nodes + size)
        self.num_nodes += size
        self.ntype.append(np.full(size, NODE_TYPES.index(kind)))
        self.layer.append(np.full(size, self.num_layers if layer is None else layer))
        self.order.append(np.arange(size) if ordered else np.full(size, -1))
        self.activation.append(np.zeros(size, dtype=np.int64))
        return ids

    @property
    def num_layers(self) -> int:
        """Layers of neurons so far."""
        return 1 + max((int(part.max()) for part in self.layer if len(part)), default=-1)

    def column(self, name: str) -> np.ndarray:
        """Return ``ntype``, ``layer``, ``order`` or ``activation`` of all nodes, int64 ``[N]``."""
        parts = getattr(self, name)
        joined = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        setattr(self, name, [joined])
        return joined
