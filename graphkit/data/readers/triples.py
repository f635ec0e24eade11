"""Knowledge graphs as tab-separated triples: head, relation, tail, in files for training, validation and testing."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import torch

from graphkit.core.errors import DataError, unknown
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files

if TYPE_CHECKING:
    import pandas

PARTS = {
    "train": ("train.txt", "train.tsv"),
    "val": ("valid.txt", "valid.tsv", "dev.txt"),
    "test": ("test.txt", "test.tsv"),
}


@register(
    "triples",
    kind="reader",
    level="triple",
    title="Convolutional 2D Knowledge Graph Embeddings",
    arxiv="1707.01476",
    keep=True,
)
def read_triples(files: Files, *, order: str = "hrt") -> Raw:
    """Read ``train.txt``, ``valid.txt`` and ``test.txt`` into one typed, directed graph.

    Entities and relations are numbered in the sorted order of their names, which stay text (WN18RR's are zero-padded
    numbers). Lines may end in CR LF. Edges run from head to tail, no reverse is added.

    Parameters
    ----------
    files : Files
    order : str
        Columns: ``hrt`` (head, relation, tail) or ``htr``.

    Returns
    -------
    Raw
        Edge field ``etype``; ``names["entity"]``, ``names["relation"]``; the split ``public`` of edge ids.

    Raises
    ------
    DataError
        Naming file and line where there are not three columns.
    """
    import pandas

    if order not in ("hrt", "htr"):
        raise unknown("order", order, ["hrt", "htr"])
    parts: dict[str, pandas.DataFrame] = {}
    for part, choices in PARTS.items():
        present = [name for name in choices if files.has(name)]
        if not present:
            raise DataError(f"{files.label(choices[0])} is missing")
        parts[part] = _rows(files.read(present[0]), files.label(present[0]))
    rows = pandas.concat(list(parts.values()), ignore_index=True)
    middle, last = (1, 2) if order == "hrt" else (2, 1)
    ends, entities = pandas.factorize(pandas.concat([rows[0], rows[last]], ignore_index=True), sort=True)
    etype, relations = pandas.factorize(rows[middle], sort=True)
    head, tail = ends.reshape(2, -1).astype(np.int64)
    etype = etype.astype(np.int64)

    # Kernels read edges by destination, so they are stored that way; the split remembers where each triple went.
    place = np.lexsort((etype, head, tail))
    part_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()])[place]
    split = {name: torch.from_numpy(np.flatnonzero(part_of == i)) for i, name in enumerate(parts)}
    code = (head * len(relations) + etype) * len(entities) + tail
    collated = Collated.from_edges(
        torch.from_numpy(head[place]),
        torch.from_numpy(tail[place]),
        torch.tensor([len(entities)]),
        {},
        {"etype": torch.from_numpy(etype[place])},
    )
    first = len(parts["train"])
    trained = np.unique(np.concatenate([head[:first], tail[:first]]))
    report = {
        "self_loops": int((head == tail).sum()),
        "repeated_triples": len(code) - len(np.unique(code)),
        "entities_not_in_training": len(entities) - len(trained),
    }
    names = {"entity": [str(x) for x in entities], "relation": [str(x) for x in relations]}
    return Raw(collated, {"public": split}, names, report, undirected=False)


def _rows(data: bytes, label: str) -> pandas.DataFrame:
    """Return the triples of one file as a table of text with three columns."""
    import pandas

    try:
        table = pandas.read_csv(
            io.BytesIO(data), sep="\t", header=None, dtype=str, na_filter=False, quoting=csv.QUOTE_NONE
        )
    except pandas.errors.EmptyDataError:
        return pandas.DataFrame({0: [], 1: [], 2: []}, dtype=str)
    except (ValueError, pandas.errors.ParserError):
        table = None
    if table is None or table.shape[1] != 3 or table.isna().any(axis=None) or (table == "").any(axis=None):
        raise _complaint(data, label)
    return table


def _complaint(data: bytes, label: str) -> DataError:
    for number, line in tables.lines(data):
        cells = line.split("\t")
        if len(cells) != 3 or not all(cell.strip() for cell in cells):
            return DataError(
                f"{label}, line {number}: {len(cells)} columns where head, relation and tail were expected, "
                f"separated by tabs: {line[:60]!r}"
            )
    return DataError(f"{label} is not a table of triples")
