"""The page of an explanation in a real browser: it draws, asks nobody, obeys slider, keys and mouse, stays small."""

from __future__ import annotations

import time

import networkx as nx
import numpy as np
import pytest
import torch

import graphkit as gk
from tests.browser import Browser, find_browser

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium here; pages are checked statically only")


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        opened.size(1200, 900)
        yield opened


@pytest.fixture(scope="module")
def karate():
    club = gk.load("karate")
    graph = club.graph
    graph.ndata["feat"] = torch.eye(34)
    return gk.Dataset.from_graph(graph, labels=club.labels)


@pytest.fixture(scope="module")
def whys(karate):
    torch.manual_seed(0)
    model = gk.models.build("gcn", karate)
    return [gk.explain(model, karate, node=8, method=method) for method in ("saliency", "occlusion")]


@pytest.fixture(scope="module")
def page(whys, tmp_path_factory):
    return whys[0].to_html(tmp_path_factory.mktemp("page") / "one.html")


@pytest.fixture(scope="module")
def pair(whys, tmp_path_factory):
    return whys[0].to_html(tmp_path_factory.mktemp("page") / "two.html", compare=whys[1])


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A page of a link between people, whose names are long."""
    book = gk.load("les-miserables", task="link", seed=0)
    torch.manual_seed(0)
    model = gk.models.build("gae", book)
    whys = [gk.explain(model, book, pair=(11, 48), method=method) for method in ("saliency", "input-x-gradient")]
    return whys[0].to_html(tmp_path_factory.mktemp("page") / "named.html", compare=whys[1])


@pytest.fixture(autouse=True)
def quiet(browser):
    """Whatever a test does on a page: no console output, no error, and nothing asked for but the page itself."""
    yield
    time.sleep(0.02)
    browser.run("1")  # what the page reported until now has been read after this
    assert not browser.messages
    assert len([url for url in browser.requests if not url.startswith("data:")]) == 1


def lines(browser, panel: int = 0, kind: str = "edge") -> int:
    return browser.run(f"document.querySelectorAll('.graph')[{panel}].querySelectorAll('line.{kind}').length")


def where(browser, node: int = 0) -> list[float]:
    box = f"document.querySelector('[data-node=\"{node}\"]').getBoundingClientRect()"
    return browser.run(f"(() => {{ const b = {box}; return [b.x + b.width / 2, b.y]; }})()")


def test_the_slider_changes_the_drawing_and_the_probabilities(browser, page, whys):
    browser.open(page)
    browser.run("document.getElementById('kept').focus()")
    browser.press("Home")
    assert lines(browser) == 0 and lines(browser, kind="gone") == whys[0].num_edges
    alone = browser.run("document.querySelector('.evidence').innerText")
    for k in (1, 2, 3):
        browser.press("ArrowRight")
        assert lines(browser) == k
    assert browser.run("document.querySelector('.evidence').innerText") != alone
    said = browser.run("document.getElementById('kept').getAttribute('aria-valuetext')")
    assert said.startswith(f"3 edges of {whys[0].num_edges}; with only these ")
    only, without = whys[0].prediction.value - np.array([whys[0].fidelity(k=3)[side] for side in ("minus", "plus")])
    assert f"with only these {100 * only:.1f} %, without them {100 * without:.1f} %" in said
    browser.press("End")
    assert lines(browser) == whys[0].num_edges and lines(browser, kind="gone") == 0


def test_the_drawing_zooms_and_moves_by_keys(browser, page):
    browser.open(page)
    browser.run("document.querySelector('.graph').focus()")
    start = [where(browser, i) for i in range(5)]
    browser.press("+")
    assert browser.run("document.querySelector('.graph').classList.contains('moved')")
    wider = [where(browser, i) for i in range(5)]
    assert np.ptp(wider, axis=0)[0] > 1.15 * np.ptp(start, axis=0)[0]
    browser.press("ArrowLeft", "ArrowUp")
    moved = np.array([where(browser, i) for i in range(5)]) - wider
    assert (moved > 20).all()
    browser.press("0")
    assert np.allclose([where(browser, i) for i in range(5)], start, atol=1)
    browser.press("+", "-")
    assert np.allclose([where(browser, i) for i in range(5)], start, atol=1)


def test_keys_step_through_nodes_and_say_what_they_are(browser, page):
    browser.open(page)
    browser.run("document.querySelector('.graph').focus()")
    browser.press("n")
    tip = "document.querySelector('.tip.show')?.innerText"
    assert "node 8" in browser.run(tip) and "the target" in browser.run(tip)
    browser.press("n")
    second = browser.run(tip)
    assert "hop" in second and "node 8\n" not in second
    browser.press("p")
    assert "the target" in browser.run(tip)
    browser.press("Escape")
    assert browser.run(tip) is None


def test_every_control_is_reached_by_tab_and_shows_its_focus(browser, page):
    browser.open(page)
    browser.run("document.activeElement.blur()")
    seen = []
    for _ in range(9):
        browser.press("Tab")
        seen.append(browser.run("document.activeElement.id || document.activeElement.tagName"))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert seen[-1] == "BODY" or browser.run(outline) != "none", seen[-1]
    assert {"kept", "in", "fit", "svg", "SUMMARY"} <= set(seen)
    named = "e => e.ariaLabel || e.labels?.length || e.innerText"
    assert browser.run(f"[...document.querySelectorAll('button, input, .graph')].every({named})")


def test_mouse_drags_wheels_and_hovers(browser, page):
    browser.open(page)
    x, y = where(browser, 0)
    before = where(browser, 1)
    browser.mouse("mouseMoved", x, y + 3)
    assert browser.run("document.querySelector('.tip.show')?.innerText.includes('importance')")
    box = browser.run(
        "(() => { const b = document.querySelector('.graph').getBoundingClientRect(); return [b.x, b.y]; })()"
    )
    corner = box[0] + 5, box[1] + 5
    browser.mouse("mousePressed", *corner, button="left", buttons=1, clickCount=1)
    browser.mouse("mouseMoved", corner[0] + 30, corner[1] + 20, button="left", buttons=1)
    browser.mouse("mouseReleased", corner[0] + 30, corner[1] + 20, button="left", clickCount=1)
    assert np.allclose(np.subtract(where(browser, 1), before), [30, 20], atol=1)
    browser.mouse("mouseWheel", *corner, deltaX=0, deltaY=-300, modifiers=2)
    assert browser.run("document.querySelector('.graph').classList.contains('moved')")


def test_two_methods_stand_side_by_side_under_one_slider(browser, pair):
    browser.size(1200, 900)
    browser.open(pair)
    assert browser.run("[...document.querySelectorAll('.name')].map(e => e.innerText)") == ["saliency", "occlusion"]
    lefts = browser.run("[...document.querySelectorAll('.graph')].map(e => Math.round(e.getBoundingClientRect().top))")
    assert lefts[0] == lefts[1]
    browser.run("document.getElementById('kept').focus()")
    browser.press("Home", "ArrowRight", "ArrowRight")
    assert [lines(browser, i) for i in (0, 1)] == [2, 2]
    assert "same" in browser.run("document.getElementById('shared').innerText")
    places = "[...document.querySelectorAll('.graph [data-node=\"3\"]')].map(e => e.getAttribute('transform'))"
    assert len(set(browser.run(places))) == 1
    browser.run("document.querySelector('.graph').focus()")
    browser.press("+")
    assert len(set(browser.run(places))) == 1


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_cut_off_at_the_widths_of_phones_and_desks(browser, named, width):
    browser.size(width, 800)
    browser.open(named)
    assert browser.run("document.querySelectorAll('.graph text').length") > 10
    assert browser.run("document.documentElement.scrollWidth") <= width
    spill = (
        "[...document.querySelectorAll('.card, button, h1, h2, input')].filter(e => e.offsetParent).filter(e => "
        "{ const b = e.getBoundingClientRect(); return b.left < 0 || b.right > innerWidth + 0.5; }).length"
    )
    assert browser.run(spill) == 0
    labels = (
        "[...document.querySelectorAll('.graph')].map(g => { const b = [...g.querySelectorAll('text')].map(t => "
        "t.getBoundingClientRect()); let n = 0; b.forEach((p, i) => b.slice(i + 1).forEach(q => { "
        "if (p.left < q.right - 2 && q.left < p.right - 2 && p.top < q.bottom - 4 && q.top < p.bottom - 4) n += 1; }));"
        " return n; })"
    )
    assert browser.run(labels) == [0, 0]
    browser.size(1200, 900)


def luminance(text: str) -> float:
    parts = [float(part) / 255 for part in text.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable_in_light_and_in_dark(browser, page, dark):
    browser.size(1200, 900, dark=dark)
    browser.open(page)
    script = (
        "['h1', '.truth', '.caption', '.hint', '.bar span', 'label', 'button', 'summary'].map(s => "
        "{ let e = document.querySelector(s), back = e; const ink = getComputedStyle(e).color; "
        "while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement; "
        "return [s, ink, getComputedStyle(back).backgroundColor]; })"
    )
    for name, ink, ground in browser.run(script):
        high, low = sorted([luminance(ink), luminance(ground)], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ink, ground)  # WCAG AA
    ground = luminance(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert ground < 0.05 if dark else ground > 0.8
    browser.size(1200, 900)


def test_an_isolated_target_has_a_page_too(browser, tmp_path):
    graph = gk.graphs.from_networkx(nx.empty_graph(3))
    graph.ndata["feat"] = torch.eye(3)
    data = gk.Dataset.from_graph(graph, labels=torch.tensor([0, 1, 0]))
    why = gk.explain(gk.models.build("gcn", data), data, node=1, method="saliency")
    assert why.num_edges == 0 and why.top_edges().empty
    browser.open(why.to_html(tmp_path / "alone.html", compare=why))
    assert "No edge can matter" in browser.run("document.body.innerText")
    assert not browser.run("document.getElementById('control').checkVisibility()")


def test_a_page_of_digits_shows_their_pictures(browser, tmp_path):
    digits = gk.load("digits")
    torch.manual_seed(0)
    why = gk.explain(gk.models.build("gcn", digits), digits, node=5, method="saliency")
    browser.open(why.to_html(tmp_path / "digit.html"))
    shown = "document.querySelectorAll('.graph image[href^=\"data:image/png\"]').length"
    assert browser.run(shown) == browser.run("document.querySelectorAll('.graph .node').length") > 5
    assert (
        browser.run("[...document.querySelectorAll('.heat img')].map(e => [e.naturalWidth, e.complete])")
        == [[8, True]] * 2
    )


def test_a_page_of_a_molecule_shows_atoms_and_bonds(browser, tmp_path):
    pytest.importorskip("rdkit")
    graphs = [gk.graphs.from_smiles(text) for text in ("c1ccccc1[N+](=O)[O-]", "CCO", "CC(=O)O")]
    data = gk.Dataset.from_graphs(graphs, labels=torch.tensor([0, 1, 0]))
    torch.manual_seed(0)
    why = gk.explain(gk.models.build("gin", data), data, graph=0, method="saliency")
    browser.open(why.to_html(tmp_path / "molecule.html"))
    assert browser.run("[...document.querySelectorAll('.atom text')].map(e => e.textContent).sort()") == ["N", "O", "O"]
    # Six aromatic bonds and one double bond are two lines each; two are single.
    assert browser.run("document.querySelectorAll('.graph .bond').length") == 2 * 7 + 2
    assert browser.run("document.querySelectorAll('.graph .bond[stroke-dasharray]').length") == 6
    spots = browser.run(
        "[...document.querySelectorAll('.atom')].map(e => e.getBoundingClientRect()).map(b => [b.x, b.y])"
    )
    assert len({tuple(spot) for spot in spots}) == 9
    assert "Keep 9 of 9 bonds" in browser.run("document.getElementById('count').innerText")


def test_a_page_of_a_large_graph_is_small_and_opens_at_once(browser, tmp_path):
    graph = gk.graphs.from_networkx(nx.barabasi_albert_graph(10_000, 6, seed=0))
    torch.manual_seed(0)
    graph.ndata["feat"] = torch.randn(10_000, 64)
    data = gk.Dataset.from_graph(graph, labels=torch.randint(0, 5, (10_000,)))
    model = gk.models.build("gcn", data)
    whys = [gk.explain(model, data, node=4321, method=method) for method in ("saliency", "input-x-gradient")]
    path = whys[0].to_html(tmp_path / "large.html", compare=whys[1])
    assert path.stat().st_size < 3_000_000
    assert min(browser.open(path) for _ in range(3)) < 2  # the machine may be busy with other tests
    drawn = browser.run(
        "[...document.querySelectorAll('.graph')[0].querySelectorAll('.node text')].map(e => e.textContent)"
    )
    assert "4321" in drawn
    neighbours = set(map(str, graph.predecessors(4321).tolist()))
    assert len(neighbours & set(drawn)) >= 4
    assert f"60 of {len(whys[0].nodes)} nodes" in browser.run("document.getElementById('caption').innerText")
