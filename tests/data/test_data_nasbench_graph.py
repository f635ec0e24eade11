"""Architectures of NAS-Bench-Graph: a sound table, and tables that are not."""

from __future__ import annotations

import pickle

import pytest

from graphkit.core.errors import DataError, UnsafeFileError
from graphkit.data import from_files

REACHED = {"valid_perf": 0.7, "perf": 0.8, "latency": 0.1, "para": 1.5}


def bench(folder, table):
    (folder / "x.bench").write_bytes(pickle.dumps(table))
    return folder


def test_an_architecture_is_a_graph_of_its_operations(tmp_path):
    data = from_files(
        "nasbench-graph", bench(tmp_path, {81238: REACHED, 12: REACHED}), split={"train": [0]}, dataset="x"
    )
    flat, chain = data[0], data[1]
    assert [data.names["operation"][i] for i in chain.ndata["feat"].argmax(1).tolist()] == [
        "input", "gcn", "gin", "cheb", "skip", "output",
    ]  # fmt: skip
    assert sorted(zip(*(e.tolist() for e in chain.edges()), strict=True)) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert flat.in_degrees().tolist() == [0, 1, 1, 1, 1, 4] and data.labels[0].item() == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        ({90000: REACHED}, DataError, "x.bench: 90000 is no architecture"),
        ({9: REACHED}, DataError, "x.bench: 9 is no architecture"),
        ({1: {"perf": 1.0}}, DataError, "x.bench: 'valid_perf'"),
        ([], DataError, "x.bench is no mapping"),
        ({1: print}, UnsafeFileError, "x.bench asks for builtins.print"),
    ],
)
def test_unsound_tables_of_architectures(tmp_path, table, error, says):
    with pytest.raises(error, match=says):
        from_files("nasbench-graph", bench(tmp_path, table), dataset="x")
