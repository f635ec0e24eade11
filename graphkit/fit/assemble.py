"""From what the user gave to a model, a task and settings; and whether a folder holds the same run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from graphkit.core.errors import GraphKitError
from graphkit.core.random import key
from graphkit.core.registry import find
from graphkit.fit.loop import seed_torch
from graphkit.fit.settings import Settings, defaults_for
from graphkit.tasks import for_data, option_names
from graphkit.tasks.base import Task, options_of

if TYPE_CHECKING:
    from graphkit.data import Dataset


def assemble(
    model: str | nn.Module,
    data: Dataset,
    task: Task | str | Mapping[str, Any] | None,
    given: dict[str, Any],
    fixed: dict[str, Any],
    arguments: dict[str, Any],
) -> tuple[nn.Module, Task, Settings]:
    """Build model, task and settings from what the user gave and what the registration says."""
    options = dict(find("model", model).options) if isinstance(model, str) else options_of(model)
    if not hasattr(data, "splits"):
        raise GraphKitError(f"data is a {type(data).__name__}; expected a Dataset, such as gk.load('cora')")
    defaults = defaults_for(options, data.task)
    values = {**defaults, **{name: value for name, value in given.items() if value is not None}}
    batch = values.pop("batch_size", None)
    batch = None if batch == "full" else batch
    kind = kind_of_task(data, task, options.get("task"))
    chosen, arguments = choose_task(data, task, kind, batch, given["batch_size"] is not None, arguments, defaults)
    fields = {f.name for f in dataclasses.fields(Settings)}
    settings = Settings(**fixed).replace(**{name: value for name, value in values.items() if name in fields})
    if isinstance(model, str):
        from graphkit.models import build

        seed_torch(key(settings.seed, "init"), torch.device("cpu"))
        return build(model, data, **arguments), chosen, settings
    if arguments:
        raise GraphKitError(f"a model that is built already takes no argument {next(iter(arguments))!r}")
    return model, chosen, settings


def kind_of_task(data: Dataset, task: Any, own: str | None = None) -> str:
    """Return the name of the task to train for.

    Parameters
    ----------
    data : Dataset
    task : Task, str, mapping or None
        A name asks for a task, which the data must have been loaded for or which must read the same split.
    own : str, optional
        The system's own task, taken where it fits the data and no name was given.

    Raises
    ------
    GraphKitError
        If the data were loaded for another task.
    """
    from graphkit.core.registry import entries

    known = entries("task")
    if isinstance(task, str):
        if task != data.task and (task not in known or known[task].level != data.task):
            raise GraphKitError(
                f"task {task!r} was asked for, but {data.name} was loaded for {data.task!r}; "
                f"load it with gk.load({data.name!r}, task={task!r})"
            )
        return task
    return own if own in known and known[own].level == data.task and known[own].obj.fits(data) else data.task


def choose_task(
    data: Dataset, task: Any, kind: str, batch: int | None, forced: bool, arguments: dict[str, Any],
    defaults: dict[str, Any],
) -> tuple[Task, dict[str, Any]]:  # fmt: skip
    """Return the task, one of ``kind`` unless it is given, and the arguments that are left for the model."""
    if isinstance(task, Task):
        task = task.on(data)
        if forced or task.batch_size is None:
            task.batch_size = batch
        return task, arguments
    named = dict(task) if isinstance(task, Mapping) else {}
    from graphkit.core.registry import entries

    if kind not in entries("task"):
        return for_data(data), arguments
    names = option_names(entries("task")[kind].obj)
    if "memory_budget" in arguments and "memory_budget" not in names:
        raise GraphKitError(f"memory_budget is for node tasks; {data.name} is trained for the task {kind!r}")
    ours = {name: value for name, value in arguments.items() if name in names}
    usual = {name: value for name, value in defaults.items() if name in names}
    left = {name: value for name, value in arguments.items() if name not in ours}
    return for_data(data, kind, **{**usual, "batch_size": batch, **named, **ours}), left


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level of dotted names.

    >>> flatten({"a": {"b": 1}})
    {'a.b': 1}
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def check_alike(configs: list[Mapping[str, Any]]) -> None:
    """Raise unless processes that are to train together were given the same data and the same run.

    >>> check_alike([{"seed": 1, "dataset": {"folder": "a"}}, {"seed": 1, "dataset": {"folder": "b"}}])
    """
    first, *others = [flatten(config) for config in configs]
    for rank, other in enumerate(others, 1):
        # Other data make other models; what is told is the cause.
        for name in sorted([*first, *other], key=lambda name: not name.startswith("dataset.")):
            if first.get(name) == other.get(name) or name.startswith(("dataset.folder", "dataset.checksums")):
                continue  # a folder is where a machine has it, and the files of parts differ
            if name.startswith("dataset."):
                raise GraphKitError(
                    f"process {rank} holds other data than process 0: its {name} is {other.get(name)!r}, not "
                    f"{first.get(name)!r}; give every machine the same files and split"
                )
            raise GraphKitError(
                f"process {rank} was given another run than process 0: its {name} is {other.get(name)!r}, not "
                f"{first.get(name)!r}"
            )


def check_same(was: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Raise unless two configurations differ at most in the number of epochs."""
    old, new = flatten(was), flatten(now)
    # A cosine schedule is stretched over the epochs, so with more of them the ones already done would be others.
    by_length = "cosine" in (new.get("training.scheduler"), new.get("training.scheduler.name"))
    free = {"training.devices"} if by_length else {"training.epochs", "training.devices"}
    for name in [*new, *old]:
        if name not in free and old.get(name) != new.get(name):
            raise GraphKitError(
                f"{path} holds another run: its {name} is {old.get(name)!r}, not {new.get(name)!r}; "
                "choose another folder"
            )
