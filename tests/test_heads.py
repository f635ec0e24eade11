"""Heads read what an encoder gives: rows, pairs, edges, graphs."""

import dgl
import pytest
import torch

from graphkit.core.batch import Batch, Encoded, Pairs
from graphkit.core.errors import GraphKitError
from graphkit.core.spec import Spec
from graphkit.heads import (
    DistMultDecoder,
    DotDecoder,
    EdgeHead,
    GraphHead,
    LinkHead,
    MLPDecoder,
    NodeHead,
    build_head,
)


@pytest.fixture
def enc():
    torch.manual_seed(0)
    return Encoded(dgl.graph(([0, 1, 2, 0], [1, 2, 3, 3])), torch.randn(5, 4)[:4])


def test_node_head_gives_the_targets_rows(enc):
    batch = Batch(enc.graph, enc.node, targets=torch.tensor([2, 0]))
    assert torch.equal(NodeHead()(enc, batch), enc.node[[2, 0]])
    assert torch.equal(NodeHead()(enc, batch.replace(targets=None)), enc.node)
    assert NodeHead(4, 3)(enc, batch).shape == (2, 3)


@pytest.mark.parametrize(
    "decoder", [DotDecoder(4), MLPDecoder(4), DistMultDecoder(4, 3)], ids=["dot", "mlp", "distmult"]
)
@pytest.mark.parametrize("chunk", [1, 9, 1 << 22])
def test_ranking_in_chunks_scores_as_pairs_do(enc, decoder, chunk):
    head, src, rel = LinkHead(decoder), torch.tensor([3, 0, 1]), torch.tensor([0, 2, 1])
    candidates = torch.tensor([1, 3, 0, 2, 2])
    got = head.rank(enc, src, rel, candidates, chunk=chunk)
    for q in range(3):
        pairs = Pairs(src[q].repeat(5), candidates, rel[q].repeat(5))
        assert torch.allclose(got[q], head(enc, pairs), atol=1e-6)
    assert head.rank(enc, src, rel).shape == (3, 4)
    assert head.rank(enc, src[:0], rel[:0]).shape == (0, 4)


def test_distmult_is_a_diagonal_bilinear_form_alike_both_ways(enc):
    decoder, rel = DistMultDecoder(4, 3), torch.tensor([1, 2])
    s, o = enc.node[:2], enc.node[2:]
    full = torch.stack([s[i] @ torch.diag(decoder.weight[r]) @ o[i] for i, r in enumerate(rel)])
    assert torch.allclose(decoder(s, o, rel), full, atol=1e-6)
    assert torch.equal(decoder(s, o, rel), decoder(o, s, rel))


def test_edge_head_reads_both_ends_and_the_edge(enc):
    head = EdgeHead(4, 2, edge_feats=3)
    enc.edge = torch.randn(4, 3)
    got = head(enc)
    src, dst = enc.graph.edges(order="eid")
    expected = head.mlp(torch.cat([enc.node[src], enc.node[dst], enc.edge], 1))
    assert torch.allclose(got, expected)
    enc.edge = None
    with pytest.raises(GraphKitError, match="expects 3 edge features"):
        head(enc)


@pytest.mark.parametrize(("readout", "width"), [("sum", 4), ("mean", 4), ("max", 4), ("attention", 4), ("set2set", 8)])
def test_graph_head_takes_any_pool(enc, readout, width):
    head = GraphHead(4, 3, readout, num_layers=2, hidden=5)
    assert head.mlp.in_feats == width
    assert head(enc).shape == (1, 3)


def test_heads_by_level():
    made = {
        level: type(build_head(Spec(level, 4, 3, num_relations=2), 8)) for level in ("node", "link", "triple", "graph")
    }
    assert made == {"node": NodeHead, "link": LinkHead, "triple": LinkHead, "graph": GraphHead}
    assert isinstance(build_head(Spec("triple", 4, 1, num_relations=2), 8).decoder, DistMultDecoder)
    own = MLPDecoder(8, num_layers=3)
    assert build_head(Spec("link", 4, 1), 8, decoder=own).decoder is own


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda enc: build_head(Spec("link", 4, 1), 8, decoder="dott"), "unknown decoder 'dott'"),
        (lambda enc: build_head(Spec("graph", 4, 1), 8, readout="avg"), "unknown pool 'avg'"),
        (lambda enc: LinkHead(DotDecoder(4))(enc, Batch(enc.graph, enc.node)), "batch has none"),
        (lambda enc: DistMultDecoder(4, 2)(enc.node, enc.node), "carry no relation"),
        (lambda enc: DistMultDecoder(4, 2)(enc.node, enc.node, torch.tensor([0, 1, 2, 0])), "pairs.rel holds id 2"),
    ],
)
def test_wrong_input_gets_one_sentence(enc, call, sentence):
    with pytest.raises(GraphKitError, match=sentence):
        call(enc)
