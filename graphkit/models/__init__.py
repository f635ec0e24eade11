"""Published systems, one file each; :func:`build` makes one by name."""

from __future__ import annotations

from typing import Any

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import entries, find
from graphkit.core.spec import Spec
from graphkit.nn.model import Encoder, Model

__all__ = ["Encoder", "Model", "build", "names", "training_defaults"]


def names(level: str | None = None) -> list[str]:
    """Return the names of the registered systems, those that work at ``level`` if given.

    >>> "gcn" in names("node")
    True
    """
    return [name for name, entry in entries("model").items() if level is None or level in entry.options["levels"]]


def build(name: str, data_or_spec: Any, **arguments: Any) -> Model:
    """Make the system called ``name`` for a dataset.

    Parameters
    ----------
    name : str
        A registered name, such as ``"gcn"``.
    data_or_spec : Dataset or Spec
        What to make it for; a dataset gives its ``spec()``.
    **arguments
        Arguments of the system; the paper's values are the defaults.

    Returns
    -------
    Model
        It remembers ``name``, ``arguments`` and ``spec``.

    Raises
    ------
    GraphKitError
        If the name or an argument is unknown (the nearest is suggested) or the system does not work at this level.

    Examples
    --------
    >>> build("gcn", Spec("node", in_feats=4, out_feats=3), hidden=8).encoder.out_width
    3
    """
    entry = find("model", name)
    spec = data_or_spec if isinstance(data_or_spec, Spec) else data_or_spec.spec()
    check_choice("level", spec.level, ["node", "link", "graph", "triple"])
    if spec.level not in entry.options["levels"]:
        fitting = ", ".join(names(spec.level))
        raise GraphKitError(
            f"{entry.name} works at level {' or '.join(entry.options['levels'])}, not {spec.level}; for that: {fitting}"
        )
    model = entry.obj.build(spec, **arguments)
    model.name, model.arguments, model.spec = entry.name, dict(arguments), spec
    return model


def training_defaults(name: str, level: str) -> dict[str, Any]:
    """Return the paper's training settings of a system at a level, such as ``lr`` and ``weight_decay``.

    >>> training_defaults("gcn", "node")["lr"]
    0.01
    """
    return dict(find("model", name).options.get("fit", {}).get(level, {}))
