"""Every registered layer keeps every law that its registration does not decline."""

import pytest

from graphkit.core.registry import entries
from graphkit.testing import LAYER_LAWS

LAYERS = [name for name, entry in entries("layer").items() if not entry.options.get("hypergraph")]
CASES = [(name, law) for name in LAYERS for law in LAYER_LAWS]
VARIANTS = {
    "gcnconv": [{"norm": "right"}, {"norm": "none", "self_loops": False}, {"norm": "both", "self_loops": False}],
    "sageconv": [{"aggregator": "sum"}, {"aggregator": "max"}, {"normalize": True}],
    "gatconv": [{"num_heads": 3, "edge_feats": 2, "residual": True}, {"num_heads": 2, "concat": False}],
    "gatv2conv": [
        {"num_heads": 3, "edge_feats": 2, "residual": True, "share_weights": True},
        {"num_heads": 2, "concat": False, "self_loops": False},
    ],
    "ginconv": [{"train_eps": True, "norm": "batch", "hidden": 4}],
    "virtualnode": [{"norm": "layer", "hidden": 3}],
    "relgatconv": [{"num_rels": 3, "num_heads": 3, "self_loop": False}],
    "hgtconv": [{"num_rels": 3, "num_ntypes": 2, "num_heads": 3}, {"num_rels": 2, "activation": "none"}],
    "compgcnconv": [
        {"num_rels": 2, "composition": "sub"},
        {"num_rels": 4, "composition": "mult", "norm": "right"},
        {"num_rels": 4, "norm": "none", "bias": False},
    ],
    "pairnorm": [{"individually": True, "scale": 2.0}],
    "layernorm": [{"over": "node"}],
    "gineconv": [{}, {"edge_feats": 2, "train_eps": True, "norm": "layer"}],
    "appnpconv": [{"k": 2, "norm": "right"}],
    "sgconv": [{"k": 1, "norm": "right"}],
    "tagconv": [{"k": 1}, {"k": 3, "bias": False}],
    "chebconv": [{"k": 2}, {"k": 4, "lambda_max": 1.7}],
    "mixhopconv": [{"powers": (0, 1, 3)}, {"powers": (2,)}],
    "armaconv": [{}, {"num_layers": 3, "shared_weights": True, "dropout": 0.3}],
    "gcn2conv": [{"shared_weights": False, "self_loops": False}],
    "relgraphconv": [
        {"num_rels": 3, "regularizer": "basis", "num_bases": 2},
        {"num_rels": 3, "regularizer": "bdd", "num_bases": 2, "norm": "total"},
        {"num_rels": 3, "norm": "total", "self_loop": False},
    ],
}


def _make(name, widths, arguments):
    entry = entries("layer")[name]
    in_feats, out_feats = (widths[0], widths[0]) if entry.options.get("keeps_width") else widths
    return lambda: entry.obj(in_feats, out_feats, **arguments)


@pytest.mark.parametrize("widths", [(4, 6), (6, 4)], ids=["wider", "narrower"])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_law(name, law, widths):
    entry = entries("layer")[name]
    if law in entry.declines:
        pytest.skip(f"{name} declines {law}: {entry.declines[law]}")
    LAYER_LAWS[law](_make(name, widths, entry.options.get("example", {})))


@pytest.mark.parametrize("law", list(LAYER_LAWS))
@pytest.mark.parametrize(("name", "arguments"), [(n, a) for n, many in VARIANTS.items() for a in many], ids=str)
def test_law_of_variant(name, arguments, law):
    entry = entries("layer")[name]
    if law not in entry.declines:
        LAYER_LAWS[law](_make(name, (4, 6), arguments))


def test_recompute_holds_where_degrees_are_known():
    make = _make("gcnconv", (4, 6), {"norm": "recompute"})
    for law in set(LAYER_LAWS) - {"blocks", "edge_weight"}:
        LAYER_LAWS[law](make)
