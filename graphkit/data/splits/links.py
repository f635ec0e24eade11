"""Splits of links and triples: pairs to train on, to validate and to test, with the negatives of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register

if TYPE_CHECKING:
    from graphkit.data.collated import Collated
    from graphkit.data.dataset import Dataset


def _none() -> Pairs:
    return Pairs(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))


@dataclass
class LinkSplit:
    """Links and non-links of one part of a split.

    Parameters
    ----------
    pos : Pairs
        True links, each undirected one once.
    neg : Pairs
        Stored non-links, by default as many; empty for training, where they are drawn anew.
    candidates : Tensor, optional
        The false destinations that each link of ``pos`` is ranked against, int64 ``[P, K]``, where the publisher gave
        every source its own; ``neg`` is empty then.
    """

    pos: Pairs
    neg: Pairs = field(default_factory=_none)
    candidates: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pos)


@dataclass
class TripleSplit:
    """True triples of one part of a split: ``pos.src``, ``pos.rel``, ``pos.dst``."""

    pos: Pairs
    neg: Pairs = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.pos)


def pair_codes(src: np.ndarray, dst: np.ndarray, num_nodes: int, undirected: bool) -> np.ndarray:
    """Number ordered (or, if undirected, unordered) pairs: ``u * N + v``.

    >>> pair_codes(np.array([2]), np.array([1]), 4, True).tolist()
    [6]
    """
    if undirected:
        src, dst = np.minimum(src, dst), np.maximum(src, dst)
    return src.astype(np.int64) * num_nodes + dst


def draw_negatives(
    taken: np.ndarray, num_nodes: int, count: int, undirected: bool, rng: np.random.Generator, what: str = "the graph"
) -> np.ndarray:
    """Draw ``count`` distinct pairs of different nodes whose codes are not in ``taken``, uniformly.

    Parameters
    ----------
    taken : ndarray
        Codes of pairs (see :func:`pair_codes`) that are no negatives.
    num_nodes, count : int
    undirected : bool
    rng : numpy Generator
    what : str
        For the error.

    Returns
    -------
    ndarray
        Codes, int64 ``[count]``.

    Raises
    ------
    GraphKitError
        If there are fewer such pairs.

    Examples
    --------
    >>> draw_negatives(np.array([1]), 3, 2, True, np.random.default_rng(0)).sort()
    >>> draw_negatives(np.array([1]), 3, 3, True, np.random.default_rng(0))
    Traceback (most recent call last):
    graphkit.core.errors.GraphKitError: the graph has 2 pairs of nodes without a link; expected at least 3 as negatives
    """
    taken = np.unique(taken[taken // num_nodes != taken % num_nodes]) if len(taken) else taken
    possible = num_nodes * (num_nodes - 1) // (2 if undirected else 1)
    free = possible - len(taken)
    if count > free:
        raise GraphKitError(f"{what} has {free} pairs of nodes without a link; expected at least {count} as negatives")
    if possible <= 1_000_000 or free < 3 * count:
        return _from_all(taken, num_nodes, count, undirected, rng)
    found = np.empty(0, dtype=np.int64)
    while len(found) < count:
        size = int((count - len(found)) * 1.5 * possible / free) + 16
        src, dst = rng.integers(num_nodes, size=(2, size))
        codes = pair_codes(src, dst, num_nodes, undirected)[src != dst]
        codes = np.concatenate([found, codes[~np.isin(codes, taken)]])
        _, first = np.unique(codes, return_index=True)
        found = codes[np.sort(first)]
    return found[:count]


def _from_all(taken: np.ndarray, num_nodes: int, count: int, undirected: bool, rng: np.random.Generator) -> np.ndarray:
    """Draw from a list of all free pairs, for graphs that are small or nearly complete."""
    allowed = np.ones((num_nodes, num_nodes), dtype=bool)
    allowed.reshape(-1)[taken] = False
    np.fill_diagonal(allowed, False)
    if undirected:
        allowed = np.triu(allowed)
    return rng.choice(allowed.reshape(-1).nonzero()[0], size=count, replace=False)


def is_bipartite(full: Collated) -> bool:
    """Say whether nodes are of two types, 0 and 1, and every edge joins one of each."""
    side = full.node_fields.get("ntype")
    return side is not None and set(side.unique().tolist()) == {0, 1} and bool((side[full.src] != side[full.dst]).all())


def draw_across(taken: np.ndarray, side: np.ndarray, count: int, rng: np.random.Generator, what: str) -> np.ndarray:
    """Draw distinct pairs of one node of type 0 and one of type 1 that are no links.

    Parameters
    ----------
    taken : ndarray
        Codes of undirected links, see ``pair_codes``.
    side : ndarray
        Type of each node, ``[N]``.
    count : int
    rng : numpy Generator
    what : str
        For the error.

    Returns
    -------
    ndarray
        Codes, int64 ``[count]``.

    Raises
    ------
    GraphKitError
        If there are fewer such pairs.

    Examples
    --------
    >>> draw_across(np.array([1]), np.array([0, 1, 1]), 1, np.random.default_rng(0), "the graph").tolist()
    [2]
    """
    left, right = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    taken = np.unique(taken)
    free = len(left) * len(right) - len(taken)
    if count > free:
        raise GraphKitError(f"{what} has {free} pairs across its sides without a link; expected at least {count}")
    if free < 3 * count:
        every = pair_codes(np.repeat(left, len(right)), np.tile(right, len(left)), len(side), True)
        return rng.choice(np.setdiff1d(every, taken), count, replace=False)
    found = np.empty(0, dtype=np.int64)
    while len(found) < count:
        size = 2 * (count - len(found)) + 16
        codes = pair_codes(rng.choice(left, size), rng.choice(right, size), len(side), True)
        codes = np.concatenate([found, codes[~np.isin(codes, taken)]])
        _, first = np.unique(codes, return_index=True)
        found = codes[np.sort(first)]
    return found[:count]


@register("random-link", kind="split", level="link")
def random_link(
    data: Dataset, seed: int = 0, *, val_ratio: float = 0.05, test_ratio: float = 0.10
) -> dict[str, LinkSplit]:
    """Hold out random links for validation and testing, with as many stored non-links.

    Both directions of an undirected link fall on the same side. Non-links are pairs of different nodes, distinct among
    validation and test together, and never a link of any part; in a bipartite graph they join its two sides. Self-loops
    are no links to predict; they stay messages. The defaults are the 85/5/10 of GAE (arXiv 1611.07308).

    Parameters
    ----------
    data : Dataset
    seed : int
    val_ratio, test_ratio : float
        Shares of the links.

    Returns
    -------
    dict of str to LinkSplit
        ``train``, ``val``, ``test``; the negatives of ``train`` are empty.

    Raises
    ------
    GraphKitError
        If a part would be empty, or there are too few non-links.
    """
    if not (0 <= val_ratio < 1 and 0 < test_ratio < 1 and val_ratio + test_ratio < 1):
        raise GraphKitError(f"val_ratio={val_ratio} and test_ratio={test_ratio} leave nothing to train on, or to test")
    full, rng = data.collated, numpy_generator(seed, "split", "random-link")
    num_nodes, undirected = full.num_nodes, data.undirected
    src, dst = full.src.numpy(), full.dst.numpy()
    codes = pair_codes(src, dst, num_nodes, undirected)
    links = np.unique(codes[src != dst])
    num_val, num_test = round(len(links) * val_ratio), round(len(links) * test_ratio)
    if num_test < 1 or (val_ratio and num_val < 1) or len(links) - num_val - num_test < 1:
        raise GraphKitError(
            f"{data.name} has {len(links)} links, too few to hold out {val_ratio:.0%} and {test_ratio:.0%}"
        )
    order = rng.permutation(links)
    if undirected and is_bipartite(full):
        side = full.node_fields["ntype"].numpy()
        negative = draw_across(codes, side, num_val + num_test, rng, data.name)
    else:
        negative = draw_negatives(codes, num_nodes, num_val + num_test, undirected, rng, data.name)
    held = num_test + num_val
    turn = numpy_generator(seed, "split", "random-link", "orientation") if undirected else None
    return {
        "train": LinkSplit(_pairs(np.sort(order[held:]), num_nodes, turn)),
        "val": LinkSplit(_pairs(order[num_test:held], num_nodes, turn), _pairs(negative[num_test:], num_nodes, turn)),
        "test": LinkSplit(_pairs(order[:num_test], num_nodes, turn), _pairs(negative[:num_test], num_nodes, turn)),
    }


def _pairs(codes: np.ndarray, num_nodes: int, turn: np.random.Generator | None) -> Pairs:
    """Return the pairs of codes, undirected ones either way round, lest the order of ids tell links from non-links."""
    src, dst = codes // num_nodes, codes % num_nodes
    if turn is not None:
        around = turn.random(len(codes)) < 0.5
        src, dst = np.where(around, dst, src), np.where(around, src, dst)
    return Pairs(torch.from_numpy(src), torch.from_numpy(dst))


def message_mask(data: Dataset, parts: dict[str, LinkSplit]) -> Tensor:
    """Say of each edge whether it may carry messages, being no held-out link in either direction, bool ``[E]``.

    Links that a publisher put into training and a later part alike (see :func:`published_links`) carry messages.
    """
    full = data.collated

    def coded(pairs: Pairs) -> np.ndarray:
        return pair_codes(pairs.src.numpy(), pairs.dst.numpy(), full.num_nodes, data.undirected)

    codes = coded(data.known)
    held = [coded(part.pos) for part in held_out(parts)]
    if not held:
        return torch.ones(len(codes), dtype=torch.bool)
    kept = coded(parts["train"].pos) if "train" in parts else codes[:0]
    return torch.from_numpy(~np.isin(codes, np.concatenate(held)) | np.isin(codes, kept))


def published_links(parts: Mapping[str, Any], name: str) -> dict[str, LinkSplit]:
    """Return a published split of links as it is, also where it repeats links or has true links among its negatives.

    Parameters
    ----------
    parts : mapping of str to Tensor
        What a reader gives as the split ``public``: int64 pairs ``[P, 2]`` of ``train``, ``val`` and ``test``; for
        ``val`` and ``test`` perhaps non-links ``val_neg`` ``[K, 2]``, or ``val_candidates`` ``[P, K]``, the false
        destinations of each link.
    name : str
        The dataset, for errors.

    Raises
    ------
    GraphKitError
        If the parts are not pairs, as where the published split is one of nodes.

    Examples
    --------
    >>> made = published_links({"train": torch.tensor([[0, 1], [1, 2]]), "val": torch.tensor([[0, 2]])}, "toy")
    >>> len(made["train"]), made["val"].pos.dst.tolist(), len(made["test"])
    (2, [2], 0)
    """
    made = {}
    for part in ("train", "val", "test"):
        held = {key: parts.get(key) for key in (part, f"{part}_neg")}
        for key, rows in held.items():
            if rows is not None and (rows.dim() != 2 or rows.shape[1] != 2):
                raise GraphKitError(f"{name} was published with a split, but {key} holds no pairs of nodes")
        pos, neg = (_none() if rows is None else Pairs(*rows.T.contiguous()) for rows in held.values())
        made[part] = LinkSplit(pos, neg, parts.get(f"{part}_candidates"))
    return made


def held_out(parts: dict[str, LinkSplit]) -> list[LinkSplit]:
    """Return the parts that are not for training."""
    return [part for name, part in parts.items() if name != "train"]
