"""Implicit feedback: tables of which user took which item, as MovieLens, Book-Crossing and HetRec distribute them."""

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
from graphkit.graphs.build import undirect
from graphkit.graphs.temporal import number_nodes, time_tensor

if TYPE_CHECKING:
    import pandas

KINDS = ("user", "item", "friend", "weight", "time", "skip")


@register("ratings", kind="reader", level="link", title="The MovieLens Datasets: History and Context")
def read_ratings(
    files: Files,
    *,
    columns: str = "user,item,weight",
    header: bool = True,
    delimiter: str = "\t",
    file: str = "",
    at_least: float = 0.0,
    encoding: str = "utf-8",
) -> Raw:
    """Read one table of users and items into a bipartite graph, each pair once, in both directions.

    Parameters
    ----------
    files : Files
    columns : str
        What the columns are, left to right: ``user``, ``item``, ``weight`` (a rating or count), ``time``, ``skip``; or
        ``user,friend`` for a network of users.
    header : bool
        Whether the first line names the columns.
    delimiter : str
        May have several characters, as MovieLens' ``::``; cells may be quoted.
    file : str
        Which file, if there are several.
    at_least : float
        Leave out rows of a smaller weight, such as ratings below 4.
    encoding : str

    Returns
    -------
    Raw
        Node field ``ntype`` (0 user, 1 item; users come first, each kind in the order of its ids), edge fields
        ``rating`` (the column weight, which is no weight of messages) and ``time``; ``names["node"]``. No features.

    Raises
    ------
    DataError
        Naming file and line: a ragged row, an empty id, a weight or time that is no number.
    """
    kinds = columns.split(",")
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("column", kind, KINDS)
    other = "friend" if "friend" in kinds else "item"
    found = [name for name in files.names() if name == file or not file]
    if len(found) != 1:
        raise DataError(f"expected one table of ratings among the raw files, found {len(found)}; name it with file=")
    name = files.label(found[0])
    table = _table(files.read(found[0]), name, kinds, header, delimiter, encoding)
    kept = table["weight"].to_numpy() >= at_least if "weight" in table else np.ones(len(table), dtype=bool)
    left_out, table = int((~kept).sum()), table[kept]
    users, others, names, split = number_nodes(table["user"].to_numpy(), table[other].to_numpy(), other == "item")
    code = np.minimum(users, others) * len(names) + np.maximum(users, others)
    first = np.sort(np.unique(code, return_index=True)[1])
    fields: dict[str, torch.Tensor] = {}
    if "weight" in table:
        fields["rating"] = torch.from_numpy(table["weight"].to_numpy(dtype=np.float32)[first])
    if "time" in table:
        fields["time"] = time_tensor(table["time"].to_numpy()[first])
    loops = users[first] == others[first]
    keep = first[~loops]
    fields = {key: value[torch.from_numpy(~loops)] for key, value in fields.items()}
    src, dst, edge_fields = undirect(users[keep], others[keep], fields, len(names))
    report = {
        "raw_edges": len(table),
        "self_loops": int(loops.sum()),
        "repeated_edges": len(users) - len(np.unique(users * len(names) + others)),
        "below_threshold": left_out,
    }
    node_fields = {"ntype": (torch.arange(len(names)) >= split).long()} if other == "item" else {}
    collated = Collated.from_edges(src, dst, torch.tensor([len(names)]), node_fields, edge_fields)
    titles = {"node": names, "ntype": ["user", "item"]} if other == "item" else {"node": names}
    return Raw(collated, {}, titles, report)


def _table(data: bytes, name: str, kinds: list[str], header: bool, delimiter: str, encoding: str) -> pandas.DataFrame:
    """Return the columns that are not skipped: ids as text, weights and times as numbers."""
    import pandas

    text = data.decode(encoding, errors="replace").replace("\r\n", "\n")
    if len(delimiter) > 1:
        text, delimiter = text.replace(delimiter, "\t"), "\t"
    try:
        table = pandas.read_csv(
            io.StringIO(text), sep=delimiter, header=None, skiprows=int(header), dtype=str, na_filter=False
        )
        table = table.set_axis([f"skip{i}" if kind == "skip" else kind for i, kind in enumerate(kinds)], axis=1)
        table = table[[kind for kind in kinds if kind != "skip"]]
        for kind in ("weight", "time"):
            if kind in table:
                table[kind] = table[kind].astype(np.float64)
        sound = all(np.isfinite(table[k]).all() if k in ("weight", "time") else (table[k] != "").all() for k in table)
    except (ValueError, pandas.errors.ParserError):
        sound = False
    if not sound:
        raise _complaint(text, name, kinds, header, delimiter)
    return table


def _complaint(text: str, name: str, kinds: list[str], header: bool, delimiter: str) -> DataError:
    for number, line in tables.lines(text.encode())[int(header) :]:
        cells = next(csv.reader([line], delimiter=delimiter))
        if len(cells) != len(kinds):
            return DataError(
                f"{name}, line {number}: {len(cells)} columns where {', '.join(kinds)} were expected, "
                f"cut at {delimiter!r}: {line[:60]!r}"
            )
        for kind, cell in zip(kinds, cells, strict=True):
            if kind in ("user", "item", "friend") and not cell:
                return DataError(f"{name}, line {number}: the {kind} is empty")
            try:
                fine = kind not in ("weight", "time") or np.isfinite(float(cell))
            except ValueError:
                fine = False
            if not fine:
                return DataError(f"{name}, line {number}: the {kind} is {cell[:40]!r}; expected a number")
    return DataError(f"{name} holds no ratings")
