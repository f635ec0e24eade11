"""The laws of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import dgl
import torch
from torch import Tensor, nn

from graphkit.sampling import sample_block
from graphkit.testing.sample import (
    LawBroken,
    Sample,
    expect_close,
    expect_error,
    expect_finite,
    expect_forces,
    expect_gradients,
    project,
    run_laws,
    sample,
    seeded,
)

Make = Callable[[], nn.Module]


def _sample(layer: nn.Module, seed: int = 0, **sizes: int) -> Sample:
    widths = {name: getattr(layer, name, 0) for name in ("in_feats", "edge_feats", "num_rels", "num_ntypes")}
    return sample(seed, **widths, **sizes)


def _run(layer: nn.Module, case: Sample) -> Tensor:
    out = layer(case.graph, case.feat, **case.tensors)
    return out[0] if getattr(layer, "updates_edges", False) else out


def equivariance(make: Make) -> None:
    """Another order of nodes and edges gives the same rows in that order."""
    layer = seeded(make)
    case = _sample(layer)
    moved, place = case.shuffled()
    expect_close("equivariance", _run(layer, moved)[place], _run(layer, case))


def batching(make: Make) -> None:
    """A batch of graphs gives what its graphs give one by one."""
    layer = seeded(make)
    cases = [_sample(layer, seed, nodes=nodes) for seed, nodes in ((0, 8), (1, 1), (2, 5))]
    parts = {
        name: torch.cat([getattr(case, name) for case in cases])
        for name in ("feat", "edge_feat", "etype", "ntype")
        if getattr(cases[0], name) is not None
    }
    together = Sample(dgl.batch([case.graph for case in cases]), **parts)
    expect_close("batching", _run(layer, together), torch.cat([_run(layer, case) for case in cases]))


def blocks(make: Make) -> None:
    """A block with all neighbours gives what the full graph gives for its targets, with weights and without."""
    layer = seeded(make)
    targets = torch.tensor([4, 7, 0])
    for case in (_sample(layer), _weighted(_sample(layer))):
        block, nodes, edges = sample_block(case.graph, targets, fanout=-1)
        part = case.take_edges(block, edges).take_nodes(nodes)
        expect_close("blocks", _run(layer, part), _run(layer, case)[targets])


def isolated(make: Make) -> None:
    """Graphs of no edges, one node, or nothing work; an isolated node gets what it gets alone.

    A layer with ``whole_graph = True`` reads nodes that no edge joins, so of it only the first is asked.
    """
    layer = seeded(make)
    case = _sample(layer)
    if not getattr(layer, "whole_graph", False):
        alone = _sample(layer, nodes=1).replace(
            feat=case.feat[-1:], ntype=None if case.ntype is None else case.ntype[-1:]
        )
        expect_close("isolated", _run(layer, alone), _run(layer, case)[-1:])
    for nodes in (3, 1, 0):
        for train in (False, True):
            layer.train(train)
            few = _sample(layer, nodes=nodes, edges=0)
            few.feat.requires_grad_(True)
            out = _run(layer, few)
            if len(out) != nodes:
                raise LawBroken(f"isolated: {nodes} nodes give {len(out)} rows")
            grad = torch.autograd.grad(project(out), few.feat, allow_unused=True)[0]
            expect_finite("isolated", out, grad)


def gradients(make: Make) -> None:
    """Every parameter gets a gradient, in training too, and so do the features."""
    layer = seeded(make)
    case = _sample(layer, edges=30)
    case.feat.requires_grad_(True)
    for train in (False, True):
        layer.train(train)
        expect_gradients("gradients", layer, lambda: project(_run(layer, case)))
    expect_finite("gradients of feat", case.feat.grad)
    if not case.feat.grad.any():
        raise LawBroken("gradients: the features get none")


def forces(make: Make) -> None:
    """Training on a gradient has the right gradient: second derivatives equal finite differences to 1e-6."""
    layer = seeded(make)
    case = _sample(layer, nodes=6, edges=12)
    mix = torch.randn(3, case.feat.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def energy(pos: Tensor) -> Tensor:
        return project(_run(layer, case.replace(feat=torch.sin(pos @ mix) + case.feat)))

    pos = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expect_forces("forces", layer, energy, pos)


def save_load(make: Make) -> None:
    """A layer that loads another's state gives the same output."""
    layer, other = seeded(make), seeded(make, seed=1)
    other.load_state_dict(layer.state_dict())
    case = _sample(layer)
    expect_close("save_load", _run(other, case), _run(layer, case), 0)


def same_seed(make: Make) -> None:
    """The same seed gives the same result, in training; eval mode draws nothing."""
    layer = seeded(make)
    case = _sample(layer)
    expect_close("same_seed", _run(layer, case), _run(layer, case), 0)
    outputs: list[Tensor] = []
    for _ in range(2):
        layer = seeded(make, train=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            outputs.append(_run(layer, case))
    expect_close("same_seed", outputs[1], outputs[0], 0)


def _weighted(case: Sample) -> Sample:
    weight = torch.rand(case.graph.num_edges(), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return case.replace(edge_weight=0.5 + weight)


def edge_weight(make: Make) -> None:
    """Weights of 1 change nothing, others do, and every weight gets a gradient.

    Where messages are summed (``aggregator`` or ``norm`` does not say otherwise) weights of 0 on all edges into a node
    leave what other nodes' values cannot change.
    """
    layer = seeded(make)
    case = _sample(layer)
    edges = case.graph.num_edges()
    plain = _run(layer, case)
    expect_close("edge_weight", _run(layer, case.replace(edge_weight=torch.ones(edges).double())), plain)
    weighted = _weighted(case)
    assert weighted.edge_weight is not None
    weighted.edge_weight.requires_grad_(True)
    out = _run(layer, weighted)
    if torch.allclose(out, plain):
        raise LawBroken("edge_weight: weights change nothing")
    grad = torch.autograd.grad(project(out), weighted.edge_weight)[0]
    expect_finite("edge_weight", grad)
    if not grad.any():
        raise LawBroken("edge_weight: the weights get no gradient")
    if getattr(layer, "aggregator", "sum") == "sum" and not hasattr(layer, "num_heads") and not hasattr(layer, "k"):
        _silent(layer, case)


def _silent(layer: nn.Module, case: Sample) -> None:
    """Check that a node whose incoming edges weigh 0 does not hear its neighbours."""
    node = int(case.graph.in_degrees().argmax())
    weight = (case.graph.edges(order="eid")[1] != node).double()
    other = case.feat.clone()
    other[torch.arange(len(other)) != node] += 1.0
    heard = [_run(layer, case.replace(edge_weight=weight, feat=feat))[node] for feat in (case.feat, other)]
    expect_close("edge_weight of 0", heard[1], heard[0])


def bad_input(make: Make) -> None:
    """Wrong widths and lengths, integers and ids out of range get one sentence each."""
    layer = seeded(make)
    case = _sample(layer)
    feat, edges = case.feat, case.graph.num_edges()

    def refuse(what: str, **changes: Any) -> None:
        expect_error("bad_input", what, lambda: _run(layer, case.replace(**changes)))

    refuse("a wrong width", feat=torch.cat([feat, feat], 1))
    refuse("too few rows", feat=feat[1:])
    refuse("integer features", feat=feat.long())
    refuse("a flat tensor", feat=feat[:, 0])
    refuse("edge_weight of the wrong length", edge_weight=torch.ones(edges + 1).double())
    if case.edge_feat is not None:
        refuse("edge_feat of the wrong length", edge_feat=case.edge_feat[1:])
        refuse("edge_feat of the wrong width", edge_feat=case.edge_feat[:, 1:])
        refuse("no edge_feat", edge_feat=None)
    if case.etype is not None:
        refuse("a relation id out of range", etype=case.etype + layer.num_rels)
        refuse("a negative relation id", etype=case.etype - layer.num_rels)
        refuse("etype of the wrong length", etype=case.etype[1:])
        refuse("etype of floats", etype=case.etype.double())
        refuse("no etype", etype=None)


#: The laws of layers by name.
LAYER_LAWS: dict[str, Callable[[Make], None]] = {
    law.__name__: law
    for law in (
        equivariance, batching, blocks, isolated, gradients, forces, save_load, same_seed, edge_weight, bad_input,
    )
}  # fmt: skip


def check_layer(
    layer: Callable[..., nn.Module],
    in_feats: int = 5,
    out_feats: int = 6,
    declines: Iterable[str] = (),
    **arguments: Any,
) -> list[str]:
    """Run the laws of layers over one's own layer.

    Parameters
    ----------
    layer : callable
        The class, called as ``layer(in_feats, out_feats, **arguments)``. The laws read the made layer's attributes
        ``in_feats``, ``edge_feats`` and ``num_rels`` (0 if absent).
    in_feats, out_feats : int
    declines : iterable of str
        Names of laws that do not apply.
    **arguments
        Passed to the class.

    Returns
    -------
    list of str
        Names of the laws that hold.

    Raises
    ------
    LawBroken
        If a law does not hold; the message says which and how far off the numbers are.

    Examples
    --------
    >>> from graphkit.nn import GCNConv
    >>> "blocks" in check_layer(GCNConv)
    True
    """
    return run_laws(LAYER_LAWS, (lambda: layer(in_feats, out_feats, **arguments),), declines)
