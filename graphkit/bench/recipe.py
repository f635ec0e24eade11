"""A recipe: one small YAML file that says what is trained on what, how it is judged, and with which seeds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphkit.core.errors import DataError, GraphKitError, unknown


@dataclass(frozen=True)
class Recipe:
    """What is measured.

    Parameters
    ----------
    name : str
        The file's name without ``.yaml``.
    system : str
        A registered model, or the name of a baseline that the protocol knows.
    dataset, task, protocol : str
        ``protocol`` names a function of :mod:`graphkit.bench.protocols`.
    metrics : tuple of str
        Names of metrics as a run gives them, the first one judged by ``bench check``.
    split : str, optional
        The card's split for the task if None.
    transform : tuple of str
        Registered transforms that are applied to the graphs.
    data, arguments, fit, options : mapping
        Options of ``load``, arguments of the system, arguments of ``fit``, options of the protocol.
    seeds : tuple of int
    label : str
        What the results table calls the row; the system's name if empty.
    group : str
        Rows of one group stand together; the dataset's name if empty.
    reported : mapping
        ``system`` and ``dataset`` under which the registry keeps the paper's number, where they are not the
        recipe's own; ``metrics`` maps ours to the paper's; ``{"system": None}`` for a row with no published number.
    floor, ceiling : mapping of metric to float
        What the mean must reach, and for errors what it must not exceed.
    drift : float, optional
        How far ``bench check`` lets the first metric of the first seed move; recipes without it are not checked.
    note : str

    Examples
    --------
    >>> Recipe("gcn-toy", "gcn", "toy", "node", "best-val", ("test/accuracy",)).row
    'gcn'
    """

    name: str
    system: str
    dataset: str
    task: str
    protocol: str
    metrics: tuple[str, ...]
    split: str | None = None
    transform: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    label: str = ""
    group: str = ""
    reported: Mapping[str, Any] = field(default_factory=dict)
    floor: Mapping[str, float] = field(default_factory=dict)
    ceiling: Mapping[str, float] = field(default_factory=dict)
    drift: float | None = None
    note: str = ""

    @property
    def row(self) -> str:
        """The row's name in the results table."""
        return self.label or self.system

    def digest(self) -> str:
        """Return a hash of everything that decides a number; results of another digest are not mixed in."""
        decides = ("system", "dataset", "task", "protocol", "split", "transform", "data", "arguments", "fit", "options")
        text = json.dumps({name: getattr(self, name) for name in decides}, sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def published(self) -> dict[str, dict[str, Any]]:
        """Return the registry's record of the paper's number for each metric that has one."""
        from graphkit.core import registry

        system, dataset = self.reported.get("system", self.system), self.reported.get("dataset", self.dataset)
        if system is None:
            return {}
        kind = "explainer" if system in registry.entries("explainer") else "model"
        names = self.reported.get("metrics") or {metric: metric.rpartition("/")[2] for metric in self.metrics}
        found: dict[str, Any] = {}
        for metric, name in names.items():
            for item in registry.find(kind, system).reported:
                if item.dataset.lower() == dataset.lower() and item.metric.lower() == name.lower():
                    found.setdefault(metric, dataclasses.asdict(item))
        return found

    def remove_targets(self) -> bool | str | None:
        """Return whether target links leave the message graph while training; None where there are no target links."""
        from graphkit.core import registry

        if self.task not in {"link", "triple"} or self.system not in registry.entries("model"):
            return None
        default = registry.find("model", self.system).options.get("remove_targets")
        return self.arguments.get("remove_targets", default)


def home(folder: Path | None = None) -> Path:
    """Return the folder of recipes and results: the one given, ``./benchmarks``, or the checkout's.

    Raises
    ------
    GraphKitError
        If there is no folder ``recipes`` in it.
    """
    checkout = Path(__file__).resolve().parents[2] / "benchmarks"
    candidates = [folder] if folder is not None else [Path("benchmarks"), checkout]
    for candidate in candidates:
        if (candidate / "recipes").is_dir():
            return candidate
    raise GraphKitError(
        f"{candidates[0]} holds no folder 'recipes'; run this in a checkout of GraphKit or name one with --folder"
    )


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises
    ------
    DataError
        If the file is not YAML, lacks a key, or has one that no recipe has.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} holds {type(values).__name__}, not the keys of a recipe")
    allowed = {f.name for f in dataclasses.fields(Recipe)} - {"name"}
    for key in values:
        if key not in allowed:
            raise unknown(f"key in {path.name}:", key, allowed)
    needed = [f.name for f in dataclasses.fields(Recipe)[1:6]]
    for key in needed:
        if key not in values:
            raise DataError(f"{path} lacks the key {key!r}")
    for key in ("metrics", "seeds", "transform"):
        if key in values:
            values[key] = tuple(values[key])
    return Recipe(path.stem, **values)


def recipes(folder: Path | None = None, names: list[str] | None = None) -> list[Recipe]:
    """Read all recipes of a folder, or those named.

    Raises
    ------
    UnknownNameError
        If a name is not a recipe's.
    """
    found = {path.stem: path for path in sorted((home(folder) / "recipes").glob("*.yaml"))}
    for name in names or ():
        if name not in found:
            raise unknown("recipe", name, found)
    return [load_recipe(found[name]) for name in (names or found)]
