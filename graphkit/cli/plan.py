"""``graphkit plan``: what a training will take, before it begins."""

from __future__ import annotations

from typing import Any

from graphkit.cli import parse
from graphkit.cli.output import emit_json, say, show_table


def main(
    dataset: str,
    model: str,
    batch_size: int,
    memory: str | None,
    words: list[str],
    data_words: list[str],
    as_json: bool,
) -> None:
    """Measure a piece and print the three ways."""
    import graphkit as gk
    from graphkit.core import registry
    from graphkit.core.sizes import show_bytes

    registry.find("model", model)
    arguments: dict[str, Any] = parse.settings(words)
    data = gk.load(dataset, **parse.settings(data_words, "--data"))
    found = gk.plan(model, data, batch_size=batch_size, memory=memory, **arguments)
    if as_json:
        emit_json({"dataset": data.name, "model": model, **found.as_dict()})
        return
    columns = ("way", "memory", "on disk", "epoch", f"fits {show_bytes(found.memory)}")
    rows = [
        (way.name, show_bytes(way.memory), show_bytes(way.disk) if way.disk else "", f"{way.seconds:.3g} s",
         "yes" if way.fits else "no")
        for way in found.ways
    ]  # fmt: skip
    show_table(f"{model} on {data.name}: what training will take", columns, rows, right=("memory", "on disk", "epoch"))
    say(found.advice)
