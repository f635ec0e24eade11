"""Relational reasoning: many small typed graphs, each asking how two of its nodes are related."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from graphkit.core.errors import DataError, unknown
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files
from graphkit.data.unpickle import check_member

#: The relation of edges whose relation a file leaves out.
UNSTATED = "(unstated)"
_PAIR = r"\(\s*\d+\s*,\s*\d+\s*\)"
_EDGES = re.compile(rf"\[\s*(?:{_PAIR}\s*(?:,\s*{_PAIR}\s*)*)?\]")
_QUERY = re.compile(rf"\s*{_PAIR}\s*")
_WORDS = re.compile(r"""\[\s*(?:['"][^'"]*['"]\s*(?:,\s*['"][^'"]*['"]\s*)*)?\]""")


@dataclass
class _Stories:
    """Rows of one or more tables, gathered: counts by row, ends and relations by edge."""

    nodes: list[int] = field(default_factory=list)
    edges: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    query: list[int] = field(default_factory=list)
    target: list[str] = field(default_factory=list)
    untyped: str = "refuse"
    unstated: int = 0

    def read(self, text: str, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
        """Add the rows of one table; return them. ``columns`` are edges, their relations, query and target."""
        rows = csv.reader(io.StringIO(text, newline=""))
        header = [cell.strip() for cell in next(rows, [])]
        for column in columns:
            if column not in header:
                raise DataError(f"{name}, line 1: no column {column!r}; it has {', '.join(map(repr, header[:12]))}")
        where = [header.index(column) for column in columns]
        made = []
        for row in rows:
            if len(row) <= 1 and not "".join(row).strip():
                continue
            if len(row) != len(header):
                raise DataError(f"{name}, line {rows.line_num}: {len(row)} columns where {len(header)} were expected")
            self._add([row[i] for i in where], f"{name}, line {rows.line_num}", columns)
            made.append(dict(zip(header, row, strict=True)))
        return made

    def _add(self, cells: list[str], where: str, columns: Sequence[str]) -> None:
        for cell, pattern, column in zip(cells[:3], (_EDGES, _WORDS, _QUERY), columns, strict=False):
            if not pattern.fullmatch(cell):
                raise DataError(f"{where}: {column} is {cell[:60]!r}; expected a list of pairs, words, and a pair")
        ends = [int(x) for x in re.findall(r"\d+", cells[0])]
        words = re.findall(r"""['"]([^'"]*)['"]""", cells[1])
        query = [int(x) for x in re.findall(r"\d+", cells[2])]
        missing = len(ends) // 2 - len(words)
        if missing > 0 and self.untyped == "keep":
            words += [UNSTATED] * missing
            self.unstated += missing
        if len(ends) != 2 * len(words):
            raise DataError(f"{where}: {len(ends) // 2} edges but {len(words)} relations")
        if not cells[3].strip():
            raise DataError(f"{where}: {columns[3]} is empty")
        self.nodes.append(max(ends + query) + 1)
        self.edges.append(len(words))
        self.ends += ends
        self.relations += words
        self.query += query
        self.target.append(cells[3].strip())

    def raw(self, graph_fields: dict[str, list[int]]) -> Raw:
        """Return the graphs, the query's ends marked in ``feat``."""
        counts = torch.tensor(self.nodes, dtype=torch.int64)
        first = torch.cumsum(counts, 0) - counts
        src, dst = torch.tensor(self.ends, dtype=torch.int64).reshape(-1, 2).T
        shift = torch.repeat_interleave(first, torch.tensor(self.edges, dtype=torch.int64))
        kinds, etype = np.unique(np.array(self.relations, dtype=str), return_inverse=True)
        classes, label = np.unique(np.array(self.target, dtype=str), return_inverse=True)
        query = torch.tensor(self.query, dtype=torch.int64).reshape(-1, 2)
        feat = torch.zeros(int(counts.sum()), 2)
        for side in (0, 1):
            feat[first + query[:, side], side] = 1
        extra = {name: torch.tensor(values, dtype=torch.int64) for name, values in graph_fields.items()}
        collated = Collated.from_edges(
            src + shift,
            dst + shift,
            counts,
            {"feat": feat},
            {"etype": torch.from_numpy(etype.astype(np.int64))},
            {"label": torch.from_numpy(label.astype(np.int64)), "query": query, **extra},
        )
        names = {"class": [str(x) for x in classes], "relation": [str(x) for x in kinds]}
        return Raw(collated, {}, names, {"raw_edges": len(self.relations), "unstated": self.unstated}, undirected=False)


@register(
    "clutrr",
    kind="reader",
    level="graph",
    title="CLUTRR: A Diagnostic Benchmark for Inductive Reasoning from Text",
    arxiv="1908.06177",
    keep=True,
)
def read_clutrr(files: Files, *, untyped: str = "refuse") -> Raw:
    """Read the graph form of CLUTRR's stories: who is related how, and the pair that is asked about.

    Only ``story_edges``, ``edge_types``, ``query_edge`` and ``target`` are read; ``proof_state`` gives the answer away.

    Parameters
    ----------
    files : Files
        One zip with ``..._train.csv`` and ``..._test.csv``.
    untyped : str
        What to do where there are more edges than relations, as in the robustness tests, which state those along the
        path only: ``refuse``, or ``keep`` the rest as edges of the relation ``(unstated)``.

    Returns
    -------
    Raw
        Graph fields ``label``, ``query`` (int64 ``[B, 2]``, nodes of the graph), ``story`` and ``steps`` (the two
        numbers of the task: kind of facts added, and length of the path); ``feat`` marks the query's ends; edge field
        ``etype``; the split ``public``, whose validation part is empty, as published.

    Raises
    ------
    DataError
        Naming file and line: a missing column, a ragged row, a cell that is no list of pairs or words.
    """
    found = [name for name in files.names() if name.endswith(".zip")]
    if len(found) != 1:
        raise DataError(f"expected one zip file among the raw files, found {len(found)}")
    name, data = files.label(found[0]), files.read(found[0])
    if untyped not in ("refuse", "keep"):
        raise unknown("untyped", untyped, ["refuse", "keep"])
    stories, parts = _Stories(untyped=untyped), {"train": [0][:0], "test": [0][:0]}
    tasks: dict[str, list[int]] = {"story": [], "steps": []}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {check_member(m, name): archive.read(m).decode("utf-8", "replace") for m in archive.namelist()}
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{name} is truncated or not a zip archive ({error})") from error
    for member in sorted(members):
        part = next((part for part in parts if member.endswith(f"_{part}.csv")), None)
        if part is None:
            continue
        label, begin = f"{name}:{member}", len(stories.target)
        rows = stories.read(members[member], label, ("story_edges", "edge_types", "query_edge", "target", "task_name"))
        parts[part] += range(begin, len(stories.target))
        for row in rows:
            task = re.fullmatch(r"task_(\d+)\.(\d+)", row["task_name"].strip())
            if task is None:
                raise DataError(f"{label}: task_name is {row['task_name'][:40]!r}; expected such as 'task_1.2'")
            tasks["story"].append(int(task[1]))
            tasks["steps"].append(int(task[2]))
    if not parts["train"] or not parts["test"]:
        raise DataError(f"{name} holds {len(parts['train'])} stories to train on and {len(parts['test'])} to test")
    raw = stories.raw(tasks)
    split = {part: torch.tensor(ids, dtype=torch.int64) for part, ids in (("val", []), *parts.items())}
    raw.splits["public"] = {part: split[part] for part in ("train", "val", "test")}
    return raw


@register(
    "multi-path",
    kind="reader",
    level="graph",
    title="Systematic Relational Reasoning With Epistemic Graph Neural Networks",
    arxiv="2407.17396",
    keep=True,
)
def read_multi_path(files: Files) -> Raw:
    """Read tables of graphs whose query is answered by combining several paths, as published with EpiGNN.

    Parameters
    ----------
    files : Files
        ``..._k_K_b_B.csv``, paths of length K, B of them.

    Returns
    -------
    Raw
        Graph fields ``label``, ``query`` (int64 ``[B, 2]``), ``steps`` (K) and ``paths`` (B); ``feat`` marks the
        query's ends; edge field ``etype``. Rows keep the files' order, in which labels are grouped.

    Raises
    ------
    DataError
        Naming file and line: a missing column, a ragged row, a cell that is no list of pairs or words.
    """
    stories = _Stories()
    sizes: dict[str, list[int]] = {"steps": [], "paths": []}
    found = [(re.search(r"_k_(\d+)_b_(\d+)\.csv$", name), name) for name in files.names()]
    for shape, name in sorted((tuple(map(int, m.groups())), name) for m, name in found if m):
        text = files.read(name).decode("utf-8", "replace")
        rows = stories.read(text, files.label(name), ("edges", "edge_labels", "query_edge", "query_label"))
        for key, value in zip(sizes, shape, strict=True):
            sizes[key] += [value] * len(rows)
    if not stories.target:
        raise DataError("expected files ..._k_K_b_B.csv with rows among the raw files, found none")
    return stories.raw(sizes)
