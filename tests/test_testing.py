"""The laws catch layers that break them; and anyone's own layer can be checked."""

import pytest
import torch
from torch import nn

from graphkit import ops
from graphkit.testing import LawBroken, check_decoder, check_layer, check_model, check_pool, sample


class Good(nn.Module):
    """The least that a layer must do."""

    def __init__(self, in_feats, out_feats):
        super().__init__()
        self.in_feats = in_feats
        self.fc = nn.Linear(in_feats, out_feats)

    def forward(self, graph, feat, edge_feat=None, edge_weight=None, etype=None):
        from graphkit.core.check import check_feat, check_rows

        check_feat("feat", feat, graph.num_src_nodes(), self.in_feats)
        if edge_weight is not None:
            check_rows("edge_weight", edge_weight, graph.num_edges(), "edges")
        return self.fc(ops.spmm(graph, feat, edge_weight) + ops.dst_rows(graph, feat))


class SeesOrder(Good):
    def forward(self, graph, feat, **rest):
        return super().forward(graph, feat, **rest) + torch.arange(graph.num_dst_nodes())[:, None]


class MixesGraphs(Good):
    def forward(self, graph, feat, **rest):
        return super().forward(graph, feat - feat.mean(0), **rest)


class LosesGradient(Good):
    def __init__(self, in_feats, out_feats):
        super().__init__(in_feats, out_feats)
        self.unused = nn.Parameter(torch.ones(1))


class IgnoresWeights(Good):
    def forward(self, graph, feat, edge_feat=None, edge_weight=None, etype=None):
        return super().forward(graph, feat)


class DrawsInEval(Good):
    def forward(self, graph, feat, **rest):
        return super().forward(graph, nn.functional.dropout(feat), **rest)


class ForgetsState(Good):
    def __init__(self, in_feats, out_feats):
        super().__init__(in_feats, out_feats)
        self.scale = 1 + torch.rand(1)

    def forward(self, graph, feat, **rest):
        return super().forward(graph, feat * self.scale, **rest)


class DetachedSecondOrder(Good):
    def forward(self, graph, feat, **rest):
        return super().forward(graph, feat * torch.tanh(feat).detach(), **rest)


class TakesAnything(Good):
    def forward(self, graph, feat, edge_feat=None, edge_weight=None, etype=None):
        return self.fc(ops.spmm(graph, feat, edge_weight) + ops.dst_rows(graph, feat))


def test_a_third_partys_layer_passes():
    assert len(check_layer(Good)) == 10


@pytest.mark.parametrize(
    ("layer", "law"),
    [
        (SeesOrder, "equivariance"),
        (MixesGraphs, "batching"),
        (LosesGradient, "gradients"),
        (IgnoresWeights, "edge_weight"),
        (DrawsInEval, "equivariance|batching"),
        (ForgetsState, "save_load"),
        (DetachedSecondOrder, "forces"),
        (TakesAnything, "bad_input"),
    ],
)
def test_a_broken_layer_is_caught(layer, law):
    with pytest.raises(LawBroken, match=law):
        check_layer(layer)


def test_a_law_can_be_declined():
    assert "edge_weight" not in check_layer(IgnoresWeights, declines=["edge_weight", "bad_input"])


class LastRow(nn.Module):
    def __init__(self, in_feats):
        super().__init__()
        self.in_feats = self.out_feats = in_feats

    def forward(self, graph, feat):
        return feat[ops.offsets(graph)[1:] - 1]


def test_pools_decoders_and_models_can_be_checked():
    with pytest.raises(LawBroken, match="equivariance"):
        check_pool(LastRow)

    class Lopsided(nn.Module):
        def __init__(self, in_feats):
            super().__init__()
            self.in_feats = in_feats

        def forward(self, src, dst, rel=None):
            return (src * dst).sum(-1) / (1 + len(src))

        def against(self, src, candidates, rel=None, side="dst"):
            return src @ candidates.T

    with pytest.raises(LawBroken, match="batching"):
        check_decoder(Lopsided)
    assert "gradients" in check_model("gcn", "node")


def test_samples_are_the_same_each_time():
    assert torch.equal(sample(3).feat, sample(3).feat)
