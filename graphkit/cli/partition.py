"""``graphkit partition``: a graph in parts for several machines, and what they would send one another."""

from __future__ import annotations

from pathlib import Path

from graphkit.cli import parse
from graphkit.cli.output import emit_json, say, show_table
from graphkit.core.errors import GraphKitError


def main(dataset: str, parts: int, hops: int, out: Path | None, data_words: list[str], as_json: bool) -> None:
    """Cut, write the owners of nodes if asked, and print what each part holds."""
    import numpy as np
    import torch

    import graphkit as gk
    from graphkit.fit.folder import write_atomic
    from graphkit.sampling import partition

    if out is not None and out.suffix != ".npy":
        raise GraphKitError(f"--out is {out}; expected a file that ends in .npy, with the part of each node")
    data = gk.load(dataset, **parse.settings(data_words, "--data"))
    graph = data.graph
    found = partition(graph, parts, hops)
    train = data.splits.get("train")
    train = train if isinstance(train, torch.Tensor) else None
    rows = [
        {
            "part": part.number,
            "nodes": len(part.own),
            "train": None if train is None else len(part.targets(train)),
            "halo": len(part.halo),
            "cut": part.cut,
        }
        for part in found
    ]
    if out is not None:
        owner = torch.empty(graph.num_nodes(), dtype=torch.int32)
        for part in found:
            owner[part.own] = part.number

        def save(path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, owner.numpy())

        write_atomic(out, save)
    share = sum(part.cut for part in found) / max(graph.num_edges(), 1)
    if as_json:
        emit_json({"dataset": data.name, "hops": hops, "cut_share": share, "parts": rows})
        return
    columns = ("part", "own nodes", "to train on", f"halo of {hops} hops", "edges from other parts")
    cells = [tuple("" if value is None else f"{value:,}" for value in row.values()) for row in rows]
    show_table(f"{data.name} in {parts} parts", columns, cells, right=columns)
    say(f"{share:.1%} of the edges join two parts" + (f"; the part of each node: {out}" if out else ""))
