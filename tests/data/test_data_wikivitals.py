"""WikiVitals in the parts that its repository holds, as the tests write them."""

from __future__ import annotations

import zipfile

import pytest

import graphkit as gk
from graphkit.core.errors import ChecksumError, DataError, GraphKitError
from graphkit.data import from_files
from graphkit.data import store as stores
from graphkit.data.cards import card

PARTS = {
    "__classes0.txt": "900\tPeople\n30\tArts\n7\tArts\n",
    "__classes1.txt": "30\tArts ->- Arts\n900\tPeople ->- Writers\n7\tArts ->- Arts\n",
    "__classes2.txt": "30\tArts ->- Arts ->- Music\n900\tPeople ->- Writers ->- Poets\n7\tArts ->- Arts ->- Film\n",
    "__wikivitals_vocabulary.txt": "abs_band\thea_life\ttit_tea",
    "__wikivitals_features_one_hot_2.txt": "7\tabs_band:1 tit_tea:1\r\n",
    "__wikivitals_features_one_hot_10.txt": "30\t\n900\thea_life:1\n",
    "__links_filtered_1.txt": "900\t30\t1.0\n30\t900\t1.0\n",
    "__links_filtered_2.txt": "7\t900\t1.0\n7\t7\t1.0\n",
}


def lay(folder, **changes):
    for name, text in {**PARTS, **changes}.items():
        (folder / name).write_bytes(text.encode())
    return folder


def test_parts_with_any_numbers_are_joined(tmp_path):
    data = from_files("wikivitals", lay(tmp_path))
    assert data.names["node"] == ["7", "30", "900"] and data.names["class"] == ["Arts", "People"]
    assert data.labels.tolist() == [0, 0, 1]
    assert data.graph.ndata["feat"].tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    ends = sorted(zip(*(e.tolist() for e in data.graph.edges()), strict=True))
    assert ends == [(0, 2), (1, 2), (2, 0), (2, 1)]
    assert data.report == {"raw_edges": 4, "self_loops": 1, "repeated_edges": 0}
    one_way = from_files("wikivitals", tmp_path, directed=True, level=2)
    assert one_way.graph.num_edges() == 3 and one_way.num_classes == 3 and one_way.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("__classes0.txt", "900\tPeople\n30\n", r"__classes0.txt, line 2: '30' is not the id of an article, a tab"),
        ("__classes0.txt", "9\tA\n\n9\tB\n", r"__classes0.txt, line 3: the article 9 has a class already"),
        ("__classes0.txt", "9\t\n", r"__classes0.txt, line 1: the article 9 has no class"),
        ("__wikivitals_vocabulary.txt", "abs_band\tabs_band", r"names 2 features, of which 1 are distinct"),
        ("__wikivitals_features_one_hot_2.txt", "7\tabs_x:1\n", r"one_hot_2.txt, line 1: 'abs_x' is not in the voc"),
        ("__wikivitals_features_one_hot_2.txt", "8\t\n", r"one_hot_2.txt, line 1: the article 8 has no class"),
        ("__wikivitals_features_one_hot_10.txt", "7\t\n", r"one_hot_10.txt, line 1: the article 7 repeats"),
        ("__wikivitals_features_one_hot_10.txt", "900\t\n", r"describe 2 of 3 articles, but not 30; a part may be mi"),
        ("__links_filtered_2.txt", "7\t900\t1.0\n7\t8\t1.0\n", r"links_filtered_2.txt, line 2: the article 8 has no c"),
        ("__links_filtered_2.txt", "7\t900\n", r"links_filtered_2.txt, line 1: 2 columns where 3 were expected"),
    ],
)
def test_unsound_parts(tmp_path, name, text, says):
    with pytest.raises(DataError, match=says):
        from_files("wikivitals", lay(tmp_path, **{name: text}))


def test_what_is_missing_is_named(tmp_path):
    lay(tmp_path)
    with pytest.raises(GraphKitError, match=r"level=3; expected 0"):
        from_files("wikivitals", tmp_path, level=3)
    (tmp_path / "__links_filtered_1.txt").unlink()
    (tmp_path / "__links_filtered_2.txt").unlink()
    with pytest.raises(DataError, match=r"expected files __links_filtered_X.txt, numbered, among the raw files"):
        from_files("wikivitals", tmp_path)
    (tmp_path / "__wikivitals_vocabulary.txt").unlink()
    with pytest.raises(DataError, match=r"expected one file __wikivitals_vocabulary.txt"):
        from_files("wikivitals", tmp_path)


def test_the_card_takes_whatever_parts_its_archive_holds(tmp_path, monkeypatch):
    members = {entry.name: entry.sources[-1].member for entry in card("wikivitals").files}
    archive = tmp_path / "parts.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for name, text in PARTS.items():
            made.writestr(members[name], text)
    monkeypatch.setenv("GRAPHKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRAPHKIT_MIRROR", "")
    monkeypatch.setattr(stores, "download", lambda url, *a, **k: archive.read_bytes())
    with pytest.raises(ChecksumError, match=r"nothing vouches for.*verify=False"):
        gk.load("wikivitals")
    data = gk.load("wikivitals", verify=False)
    assert data.graph.num_nodes() == 3 and data.graph.num_edges() == 4 and data.num_classes == 2
    assert gk.load("wikivitals", verify=False, level=1).names["class"] == ["Arts ->- Arts", "People ->- Writers"]
