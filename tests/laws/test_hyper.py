"""Every registered hypergraph layer keeps every law."""

import pytest

from graphkit.core.registry import entries
from graphkit.testing import HYPER_LAWS

LAYERS = {name: entry for name, entry in entries("layer").items() if entry.options.get("hypergraph")}
VARIANTS = [
    ("hgnnconv", {"norm": "right", "bias": False}),
    ("hnhnconv", {"hidden": 3, "alpha": -0.5, "beta": 0.7, "activation": "elu"}),
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
