"""Bytes as people write them."""

from __future__ import annotations

import re

from graphkit.core.errors import GraphKitError

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def parse_bytes(text: str | int, name: str = "memory_budget") -> int:
    """Return the number of bytes that a text such as ``2GB`` names.

    Parameters
    ----------
    text : str or int
        A number of bytes, or one with a unit: kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of 1024).
    name : str
        Of the option, for the error.

    Raises
    ------
    GraphKitError
        If it is no positive size.

    Examples
    --------
    >>> parse_bytes("1.5 GB"), parse_bytes("4KiB"), parse_bytes(100)
    (1500000000, 4096, 100)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)\s*", str(text))
    if found is None or found[2].lower() not in UNITS or isinstance(text, bool):
        raise GraphKitError(f"{name} is {text!r}; expected a size such as '2GB', '500MB' or a number of bytes")
    size = int(float(found[1]) * UNITS[found[2].lower()])
    if size < 1:
        raise GraphKitError(f"{name} is {text!r}; expected more than nothing, such as '2GB'")
    return size


def show_bytes(size: float) -> str:
    """Return a size with three digits and its unit.

    >>> show_bytes(2_000_000_000), show_bytes(1234), show_bytes(12)
    ('2.00 GB', '1.23 kB', '12 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5:
            digits = 0 if unit == "B" or abs(size) >= 100 else 1 if abs(size) >= 10 else 2
            return f"{size:.{digits}f} {unit}"
        size /= 1000
    return f"{size:.2f} TB"
