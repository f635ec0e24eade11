"""``graphkit partition``: a graph in parts for several machines, and what they would send one another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.cli import parse
from graphkit.cli.output import emit_json, say, show_table
from graphkit.core.errors import GraphKitError

if TYPE_CHECKING:
    from graphkit.data import Dataset
    from graphkit.sampling import Part


def main(dataset: str, parts: int, hops: int, out: Path | None, data_words: list[str], as_json: bool) -> None:
    """Cut, write the owners of nodes if asked, and print what each part holds."""
    import torch

    import graphkit as gk
    from graphkit.data.cut import part_folders
    from graphkit.sampling import partition

    if out is not None and out.suffix not in ("", ".npy"):
        raise GraphKitError(f"--out is {out}; expected a folder for the parts, or a file that ends in .npy")
    if out is not None and out.is_dir() and any(out.iterdir()) and not part_folders(out):
        raise GraphKitError(f"--out is {out}, which holds something else; expected a new folder")
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
    told = "" if out is None else _write(out, data, found, hops)
    share = sum(part.cut for part in found) / max(graph.num_edges(), 1)
    if as_json:
        emit_json({"dataset": data.name, "hops": hops, "cut_share": share, "parts": rows})
        return
    columns = ("part", "own nodes", "to train on", f"halo of {hops} hops", "edges from other parts")
    cells = [tuple("" if value is None else f"{value:,}" for value in row.values()) for row in rows]
    show_table(f"{data.name} in {parts} parts", columns, cells, right=columns)
    say(f"{share:.1%} of the edges join two parts" + told)


def _write(out: Path, data: Dataset, found: list[Part], hops: int) -> str:
    """Write the part of each node, or the parts themselves, and say what to do with them."""
    import numpy as np
    import torch

    from graphkit.data import write_parts
    from graphkit.fit.folder import write_atomic

    owner = torch.empty(data.num_rows, dtype=torch.int64)
    for part in found:
        owner[part.own] = part.number
    if out.suffix != ".npy":
        write_parts(data, owner, out, hops)
        return f"; train on them: graphkit train {out} --devices {len(found)}"

    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, owner.int().numpy())

    write_atomic(out, save)
    return f"; the part of each node: {out}"
