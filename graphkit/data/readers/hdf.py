"""Tables that pandas wrote to HDF5 in its fixed form, read with h5py (PyTables is not needed)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from graphkit.core.errors import DataError, require
from graphkit.data.readers.series import finite
from graphkit.data.store import Files


def _names(stored: np.ndarray, label: str) -> list[str]:
    """Return the names of an axis: numbers or text of a fixed width; what holds pickles is refused."""
    if stored.ndim != 1 or stored.dtype.kind not in "iuS":
        raise DataError(f"{label} names its columns in a form other than numbers or plain text ({stored.dtype})")
    text = stored.dtype.kind == "S"
    return [value.decode("utf-8", errors="replace").rstrip("\0") if text else str(value) for value in stored.tolist()]


def _table(group: Any, label: str) -> tuple[list[str], np.ndarray]:
    """Join the blocks of one kind of number each that pandas splits a table into."""
    columns = _names(group["axis0"][()], label)
    rows = group["axis1"].shape[0]
    values, filled = np.empty((rows, len(columns))), set()
    place = {name: i for i, name in enumerate(columns)}
    if len(place) != len(columns):
        raise DataError(f"{label} names {len(columns)} columns, of which {len(place)} are distinct")
    for block in sorted(name for name in group if name.startswith("block") and name.endswith("_values")):
        held = group[block][()]
        names = _names(group[block.replace("_values", "_items")][()], label)
        if held.dtype.kind not in "iuf" or held.shape != (rows, len(names)) or not set(names) <= set(place):
            raise DataError(f"{label}: {block} holds {held.dtype} {list(held.shape)}; expected numbers of {rows} rows")
        values[:, [place[name] for name in names]] = held
        filled.update(names)
    empty = [name for name in columns if name not in filled]
    if empty:
        raise DataError(f"{label} holds no numbers of the column {empty[0]}")
    finite(values, label, "values")
    return columns, values


def table_of_hdf(files: Files, name: str, ids: list[str] | None = None) -> np.ndarray:
    """Read the one table of numbers in an HDF5 file, ``[T, N]``; with ``ids``, its columns are put in their order.

    Parameters
    ----------
    files : Files
    name : str
        A file that ``DataFrame.to_hdf(..., format="fixed")`` wrote.
    ids : list of str, optional

    Returns
    -------
    ndarray
        float64 ``[T, N]``.

    Raises
    ------
    MissingExtraError
        If h5py is not installed.
    DataError
        If the file is truncated, holds another form or several tables, or an id has no column.
    """
    h5py = require("h5py", "hdf", f"the file {name.rsplit('/', 1)[-1]}")
    label = files.label(name)
    try:
        with h5py.File(io.BytesIO(files.read(name)), "r") as store:
            found: list[Any] = []
            store.visititems(
                lambda _, at: found.append(at) if {"axis0", "axis1"} <= set(getattr(at, "keys", set)()) else None
            )
            if len(found) != 1:
                raise DataError(f"{label} holds {len(found)} tables of pandas in its fixed form; expected one")
            columns, values = _table(found[0], label)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{label} is truncated or not an HDF5 file of pandas ({type(error).__name__})") from error
    if ids is None:
        return values
    place = {column: i for i, column in enumerate(columns)}
    missing = [sensor for sensor in ids if sensor not in place]
    if missing:
        raise DataError(f"{label} has no column of sensor {missing[0]}")
    return values[:, [place[sensor] for sensor in ids]]
