"""Splits of a bipartite graph of users and items: each user's own items are held out, and other items rank beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.splits.links import LinkSplit, is_bipartite

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset


@register("per-user", kind="split", level="link")
def per_user(
    data: Dataset,
    seed: int = 0,
    *,
    val_ratio: float = 0.1,
    test_ratio: float = 0.2,
    leave_one_out: bool = False,
    latest: bool = False,
) -> dict[str, LinkSplit]:
    """Hold out items of each user for validation and testing, each with an item that the user never took.

    Pairs run from user to item. Of each user's n items ``floor(n * ratio)`` are held out, so that users with few items
    only train; a held-out item may be one that no training user took.

    Parameters
    ----------
    data : Dataset
        Bipartite, with the node field ``ntype``: 0 user, 1 item.
    seed : int
    val_ratio, test_ratio : float
        Shares of each user's items.
    leave_one_out : bool
        Hold out one item for each part instead, of users with at least three.
    latest : bool
        Hold out the latest items (by the edge field ``time``) instead of random ones, testing on the last.

    Returns
    -------
    dict of str to LinkSplit
        Negatives of ``val`` and ``test`` are row by row of the same user, distinct, and never a link of any part.

    Raises
    ------
    GraphKitError
        If the graph is not bipartite, has no times for ``latest``, a part would be empty, or a user has taken so many
        items that too few are left as negatives.
    """
    if not (0 <= val_ratio < 1 and 0 < test_ratio < 1 and val_ratio + test_ratio < 1):
        raise GraphKitError(f"val_ratio={val_ratio} and test_ratio={test_ratio} leave nothing to train on, or to test")
    users, items, time = _sides(data)
    if latest and time is None:
        raise GraphKitError(f"the split 'per-user' with latest=True needs times of edges, which {data.name} has not")
    rng = numpy_generator(seed, "split", "per-user")
    key = -time if latest and time is not None else rng.random(len(users))
    order = np.lexsort((rng.random(len(users)), key, users))
    users, items = users[order], items[order]
    counts = np.bincount(users, minlength=data.collated.num_nodes)
    rank = np.arange(len(users)) - (np.cumsum(counts) - counts)[users]
    if leave_one_out:
        num_test = num_val = (counts >= 3).astype(np.int64)
    else:
        num_test, num_val = (np.floor(counts * ratio + 1e-9).astype(np.int64) for ratio in (test_ratio, val_ratio))
    test = rank < num_test[users]
    val = ~test & (rank < (num_test + num_val)[users])
    if not test.any() or (val_ratio and not val.any()):
        raise GraphKitError(f"no user of {data.name} has enough items to hold out {val_ratio:.0%} and {test_ratio:.0%}")
    held = np.concatenate([np.flatnonzero(val), np.flatnonzero(test)])
    negative = _others(data, users, items, users[held], rng)
    num_val_pairs = int(val.sum())
    train = ~test & ~val
    return {
        "train": LinkSplit(_pairs(users[train], items[train])),
        "val": LinkSplit(_pairs(users[val], items[val]), _pairs(users[val], negative[:num_val_pairs])),
        "test": LinkSplit(_pairs(users[test], items[test]), _pairs(users[test], negative[num_val_pairs:])),
    }


def _sides(data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return user, item and time of each link, taken once."""
    full = data.collated
    if not is_bipartite(full):
        raise GraphKitError(f"the split 'per-user' needs a bipartite graph of users and items; {data.name} is none")
    forward = (full.node_fields["ntype"][full.src] == 0).numpy()
    time = full.edge_fields.get("time")
    src, dst = full.src.numpy()[forward], full.dst.numpy()[forward]
    return src, dst, None if time is None else time.numpy()[forward]


def _others(
    data: Dataset, users: np.ndarray, items: np.ndarray, wanted: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw for each user in ``wanted`` an item that the user never took; no pair is drawn twice."""
    side = data.collated.node_fields["ntype"]
    every = (side == 1).nonzero()[:, 0].numpy()
    total = data.collated.num_nodes
    free = len(every) - np.bincount(users, minlength=total)
    short = np.flatnonzero(free < np.bincount(wanted, minlength=total))
    if len(short):
        raise GraphKitError(f"node {short[0]} of {data.name} leaves {free[short[0]]} items, too few as negatives")
    taken = np.unique(users * total + items)
    drawn = np.empty(len(wanted), dtype=np.int64)
    open_rows = np.arange(len(wanted))
    while len(open_rows):
        guess = rng.choice(every, len(open_rows))
        codes = wanted[open_rows] * total + guess
        _, first = np.unique(codes, return_index=True)
        fresh = np.zeros(len(codes), dtype=bool)
        fresh[first] = True
        fresh &= ~np.isin(codes, taken)
        drawn[open_rows[fresh]] = guess[fresh]
        taken = np.union1d(taken, codes[fresh])
        open_rows = open_rows[~fresh]
    return drawn


def _pairs(src: np.ndarray, dst: np.ndarray) -> Pairs:
    return Pairs(torch.from_numpy(np.ascontiguousarray(src)), torch.from_numpy(np.ascontiguousarray(dst)))
