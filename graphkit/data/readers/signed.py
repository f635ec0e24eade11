"""Signed, weighted, timed networks of trust: source, target, rating, time (Kumar et al., ICDM 2016)."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files
from graphkit.graphs.temporal import number_nodes, time_order, time_tensor


@register(
    "signed-csv",
    kind="reader",
    level="link temporal-link",
    title="Edge Weight Prediction in Weighted Signed Networks",
)
def read_signed(files: Files) -> Raw:
    """Read a CSV without header: source, target, rating (never 0), Unix time.

    The graph is directed and its edges stand in time order; nodes are numbered in the order of their ids.

    Parameters
    ----------
    files : Files
        One ``.csv``.

    Returns
    -------
    Raw
        Edge fields ``sign`` (int64, 1 or -1), ``weight`` (float32, the size of the rating) and ``time`` (int64, or
        float64 if some have fractions); ``names["node"]``; the report counts lines out of time order.

    Raises
    ------
    DataError
        Naming file and line: a ragged row, an id that is no whole number, a rating of 0, a pair that repeats.
    """
    found = [name for name in files.names() if name.endswith(".csv")]
    if len(found) != 1:
        raise DataError(f"expected one .csv file among the raw files, found {len(found)}")
    name, data = files.label(found[0]), files.read(found[0])
    rows = tables.numbers(data, name, 4)
    if not len(rows):
        raise DataError(f"{name} holds no ratings")
    ids, rating = rows[:, :2], rows[:, 2]
    _refuse(np.flatnonzero((ids != np.round(ids)).any(axis=1)), data, name, "an id is no whole number")
    _refuse(np.flatnonzero(rating == 0), data, name, "the rating is 0; expected a positive or negative number")
    src, dst, names, total = number_nodes(ids[:, 0].astype(np.int64), ids[:, 1].astype(np.int64), False)
    _, first = np.unique(src * total + dst, return_index=True)
    _refuse(np.setdiff1d(np.arange(len(src)), first), data, name, "the pair of source and target repeats")
    times = time_tensor(rows[:, 3])
    place = time_order(times)
    order = place.numpy()
    edge_fields = {
        "sign": torch.from_numpy(np.sign(rating[order]).astype(np.int64)),
        "weight": torch.from_numpy(np.abs(rating[order]).astype(np.float32)),
        "time": times[place],
    }
    report = {
        "out_of_order": int((times[1:] < times[:-1]).sum()),
        "positive": int((rating > 0).sum()),
        "self_loops": int((src == dst).sum()),
    }
    collated = Collated.from_edges(
        torch.from_numpy(src[order]), torch.from_numpy(dst[order]), torch.tensor([total]), {}, edge_fields
    )
    return Raw(collated, {}, {"node": names}, report, undirected=False)


def _refuse(rows: np.ndarray, data: bytes, name: str, story: str) -> None:
    if len(rows):
        raise tables.complain_row(data, name, int(rows[0]), story)
