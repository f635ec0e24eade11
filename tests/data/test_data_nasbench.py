"""Cells of NAS-Bench-201: a sound table, and tables that are not."""

from __future__ import annotations

import pytest

from graphkit.core.errors import DataError
from graphkit.data import from_files

CELL = "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"


def table(folder, cell=CELL, accuracy="90.5"):
    (folder / "a.csv").write_text(f"arch,cellstr,cifar10-test\n0,{cell},{accuracy}\n")
    return folder


def test_a_cell_is_a_graph_of_its_operations(tmp_path):
    data = from_files("nasbench201", table(tmp_path), split={"train": [0]}, targets="cifar10-test")
    graph = data[0]
    kinds = [data.names["operation"][i] for i in graph.ndata["feat"].argmax(1).tolist()]
    # The nodes 1..6 are the edges 01, 02, 03, 12, 13, 23 of the cell.
    wanted = ["none", "skip_connect", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "none"]
    assert kinds == ["input", *wanted, "output"]
    assert graph.in_degrees().tolist() == [0, 1, 1, 1, 1, 1, 2, 3] and graph.out_degrees().tolist()[0] == 3
    assert data.labels.tolist() == [[90.5]]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cell": CELL.replace("~2", "~1")}, "a.csv, line 2: .* is no cell of the operations"),
        ({"cell": CELL.replace("skip_connect", "conv_9x9")}, "is no cell of the operations none, skip_connect"),
        ({"accuracy": "high"}, "a.csv, line 2: 'high' in column 'cifar10-test' is not a finite number"),
        ({"accuracy": "nan"}, "a.csv, line 2: 'nan' in column 'cifar10-test' is not a finite number"),
    ],
)
def test_unsound_tables_of_cells(tmp_path, changes, says):
    with pytest.raises(DataError, match=says):
        from_files("nasbench201", table(tmp_path, **changes), targets="cifar10-test")
