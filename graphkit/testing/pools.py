"""The laws of pools and decoders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import dgl
import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.batch import Encoded
from graphkit.core.random import generator
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


def _together(pool: Any) -> tuple[dgl.DGLGraph, Tensor, list[Sample]]:
    cases = [sample(seed, nodes=nodes, in_feats=pool.in_feats) for seed, nodes in ((0, 6), (1, 1), (2, 4))]
    return dgl.batch([case.graph for case in cases]), torch.cat([case.feat for case in cases]), cases


def _row(pool: nn.Module, graph: dgl.DGLGraph, feat: Tensor) -> Tensor:
    """What a pool gives, ``[B, D']``; a smaller graph is read out with its edges, in a way that their order leaves."""
    out = pool(graph, feat)
    if not isinstance(out, Encoded):
        return out
    heard = ops.spmm(out.graph, out.node, getattr(out, "edge_weight", None))
    return ops.segment_reduce(out.node + torch.sin(out.node) * heard, ops.offsets(out.graph))


def invariance(make: Make) -> None:
    """Another order of the nodes gives the same row."""
    pool = seeded(make)
    case = sample(in_feats=pool.in_feats)
    moved, _ = case.shuffled()
    expect_close("equivariance", _row(pool, moved.graph, moved.feat), _row(pool, case.graph, case.feat))


def batching(make: Make) -> None:
    """A batch of graphs gives what its graphs give one by one."""
    pool = seeded(make)
    graph, feat, cases = _together(pool)
    expect_close("batching", _row(pool, graph, feat), torch.cat([_row(pool, case.graph, case.feat) for case in cases]))


def isolated(make: Make) -> None:
    """A graph without nodes in a batch gives finite rows and leaves its neighbours alone."""
    pool = seeded(make)
    case = sample(in_feats=pool.in_feats)
    empty = dgl.graph(([], []), num_nodes=0)
    feat = case.feat.clone().requires_grad_(True)
    out = _row(pool, dgl.batch([empty, case.graph, empty]), feat)
    expect_close("isolated", out[1:2], _row(pool, case.graph, case.feat))
    expect_finite("isolated", out, torch.autograd.grad(project(out), feat)[0])


def gradients(make: Make) -> None:
    """Every parameter gets a gradient."""
    pool = seeded(make, train=True)
    graph, feat, _ = _together(pool)
    feat.requires_grad_(True)
    if list(pool.parameters()):
        expect_gradients("gradients", pool, lambda: project(_row(pool, graph, feat)))
    grad = torch.autograd.grad(project(_row(pool, graph, feat)), feat)[0]
    expect_finite("gradients", grad)


def forces(make: Make) -> None:
    """Training on a gradient has the right gradient: second derivatives equal finite differences to 1e-6."""
    pool = seeded(make)
    graph, feat, _ = _together(pool)
    mix = torch.randn(3, feat.shape[1], dtype=torch.float64, generator=generator(1))
    pos = torch.randn(len(feat), 3, dtype=torch.float64, generator=generator(2))
    expect_forces("forces", pool, lambda pos: project(_row(pool, graph, torch.sin(pos @ mix) + feat)), pos)


def save_load(make: Make) -> None:
    """A pool that loads another's state gives the same output."""
    pool, other = seeded(make), seeded(make, seed=1)
    other.load_state_dict(pool.state_dict())
    graph, feat, _ = _together(pool)
    expect_close("save_load", _row(other, graph, feat), _row(pool, graph, feat), 0)


def same_seed(make: Make) -> None:
    """The same seed gives the same result."""
    pool, again = seeded(make), seeded(make)
    graph, feat, _ = _together(pool)
    expect_close("same_seed", _row(again, graph, feat), _row(pool, graph, feat), 0)


def bad_input(make: Make) -> None:
    """Wrong widths and lengths and integers get one sentence each; the result is as wide as ``out_feats`` says."""
    pool = seeded(make)
    graph, feat, _ = _together(pool)
    expect_error("bad_input", "a wrong width", lambda: _row(pool, graph, feat[:, 1:]))
    expect_error("bad_input", "too few rows", lambda: _row(pool, graph, feat[1:]))
    expect_error("bad_input", "integer features", lambda: _row(pool, graph, feat.long()))
    if _row(pool, graph, feat).shape != (graph.batch_size, pool.out_feats):
        raise LawBroken(f"bad_input: expected [{graph.batch_size}, {pool.out_feats}]")


#: The laws of pools by name.
POOL_LAWS: dict[str, Callable[[Make], None]] = {
    "equivariance": invariance,
    **{law.__name__: law for law in (batching, isolated, gradients, forces, save_load, same_seed, bad_input)},
}


def _pairs(decoder: Any, pairs: int = 7) -> tuple[Tensor, Tensor, Tensor | None]:
    src, dst = (torch.randn(pairs, decoder.in_feats, generator=generator(i), dtype=torch.float64) for i in (1, 2))
    rels = getattr(decoder, "num_rels", 0)
    return src, dst, torch.randint(rels, (pairs,), generator=generator(3)) if rels else None


def decoder_batching(make: Make) -> None:
    """Pairs are scored one by one, and ranking scores each as scoring does."""
    decoder = seeded(make)
    src, dst, rel = _pairs(decoder)
    scores = decoder(src, dst, rel)
    one = [decoder(src[i : i + 1], dst[i : i + 1], None if rel is None else rel[i : i + 1]) for i in range(len(src))]
    expect_close("batching", torch.cat(one), scores)
    expect_close("batching of ranks", decoder.against(src, dst, rel).diagonal(), scores)
    if decoder(src[:0], dst[:0], None if rel is None else rel[:0]).shape != (0,):
        raise LawBroken("batching: no pairs must give no scores")


def decoder_gradients(make: Make) -> None:
    """Every parameter gets a gradient, and so do the rows."""
    decoder = seeded(make, train=True)
    src, dst, rel = _pairs(decoder, 12)
    src.requires_grad_(True)
    if list(decoder.parameters()):
        expect_gradients("gradients", decoder, lambda: project(decoder(src, dst, rel)))
    if not torch.autograd.grad(project(decoder(src, dst, rel)), src)[0].any():
        raise LawBroken("gradients: the rows get none")


def decoder_save_load(make: Make) -> None:
    """A decoder that loads another's state gives the same scores."""
    decoder, other = seeded(make), seeded(make, seed=1)
    other.load_state_dict(decoder.state_dict())
    expect_close("save_load", other(*_pairs(decoder)), decoder(*_pairs(decoder)), 0)


def decoder_bad_input(make: Make) -> None:
    """Missing relations and ids out of range get one sentence."""
    decoder = seeded(make)
    src, dst, rel = _pairs(decoder)
    if rel is not None:
        expect_error("bad_input", "no relations", lambda: decoder(src, dst))
        expect_error("bad_input", "a relation out of range", lambda: decoder(src, dst, rel + decoder.num_rels))


#: The laws of decoders by name.
DECODER_LAWS: dict[str, Callable[[Make], None]] = {
    "batching": decoder_batching,
    "gradients": decoder_gradients,
    "save_load": decoder_save_load,
    "bad_input": decoder_bad_input,
}


def check_pool(
    pool: Callable[..., nn.Module], in_feats: int = 5, declines: Iterable[str] = (), **arguments: Any
) -> list[str]:
    """Run the laws of pools over ``pool(in_feats, **arguments)``; return the names of those that hold.

    Raises
    ------
    LawBroken
        If a law does not hold.

    Examples
    --------
    >>> from graphkit.nn import MeanPool
    >>> "batching" in check_pool(MeanPool)
    True
    """
    return run_laws(POOL_LAWS, (lambda: pool(in_feats, **arguments),), declines)


def check_decoder(
    decoder: Callable[..., nn.Module], in_feats: int = 5, declines: Iterable[str] = (), **arguments: Any
) -> list[str]:
    """Run the laws of decoders over ``decoder(in_feats, **arguments)``; return the names of those that hold.

    Raises
    ------
    LawBroken
        If a law does not hold.

    Examples
    --------
    >>> from graphkit.heads import DotDecoder
    >>> "batching" in check_decoder(DotDecoder)
    True
    """
    return run_laws(DECODER_LAWS, (lambda: decoder(in_feats, **arguments),), declines)
