"""Settings of a training: defaults from the system's registration, checks of device and precision."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from graphkit.core.errors import GraphKitError, unknown

#: Precisions by the names that users know, and Fabric's names for them.
PRECISIONS = {"32": "32-true", "64": "64-true", "bf16-mixed": "bf16-mixed", "16-mixed": "16-mixed"}
SCHEDULERS = ("cosine", "step", "exponential", "plateau")


@dataclass(frozen=True)
class Settings:
    """How a phase is trained.

    Parameters
    ----------
    epochs : int
    lr, weight_decay : float
    clip : float, optional
        Largest norm of the gradient.
    scheduler : str, dict or callable, optional
        ``cosine``, ``step`` (halve every 50 epochs), ``exponential`` or ``plateau``; a dict with ``name`` and the
        arguments of torch's scheduler; or a callable ``optimizer -> scheduler``. Steps once an epoch.
    patience : int, optional
        Stop after this many epochs without a better validation score; never when None or 0.
    seed : int
    precision : str
        ``32``, ``64``, ``bf16-mixed`` or ``16-mixed`` (CUDA only).
    track : tuple of str
        Splits that are scored after every epoch; ``val`` picks the best one.

    Examples
    --------
    >>> Settings(epochs=3).lr
    0.01
    """

    epochs: int = 200
    lr: float = 0.01
    weight_decay: float = 0.0
    clip: float | None = None
    scheduler: Any = None
    patience: int | None = None
    seed: int = 0
    precision: str = "32"
    track: tuple[str, ...] = ("val",)

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        for name, low in (("epochs", 0), ("lr", 0), ("weight_decay", 0), ("clip", 0), ("patience", 0)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < low):
                raise GraphKitError(f"{name} is {value!r}; expected a number of at least {low}")
        if isinstance(self.scheduler, str) and self.scheduler not in SCHEDULERS:
            raise unknown("scheduler", self.scheduler, SCHEDULERS)

    def replace(self, **changes: Any) -> Settings:
        """Return the settings with some changed.

        Raises
        ------
        GraphKitError
            If a name is not a setting.
        """
        names = [f.name for f in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                raise unknown("setting", name, names)
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values for ``config.yaml``."""
        values = dataclasses.asdict(self) | {"track": list(self.track)}
        if callable(self.scheduler):
            values["scheduler"] = getattr(self.scheduler, "__qualname__", type(self.scheduler).__qualname__)
        return values


def defaults_for(options: Mapping[str, Any], level: str) -> dict[str, Any]:
    """Return the training defaults that a registration names for ``level``.

    >>> defaults_for({"fit": {"node": {"lr": 0.005}, "link": {"lr": 0.01}}}, "node")
    {'lr': 0.005}
    """
    fit = dict(options.get("fit") or {})
    if any(isinstance(value, Mapping) for value in fit.values()):
        common = {name: value for name, value in fit.items() if not isinstance(value, Mapping)}
        return common | dict(fit.get(level) or {})
    return fit


def make_scheduler(settings: Settings, optimizer: torch.optim.Optimizer, mode: str) -> Any:
    """Return the learning-rate scheduler of ``optimizer``, or None."""
    chosen = settings.scheduler
    if chosen is None:
        return None
    if callable(chosen):
        return chosen(optimizer)
    arguments = dict(chosen) if isinstance(chosen, Mapping) else {"name": chosen}
    name = arguments.pop("name", None)
    kinds: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "cosine": (torch.optim.lr_scheduler.CosineAnnealingLR, {"T_max": max(settings.epochs, 1)}),
        "step": (torch.optim.lr_scheduler.StepLR, {"step_size": 50, "gamma": 0.5}),
        "exponential": (torch.optim.lr_scheduler.ExponentialLR, {"gamma": 0.99}),
        "plateau": (torch.optim.lr_scheduler.ReduceLROnPlateau, {"mode": mode, "factor": 0.5}),
    }
    if name not in kinds:
        raise unknown("scheduler", name, kinds)
    make, given = kinds[name]
    try:
        return make(optimizer, **{**given, **arguments})
    except TypeError as error:
        raise GraphKitError(f"scheduler {name!r} does not take {arguments}: {error}") from error


def resolve_device(device: str) -> torch.device:
    """Return the device that ``device`` names; ``auto`` is the first GPU, else the CPU.

    Raises
    ------
    GraphKitError
        If the name is unknown or this machine has no such device.

    Examples
    --------
    >>> resolve_device("cpu").type
    'cpu'
    """
    if device == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise unknown("device", device, ["auto", "cpu", "cuda", "mps"]) from error
    if found.type not in {"cpu", "cuda", "mps"}:
        raise unknown("device", device, ["auto", "cpu", "cuda", "mps"])
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise GraphKitError(
            f"device {device!r} was asked for, but this machine has {torch.cuda.device_count()} CUDA GPUs"
        )
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise GraphKitError("device 'mps' was asked for, but this machine has no Apple GPU")
    return found


def check_precision(precision: str, device: torch.device) -> None:
    """Raise unless ``device`` computes in ``precision``.

    >>> check_precision("32", torch.device("cpu"))
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if precision == "16-mixed" and device.type != "cuda":
        raise GraphKitError(
            f"precision '16-mixed' needs a CUDA GPU, not {device.type}; 'bf16-mixed' and '32' work here"
        )
    if precision == "64" and device.type == "mps":
        raise GraphKitError("precision '64' needs a CPU or a CUDA GPU; Apple GPUs have no 64-bit floats")
    if precision == "bf16-mixed" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise GraphKitError(f"this GPU has no bfloat16 ({torch.cuda.get_device_name(device)}); use '16-mixed' or '32'")


def make_fabric(settings: Settings, device: torch.device) -> Any:
    """Return the Lightning Fabric that moves, casts and steps."""
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric.utilities.rank_zero").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning.fabric import Fabric

        devices = [device.index or 0] if device.type == "cuda" else 1
        return Fabric(accelerator=device.type, devices=devices, precision=PRECISIONS[settings.precision])


def computing(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which scores and predictions are computed in ``precision``."""
    if not precision.endswith("-mixed"):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16-mixed" else torch.float16)
