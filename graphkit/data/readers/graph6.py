"""Graphs in McKay's graph6 format: text files with one graph a line, and BREC's arrays of such strings."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
import torch

from graphkit.core.errors import DataError, unknown
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, stand_in_features, tidy
from graphkit.data.store import Files

HEADER = ">>graph6<<"
#: BREC's parts in the order of its benchmark.
BREC = ("basic", "regular", "str", "extension", "cfi", "4vtx", "dr")


def decode(text: str, where: str = "graph6") -> tuple[int, np.ndarray]:
    r"""Decode one graph6 string.

    The format stores n, then the upper triangle of the adjacency matrix column by column, six bits a character.

    Parameters
    ----------
    text : str
    where : str
        File and line, for errors.

    Returns
    -------
    num_nodes : int
    edges : ndarray
        int64 ``[E, 2]``, each edge once.

    Raises
    ------
    DataError
        If a character is no graph6, or there are too few or too many.

    References
    ----------
    McKay, "Description of graph6, sparse6 and digraph6 encodings".

    Examples
    --------
    >>> n, edges = decode("Bw")
    >>> n, edges.tolist()
    (3, [[0, 1], [0, 2], [1, 2]])
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) - 63
    if not len(codes) or codes.min() < 0 or codes.max() > 63:
        raise DataError(f"{where}: {text[:40]!r} is not graph6, whose characters run from '?' to '~'")
    start, wide = (2, 8) if codes[:2].tolist() == [63, 63] else (1, 4) if codes[0] == 63 else (0, 1)
    size = codes[start:wide]
    num_nodes = int(sum(int(digit) << 6 * place for place, digit in enumerate(size[::-1])))
    pairs = num_nodes * (num_nodes - 1) // 2
    if len(codes) - wide != -(-pairs // 6):
        raise DataError(
            f"{where}: {len(codes) - wide} characters of edges where {num_nodes} nodes need {-(-pairs // 6)}; "
            "it may be truncated"
        )
    bits = np.unpackbits(codes[wide:].astype(np.uint8)[:, None], axis=1)[:, 2:].reshape(-1)[:pairs]
    column, row = np.tril_indices(num_nodes, -1)
    return num_nodes, np.stack([row, column], axis=1)[bits.astype(bool)]


def _collate(texts: Iterable[tuple[str, str]]) -> tuple[Collated, dict[str, int]]:
    """Collate (where, graph6) pairs into graphs with a constant feature."""
    counts, edges, first = [], [np.empty((0, 2), np.int64)], 0
    for where, text in texts:
        num_nodes, found = decode(text, where)
        counts.append(num_nodes)
        edges.append(found + first)
        first += num_nodes
    ends = np.concatenate(edges)
    src, dst, fields, report = tidy(ends[:, 0], ends[:, 1], first)
    collated = Collated.from_edges(src, dst, torch.tensor(counts, dtype=torch.int64), {}, fields)
    return collated, report


@register("graph6", kind="reader", level="graph", title="graph6 (McKay, nauty)", keep=True)
def read_graph6(files: Files, *, features: str = "constant") -> Raw:
    """Read every ``.g6`` among the files, one graph a line, with or without the ``>>graph6<<`` header.

    Parameters
    ----------
    files : Files
    features : str
        ``constant``, one-hot ``degree`` or ``none``.

    Returns
    -------
    Raw
        Graph field ``file``, the number of the file that each graph stands in (``names["file"]``); no labels.

    Raises
    ------
    DataError
        Naming file and line of a string that is no graph6.
    """
    found = [name for name in files.names() if name.endswith(".g6")]
    if not found:
        raise DataError("expected files NAME.g6 among the raw files, found none")
    texts, owner = [], []
    for index, name in enumerate(found):
        for number, line in tables.lines(files.read(name)):
            text = line.strip().removeprefix(HEADER)
            if text:
                texts.append((f"{files.label(name)}, line {number}", text))
                owner.append(index)
    collated, report = _collate(texts)
    collated.graph_fields["file"] = torch.tensor(owner, dtype=torch.int64)
    stand_in_features(collated, features)
    return Raw(collated, {}, {"file": found}, report)


@register("brec", kind="reader", level="graph", title="BREC", arxiv="2304.07702", keep=True)
def read_brec(files: Files, *, part: str = "all", features: str = "constant") -> Raw:
    """Read BREC's pairs of graphs: graphs 2i and 2i + 1 are a pair that a model should tell apart.

    Parameters
    ----------
    files : Files
        ``basic.npy``, ``regular.npy``, ``str.npy``, ``extension.npy``, ``cfi.npy``, ``4vtx.npy``, ``dr.npy``.
    part : str
        One of these, or ``all``.
    features : str
        ``constant``, one-hot ``degree`` or ``none``.

    Returns
    -------
    Raw
        Graph fields ``pair`` and ``part`` (``names["part"]``); no labels, since every pair is its own task.

    Raises
    ------
    DataError
        If an array is truncated, no array of strings, or holds what is no graph6.
    """
    if part != "all" and part not in BREC:
        raise unknown("part", part, ["all", *BREC])
    texts, owner = [], []
    for index, name in enumerate(BREC):
        if part not in ("all", name):
            continue
        label = files.label(f"{name}.npy")
        values = _strings(files.read(f"{name}.npy"), label)
        texts += [(f"{label}, graph {i}", value) for i, value in enumerate(values)]
        owner += [index] * len(values)
    collated, report = _collate(texts)
    collated.graph_fields |= {"pair": torch.arange(len(owner)) // 2, "part": torch.tensor(owner, dtype=torch.int64)}
    stand_in_features(collated, features)
    return Raw(collated, {}, {"part": list(BREC)}, report)


def _strings(data: bytes, label: str) -> list[str]:
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{label} is truncated or not an array of strings ({error})") from error
    if values.dtype.kind not in "US" or values.size % 2:
        raise DataError(f"{label} holds {values.size} values of {values.dtype}; expected pairs of strings")
    return [value.decode("latin1") if isinstance(value, bytes) else str(value) for value in values.reshape(-1)]
