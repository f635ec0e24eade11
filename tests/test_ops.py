"""Ops against NumPy, and their first and second derivatives, on every kind of graph."""

from __future__ import annotations

import dgl
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from graphkit import GraphKitError, ops
from graphkit.ops._stats import STD_EPS

REDUCES = ("sum", "mean", "max", "min", "std")


def _multi() -> dgl.DGLGraph:
    """Multi-edges, a loop, node 3 without in-edges, node 4 without any; edges not sorted by destination."""
    return dgl.graph(([0, 1, 0, 0, 2, 3, 1], [2, 0, 1, 1, 2, 0, 0]), num_nodes=5)


def _block() -> dgl.DGLGraph:
    return dgl.to_block(dgl.graph(([0, 1, 5, 5], [2, 2, 3, 3]), num_nodes=6), torch.tensor([2, 4, 3]))


def _slice() -> dgl.DGLGraph:
    data = {("node", "in", "hyperedge"): ([0, 1, 1, 3], [1, 0, 1, 1]), ("hyperedge", "has", "node"): ([0], [1])}
    return dgl.heterograph(data, {"node": 4, "hyperedge": 3})["in"]


GRAPHS = {
    "multi": _multi,
    "sorted": lambda: dgl.graph(([1, 2, 0, 2], [0, 0, 1, 3]), num_nodes=4),
    "no edges": lambda: dgl.graph(([], []), num_nodes=3),
    "no nodes": lambda: dgl.graph(([], []), num_nodes=0),
    "batched": lambda: dgl.batch([dgl.graph(([0], [1])), dgl.graph(([], []), num_nodes=1), _multi()]),
    "block": _block,
    "relation": _slice,
    "int32": lambda: _multi().int(),
}


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> dgl.DGLGraph:
    return GRAPHS[request.param]()


def _sizes(graph: dgl.DGLGraph) -> tuple[int, int, int]:
    return graph.num_src_nodes(), graph.num_dst_nodes(), graph.num_edges()


def _rand(*shape: int) -> torch.Tensor:
    seed = torch.Generator().manual_seed(len(shape) * 1000 + sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=seed).requires_grad_()


def _edges(graph: dgl.DGLGraph) -> tuple[np.ndarray, np.ndarray]:
    src, dst = graph.edges(order="eid")
    return src.numpy(), dst.numpy()


def reduce_numpy(message: np.ndarray, dst: np.ndarray, num_dst: int, reduce: str) -> np.ndarray:
    out = np.zeros((num_dst, *message.shape[1:]))
    for v in range(num_dst):
        mine = message[dst == v]
        if len(mine) == 0:
            continue
        if reduce == "std":
            out[v] = np.sqrt(mine.var(0) + STD_EPS)
        else:
            out[v] = getattr(np, reduce)(mine, axis=0)
    return out


def softmax_numpy(score: np.ndarray, dst: np.ndarray) -> np.ndarray:
    out = np.zeros_like(score)
    for v in set(dst.tolist()):
        top = np.exp(score[dst == v] - score[dst == v].max(0))
        out[dst == v] = top / top.sum(0)
    return out


def check(function, *inputs: torch.Tensor) -> None:
    """First and second derivatives against finite differences."""
    inputs = tuple(x for x in inputs if x.numel())
    if not inputs:
        return
    # Large Jacobians are compared along a random direction.
    fast = sum(x.numel() for x in inputs) > 30
    assert gradcheck(function, inputs, fast_mode=fast)
    assert gradgradcheck(function, inputs, fast_mode=fast)


@pytest.mark.parametrize("reduce", REDUCES)
@pytest.mark.parametrize("weighted", [None, "edge", "head", "feature"])
def test_spmm(graph: dgl.DGLGraph, reduce: str, weighted: str | None) -> None:
    num_src, num_dst, num_edges = _sizes(graph)
    src, dst = _edges(graph)
    feat = _rand(num_src, 2, 3)
    shape = {"edge": (1, 1), "head": (2, 1), "feature": (2, 3), None: (1, 1)}[weighted]
    weight = _rand(num_edges, *shape) if weighted else None
    given = None if weight is None else weight.reshape(num_edges, *(n for n in shape if n > 1))
    factor = np.ones((num_edges, 1, 1)) if weight is None else weight.detach().numpy()
    expected = reduce_numpy(feat.detach().numpy()[src] * factor, dst, num_dst, reduce)
    np.testing.assert_allclose(ops.spmm(graph, feat, given, reduce).detach(), expected, atol=1e-12)
    single = ops.spmm(graph, feat.float(), None if given is None else given.float(), reduce)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.detach(), expected, atol=1e-5)
    if num_edges == 0:
        assert torch.autograd.grad(ops.spmm(graph, feat, given, reduce).sum(), feat)[0].eq(0).all()
    elif weight is None:
        check(lambda x: ops.spmm(graph, x, None, reduce), feat)
    else:
        leading = tuple(n for n in shape if n > 1)
        check(lambda x, w: ops.spmm(graph, x, w.reshape(num_edges, *leading), reduce), feat, weight)


@pytest.mark.parametrize("reduce", REDUCES)
def test_edge_reduce(graph: dgl.DGLGraph, reduce: str) -> None:
    _, num_dst, num_edges = _sizes(graph)
    edge_feat = _rand(num_edges, 3)
    expected = reduce_numpy(edge_feat.detach().numpy(), _edges(graph)[1], num_dst, reduce)
    np.testing.assert_allclose(ops.edge_reduce(graph, edge_feat, reduce).detach(), expected, atol=1e-12)
    check(lambda x: ops.edge_reduce(graph, x, reduce), edge_feat)


@pytest.mark.parametrize("op", ["dot", "add", "mul"])
def test_sddmm(graph: dgl.DGLGraph, op: str) -> None:
    num_src, num_dst, _ = _sizes(graph)
    src, dst = _edges(graph)
    x, z = _rand(num_src, 2, 3), _rand(num_dst, 2, 3)
    mine, other = x.detach().numpy()[src], z.detach().numpy()[dst]
    expected = {"dot": (mine * other).sum(-1), "add": mine + other, "mul": mine * other}[op]
    np.testing.assert_allclose(ops.sddmm(graph, x, z, op).detach(), expected, atol=1e-12)
    if num_src and num_dst:
        check(lambda a, b: ops.sddmm(graph, a, b, op), x, z)


def test_gathers(graph: dgl.DGLGraph) -> None:
    num_src, num_dst, _ = _sizes(graph)
    src, dst = _edges(graph)
    for gather, rows, ids in ((ops.gather_src, num_src, src), (ops.gather_dst, num_dst, dst)):
        x = _rand(rows, 2)
        np.testing.assert_array_equal(gather(graph, x).detach(), x.detach().numpy()[ids])
        np.testing.assert_array_equal(gather(graph, torch.arange(rows)), ids)
        check(lambda y, gather=gather: gather(graph, y), x)


@pytest.mark.parametrize("heads", [None, 2])
def test_edge_softmax(graph: dgl.DGLGraph, heads: int | None) -> None:
    num_edges = graph.num_edges()
    score = _rand(num_edges, heads) if heads else _rand(num_edges)
    expected = softmax_numpy(score.detach().numpy(), _edges(graph)[1])
    np.testing.assert_allclose(ops.edge_softmax(graph, score).detach(), expected, atol=1e-12)
    check(lambda s: ops.edge_softmax(graph, s), score)


@pytest.mark.parametrize("score_edge", [False, True])
@pytest.mark.parametrize("weighted", [0, 1, 2])
def test_attention(graph: dgl.DGLGraph, score_edge: bool, weighted: int) -> None:
    num_src, num_dst, num_edges = _sizes(graph)
    src, dst = _edges(graph)
    x, s, t = _rand(num_src, 2, 3), _rand(num_src, 2), _rand(num_dst, 2)
    r = _rand(num_edges, 2) if score_edge else None
    w = (_rand(num_edges) if weighted == 1 else _rand(num_edges, 2)) if weighted else None
    score = s.detach().numpy()[src] + t.detach().numpy()[dst] + (0 if r is None else r.detach().numpy())
    alpha = softmax_numpy(np.where(score > 0, score, 0.2 * score), dst)
    alpha = alpha * (1 if w is None else w.detach().numpy().reshape(num_edges, weighted))
    expected = reduce_numpy(x.detach().numpy()[src] * alpha[..., None], dst, num_dst, "sum")
    np.testing.assert_allclose(ops.attention(graph, x, s, t, r, w).detach(), expected, atol=1e-12)
    extra = [a for a in (r, w) if a is not None]

    def run(x, s, t, *extra):
        rest = list(extra)
        return ops.attention(graph, x, s, t, rest.pop(0) if score_edge else None, rest.pop(0) if weighted else None)

    if num_src and num_dst and (num_edges or not extra):
        check(run, x, s, t, *extra)


@pytest.mark.parametrize("hidden_edge", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_attention_v2(graph: dgl.DGLGraph, hidden_edge: bool, weighted: bool) -> None:
    num_src, num_dst, num_edges = _sizes(graph)
    src, dst = _edges(graph)
    x, y, a = _rand(num_src, 2, 3), _rand(num_dst, 2, 3), _rand(2, 3)
    r = _rand(num_edges, 2, 3) if hidden_edge else None
    w = _rand(num_edges) if weighted else None
    hidden = x.detach().numpy()[src] + y.detach().numpy()[dst] + (0 if r is None else r.detach().numpy())
    alpha = softmax_numpy((np.where(hidden > 0, hidden, 0.2 * hidden) * a.detach().numpy()).sum(-1), dst)
    alpha = alpha * (1 if w is None else w.detach().numpy()[:, None])
    expected = reduce_numpy(x.detach().numpy()[src] * alpha[..., None], dst, num_dst, "sum")
    np.testing.assert_allclose(ops.attention_v2(graph, x, y, a, r, w).detach(), expected, atol=1e-12)
    extra = [b for b in (r, w) if b is not None]

    def run(x, y, a, *extra):
        rest = list(extra)
        return ops.attention_v2(graph, x, y, a, rest.pop(0) if hidden_edge else None, rest.pop(0) if weighted else None)

    if num_src and num_dst and (num_edges or not extra):
        check(run, x, y, a, *extra)


@pytest.mark.parametrize("version", [1, 2])
def test_fused_gradients_equal_composed_ones(version: int) -> None:
    """On a graph with long and short rows, in both precisions, with and without what is optional."""
    torch.manual_seed(0)
    src, dst = torch.randint(0, 60, (900,)), torch.randint(0, 50, (900,)) ** 2 // 60
    graph = dgl.graph((src, dst), num_nodes=64)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 2e-4)):
        for depth in (1, 5, 8, 16):
            x = torch.randn(64, 4, depth, dtype=dtype)
            first = [
                x,
                torch.randn(64, 4, dtype=dtype),
                torch.randn(64, 4, dtype=dtype),
                torch.randn(900, 4, dtype=dtype),
            ]
            second = [x, torch.randn_like(x), torch.randn_like(x[0]), torch.randn(900, 4, depth, dtype=dtype)]
            inputs = [*(first if version == 1 else second), torch.rand(900, dtype=dtype)]
            inputs = [value.requires_grad_() for value in inputs]
            call = ops.attention if version == 1 else ops.attention_v2
            out = call(graph, *inputs)
            pull = torch.randn_like(out)
            fused = torch.autograd.grad(out, inputs, pull, retain_graph=True)
            composed = torch.autograd.grad(out, inputs, pull, create_graph=True)
            for one, two in zip(fused, composed, strict=True):
                torch.testing.assert_close(one, two, atol=tolerance, rtol=tolerance)


def test_attention_dropout_is_drawn_from_the_generator() -> None:
    graph = dgl.rand_graph(50, 2000)
    x, zero = torch.ones(50, 2, 3), torch.zeros(50, 2)

    def run(seed: int) -> torch.Tensor:
        return ops.attention(graph, x, zero, zero, attn_drop=0.5, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(run(1), run(1)) and not torch.equal(run(1), run(2))
    assert abs(run(1).mean().item() - 1) < 0.05
    assert torch.equal(run(1)[..., 0], run(1)[..., 1])
    with pytest.raises(GraphKitError, match="attn_drop"):
        ops.attention(graph, x, zero, zero, attn_drop=1.0)


def test_multi_reduce(graph: dgl.DGLGraph) -> None:
    num_src, num_dst, _ = _sizes(graph)
    src, dst = _edges(graph)
    feat = _rand(num_src, 3)
    out = ops.multi_reduce(graph, feat, ("mean", "min", "max", "std", "sum"))
    for i, reduce in enumerate(("mean", "min", "max", "std", "sum")):
        expected = reduce_numpy(feat.detach().numpy()[src], dst, num_dst, reduce)
        np.testing.assert_allclose(out[:, i].detach(), expected, atol=1e-12)
    check(lambda x: ops.multi_reduce(graph, x), feat)


@pytest.mark.parametrize("types", [[1, 0, 1, 3, 0], [0, 0, 1, 3, 3], []])
def test_typed_matmul(types: list[int]) -> None:
    feat, weight, ids = _rand(len(types), 3), _rand(4, 3, 2), torch.tensor(types, dtype=torch.int64)
    expected = torch.einsum("ni,nio->no", feat, weight[ids])
    torch.testing.assert_close(ops.typed_matmul(feat, weight, ids), expected)
    if types:
        check(lambda x, w: ops.typed_matmul(x, w, ids), feat, weight)
    with pytest.raises(GraphKitError, match="weight matrices"):
        ops.typed_matmul(_rand(1, 3), weight, torch.tensor([4]))


def test_gradient_of_tied_extremes_goes_to_the_first_edge() -> None:
    graph = dgl.graph(([2, 1, 0], [3, 3, 3]), num_nodes=4)
    for reduce in ("max", "min"):
        x = torch.ones(4, 2, requires_grad=True)
        ops.spmm(graph, x, reduce=reduce).sum().backward()
        assert x.grad.tolist() == [[0, 0], [0, 0], [1, 1], [0, 0]]


def test_extremes_of_nan_are_nan() -> None:
    graph = dgl.graph(([0, 1, 2], [3, 3, 3]), num_nodes=4)
    x = torch.tensor([[1.0], [float("nan")], [5.0], [0.0]])
    assert ops.spmm(graph, x, reduce="max")[3].isnan() and ops.spmm(graph, x, reduce="min")[3].isnan()


def test_std_of_equal_neighbours_has_a_gradient() -> None:
    graph = dgl.graph(([0, 1], [2, 2]), num_nodes=3)
    x = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    check(lambda y: ops.spmm(graph, y, reduce="std"), x)
    check(lambda y: ops.edge_reduce(graph, y[:2], "std"), x)


def test_isolated_rows_add_nothing_to_node_zero() -> None:
    """DGL's max gives the gradient of every row without edges to source 0."""
    graph = dgl.graph(([1], [2]), num_nodes=4)
    x = torch.randn(4, 2, requires_grad=True)
    ops.spmm(graph, x, reduce="max").sum().backward()
    assert x.grad[0].eq(0).all() and x.grad[1].eq(1).all()


def test_weights_on_loops_of_a_changed_graph_are_not_read_from_an_old_structure() -> None:
    graph = dgl.graph(([0, 1], [1, 2]), num_nodes=3)
    x = torch.eye(3)
    before = ops.spmm(graph, x)
    graph.add_edges([2], [1])
    assert ops.spmm(graph, x)[1].tolist() == [1, 0, 1] and before[1].tolist() == [1, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_in_single(dtype: torch.dtype) -> None:
    graph = dgl.graph((torch.zeros(5000, dtype=torch.int64), torch.ones(5000, dtype=torch.int64)))
    out = ops.spmm(graph, torch.ones(2, 1, dtype=dtype), reduce="sum")
    assert out.dtype == dtype and abs(out[1].item() - 5000) < 20


def test_bad_input_is_told_in_one_sentence() -> None:
    graph = _multi()
    for call, words in (
        (lambda: ops.spmm(graph, torch.ones(4, 2)), "5 source nodes"),
        (lambda: ops.spmm(graph, torch.ones(5, 2, dtype=torch.int64)), "floating-point"),
        (lambda: ops.spmm(graph, torch.ones(5, 2), torch.ones(3)), "7 edges"),
        (lambda: ops.spmm(graph, torch.ones(5, 2, 3), torch.ones(7, 5)), "needs"),
        (lambda: ops.spmm(graph, torch.ones(5, 2), reduce="avg"), "unknown reduce"),
        (lambda: ops.sddmm(graph, torch.ones(5, 2), torch.ones(5, 3)), "agree"),
        (lambda: ops.sddmm(graph, torch.ones(5, 2), torch.ones(5, 2), "div"), "unknown op"),
        (lambda: ops.edge_softmax(graph, torch.ones(5)), "7 edges"),
        (lambda: ops.attention(graph, torch.ones(5, 2, 3), torch.ones(5, 3), torch.ones(5, 2)), "2 heads"),
        (lambda: ops.degrees(graph, "both"), "unknown direction"),
        (lambda: ops.gather_src(graph, torch.ones(4)), "5 source nodes"),
        (lambda: ops.segment_reduce(torch.ones(3), torch.tensor([0, 2])), "3 rows"),
        (lambda: ops.segment_reduce(torch.ones(3), torch.tensor([0, 4, 3])), "rise"),
        (lambda: ops.pair_index(graph, torch.tensor([9]), torch.tensor([0])), "expected 0 to 4"),
    ):
        with pytest.raises(GraphKitError, match=words):
            call()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_large_sums_and_their_gradients_run_in_other_kernels_and_agree(weighted, dtype):
    torch.manual_seed(0)
    num_nodes, num_edges, width = 3000, 20_000, 16
    assert num_edges * width >= ops._linear.LARGE
    src, dst = torch.randint(0, num_nodes - 9, (num_edges,)), torch.randint(9, num_nodes, (num_edges,))
    graph = dgl.graph((src, dst), num_nodes=num_nodes)
    feat = torch.randn(num_nodes, width, dtype=dtype, requires_grad=True)
    weight = torch.rand(num_edges, dtype=dtype, requires_grad=True) if weighted else None
    inputs = [x for x in (feat, weight) if x is not None]
    for reduce in ("sum", "mean"):
        got = ops.spmm(graph, feat, weight, reduce)
        message = feat[src] if weight is None else feat[src] * weight[:, None]
        wanted = torch.zeros_like(feat).index_add(0, dst, message)
        if reduce == "mean":
            wanted = wanted / graph.in_degrees().clamp(min=1)[:, None]
        scale = torch.randn_like(got)
        first = [torch.autograd.grad((y.square() * scale).sum(), inputs, create_graph=True) for y in (got, wanted)]
        second = [torch.autograd.grad(sum(g.square().sum() for g in grads), inputs) for grads in first]
        for ours, theirs in zip([got, *first[0], *second[0]], [wanted, *first[1], *second[1]], strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.detach().abs().max()))
        assert got[:9].abs().sum() == 0
