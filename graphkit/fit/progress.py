"""A progress bar on standard error, only where someone watches."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any


class Progress:
    """Counts epochs and shows the last scores; silent unless ``show`` is True, or None on a terminal.

    Examples
    --------
    >>> with Progress(False) as bar:
    ...     bar.begin("train", 3)
    ...     bar.advance({"train/loss": 0.5})
    """

    def __init__(self, show: bool | None) -> None:
        self.bar: Any = None
        self.job: Any = None
        if show is None:
            show = sys.stderr.isatty()
        if show:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.bar = Bar(*columns, TextColumn("{task.fields[scores]}"), console=Console(stderr=True))

    def begin(self, title: str, epochs: int, done: int = 0) -> None:
        """Open a line for a phase."""
        if self.bar is not None:
            self.job = self.bar.add_task(title, total=epochs, completed=done, scores="")

    def advance(self, row: Mapping[str, Any]) -> None:
        """Count one epoch and show its scores."""
        if self.bar is not None:
            shown = [f"{name} {value:.4f}" for name, value in row.items() if "/" in name and isinstance(value, float)]
            self.bar.update(self.job, advance=1, scores="  ".join(shown[:4]))

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
