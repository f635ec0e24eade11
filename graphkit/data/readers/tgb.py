"""The Temporal Graph Benchmark in its published files: a table of events, and the negatives to rank them against."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import unpickle
from graphkit.data.raw import Raw
from graphkit.data.readers.events import read_events
from graphkit.data.store import Files

_NEGATIVES = re.compile(r"(?:.*/)?[^/]*_(val|test)_ns(?:_v\d+)?\.pkl")


def _their_ids(raw: Raw, label: str) -> np.ndarray:
    """Return the number that TGB gives each of our nodes, int64 ``[N]``.

    Where sources and destinations are numbered apart, destinations follow the largest source; elsewhere nodes are
    numbered as they first appear, the source of an event before its destination.
    """
    full, names = raw.collated, raw.names["node"]
    if "ntype" in full.node_fields:
        try:
            ids = np.array([int(name) for name in names], dtype=np.int64)
        except ValueError:
            raise DataError(f"{label} has nodes that are no whole numbers, by which negatives name them") from None
        source = (full.node_fields["ntype"] == 0).numpy()
        return ids + np.where(source, 0, ids[source].max() + 1)
    if raw.report["out_of_order"]:
        raise DataError(f"{label} is not in the order of time, by which negatives number the nodes")
    import pandas

    seen = pandas.unique(torch.stack([full.src, full.dst], dim=1).reshape(-1).numpy())
    ids = np.empty(len(names), dtype=np.int64)
    ids[seen] = np.arange(len(seen))
    return ids


def _ours(wanted: np.ndarray, theirs: np.ndarray, label: str) -> np.ndarray:
    """Turn TGB's numbers into ours, -1 staying -1."""
    place = np.full(int(theirs.max()) + 1, -1, dtype=np.int64)
    place[theirs] = np.arange(len(theirs))
    flat = wanted.reshape(-1)
    known = (flat >= 0) & (flat < len(place))
    found = np.where(known, place[np.where(known, flat, 0)], -1)
    wrong = np.flatnonzero((found < 0) & (flat != -1))
    if len(wrong):
        raise DataError(f"{label} names the node {flat[wrong[0]]}, which no event has")
    return found.reshape(wanted.shape)


def _held(data: bytes, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys, float64 ``[Q, 3]``, and their negatives, int64 ``[Q, K]``, filled up with -1."""
    found: Any = unpickle.loads(data, label)
    if not isinstance(found, Mapping) or not found:
        raise DataError(f"{label} holds a {type(found).__name__}; expected a mapping of events to negatives")
    try:
        keys = np.array(list(found), dtype=np.float64)
        rows = [np.asarray(value, dtype=np.float64).reshape(-1) for value in found.values()]
    except (ValueError, TypeError):
        keys, rows = np.empty(0), []
    if keys.ndim != 2 or keys.shape[1] != 3:
        raise DataError(f"{label}: expected keys of source, destination and time, and lists of destinations")
    sizes = np.array([len(row) for row in rows])
    flat = np.concatenate(rows)
    if not np.isfinite(flat).all() or (flat != np.round(flat)).any() or (flat < 0).any() or not np.isfinite(keys).all():
        raise DataError(f"{label} holds negatives that are no whole numbers from 0")
    made = np.full((len(rows), int(sizes.max())), -1, dtype=np.int64)
    made[np.arange(made.shape[1]) < sizes[:, None]] = flat.astype(np.int64)
    return keys, made


def _negatives(files: Files, name: str, raw: Raw, theirs: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the events that a file has negatives of, int64 ``[Q]``, and those, ``[Q, K]``."""
    import pandas

    label = files.label(name)
    keys, rows = _held(files.read(name), label)
    ends = _ours(keys[:, :2].astype(np.int64), theirs, label)
    full = raw.collated
    asked = pandas.DataFrame({"src": ends[:, 0], "dst": ends[:, 1], "time": keys[:, 2], "row": np.arange(len(keys))})
    times = full.edge_fields["time"].double().numpy()
    events = pandas.DataFrame({"src": full.src.numpy(), "dst": full.dst.numpy(), "time": times})
    row = events.merge(asked, on=["src", "dst", "time"], how="left")["row"].to_numpy()
    event = np.flatnonzero(~np.isnan(row))
    missing = np.setdiff1d(np.arange(len(keys)), row[event].astype(np.int64))
    if len(missing):
        raise DataError(f"{label} has negatives of {keys[missing[0]].tolist()}, which is no event")
    made = _ours(rows, theirs, label)[row[event].astype(np.int64)]
    return torch.from_numpy(event), torch.from_numpy(made)


@register(
    "tgb",
    kind="reader",
    level="temporal-link",
    title="Temporal Graph Benchmark for Machine Learning on Temporal Graphs",
    arxiv="2307.01026",
    keep=True,
)
def read_tgb(files: Files, *, order: str = "tgb", negatives: bool = True) -> Raw:
    """Read a stream of TGB, and the negatives that it publishes for validation and test.

    Parameters
    ----------
    files : Files
        ``NAME_edgelist.csv``, ``NAME_val_ns.pkl`` and ``NAME_test_ns.pkl``, or with ``_v2`` and so on before the dot:
        pickled dicts from (source, destination, time) to an array of false destinations.
    order : str
        Of the table's columns, as the reader ``events`` names them: ``jodie``, ``tgb``, ``tgb-comment``,
        ``tgb-flight``.
    negatives : bool
        False leaves the pickles alone.

    Returns
    -------
    Raw
        As of the reader ``events``; ``splits["negatives"]`` holds ``val_event`` int64 ``[Q]`` and ``val_candidates``
        int64 ``[Q, K]`` (-1 where an event has fewer than K), and those of ``test``; ``Dataset.candidates`` gives them.

    Raises
    ------
    UnsafeFileError
        If a pickle asks for more than numbers.
    DataError
        Naming the file: a pickle in another form, of an event or a node that is not there, or more than one of a part.
    """
    tables = [name for name in files.names() if re.search(r"_edgelist(?:_v\d+)?\.csv$", name)]
    if len(tables) != 1:
        raise DataError(f"expected one file NAME_edgelist.csv among the raw files, found {len(tables)}")
    raw = read_events(files, order=order, file=tables[0])
    found = [(match[1], name) for name in files.names() if (match := _NEGATIVES.fullmatch(name))] if negatives else []
    if len(dict(found)) != len(found):
        raise DataError(f"{len(found)} files NAME_val_ns.pkl and NAME_test_ns.pkl; expected one of each at most")
    if found:
        theirs = _their_ids(raw, files.label(tables[0]))
        made: dict[str, torch.Tensor] = {}
        for part, name in found:
            made[f"{part}_event"], made[f"{part}_candidates"] = _negatives(files, name, raw, theirs)
        raw.splits["negatives"] = made
    return raw
