"""Arrays in files that a kill cannot leave half written, and a manifest that says what they hold."""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from graphkit.core.errors import ChecksumError, DataError, GraphKitError
from graphkit.core.sizes import show_bytes

MANIFEST = "manifest.json"
#: What a half-written file is called; whoever writes next removes it.
PARTIAL = ".partial"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FullDiskError(GraphKitError):
    """The disk has no room for what is being written."""


@contextmanager
def writing(path: Path) -> Iterator[Any]:
    """Open a file beside ``path`` for writing, which takes its place at once, on the disk, when all went well.

    Raises
    ------
    FullDiskError
        If the disk is full; what ``path`` held before is still there.
    DataError
        If the folder cannot be written.
    """
    beside = path.with_name(path.name + PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        _remove(beside)
        if error.errno in _FULL:
            raise FullDiskError(
                f"the disk is full: {path} could not be written; what was finished before is kept, so make room and "
                "start again with resume"
            ) from error
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        _remove(beside)
        raise


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Remove what a kill left half written."""
    for leftover in folder.glob(f"*{PARTIAL}"):
        leftover.unlink(missing_ok=True)


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise before anything is written if the disk has no room for it.

    Raises
    ------
    FullDiskError
        If fewer than ``needed`` bytes are free.
    """
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    if needed > free:
        raise FullDiskError(
            f"{what} needs {show_bytes(needed)} on the disk of {folder}, which has {show_bytes(free)} free; "
            "nothing was written"
        )


def write_json(path: Path, value: Any) -> None:
    """Write JSON at once or not at all."""
    with writing(path) as file:
        file.write((json.dumps(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    DataError
        If it is missing or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: it is no JSON") from error


def write_array(path: Path, chunks: np.ndarray | Iterable[np.ndarray]) -> dict[str, Any]:
    """Write an array, or its rows in chunks, and return ``dtype``, ``shape`` and ``crc32`` for a manifest.

    Examples
    --------
    >>> import tempfile
    >>> entry = write_array(Path(tempfile.mkdtemp()) / "a.bin", np.arange(3, dtype=np.int32))
    >>> entry["dtype"], entry["shape"]
    ('int32', [3])
    """
    parts = [chunks] if isinstance(chunks, np.ndarray) else chunks
    checksum, rows, kind, tail = 0, 0, None, ()
    with writing(path) as file:
        for part in parts:
            part = np.ascontiguousarray(part)
            if kind is None:
                kind, tail = part.dtype, part.shape[1:]
            elif (part.dtype, part.shape[1:]) != (kind, tail):
                raise GraphKitError(f"a chunk has rows {part.dtype} {part.shape[1:]}; expected {kind} {tail}")
            checksum = zlib.crc32(part.data.cast("B") if part.size else b"", checksum)
            file.write(part.data.cast("B") if part.size else b"")
            rows += len(part)
    return {"dtype": str(kind or np.dtype("float32")), "shape": [rows, *tail], "crc32": checksum}


def map_array(path: Path, entry: dict[str, Any], verify: bool = False) -> np.ndarray:
    """Return a written array, memory-mapped; what is changed in it stays in memory.

    Raises
    ------
    DataError
        If the file is missing or has another size than its entry says.
    ChecksumError
        If ``verify`` and its bytes are not those that were written.
    """
    shape, dtype = tuple(entry["shape"]), np.dtype(entry["dtype"])
    wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    found = path.stat().st_size if path.is_file() else -1
    if found != wanted:
        what = "is missing" if found < 0 else f"has {found} bytes"
        raise DataError(f"{path} {what}; its manifest says {wanted}")
    if wanted == 0:
        return np.zeros(shape, dtype)
    array = np.memmap(path, dtype, mode="c", shape=shape)
    if verify:
        check_crc(path, entry, array)
    return array


def check_crc(path: Path, entry: dict[str, Any], array: np.ndarray) -> None:
    """Raise ChecksumError unless the bytes of ``array`` are those that were written."""
    if zlib.crc32(np.ascontiguousarray(array).data.cast("B") if array.size else b"") != entry["crc32"]:
        raise ChecksumError(f"{path} is damaged: its bytes do not have the checksum of its manifest")


def each_chunk(total: int, size: int, use: Callable[[int, int], None]) -> None:
    """Call ``use(low, high)`` for ranges of at most ``size`` that cover ``total``.

    >>> each_chunk(5, 2, lambda low, high: print(low, high))
    0 2
    2 4
    4 5
    """
    for low in range(0, total, size):
        use(low, min(low + size, total))
