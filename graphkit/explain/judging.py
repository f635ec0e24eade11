"""How far explanations can be relied on: unfaithfulness, stability, and what a measure makes of spoilt explanations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator
from graphkit.explain.explanation import Explanation
from graphkit.explain.measures import _size, spare_target
from graphkit.explain.question import Question


def unfaithfulness(explanation: Explanation, k: int | None = None, fraction: float | None = None) -> float:
    """Return ``1 - exp(-KL(p || q))`` of the answer p on the graph and q on the explanation's edges alone.

    0 where the explanation alone gives the same probabilities; "Evaluating Explainability for Graph Neural Networks",
    arXiv:2208.09339, GEF.

    Parameters
    ----------
    explanation : Explanation
    k : int, optional
        Explanation size in edges; 10 unless ``fraction`` is given.
    fraction : float, optional
        Size as a share of the edges that can matter.

    Raises
    ------
    GraphKitError
        For regression, a size out of range, or an explanation without a model.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gcn", data), data, node=0, method="saliency")
    >>> unfaithfulness(why, fraction=1.0) < 1e-6
    True
    """
    question = explanation.require_question()
    if question.reading.mode == "regression":
        raise GraphKitError("unfaithfulness compares probabilities of classes; this answer is a number")
    kept = torch.zeros(1, question.num_groups, dtype=torch.bool)
    kept[0, explanation.ranked_groups()[: _size(explanation.num_edges, k, fraction)]] = True
    with question.open(), torch.no_grad():
        rows = question.rows(keep=spare_target(question, question.group_keep(kept)))
    p, q = (torch.tensor(question.reading.table(x), dtype=torch.float64) for x in (question.reference, rows))
    divergence = (p * (p.clamp(min=1e-12).log() - q.clamp(min=1e-12).log())).sum()
    return float(1 - (-divergence.clamp(min=0)).exp())


def overlap(explanations: Sequence[Explanation], k: int = 10) -> float:
    """Return the mean Jaccard overlap of the ``k`` weightiest edges over all pairs of explanations of one target.

    Parameters
    ----------
    explanations : sequence of Explanation
        At least two.
    k : int

    Raises
    ------
    GraphKitError
        For fewer than two.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gcn", data), data, node=0, method="saliency")
    >>> overlap([why, why])
    1.0
    """
    if len(explanations) < 2:
        raise GraphKitError(f"{len(explanations)} explanations have no overlap; give two or more of one target")
    tops = [set(why.top_edges(k).edge.tolist()) for why in explanations]
    shares = [len(a & b) / max(1, len(a | b)) if a | b else 1.0 for a, b in itertools.combinations(tops, 2)]
    return sum(shares) / len(shares)


def stability(
    run: Any,
    data: Any = None,
    *,
    method: Any = "gnnexplainer",
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    noise: float = 0.01,
    k: int = 10,
    **target: Any,
) -> dict[str, float]:
    """Explain one target with several seeds, and with features moved a little, and say how much stays.

    Parameters
    ----------
    run : Run, path or nn.Module
        As for :func:`graphkit.explain.explain`.
    data : optional
    method : str or explainer
    seeds : sequence of int
    noise : float, default 0.01
        Standard deviation of the noise on each feature, as a share of the feature's own. Draws that change the
        model's answer are left out; where nodes have no features, the graph stays and so does the explanation.
    k : int, default 10
        Edges compared.
    **target
        ``node=``, ``pair=``, ``edge=`` or ``graph=``, and options of the method.

    Returns
    -------
    dict
        ``seeds`` and ``inputs``: the mean overlap (Jaccard) of the k weightiest edges between seeds, and between the
        explanation and those of near-identical inputs (NaN where every draw changes the answer);
        ``inputs_distance``: 1 - cosine of all edge scores, its mean.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> stability(gk.models.build("gcn", data), data, method="saliency", node=0)["seeds"]
    1.0
    """
    from graphkit.explain.api import _explainer, explain

    targets = {k: v for k, v in target.items() if k in {"node", "pair", "edge", "graph", "rel"}}
    explainer, asked = _explainer(method, {k: v for k, v in target.items() if k not in targets})
    found = [explain(run, data, method=explainer, seed=seed, **targets, **asked) for seed in seeds]
    first = found[0]
    question = first.require_question()
    close, far = [], []
    for seed in seeds:
        moved = shaken(question, noise, seed)
        if moved is None:
            continue
        score, other = group_scores(first), again(explainer, moved, seeds[0])
        close.append(same_top(score, other, k))
        norm = float(score.norm() * other.norm())
        far.append(1 - float(score @ other) / norm if norm > 0 else 0.0)
    mean = {"inputs": close, "inputs_distance": far}
    shares = {name: sum(part) / len(part) if part else float("nan") for name, part in mean.items()}
    return {"seeds": overlap(found, k) if len(found) > 1 else 1.0, **shares}


def shaken(question: Question, noise: float, seed: int) -> Question | None:
    """Return the question with features moved by noise; None where the model then answers otherwise.

    Parameters
    ----------
    question : Question
    noise : float
        As a share of each feature's standard deviation.
    seed : int
    """
    import copy

    x = question.batch.feat
    if not question.has_features:
        return question
    drawn = torch.randn(x.shape, generator=generator(seed, "shaken", question.target)).to(x)
    twin = copy.copy(question)
    twin.batch = question.batch.replace(feat=x + noise * x.std(0, unbiased=False) * drawn)
    with twin.open(), torch.no_grad():
        twin.reference = twin.rows()
    answer = question.reading.answer
    return twin if bool((answer(twin.reference) == answer(question.reference)).all()) else None


def group_scores(explanation: Explanation) -> Tensor:
    """Return the importance of each group of edges, in the order of the question's numbers, float32 ``[G]``.

    Parameters
    ----------
    explanation : Explanation
    """
    score = torch.zeros(explanation.num_edges)
    score[explanation.group] = explanation.edge_mask[explanation.edges]
    return score


def again(explainer: Any, question: Question, seed: int) -> Tensor:
    """Return the importance of edges that an explainer finds for a question that is at hand, float32 ``[G]``.

    Parameters
    ----------
    explainer : explainer
    question : Question
    seed : int
    """
    with question.open():
        return explainer(question, seed).edge.detach().abs().float().cpu()


def same_top(score: Tensor, other: Tensor, k: int) -> float:
    """Return the Jaccard overlap of the ``k`` weightiest edges of two explanations of one question.

    Parameters
    ----------
    score, other : Tensor
        ``[G]``.
    k : int

    Examples
    --------
    >>> same_top(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([3.0, 1.0, 2.0]), 2)
    0.3333333333333333
    """
    tops = [set(torch.sort(s, descending=True, stable=True).indices[:k].tolist()) for s in (score, other)]
    return len(tops[0] & tops[1]) / max(1, len(tops[0] | tops[1])) if score.numel() else 1.0


def corrupted(truth: Tensor, lost: float, added: float, seed: int = 0) -> Tensor:
    """Return the true explanation with some of its edges lost and some of the others added.

    Parameters
    ----------
    truth : Tensor
        Whether each group of edges belongs to the cause, bool ``[G]``.
    lost, added : float
        Numbers of edges as shares of the true ones', from 0 to 1; no more are added than there are others.
    seed : int

    Returns
    -------
    Tensor
        bool ``[G]``.

    Examples
    --------
    >>> corrupted(torch.tensor([True, True, False, False, False]), 0.5, 1.0).sum().item()
    3
    """
    rng = generator(seed, "corrupted", f"{lost:.6f}", f"{added:.6f}")
    found = truth.clone()
    for inside, share, value in ((True, lost, False), (False, added, True)):
        ids = (truth == inside).nonzero()[:, 0]
        found[ids[torch.randperm(len(ids), generator=rng)[: round(share * int(truth.sum()))]]] = value
    return found


def corruption_grid(truth: Tensor, steps: int = 6, draws: int = 10, seed: int = 0) -> list[tuple[Tensor, float]]:
    """Return spoilt explanations with their likeness to the true one, for judging a measure (2310.01820).

    Parameters
    ----------
    truth : Tensor
        bool ``[G]``.
    steps : int, default 6
        Shares of lost and of added edges, from 0 to 0.9 of the true ones' number each.
    draws : int, default 10
        For each pair of shares.
    seed : int

    Returns
    -------
    list of (Tensor, float)
        bool ``[G]`` and the Jaccard likeness to ``truth``.

    Examples
    --------
    >>> len(corruption_grid(torch.tensor([True, False, False]), steps=2, draws=3))
    12
    """
    shares = torch.linspace(0, 0.9, steps).tolist()
    found = []
    for lost, added in itertools.product(shares, shares):
        for draw in range(draws):
            one = corrupted(truth, lost, added, seed + draw)
            found.append((one, float((one & truth).sum() / (one | truth).sum().clamp(min=1))))
    return found
