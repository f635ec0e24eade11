"""Link sets of the Open Graph Benchmark in the files that it publishes, as the tests write them."""

from __future__ import annotations

import gzip
import io
import os
import zipfile

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import ChecksumError, DataError, GraphKitError, UnsafeFileError
from graphkit.data import from_files
from graphkit.data import store as stores
from graphkit.data.readers.ogb_link import load_part
from graphkit.data.splits.links import LinkSplit, published_links
from graphkit.tasks.link import LinkTask

FEAT = "".join(f"{i},1\n" for i in range(6))
#: As ogbl-collab: several years of one pair, one of them in two parts, and a negative that is a training link.
SHARED = {
    "train": {
        "edge": np.array([[0, 1], [1, 2], [0, 1], [2, 3]]),
        "weight": np.array([1, 2, 5, 1]),
        "year": np.array([2001, 2002, 2003, 2001]),
    },
    "valid": {
        "edge": np.array([[1, 0], [3, 4]]),
        "weight": np.array([9, 1]),
        "year": np.array([2018, 2018]),
        "edge_neg": np.array([[0, 5], [2, 1], [4, 4]]),
    },
    "test": {
        "edge": np.array([[4, 5]]),
        "weight": np.array([1]),
        "year": np.array([2019]),
        "edge_neg": np.array([[0, 4], [1, 5]]),
    },
}
#: As ogbl-citation2: false targets for each source.
OWN = {
    "train": {"source_node": torch.tensor([0, 1, 2]), "target_node": torch.tensor([1, 2, 3])},
    "valid": {
        "source_node": torch.tensor([3, 4]),
        "target_node": torch.tensor([0, 1]),
        "target_node_neg": torch.tensor([[1, 2], [3, 5]]),
    },
    "test": {
        "source_node": torch.tensor([5]),
        "target_node": torch.tensor([0]),
        "target_node_neg": torch.tensor([[2, 3]]),
    },
}


def saved(held, **options):
    stream = io.BytesIO()
    torch.save(held, stream, **options)
    return stream.getvalue()


def written(parts, **more):
    made = {f"split/time/{name}.pt": saved(held) for name, held in parts.items()}
    made |= {"raw/num-node-list.csv.gz": gzip.compress(b"6\n"), "raw/node-feat.csv.gz": gzip.compress(FEAT.encode())}
    return {**made, **more}


def lay(folder, parts, **more):
    for name, data in written(parts, **more).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def pairs(found):
    return list(zip(found.src.tolist(), found.dst.tolist(), strict=True))


def test_negatives_that_all_links_share(tmp_path):
    data = from_files("ogb-link", lay(tmp_path, SHARED), split="public")
    assert pairs(data.splits["train"].pos) == [(0, 1), (1, 2), (0, 1), (2, 3)]
    assert pairs(data.splits["val"].pos) == [(1, 0), (3, 4)] and pairs(data.splits["val"].neg) == [
        (0, 5),
        (2, 1),
        (4, 4),
    ]
    assert pairs(data.splits["test"].neg) == [(0, 4), (1, 5)] and data.splits["val"].candidates is None
    assert data.report == {
        "raw_edges": 7,
        "self_loops": 0,
        "repeated_edges": 1,
        "val_links_in_train": 1,
        "test_links_in_train": 0,
        "test_links_in_val": 0,
        "negatives_that_are_links": 1,
    }
    graph = data.graph  # messages run on training links, the one that validation asks for again among them
    ends = zip(*(e.tolist() for e in graph.edges()), strict=True)
    facts = zip(graph.edata["weight"].tolist(), graph.edata["year"].tolist(), strict=True)
    assert {e: f for e, f in zip(ends, facts, strict=True) if e[0] < e[1]} == {
        (0, 1): (1.0, 2001),
        (1, 2): (2.0, 2002),
        (2, 3): (1.0, 2001),
    }
    assert data.original.num_edges() == 10 and data.graph.num_edges() == 6 and graph.ndata["feat"].shape == (6, 2)


def test_candidates_of_each_source(tmp_path):
    years = {"raw/node_year.csv.gz": gzip.compress(b"1\n2\n3\n4\n5\n6\n")}
    data = from_files("ogb-link", lay(tmp_path, OWN, **years), split="public", directed=True)
    assert pairs(data.splits["val"].pos) == [(3, 0), (4, 1)] and len(data.splits["val"].neg) == 0
    assert data.splits["val"].candidates.tolist() == [[1, 2], [3, 5]]
    assert data.graph.num_edges() == 3 and data.graph.ndata["year"].tolist() == [1, 2, 3, 4, 5, 6]
    other = {**OWN, "test": {**OWN["test"], "target_node_neg": torch.tensor([[2, 4]])}}
    changed = from_files("ogb-link", lay(tmp_path, other), split="public", directed=True)
    assert changed.split_hash != data.split_hash


@pytest.mark.parametrize("at_once", [1 << 22, 3])
def test_links_are_ranked_against_their_own_candidates(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("graphkit.tasks.link.PAIRS_AT_ONCE", at_once)
    data = from_files("ogb-link", lay(tmp_path, OWN), split="public", directed=True)
    task = LinkTask(data, select="mrr", scores=["hits@1"])
    monkeypatch.setattr(LinkTask, "predict", lambda self, model, what: (10 * what.src - (what.dst - 2) ** 2).float())
    found = task.evaluate(None, "val")
    # (3, 0) scores 26 against 29 and 30, so it is third; (4, 1) scores 39 against 39 and 31: half a rank for the tie.
    assert found["mrr"] == pytest.approx((1 / 3 + 1 / 1.5) / 2) and found["hits@1"] == 0.0


def test_the_audit_finds_links_in_two_parts_and_negatives_that_are_links(tmp_path):
    audit = gk.data.audit(from_files("ogb-link", lay(tmp_path, SHARED), split="public"))
    assert audit["pairs-in-two-parts"].number == 1 and audit["contradicting-pairs"].number == 1


@pytest.mark.parametrize(("parts", "directed", "score"), [(SHARED, False, "hits@20"), (OWN, True, "mrr")])
def test_a_model_is_fitted_to_a_published_split(tmp_path, parts, directed, score):
    data = from_files("ogb-link", lay(tmp_path, parts), split="public", directed=directed)
    run = gk.fit("gcn", data, epochs=1, select=score)
    assert 0 < run.metrics[f"test/{score}"] <= 1


def test_one_cache_holds_the_published_split(tmp_path, monkeypatch):
    archive = tmp_path / "collab.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for name, data in written(SHARED).items():
            made.writestr(f"collab/{name}", data)
    monkeypatch.setenv("GRAPHKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRAPHKIT_MIRROR", "")
    monkeypatch.setattr(stores, "download", lambda url, *a, **k: archive.read_bytes())
    with pytest.raises(ChecksumError, match=r"nothing vouches for.*verify=False"):
        gk.load("ogbl-collab")
    first = gk.load("ogbl-collab", verify=False)
    assert first.split_name == "public" and [len(part) for part in first.splits.values()] == [4, 2, 1]
    monkeypatch.setattr(stores, "download", lambda url, *a, **k: pytest.fail("the second load downloads again"))
    again = gk.load("ogbl-collab", verify=False)
    assert again.split_hash == first.split_hash and again.report == first.report


@pytest.mark.parametrize("name", ["ogbl-collab", "ogbl-ppa", "ogbl-ddi", "ogbl-citation2"])
def test_cards_name_what_the_reader_needs(name):
    card = gk.data.cards.card(name)
    assert not card.verified and card.split_for("link") == "public" and card.reader == "ogb-link"
    ends = {entry.name.rpartition("/")[2] for entry in card.files}
    assert {"num-node-list.csv", "train.pt", "valid.pt", "test.pt"} <= ends


@pytest.mark.parametrize("legacy", [False, True])
def test_arrays_under_the_old_name_of_numpy(legacy):
    data = saved(SHARED["train"], _use_new_zipfile_serialization=False)
    assert b"numpy._core.multiarray" in data
    data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray") if legacy else data
    assert load_part(data, "x")["edge"].tolist() == SHARED["train"]["edge"].tolist()


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_what_a_split_carries_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeFileError, match=r"bad.pt asks for more than numbers.*nothing was executed"):
        load_part(saved({"edge": Trap()}), "bad.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("part", "held", "says"),
    [
        ("valid", b"PK", r"valid.pt is truncated or not a file of torch.save"),
        ("valid", saved(SHARED["valid"])[:400], r"valid.pt is truncated or not a file of torch.save"),
        ("valid", saved([1]), r"valid.pt holds a list; expected a mapping"),
        ("valid", saved({"edge": "x"}), r"valid.pt holds a str as 'edge'; expected numbers"),
        ("valid", saved({"a": torch.ones(1)}), r"valid.pt holds 'a'; expected 'edge', or 'source_node' and 'target"),
        (
            "train",
            saved({"edge": torch.tensor([[0, 6]])}),
            r"train.pt: 'edge' holds the id 6; expected ids from 0 to 5",
        ),
        (
            "train",
            saved({"edge": torch.tensor([0, 1])}),
            r"train.pt: 'edge' has the shape \[2\]; expected \['any', 2\]",
        ),
        ("train", saved({"edge": torch.ones(1, 2)}), r"train.pt: 'edge' holds float32; expected whole numbers"),
        ("train", saved({**SHARED["train"], "year": np.ones(2)}), r"train.pt: 'year' has 2 rows; expected 4"),
    ],
)
def test_unsound_splits(tmp_path, part, held, says):
    with pytest.raises(DataError, match=says):
        from_files("ogb-link", lay(tmp_path, SHARED, **{f"split/time/{part}.pt": held}), split="public")


def test_what_is_missing_is_named(tmp_path):
    lay(tmp_path, SHARED, **{"raw/node-feat.csv.gz": gzip.compress(b"1\n")})
    with pytest.raises(DataError, match=r"node-feat.csv.gz has 1 lines; expected 6"):
        from_files("ogb-link", tmp_path)
    (tmp_path / "split/time/test.pt").unlink()
    with pytest.raises(DataError, match=r"expected one file split/SCHEME/test.pt among the raw files, found 0"):
        from_files("ogb-link", tmp_path)
    (tmp_path / "raw/num-node-list.csv.gz").write_bytes(gzip.compress(b"3\n3\n"))
    with pytest.raises(DataError, match=r"num-node-list.csv.gz holds \[3, 3\]; expected the number of nodes of one"):
        from_files("ogb-link", tmp_path)


def test_a_published_split_of_nodes_is_none_of_links(tmp_path):
    with pytest.raises(GraphKitError, match=r"digits has no public split"):
        gk.load("digits", task="link", split="public")
    with pytest.raises(GraphKitError, match=r"toy was published with a split, but train holds no pairs of nodes"):
        published_links({"train": torch.tensor([0, 1])}, "toy")


def test_candidates_belong_to_links(tmp_path):
    data = from_files("ogb-link", lay(tmp_path, OWN), split="public", directed=True)
    parts = data.splits
    part = parts["val"]
    with pytest.raises(
        GraphKitError, match=r"the split's part val has candidates of shape \[1, 2\]; expected \[2, K\]"
    ):
        data.with_split({**parts, "val": LinkSplit(part.pos, candidates=part.candidates[:1])})
    with pytest.raises(GraphKitError, match=r"val"):
        data.with_split({**parts, "val": LinkSplit(part.pos, candidates=part.candidates + 9)})
