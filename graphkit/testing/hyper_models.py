"""The laws of systems on hypergraphs: permutations of nodes and hyperedges, batches, loners, gradients, files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dgl
import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.random import generator
from graphkit.core.spec import Spec
from graphkit.testing.hyper import HyperSample, hyper_sample
from graphkit.testing.sample import (
    LawBroken,
    expect_close,
    expect_error,
    expect_finite,
    expect_gradients,
    project,
    seeded,
)

WIDTH = 5
Make = Callable[[], nn.Module]


def hyper_spec() -> Spec:
    """Return the sizes of the laws' hypergraphs.

    >>> hyper_spec().num_hyperedges
    5
    """
    return Spec("node", WIDTH, 3, num_nodes=8, num_hyperedges=5)


def _case(seed: int = 0, **sizes: int) -> HyperSample:
    return hyper_sample(seed, in_feats=WIDTH, **sizes)


def _batch(case: HyperSample, graph: dgl.DGLGraph | None = None) -> Batch:
    return Batch(case.graph if graph is None else graph, case.feat, None, case.edge_weight)


def equivariance(make: Make) -> None:
    """Another order of nodes gives the same rows in that order; that of hyperedges and members does not matter."""
    model = seeded(make)
    case, draw = _case(), generator(1, "shuffle")
    n, m, e = (torch.randperm(len(x), generator=draw) for x in (case.feat, case.edge_feat, case.node))
    moved = HyperSample(n.argsort()[case.node[e]], m.argsort()[case.hyperedge[e]], case.feat[n], case.edge_feat[m])
    expect_close("equivariance", model(_batch(moved)).pred, model(_batch(case)).pred[n])


def batching(make: Make) -> None:
    """A batch of hypergraphs gives what they give one by one."""
    model = seeded(make)
    cases = [_case(seed, nodes=nodes) for seed, nodes in ((0, 8), (1, 1), (2, 5))]
    parts = (torch.cat([getattr(c, f) for c in cases]) for f in ("node", "hyperedge", "feat", "edge_feat"))
    together = model(_batch(HyperSample(*parts), dgl.batch([case.graph for case in cases]))).pred
    expect_close("batching", together, torch.cat([model(_batch(case)).pred for case in cases]))


def isolated(make: Make) -> None:
    """A node in no hyperedge gets what it gets alone; empty hyperedges and empty hypergraphs work, in training too."""
    model = seeded(make)
    case = _case()
    alone = _case(nodes=1, hyperedges=0).replace(feat=case.feat[-1:])
    expect_close("isolated", model(_batch(alone)).pred, model(_batch(case)).pred[-1:])
    for nodes, hyperedges in ((3, 2), (1, 0)):
        few = _case(nodes=nodes, hyperedges=hyperedges, members=0)
        for train in (False, True):
            out = model.train(train)(_batch(few)).pred
            if len(out) != nodes:
                raise LawBroken(f"isolated: {nodes} nodes give {len(out)} rows")
            expect_finite("isolated", out)


def gradients(make: Make) -> None:
    """Every parameter gets a gradient."""
    model = seeded(make)

    def loss() -> Tensor:
        # in one draw dropout may hide a parameter
        total = torch.zeros((), dtype=torch.float64)
        for draw in range(4):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(draw)
                output = model.train()(_batch(_case(draw, members=20)))
            total = total + project(output.pred) + sum(output.aux.values())
        return total

    expect_gradients("gradients", model, loss)


def save_load(make: Make) -> None:
    """A model that loads another's state gives the same predictions."""
    model, other = seeded(make), seeded(make, seed=1)
    other.load_state_dict(model.state_dict())
    expect_close("save_load", other(_batch(_case())).pred, model(_batch(_case())).pred, 0)


def same_seed(make: Make) -> None:
    """The same seed gives the same result, in training; eval mode draws nothing."""
    model, batch = seeded(make), _batch(_case())
    expect_close("same_seed", model(batch).pred, model(batch).pred, 0)
    outputs = []
    for _ in range(2):
        model = seeded(make, train=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            outputs.append(model(batch).pred)
    expect_close("same_seed", outputs[1], outputs[0], 0)


def edge_weight(make: Make) -> None:
    """Memberships of weight 1 change nothing, and their weights get gradients."""
    model, case = seeded(make), _case()
    ones = torch.ones(len(case.node), dtype=torch.float64, requires_grad=True)
    output = model(_batch(case.replace(edge_weight=ones))).pred
    expect_close("edge_weight", output, model(_batch(case)).pred)
    if not torch.autograd.grad(project(output), ones)[0].any():
        raise LawBroken("edge_weight: the weights get no gradient")


def bad_input(make: Make) -> None:
    """Features of another width, integers, and a graph in place of a hypergraph get one sentence."""
    model: Any = seeded(make)
    case = _case()
    wrong = {"a wrong width": torch.cat([case.feat, case.feat], 1), "integer features": case.feat.long()}
    for what, feat in wrong.items():
        expect_error("bad_input", what, lambda feat=feat: model(_batch(case.replace(feat=feat))))
    if model.needs_graph:
        plain = dgl.graph(([0], [1]), num_nodes=len(case.feat))
        expect_error("bad_input", "a graph that is no hypergraph", lambda: model(_batch(case, plain)))


#: The laws of systems on hypergraphs by name.
HYPER_MODEL_LAWS: dict[str, Callable[[Make], None]] = {
    law.__name__: law
    for law in (equivariance, batching, isolated, gradients, save_load, same_seed, edge_weight, bad_input)
}
