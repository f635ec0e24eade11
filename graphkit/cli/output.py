"""What the commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def console():
    """Return a Rich console on standard output (80 columns when it is not a terminal)."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def plain(value: Any) -> Any:
    """Turn tensors, paths, tuples and NaN into what JSON knows.

    >>> plain({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def emit_json(value: Any) -> None:
    """Print ``value`` as one JSON document, the only thing on standard output."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def say(text: str) -> None:
    """Print a sentence, wrapped between words."""
    console().print(text, markup=False)


def show_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = (), cut: str = ""
) -> None:
    """Print a table that fits 80 columns; ``right`` names the right-aligned columns, ``cut`` one that may be cut."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if title:
        say(title)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    spare = console().width - sum(widths) - 3 * len(widths)
    for column, width in zip(columns, widths, strict=True):
        one_line = column == cut
        room = max(8, width + spare + 1) if one_line else None
        overflow: Any = "ellipsis" if one_line else "fold"
        justify: Any = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow=overflow, no_wrap=one_line, max_width=room)
    for row in cells:
        table.add_row(*map(Text, row))
    console().print(table)


def show_pairs(rows: Iterable[tuple[str, Any]]) -> None:
    """Print a two-column list of facts, long facts wrapped under themselves."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value not in (None, "", [], {}, ()):
            table.add_row(name, Text(str(value)))
    console().print(table)
