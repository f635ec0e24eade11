"""Measures of trained networks: re-basin and merging, barriers between two, and strengths of neurons."""

from graphkit.probe.barrier import Barrier, barrier, between, measure, recalibrate
from graphkit.probe.cnt import LayerMetrics, cnt_metrics
from graphkit.probe.landscape import barrier_estimate
from graphkit.probe.permutations import PermutationSpec
from graphkit.probe.rebasin import Rebased, activation_matching, agreement, merge, rebasin, weight_matching

__all__ = [
    "Barrier",
    "LayerMetrics",
    "PermutationSpec",
    "Rebased",
    "activation_matching",
    "agreement",
    "barrier",
    "barrier_estimate",
    "between",
    "cnt_metrics",
    "measure",
    "merge",
    "rebasin",
    "recalibrate",
    "weight_matching",
]
