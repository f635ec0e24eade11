"""What a terminal shows while raw files are read for the first time."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from graphkit.data.cards import Card

#: Sets whose files are smaller are read before one could see it.
LARGE = 20_000_000


@contextlib.contextmanager
def reading(card: Card) -> Iterator[None]:
    """Turn a spinner with the dataset's name on standard error, if that is a terminal and the files are large.

    Files of unknown size count as large. The spinner is gone when the set is read.

    Examples
    --------
    >>> from graphkit.data import card
    >>> with reading(card("karate")):
    ...     pass
    """
    size = sum(entry.bytes for entry in card.files)
    unknown = any(not entry.bytes and not entry.optional for entry in card.files)
    if not card.files or not sys.stderr.isatty() or (size < LARGE and not unknown):
        yield
        return
    from rich.console import Console

    held = f"{size / 1e6:,.0f} MB of raw files" if size else "its raw files"
    text = f"reading {card.name}: {held}"
    with Console(stderr=True).status(text):
        yield
