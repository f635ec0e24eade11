"""Graphs as their reader made them, kept in the cache under a key of card, reader and options."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import find
from graphkit.data.cards import Card
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import CardFiles, home, sha256, write_atomic
from graphkit.data.unpickle import load_npz

#: Change when the form of what is kept, or of what any reader makes, changes.
VERSION = 2
PARTS = ("node_fields", "edge_fields", "graph_fields")


def read(card: Card, files: CardFiles, options: Mapping[str, Any]) -> Raw:
    """Return what the card's reader makes of its files, from the cache where it is kept there.

    Kept are the results of readers registered with ``keep=True``, of verified files only; a cache that cannot be
    written is passed over.

    Raises
    ------
    DataError
        If the files cannot be found or are not sound.
    """
    from graphkit.data.loading import _call

    entry = find("reader", card.reader)
    path = place(card, options) if entry.options.get("keep") and all(f.sha256 for f in card.files) else None
    if path is not None and path.is_file():
        try:
            return unpack(path.read_bytes(), str(path))
        except DataError:
            pass  # a damaged copy is made again below
    raw = _call(entry.obj, files, options)
    if path is not None:
        with contextlib.suppress(DataError):
            write_atomic(path, pack(raw))
    return raw


def place(card: Card, options: Mapping[str, Any]) -> Path:
    """Return where the processed form is kept: a path that names what it depends on."""
    promised = sorted((entry.name, entry.sha256) for entry in card.files)
    key = json.dumps([VERSION, card.reader, promised, sorted(options.items())], default=repr)
    return home() / "processed" / f"{card.name.replace('/', '-')}-{sha256(key.encode())[:16]}.npz"


def pack(raw: Raw) -> bytes:
    """Return ``raw`` as the bytes of an npz without pickles."""
    arrays: dict[str, np.ndarray] = {
        name: getattr(raw.collated, name).numpy() for name in ("node_offsets", "edge_offsets", "src", "dst")
    }
    for part in PARTS:
        arrays.update({f"{part}/{name}": value.numpy() for name, value in getattr(raw.collated, part).items()})
    splits: dict[str, Any] = {}
    for name, given in raw.splits.items():
        folds = given if isinstance(given, list) else [given]
        splits[name] = {"folds": len(folds) if isinstance(given, list) else -1, "parts": list(folds[0])}
        arrays.update({f"split/{name}/{i}/{part}": v.numpy() for i, f in enumerate(folds) for part, v in f.items()})
    facts = {"splits": splits, "names": raw.names, "report": raw.report, "undirected": raw.undirected}
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(data: bytes, label: str) -> Raw:
    """Return what :func:`pack` made.

    Raises
    ------
    DataError
        If the bytes are damaged.
    """
    arrays = load_npz(data, label)
    try:
        facts = json.loads(arrays.pop("facts").tobytes())
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        collated = Collated(
            tensors["node_offsets"],
            tensors["edge_offsets"],
            tensors["src"],
            tensors["dst"],
            *(_below(tensors, part) for part in PARTS),
        )
        splits: dict[str, Any] = {}
        for name, kept in facts["splits"].items():
            folds = [_below(tensors, f"split/{name}/{i}") for i in range(max(kept["folds"], 1))]
            splits[name] = folds if kept["folds"] >= 0 else folds[0]
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise DataError(f"{label} is not a processed dataset ({error})") from error
    return Raw(collated, splits, facts["names"], facts["report"], facts["undirected"])


def _below(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}/")}
