"""Tasks: what a batch, a loss and a score are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.core.errors import unknown
from graphkit.core.registry import entries
from graphkit.tasks import triple
from graphkit.tasks.base import Task
from graphkit.tasks.conditional import ConditionalTask
from graphkit.tasks.edges import EdgeReconstructionTask
from graphkit.tasks.graph import GraphTask
from graphkit.tasks.link import LinkTask
from graphkit.tasks.node import NodeTask
from graphkit.tasks.pair import PairTask
from graphkit.tasks.recommend import RecommendTask
from graphkit.tasks.temporal_link import TemporalLinkTask
from graphkit.tasks.temporal_sign import TemporalSignTask
from graphkit.tasks.triple import TripleTask

if TYPE_CHECKING:
    from graphkit.data import Dataset

__all__ = [
    "ConditionalTask",
    "EdgeReconstructionTask",
    "GraphTask",
    "LinkTask",
    "NodeTask",
    "PairTask",
    "RecommendTask",
    "Task",
    "TemporalLinkTask",
    "TemporalSignTask",
    "TripleTask",
    "find_task",
    "for_data",
    "triple",
]


def for_data(data: Dataset, kind: str | None = None, /, **options: Any) -> Task:
    """Return the task that ``data`` was loaded for.

    Parameters
    ----------
    data : Dataset
    kind : str, optional
        The name of another task that reads the same split, such as ``recommend``.
    **options
        Arguments of the task, such as ``batch_size``.

    Raises
    ------
    GraphKitError
        If an option is not one of the task's.

    Examples
    --------
    >>> import graphkit as gk
    >>> type(for_data(gk.load("karate"))).__name__
    'NodeTask'
    """
    known = entries("task")
    kind = data.task if kind is None else kind
    if kind not in known:
        raise unknown("task", kind, known)
    chosen = known[kind].obj
    names = option_names(chosen)
    for name in options:
        if name not in names:
            raise unknown(f"option of the {kind} task", name, names)
    return chosen(data, **options)


def option_names(task: type[Task]) -> list[str]:
    """Return the names of the arguments of a task's class, without ``data``.

    >>> "fanouts" in option_names(NodeTask)
    True
    """
    import dataclasses

    return [f.name for f in dataclasses.fields(task) if f.init and f.name != "data"]


def find_task(kind: type[Task]) -> str | None:
    """Return the name under which the class ``kind`` is registered, None for the user's own.

    >>> find_task(LinkTask)
    'link'
    """
    return next((name for name, entry in entries("task").items() if entry.obj is kind), None)
