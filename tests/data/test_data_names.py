"""Names of datasets: unique whatever the case, the plain ones the most used forms, ambiguous ones refused."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

import graphkit as gk
from graphkit.core.errors import AmbiguousNameError, UnknownNameError
from graphkit.data import card, names
from graphkit.data.cards import canonical, folder


def flat(name: str) -> str:
    return name.lower().replace("_", "-")


ALIASES = defaultdict(list)
for _name in names():
    for _alias in card(_name).aliases:
        ALIASES[flat(_alias)].append(_name)

#: What several names begin with, up to a hyphen, and is no name itself.
PREFIXES = defaultdict(set)
for _name in names():
    _parts = flat(_name).split("-")
    for _i in range(1, len(_parts)):
        PREFIXES["-".join(_parts[:_i])].add(_name)
AMBIGUOUS = {
    prefix: sorted({*found, *ALIASES.get(prefix, ())})
    for prefix, found in PREFIXES.items()
    if len({*found, *ALIASES.get(prefix, ())}) > 1 and prefix not in {flat(name) for name in names()}
}
AMBIGUOUS |= {alias: sorted({*found, *PREFIXES.get(alias, ())}) for alias, found in ALIASES.items() if len(found) > 1}

#: The plain name, the reader of its form, and a form that must carry a suffix.
PLAIN = {
    "cora": ("planetoid", "cora-gnnbench"),
    "citeseer": ("planetoid", "citeseer-full"),
    "pubmed": ("planetoid", "pubmed-cocitation"),
    "mutag": ("tu", "mutag-rdf"),
    "chameleon": ("geom", "chameleon-musae"),
    "squirrel": ("geom", "squirrel-filtered"),
    "karate": ("karate", "karate-newman"),
    "les-miserables": ("les-miserables", "les-miserables-newman"),
}


def test_names_are_unique_whatever_the_case_and_the_hyphens():
    files = [path.stem for path in folder().glob("*.yaml")]
    assert len({flat(name) for name in files}) == len(files) == len(names())
    assert not {flat(name) for name in names()} & set(ALIASES), "an alias that is another card's name"


@pytest.mark.parametrize("name", names())
def test_every_name_is_found_in_any_spelling(name):
    assert card(name).name == name
    spellings = (name.upper(), name.title(), name.replace("-", "_"), name.replace("_", "-"), f" {name} ")
    assert {canonical(spelling) for spelling in spellings} == {name}


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_name_is_the_most_used_form(name):
    reader, other = PLAIN[name]
    assert card(name).reader.startswith(reader) and canonical(other) == other


@pytest.mark.parametrize("name", sorted(AMBIGUOUS))
def test_an_ambiguous_name_is_refused_and_lists_every_form(name):
    for spelling in (name, name.upper()):
        with pytest.raises(AmbiguousNameError, match="is ambiguous; say which: ") as caught:
            gk.load(spelling)
        assert re.split(r", ", str(caught.value).partition("say which: ")[2]) == AMBIGUOUS[name]


def test_the_ambiguous_names_that_people_type_are_among_them():
    assert {"ptc", "airports", "twitch", "bitcoin", "movielens", "uci", "enron"} <= set(AMBIGUOUS)


def test_an_alias_of_one_card_is_that_card():
    single = {alias: found[0] for alias, found in ALIASES.items() if len(found) == 1 and alias not in AMBIGUOUS}
    assert len(single) >= 10
    assert {alias: canonical(alias.upper()) for alias in single} == single


def test_the_end_of_a_name_or_nothing_is_no_name():
    for name in ("gnnbench", "", "-", "cora-"):
        with pytest.raises(UnknownNameError, match=r"unknown dataset|ambiguous"):
            card(name)
