"""Series on nodes: readers of each raw format, and windows that never forecast another part's steps."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError, UnsafeFileError
from graphkit.data import from_files
from graphkit.data.splits import LinkSplit

SMALL = {"history": 2, "horizon": 1, "ratio": (0.5, 0.25, 0.25)}
STATIC = {
    "edges": [[0, 1], [1, 0], [1, 1]],
    "weights": [1.0, 2.0, 3.0],
    "X": [[t, 10.0 + t] for t in range(12)],
    "node_ids": {"b": 1, "a": 0},
}
DAILY = {
    "edge_mapping": {
        "edge_index": {"1": [[1, 0]], "0": [[0, 1], [1, 1]], **{str(t): [] for t in range(2, 12)}},
        "edge_weight": {"1": [5], "0": [3, 4], **{str(t): [] for t in range(2, 12)}},
    },
    "y": STATIC["X"],
    "time_periods": 12,
}
LINKS = {
    "directed": True,
    "nodes": [{"bus_stop": 70, "lon": 1, "lat": 2, "y": [0] * 12}, {"bus_stop": 30, "lon": 3, "lat": 4, "y": [1] * 12}],
    "links": [{"source": 30, "target": 70, "weight": 2.5}],
}
SNAPSHOT = {"edges": [[1, 0]], "weights": [2], "X": [[0.5, 1], [2, 3]], "y": [7, 8]}
SNAPSHOTS = {**{str(t): {**SNAPSHOT, "index": t} for t in range(12)}, "time_periods": 12, "node_ids": {}}


def read(folder: Path, held, **options):
    text = held if isinstance(held, str) else json.dumps(held)
    (folder / "x.json").write_text(text)
    return from_files("pygt-json", folder, **{**SMALL, **options})


# --- PyTorch Geometric Temporal --------------------------------------------------------------------------------------


def test_static_graph(tmp_path):
    data = read(tmp_path, STATIC)
    assert data.statistics() == {"nodes": 2, "edges": 3, "timestamps": 12, "channels": 1}
    assert data.series.shape == (12, 2, 1) and data.series[3, :, 0].tolist() == [3, 13]
    assert data.names["node"] == ["a", "b"] and data.report["self_loops"] == 1
    assert data.graph.edges()[0].tolist() == [1, 0, 1] and data.graph.edata["weight"].tolist() == [2, 1, 3]
    assert data.task == "forecast" and data.spec().out_feats == 1


def test_graph_that_changes_daily(tmp_path):
    data = read(tmp_path, DAILY)
    assert data.graph.edata["time"].tolist() == [0, 0, 1] and data.graph.edata["weight"].tolist() == [3, 4, 5]
    assert data.series.shape == (12, 2, 1)


def test_node_link_document(tmp_path):
    data = read(tmp_path, LINKS)
    assert data.names["node"] == ["70", "30"] and data.graph.edges()[0].tolist() == [1]
    assert data.series[:, 1].unique().tolist() == [1] and data.graph.ndata["pos"].tolist() == [[1, 2], [3, 4]]


def test_snapshots(tmp_path):
    data = read(tmp_path, SNAPSHOTS)
    assert data.series.shape == (12, 2, 3) and data.series[5, 1].tolist() == [2, 3, 8]
    assert data.names["series"] == ["X0", "X1", "y"] and data.graph.num_edges() == 12
    assert data.graph.edata["time"].tolist() == list(range(12))


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ('{"edges": [[0, 1]', "truncated or not JSON"),
        ([1], "holds a list; expected an object"),
        ({"y": []}, "has the parts y; expected edges"),
        ({"edges": [[0, 1]]}, "lacks a part of its form .KeyError: 'X'"),
        ({**STATIC, "edges": [[0, 1], [1, 2], [1, 1]]}, r"edge 1 is \[1, 2\]; expected nodes from 0 to 1"),
        ({**STATIC, "weights": [1.0]}, "has 1 weights for 3 edges"),
        ({**STATIC, "X": [[0, 1], [2]]}, "values that are no table of numbers"),
        ({**STATIC, "X": [[0, 1], [2, float("nan")]]}, r"values that are not finite, the first at \[1, 1\]"),
        ({**DAILY, "y": DAILY["y"][1:]}, "edges of 12 days and values of 11"),
        ({**LINKS, "links": [{"source": 1, "target": 70, "weight": 1}]}, "a link with 1, which is no node"),
        ({**LINKS, "nodes": [*LINKS["nodes"], LINKS["nodes"][0]]}, "names a node twice"),
        ({**SNAPSHOTS, "time_periods": 13}, "12 snapshots where 13 were expected"),
        ({**SNAPSHOTS, "3": {**SNAPSHOT, "weights": []}}, "step 3 has 0 weights for 1 edges"),
    ],
)
def test_unsound_documents_are_told(tmp_path, held, says):
    with pytest.raises(DataError, match=r"x\.json.*" + says):
        read(tmp_path, held)


# --- sensors ---------------------------------------------------------------------------------------------------------


def sensors(folder: Path, **changes) -> Path:
    matrix = np.array([[1, 0.5], [0, 1]], dtype=np.float32)
    content = {
        "adj_mx.pkl": pickle.dumps([["s7", "s3"], {"s7": 0, "s3": 1}, matrix], protocol=2),
        "graph_sensor_locations.csv": b"index,sensor_id,latitude,longitude\r\n0,s3,1.5,2\r\n1,s7,3,4\r\n",
        "speed.csv": b"s3,s7\n" + b"".join(b"%d,%d\n" % (t, 100 + t) for t in range(12)),
    }
    for name, value in {**content, **changes}.items():
        if value is not None:
            (folder / name).write_bytes(value)
    return folder


def test_dcrnn_sensors(tmp_path):
    data = from_files("dcrnn", sensors(tmp_path), task="forecast", **SMALL)
    assert data.names["node"] == ["s7", "s3"] and data.graph.ndata["pos"].tolist() == [[3, 4], [1.5, 2]]
    assert data.graph.edges()[0].tolist() == [0, 0, 1] and data.graph.edata["weight"].tolist() == [1, 0.5, 1]
    assert data.series[2, :, 0].tolist() == [102, 2]
    (tmp_path / "speed.csv").unlink()
    with pytest.raises(GraphKitError, match="has no series on its nodes"):
        from_files("dcrnn", tmp_path, task="forecast", **SMALL)
    links = from_files("dcrnn", tmp_path, split={"train": LinkSplit(gk.Pairs(torch.tensor([0]), torch.tensor([1])))})
    assert links.task == "link" and links.statistics() == {"nodes": 2, "edges": 3}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("adj_mx.pkl", pickle.dumps([1, 2]), "expected a list of sensor ids, the place of each, and a matrix"),
        ("adj_mx.pkl", pickle.dumps([["a"], {}, np.eye(2)]), "1 sensor ids and a matrix of 2 rows"),
        ("adj_mx.pkl", pickle.dumps([["a"], {}, np.ones((2, 3))]), r"shape \[2, 3\]; expected a square one"),
        ("graph_sensor_locations.csv", b"s3,1,2\n", "no position of sensor s7"),
        ("graph_sensor_locations.csv", b"s3,1,2\ns7,x,1\n", "line 2: 's7,x,1' is not a sensor"),
        ("speed.csv", b"s3,s9\n1,2\n", "no column of sensor s7"),
        ("speed.csv", b"s3,s7\n1,2\n1\n", "1 columns where 2 were expected"),
    ],
)
def test_unsound_sensors_are_told(tmp_path, name, value, says):
    with pytest.raises(DataError, match=says):
        from_files("dcrnn", sensors(tmp_path, **{name: value}), task="forecast", **SMALL)


def test_tgcn_tables(tmp_path):
    (tmp_path / "x_adj.csv").write_text("1,0.5\n0.5,1\n")
    (tmp_path / "x_speed.csv").write_text("9,4\n" + "".join(f"{t},{t + 1}\n" for t in range(12)))
    data = from_files("tgcn", tmp_path, **SMALL)
    assert data.statistics() == {"nodes": 2, "edges": 4, "timestamps": 12, "channels": 1}
    assert data.names["node"] == ["9", "4"]
    (tmp_path / "x_adj.csv").write_text("1,0.5,1\n0.5,1,1\n1,1,1\n")
    with pytest.raises(DataError, match=r"x_adj\.csv: edge 2 is \[0, 2\]; expected nodes from 0 to 1"):
        from_files("tgcn", tmp_path, **SMALL)


def test_regenn_tensors(tmp_path):
    torch.save(torch.arange(72.0).reshape(2, 12, 3), tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    data = from_files("regenn", tmp_path, **SMALL)
    assert data.statistics() == {"nodes": 2, "timestamps": 12, "channels": 3}
    assert data.series[1, 1].tolist() == [39, 40, 41] and data.graph.num_edges() == 0
    content = (tmp_path / "x.pth").read_bytes()
    (tmp_path / "x.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"x\.pth is truncated or not a torch file"):
        from_files("regenn", tmp_path, **SMALL)
    torch.save([1, 2], tmp_path / "x.pth")
    with pytest.raises(DataError, match="holds no tensor of regions"):
        from_files("regenn", tmp_path, **SMALL)


class Evil:
    def __reduce__(self):
        return print, ("ran",)


def test_torch_files_run_nothing(tmp_path):
    torch.save(Evil(), tmp_path / "x.pth")
    with pytest.raises(UnsafeFileError, match="nothing was executed"):
        from_files("regenn", tmp_path)


# --- windows ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 60), st.integers(1, 4), st.integers(1, 3))
def test_no_step_is_forecast_in_two_parts(tmp_path_factory, steps, history, horizon):
    held = {**STATIC, "X": [[float(t), 0.0] for t in range(steps)]}
    options = {"history": history, "horizon": horizon}
    data = read(tmp_path_factory.mktemp("x"), held, ratio=(0.4, 0.3, 0.3), **options)
    wanted = []
    for part in ("train", "val", "test"):
        before, after = data.windows(part)
        assert before.shape[1:] == (history, 2, 1) and after.shape[1:] == (horizon, 2, 1)
        assert (after[:, 0, 0, 0] == before[:, -1, 0, 0] + 1).all()
        wanted.append(set(after[:, :, 0].reshape(-1).tolist()))
    assert max(wanted[0]) < min(wanted[1]) and max(wanted[1]) < min(wanted[2])
    assert max(wanted[2]) == steps - 1, "the last step is forecast"


def test_windows_that_do_not_fit_are_told(tmp_path):
    with pytest.raises(GraphKitError, match="12 steps, of which 3 for val: too few for one window"):
        read(tmp_path, STATIC, horizon=4)
    with pytest.raises(GraphKitError, match="history=0 and horizon=1; expected at least one step"):
        read(tmp_path, STATIC, history=0)
    data = read(tmp_path, STATIC)
    with pytest.raises(GraphKitError, match="unknown split 'tset'"):
        data.windows("tset")
    with pytest.raises(GraphKitError, match="window holds id 10; expected ids from 0 to 9"):
        data.windows(torch.tensor([10]))
    with pytest.raises(GraphKitError, match="karate has no series"):
        gk.load("karate").series  # noqa: B018


@pytest.mark.real
def test_series_hold_what_the_notes_say():
    covid = gk.load("england-covid")
    assert int((covid.graph.edata["time"] == 0).sum()) == 2158
    speeds = gk.load("los-loop").series
    assert float(speeds.min()) >= 0 and float(speeds.max()) == 70
    assert gk.load("metr-la").names["node"][0] == "773869"
