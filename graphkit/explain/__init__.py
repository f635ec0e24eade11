"""Ask a trained model why: ``gk.explain(run, data, node=3)`` gives an :class:`Explanation`.

This module is callable; calling it is calling :func:`explain`.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from graphkit.explain.api import explain
from graphkit.explain.attention import Attention
from graphkit.explain.attribution import Attribution
from graphkit.explain.carriers import carriers, carriers_sentence
from graphkit.explain.chance import Chance
from graphkit.explain.counterfactual import Counterfactual
from graphkit.explain.explanation import Explanation, Prediction
from graphkit.explain.gnnexplainer import GNNExplainer
from graphkit.explain.goat import GOAt
from graphkit.explain.input_gradient import InputXGradient
from graphkit.explain.integrated_gradients import IntegratedGradients
from graphkit.explain.judging import corrupted, corruption_grid, overlap, stability, unfaithfulness
from graphkit.explain.measures import fidelity, fidelity_of, robust_fidelity
from graphkit.explain.naming import Names
from graphkit.explain.occlusion import Occlusion
from graphkit.explain.past import PastExplanation, explain_past
from graphkit.explain.patterns import PatternAttribution, PatternNet, patterns, signal_quality
from graphkit.explain.pgexplainer import PGExplainer
from graphkit.explain.prototype import Prototype, prototype
from graphkit.explain.question import Question, ask
from graphkit.explain.saliency import Saliency
from graphkit.explain.source import Source
from graphkit.explain.subgraphx import SubgraphX
from graphkit.explain.target import Reading, Target

__all__ = [
    "Attention",
    "Attribution",
    "Chance",
    "Counterfactual",
    "Explanation",
    "GNNExplainer",
    "GOAt",
    "InputXGradient",
    "IntegratedGradients",
    "Names",
    "Occlusion",
    "PGExplainer",
    "PastExplanation",
    "PatternAttribution",
    "PatternNet",
    "Prediction",
    "Prototype",
    "Question",
    "Reading",
    "Saliency",
    "Source",
    "SubgraphX",
    "Target",
    "ask",
    "carriers",
    "carriers_sentence",
    "corrupted",
    "corruption_grid",
    "explain",
    "explain_past",
    "fidelity",
    "fidelity_of",
    "overlap",
    "patterns",
    "prototype",
    "robust_fidelity",
    "signal_quality",
    "stability",
    "unfaithfulness",
]


class _CallableModule(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return explain(*args, **kwargs)


_CallableModule.__call__.__doc__ = explain.__doc__
sys.modules[__name__].__class__ = _CallableModule
