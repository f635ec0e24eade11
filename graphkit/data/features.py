"""Rows of features that stay on disk, indexed as a tensor is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.data.arrays import map_array, write_array

#: What a device reads at once.
PAGE = 4096


class FeatureStore:
    """A matrix ``[N, D]`` in a file, memory-mapped; ``store[ids]`` gives rows as ``tensor[ids]`` does.

    Only the rows asked for are read. The file is one array of a graph on disk (see :func:`graphkit.data.to_disk`).

    Parameters
    ----------
    path : path-like
    entry : mapping
        ``dtype``, ``shape`` and ``crc32`` as :func:`~graphkit.data.arrays.write_array` returned them.

    Attributes
    ----------
    rows_read, pages_read : int
        Rows given, and pages of 4096 bytes that hold them, a page counted once for each call.

    Raises
    ------
    DataError
        If the file is missing or has another size.

    Examples
    --------
    >>> import tempfile
    >>> store = FeatureStore.write(Path(tempfile.mkdtemp()) / "feat.bin", np.eye(4, dtype=np.float32))
    >>> store[torch.tensor([2, 0])].tolist(), store.shape
    ([[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]], torch.Size([4, 4]))
    """

    def __init__(self, path: str | Path, entry: dict[str, Any]) -> None:
        self.path, self.entry = Path(path), dict(entry)
        if len(entry["shape"]) != 2 or np.dtype(entry["dtype"]).kind != "f":
            raise GraphKitError(f"{path} holds {entry['dtype']} {entry['shape']}; features are floats [N, D]")
        self._array: np.ndarray | None = None
        self.rows_read = self.pages_read = 0
        map_array(self.path, self.entry)

    @classmethod
    def write(cls, path: str | Path, chunks: np.ndarray | Tensor | Iterable[np.ndarray]) -> FeatureStore:
        """Write an array, or its rows chunk by chunk, and open it."""
        if isinstance(chunks, Tensor):
            chunks = chunks.numpy()
        return cls(path, write_array(Path(path), chunks))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the place, not the rows."""
        return {**self.__dict__, "_array": None}

    @property
    def array(self) -> np.ndarray:
        """The memory-mapped array."""
        if self._array is None:
            self._array = map_array(self.path, self.entry)
        return self._array

    @property
    def shape(self) -> torch.Size:
        """``[N, D]``."""
        return torch.Size(self.entry["shape"])

    @property
    def dtype(self) -> torch.dtype:
        """Of the rows given; halves are given as float32, which is what models compute in."""
        return torch.float64 if self.entry["dtype"] == "float64" else torch.float32

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in the file."""
        return self.shape[1] * np.dtype(self.entry["dtype"]).itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def dim(self) -> int:
        """Return 2."""
        return 2

    def is_floating_point(self) -> bool:
        """Return True."""
        return True

    def __getitem__(self, ids: Any) -> Tensor:
        if isinstance(ids, Tensor):
            ids = ids.numpy()
        rows = np.asarray(self.array[ids])
        self._count(ids, rows)
        return torch.from_numpy(np.array(rows, dtype=np.float64 if self.dtype == torch.float64 else np.float32))

    def _count(self, ids: Any, rows: np.ndarray) -> None:
        self.rows_read += rows.size // max(self.shape[1], 1)
        if isinstance(ids, np.ndarray) and ids.dtype != bool and ids.ndim == 1:
            self.pages_read += pages_of(ids, self.row_bytes)
        else:
            self.pages_read += -(-rows.size // max(self.shape[1], 1) * self.row_bytes // PAGE)

    def chunks(self, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first row, rows)`` from the beginning to the end, read in order."""
        for low in range(0, len(self), rows):
            yield low, self.array[low : low + rows]


def pages_of(ids: np.ndarray, row_bytes: int) -> int:
    """Return how many different pages of 4096 bytes hold the rows ``ids`` of a matrix.

    >>> pages_of(np.array([0, 1, 100]), 128)
    2
    """
    if not len(ids) or not row_bytes:
        return 0
    first = ids.astype(np.int64) * row_bytes // PAGE
    last = ((ids.astype(np.int64) + 1) * row_bytes - 1) // PAGE
    widest = int((last - first).max()) + 1
    touched = [np.minimum(first + i, last) for i in range(widest)]
    return len(np.unique(np.concatenate(touched)))
