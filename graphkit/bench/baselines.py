"""Baselines that learn nothing, to stand beside those that do."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import metrics


def frequency(data) -> dict[str, float]:
    """Rank candidates by how often they stand at this side of the relation in the training triples.

    Score of a tail t for ``(h, r, ?)``: the number of training triples ``(., r, t)``; of a head h for ``(?, r, t)``:
    the number of ``(h, r, .)``. Filtered ranks of both sides; ties share the mean rank.

    Parameters
    ----------
    data : Dataset
        With triple splits and ``known`` true triples.

    Returns
    -------
    dict of str to float
        ``mrr`` and ``hits@1``, ``hits@3``, ``hits@10`` for ``val`` and ``test``.
    """
    train = data.splits["train"].pos
    n, r = data.graph.num_nodes(), int(data.known.rel.max()) + 1
    counts = {
        "dst": torch.zeros(r, n).index_put_((train.rel, train.dst), torch.ones(len(train)), accumulate=True),
        "src": torch.zeros(r, n).index_put_((train.rel, train.src), torch.ones(len(train)), accumulate=True),
    }
    scores: dict[str, float] = {}
    for split in ("val", "test"):
        part = data.splits[split].pos
        tails = metrics.filtered_ranks(
            counts["dst"][part.rel],
            part.dst,
            _true(data.known.src, data.known.rel, data.known.dst, part.src, part.rel, n),
        )
        heads = metrics.filtered_ranks(
            counts["src"][part.rel],
            part.src,
            _true(data.known.dst, data.known.rel, data.known.src, part.dst, part.rel, n),
        )
        rank = torch.cat([tails, heads])
        scores[f"{split}/mrr"] = metrics.mrr(rank)
        scores |= {f"{split}/hits@{k}": metrics.hits_at_k(rank, k) for k in (1, 3, 10)}
    return scores


def _true(given: Tensor, rel: Tensor, answer: Tensor, asked: Tensor, asked_rel: Tensor, num_nodes: int) -> Tensor:
    """Mark, for each query, every known true answer: bool ``[P, N]``."""
    key, query = given * (int(rel.max()) + 1) + rel, asked * (int(rel.max()) + 1) + asked_rel
    rows, inverse = query.unique(return_inverse=True)
    place = torch.searchsorted(rows, key).clamp(max=len(rows) - 1)
    hit = rows[place] == key
    mask = torch.zeros(len(rows), num_nodes, dtype=torch.bool)
    mask[place[hit], answer[hit]] = True
    return mask[inverse]
