"""Streams of timed events as tables: the column orders of JODIE, TGB, DGB, SNAP and LAD, or one's own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graphkit.core.errors import DataError, GraphKitError, unknown
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files
from graphkit.graphs.temporal import number_nodes, time_order, time_tensor

if TYPE_CHECKING:
    import pandas

#: What a column may be. ``skip`` is not kept; ``feat`` (last) is this column and all that follow.
KINDS = ("src", "dst", "time", "weight", "label", "split", "skip", "feat")


@dataclass(frozen=True)
class Order:
    """What the columns of a table of events are.

    Parameters
    ----------
    columns : tuple of str
        Of :data:`KINDS`, left to right.
    header : bool
        Whether the first line names the columns.
    delimiter : str
        A blank stands for any white space.
    bipartite : bool
        Sources and destinations are numbered apart.
    """

    columns: tuple[str, ...]
    header: bool = True
    delimiter: str = ","
    bipartite: bool = False


#: The published orders. JODIE: user, item, time, state label, features; DGB (ml_NAME.csv): row, u, i, ts, label, idx;
#: TGB: time, source, destination, weight or more; TGB-Seq: row, source, destination, time, part.
ORDERS = {
    "jodie": Order(("src", "dst", "time", "label", "feat"), bipartite=True),
    "dgb": Order(("skip", "src", "dst", "time", "label", "skip")),
    "tgb": Order(("time", "src", "dst", "weight")),
    "tgb-comment": Order(("time", "src", "dst", "skip", "feat")),
    "tgb-flight": Order(("time", "src", "dst", "skip", "skip")),
    "tgb-seq": Order(("skip", "src", "dst", "time", "split")),
    "snap": Order(("src", "dst", "time"), header=False, delimiter=" "),
    "lad": Order(("time", "src", "dst", "weight"), header=False),
}


@register(
    "events",
    kind="reader",
    level="temporal-link",
    title="Towards Better Evaluation for Dynamic Link Prediction",
    arxiv="2207.10128",
    keep=True,
)
def read_events(
    files: Files,
    *,
    order: str = "jodie",
    header: bool | None = None,
    delimiter: str = "",
    bipartite: bool | None = None,
    file: str = "",
) -> Raw:
    """Read one table of events into a directed graph whose edges are in time order.

    Parameters
    ----------
    files : Files
        One table, plain or ``.gz``.
    order : str
        ``jodie``, ``dgb``, ``tgb``, ``tgb-comment``, ``tgb-flight``, ``tgb-seq``, ``snap``, ``lad``; or the columns
        left to right, separated by commas, of ``src``, ``dst``, ``time``, ``weight``, ``label``, ``split``, ``skip``
        and (last) ``feat``, such as ``time,src,dst,feat``.
    header : bool, optional
        Whether the first line names the columns; by default as the order is published.
    delimiter : str
        A blank stands for any white space.
    bipartite : bool, optional
        Number sources and destinations apart, as JODIE does.
    file : str
        Which file, if there are several.

    Returns
    -------
    Raw
        Edge fields ``time`` (int64, or float64 if some have fractions), ``weight``, ``label``, ``feat`` where there are
        such columns; node field ``ntype`` (0 source, 1 destination) if bipartite; ``names["node"]``. Events of one time
        keep the file's order. A column ``split`` (0, 1, 2) gives the split ``public``.

    Raises
    ------
    DataError
        Naming file and line: a ragged row, a time or weight that is no finite number.
    """
    layout = _layout(order, header, delimiter, bipartite)
    found = [
        name for name in files.names() if name == file or (not file and not name.lower().endswith((".md", ".npy")))
    ]
    if len(found) != 1:
        raise DataError(f"expected one table of events among the raw files, found {len(found)}; name it with file=")
    label = files.label(found[0])
    table = _table(files.read(found[0]), label, layout)
    source, target, names, split = number_nodes(table["src"].to_numpy(), table["dst"].to_numpy(), layout.bipartite)
    times = time_tensor(table["time"].to_numpy())
    place = time_order(times)
    rows = place.numpy()
    edges = {"time": times[place], **_fields(table, rows)}
    kinds = {"ntype": (torch.arange(len(names)) >= split).long()} if layout.bipartite else {}
    src, dst = (torch.from_numpy(np.ascontiguousarray(ids[rows])) for ids in (source, target))
    collated = Collated.from_edges(src, dst, torch.tensor([len(names)]), kinds, edges)
    pairs = src * max(len(names), 1) + dst
    report = {
        "out_of_order": int((times[1:] < times[:-1]).sum()),
        "self_loops": int((src == dst).sum()),
        "distinct_pairs": len(pairs.unique()),
        "timestamps": len(times.unique()),
    }
    return Raw(collated, _public(table, rows, label), {"node": names}, report, undirected=False)


def _layout(order: str, header: bool | None, delimiter: str, bipartite: bool | None) -> Order:
    known = ORDERS.get(order.lower())
    if known is None:
        columns = tuple(part.strip() for part in order.split(","))
        if len(columns) == 1:
            raise unknown("order", order, ORDERS)
        for column in columns:
            if column not in KINDS:
                raise unknown("column", column, KINDS)
        for needed in ("src", "dst", "time"):
            if columns.count(needed) != 1:
                raise GraphKitError(
                    f"the order {order!r} names {needed!r} {columns.count(needed)} times; expected once"
                )
        if "feat" in columns[:-1]:
            raise GraphKitError(f"the order {order!r} has 'feat' before its end; it stands for all columns that follow")
        known = Order(columns)
    return Order(
        known.columns,
        known.header if header is None else header,
        delimiter or known.delimiter,
        known.bipartite if bipartite is None else bipartite,
    )


def _table(data: bytes, label: str, layout: Order) -> pandas.DataFrame:
    """Return the rows with one column for each kind, features as ``feat0``, ``feat1``, ..."""
    import pandas

    first = next((line for _, line in _rows(data, layout)), None)
    if first is None:
        raise DataError(f"{label} has no events")
    width = len(_cells(first, layout))
    names = _names(width, layout, label)
    kinds = {name: _dtype(name) for name in names if not name.startswith("skip")}
    try:
        table = pandas.read_csv(
            io.BytesIO(data),
            header=None,
            names=names,
            usecols=[name for name in names if name in kinds],
            skiprows=1 if layout.header else 0,
            sep=r"\s+" if layout.delimiter == " " else layout.delimiter,
            dtype=kinds,
            na_filter=False,
            skipinitialspace=True,
            index_col=False,
        )
        sound = len(table) > 0 and bool((table[["src", "dst"]] != "").all(axis=None))
        values = table[[name for name in kinds if kinds[name] is not str]].to_numpy()
        sound = sound and bool(np.isfinite(values).all())
    except (ValueError, pandas.errors.ParserError):
        sound = False
    if not sound or _ragged(data, layout, width):
        raise _complaint(data, label, layout, width, names)
    return table


def _ragged(data: bytes, layout: Order, width: int) -> bool:
    """Say whether a row has another number of cells; pandas would fill short ones and cut long ones."""
    body = data.split(b"\n")[1 if layout.header else 0 :]
    if layout.delimiter == " ":
        return any(len(line.split()) != width for line in body if line.strip())
    separator = layout.delimiter.encode()
    return any(line.count(separator) != width - 1 for line in body if line.strip())


def _rows(data: bytes, layout: Order) -> list[tuple[int, str]]:
    lines = tables.lines(data)
    return lines[1:] if layout.header else lines


def _cells(line: str, layout: Order) -> list[str]:
    return line.split() if layout.delimiter == " " else [cell.strip() for cell in line.split(layout.delimiter)]


def _names(width: int, layout: Order, label: str) -> list[str]:
    fixed = [kind for kind in layout.columns if kind != "feat"]
    more = width - len(fixed)
    if more < 0 or (more and "feat" not in layout.columns):
        raise DataError(
            f"{label}, line {1 + layout.header}: {width} columns where {', '.join(layout.columns)} were expected"
        )
    names = [f"skip{i}" if kind == "skip" else kind for i, kind in enumerate(fixed)]
    return names + [f"feat{i}" for i in range(more)]


def _dtype(name: str) -> Any:
    return {"src": str, "dst": str, "time": np.float64}.get(name, np.float32)


def _complaint(data: bytes, label: str, layout: Order, width: int, names: list[str]) -> DataError:
    for number, line in _rows(data, layout):
        cells = _cells(line, layout)
        if len(cells) != width:
            return DataError(f"{label}, line {number}: {len(cells)} columns where {width} were expected: {line[:60]!r}")
        for name, cell in zip(names, cells, strict=True):
            if name in ("src", "dst") and not cell:
                return DataError(f"{label}, line {number}: the {name} is empty")
            if _dtype(name) is str or name.startswith("skip"):
                continue
            try:
                finite = np.isfinite(float(cell))
            except ValueError:
                return DataError(f"{label}, line {number}: the {name} {cell[:40]!r} is not a number")
            if not finite:
                return DataError(f"{label}, line {number}: the {name} {cell!r} is not a finite number")
    return DataError(f"{label} is not a table of events")


def _fields(table: pandas.DataFrame, rows: np.ndarray) -> dict[str, torch.Tensor]:
    fields = {}
    if "weight" in table:
        fields["weight"] = torch.from_numpy(table["weight"].to_numpy()[rows])
    if "label" in table:
        labels = table["label"].to_numpy()[rows]
        whole = (labels == np.round(labels)).all()
        fields["label"] = torch.from_numpy(labels.astype(np.int64) if whole else labels)
    wide = [name for name in table.columns if name.startswith("feat")]
    if wide:
        fields["feat"] = torch.from_numpy(table[wide].to_numpy(dtype=np.float32)[rows])
    return fields


def _public(table: pandas.DataFrame, rows: np.ndarray, label: str) -> dict[str, Any]:
    if "split" not in table:
        return {}
    part = table["split"].to_numpy()[rows]
    wrong = np.flatnonzero(~np.isin(part, [0, 1, 2]))
    if len(wrong):
        raise DataError(f"{label}: event {rows[wrong[0]]} is in part {part[wrong[0]]}; expected 0, 1 or 2")
    return {
        "public": {name: torch.from_numpy(np.flatnonzero(part == i)) for i, name in enumerate(("train", "val", "test"))}
    }
