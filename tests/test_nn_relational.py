"""Relational layers give DGL's and PyG's numbers; compact pairs give what one product per edge gives."""

import dgl
import pytest
import torch

from graphkit import GraphKitError, ops
from graphkit import nn as gnn
from graphkit.nn.compgcn import compose
from graphkit.ops import compact
from graphkit.testing import sample

IN, OUT, RELS = 5, 6, 3


@pytest.fixture
def case():
    return sample(in_feats=IN, num_rels=RELS, num_ntypes=2, nodes=9, edges=40)


def close(got, expected, tolerance=1e-5):
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=tolerance, rtol=tolerance)


def copy(target, source):
    with torch.no_grad():
        target.copy_(source.reshape(target.shape))


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("width", [4, 6])
def test_hgt_is_dgls(case, heads, width):
    from dgl.nn import HGTConv

    feat = case.feat[:, :4]
    ours = gnn.HGTConv(4, width, RELS, 2, heads, activation="none").double()
    torch.nn.init.uniform_(ours.prior)
    torch.nn.init.normal_(ours.skip)
    theirs = HGTConv(4, width // heads, heads, 2, RELS).double().eval()
    for mine, other in (
        (ours.fc_key, theirs.linear_k), (ours.fc_query, theirs.linear_q), (ours.fc_value, theirs.linear_v),
        (ours.fc_out, theirs.linear_a),
    ):  # fmt: skip
        copy(other.W, mine.weight)
    for head in range(heads):
        copy(theirs.relation_att[head].W, ours.weight_attn[head])
        copy(theirs.relation_msg[head].W, ours.weight_message[head])
        copy(theirs.relation_pri[head], ours.prior[:, head])
    copy(theirs.skip, ours.skip)
    if ours.fc_skip is not None:
        copy(theirs.residual_w, ours.fc_skip.weight.T)
    got = ours(case.graph, feat, etype=case.etype, ntype=case.ntype)
    close(got, theirs(case.graph, feat, case.ntype, case.etype))


def test_rgat_is_pygs(case):
    pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")
    ours = gnn.RelGATConv(IN, OUT, RELS, self_loop=False).double()
    theirs = pyg.RGATConv(IN, OUT, RELS, attention_mode="additive-self-attention").double()
    copy(theirs.weight, ours.weight)
    with torch.no_grad():  # PyG's vectors serve all relations
        ours.attn_src.copy_(theirs.k.view(1, 1, OUT).expand(RELS, 1, OUT))
        ours.attn_dst.copy_(theirs.q.view(1, 1, OUT).expand(RELS, 1, OUT))
    index = torch.stack(case.graph.edges(order="eid"))
    close(ours(case.graph, case.feat, etype=case.etype), theirs(case.feat, index, case.etype))


def test_rgat_of_one_relation_is_gat(case):
    ours = gnn.RelGATConv(IN, OUT, 1, num_heads=2, self_loop=False).double()
    gat = gnn.GATConv(IN, OUT, num_heads=2, self_loops=False).double()
    for mine, other in ((ours.weight, gat.weight), (ours.attn_src, gat.attn_src), (ours.attn_dst, gat.attn_dst)):
        copy(other, mine)
    got = ours(case.graph, case.feat, etype=torch.zeros_like(case.etype))
    close(got, gat(case.graph, case.feat), 1e-9)


@pytest.mark.parametrize("how", ["sub", "mult", "corr"])
def test_compgcn_is_its_sum_over_edges(case, how):
    layer = gnn.CompGCNConv(IN, OUT, 4, composition=how, updates_relations=True).double()
    src, dst = case.graph.edges(order="eid")
    etype = torch.randint(4, src.shape, generator=torch.Generator().manual_seed(0))
    norm = (case.graph.out_degrees()[src] * case.graph.in_degrees()[dst]).double().rsqrt()
    messages = compose(case.feat[src], layer.rel[etype], how)[:, None] @ layer.weight[(etype >= 2).long()]
    total = torch.zeros(9, OUT).double().index_add(0, dst, messages[:, 0] * norm[:, None])
    own = compose(case.feat, layer.loop_rel.expand(9, -1), how) @ layer.loop_weight
    node, rel = layer(case.graph, case.feat, etype=etype)
    close(node, (total + own) / 3, 1e-9)
    close(rel, layer.rel @ layer.weight_rel, 1e-9)
    again, _ = layer(case.graph, case.feat, etype=etype, rel_feat=2 * layer.rel)
    assert not torch.allclose(again, node)


def test_correlation_is_its_sum():
    x, z = torch.randn(3, 5).double(), torch.randn(3, 5).double()
    expected = torch.stack([(x * z.roll(-k, 1)).sum(1) for k in range(5)], 1)
    close(compose(x, z, "corr"), expected, 1e-9)


def test_parallel_edges_share_a_pair_and_count_twice():
    graph, etype = dgl.graph(([0, 0, 0], [1, 1, 1])), torch.tensor([1, 1, 0])
    pairs = compact(graph, etype, 2)
    assert len(pairs.node) == 2
    assert ops.spmm(pairs.graph, torch.tensor([[10.0], [1.0]])).tolist() == [[0.0], [12.0]]


def test_pairs_are_kept_until_the_relations_change(case):
    first = compact(case.graph, case.etype, RELS)
    assert compact(case.graph, case.etype, RELS) is first
    case.etype[0] = (case.etype[0] + 1) % RELS
    second = compact(case.graph, case.etype, RELS)
    assert second is not first
    assert torch.equal(second.rel[second.pair], case.etype)
    assert torch.equal(second.node[second.pair], case.graph.edges(order="eid")[0])
    assert compact(case.graph, case.etype.clone(), RELS) is second
    assert compact(case.graph, (case.etype + 1) % RELS, RELS) is not second


@pytest.mark.parametrize("bases", [None, 2])
def test_typed_linear_is_a_product_per_row(bases):
    layer = gnn.TypedLinear(IN, OUT, RELS, bases, bias=True).double()
    x, types = torch.randn(7, IN).double(), torch.tensor([2, 0, 0, 2, 2, 0, 2])  # no row of type 1
    weight = layer.weight if bases is None else torch.einsum("tb,bio->tio", layer.coeff, layer.weight)
    close(
        layer(x, types), torch.stack([row @ weight[t] + layer.bias[t] for row, t in zip(x, types, strict=True)]), 1e-9
    )


def test_typed_linear_is_dgls():
    from dgl.nn import TypedLinear

    ours, theirs = gnn.TypedLinear(IN, OUT, RELS), TypedLinear(IN, OUT, RELS)
    copy(theirs.W, ours.weight)
    x, types = torch.randn(7, IN), torch.randint(RELS, (7,))
    close(ours(x, types), theirs(x, types))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gnn.RelGATConv(4, 6, 3, num_heads=4), "num_heads=4"),
        (lambda: gnn.CompGCNConv(4, 6, 3), "even"),
        (lambda: gnn.TypedLinear(4, 6, 0), "num_types=0"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(GraphKitError, match=words):
        make()


def test_hgt_asks_for_node_types(case):
    layer = gnn.HGTConv(IN, OUT, RELS, num_ntypes=2).double()
    with pytest.raises(GraphKitError, match="ntype"):
        layer(case.graph, case.feat, etype=case.etype)
    with pytest.raises(GraphKitError, match="ntype holds id 2"):
        layer(case.graph, case.feat, etype=case.etype, ntype=case.ntype + 1 + (case.ntype == 0))


@pytest.mark.parametrize(("regularizer", "form"), [(None, {}), ("basis", {"num_bases": 2}), ("bdd", {"num_blocks": 2})])
def test_rgcn_is_pygs_fast_one(regularizer, form):
    pyg = pytest.importorskip("torch_geometric.nn", reason="PyG is not installed; pip install 'graphkit[bench]'")
    case = sample(in_feats=4, num_rels=RELS)
    ours = gnn.RelGraphConv(4, OUT, RELS, regularizer, 2 if regularizer else None)
    theirs = pyg.FastRGCNConv(4, OUT, RELS, **form)
    copy(theirs.weight, ours.weight)
    if regularizer == "basis":
        copy(theirs.comp, ours.coeff)
    copy(theirs.root, ours.loop_weight)
    index = torch.stack(case.graph.edges(order="eid"))
    feat = case.feat.float()
    close(ours(case.graph, feat, etype=case.etype), theirs(feat, index, case.etype))
