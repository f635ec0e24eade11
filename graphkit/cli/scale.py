"""The commands for graphs that are large; registered when :mod:`graphkit.cli.app` is."""

from __future__ import annotations

from typing import Annotated

import typer

from graphkit.cli.app import DataOptions, Json, ModelArguments, _command, app


@_command(
    app,
    "plan",
    "Predict memory and time of a training.",
    "graphkit plan cora --model gcn",
    "graphkit plan my-graph --model sage --memory 4GB --batch-size 1024",
)
def plan(
    dataset: Annotated[str, typer.Argument(help="A name from: graphkit datasets; or a graph on disk, its folder.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="A name from: graphkit models.")] = "gcn",
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Targets in a sampled batch.")] = 1024,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What may be used, such as 8GB.", show_default="what is free")
    ] = None,
    set_: ModelArguments = None,
    data: DataOptions = None,
    as_json: Json = False,
) -> None:
    """Measure a piece of a training; say what all of it takes at once, sampled, and with features on disk."""
    from graphkit.cli.plan import main

    main(dataset, model, batch_size, memory, set_ or [], data or [], as_json)
