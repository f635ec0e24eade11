"""Simplicial closure: tables against brute force on random simplices, and against the published ones."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphkit as gk
from graphkit import GraphKitError
from graphkit.analysis import closure_table, higher_order_links, open_triangles, triangle_features, triangle_scores
from graphkit.analysis.closure import cut_time
from graphkit.analysis.closure_scores import edge_walks, p_mean
from graphkit.graphs import from_simplices

TIMED = st.lists(st.sets(st.integers(0, 6), min_size=1, max_size=5), min_size=4, max_size=14)


def made(sets):
    flat = [node for s in sets for node in sorted(s)]
    return from_simplices([len(s) for s in sets], flat, list(range(len(sets))), 7)


def halves(sets):
    cut = cut_time(range(len(sets)), 0.8)
    return sets[: cut + 1], sets[cut + 1 :]


def brute(sets, size):
    """Return the counts of open configurations, and of those a later simplex holds, by plain loops."""
    past, later = halves(sets)
    old = sorted(set().union(*past))

    def held(nodes, among):
        return sum(set(nodes) <= s for s in among)

    found, closed = {}, {}
    for nodes in itertools.combinations(old, size):
        if held(nodes, past):
            continue
        if size == 3:
            name = "".join(str(d) for d in sorted(min(held(p, past), 2) for p in itertools.combinations(nodes, 2)))
        else:
            edges = sum(held(p, past) > 0 for p in itertools.combinations(nodes, 2))
            triples = list(itertools.combinations(nodes, 3))
            if not any(all(held(p, past) for p in itertools.combinations(t, 2)) for t in triples):
                continue
            digits = sorted(min(held(t, past), 2) for t in triples)[4 - {3: 1, 4: 1, 5: 2, 6: 4}[edges] :]
            name = f"{edges}-" + "".join(map(str, digits))
        found[name] = found.get(name, 0) + 1
        closed[name] = closed.get(name, 0) + (held(nodes, later) > 0)
    return found, closed


@settings(max_examples=60, deadline=None)
@given(TIMED, st.sampled_from([3, 4]))
def test_tables_equal_loops(sets, size):
    table = closure_table(made(sets), size).set_index("configuration")
    found, closed = brute(sets, size)
    assert {name: row.instances for name, row in table.iterrows() if row.instances} == found
    assert {name: row.closures for name, row in table.iterrows() if row.instances} == closed


@settings(max_examples=40, deadline=None)
@given(TIMED)
def test_open_triangles_and_their_scores_equal_loops(sets):
    past, later = halves(sets)
    asked = open_triangles(made(sets))
    weight = np.zeros((7, 7), dtype=int)
    for s in past:
        for a, b in itertools.permutations(s, 2):
            weight[a, b] += 1
    expected = [
        t
        for t in itertools.combinations(range(7), 3)
        if all(weight[p] for p in itertools.combinations(t, 2)) and not any(set(t) <= s for s in past)
    ]
    assert [tuple(t) for t in asked.triangles.tolist()] == expected
    assert asked.label.tolist() == [int(any(set(t) <= s for s in later)) for t in expected]
    near = [set(np.flatnonzero(row)) for row in weight]
    for i, t in enumerate(expected):
        common = near[t[0]] & near[t[1]] & near[t[2]]
        union = near[t[0]] | near[t[1]] | near[t[2]]
        three = np.array([weight[p] for p in itertools.combinations(t, 2)], dtype=float)
        for name, value in (
            ("harmonic", 3 / (1 / three).sum()), ("geometric", three.prod() ** (1 / 3)), ("arithmetic", three.mean()),
            ("common", len(common)), ("jaccard", len(common) / len(union)),
            ("adamic-adar", sum(1 / np.log(len(near[z])) for z in common)),
            ("degrees", np.prod([len(near[v]) for v in t])),
            ("simplex-degrees", np.prod([sum(v in s for s in past) for v in t])),
        ):  # fmt: skip
            assert triangle_scores(asked, name)[i] == pytest.approx(value)
        for name, matrix in (("pagerank", (weight > 0).astype(float)), ("weighted-pagerank", weight.astype(float))):
            total = matrix.sum(0)
            step = matrix * np.divide(1, total, out=np.zeros(7), where=total > 0)
            walk = 0.15 * np.linalg.inv(np.eye(7) - 0.85 * step)
            assert triangle_scores(asked, name)[i] == pytest.approx(sum(walk[p] for p in itertools.permutations(t, 2)))
            beta = min(0.25 / np.linalg.norm(matrix, 2), 0.5)
            katz = np.linalg.inv(np.eye(7) - beta * matrix)
            got = triangle_scores(asked, name.replace("pagerank", "katz"))[i]
            assert got == pytest.approx(sum(katz[p] for p in itertools.permutations(t, 2)), rel=1e-6)
    if expected:
        assert np.isfinite(triangle_features(asked)).all() and triangle_features(asked).shape == (len(expected), 26)


def test_the_later_simplices_change_no_score():
    sets = [{0, 1}, {1, 2}, {0, 2}, {2, 3}, {1, 3}, {0, 4}, {3, 4}, {0, 1, 2}, {1, 2, 3, 4}]
    one, other = made(sets), made([*sets[:7], {5, 6}, {0, 5, 6}])
    for name in ("harmonic", "adamic-adar", "pagerank", "weighted-katz", "edge-walks"):
        a, b = (triangle_scores(open_triangles(h), name) for h in (one, other))
        assert np.allclose(a, b)


def test_parts_of_the_walk_over_edges_lie_in_their_spaces():
    sets = [{0, 1, 2}, {2, 3}, {3, 4}, {2, 4}, {4, 0}, {1, 5}, {5, 0}, {6, 0}, {2, 3, 4}]
    asked = open_triangles(made(sets))
    triangles = asked.triangles.numpy()
    assert len(triangles)
    parts = {name: edge_walks(asked.past, triangles, name) for name in ("combined", "gradient", "curl", "harmonic")}
    assert all((value >= 0).all() for value in parts.values())
    # the sizes of a vector and its parts: no part is longer than their sum
    assert (parts["combined"] <= sum(parts[n] for n in ("gradient", "curl", "harmonic")) + 1e-9).all()


def test_means_of_every_power():
    rows = np.array([[1, 2, 4], [3, 3, 3]])
    assert np.allclose(p_mean(rows, -np.inf), [1, 3]) and np.allclose(p_mean(rows, np.inf), [4, 3])
    assert np.allclose(p_mean(rows, 0), [2, 3]) and np.allclose(p_mean(rows, 1), [7 / 3, 3])
    assert np.allclose(p_mean(rows, 1e-9), p_mean(rows, 0))


def test_equal_scores_are_taken_together():
    sets = [{0, 1}, {1, 2}, {0, 2}, {2, 3}, {1, 3}, {0, 3}, {4, 5}, {4, 6}, {5, 6}, {0, 1, 2}, {0, 1}, {9 - 3, 5}]
    asked = open_triangles(made(sets), share=0.7)
    assert asked.label.sum() == 1 and len(asked.label) == 5
    assert asked.evaluate(np.zeros(5)) == {"ap": 0.2, "lift": 1.0}
    assert asked.evaluate(asked.label)["lift"] == 5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: closure_table(gk.graphs.graph([0], [1])), "hypergraph whose hyperedges have a field 'time'"),
        (lambda: closure_table(gk.graphs.from_hyperedges([[0]])), "a field 'time'"),
        (lambda: closure_table(made([{0, 1}] * 4), size=5), "size=5; expected 3 or 4"),
        (lambda: closure_table(made([{0, 1}] * 4), share=0.0), "share=0.0"),
        (lambda: higher_order_links(made([{0, 1}] * 4), ["mean"]), "unknown score 'mean'"),
        (lambda: higher_order_links(made([{0, 1}] * 4), ["harmonic"]), "none of 0 open triangles closes"),
        (lambda: open_triangles(made([{0, 1}] * 4)).evaluate([1.0]), "one finite number for 0 triangles"),
    ],
)
def test_refusals_are_one_sentence(call, says):
    with pytest.raises(GraphKitError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


ENRON3 = """000 265772 90 001 40734 78 002 109207 334 011 2025 19 012 10669 132 022 11082 236 111 75 0 112 449 14
    122 1162 56 222 888 49"""
SCHOOL3 = """000 970888 1 001 312081 1 002 678608 68 011 38993 2 012 152040 40 022 95565 84 111 2627 1 112 16474 13
    122 28402 97 222 32943 573"""
ENRON4 = """3-0 194830 81 3-1 206119 45 3-2 230148 411 4-0 80874 151 4-1 83325 112 4-2 79161 627 5-00 10000 30
    5-01 16125 55 5-02 14650 203 5-11 6192 18 5-12 11308 72 5-22 5054 107 6-0000 771 2 6-0001 1709 14 6-0002 1713 30
    6-0011 1344 1 6-0012 2649 32 6-0022 1261 32 6-0111 340 2 6-0112 893 19 6-0122 843 15 6-0222 225 6 6-1111 6 0
    6-1112 47 0 6-1122 73 0 6-1222 46 1 6-2222 16 0"""
SCHOOL4 = """3-0 8161197 0 3-1 328606 0 3-2 167339 0 4-0 5614926 3 4-1 171685 0 4-2 83272 0 5-00 1704363 5
    5-01 90385 1 5-02 45331 1 5-11 2076 0 5-12 2657 0 5-22 827 0 6-0000 407567 18 6-0001 54218 12 6-0002 27261 11
    6-0011 5625 3 6-0012 6729 5 6-0022 2186 5 6-0111 461 0 6-0112 930 0 6-0122 660 2 6-0222 193 0 6-1111 27 0
    6-1112 74 0 6-1122 126 1 6-1222 116 1 6-2222 65 1"""


def rows(text):
    words = text.split()
    return [(words[i], int(words[i + 1]), int(words[i + 2])) for i in range(0, len(words), 3)]


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "size", "published"),
    [
        ("email-enron", 3, ENRON3), ("email-enron", 4, ENRON4), ("contact-primary-school", 3, SCHOOL3),
        ("contact-primary-school", 4, SCHOOL4),
    ],
)  # fmt: skip
def test_tables_equal_the_published_ones(name, size, published):
    """The authors' files of ScHoLP-Tutorial, output/3-node-closures and output/4-node-closures."""
    table = closure_table(gk.load(name), size)
    assert [tuple(row) for row in table.values[:, :3].tolist()] == rows(published)


@pytest.mark.real
def test_scores_of_enron_equal_the_reference():
    data = gk.load("email-enron")
    asked = open_triangles(data)
    assert (len(asked.label), int(asked.label.sum())) == (2574, 119)
    lifts = {"harmonic": 1.31, "geometric": 1.40, "arithmetic": 1.36, "pagerank": 2.73, "adamic-adar": 1.19}
    for name, lift in lifts.items():
        assert asked.evaluate(triangle_scores(asked, name))["lift"] == pytest.approx(lift, abs=0.02)
    score = torch.from_numpy(triangle_scores(asked, "pagerank"))
    best = score.argsort(descending=True, stable=True)[:12]
    assert score[best[:3]].tolist() == pytest.approx([0.30499, 0.27249, 0.25398], abs=1e-5)
    people = [{data.names["node"][i].split("@")[0] for i in asked.triangles[t].tolist()} for t in best]
    assert people[0] == {"don.baughman", "larry.campbell", "joe.stepenovitch"}
    # The authors' listing says that ranks 5, 8 and 9 close; it misses rank 11, whose nodes it holds in another order
    # than the table of closed ones, where all 119 are counted.
    assert (asked.label[best].nonzero()[:, 0] + 1).tolist() == [5, 8, 9, 11]
    assert people[10] == {"holden.salisbury", "geir.solberg", "bill.williams"}


@pytest.mark.real
def test_weights_of_pairs_say_more_of_contacts_than_common_neighbours():
    names = ["harmonic", "geometric", "arithmetic", "adamic-adar"]
    table = higher_order_links(gk.load("contact-primary-school"), names)
    lift = dict(zip(table.score, table.lift, strict=True))
    for name, value in {"harmonic": 5.77, "geometric": 6.04, "arithmetic": 3.53, "adamic-adar": 2.32}.items():
        assert lift[name] == pytest.approx(value, abs=0.02)
    assert min(lift["harmonic"], lift["geometric"]) >= lift["adamic-adar"] + 1.5
