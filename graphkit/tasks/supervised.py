"""Labels, losses and scores that node and graph tasks share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from graphkit import metrics
from graphkit.core.errors import GraphKitError, unknown
from graphkit.tasks.base import Task

OBJECTIVES = ("cross-entropy", "bce", "mse", "mae")


def guess_objective(labels: Tensor) -> str:
    """Name the loss that labels ask for: int64 → cross-entropy, 0/1 floats → bce, other floats → mse.

    >>> guess_objective(torch.tensor([[0.0, 1.0], [float("nan"), 1.0]]))
    'bce'
    """
    if not labels.is_floating_point():
        return "cross-entropy"
    known = labels[~torch.isnan(labels)]
    return "bce" if ((known == 0) | (known == 1)).all() else "mse"


@dataclass
class SupervisedTask(Task):
    """A task whose labels belong to nodes or graphs.

    Parameters
    ----------
    objective : str, optional
        ``cross-entropy`` (labels int64, -1 missing), ``bce`` (0/1 floats, one column for each label, NaN missing),
        ``mse`` or ``mae`` (floats, NaN missing); by the labels' type when None.
    select : str, optional
        The validation score that picks the best epoch; accuracy, ROC AUC or the mean absolute error when None.
    """

    objective: str | None = None
    select: str | None = None

    def __post_init__(self) -> None:
        if self.objective is not None and self.objective not in OBJECTIVES:
            raise unknown("objective", self.objective, OBJECTIVES)

    @property
    def kind(self) -> str:
        """The loss in use, one of ``OBJECTIVES``."""
        return self.objective or guess_objective(self.data.labels)

    @property
    def monitor(self) -> tuple[str, str]:
        """Best validation accuracy, ROC AUC or error, or what ``select`` names."""
        name = self.select or {"cross-entropy": "accuracy", "bce": "roc_auc"}.get(self.kind, "mae")
        return f"val/{name}", "min" if name in {"loss", "mae", "rmse"} else "max"

    def criterion(self, pred: Tensor, label: Tensor) -> Tensor:
        """Mean loss of ``pred`` over the labels that are not missing, 0 if all are."""
        if self.kind == "cross-entropy":
            if pred.dim() != 2:
                raise GraphKitError(f"class labels need a prediction [T, C]; the model gave {list(pred.shape)}")
            known = label >= 0
            if not known.any():
                return pred.sum() * 0.0
            return F.cross_entropy(pred[known].float() if pred.dtype == torch.bfloat16 else pred[known], label[known])
        label = label.to(pred.dtype if pred.dtype != torch.bfloat16 else torch.float32)
        if pred.numel() != label.numel():
            raise GraphKitError(f"the model gave {list(pred.shape)} values for labels of shape {list(label.shape)}")
        pred, known = pred.reshape(label.shape).to(label.dtype), ~torch.isnan(label)
        if not known.any():
            return pred.sum() * 0.0
        loss = {"bce": F.binary_cross_entropy_with_logits, "mse": F.mse_loss, "mae": F.l1_loss}[self.kind]
        return loss(pred[known], label[known])

    def score(self, pred: Tensor, label: Tensor) -> dict[str, float]:
        """Return the loss and the scores of ``pred`` against ``label``."""
        scores = {"loss": float(self.criterion(pred, label))}
        if self.kind == "cross-entropy":
            scores["accuracy"] = metrics.accuracy(pred, label)
        elif self.kind == "bce":
            flat = pred.reshape(label.shape)
            scores |= {"roc_auc": metrics.roc_auc(flat, label), "ap": metrics.average_precision(flat, label)}
        else:
            scores |= metrics.errors(pred, label)
        return scores

    def activate(self, pred: Tensor) -> Tensor:
        """Probabilities: softmax for classes, sigmoid for 0/1 labels, the value itself for regression."""
        if self.kind == "cross-entropy":
            return pred.softmax(-1)
        return pred.sigmoid() if self.kind == "bce" else pred
