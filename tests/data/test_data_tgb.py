"""The Temporal Graph Benchmark in its published files, negatives included, as the tests write them."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError, UnknownNameError, UnsafeFileError
from graphkit.data import from_files
from graphkit.data import store as stores

#: TGB numbers the nodes as they appear: 70, 9, 8 and 100 are 0, 1, 2 and 3; we sort their names: 2, 1, 0 and 3.
EVENTS = "time,src,dst,w\n1,70,9,1\n2,8,70,1\n3,9,100,1\n4,70,8,1\n5,8,9,1\n5,8,9,2\n6,100,70,1\n"
#: JODIE: two users; items 0, 1, 2 are 2, 3, 4 to TGB and to us.
WIKI = "u,i,t,y,f\n0,0,1.0,0,5\n1,1,2.0,0,5\n1,2,3.0,0,5\n0,1,4.0,0,5\n1,0,5.0,0,5\n"
VAL = {(np.int64(0), np.int64(2), np.int64(4)): np.array([1.0, 3.0])}
TEST = {(2, 1, 5): np.array([0, 3]), (3, 0, 6): np.array([2])}


def lay(folder, events=EVENTS, val=VAL, test=TEST):
    (folder / "toy_edgelist_v2.csv").write_text(events)
    for part, held in (("val", val), ("test", test)):
        (folder / f"toy_{part}_ns_v2.pkl").write_bytes(held if isinstance(held, bytes) else pickle.dumps(held))
    return folder


def test_negatives_follow_the_events(tmp_path):
    data = from_files("tgb", lay(tmp_path), ratio=(0.5, 0.2, 0.3))
    assert data.names["node"] == ["8", "9", "70", "100"] and data.splits["val"].tolist() == [4, 5]
    data = data.with_split("time", ratio=(0.4, 0.2, 0.4))
    assert [part.tolist() for part in data.splits.values()] == [[0, 1, 2], [3], [4, 5, 6]]
    val, test = data.candidates("val"), data.candidates("test")
    assert val.event.tolist() == [3] and (val.src.tolist(), val.dst.tolist()) == ([2], [0])
    assert val.neg.tolist() == [[1, 3]]
    assert test.event.tolist() == [4, 5, 6] and test.src.tolist() == [0, 0, 3] and test.dst.tolist() == [1, 1, 2]
    assert test.neg.tolist() == [[2, 3], [2, 3], [0, -1]]
    with pytest.raises(UnknownNameError, match=r"split"):
        data.candidates("tset")
    with pytest.raises(GraphKitError, match=r"came without negatives for 'train'"):
        data.candidates("train")


def test_a_part_of_another_split_has_its_own_events_only(tmp_path):
    data = from_files("tgb", lay(tmp_path), ratio=(0.5, 0.3, 0.2))
    assert data.splits["test"].tolist() == [6] and data.candidates("test").event.tolist() == [6]


def test_items_are_numbered_after_users(tmp_path):
    val, test = {(0, 3, 4): [2, 4]}, {(1, 2, 5): [3, 4]}
    data = from_files("tgb", lay(tmp_path, WIKI, val, test), order="jodie", ratio=(0.6, 0.2, 0.2))
    assert data.candidates("val").neg.tolist() == [[2, 4]] and data.candidates("test").neg.tolist() == [[3, 4]]
    assert data.candidates("test").dst.tolist() == [2]


def test_without_negatives(tmp_path):
    data = from_files("tgb", lay(tmp_path, val=b"broken"), negatives=False, ratio=(0.4, 0.2, 0.4))
    with pytest.raises(GraphKitError, match=r"came without negatives for 'val'; sets of TGB have them"):
        data.candidates("val")


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_what_a_pickle_carries_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeFileError, match=r"toy_val_ns_v2.pkl asks for .*mkdir"):
        from_files("tgb", lay(tmp_path, val={(0, 2, 4): Trap()}))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("val", "says"),
    [
        (pickle.dumps(VAL)[:20], r"toy_val_ns_v2.pkl is truncated or not a pickle"),
        ([1], r"toy_val_ns_v2.pkl holds a list; expected a mapping of events to negatives"),
        ({1: [2]}, r"toy_val_ns_v2.pkl: expected keys of source, destination and time"),
        ({(0, 2, 4): ["x"]}, r"toy_val_ns_v2.pkl: expected keys of source, destination and time"),
        ({(0, 2, 4): [1.5]}, r"toy_val_ns_v2.pkl holds negatives that are no whole numbers from 0"),
        ({(0, 2, 4): [7]}, r"toy_val_ns_v2.pkl names the node 7, which no event has"),
        ({(0, 9, 4): [1]}, r"toy_val_ns_v2.pkl names the node 9, which no event has"),
        ({(0, 2, 5): [1]}, r"toy_val_ns_v2.pkl has negatives of \[0.0, 2.0, 5.0\], which is no event"),
    ],
)
def test_unsound_negatives(tmp_path, val, says):
    with pytest.raises(DataError, match=says):
        from_files("tgb", lay(tmp_path, val=val))


def test_events_out_of_order_leave_nodes_unnumbered(tmp_path):
    with pytest.raises(DataError, match=r"toy_edgelist_v2.csv is not in the order of time"):
        from_files("tgb", lay(tmp_path, "time,src,dst,w\n2,1,2,1\n1,2,3,1\n"))
    with pytest.raises(DataError, match=r"has nodes that are no whole numbers"):
        from_files("tgb", lay(tmp_path, WIKI.replace("0,0,1.0", "a,0,1.0")), order="jodie")
    (tmp_path / "toy_val_ns.pkl").write_bytes(b"")
    with pytest.raises(DataError, match=r"3 files NAME_val_ns.pkl and NAME_test_ns.pkl; expected one of each"):
        from_files("tgb", lay(tmp_path))


@pytest.mark.parametrize("folder", ["", "tgbl_wiki/"])
def test_the_card_reads_the_published_archive_and_the_cache_keeps_it(tmp_path, monkeypatch, folder):
    val, test = {(0, 3, 4): [2, 4]}, {(1, 2, 5): [3, 4]}
    archive = tmp_path / "wiki.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(f"{folder}tgbl-wiki_edgelist_v2.csv", WIKI)
        made.writestr(f"{folder}tgbl-wiki_val_ns_v2.pkl", pickle.dumps(val))
        made.writestr(f"{folder}tgbl-wiki_test_ns_v2.pkl", pickle.dumps(test))
    monkeypatch.setenv("GRAPHKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRAPHKIT_MIRROR", "")
    monkeypatch.setattr(stores, "download", lambda url, *a, **k: archive.read_bytes())
    first = gk.load("tgbl-wiki", verify=False, ratio=(0.6, 0.2, 0.2))
    assert first.candidates("val").neg.tolist() == [[2, 4]]
    monkeypatch.setattr("graphkit.data.readers.tgb.read_events", lambda *a, **k: pytest.fail("reads again"))
    again = gk.load("tgbl-wiki", verify=False, ratio=(0.6, 0.2, 0.2))
    assert again.candidates("test").neg.tolist() == [[3, 4]] and again.fingerprint() == first.fingerprint()
