"""struc2vec's air-traffic networks: an edge list and a table of labels, both blank-separated (arXiv 1704.03165)."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, integer_codes, stand_in_features, tidy
from graphkit.data.store import Files


@register(
    "airports",
    kind="reader",
    level="node link",
    title="struc2vec: Learning Node Representations from Structural Identity",
    arxiv="1704.03165",
)
def read_airports(files: Files, *, features: str = "none") -> Raw:
    """Read ``NAME.edgelist`` (two ids a line) and ``labels-NAME.txt`` (header ``node label``).

    Ids may skip; nodes are numbered in the order of their ids, which are kept as ``names["node"]``.

    Parameters
    ----------
    files : Files
    features : str
        The files hold none: ``none``, ``degree`` (one-hot) or ``constant``.

    Returns
    -------
    Raw
        ``label`` int64 ``[N]``; both directions of each link, self-loops dropped and counted.

    Raises
    ------
    DataError
        Naming file and line: a wrong delimiter, an id that repeats or has no label.
    """
    edge_name, label_name = (_one(files, ending) for ending in (".edgelist", ".txt"))
    _, body = tables.headed(files.read(label_name), files.label(label_name), ["node", "label"], " ")
    rows = tables.integers(body, files.label(label_name), 2, " ")
    ids, first = np.unique(rows[:, 0], return_index=True)
    again = np.setdiff1d(np.arange(len(rows)), first)
    if len(again):
        story = f"node {rows[again[0], 0]} repeats"
        raise tables.complain_row(body, files.label(label_name), again[0], story)
    data = files.read(edge_name)
    ends = tables.integers(data, files.label(edge_name), 2, " ")
    place = np.searchsorted(ids, ends).clip(max=max(len(ids) - 1, 0))
    lost = np.flatnonzero((ids[place] != ends).any(axis=1)) if len(ids) else np.arange(len(ends))
    if len(lost):
        story = f"the nodes {ends[lost[0], 0]} and {ends[lost[0], 1]}, not both of which have a label"
        raise tables.complain_row(data, files.label(edge_name), lost[0], story)
    codes, classes = integer_codes(rows[first, 1])
    src, dst, edge_fields, report = tidy(place[:, 0], place[:, 1], len(ids))
    collated = Collated.from_edges(src, dst, torch.tensor([len(ids)]), {"label": codes}, edge_fields)
    stand_in_features(collated, features)
    return Raw(collated, {}, {"class": classes, "node": [str(x) for x in ids]}, report)


def _one(files: Files, ending: str) -> str:
    found = [name for name in files.names() if name.endswith(ending)]
    if len(found) != 1:
        raise DataError(f"expected one file ending in {ending} among the raw files, found {len(found)}")
    return found[0]
