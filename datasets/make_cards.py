"""Write the ``files:`` section of dataset cards from a manifest of raw files and the files themselves.

    python datasets/make_cards.py --data ../shared/data [NAME ...]

The part of a card above ``files:`` is written by hand. For each card with a ``family`` and a ``dataset`` this script
lists the raw files of that folder with the size and SHA-256 of their content, where a mirror has them (and the SHA-256
of the bytes stored there, where that differs), and where they are published. It stops if a file does not have the
checksum of its row in the manifest.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import sys
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

import yaml

HERE = Path(__file__).resolve().parent
SKIPPED = ("README", "DATA-DESCRIPTION", "label_readme", ".DS_Store")
#: Families whose canonical address is a page, not a file: taken from the repository that the mirror's copy came from.
FROM_SOURCE = (
    "attack",
    "benchmarking_gnns_splits",
    "combinatorial",
    "explain",
    "expressivity",
    "gnn_comparison_splits",
    "hypergraph",
    "molecules",
    "nas",
    "relational-reasoning",
    "simplicial",
    "social",
    "spatiotemporal",
    "temporal",
)
#: For cards that use a part of their folder: patterns of the files they take.
ONLY: dict[str, tuple[str, ...]] = {
    "nas-bench-201": ("nasbench201_accuracies.csv*",),
    **{f"nas-bench-graph-{n}": (f"{n}.bench*",) for n in ("citeseer", "cora", "cs", "photo", "pubmed")},
    **{f"sr{n}": (f"sr{n}.g6*",) for n in (16622, 251256, 281264, 291467, 351668, 351899, 361446, 401224)},
    **{f"twitch-{part.lower()}": (f"{part}/*",) for part in ("DE", "ENGB", "ES", "FR", "PTBR", "RU")},
    "hetrec-lastfm": ("user_artists.dat*",),
    "hetrec-lastfm-friends": ("user_friends.dat*",),
    "zinc250k-jtnn": ("valid.txt*", "test.txt*"),
    "zinc250k-opt": ("opt.valid.logP-SA", "opt.test.logP-SA"),
    "clutrr": ("data_089907f8.zip",),
    "clutrr-robust": ("data_7c5b0e70.zip",),
    "regenn-covid19-d1": ("D1-045-COVID19.pth",),
    "regenn-covid19-d2": ("D2-120-COVID19.pth",),
}
#: Files that a card takes from other folders: family, dataset, file there, name on the card.
BORROWED: dict[str, list[tuple[str, str, str, str]]] = {
    name: [("gnn_comparison_splits", folder, f"{title}_splits.json{packed}", "folds/fair-comparison.json")]
    for name, folder, title, packed in (
        ("enzymes", "CHEMICAL", "ENZYMES", ""),
        ("nci1", "CHEMICAL", "NCI1", ".gz"),
        ("proteins", "CHEMICAL", "PROTEINS_full", ""),
        ("imdb-binary", "COLLABORATIVE_DEGREE", "IMDB-BINARY", ""),
        ("imdb-multi", "COLLABORATIVE_DEGREE", "IMDB-MULTI", ""),
    )
}
for name, title in (("imdb-binary", "IMDB-BINARY"), ("imdb-multi", "IMDB-MULTI")):
    BORROWED[name].append(
        ("gnn_comparison_splits", "COLLABORATIVE_1", f"{title}_splits.json", "folds/fair-comparison-constant.json")
    )
for name, title in (("enzymes", "ENZYMES"), ("proteins", "PROTEINS_full")):
    BORROWED[name] += [
        ("benchmarking_gnns_splits", "TUs", f"{title}_{part}.index", f"folds/benchmarking-gnns_{part}.index")
        for part in ("train", "val", "test")
    ]

#: Graphs to attack: the clean one, then Pro-GNN's perturbed ones, targets and split.
ATTACKED = {
    f"{name.replace('_', '-')}-{attack}": (name, attack)
    for name in ("cora", "citeseer", "cora_ml", "polblogs")
    for attack in ("attack", "meta", "nettack")
    if (name, attack) != ("cora_ml", "nettack")
}
for name, (graph, attack) in ATTACKED.items():
    ONLY[name] = (f"{graph}.npz",)
    changed = {
        "attack": [],
        "meta": [f"meta/{graph}_meta_adj_{rate}.npz" for rate in (0.05, 0.1, 0.15, 0.2, 0.25)],
        "nettack": [
            f"nettack/{graph}_nettacked_nodes.json",
            *(f"nettack/{graph}_nettack_adj_{n}.0.npz" for n in (1, 2, 3, 4, 5)),
        ],
    }[attack]
    BORROWED[name] = [("attack", "pro_gnn", file, file) for file in (f"splits/{graph}_prognn_splits.json", *changed)]


def digest(data: bytes) -> str:
    """Return the SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def raw_url(row: dict) -> str:
    """Where the bytes of the mirror were taken from."""
    return f"https://github.com/{row['source_repo']}/raw/HEAD/{quote(row['source_path'])}"


def published(row: dict, name: str) -> list[dict]:
    """Return the URL sources of one raw file, most direct first."""
    canonical, family = row["canonical_url"], row["family"]
    if family == "tu":
        return [{"url": canonical, "member": f"{row['dataset']}/{name}"}]
    if family == "gin_folds":
        return [{"url": raw_url(row)}]
    if family == "knowledge-graph":
        return [{"url": canonical, "member": row["source_path"].partition(":")[2]}]
    if family == "moleculenet":
        return [{"url": raw_url(row)}, {"url": canonical}]
    if family in FROM_SOURCE:
        return [{"url": raw_url(row)}] if row["source_repo"] else [{"url": canonical}]
    if canonical.endswith(".zip"):
        return [{"url": raw_url(row)}, {"url": canonical, "member": name}]
    if canonical.startswith("https://") and " " not in canonical and "/tree/" not in canonical:
        return [{"url": canonical}]
    return [{"url": raw_url(row)}]


def entry(data: Path, row: dict) -> dict:
    """Make the card's entry of one row of the manifest."""
    path = data / row["family"] / row["dataset"] / row["file"]
    stored = path.read_bytes()
    if digest(stored) != row["sha256"]:
        sys.exit(f"{path} does not have the checksum of its row in the manifest")
    packed = path.name.endswith(".gz")
    content, name = (gzip.decompress(stored), row["file"].removesuffix(".gz")) if packed else (stored, row["file"])
    mirror: dict = {"mirror": row["file"]}
    if packed:
        mirror |= {"bytes": len(stored), "sha256": digest(stored)}
    if "(re-encoded" in row["source_path"]:  # nobody here has seen the bytes of the published form
        mirror |= {"bytes": len(stored), "sha256": digest(stored), "content_sha256": digest(content)}
        return {"name": name, "bytes": len(content), "sources": [mirror, *published(row, name)]}
    return {"name": name, "bytes": len(content), "sha256": digest(content), "sources": [mirror, *published(row, name)]}


def listed(made: dict) -> str:
    """Return an entry as one line of YAML."""
    return "  - " + yaml.safe_dump(made, default_flow_style=True, sort_keys=False, width=10_000).strip()


def section(data: Path, rows: list[dict], card: dict) -> str:
    """Return the ``files:`` section of a card."""
    mine = [r for r in rows if (r["family"], r["dataset"]) == (card["family"], card["dataset"])]
    mine = [r for r in mine if not any(skip in r["file"] for skip in SKIPPED)]
    if card["name"] in ONLY:
        mine = [r for r in mine if any(fnmatch(r["file"], pattern) for pattern in ONLY[card["name"]])]
    if not mine:
        sys.exit(f"the manifest has no files of {card['family']}/{card['dataset']}")
    lines = ["files:"]
    for row in mine:
        made = entry(data, row)
        lines.append(listed(made))
    for family, dataset, file, name in BORROWED.get(card["name"], ()):
        row = next(r for r in rows if (r["family"], r["dataset"], r["file"]) == (family, dataset, file))
        made = entry(data, row) | {"name": name}
        made["sources"][0]["mirror"] = f"../../{family}/{dataset}/{file}"
        lines.append(listed(made))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Rewrite the cards' sections."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with MANIFEST-*.csv and the raw files")
    parser.add_argument("names", nargs="*", help="cards; all that have a family when none is given")
    arguments = parser.parse_args()
    rows: list[dict] = []
    for manifest in sorted(arguments.data.glob("MANIFEST-*.csv")):
        with manifest.open(newline="", encoding="utf-8") as stream:
            rows += csv.DictReader(stream)
    for path in sorted(HERE.glob("*.yaml")):
        head = path.read_text(encoding="utf-8").split("\nfiles:")[0].rstrip("\n") + "\n"
        card = yaml.safe_load(head)
        if (
            not card.get("family")
            or not card.get("verified", True)
            or (arguments.names and path.stem not in arguments.names)
        ):
            continue
        path.write_text(head + section(arguments.data, rows, card), encoding="utf-8")
        print(f"{path.name}: {len(yaml.safe_load(path.read_text())['files'])} files")


if __name__ == "__main__":
    main()
