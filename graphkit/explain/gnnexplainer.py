"""GNNExplainer: Generating Explanations for Graph Neural Networks (1903.03894)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import Reported, register
from graphkit.explain.attribution import Attribution
from graphkit.explain.many import shown_progress
from graphkit.explain.masks import Masks, alike, apart, joined
from graphkit.explain.question import Question


@register(
    "gnnexplainer",
    kind="explainer",
    level="any",
    title="GNNExplainer: Generating Explanations for Graph Neural Networks",
    arxiv="1903.03894",
    reported=[
        Reported("ba-shapes", "edge AUC", 0.925, protocol="edges of motif against rest", source="memory"),
        Reported("ba-community", "edge AUC", 0.836, protocol="edges of motif against rest", source="memory"),
        Reported("tree-cycles", "edge AUC", 0.948, protocol="edges of motif against rest", source="memory"),
        Reported("tree-grid", "edge AUC", 0.875, protocol="edges of motif against rest", source="memory"),
    ],
)
@dataclass
class GNNExplainer:
    """Find the small soft subgraph and the features that still give the model's answer ``y``.

    Minimises over edge logits M and feature logits F, with ``s = sigmoid(M)`` and ``f = sigmoid(F)``:
    ``-log P(y | s * A, f * X) + size sum_e s_e + ent sum_e H(s_e) / n^2 + feat_size mean f + feat_ent mean H(f) +
    laplacian y' L_s y / n^2``. One logit for each undirected edge; sums run over the edges that can matter, in both
    directions, and n counts the nodes they join.

    Parameters
    ----------
    epochs : int, default 100
    lr : float, default 0.1
        Of Adam.
    size, ent : float, default 0.005 and 1.0
        Weights of the sum and the entropy of edge masks.
    ent_over : str, default "pairs"
        ``"pairs"``: the entropy is a mean over all n^2 pairs, as in the paper's code. ``"edges"``: a mean over edges,
        as in several re-implementations; in computation graphs of fewer than about 100 edges it outweighs the size
        term and drives the masks of edges that do not matter to 1.
    feat_size, feat_ent : float, default 1.0 and 0.0
        Weights of the mean and the mean entropy of feature masks (the authors' code computes the latter, weight 0.1,
        and does not add it).
    laplacian : float, default 0.0
        Weight of the smoothness of predicted classes over the masked graph, for node targets (1.0 in the paper).
    feat_mode : str, default "multiply"
        ``"multiply"``: X * f. ``"marginal"``: X * f + Z (1 - f) with Z drawn about the mean row, so that a feature
        whose telling value is 0 can count. ``"none"``: features stay as they are.
    init_mean, init_std : float
        Of the edge logits at the start: 1 in the paper (PyG starts at 0), and ``sqrt(2 / n)`` when None.
    directions : str, default "tied"
        ``"tied"``: one logit for both directions of an undirected edge. ``"apart"``: one for each, as PyG has it; an
        edge scores their mean, where a direction that cannot matter counts 0. That tells near edges from far ones
        whatever the model has learned, and an untrained network scores higher by it too.

    Notes
    -----
    The paper masks A before degree norms are taken; here norms are frozen unless ``norm="recompute"`` is given to
    :func:`graphkit.explain.explain`. Self-loops are never masked.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gcn", data), data, node=0, method="gnnexplainer", epochs=3)
    >>> bool((why.edge_mask <= 1).all())
    True
    """

    epochs: int = 100
    lr: float = 0.1
    size: float = 0.005
    ent: float = 1.0
    feat_size: float = 1.0
    feat_ent: float = 0.0
    laplacian: float = 0.0
    feat_mode: str = "multiply"
    init_mean: float = 1.0
    init_std: float | None = None
    ent_over: str = "pairs"
    directions: str = "tied"

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.lr <= 0:
            raise GraphKitError(f"epochs is {self.epochs} and lr {self.lr}; expected epochs >= 0 and lr > 0")
        if self.feat_mode not in {"multiply", "marginal", "none"}:
            raise unknown("feat_mode", self.feat_mode, ["multiply", "marginal", "none"])
        if self.ent_over not in {"pairs", "edges"}:
            raise unknown("ent_over", self.ent_over, ["pairs", "edges"])
        if self.directions not in {"tied", "apart"}:
            raise unknown("directions", self.directions, ["tied", "apart"])

    def __call__(self, question: Question, seed: int = 0) -> Attribution:
        """Fit the masks of one question.

        Parameters
        ----------
        question : Question
        seed : int

        Returns
        -------
        Attribution
            ``edge [G]`` and ``feat [D]`` in [0, 1].

        Raises
        ------
        GraphKitError
            If no edge weight moves the answer.
        """
        return self.many([question], seed)[0]

    def many(self, questions: list[Question], seed: int = 0, progress: bool | None = False) -> list[Attribution]:
        """Fit the masks of many questions of one model in one optimisation over their stacked graphs.

        Each question has the masks that it would get alone: nothing in the sum of the losses ties two of them.

        Parameters
        ----------
        questions : list of Question
        seed : int
        progress : bool, optional
            Show a progress bar over epochs; when None, on a terminal only.

        Returns
        -------
        list of Attribution

        Raises
        ------
        GraphKitError
            If no edge weight moves one of the answers.
        """
        if self.directions == "apart":
            ways = [apart(question) for question in questions]
            found_apart = replace(self, directions="tied").many(ways, seed, progress)
            return [joined(*three) for three in zip(questions, ways, found_apart, strict=True)]
        found: list[Attribution | None] = [None] * len(questions)
        for part in alike(questions):
            for i, attribution in zip(part, self._fit([questions[i] for i in part], seed, progress), strict=True):
                found[i] = attribution
        return found  # type: ignore[return-value]

    def _fit(self, questions: list[Question], seed: int, progress: bool | None) -> list[Attribution]:
        masks = Masks(self, questions, seed)
        optimizer = torch.optim.Adam([masks.edge, masks.feat], lr=self.lr, fused=masks.edge.device.type == "cpu")
        losses = None
        for _ in shown_progress(range(self.epochs), self.epochs, "fitting masks", progress):
            losses = masks.losses()
            free = [masks.edge, masks.feat]
            masks.edge.grad, masks.feat.grad = torch.autograd.grad(losses.sum(), free, allow_unused=True)
            optimizer.step()
        return masks.attributions(losses)

    def loss(self, question: Question, edge: Tensor, feat: Tensor | None = None) -> Tensor:
        """Return the loss of edge logits ``[G]`` and feature logits ``[D]`` (None: features stay as they are)."""
        return Masks(self, [question], 0).losses(edge, feat)[0]
