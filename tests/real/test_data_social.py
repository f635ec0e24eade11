"""Social networks whose raw files are in the mirror: what the NOTES found in them, read by our readers."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.data import card, names

pytestmark = pytest.mark.real

#: raw lines, self-loops, repeated lines.
FOUND = {
    "twitch-fr": (112666, 0, 0),
    "chameleon-musae": (36101, 50, 0),
    "polblogs": (19090, 3, 19090 - 19025),
    "karate-newman": (78, 0, 0),
    "les-miserables-newman": (254, 0, 0),
    "airports-europe": (5995, 2, 0),
}


@pytest.mark.parametrize("name", FOUND)
def test_raw_lines_and_loops_are_those_of_the_notes(name):
    report = gk.load(name).report
    assert (report["raw_edges"], report["self_loops"], report["repeated_edges"]) == FOUND[name]


def test_two_streamers_of_france_are_listed_twice_and_agree():
    assert gk.load("twitch-fr").report["repeated_targets"] == 2


def test_chameleons_graph_is_the_same_in_both_forms():
    musae, geom = gk.load("chameleon-musae"), gk.load("chameleon")
    degrees = [data.graph.in_degrees().sort().values for data in (musae, geom)]
    assert torch.equal(*degrees) and musae.labels.shape == (2277, 1) and musae.labels.min() > 0


def test_blogcatalogs_assignments():
    labels = gk.load("blogcatalog").labels
    assert int(labels.sum()) == card("blogcatalog").published["assignments"]
    assert int(labels.sum(1).min()) == 1 and int(labels.sum(1).max()) == 11


def test_polblogs_has_the_published_largest_component_and_direction():
    data = gk.load("polblogs")
    assert torch.bincount(data.labels).tolist() == card("polblogs").published["class_sizes"]
    part = gk.load("polblogs", largest_component=True)
    assert (part.graph.num_nodes(), part.graph.num_edges()) == (1222, 2 * 16714)
    assert gk.load("polblogs", directed=True).graph.num_edges() == 19025 - 3


def test_both_forms_of_the_karate_club_and_of_les_miserables_agree():
    for plain in ("karate", "les-miserables"):
        one, other = gk.load(plain, task="link"), gk.load(f"{plain}-newman", task="link")
        assert one.original.num_edges() == other.original.num_edges()
        assert torch.equal(one.original.in_degrees().sort().values, other.original.in_degrees().sort().values)
    club, again = gk.load("karate"), gk.load("karate-newman")
    assert torch.bincount(club.labels).tolist() == torch.bincount(again.labels).tolist()


def test_airports_of_the_usa_keep_ids_that_skip():
    ids = gk.load("airports-usa").names["node"]
    assert (ids[0], ids[-1], len(ids)) == ("10005", "16746", 1190)
    assert all(gk.load(name).num_classes == 4 for name in names() if name.startswith("airports-"))
