"""Ask a trained model why: ``gk.explain(run, data, node=3)`` gives an :class:`Explanation`.

This module is callable; calling it is calling :func:`explain`.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from graphkit.explain.api import explain
from graphkit.explain.attribution import Attribution
from graphkit.explain.explanation import Explanation, Prediction
from graphkit.explain.gnnexplainer import GNNExplainer
from graphkit.explain.integrated_gradients import IntegratedGradients
from graphkit.explain.measures import fidelity
from graphkit.explain.naming import Names
from graphkit.explain.question import Question, ask
from graphkit.explain.saliency import Saliency
from graphkit.explain.target import Reading, Target

__all__ = [
    "Attribution",
    "Explanation",
    "GNNExplainer",
    "IntegratedGradients",
    "Names",
    "Prediction",
    "Question",
    "Reading",
    "Saliency",
    "Target",
    "ask",
    "explain",
    "fidelity",
]


class _CallableModule(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Explanation:
        return explain(*args, **kwargs)


_CallableModule.__call__.__doc__ = explain.__doc__
sys.modules[__name__].__class__ = _CallableModule
