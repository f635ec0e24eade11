"""``graphkit datasets``, ``models`` and ``info``."""

from __future__ import annotations

import dataclasses
from typing import Any

from graphkit.bench.numbers import reported_number
from graphkit.cli.output import emit_json, say, show_pairs, show_table
from graphkit.core.errors import unknown

#: What to train on, by level.
EXAMPLES = {"node": "cora", "link": "cora --task link", "graph": "mutag", "triple": "nations"}
LEVELS = ("node", "link", "graph", "triple")


def list_datasets(task: str | None, as_json: bool) -> None:
    """Print the catalog: name, tasks, counts."""
    from graphkit import data

    cards = [data.card(name) for name in data.names(task)]
    if as_json:
        return emit_json([card_record(card) for card in cards])
    counts = ("graphs", "nodes", "edges")
    show_table(
        "Datasets",
        ("name", "tasks", *counts, "what"),
        (
            (c.name + ("" if c.files else " *"), " ".join(c.tasks), *(c.statistics.get(n, "") for n in counts), c.title)
            for c in cards
        ),
        right=counts,
        cut="what",
    )
    print("* needs no download. Edges count both directions. Any set of TUDataset: tu/NAME.")
    print("More on one: graphkit info NAME")
    return None


def card_record(card) -> dict[str, Any]:
    """Return a card as a plain mapping, without its list of files."""
    record = dataclasses.asdict(card)
    record["download"] = bool(record.pop("files"))
    return record


def model_record(entry) -> dict[str, Any]:
    """Return a registry entry as a plain mapping."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "level": entry.level,
        "levels": list(levels(entry)),
        "title": entry.title,
        "arxiv": entry.arxiv,
        "reported": [dataclasses.asdict(item) for item in entry.reported],
        "traits": sorted(entry.traits),
        "declines": dict(entry.declines),
        "defaults": dict(entry.options.get("fit") or {}),
        "summary": summary(entry.obj),
    }


def levels(entry) -> tuple[str, ...]:
    """Return the levels at which a system can be built."""
    return tuple(entry.options.get("levels") or ((entry.level,) if entry.level else ()))


def summary(obj: Any) -> str:
    """Return the first sentence of an object's docstring."""
    lines: list[str] = []
    for line in (getattr(obj, "__doc__", None) or "").strip().splitlines():
        if not line.strip():
            break
        lines.append(line.strip())
    return " ".join(lines)


def list_models(level: str | None, as_json: bool) -> None:
    """Print the registered systems: name, levels, paper."""
    from graphkit.core import registry

    if level is not None and level not in LEVELS:
        raise unknown("level", level, LEVELS)
    found = [e for e in registry.entries("model").values() if level is None or level in levels(e) or e.level == "any"]
    if as_json:
        return emit_json([model_record(entry) for entry in found])
    show_table(
        "Systems",
        ("name", "levels", "arXiv", "paper"),
        ((e.name, " ".join(levels(e)), e.arxiv or "-", e.title) for e in found),
    )
    declined = [(e.name, f"declines {law}: {why}") for e in found for law, why in e.declines.items()]
    if declined:
        show_pairs(declined)
    print("More on one: graphkit info NAME")
    return None


def show_info(name: str, as_json: bool) -> None:
    """Print what is known of a dataset, a system or an explainer."""
    from graphkit import data
    from graphkit.core import registry

    kinds = {kind: registry.entries(kind) for kind in ("model", "explainer")}
    entry = next((found[name.lower()] for found in kinds.values() if name.lower() in found), None)
    try:
        card = data.card(name)
    except ValueError:
        if entry is None:
            choices = [*data.names(), *kinds["model"], *kinds["explainer"]]
            raise unknown("dataset or model", name, choices) from None
        card = None
    if as_json:
        return emit_json({**card_record(card), "kind": "dataset"} if card is not None else model_record(entry))
    return show_card(card) if card is not None else show_entry(entry)


def show_card(card) -> None:
    """Print a dataset's card for people."""
    say(f"{card.name}: {card.title}\n")
    defaults = "; ".join(f"{task}: {card.split_for(task)}" for task in card.tasks)
    counts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in card.statistics.items())
    show_pairs(
        [
            ("tasks", ", ".join(card.tasks)),
            ("size", counts),
            ("directed", "yes" if card.directed else "no"),
            ("splits", defaults),
            ("target", card.target),
            ("licence", card.licence),
            ("cite", card.citation),
            ("arXiv", card.arxiv),
            ("page", card.homepage),
            ("download", "none needed" if not card.files else f"{len(card.files)} files, checksums on the card"),
            ("checked", "yes" if card.verified else "no: needs verify=False (train --data verify=false)"),
            *(("trap", trap) for trap in card.traps),
        ]
    )
    print(f"\nTry: graphkit train {card.name}")


def show_entry(entry) -> None:
    """Print a system's or explainer's record for people."""
    say(f"{entry.name}: {summary(entry.obj)}\n".replace("``", ""))
    show_pairs(
        [
            ("paper", entry.title),
            ("arXiv", entry.arxiv),
            ("levels", ", ".join(levels(entry))),
            ("traits", ", ".join(sorted(entry.traits))),
            *((f"declines {law}", why) for law, why in entry.declines.items()),
        ]
    )
    if entry.reported:
        show_table(
            "Reported",
            ("dataset", "metric", "value", "protocol", "source"),
            (
                (r.dataset, r.metric, reported_number(r.metric, r.value, r.std), r.protocol, r.source)
                for r in entry.reported
            ),
            right=("value",),
        )
    if entry.kind == "model":
        print(f"Try: graphkit train {EXAMPLES.get(levels(entry)[0], 'cora')} --model {entry.name}")
