"""Every registered temporal system keeps every law that its registration does not decline."""

import pytest

from graphkit.core.registry import entries
from graphkit.models import build
from graphkit.testing.temporal import SPEC, TEMPORAL_LAWS

SYSTEMS = {name: e for name, e in entries("model").items() if "temporal-link" in e.options["levels"]}


@pytest.mark.parametrize("law", TEMPORAL_LAWS)
@pytest.mark.parametrize("name", SYSTEMS)
def test_law(name, law):
    entry = SYSTEMS[name]
    if law in entry.declines:
        pytest.skip(f"{name} declines {law}: {entry.declines[law]}")
    TEMPORAL_LAWS[law](lambda: build(name, SPEC, **entry.options.get("example", {})))


VARIANTS = [
    ("edgebank", {"memory": "window"}),
    ("edgebank", {"memory": "window", "window": "duration", "undirected": True}),
    ("edgebank", {"memory": "repeat_window"}),
    ("edgebank", {"memory": "repeat_threshold"}),
    ("tgn", {"embedding": "sum", "memory_dim": 8, "time_dim": 6, "fanout": 4}),
    ("tgn", {"embedding": "time", "memory_dim": 8, "time_dim": 6}),
    ("tgn", {"embedding": "identity", "updater": "rnn", "memory_dim": 8, "time_dim": 6}),
    ("tgn", {"num_layers": 2, "memory_dim": 8, "time_dim": 6, "fanout": 3, "residual": True}),
    ("tgn", {"memory_dim": 0, "time_dim": 6, "fanout": 4}),
]


@pytest.mark.parametrize("law", TEMPORAL_LAWS)
@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=str)
def test_law_of_variant(name, arguments, law):
    TEMPORAL_LAWS[law](lambda: build(name, SPEC, **arguments))


@pytest.mark.parametrize("law", sorted(set(TEMPORAL_LAWS) - {"equivariance"}))
def test_tgat_with_uniform_sampling(law):
    """Draws are those of a node's number, so other numbers give other draws."""
    TEMPORAL_LAWS[law](lambda: build("tgat", SPEC, dim=8, time_dim=6, num_layers=2, fanout=4, sampling="uniform"))


@pytest.mark.parametrize("law", sorted(set(TEMPORAL_LAWS) - {"gradients"}))
def test_the_mean_of_messages(law):
    """Codes of time in a mean get no gradient, so the memory's own time code has none."""
    arguments = {"aggregator": "mean", "memory_dim": 8, "time_dim": 6, "fanout": 4}
    TEMPORAL_LAWS[law](lambda: build("tgn", SPEC, **arguments))
