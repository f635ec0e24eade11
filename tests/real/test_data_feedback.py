"""Signed networks and implicit feedback in the mirror: what the NOTES found in them, read by our readers."""

from __future__ import annotations

import numpy as np
import pytest

import graphkit as gk
from graphkit.data import card

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", ["bitcoin-alpha", "bitcoin-otc"])
def test_bitcoin_ratings_are_those_of_the_notes(name):
    data = gk.load(name)
    published, g = card(name).published, data.original
    assert round(data.report["positive"] / g.num_edges(), 3) == published["positive_share"]
    assert bool((g.edata["time"].diff() >= 0).all()) and (data.report["out_of_order"] == 0) == (name == "bitcoin-otc")
    assert g.edata["weight"].min() == 1 and g.edata["weight"].max() == 10
    assert max(map(int, data.names["node"])) == {"bitcoin-alpha": 7604, "bitcoin-otc": 6005}[name]
    assert g.edata["time"].is_floating_point() == (name == "bitcoin-otc")


def test_lastfm_users_artists_and_friends():
    data = gk.load("hetrec-lastfm")
    kinds = np.bincount(data.original.ndata["ntype"].numpy()).tolist()
    assert kinds == [1892, 17632] and data.original.num_edges() == 2 * 92834
    friends = gk.load("hetrec-lastfm-friends")
    assert friends.names["node"] == data.names["node"][:1892] and friends.original.num_edges() == 25434
    test = data.splits["test"]
    assert len(test.pos) == len(test.neg) and test.pos.src.max() < 1892 <= test.pos.dst.min()
