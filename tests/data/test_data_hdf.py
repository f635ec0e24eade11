"""Speeds of METR-LA and PEMS-BAY as pandas wrote them to HDF5, in files that the tests write."""

from __future__ import annotations

import pickle
import shutil
import sys

import numpy as np
import pytest

import graphkit as gk
from graphkit.core.errors import ChecksumError, DataError, MissingExtraError
from graphkit.data import from_files
from graphkit.data import store as stores

SMALL = {"history": 2, "horizon": 1, "ratio": (0.5, 0.25, 0.25)}
SPEEDS = np.stack([np.arange(12.0), 100 + np.arange(12.0)], axis=1)


def sensors(folder):
    (folder / "adj_mx.pkl").write_bytes(pickle.dumps([["7", "3"], {"7": 0, "3": 1}, np.array([[1, 0.5], [0, 1]])]))
    (folder / "graph_sensor_locations.csv").write_text("index,sensor_id,latitude,longitude\n0,3,1.5,2\n1,7,3,4\n")
    return folder


def fixed(path, columns=(b"3", b"7"), key="df", blocks=None, rows=12):
    """Write a table as pandas does in its fixed form: a group of axes, and one block for each kind of number."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed; pip install 'graphkit[hdf]'")
    with h5py.File(path, "w") as store:
        group = store.create_group(key)
        group.attrs["pandas_type"] = b"frame"
        group["axis0"] = np.array(columns)
        group["axis1"] = np.arange(rows, dtype=np.int64) * 300_000_000_000
        for i, (names, values) in enumerate(blocks or [(columns, SPEEDS)]):
            group[f"block{i}_items"], group[f"block{i}_values"] = np.array(names), values
    return path


@pytest.mark.parametrize(("columns", "key"), [((b"3", b"7"), "df"), ((3, 7), "speed")])
def test_columns_follow_the_sensors(tmp_path, columns, key):
    fixed(sensors(tmp_path) / "speeds.h5", columns, key)
    data = from_files("dcrnn", tmp_path, task="forecast", **SMALL)
    assert data.names["node"] == ["7", "3"] and data.series.shape == (12, 2, 1)
    assert data.series[2, :, 0].tolist() == [102, 2] and data.graph.num_edges() == 3


def test_blocks_of_several_kinds_are_joined(tmp_path):
    blocks = [((b"7",), SPEEDS[:, 1:]), ((b"3",), SPEEDS[:, :1].astype(np.int64))]
    fixed(sensors(tmp_path) / "speeds.h5", blocks=blocks)
    assert from_files("dcrnn", tmp_path, task="forecast", **SMALL).series[5, :, 0].tolist() == [105, 5]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"columns": (b"3", b"8")}, r"speeds.h5 has no column of sensor 7"),
        ({"columns": (b"3", b"3")}, r"speeds.h5 names 2 columns, of which 1 are distinct"),
        ({"columns": (0.5, 1.5)}, r"speeds.h5 names its columns in a form other than numbers or plain text"),
        ({"rows": 11}, r"speeds.h5: block0_values holds float64 \[12, 2\]; expected numbers of 11 rows"),
        ({"blocks": [((b"3",), SPEEDS[:, :1])]}, r"speeds.h5 holds no numbers of the column 7"),
        (
            {"blocks": [((b"3", b"7"), SPEEDS + np.inf)]},
            r"speeds.h5 has values that are not finite, the first at \[0, 0",
        ),
        ({"blocks": [((b"3", b"9"), SPEEDS)]}, r"speeds.h5: block0_values holds"),
    ],
)
def test_unsound_tables(tmp_path, made, says):
    fixed(sensors(tmp_path) / "speeds.h5", **made)
    with pytest.raises(DataError, match=says):
        from_files("dcrnn", tmp_path, task="forecast", **SMALL)


def test_unsound_files(tmp_path):
    path = fixed(sensors(tmp_path) / "speeds.h5")
    shutil.copy(path, tmp_path / "more.h5")
    with pytest.raises(DataError, match=r"expected speeds in one file among the raw files, found more.h5, speeds.h5"):
        from_files("dcrnn", tmp_path, task="forecast", **SMALL)
    (tmp_path / "more.h5").unlink()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"speeds.h5 is truncated or not an HDF5 file of pandas"):
        from_files("dcrnn", tmp_path, task="forecast", **SMALL)
    import h5py

    with h5py.File(path, "w") as store:
        store["speed"] = SPEEDS
    with pytest.raises(DataError, match=r"speeds.h5 holds 0 tables of pandas in its fixed form; expected one"):
        from_files("dcrnn", tmp_path, task="forecast", **SMALL)


def test_without_h5py_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    (sensors(tmp_path) / "speeds.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"the file speeds.h5 needs h5py.*pip install 'graphkit\[hdf\]'"):
        from_files("dcrnn", tmp_path, task="forecast", **SMALL)


@pytest.mark.parametrize(("name", "file"), [("metr-la", "metr-la.h5"), ("pems-bay", "pems-bay.h5")])
def test_cards_ask_for_the_published_file(tmp_path, monkeypatch, name, file):
    card = gk.data.cards.card(f"{name}-speeds")
    graph = gk.data.cards.card(name)
    assert card.tasks == ("forecast",) and not card.verified and card.files[:-1] == graph.files
    assert card.files[-1].name == file and card.published["nodes"] == graph.statistics["nodes"]
    monkeypatch.setenv("GRAPHKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(stores, "download", lambda url, *a, **k: pytest.fail("downloads what nothing vouches for"))
    with pytest.raises(ChecksumError, match=rf"nothing vouches for .*{file}"):
        stores.CardFiles(card).read(file)
