"""Everything pluggable, found by name, each with its paper's record."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphkit.core.errors import GraphKitError, unknown

#: Where each kind of thing registers itself when its package is imported.
HOMES = {
    "model": "graphkit.models",
    "layer": "graphkit.nn",
    "pool": "graphkit.nn",
    "decoder": "graphkit.heads",
    "task": "graphkit.tasks",
    "embedding": "graphkit.embed",
    "explainer": "graphkit.explain",
    "reader": "graphkit.data.readers",
    "split": "graphkit.data.splits",
    "transform": "graphkit.transforms",
}
TRAITS = {"stateful", "random", "id_aware", "pair", "needs_pos", "changes_graph", "reads_structure"}
LAWS = {
    "equivariance",
    "batching",
    "blocks",
    "isolated",
    "gradients",
    "forces",
    "save_load",
    "same_seed",
    "bad_input",
    "edge_weight",
    "future",
    "ties",
    "reset",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Reported:
    """One number that a paper reports.

    Parameters
    ----------
    dataset, metric, protocol : str
        Such as ``"cora"``, ``"accuracy"``, ``"public split, 100 runs"``.
    value : float
    std : float, optional
    source : str
        ``"read"`` (in the paper or its code), ``"third-party"`` or ``"memory"``.
    """

    dataset: str
    metric: str
    value: float
    std: float | None = None
    protocol: str = ""
    source: str = "memory"

    def __post_init__(self) -> None:
        if self.source not in {"read", "third-party", "memory"}:
            raise unknown("source", self.source, ["read", "third-party", "memory"])


@dataclass(frozen=True)
class Entry:
    """A registered thing and its record.

    Parameters
    ----------
    name, kind : str
    obj : Any
        The class or function.
    level : str
        ``node``, ``link``, ``graph``, ``triple`` or ``any``; empty where it has no meaning.
    title, arxiv : str
        The source.
    reported : tuple of Reported
    traits : frozenset of str
        Facts that turn a law into its restricted or statistical form.
    declines : mapping of str to str
        Laws that do not apply, each with the reason.
    options : mapping
        Further facts, such as ``remove_targets``.
    """

    name: str
    kind: str
    obj: Any
    level: str = ""
    title: str = ""
    arxiv: str = ""
    reported: tuple[Reported, ...] = ()
    traits: frozenset[str] = frozenset()
    declines: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


_ENTRIES: dict[str, dict[str, Entry]] = {kind: {} for kind in HOMES}
_LOADED: set[str] = set()


def register(
    name: str,
    *,
    kind: str = "model",
    level: str = "",
    title: str = "",
    arxiv: str = "",
    reported: tuple[Reported, ...] | list[Reported] = (),
    traits: set[str] | tuple[str, ...] = (),
    declines: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[[T], T]:
    """Register the decorated class or function under ``name``, and end its docstring with its paper.

    Parameters are those of :class:`Entry`.

    Raises
    ------
    GraphKitError
        If the name is taken, or a kind, trait or law is unknown.

    Examples
    --------
    >>> @register("example-gcn", level="node", title="An example")
    ... class Example: ...
    >>> find("model", "example-gcn").obj is Example
    True
    >>> forget("model", "example-gcn")
    """
    declines = dict(declines or {})
    if kind not in HOMES:
        raise unknown("kind", kind, HOMES)
    for trait in set(traits) - TRAITS:
        raise unknown("trait", trait, TRAITS)
    for law in set(declines) - LAWS:
        raise unknown("law", law, LAWS)

    def add(obj: T) -> T:
        taken = _ENTRIES[kind].get(name)
        if taken is not None and getattr(taken.obj, "__qualname__", None) != getattr(obj, "__qualname__", None):
            raise GraphKitError(f"the {kind} name {name!r} is taken by {taken.obj!r}; choose another")
        _ENTRIES[kind][name] = Entry(
            name, kind, obj, level, title, arxiv, tuple(reported), frozenset(traits), declines, options
        )
        _cite(obj, title, arxiv)
        return obj

    return add


def _cite(obj: Any, title: str, arxiv: str) -> None:
    """Append the paper to the docstring, so that ``help`` shows it and it is written down once."""
    own = vars(obj).get("__doc__") if isinstance(obj, type) else getattr(obj, "__doc__", None)
    if title and own and "\nReferences\n" not in inspect.cleandoc(own):
        source = f'"{title}"' + (f", arXiv:{arxiv}." if arxiv else ".")
        with contextlib.suppress(AttributeError, TypeError):  # built-in types keep theirs
            obj.__doc__ = f"{inspect.cleandoc(own)}\n\nReferences\n----------\n{source}\n"


def forget(kind: str, name: str) -> None:
    """Remove an entry (for tests and interactive work)."""
    _ENTRIES[kind].pop(name, None)


def load_all(kind: str) -> None:
    """Import every module of the package where ``kind`` lives, so that all of it is registered."""
    home = HOMES[kind]
    if home in _LOADED:
        return
    package = importlib.import_module(home)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), home + "."):
        importlib.import_module(module.name)
    _LOADED.add(home)


def entries(kind: str) -> dict[str, Entry]:
    """Return all entries of ``kind`` by name, sorted.

    Raises
    ------
    UnknownNameError
        If the kind is unknown.
    """
    if kind not in HOMES:
        raise unknown("kind", kind, HOMES)
    load_all(kind)
    return dict(sorted(_ENTRIES[kind].items()))


def find(kind: str, name: str) -> Entry:
    """Return the entry called ``name`` (case-insensitive).

    Raises
    ------
    UnknownNameError
        If there is none; the message suggests the nearest name.
    """
    known = _ENTRIES.get(kind, {})
    if str(name).lower() not in known:
        known = entries(kind)
    if str(name).lower() not in known:
        raise unknown(kind, name, known)
    return known[str(name).lower()]
