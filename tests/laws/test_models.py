"""Every registered system keeps every law that its registration does not decline, at every level it works at."""

import pytest

from graphkit.core.registry import entries
from graphkit.models import build
from graphkit.testing import MODEL_LAWS
from graphkit.testing.models import spec_for

CASES = [
    (name, level, law)
    for name, e in entries("model").items()
    if not e.options.get("hypergraph")  # their laws are in test_hyper.py
    for level in e.options["levels"]
    if level != "temporal-link"  # theirs are in test_temporal.py
    for law in MODEL_LAWS
]


@pytest.mark.parametrize(("name", "level", "law"), CASES)
def test_law(name, level, law):
    entry = entries("model")[name]
    if law in entry.declines:
        pytest.skip(f"{name} declines {law}: {entry.declines[law]}")
    MODEL_LAWS[law](lambda: build(name, spec_for(level), **entry.options.get("example", {})))


VARIANTS = [
    ("gcn", "node", {"concat": True, "normalize": True, "norm": "none", "self_loops": False, "num_layers": 3}),
    ("gcn", "link", {"decoder": "mlp"}),
    ("gcn", "graph", {"readout": "set2set"}),
    ("gin", "graph", {"readout": "attention", "train_eps": True, "num_layers": 2}),
    ("rgcn", "triple", {"regularizer": "bdd", "num_bases": 5, "hidden": 10, "inverse": False}),
    ("rgcn", "node", {"regularizer": None, "inverse": False, "num_layers": 3}),
    ("sage", "node", {"aggregator": "max", "normalize": True}),
]


@pytest.mark.parametrize("law", list(MODEL_LAWS))
@pytest.mark.parametrize(("name", "level", "arguments"), VARIANTS, ids=str)
def test_law_of_variant(name, level, arguments, law):
    MODEL_LAWS[law](lambda: build(name, spec_for(level), **arguments))


@pytest.mark.parametrize("law", sorted(set(MODEL_LAWS) - {"edge_weight"}))
def test_gae_without_graph(law):
    MODEL_LAWS[law](lambda: build("gae", spec_for("link"), encoder="mlp"))


@pytest.mark.parametrize("law", sorted(set(MODEL_LAWS) - {"blocks"}))
def test_rgcn_with_inverse_relations(law):
    MODEL_LAWS[law](lambda: build("rgcn", spec_for("node"), inverse=True))
