"""What explanations leave behind: tables, files, pictures, and a page that opens anywhere without a network."""

from __future__ import annotations

import html.parser
import json
import re

import dgl
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError
from graphkit.explain import Explanation
from graphkit.explain.images import images_of, png
from graphkit.explain.layout import lay_out
from graphkit.explain.molecules import molecule_of
from graphkit.explain.page import content

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
        self.classes: set[str] = set()
        self.fetched: list[str] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.classes |= set(attrs.get("class", "").split())
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
    named = re.findall(r'\$\("([\w-]+)"\)', text)
    assert len(named) > 15 and set(named) <= set(checker.ids)
    assert set(re.findall(r'this\.find\("([\w-]+)"\)', text)) <= checker.classes


def test_page_data_survive_hostile_names(page, why):
    text = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
    assert len(data["nodes"]) == len(why.nodes)
    assert len(data["edges"]) == why.num_edges
    (panel,) = data["panels"]
    assert panel["weight"][panel["order"][0]] == pytest.approx(float(why.edge_mask.max()), rel=1e-4)
    assert data["sizes"][0] == 0 and data["sizes"][-1] == why.num_edges
    assert panel["curve"][0][1] == pytest.approx(why.prediction.value, abs=1e-4)
    assert panel["curve"][-1][0] == pytest.approx(why.prediction.value, abs=1e-4)


def test_every_position_of_the_slider_was_asked_of_the_model(why):
    drawn = content([why], lay_out(why))
    (panel,) = drawn["panels"]
    assert drawn["sizes"] == list(range(why.num_edges + 1)) and len(panel["curve"]) == len(drawn["sizes"])
    for k in (1, 4, why.num_edges):
        found = why.fidelity(k=k)
        alone, without = (why.prediction.value - found[side] for side in ("minus", "plus"))
        assert panel["curve"][k][:2] == pytest.approx([alone, without], abs=1e-4)


def test_two_methods_share_one_drawing(karate, model):
    whys = [gk.explain(model, karate, node=8, method=method) for method in ("saliency", "occlusion")]
    drawn = content(whys, lay_out(whys[0], 12, whys[1]))
    assert [panel["method"] for panel in drawn["panels"]] == ["saliency", "occlusion"]
    for panel, why in zip(drawn["panels"], whys, strict=True):
        best = [drawn["nodes"][i]["id"] for i in drawn["edges"][panel["order"][0]][:2]]
        assert set(best) == set(why.top_edges(1)[["src", "dst"]].iloc[0])
        assert sorted(panel["order"]) == list(range(len(drawn["edges"])))
    assert len(drawn["nodes"]) == 12


def test_other_questions_do_not_stand_beside(karate, model, why, tmp_path):
    page = tmp_path / "none.html"
    others = {
        "explains node 3; expected an explanation of node 8": {"node": 3},
        "explains the answer": {"node": 8, "target_class": 1 - why.prediction.reading.label},
        "another graph or part of it": {"node": 8, "scope": "full"},
    }
    for told, asked in others.items():
        with pytest.raises(GraphKitError, match=told):
            why.to_html(page, compare=gk.explain(model, karate, method="saliency", **asked))
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_leaves_the_old_one(why, tmp_path, monkeypatch):
    page = why.to_html(tmp_path / "why.html")
    before = page.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(page), "write_text", full)
    with pytest.raises(GraphKitError, match=r"cannot write .*why\.html: No space left"):
        why.to_html(page)
    assert page.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["why.html"]


def test_bad_pictures_are_refused_in_one_sentence(why, tmp_path):
    with pytest.raises(GraphKitError, match=r"unknown format of pictures '.pgn'.*'.png'"):
        why.plot(tmp_path / "why.pgn")
    with pytest.raises(GraphKitError, match="k is -1"):
        why.plot(k=-1)
    with pytest.raises(GraphKitError, match="max_nodes is 0"):
        why.to_html(tmp_path / "why.html", max_nodes=0)
    assert not list(tmp_path.iterdir())


def test_an_isolated_target_is_drawn_alone(tmp_path):
    graph = dgl.graph(([0, 1], [1, 0]), num_nodes=3)
    graph.ndata["feat"] = torch.eye(3)
    data = gk.Dataset.from_graph(graph, labels=torch.tensor([0, 1, 0]))
    why = gk.explain(gk.models.build("gcn", data), data, node=2, method="saliency")
    assert why.num_edges == 0 and why.edge_mask.sum() == 0
    assert "No edge can matter: the answer is computed from the target alone." in page_text(why, tmp_path)
    assert why.plot(tmp_path / "alone.png").axes


def page_text(why, folder) -> str:
    return why.to_html(folder / "page.html").read_text(encoding="utf-8")


def test_page_is_the_same_each_time(why, page, tmp_path):
    assert why.to_html(tmp_path / "again.html").read_bytes() == page.read_bytes()


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


def test_names_in_pictures_cover_neither_nodes_nor_each_other():
    book = gk.load("les-miserables", task="link", seed=0)
    torch.manual_seed(0)
    why = gk.explain(gk.models.build("gae", book), book, pair=(11, 48), method="saliency")
    made = why.plot()
    made.draw_without_rendering()
    named = [text for text in made.axes[0].texts if text.get_text() in set(why.names.nodes)]
    boxes = [text.get_window_extent() for text in named]
    ends = {why.names.of_node(node) for node in why.target.ids}
    assert len(named) > 20 and ends <= {text.get_text() for text in named}
    free = [box for text, box in zip(named, boxes, strict=True) if text.get_text() not in ends]
    meeting = [
        (a, b) for i, a in enumerate(free) for b in free[i + 1 :] if a.shrunk(0.98, 0.9).overlaps(b.shrunk(0.98, 0.9))
    ]
    assert not meeting


def test_molecules_are_known_by_their_elements_and_bonds():
    pytest.importorskip("rdkit")
    graphs = [gk.graphs.from_smiles(text) for text in ("C=CC#N", "CCO", "c1ccccc1")]
    data = gk.Dataset.from_graphs(graphs, labels=torch.tensor([0, 1, 0]))
    model = gk.models.build("gin", data)
    why = gk.explain(model, data, graph=0, method="saliency")
    found = molecule_of(why)
    assert found.symbols == ["C", "C", "C", "N"] and sorted(found.orders) == [1, 1, 2, 2, 3, 3]
    layout = lay_out(why, max_nodes=2)
    assert len(layout.nodes) == 4 and layout.aspect > 1  # whole, and not stretched
    long = torch.tensor(layout.where * [layout.aspect, 1])[torch.tensor(layout.ends)].diff(dim=1).norm(dim=2)
    assert float(long.max() / long.min()) < 1.05
    ring = lay_out(gk.explain(model, data, graph=2, method="saliency"))
    assert ring.molecule.orders == [1.5] * 12
    assert why.plot().axes[0].get_aspect() == 1


def test_digits_are_little_images_and_others_are_not(karate, model):
    digits = gk.load("digits")
    torch.manual_seed(0)
    seven = gk.explain(gk.models.build("gcn", digits), digits, node=7, method="saliency")
    images = images_of(seven, lay_out(seven).nodes)
    assert images.shape[1:] == (8, 8) and float(images.min()) == 0 and float(images.max()) == 1
    own = digits.graph.ndata["feat"][seven.nodes[lay_out(seven).nodes[0]]].reshape(8, 8)
    assert abs(torch.tensor(images[0]) - own).max() < 1e-6
    assert png(images[0]).startswith("data:image/png;base64,")
    assert len(seven.plot().axes) == 4  # the graph, the target, the pixels that weigh, bars
    assert images_of(gk.explain(model, karate, node=8, method="saliency"), [0]) is None


def test_molecules_without_rdkit_are_drawn_as_graphs(monkeypatch, tmp_path):
    from graphkit.explain import molecules

    pytest.importorskip("rdkit")
    graphs = [gk.graphs.from_smiles(text) for text in ("C=CC#N", "CCO")]
    data = gk.Dataset.from_graphs(graphs, labels=torch.tensor([0, 1]))
    why = gk.explain(gk.models.build("gin", data), data, graph=0, method="saliency")
    monkeypatch.setattr(molecules, "find_spec", lambda name: None)
    layout = lay_out(why)
    assert layout.aspect is None
    drawn = content([why], layout)
    assert drawn["bonds"] is None and sorted(node["name"] for node in drawn["nodes"]) == ["C", "C", "C", "N"]
    assert why.plot(tmp_path / "plain.png").axes


@pytest.mark.real
def test_mutag_is_made_of_atoms_and_bonds():
    pytest.importorskip("rdkit")
    data = gk.load("mutag")
    assert data.names["node_label"] == ["C", "N", "O", "F", "I", "Cl", "Br"]
    assert data.names["relation"] == ["aromatic", "single", "double", "triple"]
    found = molecule_of(gk.explain(gk.models.build("gin", data), data, graph=0, method="saliency"))
    # 17 heavy atoms: three rings and a nitro group.
    assert sorted(found.symbols) == ["C"] * 14 + ["N", "O", "O"]
    assert set(found.orders) == {1.0, 1.5, 2.0} and found.where.shape == (17, 2)
