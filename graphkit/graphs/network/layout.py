"""From neurons and parameters to a graph and back: which number stands on which edge, for one network or a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.graphs.network.records import ACTIVATIONS, EDGE_TYPES, NODE_TYPES, STRUCTURAL, Use, Wiring
from graphkit.graphs.network.trace import wire

if TYPE_CHECKING:
    import dgl

FORMS = ("scalars", "kernels")
#: Columns of a node's own parameters in the form ``kernels``, and the edge types that go there.
OWN = ("bias", "scale", "shift")


@dataclass
class Layout:
    """Where each parameter of an architecture stands in its graph; made once, filled for any number of networks.

    Parameters
    ----------
    src, dst : Tensor
        int64 ``[E]``.
    node : dict of str to Tensor
        ``ntype`` (see ``NODE_TYPES``), ``layer``, ``order`` (place among inputs or outputs, -1 inside), ``activation``,
        int64 ``[N]``; in the form ``kernels`` also ``param`` ``[N, 3]``: bias, scale and shift.
    edge : dict of str to Tensor
        ``etype`` (see ``EDGE_TYPES``), ``layer`` int64 ``[E]``; ``param`` int64 ``[E, K]``, places in the flat
        parameters, -1 for none; ``coord`` ``[E, 3]``, places in a kernel (form ``scalars``).
    unit : Tensor
        float32 ``[E, K]``, 1 on edges that are structure.
    num_params : int
    ends : tuple of int
        Columns for the order of inputs and of outputs.

    Examples
    --------
    >>> layout = layout_of(nn.Linear(2, 3))
    >>> len(layout.src), layout.num_params, layout.num_nodes
    (9, 9, 6)
    """

    src: Tensor
    dst: Tensor
    node: dict[str, Tensor]
    edge: dict[str, Tensor]
    unit: Tensor
    num_params: int
    ends: tuple[int, int]
    _static: Tensor | None = field(default=None, repr=False)

    @property
    def num_nodes(self) -> int:
        """Nodes of the graph."""
        return len(self.node["ntype"])

    def static(self) -> Tensor:
        """Return what a node's features say of its place, float32 ``[N, 19 + inputs + outputs]``.

        One-hot node type, depth, one-hot order among inputs and among outputs, one-hot activation: equal for all
        neurons of a hidden layer, so that no feature names one of them.
        """
        if self._static is None:
            kind, layer, order = self.node["ntype"], self.node["layer"].float(), self.node["order"]
            columns = [F.one_hot(kind, len(NODE_TYPES)).float(), (layer / layer.max().clamp(min=1)).unsqueeze(1)]
            for name, size in zip(("input", "output"), self.ends, strict=True):
                here = torch.where(kind == NODE_TYPES.index(name), order, -1)
                columns.append((here.unsqueeze(1) == torch.arange(size)).float())
            columns.append(F.one_hot(self.node["activation"], len(ACTIVATIONS)).float())
            self._static = torch.cat(columns, dim=1)
        return self._static

    def rows(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of nodes and edges for the flat parameters of one network or several.

        Parameters
        ----------
        flat : Tensor
            ``[..., P]``, in the order of ``named_parameters()``.

        Returns
        -------
        node : Tensor
            ``[..., N, F]``; in the form ``kernels`` bias, scale and shift come first (0, 1, 0 where there is none).
        edge : Tensor
            ``[..., E, K]``, and in the form ``scalars`` three columns for the place in the kernel.

        Raises
        ------
        GraphKitError
            If there is another number of parameters.
        """
        if flat.shape[-1] != self.num_params:
            raise GraphKitError(f"got {flat.shape[-1]} parameters; expected {self.num_params} of this architecture")
        padded = torch.cat([flat, flat.new_zeros(*flat.shape[:-1], 1)], dim=-1)
        edge = padded[..., self.edge["param"]] + self.unit.to(flat.dtype)
        node = self.static().to(flat.dtype).expand(*flat.shape[:-1], -1, -1)
        if "param" in self.node:
            none = torch.tensor([0.0, 1.0, 0.0], dtype=flat.dtype) * (self.node["param"] < 0)
            node = torch.cat([padded[..., self.node["param"]] + none, node], dim=-1)
        if "coord" in self.edge:
            place = ((self.edge["coord"] + 1) / 4).to(flat.dtype).expand(*edge.shape[:-1], 3)
            edge = torch.cat([edge, place], dim=-1)
        return node, edge

    def graph(self, source: nn.Module | Tensor) -> dgl.DGLGraph:
        """Return the graph of a network, given as a module or its flat parameters ``[P]``."""
        from graphkit.graphs.build import graph

        node, edge = self.rows(flatten(source) if isinstance(source, nn.Module) else source)
        return graph(self.src, self.dst, self.num_nodes, {"feat": node, **self.node}, {"feat": edge, **self.edge})


def flatten(module: nn.Module) -> Tensor:
    """Return all parameters as one vector ``[P]``, in the order of ``named_parameters()``.

    >>> flatten(nn.Linear(2, 3)).shape
    torch.Size([9])
    """
    return torch.cat([parameter.detach().reshape(-1) for parameter in module.parameters()])


def layout_of(
    module: nn.Module, example_input: Any = None, form: str = "scalars", kernel: Sequence[int] | None = None,
    ends: tuple[int, int] | None = None,
) -> Layout:  # fmt: skip
    """Trace a network and lay its parameters out over a graph.

    Parameters
    ----------
    module : nn.Module
    example_input : Tensor or tuple of Tensor, optional
        A batch of one that it can read; guessed from its first layer when None.
    form : str
        ``scalars``: an edge for every number, with nodes for biases and norms. ``kernels``: an edge for every pair of
        neurons, with the kernel as its features, and biases and norms on the neurons.
    kernel : sequence of int, optional
        Shape to which kernels are centred and padded in the form ``kernels``; the largest of the network when None.
    ends : (int, int), optional
        Columns for the order of inputs and of outputs, so that graphs of several architectures are equally wide; 0 for
        none, where no feature is to tell one input, or output, from another.

    Returns
    -------
    Layout

    Raises
    ------
    GraphKitError
        As :func:`~graphkit.graphs.network.trace.wire`, and for an unknown form, or a kernel or ends that are too small.

    Examples
    --------
    >>> layout_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), form="kernels").unit.shape
    torch.Size([2, 9])
    """
    check_choice("form", form, FORMS)
    wiring = wire(module, example_input)
    kinds = wiring.column("ntype")
    found = [int((kinds == NODE_TYPES.index(name)).sum()) for name in ("input", "output")]
    ends = (found[0], found[1]) if ends is None else (int(ends[0]), int(ends[1]))
    if any(given and given < needed for given, needed in zip(ends, found, strict=True)):
        raise GraphKitError(f"ends={ends} is too small for {found[0]} inputs and {found[1]} outputs")
    return _Builder(wiring, form, kernel, ends).finish()


class _Builder:
    """Collects nodes and edges of a layout."""

    def __init__(self, wiring: Wiring, form: str, kernel: Sequence[int] | None, ends: tuple[int, int]) -> None:
        self.wiring, self.ends, self.kernels = wiring, ends, form == "kernels"
        self.sizes, self.width = self._kernel(kernel) if self.kernels else ((1, 1, 1), 1)
        self.own = np.full((wiring.num_nodes, 3), -1, dtype=np.int64)
        self.src: list[np.ndarray] = []
        self.dst: list[np.ndarray] = []
        self.kind: list[np.ndarray] = []
        self.param: list[np.ndarray] = []
        self.coord: list[np.ndarray] = []
        self.start = 0

    def _kernel(self, kernel: Sequence[int] | None) -> tuple[tuple[int, ...], int]:
        convs = [use.sizes for use in self.wiring.uses if use.kind[0] == "conv"]
        needed = tuple(max((size[d] for size in convs), default=1) for d in range(3))
        sizes = needed if kernel is None else (*map(int, kernel), 1, 1, 1)[:3]
        if any(a < b for a, b in zip(sizes, needed, strict=True)):
            raise GraphKitError(f"kernel={kernel} is smaller than the network's kernels {list(needed)}")
        spread = max((u.sizes[0] for u in self.wiring.uses if u.src is not None and u.kind[0] != "conv"), default=1)
        width = int(np.prod(sizes))
        if kernel is not None and spread > width:
            raise GraphKitError(
                f"kernel={kernel} holds {width} numbers, but {spread} weights join one channel with one neuron behind "
                "the flattening; pool before it, or give a larger kernel"
            )
        return sizes, max(width, spread)

    def finish(self) -> Layout:
        """Return the layout."""
        for use in self.wiring.uses:
            self._use(use)
            self.start += len(use.dst)
        for src, end, what in self.wiring.links:
            none = np.full((len(src), self.width), -1)
            self._edges(src, end, np.full(len(src), what), none, np.full((len(src), 3), -1))
        kind = np.concatenate(self.kind)
        names, which = np.unique(kind, return_inverse=True)
        codes = {name: i for i, name in enumerate(EDGE_TYPES)}
        dst = np.concatenate(self.dst)
        edge = {
            "etype": torch.tensor([codes[name] for name in names])[torch.from_numpy(which)],
            "layer": torch.from_numpy(self.wiring.column("layer")[dst]),
            "param": torch.from_numpy(np.concatenate(self.param)),
        }
        node = {name: torch.from_numpy(self.wiring.column(name)) for name in ("ntype", "layer", "order", "activation")}
        if self.kernels:
            grown = np.full((self.wiring.num_nodes - len(self.own), 3), -1)
            node["param"] = torch.from_numpy(np.concatenate([self.own, grown]))
        else:
            edge["coord"] = torch.from_numpy(np.concatenate(self.coord))
        unit = torch.zeros(len(dst), self.width)
        unit[torch.from_numpy(np.isin(kind, STRUCTURAL)), self._centre()] = 1.0
        return Layout(torch.from_numpy(np.concatenate(self.src)), torch.from_numpy(dst), node, edge, unit, self.start,
                      self.ends)  # fmt: skip

    def _centre(self) -> int:
        return int(np.ravel_multi_index([(size - 1) // 2 for size in self.sizes], self.sizes))

    def _edges(self, src: np.ndarray, dst: np.ndarray, kind: np.ndarray, param: np.ndarray, coord: np.ndarray) -> None:
        for into, part in zip((self.src, self.dst, self.kind, self.param, self.coord), (src, dst, kind, param, coord),
                              strict=True):  # fmt: skip
            into.append(part)

    def _use(self, use: Use) -> None:
        place = self.start + np.arange(len(use.dst))
        if use.src is None:
            self._single(use, place)
        elif self.kernels:
            self._pairs(use, place)
        else:
            self._edges(use.src, use.dst, use.kind, place[:, None], use.coord)

    def _single(self, use: Use, place: np.ndarray) -> None:
        """Put one number for each neuron on the neuron if it is free there, else on an edge from a node of its own."""
        kind = str(use.kind[0])
        if self.kernels and kind in OWN and use.sizes[0] == 1:
            column = self.own[:, OWN.index(kind)]
            if (column[use.dst] < 0).all():
                column[use.dst] = place
                return
        wiring, groups = self.wiring, np.unique(use.kind)
        layer = int(wiring.column("layer")[use.dst[0]])
        node_kind = kind if kind in NODE_TYPES else "bias"
        made = wiring.add(len(groups) * use.sizes[0], node_kind, layer=layer)
        which = np.searchsorted(groups, use.kind) * use.sizes[0] + np.maximum(use.coord[:, 0], 0)
        param = np.full((len(place), self.width), -1)
        param[:, self._centre()] = place
        self._edges(made[which], use.dst, use.kind, param, use.coord)

    def _pairs(self, use: Use, place: np.ndarray) -> None:
        """Put the numbers between two neurons side by side on one edge."""
        group = np.unique(use.kind, return_inverse=True)[1]
        key = (group * self.wiring.num_nodes + use.dst) * self.wiring.num_nodes + use.src
        _, first, row = np.unique(key, return_index=True, return_inverse=True)
        if use.kind[0] == "conv":
            shift = [(size - own) // 2 for size, own in zip(self.sizes, use.sizes, strict=True)]
            column = np.ravel_multi_index((np.maximum(use.coord, 0) + shift).T, self.sizes)
        else:
            column = np.where(use.coord[:, 0] < 0, self._centre(), use.coord[:, 0])
        param = np.full((len(first), self.width), -1, dtype=np.int64)
        param[row, column] = place
        self._edges(use.src[first], use.dst[first], use.kind[first], param, use.coord[first])
