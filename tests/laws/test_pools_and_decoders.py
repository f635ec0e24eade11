"""Every registered pool and decoder keeps every law that its registration does not decline."""

import pytest

from graphkit.core.registry import entries
from graphkit.testing import DECODER_LAWS, POOL_LAWS


@pytest.mark.parametrize(("name", "law"), [(name, law) for name in entries("pool") for law in POOL_LAWS])
def test_pool(name, law):
    entry = entries("pool")[name]
    if law in entry.declines:
        pytest.skip(f"{name} declines {law}: {entry.declines[law]}")
    POOL_LAWS[law](lambda: entry.obj(4, **entry.options.get("example", {})))


@pytest.mark.parametrize(("name", "law"), [(name, law) for name in entries("decoder") for law in DECODER_LAWS])
def test_decoder(name, law):
    entry = entries("decoder")[name]
    if law in entry.declines:
        pytest.skip(f"{name} declines {law}: {entry.declines[law]}")
    DECODER_LAWS[law](lambda: entry.obj(4, **entry.options.get("example", {})))
