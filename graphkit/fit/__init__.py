"""Training: ``gk.fit(...)`` gives a Run. The module is callable: ``graphkit.fit`` is the function and its home."""

from __future__ import annotations

import sys
import types
from typing import Any

from graphkit.fit.main import evaluate, fit
from graphkit.fit.phase import Phase, PhaseResult, TrainingError
from graphkit.fit.planning import TrainingPlan, Way, plan
from graphkit.fit.run import Run
from graphkit.fit.settings import Settings

__all__ = ["Phase", "PhaseResult", "Run", "Settings", "TrainingError", "TrainingPlan", "Way", "evaluate", "fit", "plan"]


class _Callable(types.ModuleType):
    """A module that is called like the function it is named after."""

    def __call__(self, *args: Any, **kwargs: Any) -> Run:
        return fit(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
