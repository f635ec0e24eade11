"""Tables of text: fast when they are sound, and telling file and line when they are not."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import numpy as np

from graphkit.core.errors import DataError

#: What looks like a blank line, but is one of spaces, which pandas takes for a row.
_SPACES = re.compile(rb"(?m)^[ \t\r]+$")


def lines(data: bytes) -> list[tuple[int, str]]:
    r"""Return the lines that are not blank, each with its number from 1; CRLF and CR LF LF are fine.

    >>> lines(b"a\r\n\r\nb")
    [(1, 'a'), (3, 'b')]
    """
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return [(i, line.strip("\r")) for i, line in enumerate(text.split("\n"), 1) if line.strip()]


def _parse(data: bytes, delimiter: str, columns: int | None) -> np.ndarray | None:
    import pandas

    if not data.strip():
        return np.empty((0, columns or 1))
    try:
        frame = pandas.read_csv(
            io.BytesIO(data), header=None, sep=delimiter, skipinitialspace=True, dtype=np.float64, na_filter=False
        )
    except (ValueError, pandas.errors.ParserError):
        return None
    values = frame.to_numpy()
    return None if columns is not None and values.shape[1] != columns else values


def _parsed(data: bytes, delimiter: str, columns: int | None) -> np.ndarray | None:
    values = _parse(data, delimiter, columns)
    if values is None:
        plain = _SPACES.sub(b"", data)
        values = _parse(plain, delimiter, columns) if plain != data else None
    return values


def _complain(data: bytes, label: str, delimiter: str, columns: int | None, kind: str) -> DataError:
    for number, line in lines(data):
        cells = [cell.strip() for cell in line.split(delimiter)]
        if columns is None:
            columns = len(cells)
        if len(cells) != columns:
            return DataError(
                f"{label}, line {number}: {len(cells)} columns where {columns} were expected: {line[:60]!r}"
            )
        for cell in cells:
            try:
                value = float(cell)
            except ValueError:
                return DataError(f"{label}, line {number}: {cell[:40]!r} is not a number")
            if not np.isfinite(value):
                return DataError(f"{label}, line {number}: {cell!r} is not a finite number")
            if kind == "integer" and value != int(value):
                return DataError(f"{label}, line {number}: {cell!r} is not a whole number")
    return DataError(f"{label} is not a table of {kind}s")


def numbers(data: bytes, label: str, columns: int | None = None, delimiter: str = ",") -> np.ndarray:
    r"""Read a table of finite numbers without a header.

    Parameters
    ----------
    data : bytes
    label : str
        The file's name, for errors.
    columns : int, optional
        How many columns each line must have; by default as many as the first.
    delimiter : str

    Returns
    -------
    ndarray
        float64 ``[lines, columns]``.

    Raises
    ------
    DataError
        Naming file and line: a ragged row, a cell that is no number, NaN or infinity.

    Examples
    --------
    >>> numbers(b"1.5, 2\n3, 4\n", "a.txt").tolist()
    [[1.5, 2.0], [3.0, 4.0]]
    """
    values = _parsed(data, delimiter, columns)
    if values is None or not np.isfinite(values).all():
        raise _complain(data, label, delimiter, columns, "number")
    return values


def integers(data: bytes, label: str, columns: int | None = None, delimiter: str = ",") -> np.ndarray:
    r"""Read a table of whole numbers without a header, int64 ``[lines, columns]``; see :func:`numbers`.

    >>> integers(b"3, 1\n", "a.txt").tolist()
    [[3, 1]]
    """
    values = _parsed(data, delimiter, columns)
    if values is None or not np.isfinite(values).all() or (values != np.round(values)).any():
        raise _complain(data, label, delimiter, columns, "integer")
    return values.astype(np.int64)


def frame(data: bytes, label: str, needed: Sequence[str]):
    r"""Read a CSV with a header as a pandas table of text, blank lines skipped.

    Returns
    -------
    pandas.DataFrame
        Its index holds the line, counted from 1, that each row ends on.

    Raises
    ------
    DataError
        Naming file and line: a needed column is missing, a row is ragged, a quote is never closed.

    Examples
    --------
    >>> frame(b"smiles,y\r\n\r\nCC,\r\n", "a.csv", ["smiles"]).index.tolist()
    [3]
    """
    import pandas

    text = data.decode("utf-8", errors="replace").lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    reader = csv.reader(io.StringIO(text))
    header: list[str] = []
    rows, numbers = [], []
    try:
        for row in reader:
            if not any(map(str.strip, row)) and len(row) <= 1:
                continue
            if not header:
                header = [name.strip() for name in row]
                _check_header(header, label, reader.line_num, needed)
            elif len(row) != len(header):
                raise DataError(
                    f"{label}, line {reader.line_num}: {len(row)} columns where {len(header)} were expected: "
                    f"{','.join(row)[:60]!r}"
                )
            else:
                rows.append(row)
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{label}, line {reader.line_num}: not a CSV table ({error})") from error
    if not header:
        raise DataError(f"{label} is empty; expected a CSV table with the columns {', '.join(map(repr, needed))}")
    return pandas.DataFrame(rows, columns=header, index=pandas.Index(numbers, name="line"), dtype=object)


def column(values, label: str, whole: bool = False) -> np.ndarray:
    r"""Return a column of :func:`frame` as numbers, float64 ``[rows]``, or int64 if ``whole``.

    Raises
    ------
    DataError
        Naming file and line: a cell is no finite number, or none that is whole.

    Examples
    --------
    >>> column(frame(b"a\n1.5\n", "x", ["a"])["a"], "x").tolist()
    [1.5]
    """
    try:
        made = values.to_numpy().astype(np.float64)
    except ValueError:
        made = np.array([number(cell) for cell in values])
    wrong = np.flatnonzero(~np.isfinite(made) | (whole & (made != np.round(made))))
    if len(wrong):
        kind = "whole" if whole else "finite"
        place = f"{label}, line {values.index[wrong[0]]}"
        raise DataError(f"{place}: {values.iloc[wrong[0]]!r} in column {values.name!r} is not a {kind} number")
    return made.astype(np.int64) if whole else made


def number(cell: str) -> float:
    """Return a cell as a number, NaN if it is none.

    >>> number("x")
    nan
    """
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _check_header(header: Sequence[str], label: str, line: int, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in header]
    if missing:
        shown = ", ".join(map(repr, header[:12]))
        raise DataError(f"{label}, line {line}: no column {missing[0]!r}; the header, cut at ',', is {shown}")


def headed(data: bytes, label: str, needed: Sequence[str], delimiter: str = "\t") -> tuple[list[str], bytes]:
    r"""Take the header off a table; what is left keeps its line numbers.

    Parameters
    ----------
    data : bytes
    label : str
        The file's name, for errors.
    needed : sequence of str
        Columns that must be there.
    delimiter : str

    Returns
    -------
    header : list of str
    body : bytes
        The rest, with an empty line for the header.

    Raises
    ------
    DataError
        If the table is empty or a column is missing.

    Examples
    --------
    >>> headed(b"a\tb\r\n1\t2\n", "x", ["b"])
    (['a', 'b'], b'\n1\t2\n')
    """
    first, rest, number = b"", data, 0
    while rest and not first.strip():
        first, _, rest = rest.partition(b"\n")
        number += 1
    header = [cell.strip() for cell in first.decode("utf-8", errors="replace").lstrip("\ufeff").split(delimiter)]
    for name in needed:
        if name not in header:
            shown = ", ".join(map(repr, header[:12])) if first.strip() else "nothing"
            raise DataError(
                f"{label}, line {max(number, 1)}: no column {name!r}; the header, cut at {delimiter!r}, is {shown}"
            )
    return header, b"\n" * number + rest


def complain_row(data: bytes, label: str, row: int, story: str) -> DataError:
    r"""Return an error about row ``row``, counted from 0 without blank lines, naming its line.

    >>> complain_row(b"\na\n\nb", "x", 1, "is odd").args
    ('x, line 4: is odd',)
    """
    return DataError(f"{label}, line {lines(data)[row][0]}: {story}")


def check_range(values: np.ndarray, total: int, data: bytes, label: str, first: int = 0) -> None:
    r"""Raise unless every id of a table ``[rows, columns]`` lies in ``first .. first + total - 1``, naming the line.

    >>> check_range(np.array([[0, 3]]), 3, b"0 3", "x")
    Traceback (most recent call last):
    graphkit.core.errors.DataError: x, line 1: the ids 0, 3; expected ids from 0 to 2
    """
    wrong = np.flatnonzero(((values < first) | (values >= first + total)).any(axis=1))
    if len(wrong):
        shown = ", ".join(str(value) for value in values[wrong[0]])
        raise complain_row(data, label, wrong[0], f"the ids {shown}; expected ids from {first} to {first + total - 1}")


def permutation(ids: np.ndarray, data: bytes, label: str) -> None:
    r"""Raise unless ids ``[n]`` are 0 to n - 1 in some order, naming the line of the first that repeats or skips.

    >>> permutation(np.array([1, 1]), b"1\n1", "x")
    Traceback (most recent call last):
    graphkit.core.errors.DataError: x, line 2: the id 1 repeats; expected each of 0 to 1 once
    """
    _, first = np.unique(ids, return_index=True)
    again = np.setdiff1d(np.arange(len(ids)), first)
    beyond = np.flatnonzero((ids < 0) | (ids >= len(ids)))
    for rows, verb in ((again, "repeats"), (beyond, "leaves a gap")):
        if len(rows):
            story = f"the id {ids[rows[0]]} {verb}; expected each of 0 to {len(ids) - 1} once"
            raise complain_row(data, label, rows[0], story)
