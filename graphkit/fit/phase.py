"""A training and what comes out of it: Phase, PhaseResult."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    from torch import nn

    from graphkit.data import Dataset
    from graphkit.tasks.base import Task


@dataclass
class Phase:
    """One training of a system that has several; a system yields them from ``model.phases(task, settings)``.

    Parameters
    ----------
    name : str
        Unique in the system; part of the key of every random draw.
    model : nn.Module
        What is trained; after the phase it holds the weights of the best epoch.
    task : Task
    data : Dataset, optional
        The task's data when None.
    epochs : int, optional
        The run's when None.
    settings : dict
        Settings of the run that this phase replaces, such as ``lr``, ``weight_decay`` or ``patience``.

    Examples
    --------
    >>> Phase("pretrain", model=None, task=None, epochs=3).name
    'pretrain'
    """

    name: str
    model: nn.Module
    task: Task
    data: Dataset | None = None
    epochs: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class PhaseResult:
    """What ``fit`` sends back into the generator of phases.

    Parameters
    ----------
    name : str
    model : nn.Module
        The phase's model with the weights of its best epoch.
    epoch : int
        The best epoch, from 0; -1 when none was run.
    metrics : dict of str to float
        The history row of the best epoch.

    Examples
    --------
    >>> PhaseResult("pretrain", None, 3, {"val/loss": 0.5}).epoch
    3
    """

    name: str
    model: nn.Module
    epoch: int
    metrics: dict[str, float]


class TrainingError(GraphKitError):
    """A training that cannot go on, such as a loss that became NaN; ``run`` holds what was reached, if anything."""

    run: Any = None
