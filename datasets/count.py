"""Load every dataset whose raw files are at hand, count what is in it, and write the table of datasets/README.md.

    python datasets/count.py [NAME ...]

Each count goes to ``counted.json`` beside this script as soon as it is made, so that a run may be cut short and taken
up again; names restrict a run to some sets. The table shows what was computed beside what was published.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from graphkit import data
from graphkit.bench.readme import refresh
from graphkit.core.errors import GraphKitError
from graphkit.data.describe import at_hand

HERE = Path(__file__).resolve().parent
LEDGER = HERE / "counted.json"


def count(name: str) -> dict[str, object]:
    """Load one dataset and return its counts, or the sentence that says why it does not load."""
    card = data.card(name)
    start = time.perf_counter()
    try:
        made = data.load(name, verify=card.verified)
    except GraphKitError as error:
        return {"error": str(error)}
    return {"counted": made.statistics(), "seconds": round(time.perf_counter() - start, 2)}


def main() -> int:
    """Count, write the ledger and the table, and say which counts are not the card's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these datasets")
    parser.add_argument("--table", action="store_true", help="write the table from the ledger, and count nothing")
    arguments = parser.parse_args()
    ledger = json.loads(LEDGER.read_text()) if LEDGER.exists() else {}
    wrong = 0
    for name in () if arguments.table else arguments.names or data.names():
        card = data.card(name)
        if not at_hand(card):
            continue
        ledger[card.name] = count(card.name)
        LEDGER.write_text(json.dumps(dict(sorted(ledger.items())), indent=1) + "\n")
        found = ledger[card.name].get("counted")
        if found is None or (card.verified and found != dict(card.statistics)):
            wrong += 1
            print(f"{card.name}: {found or ledger[card.name]['error']}, but the card says {dict(card.statistics)}")
    page = HERE / "README.md"
    page.write_text(refresh(page.read_text()))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
