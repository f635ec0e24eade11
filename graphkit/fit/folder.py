"""The run folder: config.yaml, metrics.csv, model.safetensors, versions.json, result.json and the checkpoint."""

from __future__ import annotations

import csv
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from graphkit.core.errors import DataError, GraphKitError

#: Raised by one whenever an older GraphKit could not read a newer folder.
FORMAT_VERSION = 1
CONFIG, METRICS, WEIGHTS, VERSIONS = "config.yaml", "metrics.csv", "model.safetensors", "versions.json"
RESULT, CHECKPOINT = "result.json", "checkpoint.pt"
PACKAGES = ("torch", "dgl", "numpy", "pandas", "scikit-learn", "lightning", "numba")


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place at once.

    Raises
    ------
    GraphKitError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> write_atomic(path, lambda p: p.write_text("x"))
    >>> path.read_text()
    'x'
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise GraphKitError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """Turn tuples, sets, mappings and numpy or torch scalars into what YAML and JSON hold.

    >>> plain({"a": (1, 2), "b": None})
    {'a': [1, 2], 'b': None}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return getattr(value, "__qualname__", None) or repr(value)


def number(text: str) -> int | float | str:
    """Return the number that ``text`` spells, or ``text`` itself.

    >>> number("3"), number("0.1"), number("train")
    (3, 0.1, 'train')
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    import graphkit

    found = {"graphkit": graphkit.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class Folder:
    """A run's files.

    Parameters
    ----------
    path : path-like

    Examples
    --------
    >>> Folder("no/such/run").exists
    False
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / CONFIG).is_file()

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / RESULT).is_file()

    def tidy(self) -> None:
        """Remove the half-written files that a kill left behind; what they were to replace is still whole."""
        for name in (CONFIG, METRICS, WEIGHTS, VERSIONS, RESULT, CHECKPOINT):
            for leftover in self.path.glob(f".{name}.*"):
                leftover.unlink(missing_ok=True)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write ``config.yaml`` and ``versions.json``."""
        text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
        write_atomic(self.path / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))
        lines = json.dumps(versions(), indent=2)
        write_atomic(self.path / VERSIONS, lambda path: path.write_text(lines + "\n"))

    def config(self) -> dict[str, Any]:
        """Read ``config.yaml``.

        Raises
        ------
        GraphKitError
            If there is no run, the file is not a run's, or its format is one that this GraphKit does not read.
        """
        if not self.path.is_dir():
            raise GraphKitError(f"{self.path} is not a folder; expected a run folder")
        if not self.exists:
            raise GraphKitError(f"{self.path} holds no run: there is no {CONFIG} in it")
        try:
            config = yaml.safe_load((self.path / CONFIG).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path / CONFIG} is not YAML: {str(error).splitlines()[0]}") from error
        if not isinstance(config, dict) or "format_version" not in config:
            raise DataError(f"{self.path / CONFIG} is not a run's: it names no format_version")
        if config["format_version"] != FORMAT_VERSION:
            raise GraphKitError(
                f"{self.path} has run format {config['format_version']!r}; this GraphKit reads format {FORMAT_VERSION}"
            )
        for section in ("model", "dataset", "task", "training"):
            if not isinstance(config.get(section), dict):
                raise DataError(f"{self.path / CONFIG} is not a run's: it has no section {section!r}")
        return config

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """Write ``metrics.csv``, one row an epoch."""
        import pandas as pd

        write_atomic(self.path / METRICS, lambda path: pd.DataFrame(rows).to_csv(path, index=False))

    def history(self) -> list[dict[str, Any]]:
        """Read ``metrics.csv``; floats are exactly the ones written."""
        path = self.path / METRICS
        if not path.is_file():
            return []
        with path.open(newline="") as file:
            return [{name: number(text) for name, text in row.items() if text != ""} for row in csv.DictReader(file)]

    def write_weights(self, state: Mapping[str, Tensor]) -> None:
        """Write ``model.safetensors``."""
        from safetensors.torch import save_file

        own = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
        write_atomic(self.path / WEIGHTS, lambda path: save_file(own, path))

    def weights(self) -> dict[str, Tensor]:
        """Read ``model.safetensors``.

        Raises
        ------
        GraphKitError
            If the file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.path / WEIGHTS
        if not path.is_file():
            raise GraphKitError(f"the run in {self.path} is unfinished; fit with resume=True to end it")
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise DataError(f"{path} is damaged: {error}") from error

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``, the mark of a finished run."""
        text = json.dumps(plain(result), indent=2)
        write_atomic(self.path / RESULT, lambda path: path.write_text(text + "\n"))

    def result(self) -> dict[str, Any]:
        """Read ``result.json``; empty for an unfinished run."""
        return json.loads((self.path / RESULT).read_text()) if self.finished else {}

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Write the state after a finished epoch."""
        write_atomic(self.path / CHECKPOINT, lambda path: torch.save(dict(state), path))

    def checkpoint(self) -> dict[str, Any] | None:
        """Read the state after the last finished epoch; None if no epoch was finished.

        Raises
        ------
        GraphKitError
            If the file is damaged or holds anything but tensors and plain values.
        """
        path = self.path / CHECKPOINT
        if not path.is_file():
            return None
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises half a dozen kinds for a damaged file
            raise DataError(f"{path} is damaged or no checkpoint; start again in another folder") from error
