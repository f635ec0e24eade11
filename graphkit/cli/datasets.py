"""``graphkit datasets``, ``info`` of a dataset, and ``audit``."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

from graphkit.cli.output import emit_json, say, show_pairs, show_table

#: Above so many nodes or edges, ``info`` counts only when asked to.
LARGE = 3_000_000
WIDTH = 40


@dataclasses.dataclass(frozen=True)
class Filter:
    """Which datasets to list; None asks for nothing."""

    task: str | None = None
    max_nodes: int | None = None
    licence: str | None = None
    cached: bool | None = None
    verified: bool | None = None

    def takes(self, card) -> bool:
        """Say whether a card is asked for."""
        from graphkit.data.describe import at_hand

        nodes = card.statistics.get("nodes")
        return (
            (self.max_nodes is None or (nodes is not None and int(nodes) <= self.max_nodes))
            and (self.licence is None or self.licence.lower() in card.licence.lower())
            and (self.verified is None or self.verified == card.verified)
            and (self.cached is None or self.cached == at_hand(card))
        )


def list_datasets(wanted: Filter, as_json: bool) -> None:
    """Print the catalog: name, tasks, counts; as JSON, verified and unverified apart."""
    from graphkit import data

    cards = [card for card in map(data.card, data.names(wanted.task)) if wanted.takes(card)]
    if as_json:
        apart = {True: "verified", False: "unverified"}
        return emit_json({name: [card_record(c) for c in cards if c.verified is is_] for is_, name in apart.items()})
    counts = [name for name in ("graphs", "nodes", "edges") if any(name in card.statistics for card in cards)]
    show_table(
        "Datasets",
        ("name", "tasks", *counts, "what"),
        ((_marked(c), " ".join(c.tasks), *(c.statistics.get(n, "") for n in counts), c.title) for c in cards),
        right=counts,
        cut="what",
    )
    sure = sum(card.verified for card in cards)
    many = "1 dataset" if len(cards) == 1 else f"{len(cards)} datasets"
    print(f"{many}, {sure} verified: counted in the authors' files; ? is not.")
    print("* needs no download. Edges count both directions. Any set of TUDataset: tu/NAME.")
    print("More on one: graphkit info NAME, graphkit audit NAME")
    return None


def _marked(card) -> str:
    return card.name + ("" if card.files else " *") + ("" if card.verified else " ?")


def card_record(card) -> dict[str, Any]:
    """Return a card as a plain mapping, without its list of files."""
    from graphkit.data.describe import at_hand

    record = dataclasses.asdict(card)
    record["download"] = bool(record.pop("files"))
    return record | {"at_hand": at_hand(card)}


def computed(card, asked: bool | None) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Load a dataset and count, if that was asked for, or if its files are at hand and it is not large."""
    from graphkit.data.describe import at_hand, degree_bins, describe

    size = max(int(card.statistics.get(name, 0)) for name in ("nodes", "edges", "memberships"))
    if asked is False or (asked is None and (size > LARGE or not card.verified or not at_hand(card))):
        return {}, []
    from graphkit.data import load

    data = load(card.name, verify=bool(card.verified))
    return describe(data), degree_bins(data)


def show_info(card, asked: bool | None, as_json: bool) -> None:
    """Print a dataset's card, its counts computed and published side by side, its degrees, what to cite."""
    from graphkit.data.describe import bibtex

    found, bins = computed(card, asked)
    if as_json:
        more = {"computed": found or None, "degrees": dict(bins) or None, "bibtex": bibtex(card), "kind": "dataset"}
        return emit_json(card_record(card) | more)
    say(f"{card.name}: {card.title}\n")
    show_pairs(
        [
            ("also called", ", ".join(card.aliases)),
            ("tasks", ", ".join(card.tasks)),
            ("directed", "yes" if card.directed else "no"),
            ("splits", "; ".join(f"{task}: {card.split_for(task)}" for task in card.tasks)),
            ("target", card.target),
            ("licence", card.licence),
            ("page", card.homepage),
            ("download", "none needed" if not card.files else _download(card)),
            ("checked", "yes" if card.verified else "no: needs verify=False (train --data verify=false)"),
            *(("trap", trap) for trap in card.traps),
        ]
    )
    print()
    show_counts(card.statistics, card.published, found)
    if bins:
        show_bins(bins)
    elif card.files:
        print(f"Counted in the files: graphkit info {card.name} --computed\n")
    print(_wrapped(bibtex(card)))
    print(f"\nTry: graphkit audit {card.name}; graphkit train {card.name}")
    return None


def _download(card) -> str:
    """Say how many files there are, how large, and who vouches for them."""
    size = sum(entry.bytes for entry in card.files)
    unit, power = next(((u, p) for u, p in (("GB", 9), ("MB", 6), ("kB", 3)) if size >= 10**p), ("bytes", 0))
    held = f", {size / 10**power:.3g} {unit} unpacked" if size else ""
    files = "1 file" if len(card.files) == 1 else f"{len(card.files)} files"
    return files + held + (", checksums on the card" if card.verified else ", not all with a checksum")


def show_counts(stated: Mapping[str, Any], published: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Print a table of counts: of the card, computed now, published."""
    names = list(dict.fromkeys([*stated, *published, *found]))
    columns = ["", "card", "computed", "published"] if found else ["", "card", "published"]
    sources = (stated, found, published) if found else (stated, published)
    rows = [[name.replace("_", " "), *(_cell(source.get(name, "")) for source in sources)] for name in names]
    if rows:
        show_table("", columns, rows, right=columns[1:])


def _cell(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    return " ".join(map(str, value)) if len(value) <= 8 else f"{min(value)} to {max(value)}"


def show_bins(bins: list[tuple[str, int]]) -> None:
    """Print a histogram of degrees."""
    print("Nodes by degree")
    most = max(count for _, count in bins) or 1
    wide = max(len(name) for name, _ in bins)
    for name, count in bins:
        bar = "#" * max(round(WIDTH * count / most), int(count > 0))
        print(f"{name:>{wide + 2}} |{bar:<{WIDTH}} {count}")
    print()


def _wrapped(entry: str) -> str:
    return "\n".join(
        textwrap.fill(line, 78, subsequent_indent="    ", break_long_words=False) for line in entry.splitlines()
    )


def show_audit(name: str, task: str | None, split: str | None, seed: int, verify: bool, as_json: bool) -> None:
    """Print what an audit finds, the worst first."""
    from graphkit import data

    made = data.audit(data.load(name, split, seed, task, verify=verify))
    if as_json:
        return emit_json(made.record() | {"traps": len(made.traps)})
    say(f"{made.name} ({made.task}, split {made.split}, seed {seed})\n")
    rows = [(finding.severity, finding.text) for finding in made]
    show_pairs([(word if i == 0 or rows[i - 1][0] != word else " ", text) for i, (word, text) in enumerate(rows)])
    if made.known:
        say("\nThe card knows besides:")
        show_pairs([("-", trap) for trap in made.known])
    count = len(made.traps)
    print(f"\n{count} trap{'s' * (count != 1)} found." if count else "\nNo trap found.")
    return None
