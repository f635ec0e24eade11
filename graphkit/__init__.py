"""GraphKit: graph learning on DGL and PyTorch, where everything that learns is ``head(encoder(graph, feat))``.

>>> import graphkit as gk
>>> "digits" in gk.datasets()
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graphkit import _dgl

_dgl.install()

__version__ = "0.1.0"

#: Where each public name lives; nothing here is imported before it is asked for.
_NAMES = {
    "Batch": "graphkit.core.batch",
    "Pairs": "graphkit.core.batch",
    "Encoded": "graphkit.core.batch",
    "Output": "graphkit.core.batch",
    "Spec": "graphkit.core.spec",
    "GraphKitError": "graphkit.core.errors",
    "Reported": "graphkit.core.registry",
    "register": "graphkit.core.registry",
    "Dataset": "graphkit.data",
    "load": "graphkit.data",
    "Run": "graphkit.fit",
    "evaluate": "graphkit.fit",
    "plan": "graphkit.fit",
    "Explanation": "graphkit.explain",
}
#: Modules reached as attributes; ``fit`` and ``explain`` are callable modules.
_MODULES = (
    "core",
    "ops",
    "graphs",
    "data",
    "transforms",
    "analysis",
    "sampling",
    "metrics",
    "toplists",
    "nn",
    "heads",
    "tasks",
    "models",
    "embed",
    "fit",
    "explain",
    "probe",
    "bench",
    "doctor",
    "testing",
)

__all__ = ["__version__", "datasets", *_NAMES, *_MODULES]

if TYPE_CHECKING:
    from graphkit import analysis, bench, core, data, doctor, graphs, heads, metrics, models, nn, ops, sampling, tasks
    from graphkit import embed as embed
    from graphkit import probe as probe
    from graphkit import testing as testing
    from graphkit import toplists as toplists
    from graphkit import transforms as transforms
    from graphkit.core.batch import Batch, Encoded, Output, Pairs
    from graphkit.core.errors import GraphKitError
    from graphkit.core.registry import Reported, register
    from graphkit.core.spec import Spec
    from graphkit.data import Dataset, load
    from graphkit.explain import Explanation, explain
    from graphkit.fit import Run, evaluate, fit, plan


def datasets() -> list[str]:
    """Return the names that :func:`load` knows."""
    from graphkit.data import names

    return list(names())


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"graphkit.{name}")
    else:
        raise AttributeError(f"module 'graphkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
