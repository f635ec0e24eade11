"""Published systems, one file each; :func:`build` makes one by name."""

from __future__ import annotations

from typing import Any

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Entry, entries, find
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
    check_choice("level", spec.level, ["node", "link", "graph", "triple", "temporal-link"])
    if spec.level not in entry.options["levels"]:
        fitting = ", ".join(names(spec.level))
        raise GraphKitError(
            f"{entry.name} works at level {' or '.join(entry.options['levels'])}, not {spec.level}; for that: {fitting}"
        )
    _check_kind(entry, spec)
    model = entry.obj.build(spec, **arguments)
    model.name, model.arguments, model.spec = entry.name, dict(arguments), spec
    return model


def _check_kind(entry: Entry, spec: Spec) -> None:
    """Raise if a system for hypergraphs is asked for a graph, or the other way round."""
    wants = bool(entry.options.get("hypergraph"))
    if wants == bool(spec.num_hyperedges) or not (wants or getattr(entry.obj, "needs_graph", True)):
        return
    if wants:
        raise GraphKitError(
            f"{entry.name} reads hypergraphs, and this is a graph; graphkit.graphs.as_hypergraph(data.graph) makes "
            f"a hypergraph of it, for Dataset.from_graph, and systems for graphs are {', '.join(_kind(spec, False))}"
        )
    raise GraphKitError(
        f"{entry.name} reads graphs, and this is a hypergraph; graphkit.graphs.clique_expansion(data.graph) makes one "
        f"graph of it, for Dataset.from_graph, and systems for hypergraphs are {', '.join(_kind(spec, True))}"
    )


def _kind(spec: Spec, hypergraph: bool) -> list[str]:
    known = entries("model")
    return [name for name in names(spec.level) if bool(known[name].options.get("hypergraph")) == hypergraph]


def training_defaults(name: str, level: str) -> dict[str, Any]:
    """Return the paper's training settings of a system at a level, such as ``lr`` and ``weight_decay``.

    >>> training_defaults("gcn", "node")["lr"]
    0.01
    """
    return dict(find("model", name).options.get("fit", {}).get(level, {}))
