"""Triple prediction: which tail completes (head, relation, ?), and which head (?, relation, tail)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from graphkit import metrics
from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import register
from graphkit.sampling import full_batch
from graphkit.tasks.base import place
from graphkit.tasks.link import PairTask, check_pairs

if TYPE_CHECKING:
    from graphkit.data import Dataset

#: ``score(known, rel, side) -> [Q, N]``: every entity as the ``side`` ("src" or "dst") of (known, rel).
Scorer = Callable[[Tensor, Tensor, str], Tensor]


class Answers:
    """For each (entity, relation), the other ends that are known to be true, as sorted codes.

    Parameters
    ----------
    known : Pairs
        All true triples.
    side : str
        ``dst``: look up by source; ``src``: by target.
    num_relations : int

    Examples
    --------
    >>> known = Pairs(torch.tensor([0, 0]), torch.tensor([1, 2]), torch.tensor([0, 0]))
    >>> Answers(known, "dst", 1).mask(torch.tensor([0]), torch.tensor([0]), 3).tolist()
    [[False, True, True]]
    """

    def __init__(self, known: Pairs, side: str, num_relations: int) -> None:
        given, other = (known.src, known.dst) if side == "dst" else (known.dst, known.src)
        assert known.rel is not None
        code = given * num_relations + known.rel
        order = code.argsort(stable=True)
        self.code, self.other, self.num_relations = code[order], other[order], num_relations

    def mask(self, given: Tensor, rel: Tensor, num_nodes: int) -> Tensor:
        """Return bool ``[Q, num_nodes]``, True where (given, rel, entity) is a known triple."""
        code = given * self.num_relations + rel
        first = torch.searchsorted(self.code, code)
        count = torch.searchsorted(self.code, code, right=True) - first
        row = torch.arange(len(given)).repeat_interleave(count)
        place_in_row = torch.arange(len(row)) - (count.cumsum(0) - count).repeat_interleave(count)
        mask = torch.zeros(len(given), num_nodes, dtype=torch.bool)
        mask[row, self.other[first.repeat_interleave(count) + place_in_row]] = True
        return mask


def rank_both_sides(
    data: Dataset, split: str, score: Scorer, ties: str = "realistic", chunk: int = 512
) -> dict[str, float]:
    """Filtered MRR and Hits@1, 3, 10 of ``score``, the mean over both sides of every triple of ``split``.

    Parameters
    ----------
    data : Dataset
        Of triples, with ``known``, all true triples of all splits.
    split : str
    score : callable
        ``score(given [Q], rel [Q], side) -> [Q, N]``.
    ties : str
        As in :func:`graphkit.metrics.ranks`.
    chunk : int
        Queries at a time.
    """
    true = data.splits[split].pos
    if not len(true):
        raise GraphKitError(f"the {split} split of {data.name} has no triples to rank")
    num_nodes = data.graph.num_nodes()
    found = []
    for side in ("dst", "src"):
        given, asked = (true.src, true.dst) if side == "dst" else (true.dst, true.src)
        answers = Answers(data.known, side, num_relations(data))
        for start in range(0, len(true), chunk):
            part = slice(start, start + chunk)
            scores = score(given[part], true.rel[part], side).float().cpu()
            known = answers.mask(given[part], true.rel[part], num_nodes)
            found.append(metrics.filtered_ranks(scores, asked[part], known, ties))
    rank = torch.cat(found)
    return {"mrr": metrics.mrr(rank)} | {f"hits@{k}": metrics.hits_at_k(rank, k) for k in (1, 3, 10)}


def num_relations(data: Dataset) -> int:
    """Return how many relations the triples of all splits have."""
    return int(data.known.rel.max()) + 1


def frequency_baseline(data: Dataset, split: str = "test", ties: str = "realistic") -> dict[str, float]:
    """Rank each entity by how often it is the head, or the tail, of the relation in training.

    A model that does no better has learned nothing of the single entities.

    Parameters
    ----------
    data : Dataset
        Of triples.
    split, ties : str

    Returns
    -------
    dict of str to float
        Filtered ``mrr``, ``hits@1``, ``hits@3``, ``hits@10`` over both sides.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import graphkit, dgl
    >>> true = Pairs(torch.tensor([0, 1]), torch.tensor([2, 2]), torch.tensor([0, 0]))
    >>> part = SimpleNamespace(pos=true)
    >>> data = SimpleNamespace(graph=dgl.graph(([], []), num_nodes=3), known=true, splits={"train": part, "test": part})
    >>> frequency_baseline(data)["hits@3"]
    1.0
    """
    train, num_nodes, relations = data.splits["train"].pos, data.graph.num_nodes(), num_relations(data)
    counts = {
        side: torch.bincount(train.rel * num_nodes + ids, minlength=relations * num_nodes).view(relations, num_nodes)
        for side, ids in (("src", train.src), ("dst", train.dst))
    }
    return rank_both_sides(data, split, lambda given, rel, side: counts[side][rel], ties)


@register("triple", kind="task", level="triple")
@dataclass
class TripleTask(PairTask):
    """Complete triples: binary cross-entropy against ``num_negatives`` corrupted triples for each true one.

    Scores are filtered MRR and Hits@1, 3, 10 over both sides, every entity a candidate.

    Parameters
    ----------
    ties : str
        As in :func:`graphkit.metrics.ranks`.
    chunk : int
        Queries ranked at a time.

    Notes
    -----
    Schlichtkrull et al., "Modeling Relational Data with Graph Convolutional Networks", arXiv 1703.06103.

    Examples
    --------
    >>> TripleTask(data=None).monitor
    ('val/mrr', 'max')
    """

    ties: str = "realistic"
    chunk: int = 512

    level: ClassVar[str] = "triple"

    def __post_init__(self) -> None:
        if self.ties not in metrics.TIES:
            raise unknown("tie rule", self.ties, metrics.TIES)

    @property
    def monitor(self) -> tuple[str, str]:
        """Best validation MRR."""
        return "val/mrr", "max"

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Filtered MRR and Hits@1, 3, 10."""
        self.ids(split)
        encoded = self.encode(model).encoded
        if encoded is None:
            raise GraphKitError("ranking triples needs a model that gives Output.encoded")
        device = encoded.node.device

        def score(given: Tensor, rel: Tensor, side: str) -> Tensor:
            return model.head.rank(encoded, given.to(device), rel.to(device), side=side)

        return rank_both_sides(self.data, split, score, self.ties, self.chunk)

    def predict(self, model: nn.Module, what: Any = None) -> Tensor:
        """Return the scores ``[P]`` of the triples ``what``, before the sigmoid."""
        pairs = check_pairs(what, self.data.graph.num_nodes(), num_relations(self.data))
        batch = full_batch(self.data, None).replace(pairs=pairs, label=None)
        return model(place(batch, model)).pred
