"""The laws of hypergraph layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import dgl
import torch
from torch import Tensor, nn

from graphkit.core.random import generator
from graphkit.testing.sample import (
    LawBroken,
    expect_close,
    expect_error,
    expect_finite,
    expect_forces,
    expect_gradients,
    project,
    run_laws,
    seeded,
)

Make = Callable[[], nn.Module]


@dataclass
class HyperSample:
    """A small hypergraph and the tensors that its layers read, float64.

    Parameters
    ----------
    node, hyperedge : Tensor
        int64 ``[E]``: the memberships.
    feat, edge_feat : Tensor
        ``[N, D]``, ``[M, D']``.
    edge_weight : Tensor, optional
        ``[E]``.
    """

    node: Tensor
    hyperedge: Tensor
    feat: Tensor
    edge_feat: Tensor
    edge_weight: Tensor | None = None

    @property
    def graph(self) -> dgl.DGLGraph:
        """The incidence graph."""
        sizes = {"node": len(self.feat), "hyperedge": len(self.edge_feat)}
        there, back = (self.node, self.hyperedge), (self.hyperedge, self.node)
        return dgl.heterograph({("node", "in", "hyperedge"): there, ("hyperedge", "has", "node"): back}, sizes)

    def replace(self, **changes: Any) -> HyperSample:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def hyper_sample(seed: int = 0, nodes: int = 8, hyperedges: int = 5, members: int = 14, **widths: int) -> HyperSample:
    """Draw a hypergraph whose last node is in no hyperedge and whose last hyperedge is empty, and its tensors.

    >>> hyper_sample(in_feats=3, edge_feats=2).feat.shape
    torch.Size([8, 3])
    """
    draw = generator(seed, "hyper", nodes, hyperedges)
    cells = max(nodes - 1, 0) * max(hyperedges - 1, 0)
    chosen = torch.randperm(cells, generator=draw)[:members]
    node, hyperedge = chosen % max(nodes - 1, 1), chosen // max(nodes - 1, 1)
    feat = torch.randn(nodes, widths.get("in_feats", 5), generator=draw, dtype=torch.float64)
    edge_feat = torch.randn(hyperedges, widths.get("edge_feats", 0), generator=draw, dtype=torch.float64)
    return HyperSample(node, hyperedge, feat, edge_feat)


def _sample(layer: Any, seed: int = 0, **sizes: int) -> HyperSample:
    return hyper_sample(seed, in_feats=layer.in_feats, edge_feats=layer.edge_feats, **sizes)


def _run(layer: nn.Module, case: HyperSample, graph: dgl.DGLGraph | None = None) -> Tensor:
    edge_feat = case.edge_feat if case.edge_feat.shape[1] else None
    return layer(case.graph if graph is None else graph, case.feat, edge_feat, case.edge_weight)


def equivariance(make: Make) -> None:
    """Another order of nodes gives the same rows in that order; that of hyperedges and members does not matter."""
    layer = seeded(make)
    case, draw = _weighted(_sample(layer)), generator(1, "shuffle")
    n, m, e = (torch.randperm(len(x), generator=draw) for x in (case.feat, case.edge_feat, case.node))
    assert case.edge_weight is not None
    moved = HyperSample(
        n.argsort()[case.node[e]], m.argsort()[case.hyperedge[e]], case.feat[n], case.edge_feat[m], case.edge_weight[e]
    )
    expect_close("equivariance", _run(layer, moved), _run(layer, case)[n])


def batching(make: Make) -> None:
    """A batch of hypergraphs gives what they give one by one."""
    layer = seeded(make)
    cases = [_sample(layer, seed, nodes=nodes) for seed, nodes in ((0, 8), (1, 1), (2, 5))]
    whole = HyperSample(
        *(torch.cat([getattr(c, f) for c in cases]) for f in ("node", "hyperedge", "feat", "edge_feat"))
    )
    together = _run(layer, whole, dgl.batch([case.graph for case in cases]))
    expect_close("batching", together, torch.cat([_run(layer, case) for case in cases]))


def isolated(make: Make) -> None:
    """Hypergraphs without members, nodes or hyperedges work; a node in no hyperedge gets what it gets alone."""
    layer = seeded(make)
    case = _sample(layer)
    alone = _sample(layer, nodes=1, hyperedges=0).replace(feat=case.feat[-1:])
    expect_close("isolated", _run(layer, alone), _run(layer, case)[-1:])
    for nodes, hyperedges in ((3, 2), (1, 0), (0, 2), (0, 0)):
        few = _sample(layer, nodes=nodes, hyperedges=hyperedges, members=0)
        few.feat.requires_grad_(True)
        out = _run(layer, few)
        if len(out) != nodes:
            raise LawBroken(f"isolated: {nodes} nodes give {len(out)} rows")
        expect_finite("isolated", out, torch.autograd.grad(project(out), few.feat, allow_unused=True)[0])


def gradients(make: Make) -> None:
    """Every parameter gets a gradient, and so do the features of nodes and hyperedges."""
    layer = seeded(make)
    case = _sample(layer)
    rows = [x.requires_grad_(True) for x in (case.feat, case.edge_feat) if x.shape[1]]
    expect_gradients("gradients", layer, lambda: project(_run(layer, case)))
    for x in rows:
        expect_finite("gradients", x.grad)
        if x.grad is None or not x.grad.any():
            raise LawBroken("gradients: features get none")


def forces(make: Make) -> None:
    """Training on a gradient has the right gradient: second derivatives equal finite differences to 1e-6."""
    layer = seeded(make)
    case = _sample(layer)
    mix = torch.randn(3, case.feat.shape[1], dtype=torch.float64, generator=generator(1))
    pos = torch.randn(len(case.feat), 3, dtype=torch.float64, generator=generator(2))
    expect_forces(
        "forces", layer, lambda pos: project(_run(layer, case.replace(feat=torch.sin(pos @ mix) + case.feat))), pos
    )


def save_load(make: Make) -> None:
    """A layer that loads another's state gives the same output."""
    layer, other = seeded(make), seeded(make, seed=1)
    other.load_state_dict(layer.state_dict())
    case = _sample(layer)
    expect_close("save_load", _run(other, case), _run(layer, case), 0)


def same_seed(make: Make) -> None:
    """The same seed gives the same result."""
    layer = seeded(make)
    case = _sample(layer)
    expect_close("same_seed", _run(seeded(make), case), _run(layer, case), 0)


def _weighted(case: HyperSample) -> HyperSample:
    return case.replace(edge_weight=0.5 + torch.rand(len(case.node), dtype=torch.float64, generator=generator(3)))


def edge_weight(make: Make) -> None:
    """Memberships of weight 1 change nothing, others do, and every weight gets a gradient."""
    layer = seeded(make)
    case = _sample(layer)
    plain = _run(layer, case)
    expect_close("edge_weight", _run(layer, case.replace(edge_weight=torch.ones(len(case.node)).double())), plain)
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


def dual(make: Make) -> None:
    """With the two roles swapped the same layer gives a row for each hyperedge."""
    layer = seeded(make)
    case = _sample(layer)
    rows = torch.randn(len(case.edge_feat), layer.in_feats, dtype=torch.float64, generator=generator(4))
    others = torch.randn(len(case.feat), layer.edge_feats, dtype=torch.float64, generator=generator(5))
    out = _run(layer, HyperSample(case.hyperedge, case.node, rows, others))
    if out.shape != (len(rows), layer.out_feats):
        raise LawBroken(f"dual: shape {list(out.shape)} came, {[len(rows), layer.out_feats]} was expected")


def bad_input(make: Make) -> None:
    """Another graph, wrong widths and lengths and integers get one sentence each."""
    layer = seeded(make)
    case = _sample(layer)

    def refuse(what: str, graph: dgl.DGLGraph | None = None, **changes: Any) -> None:
        expect_error("bad_input", what, lambda: _run(layer, case.replace(**changes), graph or case.graph))

    refuse("a graph that is no hypergraph", dgl.graph(([0], [1]), num_nodes=len(case.feat)))
    refuse("a block", dgl.to_block(case.graph["in"]))
    refuse("a wrong width", feat=case.feat[:, 1:])
    refuse("too few rows", feat=case.feat[1:])
    refuse("integer features", feat=case.feat.long())
    refuse("edge_weight of the wrong length", edge_weight=torch.ones(len(case.node) + 1).double())
    if layer.edge_feats:
        refuse("edge_feat of the wrong width", edge_feat=case.edge_feat[:, 1:])
        refuse("edge_feat of the wrong length", edge_feat=case.edge_feat[1:])
        refuse("no edge_feat", edge_feat=case.edge_feat[:, :0])


#: The laws of hypergraph layers by name.
HYPER_LAWS: dict[str, Callable[[Make], None]] = {
    law.__name__: law
    for law in (
        equivariance, batching, isolated, gradients, forces, save_load, same_seed, edge_weight, dual, bad_input,
    )
}  # fmt: skip


def check_hyper_layer(
    layer: Callable[..., nn.Module],
    in_feats: int = 5,
    out_feats: int = 6,
    declines: Iterable[str] = (),
    **arguments: Any,
) -> list[str]:
    """Run the laws of hypergraph layers over ``layer(in_feats, out_feats, **arguments)``; return those that hold.

    Raises
    ------
    LawBroken
        If a law does not hold.

    Examples
    --------
    >>> from graphkit.nn import HGNNConv
    >>> "dual" in check_hyper_layer(HGNNConv)
    True
    """
    return run_laws(HYPER_LAWS, (lambda: layer(in_feats, out_feats, **arguments),), declines)
