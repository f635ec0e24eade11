"""A graph in a folder: structure by destination in 32-bit numbers, features left on disk."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from graphkit import _dgl
from graphkit.core.errors import ChecksumError, DataError, GraphKitError, unknown
from graphkit.core.spec import Spec
from graphkit.data.arrays import MANIFEST, check_crc, map_array, read_json, tidy, write_array, write_json
from graphkit.data.cards import Card
from graphkit.data.dataset import Dataset
from graphkit.data.features import FeatureStore

if TYPE_CHECKING:
    import dgl

FORMAT = 1
KIND = "graphkit graph on disk"
PARTS = ("train", "val", "test")


def is_disk(path: str | os.PathLike[str]) -> bool:
    """Say whether ``path`` is a folder that :func:`write_disk` made.

    >>> is_disk("no/such/folder")
    False
    """
    place = Path(path) / MANIFEST
    return place.is_file() and KIND.encode() in place.read_bytes()[:4096]


def write_disk(
    folder: str | os.PathLike[str],
    indptr: np.ndarray | Tensor,
    index: np.ndarray | Tensor,
    feat: np.ndarray | Tensor | Iterable[np.ndarray],
    labels: np.ndarray | Tensor,
    splits: Mapping[str, Any],
    name: str | None = None,
    num_classes: int | None = None,
) -> DiskDataset:
    """Write a graph of one's own for node prediction to a folder, and open it.

    Parameters
    ----------
    folder : path-like
    indptr, index : array of int
        ``[N + 1]`` and ``[E]``: the sources of the edges into node v are ``index[indptr[v] : indptr[v + 1]]``. Kept as
        int32 where N and E fit.
    feat : array, or iterable of arrays
        ``[N, D]``, float16, float32 or float64; chunks of rows where it does not fit in memory.
    labels : array
        ``[N]`` int64 (-1 missing) or floats.
    splits : mapping
        ``train``, ``val``, ``test``: ids.
    name : str, optional
        The folder's by default.
    num_classes : int, optional
        Counted in ``labels`` by default.

    Raises
    ------
    GraphKitError
        If the arrays do not describe one graph.
    FullDiskError
        If the disk has no room; no manifest is written then.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> data = write_disk(folder, [0, 1, 2], [1, 0], np.eye(2, dtype=np.float32), np.array([0, 1]), {"train": [0]})
    >>> data.graph.num_edges(), data.features.shape
    (2, torch.Size([2, 2]))
    """
    folder = Path(folder)
    indptr, index = np.asarray(indptr), np.asarray(index)
    _check_structure(indptr, index)
    narrow = np.int32 if max(len(indptr), len(index)) < 2**31 else np.int64
    labels = np.asarray(labels)
    num_nodes = len(indptr) - 1
    if len(labels) != num_nodes:
        raise GraphKitError(f"labels have {len(labels)} rows; expected one for each of the {num_nodes} nodes")
    labels = labels.astype(np.float32 if labels.dtype.kind == "f" else np.int64, copy=False)
    ids = {part: np.asarray(splits.get(part, ()), dtype=np.int64) for part in PARTS}
    for part, found in ids.items():
        if len(found) and not 0 <= found.min() <= found.max() < num_nodes:
            raise GraphKitError(f"the split {part} holds ids from {found.min()} to {found.max()} of {num_nodes} nodes")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # what is being replaced is no graph until the new one is whole
    tidy(folder)
    arrays = {"indptr": indptr.astype(narrow, copy=False), "index": index.astype(narrow, copy=False), "label": labels}
    feat = feat.numpy() if isinstance(feat, Tensor) else feat
    entries = {key: write_array(folder / f"{key}.bin", value) for key, value in {**arrays, "feat": feat}.items()}
    if entries["feat"]["shape"][0] != num_nodes:
        raise GraphKitError(f"feat has {entries['feat']['shape'][0]} rows; expected one for each of {num_nodes} nodes")
    entries |= {part: write_array(folder / f"{part}.bin", found) for part, found in ids.items()}
    if num_classes is None:
        num_classes = (labels.shape[1] if labels.ndim > 1 else 1) if labels.dtype.kind == "f" else int(labels.max()) + 1
    about = {"name": name or folder.resolve().name, "num_classes": num_classes}
    write_json(folder / MANIFEST, {"kind": KIND, "format_version": FORMAT, **about, "arrays": entries})
    return DiskDataset(folder)


def _check_structure(indptr: np.ndarray, index: np.ndarray) -> None:
    if indptr.ndim != 1 or not len(indptr) or indptr[0] != 0 or indptr[-1] != len(index) or (np.diff(indptr) < 0).any():
        raise GraphKitError(
            f"indptr {list(indptr.shape)} is no list of ascending offsets from 0 to the {len(index)} edges of index"
        )
    if len(index) and not 0 <= index.min() <= index.max() < len(indptr) - 1:
        raise GraphKitError(
            f"index holds ids from {index.min()} to {index.max()}, but there are {len(indptr) - 1} nodes"
        )


def to_disk(data: Dataset, folder: str | os.PathLike[str]) -> DiskDataset:
    """Write a dataset of one graph for node prediction to a folder, and open it there.

    Raises
    ------
    GraphKitError
        If it is no plain graph with features and node labels, or its edges have weights, types or features.

    Examples
    --------
    >>> import tempfile, graphkit as gk
    >>> to_disk(gk.load("digits"), tempfile.mkdtemp()).spec() == gk.load("digits").spec()
    True
    """
    indptr, index, feat, labels, splits = disk_arrays(data)
    return write_disk(folder, indptr, index, feat, labels, splits, data.name, data.num_classes)


def disk_arrays(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return offsets, sources by destination, features, labels and splits of a dataset that can be kept on disk.

    Raises
    ------
    GraphKitError
        As :func:`to_disk`.
    """
    splits = {part: ids.numpy() for part, ids in data.splits.items()} if data.task == "node" else {}
    if isinstance(data, DiskDataset):
        indptr, index, _ = _dgl.structure(data.graph).incoming()
        whole = isinstance(data.features, FeatureStore)  # of a graph in parts, rows are collected
        feat = data.features.array if whole else data.features[:].numpy()
        return indptr.numpy(), index.numpy(), feat, data.labels.numpy(), splits
    if data.task != "node" or data.num_hyperedges or data.labels is None:
        raise GraphKitError(f"{data.name} is loaded for {data.task!r}; graphs for node prediction are kept on disk")
    held = data.collated
    extra = [name for name in (*held.node_fields, *held.edge_fields) if name not in ("feat", "label", "reverse_id")]
    if extra or "feat" not in held.node_fields or "feat" in held.edge_fields:
        what = (
            f"the field {extra[0]!r}"
            if extra
            else "no node features"
            if "feat" not in held.node_fields
            else "edge features"
        )
        raise GraphKitError(f"{data.name} has {what}; a graph on disk keeps edges, node features and labels")
    indptr, index, _ = _dgl.structure(data.graph).csc()
    return indptr.numpy(), index.numpy(), held.node_fields["feat"].numpy(), data.labels.numpy(), splits


class DiskDataset(Dataset):
    """A graph for node prediction whose features stay on disk; ``gk.load(folder)`` opens what :func:`to_disk` wrote.

    The structure is read into memory when :attr:`graph` is first asked for, as one index by destination in 32-bit
    numbers: 4 bytes for each edge and each node. The graph holds no fields; :attr:`features` gives rows by id.

    Parameters
    ----------
    folder : path-like
    verify : bool
        Whether the structure and the labels must have their checksums; features are checked when they are packed.

    Raises
    ------
    DataError
        If the folder holds no graph, or a file is missing or damaged.
    """

    kind = KIND
    #: Attributes that :meth:`_open` makes.
    mapped: ClassVar[tuple[str, ...]] = ("_labels", "features")

    def __init__(self, folder: str | os.PathLike[str], verify: bool = True) -> None:
        #: What ``gk.load`` opens, and where the arrays are.
        self.root, self.folder, self.verify = Path(folder), Path(folder), verify
        manifest = read_json(self.folder / MANIFEST)
        if manifest.get("kind") != self.kind or manifest.get("format_version") != FORMAT:
            raise DataError(f"{self.folder / MANIFEST} is no manifest of a graph on disk in format {FORMAT}")
        self.manifest, self.arrays = manifest, manifest["arrays"]
        self.card = Card(manifest["name"], f"graph in {self.folder.name}", "", ("node",), directed=True, verified=False)
        self.task, self.name = "node", manifest["name"]
        self._open()
        self.splits = {part: torch.from_numpy(self._map(part)) for part in PARTS}
        self.split_name, self.split_seed, self.split_options = "given", 0, {}
        self.num_hyperedges, self.undirected, self.published = 0, False, {}
        self.names: dict[str, list[str]] = {}
        self.report: dict[str, Any] = {}
        self.checksums = {name: f"crc32:{entry['crc32']:08x}" for name, entry in self.arrays.items()}
        self.reader_options, self.transform_names, self._transforms = {}, (), ()
        self._built: dgl.DGLGraph | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle where the graph is, not its arrays; DGL cannot send a graph that keeps one index."""
        return {name: value for name, value in self.__dict__.items() if name not in self.mapped} | {"_built": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        """Map the files whose arrays are not read into memory."""
        self._labels = torch.from_numpy(self._map("label"))
        self.features = self._features()

    def _features(self) -> Any:
        return FeatureStore(self.folder / "feat.bin", self.arrays["feat"])

    def _map(self, name: str) -> np.ndarray:
        return map_array(self.folder / f"{name}.bin", self.arrays[name], self.verify)

    def _read(self, name: str) -> Tensor:
        """Read an array into memory."""
        entry, path = self.arrays[name], self.folder / f"{name}.bin"
        map_array(path, entry)
        array = np.fromfile(path, np.dtype(entry["dtype"])).reshape(entry["shape"])
        if self.verify:
            check_crc(path, entry, array)
        return torch.from_numpy(array)

    @property
    def graph(self) -> dgl.DGLGraph:
        """The graph, without fields."""
        if self._built is None:
            self._built = _dgl.from_incoming(self._read("indptr"), self._read("index"))
        return self._built

    def release(self) -> None:
        """Let go of the structure, which is read again when it is next asked for."""
        self._built = None

    @property
    def original(self) -> dgl.DGLGraph:
        """The same graph."""
        return self.graph

    @property
    def num_rows(self) -> int:
        """Nodes."""
        return int(self.arrays["indptr"]["shape"][0]) - 1

    @property
    def structure_bytes(self) -> int:
        """Bytes that the structure takes in memory."""
        return sum(
            int(np.prod(e["shape"])) * np.dtype(e["dtype"]).itemsize for e in map(self.arrays.get, ("indptr", "index"))
        )

    @property
    def labels(self) -> Tensor:
        """Of the nodes: int64, -1 missing, or float32, NaN missing; memory-mapped."""
        return self._labels

    @property
    def num_classes(self) -> int:
        """Classes of int64 labels, columns of float labels."""
        return int(self.manifest["num_classes"])

    @property
    def num_relations(self) -> int:
        """0."""
        return 0

    def spec(self) -> Spec:
        """Return what a system must know to be built for this graph."""
        return Spec("node", in_feats=self.features.shape[1], out_feats=self.num_classes, num_nodes=self.num_rows)

    def statistics(self) -> dict[str, int]:
        """Count nodes, edges, features and classes."""
        edges = int(self.arrays["index"]["shape"][0])
        counts = {"nodes": self.num_rows, "edges": edges, "features": self.features.shape[1]}
        return counts | {"classes": self.num_classes}

    def fingerprint(self) -> str:
        """SHA-256 in hex over the checksums of all arrays."""
        parts = {name: [self.arrays[name][key] for key in ("dtype", "shape", "crc32")] for name in sorted(self.arrays)}
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def check_features(self, rows: int = 1 << 16) -> None:
        """Read all features in order and raise ChecksumError if they are not those that were written."""
        checksum = 0
        for _, chunk in self.features.chunks(rows):
            checksum = zlib.crc32(np.ascontiguousarray(chunk).data.cast("B"), checksum)
        if checksum != self.arrays["feat"]["crc32"]:
            raise ChecksumError(f"{self.features.path} is damaged: its bytes do not have the checksum of its manifest")

    def with_split(self, split: str | Mapping[str, Any], seed: int | None = None, **options: Any) -> Dataset:
        """Refuse: the split of a graph on disk is part of it."""
        raise GraphKitError(
            f"{self.name} keeps its split on disk; write the graph with another one: gk.data.write_disk"
        )

    def transform(self, transform: Any) -> Dataset:
        """Refuse: transforms work on graphs in memory."""
        raise GraphKitError(f"{self.name} stays on disk, where no transform reaches it; transform it before to_disk")


def open_disk(
    kind: type[DiskDataset], folder: str | os.PathLike[str], split: Any = None, task: str | None = None,
    transform: Any = (), verify: bool = True, **options: Any,
) -> DiskDataset:  # fmt: skip
    """Open a graph on disk for ``gk.load``, which knows more options than such a graph has."""
    if task not in (None, "node"):
        raise unknown("task", task, ["node"])
    if split not in (None, "given") or transform or options:
        raise GraphKitError(f"{folder} is a graph on disk, which keeps its one split and takes no transform or option")
    return kind(folder, verify)
