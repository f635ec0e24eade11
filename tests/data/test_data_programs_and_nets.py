"""Programs in MPS files, the table of extremal graphs, networks in ONNX files and networks trained on the spot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import DataError, GraphKitError
from graphkit.data import from_files

MPS = """* a comment
NAME          TOY
ROWS
 N  COST
 N  OTHER
 L  CAP
 G  NEED
 E  TIE
COLUMNS
    X  COST  1.0  CAP  2.0
    X  NEED  1.0  OTHER 9.0
    M1 'MARKER' 'INTORG'
    Y  COST -3.0  TIE  1.0
    Z  CAP  1.0
    M2 'MARKER' 'INTEND'
    V  TIE -1.0   NEED 1.0
RHS
    RHS  CAP  10.0  NEED 1.0
    RHS  COST -5.0
RANGES
    RNG  CAP  4.0   TIE -2.0
BOUNDS
 UP BND  X  4.0
 LO BND  Y  2.0
 FR BND  V
ENDATA
after the end
"""


def mps(folder, text=MPS):
    (folder / "toy.mps").write_text(text)
    return folder


def test_a_program_is_a_graph_of_variables_and_constraints(tmp_path):
    data = from_files("mps", mps(tmp_path), split={"train": [0]})
    graph, facts = data[0], data.collated.graph_fields
    assert (
        facts["variables"].tolist() == [4]
        and facts["constraints"].tolist() == [3]
        and facts["offset"].tolist() == [5.0]
    )
    assert graph.ndata["feat"].argmax(1).tolist() == [0, 1, 1, 0, 3, 4, 2] and not bool(facts["infeasible"])
    inf = float("inf")
    assert graph.ndata["cost"].tolist() == [1.0, -3.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert graph.ndata["lower"].tolist() == [0.0, 2.0, 0.0, -inf, 6.0, 1.0, -2.0]
    assert graph.ndata["upper"].tolist() == [4.0, inf, 1.0, inf, 10.0, inf, 0.0]
    src, dst = graph.edges()
    found = {(int(u), int(v)): float(w) for u, v, w in zip(src, dst, graph.edata["weight"], strict=True) if u < v}
    assert found == {(0, 4): 2.0, (0, 5): 1.0, (1, 6): 1.0, (2, 4): 1.0, (3, 5): 1.0, (3, 6): -1.0}
    crlf = from_files("mps", mps(tmp_path, MPS.replace("\n", "\r\n\r\n")), split={"train": [0]})
    assert torch.equal(crlf.collated.src, data.collated.src)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("ENDATA\nafter the end\n", "", r"toy.mps has no line ENDATA"),
        ("BOUNDS", "BOUND", r"toy.mps, line 22: 'BOUND' opens no section"),
        ("X  NEED  1.0", "X  WANT  1.0", r"toy.mps, line 11: 'X  WANT  1.0 .* is no line of the section COLUMNS"),
        ("CAP  10.0", "CAP  ten", r"toy.mps, line 18: .* is no line of the section RHS"),
        ("CAP  10.0", "CAP  nan", r"toy.mps, line 18"),
        (" LO BND  Y", " LO BND  W", r"toy.mps, line 24: .* of the section BOUNDS"),
        (" G  NEED", " G  CAP", r"toy.mps, line 7: .* of the section ROWS"),
        (" G  NEED", " Q  NEED", r"toy.mps, line 7"),
        ("NEED 1.0\nRHS", "NEED\nRHS", r"toy.mps, line 16"),
    ],
)
def test_unsound_programs(tmp_path, old, new, says):
    with pytest.raises(DataError, match=says):
        from_files("mps", mps(tmp_path, MPS.replace(old, new)))


def solve(graph, integral):
    """Return the optimum that HiGHS finds for the program that a graph states, None if there is none."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    kinds = graph.ndata["feat"].argmax(1).numpy()
    n, (src, dst) = int((kinds < 2).sum()), (ends.numpy() for ends in graph.edges())
    ahead = src < dst
    weight = graph.edata["coefficient"].numpy()[ahead]
    matrix = coo_array((weight, (dst[ahead] - n, src[ahead])), shape=(graph.num_nodes() - n, n)).tocsr()
    low, high = graph.ndata["lower"].numpy(), graph.ndata["upper"].numpy()
    found = milp(
        graph.ndata["cost"].numpy()[:n],
        integrality=(kinds[:n] == 1) if integral else None,
        bounds=Bounds(low[:n], high[:n]),
        constraints=LinearConstraint(matrix, low[n:], high[n:]),
    )
    return found.fun if found.success else None


@pytest.mark.real
def test_programs_as_read_have_the_optima_that_are_published(mirror):
    data = gk.load("lp-mip")
    facts = data.collated.graph_fields
    optimum = dict(zip(data.names["instance"], facts["optimum"].tolist(), strict=True))
    for name in ("afiro", "adlittle", "israel", "scrs8", "shell", "stair", "standata", "e226", "flugpl", "egout",
                 "gt2", "lseu", "p0548", "rgn", "p01", "bell5"):  # fmt: skip
        i = data.names["instance"].index(name)
        found = solve(data[i], True) + float(facts["offset"][i])
        assert abs(found - optimum[name]) <= 1e-4 * max(1.0, abs(optimum[name])), name
    for name in ("galenet", "klein1", "woodinfe", "bgetam"):
        i = data.names["instance"].index(name)
        assert bool(facts["infeasible"][i]) and np.isnan(optimum[name]) and solve(data[i], True) is None, name


def table(folder, text):
    (folder / "t.csv").write_text(text)
    return folder


def test_extremal_numbers_are_instances_without_edges(tmp_path):
    data = from_files("extremal-table", table(tmp_path, "n,ex\r\n1,0\n\n5,5\n"), split={"train": [0]})
    assert data.collated.graph_fields["optimum"].tolist() == [0, 5] and data[1].num_nodes() == 5
    assert data.collated.num_edges == 0
    for text, says in (
        ("n,ex\n5,5\n5,5\n", r"t.csv, line 3: n=5, 5 edges: this number of nodes repeats"),
        ("n,ex\n5,5\n10,16\n", r"t.csv, line 3: n=10, 16 edges: no such graph can exist"),
        ("n,ex\n5,x\n", r"t.csv, line 2: 'x' is not a number"),
        ("n,ex\n5\n", r"t.csv, line 2"),
        ("m,ex\n5,5\n", r"t.csv, line 1: no column 'n'"),
    ):
        with pytest.raises(DataError, match=says):
            from_files("extremal-table", table(tmp_path, text))


def message(*parts):
    """Write a protobuf message of (field, content) as bytes; a whole number is a varint."""
    out = bytearray()
    for number, content in parts:
        if isinstance(content, int):
            out += bytes([number << 3, content])
            continue
        content = content.encode() if isinstance(content, str) else bytes(content)
        size, rest = [], len(content)
        while True:
            size.append((rest & 0x7F) | (0x80 if rest > 0x7F else 0))
            rest >>= 7
            if not rest:
                break
        out += bytes([number << 3 | 2, *size]) + content
    return bytes(out)


def node(kind, inputs, outputs):
    return 1, message(*((1, name) for name in inputs), *((2, name) for name in outputs), (3, "n"), (4, kind))


NODES = (
    node("ConstantOfShape", ["shape"], ["w"]),
    node("Conv", ["x", "w"], ["a"]),
    node("Relu", ["a"], ["b"]),
    node("Add", ["a", "b"], ["y"]),
)


def model(folder, nodes=NODES, tail=b""):
    (folder / "m.onnx").write_bytes(
        message((1, 3), (2, "x" * 300), (7, message(*nodes, (2, "graph"), (11, "x")))) + tail
    )
    return folder


def test_an_onnx_model_is_a_graph_of_its_operators(tmp_path):
    data = from_files("onnx", model(tmp_path), split={"train": [0]})
    graph = data[0]
    kinds = [data.names["operation"][i] for i in graph.ndata["feat"].argmax(1).tolist()]
    assert kinds == ["Conv", "Relu", "Add"] and data.collated.graph_fields["operators"].tolist() == [4]
    assert sorted(zip(*(ends.tolist() for ends in graph.edges()), strict=True)) == [(0, 1), (0, 2), (1, 2)]
    whole = from_files("onnx", tmp_path, split={"train": [0]}, drop=())
    assert whole[0].num_nodes() == 4 and whole[0].num_edges() == 4


def test_unsound_models(tmp_path):
    sound = (model(tmp_path) / "m.onnx").read_bytes()
    for content in (sound[:-9], b"", b"not a model at all", sound[:1], b"\xff" * 40):
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(DataError, match=r"m.onnx (is truncated|holds no graph)"):
            from_files("onnx", tmp_path)
    for nodes, says in (
        ((NODES[2], NODES[1]), r"m.onnx, operator 0 \(Relu\) takes a value that a later operator gives"),
        ((NODES[1], NODES[1]), r"m.onnx, operator 1 \(Conv\): the value 'a' is given twice"),
        ((), r"m.onnx holds no graph of operators"),
    ):
        with pytest.raises(DataError, match=says):
            from_files("onnx", model(tmp_path, nodes))


@pytest.mark.real
def test_light_networks_hold_as_many_operators_as_the_notes_say(mirror):
    data = gk.load("onnx-light")
    before = dict(zip(data.names["instance"], data.collated.graph_fields["operators"].tolist(), strict=True))
    assert before["light_bvlc_alexnet"] == 40 and before["light_resnet50"] == 415 and before["light_vgg19"] == 82
    assert "Conv" in data.names["operation"] and "ConstantOfShape" not in data.names["operation"]


def test_a_zoo_of_trained_networks():
    data = gk.load("digits-zoo", num_nets=4)
    again = gk.load("digits-zoo", num_nets=3, graph_seed=0)
    other = gk.load("digits-zoo", num_nets=3, graph_seed=1)
    assert torch.equal(data.labels[:3], again.labels) and not torch.equal(other.labels, again.labels)
    assert bool(((data.labels > 0) & (data.labels <= 1)).all())
    from sklearn.datasets import load_digits

    from graphkit.core.random import numpy_generator

    held = load_digits()
    order = numpy_generator(0, "digits-zoo", "split").permutation(len(held.target))[round(0.7 * 1797) :]
    graph = data[0]  # what the graph holds computes what its label says
    feat, (src, dst) = graph.ndata["feat"], graph.edges()
    place, tanh = feat[:, 1:5].argmax(1), bool(feat[0, 6])
    value = torch.zeros(graph.num_nodes(), len(order))
    value[place == 0] = torch.from_numpy(held.data[order] / 16.0).float().T
    for layer in sorted(set(place.tolist()))[1:]:
        mine = place[dst] == layer
        drive = torch.zeros_like(value).index_add_(0, dst[mine], graph.edata["weight"][mine, None] * value[src[mine]])
        drive = drive + feat[:, :1]
        value[place == layer] = (drive if layer == 3 else torch.tanh(drive) if tanh else drive.relu())[place == layer]
    hit = value[place == 3].argmax(0).numpy() == held.target[order]
    assert abs(hit.mean() - float(data.labels[0])) < 1e-3
    with pytest.raises(GraphKitError, match="num_nets=0"):
        gk.load("digits-zoo", num_nets=0)
