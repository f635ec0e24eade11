"""Batches drawn before training, and their features packed on disk in the order in which training will read them.

After DiskGNN: Bridging I/O Efficiency and Model Accuracy for Out-of-Core GNN Training (arXiv 2405.05231).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit import _dgl
from graphkit._kernels import packed as kernels
from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.sizes import show_bytes
from graphkit.data.arrays import MANIFEST, check_room, read_json, tidy, write_array, write_json, writing
from graphkit.data.cut import PartDataset
from graphkit.sampling.blocks import check_fanouts
from graphkit.sampling.loader import Loader
from graphkit.sampling.neighbor import NodeMaker
from graphkit.sampling.store import Store, split_ids

if TYPE_CHECKING:
    from graphkit.data import Dataset

BUDGET = "budget.json"
KIND, FORMAT, PAGE = "graphkit packed batches", 1, 4096
#: Batches in memory at once: one is trained on, one waits, one is being read.
IN_FLIGHT = 3
#: What a batch's structure takes in memory, against its bytes on disk: 32-bit numbers become 64-bit ones.
WIDENED = 3
_CHUNK = 32 << 20


@dataclass(frozen=True)
class Part:
    """One pass over a split: the batches that a loader with these settings gives.

    Parameters
    ----------
    split : str
    epoch : int
    seed : int
    phase : str
    shuffle : bool
    weight : int
        How often the part will be read, against others; decides what the cache holds.
    """

    split: str
    epoch: int = 0
    seed: int = 0
    phase: str = "train"
    shuffle: bool = False
    weight: int = 1

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.split}-{self.epoch}"


@dataclass(frozen=True)
class PackPlan:
    """What is drawn and packed.

    Parameters
    ----------
    parts : tuple of Part
    fanouts : tuple of int
    batch_size : int
    budget : int
        Bytes for the cache of features and the batches in flight.

    Examples
    --------
    >>> PackPlan((Part("train"),), (5, 5), 64, 10**6).parts[0].name
    'train-0'
    """

    parts: tuple[Part, ...]
    fanouts: tuple[int, ...]
    batch_size: int
    budget: int

    def key(self, data: Dataset) -> dict[str, Any]:
        """Return what a packed folder must agree with."""
        return {
            "kind": KIND,
            "format_version": FORMAT,
            "data": data.fingerprint(),
            "fanouts": list(self.fanouts),
            "batch_size": self.batch_size,
            "parts": [asdict(part) for part in self.parts],
        }


def packable(data: Dataset) -> Store:
    """Return the dataset's store, or raise if its edges carry what is not packed.

    Raises
    ------
    GraphKitError
        If nodes have no features, or edges have features or types.
    """
    if isinstance(data, PartDataset):
        raise GraphKitError(f"{data.name} is in parts; memory_budget packs the features of one graph on disk")
    store = Store.of_data(data)
    extra = ["feat"] if store.edge_feat is not None else list(store.edge_fields)
    if extra or not store.feat.shape[1]:
        what = f"the edge field {extra[0]!r}" if extra else "no node features"
        raise GraphKitError(f"memory_budget packs node features and edge weights, but {data.name} has {what}")
    return store


def loader_of(data: Dataset, store: Store, plan: PackPlan, part: Part, **options: Any) -> Loader:
    """Return the loader whose batches of one epoch a part holds."""
    maker = NodeMaker(store, None, split_ids(data, part.split), check_fanouts(plan.fanouts))
    made = Loader(
        maker, len(maker.ids), plan.batch_size, shuffle=part.shuffle, seed=part.seed, phase=part.phase, **options
    )
    made.set_epoch(part.epoch)
    return made


def arrays_of(batch: Batch) -> dict[str, np.ndarray]:
    """Return the structure of a batch as arrays: its blocks, its nodes and their degrees in the whole graph."""
    first, (src, dst) = batch.blocks[0], batch.graph.edges(order="eid")
    found = {"nodes": batch.fields["nid"], "targets": batch.targets, "graph_src": src, "graph_dst": dst}
    found |= {name: first.srcdata[name] for name in _dgl.DEGREES}
    weights = batch.edge_weight or []
    if weights:
        found["graph_weight"] = batch.fields["graph_weight"]
    for hop, block in enumerate(batch.blocks):
        indptr, sources, _ = _dgl.structure(block).csc()
        found |= {f"indptr{hop}": indptr, f"src{hop}": sources}
        if weights:
            found[f"weight{hop}"] = weights[hop]
    return {name: _small(value) for name, value in found.items()}


def _small(value: Tensor) -> np.ndarray:
    array = value.numpy()
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array.astype(np.int32) if not array.size or array.max() < 2**31 else array


class _Records:
    """Writes pieces of bytes to a file, each at the beginning of a page, and remembers where they are."""

    def __init__(self, file: Any) -> None:
        self.file, self.at = file, 0
        self.entries: list[dict[str, Any]] = []

    def add(self, pieces: Sequence[np.ndarray], **about: Any) -> None:
        checksum, size = 0, 0
        for piece in pieces:
            raw = np.ascontiguousarray(piece).data.cast("B") if piece.size else b""
            checksum = zlib.crc32(raw, checksum)
            self.file.write(raw)
            size += piece.nbytes
        self.entries.append({"at": self.at, "bytes": size, "crc32": checksum, **about})
        padding = -size % PAGE
        self.file.write(bytes(padding))
        self.at += size + padding


class Packer:
    """Draws the batches of a plan and packs their features into a folder.

    Every file appears at once and whole, and the manifest last, so a kill at any moment leaves what was finished, with
    which the same plan goes on.

    Parameters
    ----------
    data : Dataset
        One graph, for node prediction; in memory or on disk.
    plan : PackPlan
    folder : path-like

    Raises
    ------
    GraphKitError
        If the folder holds batches of another graph, features or plan, or the budget is smaller than the batches need.
    FullDiskError
        If the disk has no room; what was finished is kept.
    """

    def __init__(self, data: Dataset, plan: PackPlan, folder: str | Path) -> None:
        self.data, self.plan, self.folder = data, plan, Path(folder)
        self.store = packable(data)
        self.rows = FeatureRows(self.store.feat)

    def run(self) -> None:
        """Draw and pack what the folder lacks."""
        import filelock

        self.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder / ".lock"):
            key = self.plan.key(self.data)
            check_key(self.folder, key)
            check_budget(self.folder, self.plan.budget)
            if (self.folder / MANIFEST).is_file():
                return
            tidy(self.folder)
            write_json(self.folder / "key.json", key)
            for part in self.plan.parts:
                self._sample(part)
            needs = self._needs()
            write_json(self.folder / BUDGET, self.plan.budget)
            cached, counts = self._choose(needs)
            where = np.full(len(counts), -1, np.int32)
            where[cached] = np.arange(len(cached), dtype=np.int32)
            del counts
            self._check_room(where)
            cache = write_array(self.folder / "cache.bin", self.rows.take(cached, self.rows.per_chunk))
            for part in self.plan.parts:
                self._pack(part, where)
            stated = {"needs": needs, "cached_rows": len(cached), "row": [self.rows.width, str(self.rows.dtype)]}
            write_json(self.folder / MANIFEST, {**key, **stated, "cache": cache})

    def _sample(self, part: Part) -> None:
        """Write the structure of each batch of a part."""
        index = self.folder / f"{part.name}.json"
        if index.is_file():
            return
        bare = Store(self.store.graph, torch.empty(self.store.graph.num_nodes(), 0), edge_weight=self.store.edge_weight)
        bare.prepare()
        with writing(self.folder / f"{part.name}.blocks") as file:
            records = _Records(file)
            for batch in loader_of(self.data, bare, self.plan, part):
                arrays = arrays_of(batch)
                shapes = [[name, str(a.dtype), len(a)] for name, a in arrays.items()]
                records.add(list(arrays.values()), arrays=shapes, nodes=len(arrays["nodes"]))
        write_json(index, records.entries)

    def nodes(self, part: Part) -> Iterator[np.ndarray]:
        """Yield the ids of the input rows of each batch of a part."""
        with open(self.folder / f"{part.name}.blocks", "rb") as file:
            for entry in read_json(self.folder / f"{part.name}.json"):
                file.seek(entry["at"])  # the nodes are the first array of a record
                yield np.fromfile(file, np.dtype(entry["arrays"][0][1]), entry["nodes"])

    def _needs(self) -> int:
        """Return the bytes that the batches in flight take, and raise if the budget is smaller."""
        largest = max(
            entry["nodes"] * self.rows.width * self.rows.out_size + WIDENED * entry["bytes"]
            for part in self.plan.parts
            for entry in read_json(self.folder / f"{part.name}.json")
        )
        needs = IN_FLIGHT * largest
        least = max(needs, 8 * len(self.rows) + 2 * largest)
        if self.plan.budget < least:
            raise GraphKitError(
                f"memory_budget is {show_bytes(self.plan.budget)}, but batches of {self.plan.batch_size} targets with "
                f"fanouts {list(self.plan.fanouts)} need {show_bytes(least)} ({IN_FLIGHT} in flight, "
                f"{show_bytes(largest)} each at most); give more, or a smaller batch_size"
            )
        return needs

    def _choose(self, needs: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of the rows that most batches read, as many as there is room for, and the counts."""
        counts = np.zeros(len(self.rows), np.int32)
        for part in self.plan.parts:
            for nodes in self.nodes(part):
                kernels.count_into(counts, nodes, np.int32(part.weight))
        room = (self.plan.budget - needs) // max(self.rows.row_bytes, 1)
        return most_popular(counts, room), counts

    def _check_room(self, where: np.ndarray) -> None:
        """Raise before the first row is written if the disk cannot hold all of them."""
        needed = int((where >= 0).sum()) * self.rows.row_bytes
        for part in self.plan.parts:
            if not (self.folder / f"{part.name}.rows.json").is_file():
                for nodes in self.nodes(part):
                    cold = int((where[nodes] < 0).sum())
                    needed += cold * self.rows.row_bytes + 4 * len(nodes) + PAGE
        check_room(self.folder, needed, "packing the features of the batches")

    def _pack(self, part: Part, where: np.ndarray) -> None:
        """Write for each batch of a part where its rows are, and those that are not in the cache."""
        index = self.folder / f"{part.name}.rows.json"
        if index.is_file():
            return
        with writing(self.folder / f"{part.name}.rows") as file:
            records = _Records(file)
            room = max(self.plan.budget - 8 * len(where) - 2 * self.rows.per_chunk * self.rows.row_bytes, 0)
            for slots, wanted in self._groups(part, where, room):
                cold = self.rows.gather(np.concatenate(wanted))
                ends = np.cumsum([len(ids) for ids in wanted])
                for slot, ids, end in zip(slots, wanted, ends):
                    records.add([slot, cold[end - len(ids) : end]], slots=len(slot), cold=len(ids))
                del cold  # lest the next run's rows lie beside it
        write_json(index, records.entries)

    def _groups(self, part: Part, where: np.ndarray, room: int) -> Iterator[tuple[list, list]]:
        """Yield runs of batches whose cold rows fit in ``room`` together; each run costs one pass over the features."""
        slots: list[np.ndarray] = []
        wanted: list[np.ndarray] = []
        held = 0
        for nodes in self.nodes(part):
            slot = where[nodes]
            ids = nodes[slot < 0]
            size = len(ids) * (self.rows.row_bytes + 24) + slot.nbytes
            if slots and held + size > room:
                yield slots, wanted
                slots, wanted, held = [], [], 0
            slots.append(slot)
            wanted.append(ids)
            held += size
        if slots:
            yield slots, wanted


def check_key(folder: Path, key: dict[str, Any]) -> None:
    """Raise unless a folder is empty or was begun for ``key``.

    Raises
    ------
    GraphKitError
        Naming what differs first.
    """
    place = folder / "key.json"
    if not place.is_file():
        return
    held = read_json(place)
    words = {"data": "another graph, features or split", "kind": "something else", "format_version": "another format"}
    for name, value in key.items():
        if held.get(name) != value:
            what = words.get(name, f"another {name.replace('_', ' ')}")
            shown = f" ({held.get(name)}, not {value})" if name in ("fanouts", "batch_size") else ""
            raise GraphKitError(f"{folder} holds packed batches of {what}{shown}; choose another folder or delete it")


def check_budget(folder: Path, budget: int) -> None:
    """Raise unless the rows in a folder, if any, were packed for ``budget``: what the cache holds depends on it."""
    place = folder / BUDGET
    if place.is_file() and read_json(place) != budget:
        raise GraphKitError(
            f"{folder} holds batches packed for a memory_budget of {show_bytes(read_json(place))}, not "
            f"{show_bytes(budget)}; choose another folder or delete it"
        )


def most_popular(counts: np.ndarray, room: int) -> np.ndarray:
    """Return the ids of at most ``room`` rows with the largest counts above 0, ascending; lower ids first among equals.

    >>> most_popular(np.array([1, 3, 0, 1], np.int32), 2).tolist()
    [0, 1]
    """
    room = max(int(room), 0)
    if int((counts > 0).sum()) <= room:
        return np.flatnonzero(counts > 0)
    if not room:
        return np.zeros(0, np.int64)
    above = np.cumsum(np.bincount(counts)[::-1])[::-1]  # how many have at least so much
    limit = int(np.flatnonzero(above > room)[-1])
    sure = np.flatnonzero(counts > limit)
    return np.sort(np.concatenate([sure, np.flatnonzero(counts == limit)[: room - len(sure)]]))


class FeatureRows:
    """Rows of a tensor or of a feature store, read in order of their ids, a chunk of the file at a time."""

    def __init__(self, feat: Any) -> None:
        self.array = feat.numpy() if isinstance(feat, Tensor) else feat.array
        self.width, self.dtype = self.array.shape[1], self.array.dtype
        self.row_bytes = self.width * self.dtype.itemsize
        #: Bytes of a number once a batch is assembled.
        self.out_size = 8 if self.dtype.itemsize == 8 else 4
        self.per_chunk = max(_CHUNK // max(self.row_bytes, 1), 1)

    def __len__(self) -> int:
        return len(self.array)

    def take(self, ids: np.ndarray, rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of ascending ``ids`` in chunks."""
        yield np.empty((0, self.width), self.dtype)
        for low in range(0, len(ids), rows):
            yield self.array[ids[low : low + rows]]

    def gather(self, ids: np.ndarray) -> np.ndarray:
        """Return the rows of any ids, reading the file once from the beginning to the end."""
        out = np.empty((len(ids), self.width), self.dtype)
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        for first in range(0, len(self), self.per_chunk):
            low, high = np.searchsorted(ordered, [first, first + self.per_chunk])
            if high > low:
                chunk = np.asarray(self.array[first : first + self.per_chunk])
                if self.dtype.itemsize == 2:  # halves are no numbers to the compiler, their bits are
                    kernels.fill_rows(first, chunk.view(np.int16), ordered, low, high, order, out.view(np.int16))
                else:
                    kernels.fill_rows(first, chunk, ordered, low, high, order, out)
        return out


def folder_for(data: Dataset, plan: PackPlan) -> str:
    """Return a name for a plan's folder, the same for the same graph and plan."""
    return hashlib.sha256(repr(plan.key(data)).encode()).hexdigest()[:16]
