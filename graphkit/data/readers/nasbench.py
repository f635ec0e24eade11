"""Cells of NAS-Bench-201 as graphs of operations, with the accuracies they reach (arXiv 2001.00326)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot
from graphkit.data.store import Files

OPERATIONS = ("input", "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "output")
#: Where each operation of the cell's text stands among the nodes 1..6: edges 01, 02, 12, 03, 13, 23 of the cell.
PLACES = (1, 2, 4, 3, 5, 6)
#: Operation u feeds operation v.
FLOW = np.array([(0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (2, 6), (4, 6), (3, 7), (5, 7), (6, 7)])
CELL = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


@register("nasbench201", kind="reader", level="graph", title="NAS-Bench-201", arxiv="2001.00326", keep=True)
def read_nasbench201(
    files: Files,
    *,
    targets: Sequence[str] | str = ("cifar10-val", "cifar10-test", "cifar100-val", "cifar100-test", "imagenet-val",
                                    "imagenet-test"),
) -> Raw:  # fmt: skip
    """Read the table of cells: each a graph of input, six operations and output, directed as data flows.

    Parameters
    ----------
    files : Files
        One CSV with the column ``cellstr`` (such as ``|a~0|+|b~0|c~1|+|d~0|e~1|f~2|``) and the targets.
    targets : str or sequence of str
        Columns of accuracies, in percent.

    Returns
    -------
    Raw
        ``feat`` one-hot operations float32 ``[8 B, 7]`` (``names["operation"]``); ``label`` float32 ``[B, T]``;
        ``names["cell"]``.

    Raises
    ------
    DataError
        Naming file and line: a cell that does not parse, an unknown operation, an accuracy that is no number.
    """
    found = [name for name in files.names() if name.endswith(".csv")]
    if len(found) != 1:
        raise DataError(f"expected one CSV file among the raw files, found {len(found)}")
    label = files.label(found[0])
    columns = [targets] if isinstance(targets, str) else list(targets)
    table = tables.frame(files.read(found[0]), label, ["cellstr", *columns])
    codes = np.empty((len(table), 8), dtype=np.int64)
    codes[:, 0], codes[:, 7] = 0, len(OPERATIONS) - 1
    for row, (line, text) in enumerate(table["cellstr"].items()):
        match = CELL.fullmatch(text.strip())
        if match is None or not set(match.groups()) <= set(OPERATIONS[1:-1]):
            raise DataError(
                f"{label}, line {line}: {text[:80]!r} is no cell of the operations {', '.join(OPERATIONS[1:-1])}"
            )
        codes[row, list(PLACES)] = [OPERATIONS.index(operation) for operation in match.groups()]
    values = np.stack([tables.column(table[name], label) for name in columns], axis=1).astype(np.float32)
    count, offsets = len(table), torch.arange(len(table) + 1)
    src, dst = (torch.from_numpy(ends.copy()) for ends in FLOW.T)
    collated = Collated(
        offsets * 8,
        offsets * len(FLOW),
        src.repeat(count),
        dst.repeat(count),
        {"feat": one_hot(torch.from_numpy(codes.reshape(-1)), len(OPERATIONS))},
        {},
        {"label": torch.from_numpy(values)},
    )
    names = {"operation": list(OPERATIONS), "target": columns, "cell": [text.strip() for text in table["cellstr"]]}
    return Raw(collated, {}, names, {}, undirected=False)
