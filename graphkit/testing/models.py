"""The laws of models: what holds for layers holds for encoder and head together, at every level a system works at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import dgl
import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Pairs
from graphkit.core.random import generator
from graphkit.core.registry import find
from graphkit.core.spec import Spec
from graphkit.models import build
from graphkit.sampling import Store, block_batch
from graphkit.sampling.blocks import surroundings
from graphkit.testing.sample import (
    LawBroken,
    Sample,
    expect_close,
    expect_error,
    expect_finite,
    expect_gradients,
    project,
    run_laws,
    sample,
    seeded,
)

WIDTHS = {"in_feats": 5, "edge_feats": 2, "num_rels": 3}
Make = Callable[[], nn.Module]


def spec_for(level: str) -> Spec:
    """Return the sizes of the laws' graphs at ``level``.

    >>> spec_for("link").out_feats
    1
    """
    out_feats = 3 if level in ("node", "graph") else 1
    nodes = 0 if level == "graph" else 8
    return Spec(level, WIDTHS["in_feats"], out_feats, WIDTHS["edge_feats"], nodes, WIDTHS["num_rels"])


def _pairs(model: Any, nodes: int, count: int = 6) -> Pairs | None:
    level = _level(model)
    if level not in ("link", "triple"):
        return None
    draw = generator(0, "pairs")
    src, dst, rel = (torch.randint(high, (count,), generator=draw) for high in (nodes, nodes, WIDTHS["num_rels"]))
    if model.structure_depth:  # a node has no pair structure with itself
        src, dst = src[src != dst], dst[src != dst]
    return Pairs(src, dst, rel[: len(src)] if level == "triple" else None)


def _batch(model: Any, *cases: Sample, weight: Tensor | None = None) -> Batch:
    def cat(name: str) -> Tensor:
        return torch.cat([getattr(case, name) for case in cases])

    graph = dgl.batch([case.graph for case in cases]) if len(cases) > 1 else cases[0].graph
    pairs = _asked(graph) if _level(model) == "graph" else _pairs(model, graph.num_nodes())
    fields = {"etype": cat("etype")}
    if _level(model) == "graph":  # two sides of a pair of graphs; systems that match no graphs do not look
        fields["side"] = torch.cat([torch.arange(case.graph.num_nodes()) % 2 for case in cases])
    return Batch(graph, cat("feat"), cat("edge_feat"), weight, pairs=pairs, fields=fields)


def _asked(graph: dgl.DGLGraph) -> Pairs:
    """Return one pair of each graph, as systems with the trait ``pair`` want them; others do not look."""
    nodes = graph.batch_num_nodes()
    first = nodes.cumsum(0) - nodes
    return Pairs(first, first + nodes // 2)


def _case(model: Any, seed: int = 0, **sizes: int) -> Sample:
    """Draw a directed graph, undirected where the head reads the structure around pairs."""
    case = sample(seed, **WIDTHS, **sizes)
    return case.undirected() if model.structure_depth else case


def _level(model: Any) -> str:
    return str(model.spec.level)


def equivariance(make: Make) -> None:
    """Another order of nodes and edges gives the same predictions in that order."""
    model = seeded(make)
    case = _case(model)
    batch, (moved, place) = _batch(model, case), case.shuffled()
    other = _batch(model, moved)
    if batch.pairs is not None:
        other.pairs = Pairs(place[batch.pairs.src], place[batch.pairs.dst], batch.pairs.rel)
    if "side" in batch.fields:
        other.fields["side"] = torch.empty_like(batch.fields["side"]).index_copy(0, place, batch.fields["side"])
    got, expected = model(other).pred, model(batch).pred
    expect_close("equivariance", got[place] if _level(model) == "node" else got, expected)


def batching(make: Make) -> None:
    """A batch of graphs gives what its graphs give one by one."""
    model = seeded(make)
    cases = [_case(model, 0), _case(model, 1, nodes=1), _case(model, 2, nodes=5)]
    together = model(_batch(model, *cases))
    single = [model(_batch(model, case)) for case in cases]
    if _level(model) == "graph":
        expect_close("batching", together.pred, torch.cat([output.pred for output in single]))
    expect_close("batching", together.encoded.node, torch.cat([output.encoded.node for output in single]))


def blocks(make: Make) -> None:
    """Blocks with all neighbours, one per hop, give what the full graph gives for their targets."""
    model = seeded(make)
    case = _case(model)
    level, seeds = _level(model), torch.tensor([4, 7, 0])
    if level == "graph":
        return
    weight = 0.5 + torch.rand(case.graph.num_edges(), dtype=torch.float64, generator=generator(1))
    assert case.etype is not None
    store = Store(case.graph, case.feat, case.edge_feat, weight, edge_fields={"etype": case.etype})
    count, seeds = len(seeds), surroundings(case.graph, seeds, model.structure_depth)
    batch = block_batch(store, seeds, [-1] * max(model.num_layers, 1), None, 0)
    if not model.num_layers:
        batch = batch.replace(feat=batch.feat[: len(seeds)], edge_weight=batch.graph_weight, blocks=None)
    full = _batch(model, case, weight=weight)
    if level == "node":
        expect_close("blocks", model(batch).pred, model(full).pred[seeds])
        return
    here = _pairs(model, count)
    assert here is not None
    there = Pairs(seeds[here.src], seeds[here.dst], here.rel)
    expect_close("blocks", model(batch.replace(pairs=here)).pred, model(full.replace(pairs=there)).pred)


def isolated(make: Make) -> None:
    """Graphs without edges and of one node work, in training too."""
    model = seeded(make)
    for nodes in (3, 1):
        for train in (False, True):
            batch = _batch(model, _case(model, nodes=nodes, edges=0))
            expect_finite("isolated", model.train(train)(batch).pred)


def gradients(make: Make) -> None:
    """Every parameter gets a gradient."""
    model = seeded(make)
    batch = _batch(model, *(_case(model, seed, edges=30) for seed in range(3)))
    if list(model.parameters()):
        expect_gradients("gradients", model, lambda: _loss(model, batch))


def _loss(model: nn.Module, batch: Batch) -> Tensor:
    # Training mode shows what training uses, such as VGAE's spread; in one draw dropout may hide a parameter.
    total = torch.zeros((), dtype=torch.float64)
    for draw in range(4):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw)
            output = model.train()(batch)
        total = total + project(output.pred) + sum(output.aux.values())
    return total


def save_load(make: Make) -> None:
    """A model that loads another's state gives the same predictions."""
    model, other = seeded(make), seeded(make, seed=1)
    other.load_state_dict(model.state_dict())
    batch = _batch(model, _case(model))
    expect_close("save_load", other(batch).pred, model(batch).pred, 0)


def same_seed(make: Make) -> None:
    """The same seed gives the same result, in training; eval mode draws nothing."""
    model = seeded(make)
    batch = _batch(model, _case(model))
    expect_close("same_seed", model(batch).pred, model(batch).pred, 0)
    outputs: list[Tensor] = []
    for _ in range(2):
        model = seeded(make, train=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            outputs.append(model(batch).pred)
    expect_close("same_seed", outputs[1], outputs[0], 0)


def edge_weight(make: Make) -> None:
    """Weights of 1 change nothing, and weights get gradients."""
    model = seeded(make)
    case = _case(model)
    ones = torch.ones(case.graph.num_edges(), dtype=torch.float64, requires_grad=True)
    output = model(_batch(model, case, weight=ones)).pred
    expect_close("edge_weight", output, model(_batch(model, case)).pred)
    if not torch.autograd.grad(project(output), ones)[0].any():
        raise LawBroken("edge_weight: the weights get no gradient")


def bad_input(make: Make) -> None:
    """Features of another width, and integers, get one sentence."""
    model = seeded(make)
    case = _case(model)
    level, feat = _level(model), case.feat
    for what, wrong in (("a wrong width", torch.cat([feat, feat], 1)), ("integer features", feat.long())):
        batch = _batch(model, case.replace(feat=wrong))
        expect_error("bad_input", what, lambda batch=batch: model(batch))
    if level in ("link", "triple") or "pair" in find("model", model.name).traits:
        expect_error("bad_input", "no pairs", lambda: model(_batch(model, case).replace(pairs=None)))


#: The laws of models by name.
MODEL_LAWS: dict[str, Callable[[Make], None]] = {
    law.__name__: law
    for law in (equivariance, batching, blocks, isolated, gradients, save_load, same_seed, edge_weight, bad_input)
}


def check_model(name: str, level: str, declines: Iterable[str] = (), **arguments: Any) -> list[str]:
    """Run the laws of models over a registered system; return the names of those that hold.

    Parameters
    ----------
    name : str
        Its registered name; the laws that its registration declines are left out.
    level : str
    declines : iterable of str
        Further laws to leave out.
    **arguments
        Arguments of the system, beside those its registration names as ``example``.

    Returns
    -------
    list of str

    Raises
    ------
    LawBroken
        If a law does not hold.

    Examples
    --------
    >>> "blocks" in check_model("sage", "node")
    True
    """
    entry = find("model", name)
    arguments = {**entry.options.get("example", {}), **arguments}
    if entry.options.get("hypergraph"):
        from graphkit.testing.hyper_models import HYPER_MODEL_LAWS, hyper_spec

        hyper = (lambda: build(name, hyper_spec(), **arguments),)
        return run_laws(HYPER_MODEL_LAWS, hyper, {*entry.declines, *declines})
    make = (lambda: build(name, spec_for(level), **arguments),)
    return run_laws(MODEL_LAWS, make, {*entry.declines, *declines})
