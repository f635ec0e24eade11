"""Splits of nodes or graphs: int64 ids named train, val, test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.splits.links import published_links

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset

PARTS = ("train", "val", "test")
Parts = dict[str, Tensor]


def check_parts(parts: Mapping[str, Any], total: int, what: str = "nodes") -> Parts:
    """Return train, val and test as sorted int64 ids (from ids or boolean masks) if they are disjoint and in range.

    Parameters
    ----------
    parts : mapping
        ``train`` and any of ``val``, ``test``.
    total : int
        How many rows there are.
    what : str
        For the error.

    Raises
    ------
    GraphKitError
        If parts overlap, repeat or leave the range.

    Examples
    --------
    >>> check_parts({"train": [2, 0], "test": torch.tensor([False, True, False])}, 3)["test"].tolist()
    [1]
    """
    from graphkit.graphs.build import check_ids, index_tensor

    unknown_parts = set(parts) - set(PARTS)
    if unknown_parts or "train" not in parts:
        raise GraphKitError(f"a split names {', '.join(map(str, parts)) or 'nothing'}; expected train, val and test")
    owner = torch.zeros(total, dtype=torch.bool)
    made = {}
    for name in PARTS:
        given = parts.get(name, ())
        given = given if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given))
        if given.dtype == torch.bool:
            if len(given) != total:
                raise GraphKitError(f"the mask {name} has {len(given)} rows; expected one for each of {total} {what}")
            given = given.nonzero()[:, 0]
        ids = index_tensor(given, name).sort().values
        check_ids(ids, total, name, what)
        if owner[ids].any() or len(ids.unique()) != len(ids):
            raise GraphKitError(f"the split's part {name} repeats {what} of its own or of another part")
        owner[ids] = True
        made[name] = ids
    return made


def labelled(data: Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the rows that may enter a split (those with a label, if any have), and their class or None."""
    labels, total = data.labels, data.num_rows
    if labels is None:
        return np.arange(total), None
    if labels.is_floating_point():
        known = ~torch.isnan(labels).reshape(total, -1).all(1)
        return known.nonzero()[:, 0].numpy(), None
    rows = (labels >= 0).nonzero()[:, 0]
    return rows.numpy(), labels[rows].numpy()


def _classes(data: Dataset, protocol: str) -> tuple[np.ndarray, np.ndarray]:
    rows, classes = labelled(data)
    if classes is None:
        raise GraphKitError(f"the split {protocol!r} needs class labels, which {data.name} does not have")
    return rows, classes


def _shares(ratio: Sequence[float]) -> tuple[float, float, float]:
    share = tuple(float(part) for part in ratio)
    if len(share) != 3 or min(share) < 0 or share[0] <= 0 or abs(sum(share) - 1) > 1e-6:
        raise GraphKitError(
            f"ratio={tuple(ratio)} is no split; expected three shares of train, val, test that add up to 1"
        )
    return share  # type: ignore[return-value]


def cut(order: np.ndarray, ratio: Sequence[float]) -> list[np.ndarray]:
    """Cut an order of rows into three parts by ratio, rounding so that all rows are used.

    >>> [part.tolist() for part in cut(np.arange(5), (0.6, 0.2, 0.2))]
    [[0, 1, 2], [3], [4]]
    """
    share = _shares(ratio)
    first, second = round(len(order) * share[0]), round(len(order) * (share[0] + share[1]))
    return [order[:first], order[first:second], order[second:]]


def stratified_order(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random order in which every class is spread evenly, so that any cut of it is stratified.

    >>> order = stratified_order(np.array([0, 0, 1, 1]), np.random.default_rng(0))
    >>> sorted(np.array([0, 0, 1, 1])[order][:2].tolist())
    [0, 1]
    """
    shuffled = rng.permutation(len(classes))
    place = np.empty(len(classes))
    for value in np.unique(classes):
        members = shuffled[classes[shuffled] == value]
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.lexsort((rng.random(len(classes)), place))


@register("public", kind="split", level="node link graph triple temporal-link hyperedge")
def public(data: Dataset, seed: int = 0) -> Any:
    """Take the one split that was published with the dataset (Planetoid's 20 a class, 500, 1000; the files of triples).

    Links come with the published negatives, and as published: what a publisher put into two parts stays in both.

    Raises
    ------
    GraphKitError
        If none was.
    """
    if "public" not in data.published:
        known = [*(name for name in data.published if name != "negatives"), "random"]
        raise GraphKitError(f"{data.name} has no public split; available: {', '.join(known)}")
    found = data.published["public"]
    return published_links(found, data.name) if data.task == "link" else found


@register("random", kind="split", level="node graph")
def random(
    data: Dataset, seed: int = 0, *, ratio: Sequence[float] = (0.6, 0.2, 0.2), stratified: bool = False
) -> Parts:
    """Split the labelled rows at random by ``ratio`` (train, val, test), with equal class shares if ``stratified``.

    Parameters
    ----------
    data : Dataset
    seed : int
    ratio : three floats
        Adding up to 1.
    stratified : bool

    Raises
    ------
    GraphKitError
        If the ratio does not add up, or classes are asked for where there are none.
    """
    rng = numpy_generator(seed, "split", "random")
    rows, classes = _classes(data, "random, stratified") if stratified else labelled(data)
    order = stratified_order(classes, rng) if stratified and classes is not None else rng.permutation(len(rows))
    return dict(zip(PARTS, (torch.from_numpy(rows[part]) for part in cut(order, ratio)), strict=True))


@register("random-per-class", kind="split", level="node graph")
def random_per_class(
    data: Dataset, seed: int = 0, *, per_class: int = 20, num_val: int = 500, num_test: int = 1000
) -> Parts:
    """Draw ``per_class`` training rows of each class, then validation and test rows from the rest.

    Sizes are those of Planetoid's protocol (20 a class, 500, 1000), drawn anew for each seed.

    Raises
    ------
    GraphKitError
        If a class or the rest is too small.
    """
    rng = numpy_generator(seed, "split", "random-per-class")
    rows, classes = _classes(data, "random-per-class")
    order = rng.permutation(len(rows))
    train = []
    for value in np.unique(classes):
        members = order[classes[order] == value]
        if len(members) <= per_class:
            raise GraphKitError(f"class {value} of {data.name} has {len(members)} rows; expected more than {per_class}")
        train.append(members[:per_class])
    chosen = np.concatenate(train)
    rest = order[~np.isin(order, chosen)]
    if len(rest) < num_val + num_test or num_test < 1:
        raise GraphKitError(
            f"{data.name} has {len(rest)} rows left after {len(chosen)} for training; "
            f"expected at least num_val + num_test = {num_val + num_test}"
        )
    parts = (chosen, rest[:num_val], rest[num_val : num_val + num_test])
    return dict(zip(PARTS, (torch.from_numpy(rows[part]) for part in parts), strict=True))


def take_fold(data: Dataset, available: Sequence[Any], fold: int, protocol: str) -> Any:
    """Return fold ``fold`` or say how many there are."""
    if not 0 <= fold < len(available):
        raise GraphKitError(f"fold={fold} of {data.name} ({protocol}); expected 0 to {len(available) - 1}")
    return available[fold]


def hold_out(data: Dataset, train: Tensor, share: float, seed: int, *keys: object) -> tuple[Tensor, Tensor]:
    """Take a stratified ``share`` of training rows for validation; return the rest and those."""
    if not 0 <= share < 1:
        raise GraphKitError(f"val_ratio={share}; expected a share of each training fold from 0 up to 1")
    rng = numpy_generator(seed, "split", "hold-out", *keys)
    labels = data.labels
    if labels is None or labels.is_floating_point():
        order = rng.permutation(len(train))
    else:
        order = stratified_order(labels[train].numpy(), rng)
    size = round(len(train) * share)
    return train[torch.from_numpy(order[size:])], train[torch.from_numpy(order[:size])]


def same_graphs(data: Dataset, other: Dataset | str) -> dict[str, Any]:
    """Return what was published with ``other`` if its graphs are those of ``data`` in the same order.

    Raises
    ------
    GraphKitError
        Naming the first graph whose size or label differs.
    """
    if isinstance(other, str):
        from graphkit.data.loading import load

        other = load(other)
    here, there = data.collated.node_counts, other.collated.node_counts
    story = f"the folds of {other.name} refer to other graphs than {data.name}"
    if len(here) != len(there):
        raise GraphKitError(f"{story}: {len(there)} there, {len(here)} here")
    wrong = (here != there).nonzero()[:1, 0]
    if len(wrong):
        g = int(wrong[0])
        raise GraphKitError(f"{story}: graph {g} has {int(there[g])} nodes there, {int(here[g])} here")
    if data.labels is None or other.labels is None or data.labels.is_floating_point():
        raise GraphKitError(f"{story}, or nobody can tell: class labels are missing")
    both = torch.stack([data.labels, other.labels], dim=1)
    if len(both.unique(dim=0)) != max(len(data.labels.unique()), len(other.labels.unique())):
        raise GraphKitError(f"{story}: sizes agree but labels do not correspond")
    return other.published


@register("folds", kind="split", level="node graph")
def folds(
    data: Dataset, seed: int = 0, *, fold: int = 0, val_ratio: float = 0.1, of: Dataset | str | None = None
) -> Parts:
    """Take one of the published folds; ``val_ratio`` of its training part, stratified, becomes validation.

    Folds that come with a validation part keep it. ``val_ratio=0`` leaves validation empty: the published protocol of
    GIN, which reads the test fold at every epoch.

    Parameters
    ----------
    data : Dataset
    seed : int
        Draws the validation part.
    fold : int
        From 0.
    val_ratio : float
    of : Dataset or str, optional
        Another edition of the same graphs, whose folds to use; refused unless graph by graph sizes are equal and
        labels correspond.

    Raises
    ------
    GraphKitError
        If no folds were published, there is no such fold, or ``of`` holds other graphs.
    """
    published = data.published if of is None else same_graphs(data, of)
    if "folds" not in published:
        raise GraphKitError(f"{data.name} has no published folds; use 'stratified10' or 'random'")
    parts = dict(take_fold(data, published["folds"], fold, "published folds"))
    if "val" not in parts:
        parts["train"], parts["val"] = hold_out(data, parts["train"], val_ratio, seed, "folds", fold)
    return parts


@register("geom-gcn", kind="split", level="node", reader_options={"geom_gcn": True})
def geom_gcn(data: Dataset, seed: int = 0, *, fold: int = 0) -> Parts:
    """Take one of the ten 48/32/20 splits that Geom-GCN published (arXiv 2002.05287).

    Raises
    ------
    GraphKitError
        If there are none for this dataset, or there is no such fold.
    """
    if "geom-gcn" not in data.published:
        raise GraphKitError(
            f"{data.name} came without Geom-GCN splits; where it has them, load it with split='geom-gcn'"
        )
    return dict(take_fold(data, data.published["geom-gcn"], fold, "Geom-GCN splits"))


@register("stratified10", kind="split", level="node graph")
def stratified10(data: Dataset, seed: int = 0, *, fold: int = 0, val_ratio: float = 0.1) -> Parts:
    """Cut the rows into ten folds of equal class shares; fold ``fold`` is the test part.

    Parameters
    ----------
    data : Dataset
    seed : int
        Draws the folds, the same for all ten, and the validation part of each.
    fold : int
        0 to 9.
    val_ratio : float
        Share of the training fold held out for validation.

    Raises
    ------
    GraphKitError
        If there are fewer than ten rows, or no such fold.
    """
    rows, classes = _classes(data, "stratified10")
    if len(rows) < 10:
        raise GraphKitError(f"{data.name} has {len(rows)} labelled rows; ten folds need at least 10")
    order = stratified_order(classes, numpy_generator(seed, "split", "stratified10"))
    # Cut, not dealt: every tenth place of the order belongs to one class where classes alternate.
    test = take_fold(data, np.array_split(order, 10), fold, "10-fold")
    rest = np.sort(order[~np.isin(order, test)])
    train, val = hold_out(data, torch.from_numpy(rows[rest]), val_ratio, seed, "stratified10", fold)
    return {"train": train, "val": val, "test": torch.from_numpy(rows[test])}
