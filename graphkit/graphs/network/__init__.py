"""Neural networks as graphs: neurons and weights (:func:`from_module`), or operators (:func:`operator_graph`)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit.core.errors import GraphKitError
from graphkit.graphs.network.layout import Layout, flatten, layout_of
from graphkit.graphs.network.operators import OPERATORS, from_onnx, operator_graph
from graphkit.graphs.network.records import ACTIVATIONS, EDGE_TYPES, NODE_TYPES

if TYPE_CHECKING:
    import dgl

__all__ = [
    "ACTIVATIONS",
    "EDGE_TYPES",
    "NODE_TYPES",
    "OPERATORS",
    "Layout",
    "flatten",
    "from_module",
    "from_modules",
    "from_onnx",
    "layout_of",
    "operator_graph",
    "to_module",
]


def from_module(
    module: nn.Module, example_input: Any = None, form: str = "scalars", kernel: Sequence[int] | None = None,
    ends: tuple[int, int] | None = None,
) -> dgl.DGLGraph:  # fmt: skip
    """Turn a network into a graph of its neurons and weights, which respects the network's permutation symmetries.

    Linear maps, convolutions, norms, residual connections, self-attention, embeddings and positional parameters are
    known. Neurons and channels are nodes, and all hidden ones of a layer have equal features; a residual connection is
    an edge of weight 1; a head of attention is a node between its queries and its values.

    Parameters
    ----------
    module : nn.Module
    example_input, form, kernel, ends
        As for :func:`~graphkit.graphs.network.layout_of`.

    Returns
    -------
    dgl.DGLGraph
        Node fields ``feat`` (place and type, see :meth:`Layout.static`), ``ntype``, ``layer``, ``order``,
        ``activation``; edge fields ``feat`` (weights), ``etype``, ``layer``, ``param``. In the form ``scalars`` the
        first P edges are the parameters in the order of ``named_parameters()``.

    Raises
    ------
    GraphKitError
        If it has no parameters, an operator that the tracer does not know (named), or shares weights.

    Notes
    -----
    Form ``scalars``: Lim et al., "Graph Metanetworks for Processing Diverse Neural Architectures", arXiv:2312.04501;
    ``kernels``: Kofinas et al., "Graph Neural Networks for Learning Equivariant Representations of Neural Networks",
    arXiv:2403.12143. Queries and keys share neurons and values have their own; the first paper has one set for all.

    Examples
    --------
    >>> graph = from_module(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
    >>> graph.num_nodes(), graph.num_edges()
    (8, 13)
    """
    return layout_of(module, example_input, form, kernel, ends).graph(module)


def _architecture(module: nn.Module) -> tuple:
    """Return what two networks of one architecture have in common."""
    plain = (bool, int, float, str)
    facts = [
        (name, type(part), [(k, v) for k, v in sorted(vars(part).items()) if isinstance(v, plain) and k != "training"])
        for name, part in module.named_modules()
    ]
    return repr(facts), repr(module), tuple(tuple(p.shape) for p in module.parameters())


def from_modules(
    modules: Sequence[nn.Module], example_input: Any = None, form: str = "scalars", kernel: Sequence[int] | None = None
) -> list[dgl.DGLGraph]:
    """Turn networks into graphs with equally wide features, each architecture traced once.

    Parameters
    ----------
    modules : sequence of nn.Module
    example_input : Tensor or tuple of Tensor, optional
        For all of them; guessed for each architecture when None.
    form, kernel
        As for :func:`~graphkit.graphs.network.layout_of`; in the form ``kernels`` name the largest kernel.

    Returns
    -------
    list of dgl.DGLGraph
        As :func:`from_module` gives them, for ``Dataset.from_graphs``.

    Raises
    ------
    GraphKitError
        As :func:`from_module`.

    Examples
    --------
    >>> small, large = from_modules([nn.Linear(2, 3), nn.Linear(4, 3)])
    >>> small.ndata["feat"].shape[1] == large.ndata["feat"].shape[1]
    True
    """
    keys = [_architecture(module) for module in modules]
    made = {key: layout_of(module, example_input, form, kernel) for key, module in dict(zip(keys, modules)).items()}
    ends = tuple(max((layout.ends[i] for layout in made.values()), default=1) for i in range(2))
    for layout in made.values():
        layout.ends = ends  # type: ignore[assignment]
    return [made[key].graph(module) for key, module in zip(keys, modules, strict=True)]


def to_module(graph: dgl.DGLGraph, like: nn.Module) -> nn.Module:
    """Write a graph's weights into a copy of the network that it was made of.

    Parameters
    ----------
    graph : dgl.DGLGraph
        From :func:`from_module`, in either form; its ``feat`` may have been changed since.
    like : nn.Module
        A network of the same architecture; it is not changed, and gives buffers such as running means.

    Returns
    -------
    nn.Module

    Raises
    ------
    GraphKitError
        If the graph does not hold each parameter of the network.

    Examples
    --------
    >>> net = nn.Linear(2, 3)
    >>> torch.equal(to_module(from_module(net), net).weight, net.weight)
    True
    """
    if "param" not in graph.edata or "feat" not in graph.edata:
        raise GraphKitError("the graph has no edge fields 'feat' and 'param'; expected one that from_module made")
    flat = flatten(like)
    found = torch.zeros(len(flat), dtype=torch.bool)
    for data in (graph.edata, graph.ndata):
        if "param" not in data:
            continue
        place: Tensor = data["param"]
        held = place >= 0
        if held.any() and int(place.max()) >= len(flat):
            raise GraphKitError(f"the graph holds {int(place.max()) + 1} parameters and the network {len(flat)}")
        flat[place[held]] = data["feat"][:, : place.shape[1]][held].to(flat.dtype)
        found[place[held]] = True
    if not bool(found.all()):
        raise GraphKitError(f"the graph holds {int(found.sum())} of the network's {len(flat)} parameters")
    made = copy.deepcopy(like)
    with torch.no_grad():
        start = 0
        for parameter in made.parameters():
            parameter.copy_(flat[start : start + parameter.numel()].view_as(parameter))
            start += parameter.numel()
    return made
