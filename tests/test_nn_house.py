"""What a user of any layer may count on: a docstring that says everything, refusals of one sentence, short classes."""

import ast
import inspect
import re
from pathlib import Path

import dgl
import pytest
import torch

import graphkit.nn
from graphkit import GraphKitError
from graphkit.core.registry import entries
from graphkit.testing import hyper_sample, sample

KINDS = {kind: entries(kind) for kind in ("layer", "pool")}
EVERY = [pytest.param(entry, id=f"{kind}-{name}") for kind, found in KINDS.items() for name, entry in found.items()]
LAYERS = [pytest.param(entry, id=name) for name, entry in KINDS["layer"].items()]
#: Classes longer than a page, each with its reason.
LONG: dict[str, str] = {
    "Encoder": "the base of all encoders, whose hooks are documented here and nowhere else",
    "NCache": "joined dictionaries of neighbours: what is stored, what is read and what survives belong together",
    "NextItemJODIE": "a whole training of its own, in t-batches, with its three losses",
    "PRESFilter": "a predictor, its corrector and the counts that both read",
    "SignedMemory": "four memories that one event changes at once",
}
#: Tokens that no refusal may end with: it would break off in the middle.
OPEN = (" ", ",", ":", ";", "(", "'", "-")


def make(entry, in_feats=4, out_feats=6, **changes):
    """Build a layer or pool as its registration's example has it."""
    options = {**entry.options.get("example", {}), **changes}
    if entry.kind == "pool":
        return entry.obj(in_feats, **options)
    return entry.obj(in_feats, in_feats if entry.options.get("keeps_width") else out_feats, **options)


def section(doc, name):
    """Return the lines of a numpydoc section; none if there is no such section."""
    found = re.search(rf"^{name}\n-+\n(.*?)(?=\n\n\w[\w ]*\n-{{3,}}|\Z)", doc, re.M | re.S)
    return found[1] if found else ""


def test_what_pyg_and_dgl_users_reach_for_is_there():
    """By the class names that they know, where there is one."""
    convolutions = """GCNConv SAGEConv GINConv GINEConv GATConv GATv2Conv SGConv APPNPConv ChebConv ARMAConv TAGConv
        GCN2Conv GatedGCNConv PNAConv GENConv EdgeConv NNConv CFConv TransformerConv FAConv H2GCNConv LINKXConv
        MixHopConv DirConv MagNetConv SIRConv SheafConv CoGNNConv RelGraphConv RelGATConv HGTConv CompGCNConv"""
    hypergraphs = """HGNNConv HNHNConv HCHAConv UniGCNConv UniGINConv UniSAGEConv UniGATConv AllDeepSetsConv
        AllSetTransformerConv"""
    whole = "GraphAttention PerformerAttention VirtualNode BatchNorm LayerNorm GraphNorm PairNorm"
    pools = """SumPool MeanPool MaxPool AttentionPool Set2Set SortPool TopKPool SAGPool ASAPool DiffPool MinCutPool
        SparsemaxPool HopfieldPool"""
    known = {kind: {entry.obj.__name__ for entry in found.values()} for kind, found in KINDS.items()}
    assert set(f"{convolutions} {hypergraphs} {whole}".split()) - known["layer"] == set()
    assert set(pools.split()) - known["pool"] == set()
    assert all(hasattr(graphkit.nn, name) for names in known.values() for name in names)


@pytest.mark.parametrize("entry", EVERY)
def test_the_docstring_says_everything(entry):
    doc = inspect.getdoc(entry.obj)
    sentence = doc.split("\n\n")[0]
    assert sentence.endswith("."), "the first paragraph is one sentence"
    assert re.search(r"\.\. math::|``[^`]*[=+(][^`]*``", doc.split("Parameters\n---")[0]), "a formula"
    parameters = [name for name in inspect.signature(entry.obj.__init__).parameters if name != "self"]
    told = section(doc, "Parameters")
    for name in parameters:
        assert re.search(rf"^(\w+, )*{name}(, \w+)*( :|$)", told, re.M), f"the parameter {name}"
    assert section(doc, "Raises").startswith("GraphKitError"), "what it refuses"
    example = section(doc, "Examples")
    assert ">>> import graphkit" in example
    assert entry.obj.__name__ in example
    source = section(doc, "References")
    assert entry.title in " ".join(source.split()), "the paper"
    assert f"arXiv:{entry.arxiv}" in source or not entry.arxiv
    returns = inspect.getdoc(entry.obj.forward)
    assert re.match(r"Return\b", returns)
    assert re.search(r"\[[A-Z]", returns), "what comes back, with its shape"


def refusal(call):
    """Return what ``call`` says when it refuses, or fail."""
    try:
        call()
    except GraphKitError as error:
        return str(error)
    except Exception as error:
        pytest.fail(f"gives {type(error).__name__}: {error}")
    return pytest.fail("passes without an error")


def check_sentence(told, *words):
    assert "\n" not in told
    assert 15 <= len(told) <= 250
    assert not told.endswith(OPEN[:-2])
    assert not re.search(r"\. [A-Z]", told), "one sentence, not two"
    assert "object at 0x" not in told
    for word in words:
        assert word in told, told


class Call:
    """A layer and input that fits it; calls with one thing changed."""

    def __init__(self, entry, seed=0, **sizes):
        torch.manual_seed(0)
        self.layer = make(entry).eval()
        self.hyper, self.pool = bool(entry.options.get("hypergraph")), entry.kind == "pool"
        widths = {name: getattr(self.layer, name, 0) for name in ("in_feats", "edge_feats", "num_rels", "num_ntypes")}
        if self.hyper:
            sizes = {"nodes": sizes.get("nodes", 8), "hyperedges": sizes.get("edges", 5), "members": 14}
            self.case = hyper_sample(seed, in_feats=widths["in_feats"], edge_feats=widths["edge_feats"], **sizes)
            self.args = {"feat": self.case.feat.float()}
            if widths["edge_feats"]:
                self.args["edge_feat"] = self.case.edge_feat.float()
        else:
            self.case = sample(seed, **widths, **sizes)
            tensors = {name: value for name, value in self.case.tensors.items() if value is not None}
            self.args = {"feat": self.case.feat.float(), **tensors}
            if "edge_feat" in self.args:
                self.args["edge_feat"] = self.args["edge_feat"].float()
        self.graph = self.case.graph

    def __call__(self, **changes):
        out = self.layer(self.graph, **{**self.args, **changes})
        return out[0] if getattr(self.layer, "updates_edges", False) else out

    def refused(self, **changes):
        return refusal(lambda: self(**changes))


@pytest.mark.parametrize("entry", EVERY)
def test_features_that_do_not_fit_get_one_sentence(entry):
    call = Call(entry)
    feat = call.args["feat"]
    check_sentence(call.refused(feat=feat[:, :-1]), "feat", f"[{len(feat)}, 3]", "4")
    check_sentence(call.refused(feat=feat[:-1]), "feat", str(len(feat) - 1), str(len(feat)))
    check_sentence(call.refused(feat=feat.long()), "feat", "int64", "floating-point")
    check_sentence(call.refused(feat=feat.numpy()), "feat", "ndarray")


@pytest.mark.parametrize("entry", LAYERS)
def test_edge_tensors_that_do_not_fit_get_one_sentence(entry):
    call = Call(entry)
    edges = len(call.case.node) if call.hyper else call.graph.num_edges()
    told = call.refused(edge_weight=torch.ones(edges + 1))
    check_sentence(told, "edge_weight")
    if "takes no edge_weight" not in told:
        check_sentence(told, f"[{edges + 1}]", f"each of the {edges} ")
        check_sentence(call.refused(edge_weight=torch.ones(edges, 2)), "edge_weight", f"[{edges}, 2]")
        check_sentence(call.refused(edge_weight=torch.ones(edges).long()), "edge_weight", "int64")
        check_sentence(call.refused(edge_weight=[1.0] * edges), "edge_weight", "list")
    if "edge_feat" in call.args:
        rows = call.args["edge_feat"]
        check_sentence(call.refused(edge_feat=rows[1:]), "edge_feat", str(len(rows) - 1), str(len(rows)))
        check_sentence(call.refused(edge_feat=rows[:, 1:]), "edge_feat")
        check_sentence(call.refused(edge_feat=rows.long()), "edge_feat", "int64")
        check_sentence(call.refused(edge_feat=None), "edge_feat", "None")
    if "etype" in call.args:
        etype, rels = call.args["etype"], call.layer.num_rels
        check_sentence(call.refused(etype=etype + rels), "etype", f"0 to {rels - 1}")
        check_sentence(call.refused(etype=etype - rels), "etype", "-")
        check_sentence(call.refused(etype=etype[1:]), "etype", str(edges))
        check_sentence(call.refused(etype=etype.float()), "etype", "float32")
        check_sentence(call.refused(etype=None), "etype", "None")


@pytest.mark.parametrize("entry", LAYERS)
def test_a_graph_of_another_kind_gets_one_sentence(entry):
    call = Call(entry)
    call.graph = dgl.heterograph({("a", "to", "b"): ([0], [1]), ("b", "back", "a"): ([1], [0])})
    check_sentence(call.refused(), entry.obj.__name__, "hypergraph" if call.hyper else "one edge type")


@pytest.mark.parametrize("entry", EVERY)
def test_arguments_that_make_no_layer_get_one_sentence(entry):
    arguments = inspect.signature(entry.obj.__init__).parameters

    def check(name, value, *words):
        if name in arguments and not str(arguments[name].annotation).startswith("bool"):
            check_sentence(refusal(lambda: make(entry, **{name: value})), *words)

    check("in_feats", 0, "in_feats", "0")
    check("in_feats", 2.5, "in_feats", "2.5")
    for heads in (5, 0):
        check("num_heads", heads, f"num_heads={heads}", "does not divide")
    for name in ("dropout", "attn_drop", "feat_drop", "edge_drop"):
        check(name, 1.5, "drop", "1.5")
    for name in ("norm", "aggregator", "activation", "regularizer", "composition", "maps"):
        check(name, "sun", name, "'sun'")
    for name in ("num_rels", "num_ntypes", "k", "num_layers", "hidden", "edge_feats"):
        check(name, -1, {"num_ntypes": "types"}.get(name, name), "-1")
    for name in ("num_rels", "num_ntypes"):
        check(name, 0, {"num_ntypes": "types"}.get(name, name), "0")


@pytest.mark.parametrize("entry", EVERY)
@pytest.mark.parametrize("edges", [0, 4], ids=["no-edges", "some-without"])
@pytest.mark.parametrize("train", [False, True])
def test_a_node_that_nothing_enters_is_finite_or_refused(entry, edges, train):
    """Where a formula divides by a degree, in value and in both gradients."""
    call = Call(entry, edges=edges)
    if not call.hyper:
        assert (call.graph.in_degrees() == 0).any()
    call.layer.train(train)
    feat = call.args["feat"].requires_grad_()
    out = call(feat=feat)
    out = out.node if hasattr(out, "node") else out
    assert torch.isfinite(out).all()
    grads = torch.autograd.grad(out.square().sum(), [feat, *call.layer.parameters()], allow_unused=True)
    assert all(torch.isfinite(grad).all() for grad in grads if grad is not None)


def test_no_class_is_longer_than_a_page():
    """About 80 lines, docstring included; a longer one is in ``LONG`` with its reason."""
    found = {}
    for path in sorted(Path(graphkit.nn.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and (length := node.end_lineno - node.lineno + 1) > 85:
                found[node.name] = length
    assert {name: length for name, length in found.items() if name not in LONG} == {}
