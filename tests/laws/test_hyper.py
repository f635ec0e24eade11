"""Every registered hypergraph layer, and every system on hypergraphs, keeps every law."""

import pytest

from graphkit.core.registry import entries
from graphkit.models import build
from graphkit.testing import HYPER_LAWS, HYPER_MODEL_LAWS, hyper_spec

LAYERS = {name: entry for name, entry in entries("layer").items() if entry.options.get("hypergraph")}
VARIANTS = [
    ("hgnnconv", {"norm": "right", "bias": False}),
    ("hnhnconv", {"hidden": 3, "alpha": -0.5, "beta": 0.7, "activation": "elu"}),
    ("hypergcnconv", {"mediators": False, "bias": False}),
    ("hchaconv", {"num_heads": 3, "over": "members"}),
    ("hchaconv", {"num_heads": 2, "edge_feats": 3}),
    ("uniginconv", {"eps": 0.3, "bias": False}),
    ("unigatconv", {"num_heads": 3, "bias": False}),
    ("unigatconv", {"negative_slope": 0.5}),
    ("allsettransformerconv", {"num_heads": 3}),
]


@pytest.mark.parametrize("law", list(HYPER_LAWS))
@pytest.mark.parametrize("name", list(LAYERS))
@pytest.mark.parametrize("widths", [(4, 6), (6, 4)], ids=["wider", "narrower"])
def test_law(name, law, widths):
    entry = LAYERS[name]
    HYPER_LAWS[law](lambda: entry.obj(*widths, **entry.options.get("example", {})))


@pytest.mark.parametrize("law", list(HYPER_LAWS))
@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=str)
def test_law_of_variant(name, arguments, law):
    HYPER_LAWS[law](lambda: LAYERS[name].obj(4, 6, **arguments))


SYSTEMS = {name: entry for name, entry in entries("model").items() if entry.options.get("hypergraph")}
SYSTEM_VARIANTS = [
    ("hgnn", {"norm": "right", "num_layers": 3}),
    ("hypergcn", {"mediators": False}),
    ("hypergcn", {"fast": True}),
    ("hnhn", {"alpha": 0.5, "beta": -0.5}),
    ("phenomnn", {"compat": True, "lam0": 0.5, "lam1": 1.0}),
    ("phenomnn", {"lam0": 0.0, "proximal": True}),
]


@pytest.mark.parametrize("law", list(HYPER_MODEL_LAWS))
@pytest.mark.parametrize("name", list(SYSTEMS))
def test_law_of_system(name, law):
    entry = SYSTEMS[name]
    if law in entry.declines:
        pytest.skip(f"{name} declines {law}: {entry.declines[law]}")
    HYPER_MODEL_LAWS[law](lambda: build(name, hyper_spec(), **entry.options.get("example", {})))


@pytest.mark.parametrize("law", list(HYPER_MODEL_LAWS))
@pytest.mark.parametrize(("name", "arguments"), SYSTEM_VARIANTS, ids=str)
def test_law_of_variant_of_system(name, arguments, law):
    HYPER_MODEL_LAWS[law](lambda: build(name, hyper_spec(), **arguments))
