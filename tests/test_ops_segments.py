"""Segments, dense forms, degrees, self-loops and pairs; threads; and a potential trained on its forces."""

from __future__ import annotations

import dgl
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from graphkit import ops
from graphkit._kernels.common import cuts, over_rows
from graphkit._kernels.simd import exp_first
from graphkit._kernels.sort import counting_sort

OFFSETS = torch.tensor([0, 2, 2, 5, 6])


def _rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "std"])
def test_segment_reduce_is_edge_reduce_over_segments(reduce: str) -> None:
    feat = _rand(6, 2)
    ids = ops.segment_ids(OFFSETS)
    graph = dgl.create_block((torch.arange(6), ids), num_src_nodes=6, num_dst_nodes=4)
    torch.testing.assert_close(ops.segment_reduce(feat, OFFSETS, reduce), ops.spmm(graph, feat, reduce=reduce))
    assert gradcheck(lambda x: ops.segment_reduce(x, OFFSETS, reduce), feat)
    assert gradgradcheck(lambda x: ops.segment_reduce(x, OFFSETS, reduce), feat)
    assert ops.segment_reduce(feat[:0], torch.tensor([0]), reduce).shape == (0, 2)
    assert ops.segment_reduce(feat[:0], torch.tensor([0, 0]), reduce).eq(0).all()


def test_segment_softmax() -> None:
    score = _rand(6, 2)
    out = ops.segment_softmax(score, OFFSETS)
    torch.testing.assert_close(out[2:5], score[2:5].softmax(0))
    assert gradcheck(lambda s: ops.segment_softmax(s, OFFSETS), score)
    assert gradgradcheck(lambda s: ops.segment_softmax(s, OFFSETS), score)


def test_dense_and_back() -> None:
    feat = _rand(6, 2)
    dense, mask = ops.to_dense(feat, OFFSETS)
    assert dense.shape == (4, 3, 2) and mask.sum(1).tolist() == [2, 0, 3, 1]
    assert dense[~mask].eq(0).all() and torch.equal(ops.from_dense(dense, mask), feat)
    assert gradcheck(lambda x: ops.to_dense(x, OFFSETS)[0], feat)
    assert gradgradcheck(lambda x: ops.from_dense(ops.to_dense(x, OFFSETS)[0].square(), mask), feat)
    assert ops.to_dense(feat[:0], torch.tensor([0]))[0].shape == (0, 0, 2)


def test_degrees_and_rows_of_a_block_are_those_of_its_parent() -> None:
    graph = dgl.graph(([0, 1, 3, 2], [2, 2, 2, 0]))
    assert ops.degrees(graph).tolist() == [1, 0, 3, 0] and ops.degrees(graph, "out").tolist() == [1, 1, 1, 1]
    block = dgl.to_block(graph, torch.tensor([2, 0]))
    assert ops.degrees(block).tolist() == [3, 1]
    block.dstdata["gk_in_degrees"] = torch.tensor([7, 8])
    block.srcdata["gk_out_degrees"] = torch.tensor([4, 5, 6, 7])
    assert ops.degrees(block).tolist() == [7, 8] and ops.degrees(block, "out").tolist() == [4, 5, 6, 7]
    assert ops.dst_rows(block, torch.arange(4)).tolist() == [0, 1]
    assert ops.dst_rows(graph, torch.arange(4)).tolist() == [0, 1, 2, 3]
    weight = torch.tensor([0.5, 1, 2, 3], requires_grad=True)
    assert ops.degrees(graph, "in", weight).tolist() == [3, 0, 3.5, 0]
    assert ops.degrees(graph, "out", weight).tolist() == [0.5, 1, 3, 2]
    assert ops.degrees(graph, like=weight.double()).dtype == torch.float64


def test_self_loops_and_offsets() -> None:
    graph = dgl.batch([dgl.graph(([0, 1], [1, 0])), dgl.graph(([0], [0]))])
    loops = ops.add_self_loops(graph)
    assert loops.edges()[0].tolist() == [0, 1, 2, 0, 1, 2] and loops.batch_num_nodes().tolist() == [2, 1]
    assert ops.pad_self_loops(graph, torch.zeros(3, 2), 5.0)[:, 0].tolist() == [0, 0, 0, 5, 5, 5]
    assert ops.pad_self_loops(graph, None) is None
    assert ops.offsets(graph).tolist() == [0, 2, 3] and ops.offsets(loops).tolist() == [0, 2, 3]


def test_pair_index_finds_the_lowest_of_several_edges() -> None:
    graph = dgl.graph(([0, 2, 2, 1], [1, 0, 0, 1]), num_nodes=4)
    src, dst = torch.tensor([2, 0, 1, 1, 3]), torch.tensor([0, 1, 1, 0, 3])
    assert ops.pair_index(graph, src, dst).tolist() == [1, 0, 3, -1, -1]
    assert ops.pair_index(dgl.graph(([], []), num_nodes=2), src[1:2], dst[1:2]).tolist() == [-1]
    assert ops.pair_index(graph, src[:0], dst[:0]).tolist() == []


def test_rows_are_cut_evenly_and_each_runs_once() -> None:
    indptr = np.array([0, 0, 100, 100, 101, 150, 150])
    for parts in (1, 2, 3, 10):
        bounds = cuts(indptr, parts)
        assert bounds[0] == 0 and bounds[-1] == 6 and (np.diff(bounds) >= 0).all()
        seen = np.zeros(6, np.int64)

        def mark(low: int, high: int, _: np.ndarray, seen: np.ndarray) -> None:
            seen[low:high] += 1

        over_rows(mark, parts, indptr, seen)
        assert (seen == 1).all()


def test_two_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphkit.ops import _attention, _linear, _stats

    torch.manual_seed(0)
    graph = dgl.rand_graph(40, 300)
    x, s = torch.randn(40, 2, 4, dtype=torch.float64), torch.randn(40, 2, dtype=torch.float64)
    a = torch.randn(2, 4, dtype=torch.float64)

    def run() -> list[torch.Tensor]:
        inputs = [a.clone().requires_grad_() for a in (x, s, a)]
        y = ops.attention(graph, inputs[0], inputs[1], inputs[1]) + ops.attention_v2(
            graph, inputs[0], inputs[0], inputs[2]
        )
        y = y + ops.spmm(graph, inputs[0]) + ops.spmm(graph, inputs[0], reduce="max") + ops.spmm(graph, y, reduce="std")
        return [y, *torch.autograd.grad(y.square().sum(), inputs)]

    one = run()
    for module in (_attention, _linear, _stats):
        monkeypatch.setattr(module, "threads_for", lambda work: 2)
    for a, b in zip(one, run(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("version", [1, 2])
def test_attention_of_hubs_over_many_chunks(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """One row takes more edges than a chunk holds, on either side, with maxima in a late chunk."""
    from graphkit.ops import _linear

    torch.manual_seed(0)
    ends = torch.randint(0, 20, (2, 300))
    ends[0, :150], ends[1, 100:250] = 3, 5
    graph = dgl.graph((ends[0], ends[1]), num_nodes=20)
    x, z = (torch.randn(20, 2, 8, dtype=torch.float64).requires_grad_() for _ in range(2))
    extra = torch.linspace(-9, 9, 600, dtype=torch.float64).view(300, 2).requires_grad_()
    weight = torch.rand(300, 2, dtype=torch.float64).requires_grad_()

    def run() -> list[torch.Tensor]:
        if version == 1:
            out = ops.attention(graph, x, x.sum(-1), z.sum(-1), extra, weight)
        else:
            out = ops.attention_v2(graph, x, z, z[0] * 3, extra.unsqueeze(-1).expand(300, 2, 8), weight)
        return [out, *torch.autograd.grad(out.sin().sum(), [x, z, extra, weight])]

    here = run()
    monkeypatch.setattr(_linear, "compiled", lambda *tensors: False)
    for one, other in zip(here, run(), strict=True):
        torch.testing.assert_close(one, other)


def test_exponential_of_singles() -> None:
    exact = np.concatenate([np.linspace(-87, 88, 5001), [0.0]])
    values = exact.astype(np.float32)
    exact = np.exp(values.astype(np.float64))
    exp_first(values, len(values))
    np.testing.assert_allclose(values, exact, rtol=2.5e-7)
    special = np.array([-np.inf, -200, np.nan], np.float32)
    exp_first(special, 3)
    assert special[0] == special[1] == 0 and np.isnan(special[2])


def test_counting_sort_is_stable() -> None:
    keys = np.random.default_rng(0).integers(0, 5, 100)
    start, order = np.zeros(6, np.int64), np.empty(100, np.int64)
    counting_sort(keys, start, order)
    np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))
    np.testing.assert_array_equal(np.diff(start), np.bincount(keys, minlength=5))


def _force_loss(kind: str, weights: list[torch.Tensor], graph: dgl.DGLGraph, pos: torch.Tensor) -> torch.Tensor:
    """Positions, distances, radial edge features, attention, energy, forces, and a loss on the forces."""
    pos = pos.requires_grad_()
    away = ops.gather_src(graph, pos) - ops.gather_dst(graph, pos)
    distance = away.square().sum(-1).sqrt()
    radial = torch.stack([(-distance).exp(), (-(distance**2)).exp(), 1 / (1 + distance), distance], -1)
    node = ops.edge_reduce(graph, radial @ weights[0]).tanh().view(-1, 2, 3)
    edge = radial @ weights[1]
    if kind == "gat":
        hidden = ops.attention(graph, node, node.sum(-1), node.prod(-1), edge[:, :2], (-distance).exp())
    elif kind == "gatv2":
        hidden = ops.attention_v2(graph, node, node.flip(0), weights[2], edge.view(-1, 2, 3), (-distance).exp())
    else:
        alpha = ops.edge_softmax(graph, ops.sddmm(graph, node, node) + edge[:, :2])
        hidden = ops.spmm(graph, node, alpha) + ops.spmm(graph, node, reduce="std")
    energy = ops.segment_reduce(hidden.flatten(1), torch.tensor([0, len(pos)])).square().sum()
    (minus_force,) = torch.autograd.grad(energy, pos, create_graph=True)
    return (minus_force + 0.3).square().mean()


@pytest.mark.parametrize("kind", ["gat", "gatv2", "composed"])
def test_force_training(kind: str) -> None:
    """The gradient of a loss on forces is a second derivative; it equals finite differences to 1e-6."""
    torch.manual_seed(0)
    graph = dgl.graph(([0, 1, 2, 3, 4, 0, 2, 1], [1, 0, 3, 2, 0, 4, 1, 3]), num_nodes=6)
    pos = torch.randn(6, 3, dtype=torch.float64)
    weights = [torch.randn(*s, dtype=torch.float64).requires_grad_() for s in ((4, 6), (4, 6), (2, 3))]
    found = torch.autograd.grad(_force_loss(kind, weights, graph, pos), weights, allow_unused=True)
    step = 1e-5
    for weight, gradient in zip(weights, found, strict=True):
        for i in range(weight.numel()):
            values = []
            for sign in (1, -1):
                moved = [w.detach().clone() for w in weights]
                moved[[w is weight for w in weights].index(True)].view(-1)[i] += sign * step
                values.append(_force_loss(kind, moved, graph, pos.detach().clone()).item())
            slope = (values[0] - values[1]) / (2 * step)
            analytic = 0.0 if gradient is None else gradient.view(-1)[i].item()
            assert abs(slope - analytic) < 1e-6 * max(1.0, abs(slope))


@pytest.mark.parametrize("seed", [0, 1])
def test_what_other_devices_run_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The scatters that stand in for the kernels elsewhere, run on the CPU."""
    from graphkit.ops import _linear

    torch.manual_seed(seed)
    graph = dgl.rand_graph(12, 30)
    types = torch.randint(0, 3, (12,))
    x, z = (torch.randint(-2, 3, (12, 2, 4)).double().requires_grad_() for _ in range(2))
    s, e, w = (torch.randn(n, 2, dtype=torch.float64).requires_grad_() for n in (12, 30, 30))
    m = torch.randn(3, 4, 5, dtype=torch.float64).requires_grad_()

    def run() -> list[torch.Tensor]:
        outs = [ops.spmm(graph, x, reduce=reduce) for reduce in ("sum", "mean", "max", "min", "std")]
        outs += [ops.spmm(graph, x, w), ops.sddmm(graph, x, z), ops.edge_softmax(graph, e), ops.gather_src(graph, x)]
        outs += [ops.edge_reduce(graph, e, reduce) for reduce in ("sum", "max", "std")]
        outs += [ops.attention(graph, x, s, s, e, w), ops.attention_v2(graph, x, z, z[0]), ops.multi_reduce(graph, x)]
        outs += [ops.typed_matmul(x[:, 0], m, types), ops.segment_reduce(s, torch.tensor([0, 5, 5, 12]), "max")]
        total = sum((out.sin() * (i + 1)).sum() for i, out in enumerate(outs))
        return [*outs, *torch.autograd.grad(total, [x, z, s, e, w, m])]

    here = run()
    monkeypatch.setattr(_linear, "compiled", lambda *tensors: False)
    for one, other in zip(here, run(), strict=True):
        torch.testing.assert_close(one, other)
