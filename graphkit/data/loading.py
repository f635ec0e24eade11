"""``load``: from a name to a Dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from graphkit.core.errors import DataError, GraphKitError, unknown
from graphkit.core.registry import entries, find
from graphkit.data.cards import Card, card
from graphkit.data.cut import CutDataset, part_folders
from graphkit.data.dataset import Dataset
from graphkit.data.disk import DiskDataset, is_disk, open_disk
from graphkit.data.divide import keywords
from graphkit.data.raw import Raw
from graphkit.data.store import CardFiles, Files


def load(
    name: str,
    split: str | Mapping[str, Any] | None = None,
    seed: int = 0,
    task: str | None = None,
    *,
    transform: str | Sequence[str] = (),
    verify: bool = True,
    **options: Any,
) -> Dataset:
    """Load a benchmark dataset by name.

    Raw files are looked for in the cache (``GRAPHKIT_HOME``), then the mirror (``GRAPHKIT_MIRROR``), then at the
    card's addresses, and checked against the card before they are read.

    Parameters
    ----------
    name : str
        Case does not matter; ``gk.datasets()`` lists the names, ``tu/NAME`` takes any set of TUDataset, and the path
        of a folder that :func:`graphkit.data.to_disk` or :func:`graphkit.data.write_parts` wrote opens the graph there.
    split : str or mapping, optional
        A protocol (``public``, ``random``, ``random-per-class``, ``folds``, ``stratified10``, ``scaffold``,
        ``unseen-drugs``, ``random-link``, ``time``, ``windows``), or ids by part; by default the card's.
    seed : int
        Of the split; generated streams are made from it too, unless ``graph_seed`` is given.
    task : str, optional
        ``node``, ``link``, ``graph``, ``triple``, ``temporal-link``, ``hyperedge`` or ``forecast``; by
        default the first of the card.
    transform : str or sequence of str
        Registered transforms to apply, such as ``normalize-features``; a run that is loaded applies them again.
    verify : bool
        False accepts files without a checksum and records the SHA-256 that they turn out to have.
    options
        Arguments of the protocol (``fold``, ``ratio``, ...) or of the reader.

    Returns
    -------
    Dataset

    Raises
    ------
    UnknownNameError
        If the dataset, task, split or an option is unknown; the message suggests the nearest name.
    ChecksumError
        If a file is not what its card promises, or nothing vouches for it and ``verify`` is True.
    DataError
        If a file cannot be found or read.

    Examples
    --------
    >>> import graphkit as gk
    >>> gk.load("digits", split="random", ratio=(0.8, 0.1, 0.1))
    Dataset(digits, node: 1797 nodes, 12620 edges, 64 features, 10 classes; split random 1438/179/180)
    """
    from graphkit.data.processed import read

    if is_disk(name) or part_folders(name):
        kind = DiskDataset if is_disk(name) else CutDataset
        return open_disk(kind, name, split, task, transform, verify, **options)
    found = card(name)
    task = task or found.tasks[0]
    if task not in found.tasks:
        raise unknown("task", task, found.tasks)
    split_options, reader_options = _route(found, split or found.split_for(task), options)
    if find("reader", found.reader).options.get("follows_seed"):  # one seed makes the data and its split
        reader_options.setdefault("graph_seed", seed)
    files = CardFiles(found, verify)
    raw = read(found, files, {**found.options, **reader_options})
    if files.unverified:
        raw.report["unverified"] = dict(files.unverified)
    checksums = files.checksums or {entry.name: entry.sha256 for entry in found.files if entry.sha256}
    data = Dataset(raw, found, task, split, seed, split_options, checksums, reader_options)
    return _transformed(data, (transform,) if isinstance(transform, str) else tuple(transform))


def _transformed(data: Dataset, names: tuple[str, ...]) -> Dataset:
    """Apply registered transforms, and remember their names."""
    for name in names:
        data = data.transform(find("transform", name).obj())
    data.transform_names = names
    return data


def _route(found: Card, split: Any, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give each option to the split that takes it, else to the reader."""
    of_split: list[str] = []
    wanted: Mapping[str, Any] = {}
    if isinstance(split, str) and split.lower() in entries("split"):
        of_split = keywords(find("split", split).obj)
        wanted = find("split", split).options.get("reader_options", {})
    of_reader = keywords(find("reader", found.reader).obj)
    for name in options:
        if name not in of_split and name not in of_reader:
            raise unknown("option", name, [*of_split, *of_reader, "split", "seed", "task", "verify"])
    return (
        {name: value for name, value in options.items() if name in of_split},
        {
            **{name: value for name, value in wanted.items() if name in of_reader},
            **{name: value for name, value in options.items() if name not in of_split},
        },
    )


def from_files(
    reader: str,
    root: str | os.PathLike[str],
    task: str | None = None,
    split: str | Mapping[str, Any] | None = None,
    seed: int = 0,
    name: str | None = None,
    **options: Any,
) -> Dataset:
    """Read one's own files in a known raw format.

    Parameters
    ----------
    reader : str
        ``planetoid``, ``tu``, ``gin``, ``seal-mat``, ``triples``, ``moleculenet-csv``, ...
    root : path
        Folder of the files, plain or ``.gz``.
    task, split, seed
        As in :func:`load`.
    name : str, optional
        By default the folder's.
    options
        Arguments of the protocol or the reader.

    Raises
    ------
    UnknownNameError
        If there is no such reader or option.
    DataError
        If the files are not sound, naming file and line.
    """
    entry = find("reader", reader)
    files = Files(root)
    levels = tuple(entry.level.split()) or ("node",)
    made = Card(
        name or files.root.resolve().name,
        f"files in {files.root.name}",
        entry.name,
        levels,
        options=options,
        verified=False,
        splits={"graph": "random", "node": "random"},
    )
    chosen = task or levels[0]
    if chosen not in levels:
        raise unknown("task", chosen, levels)
    split_options, reader_options = _route(made, split or made.split_for(chosen), options)
    raw: Raw = _call(entry.obj, files, reader_options)
    if split is None and chosen == "node" and "public" in raw.splits:
        split = "public"
    return Dataset(raw, made, chosen, split, seed, split_options, files.checksums, reader_options)


def _call(reader: Any, files: Files, options: Mapping[str, Any]) -> Raw:
    """Run a reader, and turn whatever a malformed file made it trip over into one sentence."""
    try:
        return reader(files, **options)
    except GraphKitError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        place = getattr(files, "place", None) or getattr(files, "root", "")
        raise DataError(f"{place} is not what its reader expects ({type(error).__name__}: {error})") from error
