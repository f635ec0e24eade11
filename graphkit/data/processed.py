"""Graphs as their reader made them, kept in the cache under a key of card, reader, its code, options and raw files.

What is kept is one safetensors file, which is mapped into memory: a second load reads only what is used, and no byte is
copied before it is. Arrays that are changed in place change in memory alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphkit.core.errors import DataError
from graphkit.core.registry import find
from graphkit.data.cards import Card
from graphkit.data.collated import Collated
from graphkit.data.progress import reading
from graphkit.data.raw import Raw
from graphkit.data.sources import version
from graphkit.data.store import CardFiles, home, replacing, sha256

#: Change when the form of what is kept changes; the code of readers has its own version.
VERSION = 3
PARTS = ("node_fields", "edge_fields", "graph_fields")
ARRAYS = ("node_offsets", "edge_offsets", "src", "dst")


def read(card: Card, files: CardFiles, options: Mapping[str, Any]) -> Raw:
    """Return what the card's reader makes of its files, from the cache where it is kept there.

    Kept are the results of readers registered with ``keep=True`` that read files, and of those with ``keep="made"``,
    which take long to make them; a cache that cannot be written is passed over.

    Raises
    ------
    DataError
        If the files cannot be found or are not sound.
    """
    from graphkit.data.loading import _call

    entry = find("reader", card.reader)
    keep = entry.options.get("keep") == "made" or (bool(entry.options.get("keep")) and bool(card.files))
    path = place(card, options, files) if keep else None
    if path is not None and path.is_file():
        with contextlib.suppress(DataError):  # a damaged copy is made again below
            raw, vouched = take(path)
            files.checksums.update(vouched["checksums"])
            files.unverified.update(vouched["unverified"])
            return raw
    with reading(card):
        raw = _call(entry.obj, files, options)
    path = place(card, options, files) if keep else None  # what was downloaded has its place only now
    if path is not None:
        with contextlib.suppress(DataError):
            put(path, raw, {"checksums": files.checksums, "unverified": files.unverified})
            for old in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.safetensors"):
                if old != path:  # of another version of the reader, the card or the files
                    old.unlink(missing_ok=True)
    return raw


def place(card: Card, options: Mapping[str, Any], files: CardFiles | None = None) -> Path | None:
    """Return where the processed form is kept: a path that names what it depends on.

    Parameters
    ----------
    card : Card
    options : mapping
        The reader's arguments.
    files : CardFiles, optional
        Needed where the card has no checksum of a file: then its size and time of change stand for what it holds.

    Returns
    -------
    Path or None
        None if nothing is known of a file: it is neither at hand nor vouched for.
    """
    files = CardFiles(card) if files is None else files
    promised = []
    for entry in card.files:
        stamp = entry.sha256 or files.stamp(entry)
        if not stamp:
            return None
        promised.append((entry.name, stamp))
    chosen = sha256(json.dumps(sorted(options.items()), default=repr).encode())[:8]
    reader = find("reader", card.reader)
    key = json.dumps([VERSION, repr(card), card.reader, version(reader.obj), sorted(promised)])
    return home() / "processed" / f"{card.name.replace('/', '-')}-{chosen}-{sha256(key.encode())[:16]}.safetensors"


def put(path: Path, raw: Raw, vouched: Mapping[str, Mapping[str, str]]) -> None:
    """Write ``raw``, and what vouches for the files it is made of, as one file that takes its place at once.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    arrays: dict[str, Tensor] = {name: getattr(raw.collated, name) for name in ARRAYS}
    for part in PARTS:
        arrays.update({f"{part}/{name}": value for name, value in getattr(raw.collated, part).items()})
    splits: dict[str, Any] = {}
    for name, given in raw.splits.items():
        folds = given if isinstance(given, list) else [given]
        splits[name] = {"folds": len(folds) if isinstance(given, list) else -1, "parts": list(folds[0])}
        arrays.update({f"split/{name}/{i}/{part}": v for i, f in enumerate(folds) for part, v in f.items()})
    arrays, same = _alone(arrays)
    facts = {
        "splits": splits, "names": raw.names, "report": raw.report, "undirected": raw.undirected, "same": same,
        "sums": {name: _sum(value) for name, value in arrays.items()},
        **{name: dict(value) for name, value in vouched.items()},
    }  # fmt: skip
    text = json.dumps(facts)
    with replacing(path) as beside:
        try:
            save_file(arrays, beside, metadata={"facts": text, "sha256": sha256(text.encode())})
        except SafetensorError as error:  # such as a full disk
            raise DataError(f"{path} cannot be written ({error})") from error


def _alone(arrays: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Give each array a storage of its own; of arrays that are one, keep the first and the names of the others."""
    kept: dict[str, Tensor] = {}
    first: dict[tuple, str] = {}
    owned: set[int] = set()
    same = {}
    for name, value in arrays.items():
        what = (value.data_ptr(), value.shape, value.stride(), value.dtype)
        if value.numel() and what in first:
            same[name] = first[what]
            continue
        first[what] = name
        whole = value.is_contiguous() and value.untyped_storage().nbytes() == value.numel() * value.element_size()
        whole &= value.untyped_storage().data_ptr() not in owned  # the same numbers in another shape
        kept[name] = value if whole else value.contiguous().clone()
        owned.add(kept[name].untyped_storage().data_ptr())
    return kept, same


def _sum(value: Tensor) -> int:
    """Add the bytes of an array up, eight at a time and modulo 2^64: as fast as memory, and any one change shows."""
    if not value.numel():  # whose stride may be one that cannot be viewed as bytes
        return 0
    flat = value.reshape(-1).view(torch.uint8)
    whole = len(flat) // 8 * 8
    return int(flat[:whole].view(torch.int64).sum()) + int(flat[whole:].sum())


def take(path: Path) -> tuple[Raw, dict[str, dict[str, str]]]:
    """Return what :func:`put` wrote, and what vouched for its files.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as kept:
            said = kept.metadata() or {}
            if sha256(said["facts"].encode()) != said["sha256"]:
                raise DataError(f"{path} is damaged: its facts are not those that were written")
            facts = json.loads(said["facts"])
            arrays = {name: kept.get_tensor(name) for name in facts["sums"]}
    except (SafetensorError, OSError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a processed dataset ({error})") from error
    for name, wanted in facts["sums"].items():
        if _sum(arrays[name]) != wanted:
            raise DataError(f"{path} is damaged: {name} is not what was written")
    arrays.update({name: arrays[first] for name, first in facts["same"].items()})
    collated = Collated.trusted(*(arrays[name] for name in ARRAYS), *(_below(arrays, part) for part in PARTS))
    splits: dict[str, Any] = {}
    for name, kept_as in facts["splits"].items():
        folds = [_below(arrays, f"split/{name}/{i}") for i in range(max(kept_as["folds"], 1))]
        splits[name] = folds if kept_as["folds"] >= 0 else folds[0]
    raw = Raw(collated, splits, facts["names"], facts["report"], facts["undirected"])
    return raw, {name: facts[name] for name in ("checksums", "unverified")}


def _below(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name[len(prefix) + 1 :]: value for name, value in arrays.items() if name.startswith(f"{prefix}/")}
