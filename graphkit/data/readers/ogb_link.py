"""Link sets of the Open Graph Benchmark in its published files: links and non-links of each part (arXiv 2005.00687)."""

from __future__ import annotations

import _codecs
import io
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError, UnsafeFileError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.splits.links import pair_codes
from graphkit.data.store import Files

PARTS = {"train": "train", "val": "valid", "test": "test"}
#: What torch says of a file that asks for more than was allowed, other than of one that is broken.
REFUSALS = ("Unsupported global", "unsupported GLOBAL", "Unsupported class", "unrecognized function")


def _allowed() -> list[Any]:
    """Return what an array of numbers needs to come out of a pickle: numpy's old and new names, and plain types."""
    made: list[Any] = [np.ndarray, np.dtype, _codecs.encode]
    made += [type(np.dtype(kind)) for kind in ("bool", "int16", "int32", "int64", "float32", "float64")]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        made.append((np.empty(0).__reduce__()[0], f"{module}._reconstruct"))
    return made


def load_part(data: bytes, label: str) -> dict[str, Tensor]:
    """Read a dict of tensors or arrays that ``torch.save`` wrote, running nothing that it carries.

    Parameters
    ----------
    data : bytes
    label : str
        The file's name, for errors.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    UnsafeFileError
        If the file asks for anything but numbers; nothing of it was executed.
    DataError
        If it is truncated, or holds something else.

    Examples
    --------
    >>> stream = io.BytesIO(); torch.save({"edge": np.array([[0, 1]])}, stream)
    >>> load_part(stream.getvalue(), "train.pt")
    {'edge': tensor([[0, 1]])}
    """
    try:
        with torch.serialization.safe_globals(_allowed()):
            held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if any(said in str(error) for said in REFUSALS):
            raise UnsafeFileError(
                f"{label} asks for more than numbers, which is not on the allow-list; nothing was executed"
            ) from error
        raise DataError(f"{label} is truncated or not a file of torch.save") from error
    except Exception as error:  # a broken file can raise nearly anything
        raise DataError(f"{label} is truncated or not a file of torch.save ({type(error).__name__})") from error
    if not isinstance(held, Mapping):
        raise DataError(f"{label} holds a {type(held).__name__}; expected a mapping of names to arrays")
    made = {}
    for name, value in held.items():
        if not isinstance(value, Tensor | np.ndarray) or (isinstance(value, np.ndarray) and value.dtype.hasobject):
            raise DataError(f"{label} holds a {type(value).__name__} as {name!r}; expected numbers")
        made[str(name)] = torch.as_tensor(value)
    return made


def _ids(value: Tensor, label: str, name: str, total: int, shape: tuple[int, ...]) -> Tensor:
    """Return ids of nodes as int64 if they are whole, in range and of the shape, -1 standing for any size."""
    fits = value.dim() == len(shape) and all(want in (-1, have) for want, have in zip(shape, value.shape, strict=True))
    if not fits:
        wanted = ["any" if want == -1 else want for want in shape]
        raise DataError(f"{label}: {name!r} has the shape {list(value.shape)}; expected {wanted}")
    if value.is_floating_point() or value.dtype == torch.bool:
        raise DataError(f"{label}: {name!r} holds {str(value.dtype).removeprefix('torch.')}; expected whole numbers")
    if value.numel() and not 0 <= int(value.min()) <= int(value.max()) < total:
        wrong = int(value.min()) if int(value.min()) < 0 else int(value.max())
        raise DataError(f"{label}: {name!r} holds the id {wrong}; expected ids from 0 to {total - 1}")
    return value.long().contiguous()


def _part(files: Files, part: str, total: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what the split ``public`` says of one part, and the numbers that its links carry."""
    found = [n for n in files.names() if n.startswith("split/") and n.endswith(f"/{PARTS[part]}.pt")]
    if len(found) != 1:
        raise DataError(f"expected one file split/SCHEME/{PARTS[part]}.pt among the raw files, found {len(found)}")
    label = files.label(found[0])
    held = load_part(files.read(found[0]), label)
    if "edge" in held:
        made = {part: _ids(held["edge"], label, "edge", total, (-1, 2))}
        if "edge_neg" in held:
            made[f"{part}_neg"] = _ids(held["edge_neg"], label, "edge_neg", total, (-1, 2))
    elif {"source_node", "target_node"} <= set(held):
        src = _ids(held["source_node"], label, "source_node", total, (-1,))
        made = {part: torch.stack([src, _ids(held["target_node"], label, "target_node", total, (len(src),))], dim=1)}
        if "target_node_neg" in held:
            false = _ids(held["target_node_neg"], label, "target_node_neg", total, (len(src), -1))
            made[f"{part}_candidates"] = false
    else:
        shown = ", ".join(map(repr, held)) or "nothing"
        raise DataError(f"{label} holds {shown}; expected 'edge', or 'source_node' and 'target_node'")
    carried: dict[str, Tensor] = {name: held[name].reshape(-1) for name in ("weight", "year") if name in held}
    for name, value in carried.items():
        if len(value) != len(made[part]):
            raise DataError(f"{label}: {name!r} has {len(value)} rows; expected {len(made[part])}")
    return made, carried


def _unsound(split: Mapping[str, Tensor], total: int, undirected: bool) -> dict[str, int]:
    """Count what is unsound about a published split."""

    def codes(name: str) -> np.ndarray:
        rows = split[name].numpy()
        return pair_codes(rows[:, 0], rows[:, 1], total, undirected)

    train, val, test = (codes(part) for part in PARTS)
    links = np.unique(np.concatenate([train, val, test]))
    false = [codes(name) for name in split if name.endswith("_neg")]
    for part in PARTS:
        if f"{part}_candidates" in split:
            src = split[part][:, :1].expand(-1, split[f"{part}_candidates"].shape[1]).numpy()
            false.append(pair_codes(src, split[f"{part}_candidates"].numpy(), total, undirected))
    return {
        "val_links_in_train": int(np.isin(val, train).sum()),
        "test_links_in_train": int(np.isin(test, train).sum()),
        "test_links_in_val": int(np.isin(test, val).sum()),
        "negatives_that_are_links": sum(int(np.isin(found, links).sum()) for found in false),
    }


def _table(files: Files, name: str, total: int) -> np.ndarray:
    found = tables.numbers(files.read(name), files.label(name))
    if len(found) != total:
        raise DataError(f"{files.label(name)} has {len(found)} lines; expected {total}")
    return found


@register(
    "ogb-link",
    kind="reader",
    level="link",
    title="Open Graph Benchmark: Datasets for Machine Learning on Graphs",
    arxiv="2005.00687",
    keep=True,
)
def read_ogb_link(files: Files, *, directed: bool = False) -> Raw:
    """Read a link set of OGB from its published files, without its package.

    Parameters
    ----------
    files : Files
        ``raw/num-node-list.csv``, perhaps ``raw/node-feat.csv`` and ``raw/node_year.csv``, each plain or ``.gz``, and
        ``split/SCHEME/train.pt``, ``valid.pt``, ``test.pt``: dicts of ``edge`` ``[P, 2]`` and ``edge_neg`` ``[K, 2]``,
        or of ``source_node``, ``target_node`` ``[P]`` and ``target_node_neg`` ``[P, K]``; perhaps ``weight``, ``year``.
    directed : bool
        Keep the direction of links; else both directions are stored.

    Returns
    -------
    Raw
        Links of all parts; ``feat`` float32 and node field ``year`` where they are; edge fields ``weight`` (float32)
        and ``year`` (int64) of a link's first appearance, training first. The split ``public`` with its negatives. The
        report counts links that are in two parts, and negatives that are links.

    Raises
    ------
    UnsafeFileError
        If a split's file asks for more than numbers.
    DataError
        Naming the file: it is truncated, lacks a part, or an id is out of range.
    """
    name = "raw/num-node-list.csv"
    counts = tables.integers(files.read(name), files.label(name), columns=1)[:, 0]
    if len(counts) != 1 or counts[0] < 0:
        raise DataError(f"{files.label(name)} holds {counts.tolist()[:5]}; expected the number of nodes of one graph")
    total = int(counts[0])
    split, carried = {}, []
    for part in PARTS:
        made, numbers = _part(files, part, total)
        split.update(made)
        carried.append(numbers)
    ends = torch.cat([split[part] for part in PARTS])
    kinds = {"weight": torch.float32, "year": torch.int64}
    shared = [kind for kind in kinds if all(kind in numbers for numbers in carried)]
    given = {kind: torch.cat([numbers[kind].to(kinds[kind]) for numbers in carried]) for kind in shared}
    src, dst, fields, report = tidy(ends[:, 0], ends[:, 1], total, given, directed=directed)
    nodes = {}
    if "raw/node-feat.csv" in files.names():
        nodes["feat"] = torch.from_numpy(_table(files, "raw/node-feat.csv", total).astype(np.float32))
    if "raw/node_year.csv" in files.names():
        nodes["year"] = torch.from_numpy(_table(files, "raw/node_year.csv", total)[:, 0].astype(np.int64))
    report.update(_unsound(split, total, not directed))
    collated = Collated.from_edges(src, dst, torch.from_numpy(counts.copy()), nodes, fields)
    return Raw(collated, {"public": split}, {}, report, not directed)
