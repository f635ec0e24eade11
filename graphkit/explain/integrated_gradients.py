"""Integrated gradients: Axiomatic Attribution for Deep Networks (1703.01365), by Captum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import register
from graphkit.explain.attribution import Attribution
from graphkit.explain.question import CHUNK, Question

RULES = {
    "gauss": "gausslegendre",
    "midpoint": "riemann_middle",
    "trapezoid": "riemann_trapezoid",
    "right": "riemann_right",
}


@register(
    "integrated-gradients",
    kind="explainer",
    level="any",
    title="Axiomatic Attribution for Deep Networks",
    arxiv="1703.01365",
)
@dataclass
class IntegratedGradients:
    """Share the difference of the answer from a baseline among edges, and among features.

    ``IG_i = (x_i - x'_i) int_0^1 dF(x' + t (x - x')) / dx_i dt``, so that ``sum_i IG_i = F(x) - F(x')``. Edge weights
    run from 0 (no edges that can matter) to their values; features from the baseline row to theirs.

    Parameters
    ----------
    steps : int, default 50
        Points on the path; doubled, up to ``max_steps``, until the scores miss at most 5 % of F(x) - F(x').
    max_steps : int, default 400
    rule : str, default "gauss"
        ``"gauss"``, ``"midpoint"``, ``"trapezoid"`` or ``"right"``.
    of : str, default "logit"
        F: the ``"logit"``, ``"probability"`` or ``"log_probability"`` of the explained answer. A probability near 1
        jumps within a small part of the path, which needs many steps.
    over : str, default "both"
        ``"both"``: edges with features in place, and features with edges in place, each complete by itself;
        ``"edges"`` or ``"features"`` alone; ``"joint"``: one path for both, complete together.
    baseline : str or Tensor, default "zero"
        Of features: ``"zero"``, ``"mean"`` (the mean row of the working graph) or a row ``[D]``.

    Notes
    -----
    ``info`` of the explanation holds, for each path, ``total`` (F(x) - F(x')), ``gap`` (what the scores miss of it,
    relative) and ``baseline`` (F(x')); ``note`` says so where the baseline is itself a confident answer.

    Examples
    --------
    >>> import graphkit as gk
    >>> data = gk.load("karate")
    >>> model = gk.models.build("gcn", data)
    >>> why = gk.explain(model, data, node=0, method="integrated-gradients", steps=20)
    >>> why.info["edges"]["gap"] < 0.05
    True
    """

    steps: int = 50
    rule: str = "gauss"
    of: str = "logit"
    over: str = "both"
    baseline: Any = "zero"
    max_steps: int = 400

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise GraphKitError(f"steps is {self.steps}; expected at least 1")
        for name, value, known in (
            ("rule", self.rule, RULES),
            ("score", self.of, ["logit", "probability", "log_probability"]),
            ("over", self.over, ["both", "edges", "features", "joint"]),
        ):
            if value not in known:
                raise unknown(name, value, known)

    def __call__(self, question: Question, seed: int = 0) -> Attribution:
        """Integrate along the paths of one question.

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
            If no edge weight moves the answer, or the baseline has another width.
        """
        question.check_edges_matter()
        x = question.batch.feat.detach()
        ones = torch.ones(1, question.num_groups, dtype=x.dtype, device=x.device)
        base = self._baseline(question)[None]
        wants_edges = self.over != "features" and question.num_groups > 0
        wants_feat = self.over != "edges" and question.has_features
        edge, node_feat, info = torch.zeros_like(ones), None, {}

        def score(weight: Tensor | None, feat: Tensor | None) -> Tensor:
            rows = question.rows(weight=None if weight is None else question.weights(weight), feat=feat)
            return question.reading.score(rows, self.of)

        if self.over == "joint" and wants_edges and wants_feat:
            (edge, node_feat), info["joint"] = self._path(question, score, (ones, x[None]), (0 * ones, base))
        else:
            if wants_edges:
                (edge,), info["edges"] = self._path(question, lambda w: score(w, None), (ones,), (0 * ones,))
            if wants_feat:
                (node_feat,), info["features"] = self._path(question, lambda f: score(None, f), (x[None],), (base,))
        if node_feat is None:
            return Attribution(edge[0], signed=True, info=info)
        return Attribution(edge[0], node_feat[0].abs().sum(0), node_feat[0], signed=True, info=info)

    def _path(self, question: Question, forward: Any, inputs: tuple, baselines: tuple) -> tuple[Any, dict[str, Any]]:
        from captum.attr import IntegratedGradients as Captum

        size = question.num_nodes * max(64, question.batch.feat.shape[1]) + 64 * question.num_edges
        with torch.no_grad():
            end, start = float(forward(*inputs)), float(forward(*baselines))
        total, steps = end - start, self.steps
        while True:
            scores = Captum(forward).attribute(
                inputs,
                baselines,
                n_steps=steps,
                method=RULES[self.rule],
                internal_batch_size=max(1, min(steps, CHUNK // max(1, size))),
            )
            missed = total - sum(float(part.sum()) for part in scores)
            gap = abs(missed) / max(abs(total), 1e-6)
            if gap <= 0.05 or 2 * steps > self.max_steps:
                break
            steps *= 2
        info: dict[str, Any] = {"total": total, "baseline": start, "gap": gap, "steps": steps}
        if self.of == "probability" and question.reading.mode != "regression" and start > 0.9:
            info["note"] = f"the baseline alone already gives this answer with probability {start:.2f}"
        if gap > 0.05:
            info["note"] = (
                f"with {steps} steps the scores miss {100 * gap:.0f} % of what they share out; raise max_steps"
            )
        return scores, info

    def _baseline(self, question: Question) -> Tensor:
        x = question.batch.feat.detach()
        if isinstance(self.baseline, Tensor):
            if self.baseline.shape not in {x.shape[1:], (1, *x.shape[1:])}:
                shape = list(self.baseline.shape)
                raise GraphKitError(f"baseline has shape {shape}; expected one row of {x.shape[1]} features")
            return self.baseline.to(x).expand_as(x)
        if self.baseline == "mean":
            return x.mean(0, keepdim=True).expand_as(x)
        if self.baseline == "zero":
            return torch.zeros_like(x)
        raise unknown("baseline", self.baseline, ["zero", "mean"])
