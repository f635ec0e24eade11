"""Dataset cards: what a dataset is, where its files are, what they must hash to; and the catalog of their names."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from graphkit.core.errors import AmbiguousNameError, DataError, GraphKitError, unknown

TASKS = ("node", "link", "graph", "triple", "temporal-link", "hyperedge", "forecast")
#: Split of each task where neither the user nor the card names one.
SPLITS = {
    "node": "random",
    "link": "random-link",
    "graph": "random",
    "triple": "public",
    "temporal-link": "time",
    "hyperedge": "time",
    "forecast": "windows",
}
TU_ARCHIVE = "https://www.chrsmrrs.com/graphkerneldatasets/{name}.zip"
TU_PARTS = (
    ("A", True),
    ("graph_indicator", True),
    ("graph_labels", False),
    ("graph_attributes", False),
    ("node_labels", False),
    ("node_attributes", False),
    ("edge_labels", False),
    ("edge_attributes", False),
)


@dataclass(frozen=True)
class Source:
    """One place a file can come from.

    Parameters
    ----------
    mirror : str
        Path below ``<family>/<dataset>/`` of a mirror; empty for a URL source.
    url : str
        Where it is published; empty for a mirror source.
    member : str
        The file's path inside the archive at ``url``; empty when ``url`` is the file itself.
    bytes, sha256
        Size and SHA-256 of what is stored there (packed, if it is); 0 and empty where nobody has measured them.
    content_sha256 : str
        SHA-256 of the unpacked content, only where this source is re-encoded and so differs from the entry's.
    """

    mirror: str = ""
    url: str = ""
    member: str = ""
    bytes: int = 0
    sha256: str = ""
    content_sha256: str = ""


@dataclass(frozen=True)
class FileEntry:
    """One raw file: its published name, its unpacked size and SHA-256, and its sources in order of preference."""

    name: str
    bytes: int = 0
    sha256: str = ""
    sources: tuple[Source, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Card:
    """What is known of a dataset before it is loaded.

    Parameters
    ----------
    name, title : str
    family, dataset : str
        The folder ``<family>/<dataset>/`` of a mirror that holds the raw files.
    tasks : tuple of str
        ``node``, ``link``, ``graph``, ``triple``, ``temporal-link`` (events in time order), ``hyperedge`` or
        ``forecast`` (series on the nodes); the first is the default.
    reader : str
        Name of the registered reader; ``options`` are its arguments.
    target : str
        ``class`` (int64 labels), ``binary`` (float32, one column per task) or ``regression``.
    statistics : mapping
        Counts as loaded (edges count both directions of an undirected edge); the tests compare these.
    published : mapping
        Counts as the paper or the dataset's page prints them.
    splits : mapping of task to str
        Default split of each task.
    split_options : mapping of split to mapping
        Arguments that this dataset's publications give a protocol, such as a ratio.
    split_sizes : mapping of split to list of int
        Sizes of train, val and test of published splits.
    directed : bool
    multi_edges, self_loops : str
        What the raw files hold and what the reader does about it.
    traps : tuple of str
        What went wrong for others.
    verified : bool
        Whether every file has a checksum and the counts were checked against real files.
    files : tuple of FileEntry
    aliases : tuple of str
        Other names of the same data in publications; one that several cards claim is ambiguous.
    """

    name: str
    title: str
    reader: str
    tasks: tuple[str, ...]
    family: str = ""
    dataset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    target: str = "class"
    metric: str = ""
    licence: str = ""
    citation: str = ""
    arxiv: str = ""
    homepage: str = ""
    statistics: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    split_options: Mapping[str, Any] = field(default_factory=dict)
    split_sizes: Mapping[str, Any] = field(default_factory=dict)
    directed: bool = False
    multi_edges: str = ""
    self_loops: str = ""
    traps: tuple[str, ...] = ()
    verified: bool = True
    files: tuple[FileEntry, ...] = ()
    aliases: tuple[str, ...] = ()

    def split_for(self, task: str) -> str:
        """Return the split that a task uses when the user names none."""
        return self.splits.get(task, SPLITS[task])


def folder() -> Path:
    """Return the folder of the cards: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent.parent
    shipped = here / "_datasets"
    return shipped if shipped.is_dir() else here.parent / "datasets"


@functools.lru_cache(maxsize=1)
def _stems() -> dict[str, Path]:
    return {path.stem.lower(): path for path in sorted(folder().glob("*.yaml"))}


def names(task: str | None = None) -> list[str]:
    """Return the names of all datasets, sorted; with ``task``, of those that have it.

    Raises
    ------
    UnknownNameError
        If the task is unknown.

    Examples
    --------
    >>> "cora" in names(), "cora" in names(task="triple")
    (True, False)
    """
    if task is None:
        return list(_stems())
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    return [name for name in _stems() if task in card(name).tasks]


def _flat(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def canonical(name: str) -> str:
    """Return the catalog's spelling of ``name``: case and the choice of ``-`` or ``_`` do not matter.

    The plain name is the most used form (``cora``: Planetoid's); every other form carries its source as a suffix.

    Raises
    ------
    UnknownNameError
        If there is no such dataset; the message suggests the nearest name.
    AmbiguousNameError
        If several could be meant, which the message lists: several cards claim the name as an alias, or begin with it.

    >>> canonical("PTC-mr")
    'ptc_mr'
    >>> canonical("airports")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    graphkit.core.errors.AmbiguousNameError: the name 'airports' is ambiguous; say which: airports-brazil, ...
    """
    given = str(name).strip()
    if given.lower().startswith("tu/"):
        return "tu/" + given[3:]
    flat = {_flat(stem): stem for stem in _stems()}
    if _flat(given) in flat:
        return flat[_flat(given)]
    claimed = set(_aliases().get(_flat(given), ()))
    meant = sorted(claimed | {stem for key, stem in flat.items() if given and key.startswith(f"{_flat(given)}-")})
    if len(claimed) == 1 and len(meant) == 1:
        return meant[0]
    if len(meant) > 1:
        raise AmbiguousNameError(f"the name {name!r} is ambiguous; say which: {', '.join(meant)}")
    raise unknown("dataset", name, meant or [*_stems(), *_aliases()])


@functools.lru_cache(maxsize=1)
def _aliases() -> dict[str, list[str]]:
    """Return which cards claim an alias; read only for names that are no card's."""
    found: dict[str, list[str]] = {}
    for stem, path in _stems().items():
        for alias in _read(path).aliases:
            found.setdefault(_flat(alias), []).append(stem)
    return found


def card(name: str) -> Card:
    """Return the card of a dataset.

    ``tu/NAME`` makes a card for any set of TUDataset that has none; its files carry no checksum, so loading it
    needs ``verify=False``.

    Raises
    ------
    UnknownNameError
        If there is no such dataset.
    DataError
        If the card's file is malformed.

    Examples
    --------
    >>> card("Cora").tasks
    ('node', 'link')
    """
    known = canonical(name)
    return tu_card(known[3:]) if known.startswith("tu/") else _read(_stems()[known])


@functools.cache
def _read(path: Path) -> Card:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
        return parse(document)
    except (yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"the card {path.name} cannot be read: {error}") from error


def parse(document: Mapping[str, Any]) -> Card:
    """Make a card from the mapping that its YAML file holds.

    Raises
    ------
    GraphKitError
        If a key or task is unknown.

    >>> parse({"name": "toy", "title": "Toy", "reader": "triples", "tasks": ["triple"]}).split_for("triple")
    'public'
    """
    values = dict(document)
    allowed = [f.name for f in fields(Card)]
    for key in values:
        if key not in allowed:
            raise unknown("card key", key, allowed)
    for task in values["tasks"]:
        if task not in TASKS:
            raise unknown("task", task, TASKS)
    entries = []
    for item in values.pop("files", None) or ():
        sources = tuple(Source(**source) for source in item.get("sources", ()))
        entries.append(FileEntry(**{**item, "sources": sources}))
    values.setdefault("verified", True)
    values["arxiv"] = str(values.get("arxiv") or "")
    for key in ("tasks", "traps", "aliases"):
        values[key] = tuple(values.get(key) or ())
    return Card(**values, files=tuple(entries))


def tu_card(name: str) -> Card:
    """Return an unverified card for the set of TUDataset called ``name`` (its spelling there matters).

    >>> tu_card("DD").verified
    False
    """
    if not name or any(c in name for c in "/\\ :"):
        raise GraphKitError(f"{name!r} is not the name of a TUDataset; expected one such as 'tu/DD'")
    url = TU_ARCHIVE.format(name=name)
    entries = tuple(
        FileEntry(
            f"{name}_{part}.txt",
            sources=(
                Source(mirror=f"{name}_{part}.txt"),
                Source(mirror=f"{name}_{part}.txt.gz"),
                Source(url=url, member=f"{name}/{name}_{part}.txt"),
            ),
            optional=not needed,
        )
        for part, needed in TU_PARTS
    )
    return Card(
        name=f"tu/{name}",
        title=f"{name} of TUDataset",
        reader="tu",
        tasks=("graph",),
        family="tu",
        dataset=name,
        licence="unstated (public benchmark; cite TUDataset and the original paper)",
        citation="Morris et al., TUDataset: A collection of benchmark datasets for learning with graphs, 2020",
        arxiv="2007.08663",
        splits={"graph": "stratified10"},
        verified=False,
        files=entries,
    )
