"""Sets of graphs in one text file, with ten published folds, as DGCNN and GIN distribute them (arXiv 1810.00826)."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, integer_codes, one_hot, stand_in_features, tidy
from graphkit.data.store import Files

FOLDS = "10fold_idx/"


@register(
    "gin", kind="reader", level="graph", title="How Powerful are Graph Neural Networks?", arxiv="1810.00826", keep=True
)
def read_gin(files: Files, *, features: str = "tags") -> Raw:
    """Read ``NAME.txt`` and, where they are there, ``10fold_idx/train_idx-k.txt`` and ``test_idx-k.txt``.

    The first line counts graphs; each graph is a line ``n label`` and n lines ``tag degree neighbours``. The folds
    refer to the graphs of this file in this order, and to no other edition of the set.

    Parameters
    ----------
    files : Files
    features : str
        ``tags`` (one-hot), ``degree`` (one-hot, for social networks, whose tags say nothing), ``constant`` or ``none``.

    Returns
    -------
    Raw
        With the split ``folds``: ten mappings of ``train`` and ``test``.

    Raises
    ------
    DataError
        Naming file and line: counts that do not add up, neighbours out of range, folds that overlap or miss graphs.
    """
    texts = [name for name in files.names() if name.endswith(".txt") and "/" not in name]
    found = [name for name in texts if "readme" not in name.lower()]
    if len(found) != 1:
        raise DataError(f"expected one file NAME.txt among the raw files, found {len(found)}")
    counts, labels, tags, src, dst = _parse(files.read(found[0]), files.label(found[0]))
    source, target, edge_fields, report = tidy(src, dst, int(counts.sum()))
    label, class_names = integer_codes(labels)
    codes, tag_names = integer_codes(tags)
    collated = Collated.from_edges(source, target, torch.from_numpy(counts), {}, edge_fields, {"label": label})
    if features == "tags":
        collated.node_fields["feat"] = one_hot(codes, len(tag_names))
    else:
        stand_in_features(collated, features)
    folds = _folds(files, len(counts))
    names = {"class": class_names, "node_label": tag_names}
    return Raw(collated, {"folds": folds} if folds else {}, names, report)


def _parse(data: bytes, label: str) -> tuple[np.ndarray, ...]:
    """Return node counts and labels of graphs, tags of nodes, and edges of global ids."""
    rows = iter(tables.lines(data))
    number = 0

    def next_row(what: str) -> list[int]:
        nonlocal number
        number, text = next(rows, (number + 1, None))
        if text is None:
            raise DataError(f"{label} ends at line {number - 1} where {what} was expected; it may be truncated")
        try:
            return [int(cell) for cell in text.split()]
        except ValueError:
            raise DataError(f"{label}, line {number}: expected whole numbers, got {text[:60]!r}") from None

    counts, labels, tags = [], [], []
    src: list[int] = []
    dst: list[int] = []
    first = 0
    total = next_row("the number of graphs")[0]
    for graph in range(total):
        header = next_row(f"graph {graph} of {total}")
        if len(header) != 2 or header[0] < 0:
            raise DataError(f"{label}, line {number}: expected the size and label of graph {graph}, got {header}")
        size = header[0]
        for node in range(size):
            row = next_row(f"node {node} of graph {graph}")
            to = row[2 : 2 + row[1]] if len(row) > 1 else []
            if len(row) < 2 or len(to) != row[1] or any(not 0 <= v < size for v in to):
                raise DataError(
                    f"{label}, line {number}: expected a tag, a degree and as many neighbours from 0 to {size - 1}"
                )
            tags.append(row[0])
            src.extend([first + node] * len(to))
            dst.extend(first + v for v in to)
        counts.append(size)
        labels.append(header[1])
        first += size
    return tuple(np.array(column, dtype=np.int64) for column in (counts, labels, tags, src, dst))


def _folds(files: Files, total: int) -> list[dict[str, torch.Tensor]]:
    folds = []
    for k in range(1, sum(name.startswith(f"{FOLDS}test_idx-") for name in files.names()) + 1):
        parts = {}
        for part in ("train", "test"):
            name = f"{FOLDS}{part}_idx-{k}.txt"
            ids = tables.integers(files.read(name), files.label(name), columns=1)[:, 0]
            if len(ids) and (ids.min() < 0 or ids.max() >= total):
                raise DataError(f"{files.label(name)} names graph {ids.max()}; expected ids from 0 to {total - 1}")
            parts[part] = torch.from_numpy(ids)
        both = torch.cat(list(parts.values()))
        if len(both) != total or len(both.unique()) != total:
            raise DataError(
                f"fold {k} of {files.label(FOLDS)} names {len(both.unique())} of {total} graphs, {len(both)} in all; "
                "the folds belong to another edition of the set"
            )
        folds.append(parts)
    return folds
