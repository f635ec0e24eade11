"""Streams: tables of events in every published order, and splits that are strictly ordered in time."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError, UnknownNameError
from graphkit.data import card, from_files, names
from graphkit.graphs import from_events
from graphkit.graphs.temporal import check_stream

PARTS = ("train", "val", "test")
HALF = (0.5, 0.25, 0.25)


def stream(folder: Path, text: str | bytes, order: str, **options):
    folder.mkdir(exist_ok=True)
    (folder / "events.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return from_files("events", folder, order=order, **{"ratio": HALF, **options})


def triples(data) -> list[tuple]:
    full = data.collated
    return list(zip(full.src.tolist(), full.dst.tolist(), full.edge_fields["time"].tolist(), strict=True))


# --- column orders ---------------------------------------------------------------------------------------------------

JODIE = "user_id,item_id,timestamp,state_label,comma_separated_list_of_features\n"


def test_jodie_numbers_items_after_users_and_keeps_features(tmp_path):
    data = stream(tmp_path, JODIE + "0,0,0.0,0,0.5,1\n1,1,36.0,1,-1,2\n0,1,36.5,0,3,4\n2,0,77.0,0,5,6\n", "jodie")
    assert triples(data) == [(0, 3, 0.0), (1, 4, 36.0), (0, 4, 36.5), (2, 3, 77.0)]
    full = data.collated
    assert full.edge_fields["time"].dtype == torch.float64
    assert full.edge_fields["label"].tolist() == [0, 1, 0, 0]
    assert full.edge_fields["feat"].tolist() == [[0.5, 1], [-1, 2], [3, 4], [5, 6]]
    assert full.node_fields["ntype"].tolist() == [0, 0, 0, 1, 1]
    assert data.statistics() == {"nodes": 5, "edges": 4, "edge_features": 2, "timestamps": 4}
    assert data.task == "temporal-link" and not data.undirected


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ("dgb", ",u,i,ts,label,idx\n0,1,2,5.0,0,1\n1,2,3,6.0,0,2\n2,1,3,7.0,0,3\n3,1,2,9.0,0,4\n"),
        ("tgb", "time,src,dst,w\n5,1,2,1\n6,2,3,1\n7,1,3,1\n9,1,2,1\n"),
        ("tgb-flight", "ts,src,dst,callsign,typecode\n5,1,2,A,B\n6,2,3,,\n7,1,3,C,!\n9,1,2,D,E\n"),
        ("tgb-comment", "ts,src,dst,subreddit,num_words,score\n5,1,2,a,3,1\n6,2,3,b,4,1\n7,1,3,a,1,1\n9,1,2,c,1,0\n"),
        ("snap", "1 2 5\n2 3 6\n1\t3 7\n1 2 9\n"),
        ("lad", "5,1,2,4\n6,2,3,4\n7,1,3,4\n9,1,2,4\n"),
        ("src,skip,time,dst", "a,b,c,d\n1,x,5,2\n2,x,6,3\n1,x,7,3\n1,x,9,2\n"),
    ],
)
def test_every_order_gives_the_same_stream(tmp_path, order, text):
    for i, content in enumerate((text, text.replace("\n", "\r\n") + "\r\n")):
        data = stream(tmp_path / str(i), content, order)
        assert triples(data) == [(0, 1, 5), (1, 2, 6), (0, 2, 7), (0, 1, 9)]
        assert data.names["node"] == ["1", "2", "3"]
        assert [data.splits[part].tolist() for part in PARTS] == [[0, 1], [2], [3]]
        assert data.graph.num_edges() == 2 and data.original.num_edges() == 4


def test_tgb_seq_brings_its_own_split(tmp_path):
    text = ",src,dst,time,split\n0,1,5,10,0\n1,1,6,11,0\n2,2,5,12,1\n3,2,6,13,2\n"
    (tmp_path / "x.csv").write_text(text)
    data = from_files("events", tmp_path, order="tgb-seq", split="public")
    assert [data.splits[part].tolist() for part in PARTS] == [[0, 1], [2], [3]]
    (tmp_path / "x.csv").write_text(text.replace("10,0", "13,0"))
    with pytest.raises(GraphKitError, match="part val begins at time 12, but an earlier part ends at 13"):
        from_files("events", tmp_path, order="tgb-seq", split="public")
    (tmp_path / "x.csv").write_text(text.replace("13,2", "13,7"))
    with pytest.raises(DataError, match="event 3 is in part 7"):
        from_files("events", tmp_path, order="tgb-seq", split="public")


def test_events_are_sorted_and_ties_keep_the_files_order(tmp_path):
    data = stream(tmp_path, "3,b,a,1\n1,a,c,2\n3,a,b,3\n2,c,c,4\n", "lad", ratio=(0.5, 0.0, 0.5))
    assert triples(data) == [(0, 2, 1), (2, 2, 2), (1, 0, 3), (0, 1, 3)]
    assert data.collated.edge_fields["weight"].tolist() == [2, 4, 1, 3]
    assert data.report == {"out_of_order": 2, "self_loops": 1, "distinct_pairs": 4, "timestamps": 3}


def test_text_and_numbers_as_names(tmp_path):
    def read(name: str, text: str) -> list[str]:
        return stream(tmp_path / name, text, "lad", ratio=(0.34, 0.33, 0.33)).names["node"]

    assert read("a", "1,10,9,1\n2,9,2,1\n3,2,10,1\n") == ["2", "9", "10"]
    assert read("b", "1,10,x,1\n2,9,2,1\n3,2,10,1\n") == ["10", "2", "9", "x"]
    assert read("c", "1,7,007,1\n2,7,8,1\n3,7,8,1\n") == ["007", "7", "8"]


@pytest.mark.parametrize(
    ("order", "text", "says"),
    [
        ("lad", "1,a,b,2\n2,a,b\n", "line 2: 3 columns where 4 were expected"),
        ("lad", "1,a,b,2\n\n2,a,b,1,9\n", "line 3: 5 columns where 4 were expected"),
        ("lad", "1;a;b;2\n2;a;b;2\n", "line 1: 1 columns where time, src, dst, weight were expected"),
        ("lad", "1,a,b,2\nx,a,b,1\n", "line 2: the time 'x' is not a number"),
        ("lad", "1,a,b,2\n2,a,b,\n", "line 2: the weight '' is not a number"),
        ("lad", "1,a,b,2\nnan,a,b,1\n", "line 2: the time 'nan' is not a finite number"),
        ("lad", "1,a,b,2\n2,,b,1\n", "line 2: the src is empty"),
        ("lad", "", "has no events"),
        ("jodie", JODIE, "has no events"),
        ("jodie", JODIE + "0,0,1,0,1,2\n0,0,2,0,1\n", "line 3: 5 columns where 6 were expected"),
        ("jodie", JODIE + "0,0,1,0,1,2\n0,0,2,0,1,z\n", "line 3: the feat1 'z' is not a number"),
        ("snap", "1 2 3\n1 2\n", "line 2: 2 columns where 3 were expected"),
        ("snap", "1 2 3\n1 2 3 4\n", "line 2: 4 columns where 3 were expected"),
    ],
)
def test_unsound_tables_name_file_and_line(tmp_path, order, text, says):
    with pytest.raises(DataError, match="events.csv.*" + says):
        stream(tmp_path, text, order)


def test_gzip_that_ends_early_is_told(tmp_path):
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"1,2,3,4\n" * 100)[:-9])
    with pytest.raises(DataError, match=r"x\.csv\.gz ends early"):
        from_files("events", tmp_path, order="lad")


def test_wrong_orders_are_told(tmp_path):
    text = "1,a,b,2\n2,a,b,2\n3,a,b,2\n"
    with pytest.raises(UnknownNameError, match="unknown order 'jodei'; did you mean 'jodie'"):
        stream(tmp_path, text, "jodei")
    with pytest.raises(UnknownNameError, match="unknown column 'user'"):
        stream(tmp_path, text, "time,user,dst,weight")
    with pytest.raises(GraphKitError, match="names 'src' 0 times"):
        stream(tmp_path, text, "time,skip,dst,weight")
    with pytest.raises(GraphKitError, match="'feat' before its end"):
        stream(tmp_path, text, "time,feat,src,dst")


EVENTS = st.lists(st.tuples(st.integers(-3, 12), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_the_reader_gives_back_the_events_that_were_written(tmp_path_factory, events):
    folder = tmp_path_factory.mktemp("events")
    (folder / "e.csv").write_text("".join(f"{t},n{u},n{v},1\n" for t, u, v in events))
    data = from_files("events", folder, order="lad", split={"train": [0]})
    named = data.names["node"]
    back = [(t, int(named[u][1:]), int(named[v][1:])) for u, v, t in triples(data)]
    assert back == sorted(events, key=lambda event: event[0])


# --- splits ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.8, 0.0, 0.2)]))
def test_time_is_strictly_ordered_across_parts_or_the_split_is_refused(events, ratio):
    times, src, dst = (list(column) for column in zip(*events, strict=True))
    graph = from_events(src, dst, times, 10)
    try:
        data = gk.Dataset.from_graph(graph, "temporal-link", ratio=ratio)
    except GraphKitError as error:
        assert "too few times" in str(error)
        return
    parts = [data.splits[part] for part in PARTS]
    assert torch.cat(parts).tolist() == list(range(len(events)))
    held = [data.times[part] for part in parts if len(part)]
    assert all(earlier.max() < later.min() for earlier, later in itertools.pairwise(held))
    assert torch.equal(data.graph.edata["time"], data.times[parts[0]])
    assert check_stream(data.original).tolist() == sorted(times)


def test_the_split_by_quantiles_is_the_benchmarks():
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 50, 400))
    graph = from_events(rng.integers(0, 9, 400), rng.integers(0, 9, 400), times, 9)
    data = gk.Dataset.from_graph(graph, "temporal-link")
    low, high = np.quantile(times, [0.7, 0.85])
    wanted = [times <= low, (times > low) & (times <= high), times > high]
    assert [data.splits[part].tolist() for part in PARTS] == [np.flatnonzero(mask).tolist() for mask in wanted]


def test_an_answer_is_an_event_of_its_own_and_no_undirected_edge():
    graph = from_events([0, 1, 0, 1], [1, 0, 1, 0], [1, 2, 3, 4])
    data = gk.Dataset.from_graph(graph, "temporal-link", ratio=(0.5, 0.25, 0.25))
    assert not data.undirected and "reverse_id" not in data.graph.edata
    assert [len(part) for part in data.splits.values()] == [2, 1, 1]


def test_given_parts_that_overlap_in_time_are_refused():
    graph = from_events([0, 0, 0], [1, 1, 1], [1, 2, 2])
    with pytest.raises(GraphKitError, match="part test begins at time 2, but an earlier part ends at 2"):
        gk.Dataset.from_graph(graph, "temporal-link", splits={"train": [0, 1], "test": [2]})
    with pytest.raises(GraphKitError, match="too few times"):
        gk.Dataset.from_graph(from_events([0, 0], [1, 1], [3, 3]), "temporal-link")
    with pytest.raises(GraphKitError, match="have no field 'time'"):
        gk.Dataset.from_graph(gk.graphs.graph([0], [1]), "temporal-link")
    unsorted = gk.graphs.graph([0, 0], [1, 1], edge_fields={"time": [2, 1]})
    with pytest.raises(GraphKitError, match="entry 1 has time 1 after 2"):
        gk.Dataset.from_graph(unsorted, "temporal-link")


def test_large_times_stay_exact():
    times = [1_500_000_000, 1_500_000_001]
    assert from_events([0, 0], [1, 1], times[::-1]).edata["time"].tolist() == times


def test_unverified_streams_need_to_be_asked_for():
    unverified = [name for name in names("temporal-link") if not card(name).verified]
    assert {"wikipedia", "reddit", "mooc", "lastfm", "collegemsg", "tgbl-wiki"} <= set(unverified)
    with pytest.raises(GraphKitError, match=r"nothing vouches for.*verify=False"):
        gk.load("wikipedia")


def test_an_unverified_stream_loads_from_a_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_MIRROR", str(tmp_path))
    monkeypatch.setenv("GRAPHKIT_HOME", str(tmp_path / "home"))
    (tmp_path / "temporal" / "jodie").mkdir(parents=True)
    (tmp_path / "temporal" / "jodie" / "mooc.csv").write_text(
        JODIE + "".join(f"{i},{i % 3},{i}.5,0,1\n" for i in range(9))
    )
    data = gk.load("mooc", verify=False)
    assert data.statistics() == {"nodes": 12, "edges": 9, "edge_features": 1, "timestamps": 9}
    assert list(data.report["unverified"]) == ["mooc.csv"]
