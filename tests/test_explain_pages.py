"""What explanations leave behind: tables, files, pictures, and a page that opens anywhere without a network."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess

import pytest
import torch

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError
from graphkit.explain import Explanation
from graphkit.explain.layout import lay_out

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VOID = {"meta", "link", "input", "br", "hr", "img", "source", "wbr"}


@pytest.fixture(scope="module")
def karate():
    club = gk.load("karate")
    graph = club.graph
    graph.ndata["feat"] = torch.eye(34)
    return gk.Dataset.from_graph(graph, labels=club.labels)


@pytest.fixture(scope="module")
def model(karate):
    torch.manual_seed(0)
    return gk.models.build("gcn", karate)


@pytest.fixture(scope="module", params=["gnnexplainer", "saliency"])
def why(request, karate, model):
    options = {"epochs": 20} if request.param == "gnnexplainer" else {}
    return gk.explain(model, karate, node=8, method=request.param, feature_names=["<b>&\"'</script>"], **options)


@pytest.fixture(scope="module")
def page(why, tmp_path_factory):
    return why.to_html(tmp_path_factory.mktemp("page") / f"{why.method}.html")


class Checker(html.parser.HTMLParser):
    """Notes unbalanced tags, ids, and every attribute that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.fetched += [v for k, v in attrs.items() if k in {"src", "href", "data", "action", "srcset", "poster"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")


def test_page_is_whole_and_asks_nobody(page):
    text = page.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert not checker.problems
    assert not checker.open
    assert len(set(checker.ids)) == len(checker.ids)
    assert checker.fetched == ["data:,"]
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(|fetch\(|XMLHttp|WebSocket|sendBeacon", text)
    assert "default-src 'none'" in text
    assert "{{" not in text
    for name in re.findall(r'\$\("([\w-]+)"\)', text):
        assert name in checker.ids


def test_page_data_survive_hostile_names(page, why):
    text = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
    assert len(data["nodes"]) == len(why.nodes)
    assert len(data["edges"]) == why.num_edges
    assert data["edges"][0][2] == pytest.approx(float(why.edge_mask.max()), rel=1e-4)
    assert data["curve"][0][0] == 0
    assert data["curve"][0][2] == pytest.approx(why.prediction.value, abs=1e-4)
    assert data["curve"][-1][:2] == [why.num_edges, pytest.approx(why.prediction.value, abs=1e-4)]


def test_page_is_the_same_each_time(why, page, tmp_path):
    assert why.to_html(tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_page_runs_in_a_browser_without_errors(page, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium here; the page is checked statically only")
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--no-first-run", f"--user-data-dir={tmp_path}", "--window-size=1200,900",
        "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run([browser, *flags, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert 'data-ready="yes"' in done.stdout, done.stderr[-2000:]
    assert done.stdout.count('class="hit"') > 0
    assert done.stdout.count("data-node=") >= 30
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_picture_is_written(why, tmp_path):
    made = why.plot(tmp_path / "why.png", k=5)
    assert (tmp_path / "why.png").stat().st_size > 10_000
    assert made.axes
    why.plot(tmp_path / "why.svg", max_nodes=6)


def test_saved_explanation_comes_back_whole(why, tmp_path):
    back = Explanation.load(why.save(tmp_path / "why.json"))
    for name in ("node_mask", "edge_mask", "feat_mask", "nodes", "edges", "src", "dst", "group", "node_classes"):
        assert torch.equal(getattr(back, name), getattr(why, name)), name
    assert (back.effect is None) == (why.effect is None)
    assert back.summary() == why.summary()
    assert back.top_edges(5).equals(why.top_edges(5))
    assert back.info == why.info
    assert back.to_html(tmp_path / "back.html").stat().st_size > 5_000
    with pytest.raises(GraphKitError, match="no model"):
        back.fidelity()


def test_files_that_are_no_explanation_are_refused(tmp_path):
    for text in ("{}", "no json", '{"format_version": 99}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(DataError):
            Explanation.load(tmp_path / "x.json")
    with pytest.raises(DataError, match="cannot read"):
        Explanation.load(tmp_path / "missing.json")


def test_drawing_is_capped_and_keeps_the_target(why):
    layout = lay_out(why, max_nodes=9)
    assert len(layout.nodes) == 9
    assert int(why.nodes[layout.nodes[layout.roots[0]]]) == 8
    assert layout.where.min() >= -1e-9
    assert layout.where.max() <= 1 + 1e-9
    drawn = why.edge_mask[why.edges[layout.edges]]
    assert bool((drawn[:-1] >= drawn[1:]).all())


def test_tables_are_sorted_and_name_both_ends(why):
    table = why.top_edges(7)
    assert len(table) == 7
    assert table.importance.is_monotonic_decreasing
    src, dst = why.graph.edges(order="eid")
    assert table.src.tolist() == src[table.edge.tolist()].tolist()
    assert table.dst.tolist() == dst[table.edge.tolist()].tolist()
    assert why.top_features(3).importance.is_monotonic_decreasing
