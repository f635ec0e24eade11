"""Attention weights as explanations, for layers that have them (the baseline of 1903.03894)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from graphkit import ops
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import Reported, register
from graphkit.explain.attribution import Attribution
from graphkit.explain.question import Question


@contextmanager
def traced(found: list[Tensor]) -> Iterator[None]:
    """While the context holds, append to ``found`` the attention ``[E, H]`` that each attention layer computes."""
    plain, dynamic = ops.attention, ops.attention_v2

    def additive(graph: Any, feat: Tensor, src: Tensor, dst: Tensor, edge: Any = None, *rest: Any, **more: Any) -> Any:
        slope = more.get("negative_slope", rest[1] if len(rest) > 1 else 0.2)
        score = ops.gather_src(graph, src) + ops.gather_dst(graph, dst)
        score = score if edge is None else score + edge
        found.append(ops.edge_softmax(graph, F.leaky_relu(score, slope)))
        return plain(graph, feat, src, dst, edge, *rest, **more)

    def after(graph: Any, src: Tensor, dst: Tensor, attn: Tensor, edge: Any = None, *rest: Any, **more: Any) -> Any:
        slope = more.get("negative_slope", rest[1] if len(rest) > 1 else 0.2)
        hidden = ops.gather_src(graph, src) + ops.gather_dst(graph, dst)
        hidden = hidden if edge is None else hidden + edge
        found.append(ops.edge_softmax(graph, (F.leaky_relu(hidden, slope) * attn).sum(-1)))
        return dynamic(graph, src, dst, attn, edge, *rest, **more)

    room: Any = ops
    room.attention, room.attention_v2 = additive, after
    try:
        yield
    finally:
        room.attention, room.attention_v2 = plain, dynamic


@register(
    "attention",
    kind="explainer",
    level="any",
    title="Graph Attention Networks",
    arxiv="1710.10903",
    reported=[
        Reported("ba-shapes", "edge AUC", 0.815, protocol="attention baseline of 1903.03894", source="memory"),
        Reported("ba-community", "edge AUC", 0.739, protocol="attention baseline of 1903.03894", source="memory"),
        Reported("tree-cycles", "edge AUC", 0.824, protocol="attention baseline of 1903.03894", source="memory"),
        Reported("tree-grid", "edge AUC", 0.612, protocol="attention baseline of 1903.03894", source="memory"),
    ],
    weightless=True,
)
@dataclass
class Attention:
    """Score edges by the attention that the model pays them: ``mean over layers and heads of alpha_uv``.

    The score of an undirected edge is the mean over both directions. It is the same for all classes and says nothing
    of what the model makes of what it attends to.

    Parameters
    ----------
    layer : int, optional
        Take this attention layer alone, counted from 0 or, below 0, from the last; all layers when None.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gat", data), data, node=0, method="attention")
    >>> bool((why.edge_mask <= 1).all())
    True
    """

    layer: int | None = None

    def __call__(self, question: Question, seed: int = 0) -> Attribution:
        """Read the attention of one question.

        Parameters
        ----------
        question : Question
        seed : int
            Not used: nothing is drawn.

        Returns
        -------
        Attribution
            ``edge [G]`` in [0, 1].

        Raises
        ------
        GraphKitError
            If the model has no attention over edges, or not that many layers of it.
        """
        found: list[Tensor] = []
        with torch.no_grad(), traced(found):
            question.rows()
        m = question.num_edges
        # Loops that a layer adds come behind the graph's edges.
        paid = [
            alpha[:m].reshape(m, alpha[0].numel() if len(alpha) else 1).mean(1)
            for alpha in found
            if len(alpha) in (m, m + question.num_nodes)
        ]
        if not paid:
            name = getattr(question.model, "name", "") or type(question.model).__name__
            raise GraphKitError(
                f"{name} pays no attention over edges that could be read; use gat or gatv2, or another explainer"
            )
        if self.layer is not None:
            if not -len(paid) <= self.layer < len(paid):
                raise GraphKitError(f"layer is {self.layer}; the model has {len(paid)} attention layers")
            paid = [paid[self.layer]]
        mean = torch.stack(paid).mean(0)
        inside = question.group >= 0
        group = question.group[inside].to(mean.device)
        total = mean.new_zeros(question.num_groups).index_add(0, group, mean[inside])
        return Attribution(total / torch.bincount(group, minlength=question.num_groups).clamp(min=1))
