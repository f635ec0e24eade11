"""Labels, losses and scores that node and graph tasks share."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit import metrics
from graphkit.core.errors import GraphKitError, unknown
from graphkit.heads.scale import TargetScale
from graphkit.tasks.base import Task

OBJECTIVES = ("cross-entropy", "bce", "mse", "mae")
BALANCES = ("task", "class")


def guess_objective(labels: Tensor) -> str:
    """Name the loss that labels ask for: int64 → cross-entropy, 0/1 floats → bce, other floats → mse.

    >>> guess_objective(torch.tensor([[0.0, 1.0], [float("nan"), 1.0]]))
    'bce'
    """
    if not labels.is_floating_point():
        return "cross-entropy"
    known = labels[~torch.isnan(labels)]
    return "bce" if ((known == 0) | (known == 1)).all() else "mse"


def label_weights(labels: Tensor, balance: str) -> Tensor:
    r"""Weigh 0/1 labels, of mean 1, so that columns have equal totals, and with ``class`` zeros and ones of each too.

    .. math:: w_{tc} \propto \frac{1}{T n_{tc}}

    Parameters
    ----------
    labels : Tensor
        ``[B, T]`` or ``[B]``, NaN missing.
    balance : str
        ``"task"`` or ``"class"``.

    Returns
    -------
    Tensor
        ``[T, 2]``, the weight of a zero and of a one in each column; 0 where there is none.

    Notes
    -----
    "Massively Multitask Networks for Drug Discovery", arXiv 1502.02072.

    Examples
    --------
    >>> label_weights(torch.tensor([0.0, 0.0, 0.0, 1.0]), "class").tolist()
    [[0.6666666865348816, 2.0]]
    """
    rows = labels.reshape(len(labels), -1)
    count = torch.stack([(rows == 0).sum(0), (rows == 1).sum(0)], 1).double()  # [T, 2]
    share = count if balance == "class" else count.sum(1, keepdim=True).expand(-1, 2)
    weight = torch.where(count > 0, 1 / share.clamp(min=1), 0.0)
    return (weight * count.sum() / (weight * count).sum().clamp(min=1e-12)).float()


@dataclass
class SupervisedTask(Task):
    """A task whose labels belong to nodes or graphs.

    Parameters
    ----------
    objective : str, optional
        ``cross-entropy`` (labels int64, -1 missing), ``bce`` (0/1 floats, one column for each label, NaN missing; or
        shares in between, behind a sigmoid, which are scored as numbers),
        ``mse`` or ``mae`` (floats, NaN missing); by the labels' type when None.
    select : str, optional
        The validation score that picks the best epoch; accuracy, ROC AUC or the mean absolute error when None.
    balance : str, optional
        Of ``bce``: ``task`` weighs labels so that every column of the training part has the same total, ``class`` so
        that in each its zeros and ones have the same total too; all labels weigh the same when None. Other objectives
        do not look at it.
    """

    objective: str | None = None
    select: str | None = None
    balance: str | None = None
    _weight: Tensor | None = field(default=None, init=False, repr=False, compare=False)
    _unit: Tensor | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.objective is not None and self.objective not in OBJECTIVES:
            raise unknown("objective", self.objective, OBJECTIVES)
        if self.balance is not None and self.balance not in BALANCES:
            raise unknown("balance", self.balance, BALANCES)

    def prepare(self, model: nn.Module) -> None:
        """Weigh the training labels for ``balance``, and let a head that scales its targets learn them."""
        super().prepare(model)
        labels = self.data.labels[self.ids("train")] if self.size("train") else None
        if labels is not None and self.balance is not None and self.kind == "bce":
            self._weight = label_weights(labels, self.balance)
        head = getattr(model, "head", None)
        if isinstance(head, TargetScale) and self.kind in ("mse", "mae"):
            if labels is not None:
                head.learn(labels)
            self._unit = head.std

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
        if self._unit is not None and len(self._unit) == label.reshape(len(label), -1).shape[1]:
            unit = self._unit.to(label).expand(len(label), -1).reshape(label.shape)
            pred, label = pred / unit, label / unit  # columns of other units count the same
        loss = {"bce": F.binary_cross_entropy_with_logits, "mse": F.mse_loss, "mae": F.l1_loss}[self.kind]
        if self._weight is None or self.kind != "bce":
            return loss(pred[known], label[known])
        column = torch.arange(label[0].numel(), device=label.device).expand(len(label), -1).reshape(label.shape)
        weight = self._weight.to(label)[column[known], label[known].long()]
        return F.binary_cross_entropy_with_logits(pred[known], label[known], weight)

    def score(self, pred: Tensor, label: Tensor) -> dict[str, float]:
        """Return the loss and the scores of ``pred`` against ``label``."""
        scores = {"loss": float(self.criterion(pred, label))}
        if self.kind == "cross-entropy":
            scores["accuracy"] = metrics.accuracy(pred, label)
        elif self.kind == "bce" and bool(((label == 0) | (label == 1) | torch.isnan(label)).all()):
            flat = pred.reshape(label.shape)
            scores |= {"roc_auc": metrics.roc_auc(flat, label), "ap": metrics.average_precision(flat, label)}
        else:  # numbers, or shares between 0 and 1 behind a sigmoid
            pred = self.activate(pred)
            scores |= metrics.errors(pred, label)
            if label.numel() == len(label) > 1:
                scores["kendall"] = metrics.kendall(pred, label)
        return scores

    def activate(self, pred: Tensor) -> Tensor:
        """Probabilities: softmax for classes, sigmoid for 0/1 labels, the value itself for regression."""
        if self.kind == "cross-entropy":
            return pred.softmax(-1)
        return pred.sigmoid() if self.kind == "bce" else pred
