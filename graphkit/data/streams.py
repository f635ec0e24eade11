"""Streams of events that are made from a seed, on which theory says who wins."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files

#: The pairs of one round of twin closure, as places among w, a, b, w', a', b': none of them may have met before.
_W, _A, _B, _W2, _A2, _B2 = range(6)
WEDGES = np.array([(_A, _W), (_A2, _W2), (_B, _W), (_B2, _W2)])
_WITHIN = [(_A, _W), (_B, _W), (_A, _B), (_A2, _W2), (_B2, _W2), (_A2, _B2)]
_ACROSS = [(_A, _B2), (_A2, _B), (_B, _W2), (_B2, _W), (_A, _W2), (_A2, _W)]
FRESH = np.array([*_WITHIN, *_ACROSS])


def _raw(src: np.ndarray, dst: np.ndarray, time: np.ndarray, negative: np.ndarray, num_nodes: int, kinds=None) -> Raw:
    """Sort events by time and put them in the form that a reader gives."""
    order = np.argsort(time, kind="stable")
    columns = [torch.from_numpy(np.ascontiguousarray(column[order])) for column in (src, dst, time, negative)]
    fields = {} if kinds is None else {"ntype": torch.from_numpy(kinds)}
    collated = Collated.from_edges(
        columns[0], columns[1], torch.tensor([num_nodes]), fields, {"time": columns[2], "negative": columns[3]}
    )
    report = {"events": len(src), "queries": int((negative >= 0).sum()), "timestamps": len(np.unique(time))}
    return Raw(collated, {}, {}, report, undirected=False)


@register("twin-closure", kind="reader", level="temporal-link", title="GraphKit's generated streams", follows_seed=True)
def read_twin_closure(
    files: Files | None = None, *, graph_seed: int = 0, num_nodes: int = 300, rounds: int = 2500
) -> Raw:
    """Make twin closure: only who shares a recent neighbour tells the true destination from its twin.

    Round k draws six nodes w, a, b, w', a', b' of which no two that the round concerns have met. Four wedge events
    (a, w), (a', w'), (b, w), (b', w') happen at 2k + U(0, 1) each; then (a, b) and (a', b') at one time,
    2k + 1 + U(0, 4). Queries: (a, b) against (a, b'), (a', b') against (a', b). No pair repeats, and b and b' have
    exchangeable histories: a score of the two histories alone, without what they share, has an expected AUC of 0.5.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
        By default the seed given to ``load``.
    num_nodes, rounds : int

    Returns
    -------
    Raw
        Edge fields ``time`` (float64) and ``negative`` (the false destination, -1 for wedge events).

    Raises
    ------
    GraphKitError
        If the nodes run out of pairs that have not met.
    """
    if num_nodes < 6:
        raise GraphKitError(f"num_nodes={num_nodes}; twin closure needs at least six")
    rng = numpy_generator(graph_seed, "twin-closure")
    met = np.zeros((num_nodes, num_nodes), dtype=bool)
    six = np.empty((rounds, 6), dtype=np.int64)
    for k in range(rounds):
        six[k] = _unmet(met, rng, k)
        for pair in (*WEDGES, (_A, _B), (_A2, _B2)):
            u, v = six[k][pair[0]], six[k][pair[1]]
            met[u, v] = met[v, u] = True
    start = 2.0 * np.arange(rounds)[:, None]
    closing = np.array([(_A, _B), (_A2, _B2)])
    pairs = np.concatenate([WEDGES, closing])
    src, dst = six[:, pairs[:, 0]], six[:, pairs[:, 1]]
    together = start + 1 + 4 * rng.random((rounds, 1))
    time = np.concatenate([start + rng.random((rounds, 4)), together, together], axis=1)
    negative = np.concatenate([np.full((rounds, 4), -1), six[:, [_B2, _B]]], axis=1)
    return _raw(src.reshape(-1), dst.reshape(-1), time.reshape(-1), negative.reshape(-1), num_nodes)


def _unmet(met: np.ndarray, rng: np.random.Generator, k: int, tries: int = 256, patience: int = 4000) -> np.ndarray:
    """Draw six different nodes no two of which have met, of those that a round concerns."""
    num_nodes = len(met)
    for _ in range(patience):
        drawn = rng.integers(num_nodes, size=(tries, 6))
        ordered = np.sort(drawn, axis=1)
        good = (ordered[:, 1:] != ordered[:, :-1]).all(1) & ~met[drawn[:, FRESH[:, 0]], drawn[:, FRESH[:, 1]]].any(1)
        if good.any():
            return drawn[good.argmax()]
    raise GraphKitError(
        f"{num_nodes} nodes ran out of pairs that have not met after {k} rounds of twin closure; ask for fewer rounds"
    )


@register(
    "periodic-pairs", kind="reader", level="temporal-link", title="GraphKit's generated streams", follows_seed=True
)
def read_periodic_pairs(
    files: Files | None = None,
    *,
    graph_seed: int = 0,
    num_sources: int = 100,
    num_destinations: int = 100,
    pairs: int = 400,
    horizon: float = 1000.0,
    jitter: float = 0.02,
) -> Raw:
    """Make periodic pairs: each pair meets at its own period, so only the phase of a pair tells what comes next.

    Periods are log-uniform in [20, 60], phases random, and each gap is multiplied by 1 + ``jitter`` N(0, 1). The
    negative of an event is another destination that its source has used before, drawn uniformly; events whose source
    has used no other are no queries.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
        By default the seed given to ``load``.
    num_sources, num_destinations, pairs : int
    horizon : float
        When the stream ends.
    jitter : float

    Returns
    -------
    Raw
        Edge fields ``time`` (float64) and ``negative``; node field ``ntype`` (0 source, 1 destination).

    Raises
    ------
    GraphKitError
        If there are not so many pairs.
    """
    if not 1 <= pairs <= num_sources * num_destinations:
        raise GraphKitError(f"pairs={pairs} of {num_sources} sources and {num_destinations} destinations")
    rng = numpy_generator(graph_seed, "periodic-pairs")
    codes = rng.choice(num_sources * num_destinations, size=pairs, replace=False)
    period = np.exp(rng.uniform(np.log(20), np.log(60), pairs))
    most = int(horizon / 20 * 1.5) + 8
    gaps = period[:, None] * (1 + jitter * rng.standard_normal((pairs, most)))
    gaps[:, 0] = period * rng.random(pairs)
    time = np.cumsum(gaps, axis=1)
    here = time < horizon
    owner = np.repeat(np.arange(pairs), here.sum(1))
    time = time[here]
    order = np.argsort(time, kind="stable")
    owner, time = owner[order], time[order]
    src, dst = codes[owner] // num_destinations, num_sources + codes[owner] % num_destinations
    used: list[list[int]] = [[] for _ in range(num_sources)]
    negative = np.full(len(src), -1)
    for e, (u, v) in enumerate(zip(src.tolist(), dst.tolist(), strict=True)):
        others = [w for w in used[u] if w != v]
        if others:
            negative[e] = others[int(rng.integers(len(others)))]
        if len(others) == len(used[u]):
            used[u].append(v)
    kinds = (np.arange(num_sources + num_destinations) >= num_sources).astype(np.int64)
    return _raw(src, dst, time, negative, num_sources + num_destinations, kinds)


@register(
    "fading-popularity", kind="reader", level="temporal-link", title="GraphKit's generated streams", follows_seed=True
)
def read_fading_popularity(
    files: Files | None = None,
    *,
    graph_seed: int = 0,
    num_users: int = 200,
    num_items: int = 100,
    events: int = 10_000,
    tau: float = 200.0,
    floor: float = 0.02,
) -> Raw:
    r"""Make fading popularity: items draw whoever comes by how often they were chosen lately.

    .. math:: P(i) \propto s_i + floor, \quad s_i \leftarrow s_i e^{-1/\tau} \text{ at each event}, \quad
              s_i \leftarrow s_i + 1 \text{ when chosen}

    Users are uniform and carry no information. The negative of an event is another item, drawn uniformly.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
        By default the seed given to ``load``.
    num_users, num_items, events : int
    tau : float
        How many events popularity lasts.
    floor : float
        Weight of an item that nobody chooses.

    Returns
    -------
    Raw
        Edge fields ``time`` (int64, the number of the event), ``negative``, and ``margin`` (float32), the logarithm of
        the true item's weight over the negative's: the best possible score, never an input. Node field ``ntype``.

    Raises
    ------
    GraphKitError
        If there are fewer than two items.
    """
    if num_items < 2 or num_users < 1 or events < 1:
        raise GraphKitError(
            f"num_users={num_users}, num_items={num_items}, events={events}; expected a user, two items"
        )
    rng = numpy_generator(graph_seed, "fading-popularity")
    strength, fade = np.zeros(num_items), np.exp(-1 / tau)
    item = np.empty(events, dtype=np.int64)
    other = (rng.integers(num_items - 1, size=events)).astype(np.int64)
    margin = np.empty(events, dtype=np.float32)
    uniform = rng.random(events)
    for e in range(events):
        strength *= fade
        total = np.cumsum(strength + floor)
        item[e] = min(int(np.searchsorted(total, uniform[e] * total[-1], side="right")), num_items - 1)
        other[e] += other[e] >= item[e]
        margin[e] = np.log((strength[item[e]] + floor) / (strength[other[e]] + floor))
        strength[item[e]] += 1
    kinds = (np.arange(num_users + num_items) >= num_users).astype(np.int64)
    user = rng.integers(num_users, size=events)
    raw = _raw(user, num_users + item, np.arange(events), num_users + other, num_users + num_items, kinds)
    raw.collated.edge_fields["margin"] = torch.from_numpy(margin)
    return raw


@register(
    "sequential-toy", kind="reader", level="temporal-link", title="GraphKit's generated streams", follows_seed=True
)
def read_sequential_toy(
    files: Files | None = None, *, graph_seed: int = 0, users: int = 1000, length: int = 5, spread: float = 20.0
) -> Raw:
    """Make visits in a fixed order by users in pairs: what comes next is known only to who knows the items apart.

    User 2k visits the items 0, 1, ..., ``length`` - 1 and user 2k + 1 the items ``length``, ..., 2 ``length`` - 1, both
    at the same times, k + U(0, ``spread``) in rising order. A query asks at the last visit for the item visited against
    its twin of the other half. No pair repeats; swapping all users 2k and 2k + 1 and all items i and i + ``length``
    leaves the stream as it is, so that a score of two embeddings without identities ties exactly.

    Parameters
    ----------
    files : Files, optional
        Not used.
    graph_seed : int
        By default the seed given to ``load``.
    users, length : int
    spread : float

    Returns
    -------
    Raw
        Users come first, then items; edge fields ``time`` (float64) and ``negative``; node field ``ntype``.

    Raises
    ------
    GraphKitError
        If the number of users is odd, or there are fewer than two visits.
    """
    if users < 2 or users % 2 or length < 2:
        raise GraphKitError(f"users={users}, length={length}; expected an even number of users and two visits each")
    rng = numpy_generator(graph_seed, "sequential-toy")
    when = np.arange(users // 2)[:, None] + np.sort(spread * rng.random((users // 2, length)), axis=1)
    time = np.repeat(when, 2, axis=0)
    item = users + np.arange(length) + length * (np.arange(users) % 2)[:, None]
    negative = np.full((users, length), -1)
    negative[:, -1] = users + length - 1 + length * (1 - np.arange(users) % 2)
    user = np.repeat(np.arange(users), length)
    kinds = (np.arange(users + 2 * length) >= users).astype(np.int64)
    return _raw(user, item.reshape(-1), time.reshape(-1), negative.reshape(-1), users + 2 * length, kinds)
