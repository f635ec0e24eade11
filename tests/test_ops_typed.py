"""Typed sums: the same at either end's pairs and by bases, gradients of any order, one sentence per bad input."""

import dgl
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from graphkit import GraphKitError, ops
from graphkit.nn.rgcn import merge_blocks
from graphkit.ops import _pairs, _typed

RELS = 4  # of which relation 2 has no edges


@pytest.fixture
def case():
    draw = torch.Generator().manual_seed(0)
    src, dst = torch.randint(7, (2, 30), generator=draw)
    src[1], dst[1] = src[0], dst[0]  # parallel edges
    etype = torch.tensor([0, 1, 3])[torch.randint(3, (30,), generator=draw)]
    etype[1] = etype[0]
    return dgl.graph((src, dst), num_nodes=9), etype


def expected(graph, x, weight, etype, factor=None):
    src, dst = graph.edges(order="eid")
    full = torch.stack([torch.block_diag(*blocks) for blocks in weight]) if weight.dim() == 4 else weight
    message = (x[src][:, None] @ full[etype])[:, 0]
    message = message if factor is None else message * factor[:, None]
    return torch.zeros(graph.num_dst_nodes(), message.shape[1], dtype=x.dtype).index_add(0, dst, message)


def tensors(blocks=None, edges=30):
    draw = torch.Generator().manual_seed(1)
    shape = (RELS, 6, 4) if blocks is None else (RELS, blocks, 6 // blocks, 4 // blocks)
    made = (torch.randn(size, generator=draw, dtype=torch.float64) for size in ((9, 6), shape, (edges,)))
    return [x.requires_grad_() for x in made]


@pytest.mark.parametrize("rows", [3, 2048])
@pytest.mark.parametrize("blocks", [None, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("end", ["src", "dst"])
def test_either_end_gives_the_sum_over_edges(case, monkeypatch, end, weighted, blocks, rows):
    """The cost model only chooses; blocks of 3 pairs cut relations."""
    monkeypatch.setattr(_typed, "cheaper_end", lambda *_, **__: end)
    monkeypatch.setattr(_pairs, "ROWS", rows)
    monkeypatch.setattr(_typed, "ROWS", rows)
    graph, etype = case
    x, weight, factor = tensors(blocks)
    used = (x, weight, factor) if weighted else (x, weight)
    got = ops.typed_spmm(graph, x, weight, etype, *used[2:])
    wanted = expected(graph, x, weight, etype, *used[2:])
    assert torch.allclose(got, wanted, atol=1e-10)
    pull = torch.randn(got.shape, dtype=torch.float64)
    for a, b in zip(torch.autograd.grad(got, used, pull), torch.autograd.grad(wanted, used, pull), strict=True):
        assert torch.allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("end", ["src", "dst"])
def test_typed_sum_has_gradients_of_any_order(case, monkeypatch, end):
    monkeypatch.setattr(_typed, "cheaper_end", lambda *_, **__: end)
    graph, etype = case

    def run(x, weight, factor):
        return ops.typed_spmm(graph, x, weight, etype, factor)

    assert gradcheck(run, tensors())
    assert gradgradcheck(run, tensors())


@pytest.mark.parametrize("widths", [(6, 4), (4, 6)])
@pytest.mark.parametrize("cheap", [False, True])
def test_bases_are_summed_or_mixed_alike(case, monkeypatch, cheap, widths):
    monkeypatch.setattr(_typed, "by_basis", lambda *_: cheap)
    monkeypatch.setattr("graphkit.ops.typed.by_basis", lambda *_: cheap)
    graph, etype = case
    x = torch.randn(9, widths[0], dtype=torch.float64, requires_grad=True)
    bases = torch.randn(2, *widths, dtype=torch.float64, requires_grad=True)
    coeff = torch.randn(RELS, 2, dtype=torch.float64, requires_grad=True)
    factor = torch.rand(30, dtype=torch.float64, requires_grad=True)
    got = ops.typed_spmm(graph, x, bases, etype, factor, coeff)
    wanted = expected(graph, x, torch.einsum("rb,bio->rio", coeff, bases), etype, factor)
    assert torch.allclose(got, wanted, atol=1e-10)
    used = (x, bases, coeff, factor)
    for a, b in zip(torch.autograd.grad(got.sum(), used), torch.autograd.grad(wanted.sum(), used), strict=True):
        assert torch.allclose(a, b, atol=1e-10)


def test_few_bases_of_wide_matrices_are_summed_basis_by_basis(case):
    ends = _typed.Ends(*case, RELS)
    assert _typed.by_basis(ends, torch.empty(1, 1, 500, 500), torch.empty(RELS, 1))
    assert not _typed.by_basis(ends, torch.empty(8, 1, 64, 64), torch.empty(RELS, 8))


def test_pairs_of_the_end_with_fewer_are_taken():
    """Every edge leaves node 0: one pair of sources, many of destinations."""
    graph = dgl.graph((torch.zeros(200, dtype=torch.int64), torch.arange(200)))
    ends = _typed.Ends(graph, torch.zeros(200, dtype=torch.int64), 1)
    assert _typed.cheaper_end(ends, torch.empty(1, 1, 64, 64), 1) == "src"
    other = _typed.Ends(dgl.reverse(graph), torch.zeros(200, dtype=torch.int64), 1)
    assert _typed.cheaper_end(other, torch.empty(1, 1, 64, 64), 1) == "dst"


def test_merged_blocks_are_the_same_matrix():
    weight = torch.randn(2, 6, 3, 2)
    merged = merge_blocks(weight, 9)
    assert merged.shape == (2, 2, 9, 6)
    for small, large in zip(weight, merged, strict=True):
        assert torch.equal(torch.block_diag(*small), torch.block_diag(*large))


def test_no_edges_give_zero():
    graph, etype = dgl.graph(([], []), num_nodes=3), torch.zeros(0, dtype=torch.int64)
    x, weight = torch.ones(3, 6, requires_grad=True), torch.ones(RELS, 6, 4, requires_grad=True)
    out = ops.typed_spmm(graph, x, weight, etype)
    assert out.shape == (3, 4)
    assert not out.any()
    assert all(not g.any() for g in torch.autograd.grad(out.sum(), (x, weight)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"feat": torch.ones(9, 5)}, r"expected feat \[Nsrc, Din\]"),
        ({"feat": torch.ones(8, 6)}, "source nodes"),
        ({"etype": torch.full((30,), RELS)}, f"etype holds id {RELS}"),
        ({"etype": torch.zeros(29, dtype=torch.int64)}, "etype has shape"),
        ({"edge_weight": torch.ones(30, 2)}, r"expected edge_weight \[E\]"),
        ({"coeff": torch.ones(RELS, 3)}, r"expected coeff \[R, B\]"),
    ],
)
def test_bad_input_gets_a_sentence(case, change, words):
    graph, etype = case
    good = {"feat": torch.ones(9, 6), "weight": torch.ones(RELS, 6, 4), "etype": etype}
    with pytest.raises(GraphKitError, match=words):
        ops.typed_spmm(graph, **(good | change))


def test_unknown_end_gets_a_sentence(case):
    with pytest.raises(GraphKitError, match="src"):
        ops.compact(*case, RELS, "sources")


def rgat_inputs():
    draw = torch.Generator().manual_seed(2)
    sizes = ((9, 6), (RELS, 6, 4), (RELS, 2, 2), (RELS, 2, 2), (30,))
    return [torch.randn(size, generator=draw, dtype=torch.float64).requires_grad_() for size in sizes]


def rgat_expected(graph, x, weight, a, c, factor, etype):
    src, dst = graph.edges(order="eid")
    z, own = ((x[ends][:, None] @ weight[etype]).view(-1, 2, 2) for ends in (src, dst))
    score = torch.nn.functional.leaky_relu((z * a[etype]).sum(-1) + (own * c[etype]).sum(-1), 0.2)
    alpha = ops.edge_softmax(graph, score) * factor[:, None]
    return ops.edge_reduce(graph, z * alpha[..., None]).flatten(1)


def hgt_inputs():
    draw = torch.Generator().manual_seed(2)
    sizes = ((9, 4), (9, 4), (9, 4), (RELS, 2, 4, 4), (30,))
    return [torch.randn(size, generator=draw, dtype=torch.float64).requires_grad_() for size in sizes]


def hgt_expected(graph, key, value, query, weight, factor, etype):
    src, dst = graph.edges(order="eid")
    k, v = ((x[src][:, None] @ weight[etype, i]).view(-1, 2, 2) for i, x in enumerate((key, value)))
    alpha = ops.edge_softmax(graph, (k * query[dst].view(-1, 2, 2)).sum(-1)) * factor[:, None]
    return ops.edge_reduce(graph, v * alpha[..., None]).flatten(1)


def rgat(graph, etype, x, weight, a, c, factor):
    return ops.typed_attention(graph, x, weight, a, c, etype, factor)


def hgt(graph, etype, key, value, query, weight, factor):
    return ops.typed_dot_attention(graph, key, value, query, weight, etype, 2, factor)


ATTENTIONS = pytest.mark.parametrize(
    ("run", "inputs", "wanted"), [(rgat, rgat_inputs, rgat_expected), (hgt, hgt_inputs, hgt_expected)]
)


@ATTENTIONS
@pytest.mark.parametrize("rows", [3, 2048])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_attention_is_its_sum_over_edges(case, monkeypatch, run, inputs, wanted, rows, scale):
    """Also where the scores are so great that their exponentials overflow."""
    monkeypatch.setattr(_pairs, "ROWS", rows)
    monkeypatch.setattr(_typed, "ROWS", rows)
    graph, etype = case
    used = inputs()
    used[0] = (used[0] * scale).detach().requires_grad_()
    got, expect = run(graph, etype, *used), wanted(graph, *used, etype)
    assert torch.allclose(got, expect, atol=1e-10 * scale)
    pull = torch.randn(got.shape, dtype=torch.float64)
    for a, b in zip(torch.autograd.grad(got, used, pull), torch.autograd.grad(expect, used, pull), strict=True):
        assert torch.allclose(a, b, atol=1e-9 * scale)


@ATTENTIONS
def test_attention_has_gradients_of_any_order(case, run, inputs, wanted):
    graph, etype = case
    assert gradcheck(lambda *x: run(graph, etype, *x), inputs())
    assert gradgradcheck(lambda *x: run(graph, etype, *x), inputs())


@ATTENTIONS
def test_attention_over_no_edges_is_zero(run, inputs, wanted):
    graph, used = dgl.graph(([], []), num_nodes=9), inputs()
    used[-1] = torch.zeros(0, dtype=torch.float64, requires_grad=True)
    out = run(graph, torch.zeros(0, dtype=torch.int64), *used)
    assert out.shape == (9, 4)
    assert not out.any()


@ATTENTIONS
def test_attention_refuses_what_does_not_fit(case, run, inputs, wanted):
    graph, etype = case
    used = [x.detach() for x in inputs()]
    with pytest.raises(GraphKitError, match=f"etype holds id {RELS}"):
        run(graph, torch.full_like(etype, RELS), *used)
    with pytest.raises(GraphKitError, match="weight"):
        run(graph, etype, torch.ones(9, 5), *used[1:])
    with pytest.raises(GraphKitError, match="source nodes"):
        run(graph, etype, used[0][:8], *used[1:])


def test_dropout_of_attention_drops_edges_of_heads(case):
    """Values of one, so that what comes out is the sum of what is kept."""
    graph, etype = case
    ones = torch.ones(9, 1), torch.ones(RELS, 1, 1), torch.zeros(RELS, 1, 1), torch.zeros(RELS, 1, 1)
    torch.manual_seed(0)
    out = ops.typed_attention(graph, *ones, etype, attn_drop=0.5).flatten()
    whole = ops.typed_attention(graph, *ones, etype).flatten()
    assert torch.allclose(whole, (graph.in_degrees() > 0).float())
    assert not torch.allclose(out, whole)
    kept = out / 2 * graph.in_degrees()
    assert torch.allclose(kept, kept.round(), atol=1e-5)
