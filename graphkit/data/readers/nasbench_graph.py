"""Architectures of NAS-Bench-Graph: graph networks as graphs of their layers, with the accuracy each reaches."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot
from graphkit.data.store import Files
from graphkit.data.unpickle import loads

#: The nine macro graphs: where the four operations take their input from (0: the input, i: operation i).
LINKS = (
    (0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 1, 3), (0, 1, 1, 1), (0, 1, 1, 2), (0, 1, 2, 2),
    (0, 1, 2, 3),
)  # fmt: skip
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
TARGETS = ("valid_perf", "perf", "latency", "para")


def decode(code: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the macro graph and the four operations that a hash of an architecture names.

    The decimal digits of the hash are the number of the macro graph and those of the operations.

    Raises
    ------
    DataError
        If a digit names nothing.

    Examples
    --------
    >>> decode(81203)
    ((0, 1, 2, 3), (1, 2, 0, 3))
    """
    link, digits = int(code) // 10000, tuple(int(code) // 10**place % 10 for place in (3, 2, 1, 0))
    if not 0 <= link < len(LINKS) or max(digits) >= len(OPERATIONS):
        raise DataError(f"{code} is no architecture: expected five digits of at most {len(LINKS) - 1}")
    return LINKS[link], digits


@register("nasbench-graph", kind="reader", level="graph", title="NAS-Bench-Graph", arxiv="2206.09166", keep=True)
def read_nasbench_graph(files: Files, *, dataset: str) -> Raw:
    """Read ``{dataset}.bench``, a pickled mapping of architectures to what they reach, through the allow-list.

    Each architecture is a graph of input, four operations and output; operations that feed no other feed the output.

    Parameters
    ----------
    files : Files
    dataset : str
        ``cora``, ``citeseer``, ``pubmed``, ``cs`` or ``photo``.

    Returns
    -------
    Raw
        ``feat`` one-hot float32 ``[6 B, 11]`` (input, nine operations, output); ``label`` float32 ``[B, 1]``, the test
        accuracy; graph fields ``valid_perf``, ``latency``, ``para`` and ``hash``.

    Raises
    ------
    DataError
        If it is no such mapping, or a hash names no architecture.
    UnsafeFileError
        If the pickle names anything but numpy.
    """
    name = f"{dataset}.bench"
    label = files.label(name)
    table = loads(files.read(name), label)
    if not isinstance(table, dict) or not table:
        raise DataError(f"{label} is no mapping of architectures to what they reach")
    codes = sorted(table)
    try:
        values = np.array([[float(table[code][target]) for target in TARGETS] for code in codes], dtype=np.float32)
        made = [decode(code) for code in codes]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{label}: {error}") from error
    kinds, src, dst, counts = [], [], [], []
    for links, operations in made:
        leaves = [node for node in range(1, 5) if node not in links]
        pairs = sorted([*((v, u) for v, u in enumerate(links, 1)), *((5, u) for u in leaves)])  # by destination
        kinds.append([0, *(1 + operation for operation in operations), len(OPERATIONS) + 1])
        src += [u for _, u in pairs]
        dst += [v for v, _ in pairs]
        counts.append(len(pairs))
    reached = {target: torch.from_numpy(values[:, i].copy()) for i, target in enumerate(TARGETS) if target != "perf"}
    collated = Collated(
        torch.arange(len(codes) + 1) * 6,
        torch.tensor([0, *np.cumsum(counts).tolist()]),
        torch.tensor(src, dtype=torch.int64),
        torch.tensor(dst, dtype=torch.int64),
        {"feat": one_hot(torch.tensor(kinds).reshape(-1), len(OPERATIONS) + 2)},
        {},
        {"label": torch.from_numpy(values[:, 1:2].copy()), "hash": torch.tensor(codes, dtype=torch.int64), **reached},
    )
    return Raw(collated, {}, {"operation": ["input", *OPERATIONS, "output"], "target": ["perf"]}, {}, undirected=False)
