"""The masks of GNNExplainer, of many questions at once: one logit for each group of edges and each feature."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator
from graphkit.explain.attribution import Attribution
from graphkit.explain.question import CHUNK, Question
from graphkit.explain.stack import Stack

if TYPE_CHECKING:
    from graphkit.explain.gnnexplainer import GNNExplainer


def entropy(p: Tensor) -> Tensor:
    """Return the entropy of coins with heads probability ``p``: ``-p log p - (1 - p) log(1 - p)``.

    >>> round(float(entropy(torch.tensor(0.5))), 4)
    0.6931
    """
    p = p.clamp(1e-6, 1 - 1e-6)  # log 0 has no gradient
    return -p * p.log() - (1 - p) * (1 - p).log()


def alike(questions: list[Question]) -> list[list[int]]:
    """Return the numbers of questions that can be asked together: one kind, reading and relation, and not too many.

    Parameters
    ----------
    questions : list of Question
    """
    parts: dict[tuple[object, ...], list[list[int]]] = {}
    size: dict[tuple[object, ...], int] = {}
    for i, q in enumerate(questions):
        key = (q.target.kind, q.target.rel, q.reading.mode, q.reading.column, q.norm, q.batch.feat.dtype)
        cost = q.near * max(64, q.batch.feat[:1].numel()) + 64 * int((q.group >= 0).sum())
        if key not in parts or size[key] + cost > CHUNK:
            parts.setdefault(key, []).append([])
            size[key] = 0
        parts[key][-1].append(i)
        size[key] += cost
    return [part for chunks in parts.values() for part in chunks]


def apart(question: Question) -> Question:
    """Return the question with a group of its own for each direction by which an edge can matter.

    Parameters
    ----------
    question : Question
    """
    twin = copy.copy(question)
    used = question.group >= 0
    reach = getattr(question.model, "num_layers", None)
    if question.target.kind == "node" and reach is not None and int(question.hops.max()) <= reach:
        used &= question.hops[question.dst] < reach  # what arrives at the rim has no layer left to go on
    twin.group = torch.full_like(question.group, -1)
    twin.num_groups = int(used.sum())
    twin.group[used] = torch.arange(twin.num_groups)
    return twin


def joined(question: Question, ways: Question, found: Attribution) -> Attribution:
    """Return the scores of edges from those of their directions: the mean, where one that cannot matter counts 0.

    Parameters
    ----------
    question : Question
    ways : Question
        As :func:`apart` makes it.
    found : Attribution
        Of ``ways``.
    """
    inside, own = question.group >= 0, ways.group >= 0
    total = found.edge.new_zeros(question.num_groups)
    total.index_add_(0, question.group[own].to(total.device), found.edge[ways.group[own]])
    count = torch.bincount(question.group[inside], minlength=question.num_groups).to(total)
    return replace(found, edge=total / count)


class Masks:
    """Edge and feature logits of stacked questions, and the loss that GNNExplainer fits them by.

    Parameters
    ----------
    rule : GNNExplainer
        Its coefficients.
    questions : list of Question
        As :func:`alike` puts them together.
    seed : int

    Attributes
    ----------
    edge : Tensor
        Logits of groups of edges, ``[G]`` of all questions.
    feat : Tensor
        Logits of features, ``[Q, D]``; ``[Q, 0]`` where they are not masked.

    Raises
    ------
    GraphKitError
        If no edge weight moves one of the answers.
    """

    def __init__(self, rule: GNNExplainer, questions: list[Question], seed: int) -> None:
        self.rule, self.questions, first = rule, questions, questions[0]
        self.stack = Stack(questions)
        self._rngs = [generator(seed, "gnnexplainer", q.target) for q in questions]
        like: dict[str, Any] = {"dtype": first.batch.feat.dtype, "device": first.device}
        start = [self._start(q, rng) for q, rng in zip(questions, self._rngs, strict=True)]
        self.edge = torch.cat(start).to(**like).requires_grad_()
        masked = first.has_features and rule.feat_mode != "none"
        self.feat = torch.zeros(len(questions), first.batch.feat.shape[1] if masked else 0).to(**like).requires_grad_()
        self._label = torch.tensor([q.reading.label for q in questions], device=first.device)
        size, spread = (torch.tensor(x, **like) for x in zip(*map(self._coefficients, questions), strict=True))
        self._size, self._spread = size[self.stack.group_owner], spread[self.stack.group_owner]
        if rule.laplacian and first.target.kind == "node":
            self._size = self._size + torch.cat([self._roughness(q) for q in questions]).to(self._size)
        self._check_edges_matter()

    def _start(self, question: Question, rng: torch.Generator) -> Tensor:
        std = (2 / max(1, question.num_nodes)) ** 0.5 if self.rule.init_std is None else self.rule.init_std
        return self.rule.init_mean + std * torch.randn(question.num_groups, generator=rng)

    def _coefficients(self, question: Question) -> tuple[float, float]:
        """Return what multiplies the mask and the entropy of each group."""
        # The paper's matrices hold both directions of an edge and 0 for pairs without one.
        both = 1 if question.directed else 2
        over = question.num_groups if self.rule.ent_over == "edges" else question.near**2 / both
        return self.rule.size * both, self.rule.ent / max(1, over)

    def _roughness(self, question: Question) -> Tensor:
        """Return what the smoothness term multiplies the mask of each group with, ``[G]``."""
        classes = question.node_classes.double()
        difference = (classes[question.src] - classes[question.dst]).square()
        inside = question.group >= 0
        total = torch.zeros(question.num_groups, dtype=torch.float64)
        total.index_add_(0, question.group[inside], difference[inside])
        return self.rule.laplacian * total / 2 / max(1, question.near) ** 2

    def losses(self, edge: Tensor | None = None, feat: Tensor | None = None) -> Tensor:
        """Return the loss of each question, ``[Q]``.

        Parameters
        ----------
        edge : Tensor, optional
            Logits ``[G]``; ``self.edge`` when None.
        feat : Tensor, optional
            Logits ``[Q, D]``; ``self.feat`` when both are None, and unmasked features when only this one is.
        """
        if edge is None:
            edge, feat = self.edge, self.feat
        s = edge.sigmoid()
        f = None if feat is None or feat.numel() == 0 else feat.reshape(len(self.questions), -1).sigmoid()
        rows = self.stack.rows(s, None if f is None else self._masked(f))
        loss = self._misfit(rows)
        loss = loss.index_add(0, self.stack.group_owner, self._size * s + self._spread * entropy(s))
        if f is not None:
            loss = loss + self.rule.feat_size * f.mean(1)
            if self.rule.feat_ent:
                loss = loss + self.rule.feat_ent * entropy(f).mean(1)
        return loss

    def _misfit(self, rows: Tensor) -> Tensor:
        reading = self.questions[0].reading
        if reading.mode == "multiclass":
            return -F.log_softmax(rows, dim=1).gather(1, self._label[:, None])[:, 0]
        value = rows[:, reading.column]
        if reading.mode == "binary":
            return -F.logsigmoid(torch.where(self._label == 0, -value, value))
        return (value - self.stack.reference[:, reading.column]).square()

    def _masked(self, f: Tensor) -> Tensor:
        x, owner = self.stack.feat, self.stack.node_owner
        if self.rule.feat_mode == "multiply":
            return x * f[owner]
        drawn = torch.zeros_like(x)
        for i, rng in enumerate(self._rngs):  # each question has its own noise, whatever it is stacked with
            own = x[owner == i]
            noise = torch.randn(own.shape, generator=rng).to(own)
            drawn[owner == i] = own.mean(0) + own.std(0, unbiased=False) * noise
        return x * f[owner] + drawn * (1 - f[owner])

    def _check_edges_matter(self) -> None:
        """Raise if no edge weight moves one of the answers, as :meth:`Question.check_edges_matter` does for one."""
        if self.stack.num_groups == 0:
            return
        probe = torch.full_like(self.edge, 0.75).requires_grad_()
        rows = self.stack.rows(probe)
        moves = torch.zeros(len(self.questions), dtype=torch.bool, device=rows.device)
        if rows.requires_grad:
            mixed = rows * torch.linspace(1, 2, rows.shape[-1], dtype=rows.dtype, device=rows.device)
            (grad,) = torch.autograd.grad(mixed.sum(), probe, allow_unused=True)
            if grad is not None:
                moves[self.stack.group_owner[grad.ne(0)]] = True
        for i in (~moves).nonzero()[:, 0].tolist():
            self.questions[i].check_edges_matter()

    def attributions(self, losses: Tensor | None) -> list[Attribution]:
        """Return the masks of each question; ``losses [Q]`` are noted."""
        if self.edge.isnan().any():
            raise GraphKitError("the masks became NaN; the learning rate may be too large")
        edge = self.edge.detach().sigmoid().split([q.num_groups for q in self.questions])
        final = [None] * len(edge) if losses is None else losses.tolist()
        feat = self.feat.detach().sigmoid()
        return [
            Attribution(edge[i], self._importance(q, feat[i]), info={"loss": final[i]})
            for i, q in enumerate(self.questions)
        ]

    def _importance(self, question: Question, mask: Tensor) -> Tensor | None:
        if mask.numel() == 0:
            return None
        if self.rule.feat_mode == "multiply":  # a column of zeros stays zero under any mask: it cannot matter
            return mask * question.batch.feat.ne(0).any(0)
        return mask
