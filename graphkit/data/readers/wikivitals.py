"""WikiVitals: articles of Wikipedia, the links among them and three levels of classes, in numbered parts of text."""

from __future__ import annotations

import re

import numpy as np
import torch

from graphkit.core.errors import DataError, GraphKitError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, integer_codes, tidy
from graphkit.data.store import Files


def _parts(files: Files, stem: str) -> list[str]:
    """Return the files ``STEM_X.txt`` by their number X."""
    found = []
    for name in files.names():
        match = re.fullmatch(rf"{stem}_(\d+)\.txt", name.rsplit("/", 1)[-1])
        if match:
            found.append((int(match[1]), name))
    if not found:
        raise DataError(f"expected files {stem}_X.txt, numbered, among the raw files, found none")
    return [name for _, name in sorted(found)]


def _one(files: Files, title: str) -> str:
    found = [name for name in files.names() if name.rsplit("/", 1)[-1] == title]
    if len(found) != 1:
        raise DataError(f"expected one file {title} among the raw files, found {len(found)}")
    return found[0]


def _rows(files: Files, name: str) -> list[tuple[int, str, str]]:
    """Return the lines ``id, tab, rest`` of a file as id, rest and where that is."""
    rows = []
    for number, line in tables.lines(files.read(name)):
        article, tab, rest = line.partition("\t")
        where = f"{files.label(name)}, line {number}"
        if not tab or not article.strip().isdecimal():
            raise DataError(f"{where}: {line[:60]!r} is not the id of an article, a tab and more")
        rows.append((int(article), rest.strip(), where))
    return rows


def _classes(files: Files, level: int) -> tuple[np.ndarray, torch.Tensor, list[str]]:
    """Return the articles' ids, ascending, with the code of each one's class and the classes' names."""
    known: dict[int, str] = {}
    for article, title, where in _rows(files, _one(files, f"__classes{level}.txt")):
        if article in known:
            raise DataError(f"{where}: the article {article} has a class already")
        if not title:
            raise DataError(f"{where}: the article {article} has no class")
        known[article] = title
    ids = np.array(sorted(known), dtype=np.int64)
    codes, names = integer_codes(np.array([known[article] for article in ids.tolist()], dtype=object))
    return ids, codes, names


def _places(wanted: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the place of each article among ``ids``, -1 where there is none."""
    place = np.searchsorted(ids, wanted).clip(max=max(len(ids) - 1, 0))
    return np.where(ids[place] == wanted, place, -1) if len(ids) else np.full(wanted.shape, -1)


def _features(files: Files, ids: np.ndarray) -> tuple[torch.Tensor, list[str]]:
    title = _one(files, "__wikivitals_vocabulary.txt")
    vocabulary = [word for _, line in tables.lines(files.read(title)) for word in line.split()]
    column = {word: i for i, word in enumerate(vocabulary)}
    if len(column) != len(vocabulary):
        raise DataError(f"{files.label(title)} names {len(vocabulary)} features, of which {len(column)} are distinct")
    place = {article: i for i, article in enumerate(ids.tolist())}
    feat, seen = torch.zeros(len(ids), len(vocabulary)), np.zeros(len(ids), dtype=bool)
    for name in _parts(files, "__wikivitals_features_one_hot"):
        for article, rest, where in _rows(files, name):
            row = place.get(article)
            if row is None or seen[row]:
                raise DataError(f"{where}: the article {article} {'has no class' if row is None else 'repeats'}")
            seen[row] = True
            words = [word.rpartition(":")[0] for word in rest.split()]
            unknown = next((word for word in words if word not in column), None)
            if unknown is not None:
                raise DataError(f"{where}: {unknown[:60]!r} is not in the vocabulary")
            feat[row, [column[word] for word in words]] = 1.0
    if not seen.all():
        raise DataError(
            f"the parts __wikivitals_features_one_hot_X.txt describe {int(seen.sum())} of {len(ids)} articles, but not "
            f"{ids[seen.argmin()]}; a part may be missing"
        )
    return feat, vocabulary


def _links(files: Files, ids: np.ndarray) -> np.ndarray:
    ends = []
    for name in _parts(files, "__links_filtered"):
        data, label = files.read(name), files.label(name)
        pairs = tables.integers(data, label, columns=3, delimiter="\t")[:, :2]
        found = _places(pairs, ids)
        wrong = np.argwhere(found < 0)
        if len(wrong):
            row, side = wrong[0].tolist()
            raise tables.complain_row(data, label, row, f"the article {pairs[row, side]} has no class")
        ends.append(found)
    return np.concatenate(ends)


@register(
    "wikivitals",
    kind="reader",
    level="node link",
    title="Fair Evaluation of Graph Markov Neural Networks",
    arxiv="2304.01235",
    keep=True,
)
def read_wikivitals(files: Files, *, level: int = 0, directed: bool = False) -> Raw:
    """Read articles, the links among them and their classes; nodes are in the ascending order of the articles' ids.

    Parameters
    ----------
    files : Files
        ``__classes0.txt``, ``__classes1.txt`` or ``__classes2.txt`` (id, tab, class); all parts
        ``__links_filtered_X.txt`` (id, id, 1.0, apart by tabs) and ``__wikivitals_features_one_hot_X.txt`` (id, tab,
        words ``stem:1``) that there are, whatever their numbers; ``__wikivitals_vocabulary.txt``; in any folder.
    level : int
        0 for the coarse classes, 1 for those between, 2 for the fine ones.
    directed : bool
        Keep the direction of links; else both directions are stored.

    Returns
    -------
    Raw
        ``feat`` of zeros and ones, float32 ``[N, D]``, in the vocabulary's order; ``label`` int64 ``[N]``;
        ``names["node"]`` (ids of articles), ``names["class"]`` and ``names["feature"]``.

    Raises
    ------
    GraphKitError
        If ``level`` is another number.
    DataError
        Naming file and line: a line in another form, an article or a word that is not known, an article that repeats
        or that no part describes.
    """
    if level not in (0, 1, 2):
        raise GraphKitError(f"level={level!r}; expected 0 (coarse classes), 1 or 2 (fine ones)")
    ids, label, classes = _classes(files, level)
    feat, vocabulary = _features(files, ids)
    ends = _links(files, ids)
    src, dst, fields, report = tidy(ends[:, 0], ends[:, 1], len(ids), directed=directed)
    names = {"node": [str(article) for article in ids.tolist()], "class": classes, "feature": vocabulary}
    collated = Collated.from_edges(src, dst, torch.tensor([len(ids)]), {"feat": feat, "label": label}, fields)
    return Raw(collated, {}, names, report, not directed)
