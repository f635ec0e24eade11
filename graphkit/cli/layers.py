"""``graphkit layers``, and what ``info`` tells of one."""

from __future__ import annotations

import inspect
from typing import Any

from graphkit.cli.output import emit_json, say, show_pairs, show_table
from graphkit.core.errors import unknown

FAMILIES = {
    "convolution": "Convolutions",
    "relational": "With relations (etype)",
    "hypergraph": "On hypergraphs",
    "global": "Over all nodes of a graph: attention, norms",
    "pool": "Pools: a row per graph, or a smaller graph",
}


def family(entry) -> str:
    """Return which of ``FAMILIES`` a layer or pool belongs to."""
    if entry.kind == "pool":
        return "pool"
    if entry.options.get("hypergraph"):
        return "hypergraph"
    if "reads no edges" in entry.declines.get("edge_weight", ""):
        return "global"
    return "relational" if "num_rels" in inspect.signature(entry.obj).parameters else "convolution"


def arguments(obj: Any) -> dict[str, Any]:
    """Return a class's arguments with their defaults; ``"required"`` where there is none."""
    found = inspect.signature(obj).parameters.values()
    return {one.name: "required" if one.default is one.empty else one.default for one in found}


def first_sentence(obj: Any) -> tuple[str, str]:
    """Return what a layer's docstring says it is, and its formula."""
    text = " ".join(inspect.getdoc(obj).split("\n\n")[0].split())
    what, _, formula = text.partition(": ``")
    return what.replace("``", "").rstrip("."), formula.replace("``", "").rstrip(".")


def layer_record(entry) -> dict[str, Any]:
    """Return a layer's or pool's registry entry as a plain mapping."""
    what, formula = first_sentence(entry.obj)
    return {
        "name": entry.name,
        "class": f"graphkit.nn.{entry.obj.__name__}",
        "kind": entry.kind,
        "family": family(entry),
        "what": what,
        "formula": formula,
        "title": entry.title,
        "arxiv": entry.arxiv,
        "arguments": arguments(entry.obj),
        "traits": sorted(entry.traits),
        "declines": dict(entry.declines),
    }


def all_layers() -> dict[str, Any]:
    """Return the entries of all layers and pools, by name."""
    from graphkit.core import registry

    return {**registry.entries("layer"), **registry.entries("pool")}


def list_layers(only: str | None, as_json: bool) -> None:
    """Print the layers and pools, a line each, by family."""
    if only is not None and only not in FAMILIES:
        raise unknown("family", only, FAMILIES)
    found = [entry for entry in all_layers().values() if only in (None, family(entry))]
    if as_json:
        return emit_json([layer_record(entry) for entry in found])
    for name, title in FAMILIES.items():
        rows = [
            (e.obj.__name__, first_sentence(e.obj)[0], e.arxiv or "-")
            for e in sorted(found, key=lambda e: e.obj.__name__.lower())
            if family(e) == name
        ]
        if rows:
            show_table(title, ("class", "what it does", "arXiv"), rows, cut="what it does")
    print("All are in graphkit.nn. More on one: graphkit info NAME")
    return None


def find_layer(name: str):
    """Return the entry of that name or class name, or None."""
    found = all_layers()
    by_class = {entry.obj.__name__.lower(): entry for entry in found.values()}
    return found.get(name.lower()) or by_class.get(name.lower())


def show_layer(entry) -> None:
    """Print a layer's or pool's record for people."""
    record = layer_record(entry)
    say(f"{entry.obj.__name__}: {record['what']}\n")
    given = ", ".join(
        name if default == "required" else f"{name}={default!r}" for name, default in record["arguments"].items()
    )
    show_pairs(
        [
            ("formula", record["formula"]),
            ("paper", entry.title),
            ("arXiv", entry.arxiv),
            ("family", record["family"]),
            ("arguments", given),
            ("traits", ", ".join(record["traits"])),
            *((f"declines {law}", why) for law, why in entry.declines.items()),
        ]
    )
    print(f"Shapes, errors, an example: help(graphkit.nn.{entry.obj.__name__})")
