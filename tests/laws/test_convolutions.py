"""The wider set of convolutions keeps the laws under its other arguments too."""

import pytest

from graphkit.core.registry import entries
from graphkit.testing import LAYER_LAWS
from tests.laws.test_layers import _make

VARIANTS = {
    "faconv": [{"eps": 0.3, "dropout": 0.2, "self_loops": False}],
    "linkxconv": [{"num_nodes": 8, "num_layers": 3}],
    "dirconv": [{"alpha": 0.2, "norm": "right"}, {"alpha": 0.9, "norm": "none", "root_weight": False, "bias": False}],
    "magnetconv": [{"k": 3, "q": 0.1}, {"k": 4, "complex_input": True, "activation": False}],
    "sirconv": [
        {},
        {"aggregator": "max", "hidden": 5, "edge_feats": 2, "activation": "elu"},
        {"aggregator": "sym", "dropout": 0.3, "inner_bias": False},
        {"aggregator": "mean", "outer_bias": False},
    ],
    "h2gcnconv": [{"norm": "right", "bias": False}],
    "gatedgcnconv": [{}],
    "pnaconv": [
        {},
        {"towers": 2, "divide_input": True},
        {"aggregators": ("sum", "std", "max"), "scalers": ("attenuation",), "delta": 0.7},
    ],
    "genconv": [
        {},
        {"aggregator": "power", "p": 2.0, "learn_p": True, "norm": "layer", "msg_norm": True},
        {"aggregator": "power", "edge_feats": 2, "p": 1.5, "num_layers": 1},
        {"aggregator": "max", "num_layers": 3},
    ],
    "transformerconv": [
        {},
        {"num_heads": 3, "edge_feats": 3, "gate": True, "attn_drop": 0.3},
        {"num_heads": 2, "concat": False, "skip": False, "bias": False, "edge_feats": 2},
    ],
    "edgeconv": [{"num_layers": 1}, {"aggregator": "sum", "norm": "batch"}, {"aggregator": "mean", "num_layers": 1}],
    "nnconv": [
        {"edge_feats": 2, "hidden": 4, "aggregator": "max"},
        {"edge_feats": 2, "hidden": 3, "aggregator": "mean", "root_weight": False},
    ],
    "sheafconv": [
        {"maps": "orthogonal"},
        {"maps": "general", "activation": "tanh"},
        {"maps": "diagonal", "stalk": 1},
        {"maps": "general", "stalk": 4},
    ],
    "cognnconv": [{"learn_tau": True, "tau": 0.2, "evaluate": "argmax"}],
    "cfconv": [{"edge_feats": 3, "hidden": 4, "activate": False}],
}


@pytest.mark.parametrize("law", list(LAYER_LAWS))
@pytest.mark.parametrize(("name", "arguments"), [(n, a) for n, many in VARIANTS.items() for a in many], ids=str)
def test_law_of_variant(name, arguments, law):
    if law not in entries("layer")[name].declines:
        LAYER_LAWS[law](_make(name, (4, 6), arguments))
