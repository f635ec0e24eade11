"""Fused attentions at every shape of head beside their plain forms, and columns that come back as one matrix."""

from __future__ import annotations

import dgl
import pytest
import torch

from graphkit import ops
from graphkit.core.errors import GraphKitError
from graphkit.ops import _dot, _linear
from graphkit.ops.columns import empty_like, whole

#: Heads and width of a head: in pairs of eight, whole sixteens, more than eight heads, and what has no fast form.
SHAPES = [(8, 8), (8, 16), (16, 8), (4, 8), (2, 24), (1, 16), (3, 5), (8, 32), (1, 8)]


def hub() -> dgl.DGLGraph:
    """A graph with one destination and one source of more edges than a chunk holds, and an isolated node."""
    torch.manual_seed(0)
    ends = torch.randint(0, 19, (2, 200))
    ends[0, :90], ends[1, 60:150] = 3, 5
    return dgl.graph((ends[0], ends[1]), num_nodes=20)


def both(monkeypatch: pytest.MonkeyPatch, call, inputs: list[torch.Tensor]) -> None:
    """Compare values and gradients of the kernels with those of PyTorch's scatters."""

    def run() -> list[torch.Tensor]:
        out = call(*inputs)
        return [out, *torch.autograd.grad(out.sin().sum(), inputs)]

    here = run()
    monkeypatch.setattr(_linear, "compiled", lambda *tensors: False)
    for one, other in zip(here, run(), strict=True):
        torch.testing.assert_close(one, other)


def random(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    """Random float64 tensors that want gradients."""
    return [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes]


@pytest.mark.parametrize(("heads", "depth"), SHAPES)
@pytest.mark.parametrize("edges", [None, "shared", "by head"])
def test_dot_attention(monkeypatch: pytest.MonkeyPatch, heads: int, depth: int, edges: str | None) -> None:
    graph, width = hub(), 16 if depth == 16 else 3
    node = (20, heads, depth)
    inputs = random(node, node, node, (200, heads))
    if edges is not None:
        inputs += random((200, width) if edges == "shared" else (200, heads, width), (20, heads, width))

    def call(q, k, v, w, e=None, p=None):
        out, heard = ops.dot_attention(graph, q, k, v, e, p, w, 0.5)
        return out if heard is None else torch.cat([out, heard], -1)

    both(monkeypatch, call, inputs)


@pytest.mark.parametrize(("heads", "depth"), SHAPES)
@pytest.mark.parametrize("version", [1, 2])
def test_attention_at_every_shape_of_head(
    monkeypatch: pytest.MonkeyPatch, heads: int, depth: int, version: int
) -> None:
    graph = hub()
    if version == 1:
        inputs = random((20, heads, depth), (20, heads), (20, heads))
        both(monkeypatch, lambda x, s, t: ops.attention(graph, x, s, t), inputs)
    else:
        inputs = random((20, heads, depth), (20, heads, depth), (heads, depth))
        both(monkeypatch, lambda x, y, a: ops.attention_v2(graph, x, y, a), inputs)


def test_dot_attention_gradients() -> None:
    graph = dgl.graph(([0, 1, 2, 2, 1], [1, 2, 1, 2, 2]), num_nodes=4)
    inputs = random((4, 2, 3), (4, 2, 3), (4, 2, 3), (5, 2), (4, 2, 2), (5,))

    def call(q, k, v, e, p, w):
        return ops.dot_attention(graph, q, k, v, e, p, w, 0.7)

    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(lambda q, k, v: ops.dot_attention(graph, q, k, v)[0], inputs[:3])


def test_dot_attention_of_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, inputs = hub(), random((20, 2, 8), (20, 2, 8), (20, 2, 8), (200, 3), (20, 2, 3))

    def run() -> list[torch.Tensor]:
        out = torch.cat(ops.dot_attention(graph, *inputs), -1)
        return [out, *torch.autograd.grad(out.sin().sum(), inputs)]

    one = run()
    monkeypatch.setattr(_dot, "threads_for", lambda work: 2)
    for a, b in zip(one, run(), strict=True):
        torch.testing.assert_close(a, b)


def test_attention_of_columns_gives_their_gradient_as_one_matrix() -> None:
    """Parts of one product give what separate tensors give, to the first and to the second derivative."""
    graph, (x,) = hub(), random((20, 48))

    def loss(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        heads = [part.unflatten(1, (2, 8)) for part in (q, k, v)]
        return ops.dot_attention(graph, *heads)[0].sin().sum()

    joined = loss(*ops.columns(x, (16, 16, 16)))
    apart = loss(*(part.contiguous() for part in x.split(16, 1)))
    torch.testing.assert_close(joined, apart)
    (one,), (other,) = (torch.autograd.grad(y, x, create_graph=True) for y in (joined, apart))
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), x)[0] for y in (one, other)))
    (plain,) = torch.autograd.grad(loss(*ops.columns(x, (16, 16, 16))), x)
    torch.testing.assert_close(plain, one)


def test_whole_knows_columns_of_one_memory() -> None:
    x = torch.arange(12.0).view(3, 4)
    a, b = x.split((1, 3), 1)
    assert torch.equal(whole(a, b), x)
    assert whole(b, a) is None and whole(a, a) is None and whole(a) is None and whole(a, b.clone()) is None
    assert whole(*empty_like(a, b)) is not None and whole(*empty_like(b, a)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": torch.ones(20, 2, 4)}, "key and value"),
        ({"query": torch.ones(19, 2, 8)}, "20 destination nodes"),
        ({"edge": torch.ones(200, 3)}, "together"),
        ({"edge": torch.ones(200, 3), "probe": torch.ones(20, 2, 4)}, "expected probe"),
        ({"edge": torch.ones(9, 3), "probe": torch.ones(20, 2, 3)}, "200 edges"),
    ],
)
def test_dot_attention_refuses(change: dict[str, torch.Tensor], message: str) -> None:
    given = {name: torch.ones(20, 2, 8) for name in ("query", "key", "value")}
    with pytest.raises(GraphKitError, match=message):
        ops.dot_attention(hub(), **{**given, **change})


def test_columns_refuses() -> None:
    with pytest.raises(GraphKitError, match=r"expected x \[N, 3\]"):
        ops.columns(torch.ones(2, 4), (1, 2))


def test_dot_attention_without_edges() -> None:
    x = torch.randn(4, 2, 3, requires_grad=True)
    out, heard = ops.dot_attention(dgl.graph(([], []), num_nodes=4), x, x, x, torch.ones(0, 5), torch.ones(4, 2, 5))
    assert heard is not None and heard.shape == (4, 2, 5)
    assert not out.any() and not heard.any() and not torch.autograd.grad(out.sum(), x)[0].any()
