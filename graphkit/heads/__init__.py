"""Heads: from what an encoder gives to predictions for nodes, pairs, edges and graphs; they read only ``Encoded``."""

from graphkit.heads.build import build_head, make_decoder
from graphkit.heads.pairs import ConcatDecoder, DotDecoder, LinkHead, MLPDecoder
from graphkit.heads.rows import EdgeHead, GraphHead, NodeHead
from graphkit.heads.scale import TargetScale
from graphkit.heads.translations import RotatEDecoder, TransEDecoder
from graphkit.heads.triples import BilinearDecoder, ComplExDecoder, DistMultDecoder, NTNDecoder, TripleDecoder

__all__ = [
    "BilinearDecoder",
    "ComplExDecoder",
    "ConcatDecoder",
    "DistMultDecoder",
    "DotDecoder",
    "EdgeHead",
    "GraphHead",
    "LinkHead",
    "MLPDecoder",
    "NTNDecoder",
    "NodeHead",
    "RotatEDecoder",
    "TargetScale",
    "TransEDecoder",
    "TripleDecoder",
    "build_head",
    "make_decoder",
]
