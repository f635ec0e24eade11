"""Batches that were drawn and packed before training, read in order while the last one is trained on."""

from __future__ import annotations

import os
import queue
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit import _dgl
from graphkit._kernels import packed as kernels
from graphkit.core.batch import Batch
from graphkit.core.errors import ChecksumError, DataError
from graphkit.data.arrays import MANIFEST, check_crc, map_array, read_json
from graphkit.data.disk import DiskDataset
from graphkit.sampling.packing import IN_FLIGHT, Packer, PackPlan, check_budget, check_key, packable

if TYPE_CHECKING:
    from graphkit.data import Dataset


class PackedBatches:
    """The packed batches of a plan: each equals, bit for bit, what the loader would draw and gather.

    Parameters
    ----------
    data : Dataset
        The graph that the batches were drawn from; its structure and features are not read.
    plan : PackPlan
    folder : path-like

    Attributes
    ----------
    bytes_read, bytes_cold : int
        Read from the files of features, and of these the rows that were wanted.

    Raises
    ------
    GraphKitError
        If the folder holds batches of another graph or plan, or a file is missing or damaged.

    Examples
    --------
    >>> import tempfile, graphkit as gk
    >>> from graphkit.sampling.packing import Part
    >>> data, plan = gk.load("digits"), PackPlan((Part("train"),), (3, 3), 512, 10**8)
    >>> packed = PackedBatches.make(data, plan, tempfile.mkdtemp())
    >>> [len(batch.targets) for batch in packed.batches("train-0")]
    [512, 512, 54]
    """

    def __init__(self, data: Dataset, plan: PackPlan, folder: str | Path) -> None:
        self.data, self.plan, self.folder = data, plan, Path(folder)
        self.manifest = read_json(self.folder / MANIFEST)
        check_key(self.folder, plan.key(data))
        check_budget(self.folder, plan.budget)
        width, dtype = self.manifest["row"]
        self.width, self.dtype = int(width), np.dtype(dtype)
        entry = self.manifest["cache"]
        map_array(self.folder / "cache.bin", entry)
        self.cache = np.fromfile(self.folder / "cache.bin", self.dtype).reshape(-1, self.width)
        check_crc(self.folder / "cache.bin", entry, self.cache)
        self.node_fields = {} if hasattr(data, "features") else packable(data).node_fields
        self.bytes_read = self.bytes_cold = self.rows_given = self.rows_cached = 0
        self._checked: set[tuple[str, int]] = set()

    @classmethod
    def make(cls, data: Dataset, plan: PackPlan, folder: str | Path) -> PackedBatches:
        """Pack what the folder lacks, and open it; a graph on disk then lets go of its structure."""
        if not (Path(folder) / MANIFEST).is_file():
            Packer(data, plan, folder).run()
            if isinstance(data, DiskDataset):
                data.release()
        return cls(data, plan, folder)

    def __len__(self) -> int:
        """Batches in all parts."""
        return sum(len(read_json(self.folder / f"{part.name}.json")) for part in self.plan.parts)

    def stats(self) -> dict[str, float]:
        """Return bytes read and wanted, the share of rows that the cache had, and the cache's bytes."""
        return {
            "bytes_read": self.bytes_read,
            "bytes_cold": self.bytes_cold,
            "hit_rate": self.rows_cached / max(self.rows_given, 1),
            "cache_bytes": self.cache.nbytes,
        }

    def batches(self, part: str) -> Iterator[Batch]:
        """Yield the batches of a part, read by a thread that is one batch ahead."""
        blocks, rows = (read_json(self.folder / f"{part}{end}.json") for end in ("", ".rows"))
        waiting: queue.Queue = queue.Queue(IN_FLIGHT - 2)
        stopped = threading.Event()

        def work() -> None:
            try:
                for item in self._read(part, blocks, rows):
                    if not _put(waiting, item, stopped):
                        return
                _put(waiting, None, stopped)
            except BaseException as error:
                _put(waiting, error, stopped)

        reader = threading.Thread(target=work, name="graphkit-packed", daemon=True)
        reader.start()
        try:
            while (item := waiting.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield self._batch(*item)
                del item
        finally:
            stopped.set()
            reader.join()

    def _read(self, part: str, blocks: list[dict], rows: list[dict]) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Yield the arrays and the features of each batch."""
        structure, packed = (os.open(self.folder / f"{part}.{end}", os.O_RDONLY) for end in ("blocks", "rows"))
        try:
            for number, (one, other) in enumerate(zip(blocks, rows, strict=True)):
                arrays = _split(self._record(structure, one, f"{part}.blocks", number), one["arrays"])
                raw = self._record(packed, other, f"{part}.rows", number)
                self.bytes_read += other["bytes"]
                yield arrays, self._features(raw, other)
        finally:
            os.close(structure)
            os.close(packed)

    def _record(self, file: int, entry: dict[str, Any], name: str, number: int) -> bytearray:
        """Return the bytes of a record; their checksum is taken when they are first read."""
        raw = bytearray(entry["bytes"])
        done = 0
        while done < len(raw):
            got = os.preadv(file, [memoryview(raw)[done:]], entry["at"] + done)
            if not got:
                raise DataError(f"{self.folder / name} ends inside batch {number}; delete the folder and pack again")
            done += got
        if (name, number) not in self._checked:
            if zlib.crc32(raw) != entry["crc32"]:
                raise ChecksumError(
                    f"{self.folder / name} is damaged at batch {number}; delete the folder and pack again"
                )
            self._checked.add((name, number))
        return raw

    def _features(self, raw: bytearray, entry: dict[str, Any]) -> Tensor:
        slots = np.frombuffer(raw, np.int32, entry["slots"])
        cold = np.frombuffer(raw, self.dtype, offset=slots.nbytes).reshape(entry["cold"], self.width)
        self.rows_given += len(slots)
        self.rows_cached += len(slots) - len(cold)
        self.bytes_cold += cold.nbytes
        if self.dtype.itemsize == 2:
            half = np.empty((len(slots), self.width), self.dtype)
            kernels.assemble(slots, self.cache.view(np.int16), cold.view(np.int16), half.view(np.int16))
            return torch.from_numpy(half.astype(np.float32))
        out = np.empty((len(slots), self.width), self.dtype)
        kernels.assemble(slots, self.cache, cold, out)
        return torch.from_numpy(out)

    def _batch(self, arrays: dict[str, Tensor], feat: Tensor) -> Batch:
        """Return the batch that these arrays describe."""
        nodes, targets = arrays["nodes"], arrays["targets"]
        hops = sum(name.startswith("indptr") for name in arrays)
        counts = [len(nodes), *(len(arrays[f"indptr{hop}"]) - 1 for hop in range(hops))]
        blocks = []
        for hop in range(hops):
            blocks.append(_dgl.block_of(arrays[f"indptr{hop}"], arrays[f"src{hop}"], counts[hop]))
            _dgl.set_degrees(blocks[-1], *(arrays[name][: counts[hop]] for name in _dgl.DEGREES))
        weights = [arrays[f"weight{hop}"] for hop in range(hops)] if "graph_weight" in arrays else None
        fields = {name: value[nodes] for name, value in self.node_fields.items()}
        fields |= {} if weights is None else {"graph_weight": arrays["graph_weight"]}
        return Batch(
            _dgl.trusted(arrays["graph_src"], arrays["graph_dst"], counts[-1]),
            feat,
            edge_weight=weights,
            blocks=blocks,
            targets=targets,
            label=self.data.labels[nodes[targets]],
            fields={**fields, "nid": nodes},
        )


def _put(waiting: queue.Queue, item: Any, stopped: threading.Event) -> bool:
    """Wait until there is room, or nobody reads any more."""
    while not stopped.is_set():
        try:
            waiting.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False


def _split(raw: bytearray, shapes: list[list[Any]]) -> dict[str, Tensor]:
    """Cut a record into its arrays; whole numbers as int64."""
    found, at = {}, 0
    for name, dtype, count in shapes:
        array = np.frombuffer(raw, np.dtype(dtype), count, at)
        at += array.nbytes
        found[name] = torch.from_numpy(array.astype(np.int64) if array.dtype.kind == "i" else array.copy())
    return found
