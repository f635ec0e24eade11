"""Saliency: the gradient of the answer with respect to edge weights and features."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from graphkit.core.errors import unknown
from graphkit.core.registry import Reported, register
from graphkit.explain.attribution import Attribution
from graphkit.explain.question import Question


@register(
    "saliency",
    kind="explainer",
    level="any",
    title="Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
    arxiv="1312.6034",
    reported=[
        Reported("ba-shapes", "edge AUC", 0.882, protocol="gradient baseline of 1903.03894", source="memory"),
        Reported("tree-cycles", "edge AUC", 0.905, protocol="gradient baseline of 1903.03894", source="memory"),
    ],
)
@dataclass
class Saliency:
    """Score edges and features by how fast the answer moves with them: ``|dF / dw_e|`` and ``|dF / dx_ij|``.

    Both directions of an undirected edge move together.

    Parameters
    ----------
    of : str, default "logit"
        F: the ``"logit"``, ``"probability"`` or ``"log_probability"`` of the explained answer.
    times_input : bool, default False
        Multiply feature gradients by the features, so that absent features score 0.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> why = gk.explain(gk.models.build("gcn", data), data, node=0, method="saliency")
    >>> why.edge_mask.shape == (data.graph.num_edges(),)
    True
    """

    of: str = "logit"
    times_input: bool = False

    def __post_init__(self) -> None:
        if self.of not in {"logit", "probability", "log_probability"}:
            raise unknown("score", self.of, ["logit", "probability", "log_probability"])

    def __call__(self, question: Question, seed: int = 0) -> Attribution:
        """Differentiate the answer of one question.

        Parameters
        ----------
        question : Question
        seed : int
            Not used: nothing is drawn.

        Returns
        -------
        Attribution
            ``edge [G]`` signed, ``feat [D]``, ``node_feat [n, D]`` signed.

        Raises
        ------
        GraphKitError
            If no edge weight moves the answer.
        """
        question.check_edges_matter()
        x = question.batch.feat.detach().clone().requires_grad_()
        values = torch.ones(question.num_groups, dtype=x.dtype, device=x.device, requires_grad=True)
        rows = question.rows(weight=question.weights(values)[None], feat=x[None])
        score = question.reading.score(rows, self.of).sum()
        edge, node_feat = torch.autograd.grad(score, [values, x], allow_unused=True, materialize_grads=True)
        if self.times_input:
            node_feat = node_feat * question.batch.feat
        if not question.has_features:
            return Attribution(edge, signed=True)
        return Attribution(edge, node_feat.abs().sum(0), node_feat, signed=True)
