"""Published folds: sound files, and files that contradict the graphs."""

from __future__ import annotations

import json

import pytest

from graphkit.core.errors import DataError, GraphKitError
from graphkit.data import from_files

FOLDS = [
    {"test": [0, 1], "model_selection": [{"train": [3, 2], "validation": [4]}]},
    {"test": [4], "model_selection": [{"train": [0, 1, 2], "validation": [3]}]},
]


def tu(folder, content=None, name="fair-comparison.json"):
    for part, text in {
        "A": "1, 2\n2, 1\n",
        "graph_indicator": "1\n1\n2\n3\n4\n5\n",
        "graph_labels": "1\n0\n1\n0\n1\n",
    }.items():
        (folder / f"DS_{part}.txt").write_text(text)
    (folder / "folds").mkdir(exist_ok=True)
    if content is not None:
        (folder / "folds" / name).write_text(content)
    return folder


def test_folds_of_the_fair_comparison(tmp_path):
    data = from_files("tu", tu(tmp_path, json.dumps(FOLDS)), split="fair-comparison", fold=1)
    assert {name: ids.tolist() for name, ids in data.splits.items()} == {"train": [0, 1, 2], "val": [3], "test": [4]}
    assert data.fold(0).splits["train"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (json.dumps(FOLDS)[:-9], "fair-comparison.json is truncated or not a list of folds"),
        (json.dumps([{"test": [0]}]), "is truncated or not a list of folds"),
        (json.dumps(FOLDS).replace("[4]", "[5]"), "fold 0 of .* names graph 5; expected ids from 0 to 4"),
        (json.dumps(FOLDS).replace("[4]", "[1]"), "fold 0 of .* repeats graphs"),
        (None, "no folds 'fair-comparison' were published for this set: .*fair-comparison.json is missing"),
    ],
)
def test_unsound_folds(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        from_files("tu", tu(tmp_path, content), split="fair-comparison")


def test_a_set_loaded_without_folds_says_how_to_get_them(tmp_path):
    data = from_files("tu", tu(tmp_path, json.dumps(FOLDS)), split={"train": [0]})
    with pytest.raises(GraphKitError, match="load it with split='fair-comparison'"):
        data.with_split("fair-comparison")
    with pytest.raises(GraphKitError, match="has no folds"):
        data.fold(1)
