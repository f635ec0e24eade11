"""N-Triples with a table of labelled entities, as R-GCN classifies them (arXiv 1703.06103)."""

from __future__ import annotations

import re

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files

_RESOURCE = r"<[^<>\"{}|^`\\\s]*>|_:\S+"
_LITERAL = r'"(?:[^"\\]|\\.)*"(?:\^\^<[^>\s]*>|@[A-Za-z0-9-]+)?'
_TRIPLE = re.compile(rf"\s*({_RESOURCE})\s*(<[^>\s]*>)\s*({_RESOURCE}|{_LITERAL})\s*\.\s*(?:#.*)?")
_TABLES = ("completeDataset.tsv", "trainingSet.tsv", "testSet.tsv")


@register(
    "entity-rdf",
    kind="reader",
    level="node",
    title="Modeling Relational Data with Graph Convolutional Networks",
    arxiv="1703.06103",
    keep=True,
)
def read_entity_rdf(files: Files, *, node: str, label: str) -> Raw:
    """Read ``..._stripped.nt`` and the tables of labelled entities into one typed, directed graph.

    Resources and literals become nodes in the sorted order of their names, relations likewise. Repeated triples are
    dropped and counted.

    Parameters
    ----------
    files : Files
        One ``.nt`` file of N-Triples, ``completeDataset.tsv``, ``trainingSet.tsv``, ``testSet.tsv``.
    node, label : str
        Columns of the tables: the entity and its class.

    Returns
    -------
    Raw
        Node fields ``ntype`` (0 resource, 1 literal) and ``label`` (int64, -1 where there is none), edge field
        ``etype``; ``names["node"]``, ``names["relation"]``, ``names["class"]``; the split ``public``, whose validation
        part is empty, as published.

    Raises
    ------
    DataError
        Naming file and line: a line that is no triple, a missing column, an entity that is not in the graph, repeats,
        or is labelled twice.
    """
    heads, relations, tails, lines = _triples(files)
    ends, codes = np.unique(np.array(heads + tails, dtype=object), return_inverse=True)
    kinds, etype = np.unique(np.array(relations, dtype=object), return_inverse=True)
    head, tail = codes.reshape(2, -1).astype(np.int64)
    _, first = np.unique((tail * len(ends) + head) * len(kinds) + etype, return_index=True)
    literal = torch.tensor([name.startswith('"') for name in ends.tolist()], dtype=torch.int64)
    place = {name: i for i, name in enumerate(ends.tolist())}
    labels, classes, splits = _labels(files, place, node, label)
    collated = Collated.from_edges(
        torch.from_numpy(head[first]),
        torch.from_numpy(tail[first]),
        torch.tensor([len(ends)]),
        {"ntype": literal, "label": labels},
        {"etype": torch.from_numpy(etype[first].astype(np.int64))},
    )
    report = {
        "raw_edges": lines,
        "repeated_edges": lines - len(first),
        "self_loops": int((head[first] == tail[first]).sum()),
        "literals": int(literal.sum()),
    }
    names = {
        "node": [_bare(name) for name in ends.tolist()],
        "relation": [_bare(name) for name in kinds.tolist()],
        "class": classes,
        "ntype": ["resource", "literal"],
    }
    return Raw(collated, {"public": splits}, names, report, undirected=False)


def _bare(name: str) -> str:
    """Return an address without its angle brackets; literals and blank nodes as they are."""
    return name[1:-1] if name.startswith("<") else name


def _triples(files: Files) -> tuple[list[str], list[str], list[str], int]:
    found = [name for name in files.names() if name.endswith(".nt")]
    if len(found) != 1:
        raise DataError(f"expected one file of N-Triples among the raw files, found {len(found)}")
    data, name = files.read(found[0]), files.label(found[0])
    columns: tuple[list[str], list[str], list[str]] = ([], [], [])
    for number, line in tables.lines(data):
        if line.lstrip().startswith("#"):
            continue
        made = _TRIPLE.fullmatch(line)
        if made is None:
            raise DataError(
                f"{name}, line {number}: expected subject, predicate, object and a full stop: {line[:80]!r}"
            )
        for column, part in zip(columns, made.groups(), strict=True):
            column.append(part)
    return *columns, len(columns[0])


def _labels(
    files: Files, place: dict[str, int], node: str, label: str
) -> tuple[torch.Tensor, list[str], dict[str, torch.Tensor]]:
    """Return the label of every node, the classes' names, and the published parts."""
    whole = _rows(files, _TABLES[0], place, node, label)
    classes = sorted({text for _, text, _ in whole.values()})
    labels = torch.full((len(place),), -1, dtype=torch.int64)
    for ident, (_, text, _) in whole.items():
        labels[ident] = classes.index(text)
    parts: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for part, name in zip(("train", "test"), _TABLES[1:], strict=True):
        rows = _rows(files, name, place, node, label)
        for ident, (entity, text, number) in rows.items():
            if ident not in whole or whole[ident][1] != text or ident in seen:
                story = (
                    "is in the training part too" if ident in seen else f"has another label in {_TABLES[0]}, or none"
                )
                raise DataError(f"{files.label(name)}, line {number}: {entity} {story}")
        seen |= set(rows)
        parts[part] = torch.tensor(sorted(rows), dtype=torch.int64)
    none = torch.empty(0, dtype=torch.int64)
    return labels, classes, {"train": parts["train"], "val": none, "test": parts["test"]}


def _rows(files: Files, name: str, place: dict[str, int], node: str, label: str) -> dict[int, tuple[str, str, int]]:
    """Return entity, label and line by node id. Labels 1 and 1.0 are one, as the tables spell them both ways."""
    where, data = files.label(name), files.read(name)
    header, body = tables.headed(data, where, [node, label])
    made: dict[int, tuple[str, str, int]] = {}
    for number, line in tables.lines(body):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(header):
            raise DataError(f"{where}, line {number}: {len(cells)} columns where {len(header)} were expected")
        entity, text = cells[header.index(node)], cells[header.index(label)].removesuffix(".0")
        ident = place.get(f"<{entity}>")
        if ident is None:
            raise DataError(f"{where}, line {number}: {entity} is not in the graph")
        if ident in made:
            raise DataError(f"{where}, line {number}: {entity} repeats")
        made[ident] = (entity, text, number)
    return made
