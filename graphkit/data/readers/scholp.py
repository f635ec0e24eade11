"""Timestamped simplices as ScHoLP publishes them: sizes, members and times as three lists of integers."""

from __future__ import annotations

import numpy as np

from graphkit.core.errors import DataError, unknown
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.raw import Raw
from graphkit.data.readers.hypergraphs import hypergraph_raw
from graphkit.data.store import Files


@register(
    "scholp",
    kind="reader",
    level="hyperedge",
    title="Simplicial closure and higher-order link prediction",
    arxiv="1802.06916",
    keep=True,
)
def read_scholp(files: Files, *, repeated: str = "keep") -> Raw:
    """Read ``NAME-nverts.txt``, ``NAME-simplices.txt`` and ``NAME-times.txt`` into a hypergraph in time order.

    Each simplex is one hyperedge; those of one time keep their order. Nodes are the ids that occur, in order (ids begin
    at 1 and have gaps), with their labels where there is a file of them.

    Parameters
    ----------
    files : Files
    repeated : str
        ``keep`` every simplex, or only the ``first`` of those with equal members.

    Returns
    -------
    Raw
        A hypergraph whose hyperedges have ``time`` (int64); ``names["node"]``.

    Raises
    ------
    DataError
        If the lists do not fit together, naming file and line.
    """
    if repeated not in ("keep", "first"):
        raise unknown("repeated", repeated, ["keep", "first"])
    found = [name for name in files.names() if name.endswith("-nverts.txt")]
    if len(found) != 1:
        raise DataError(f"expected one file *-nverts.txt among the raw files, found {len(found)}")
    stem = found[0].removesuffix("-nverts.txt")
    sizes, flat, times = (
        tables.integers(files.read(f"{stem}-{part}.txt"), files.label(f"{stem}-{part}.txt"), columns=1)[:, 0]
        for part in ("nverts", "simplices", "times")
    )
    _check(files, stem, sizes, flat, times)
    ids, member = np.unique(flat, return_inverse=True)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    order = np.argsort(times, kind="stable")
    report = {"out_of_order": int((times[1:] < times[:-1]).sum()), "distinct_simplices": len(sizes)}
    first = _first(member.reshape(-1), owner, order)
    report["distinct_simplices"] = len(first)
    if repeated == "first":
        order = order[np.isin(order, first)]
    place = np.full(len(sizes), -1)
    place[order] = np.arange(len(order))
    kept = place[owner] >= 0
    names = {"node": _labels(files, stem, ids)}
    return hypergraph_raw(
        member.reshape(-1)[kept],
        place[owner][kept],
        len(ids),
        len(order),
        {},
        {"time": times[order]},
        names=names,
        report=report,
    )


def _check(files: Files, stem: str, sizes: np.ndarray, flat: np.ndarray, times: np.ndarray) -> None:
    label = files.label(f"{stem}-nverts.txt")
    if not len(sizes):
        raise DataError(f"{label} holds no simplices")
    wrong = np.flatnonzero(sizes < 1)
    if len(wrong):
        raise DataError(f"{label}, line {wrong[0] + 1}: a simplex of {sizes[wrong[0]]} nodes")
    if len(times) != len(sizes):
        raise DataError(f"{files.label(f'{stem}-times.txt')} has {len(times)} lines; expected {len(sizes)}")
    if len(flat) != sizes.sum():
        raise DataError(f"{files.label(f'{stem}-simplices.txt')} has {len(flat)} lines; expected {sizes.sum()}")
    wrong = np.flatnonzero(flat < 1)
    if len(wrong):
        raise DataError(
            f"{files.label(f'{stem}-simplices.txt')}, line {wrong[0] + 1}: node {flat[wrong[0]]}; expected 1 or more"
        )


def _first(member: np.ndarray, owner: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the simplices that are, in the order of time, the first with their members."""
    rank = np.lexsort((member, owner))
    bounds = np.r_[0, np.cumsum(np.bincount(owner))]
    sorted_members = member[rank]
    seen: dict[bytes, int] = {}
    for simplex in order.tolist():
        seen.setdefault(sorted_members[bounds[simplex] : bounds[simplex + 1]].tobytes(), simplex)
    return np.fromiter(seen.values(), dtype=np.int64)


def _labels(files: Files, stem: str, ids: np.ndarray) -> list[str]:
    """Return each node's name: from the file of labels, else its published id."""
    name = f"{stem}-node-labels.txt"
    if name not in files.names():
        return [str(i) for i in ids]
    named = {}
    for number, line in tables.lines(files.read(name)):
        head, *tail = line.split(None, 1)  # a blank or a tab
        if not head.isdigit():
            raise DataError(f"{files.label(name)}, line {number}: {line[:60]!r} does not begin with a node id")
        named[int(head)] = tail[0].strip() if tail else head
    return [named.get(int(i), str(i)) for i in ids]
