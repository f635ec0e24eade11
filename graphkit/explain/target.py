"""What is explained: one node, pair, edge or graph, and how the model's answer for it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from graphkit.core.errors import GraphKitError, unknown

MODES = ("multiclass", "binary", "regression")


@dataclass(frozen=True)
class Target:
    """The thing whose prediction is explained.

    Parameters
    ----------
    kind : str
        ``"node"``, ``"pair"``, ``"edge"`` or ``"graph"``.
    ids : tuple of int
        The node, both ends of the pair, the edge, or the graph's number.
    rel : int, optional
        The relation of a pair in a knowledge graph.

    Examples
    --------
    >>> str(Target("pair", (3, 7)))
    'pair 3, 7'
    """

    kind: str
    ids: tuple[int, ...]
    rel: int | None = None

    def __str__(self) -> str:
        text = f"{self.kind} {', '.join(map(str, self.ids))}"
        return text if self.rel is None else f"{text} (relation {self.rel})"


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise GraphKitError(f"{name} is {value!r}; expected an integer id")
    return value.__index__()


def parse_target(node: Any = None, pair: Any = None, edge: Any = None, graph: Any = None, rel: Any = None) -> Target:
    """Return the one target that was given.

    Parameters
    ----------
    node, edge, graph : int, optional
    pair : sequence of two int, optional
    rel : int, optional
        Only with ``pair``.

    Raises
    ------
    GraphKitError
        If none or several are given, or an id is no integer.

    Examples
    --------
    >>> parse_target(node=3)
    Target(kind='node', ids=(3,), rel=None)
    """
    given = {k: v for k, v in {"node": node, "pair": pair, "edge": edge, "graph": graph}.items() if v is not None}
    if len(given) != 1:
        came = " and ".join(f"{name}=" for name in given) or "none"
        raise GraphKitError(f"give exactly one of node=, pair=, edge=, graph= to explain; got {came}")
    kind, value = next(iter(given.items()))
    if rel is not None and kind != "pair":
        raise GraphKitError(f"rel= names the relation of a pair; it has no meaning with {kind}=")
    if kind != "pair":
        return Target(kind, (_integer(kind, value),))
    try:
        ends = [_integer("pair", end) for end in value]
    except TypeError:
        ends = []
    if len(ends) != 2:
        raise GraphKitError(f"pair is {value!r}; expected two node ids, such as pair=(3, 7)")
    return Target("pair", tuple(ends), None if rel is None else _integer("rel", rel))


def check_range(name: str, index: int, size: int, whole: str) -> None:
    """Raise unless ``0 <= index < size``.

    >>> check_range("node", 2, 3, "graph of 3 nodes")
    """
    if not 0 <= index < size:
        ids = f"ids run from 0 to {size - 1}" if size else "it is empty"
        raise GraphKitError(f"{name} {index} is not in the {whole}; {ids}")


@dataclass(frozen=True)
class Reading:
    """How rows ``[S, C]`` of a model's output are read for one answer.

    Parameters
    ----------
    mode : str
        ``"multiclass"`` (softmax over columns), ``"binary"`` (sigmoid of one column) or ``"regression"`` (one column).
    label : int
        The explained class; for binary outputs 1 or 0; for regression 0.
    column : int
        The column that binary and regression outputs are read from.

    Examples
    --------
    >>> rows = torch.tensor([[0.0, 0.0]])
    >>> Reading("multiclass", 1).probability(rows)
    tensor([0.5000])
    """

    mode: str
    label: int = 0
    column: int = 0

    def logit(self, rows: Tensor) -> Tensor:
        """Return the raw score of the explained answer, ``[S]``; larger is more of it."""
        if self.mode == "multiclass":
            return rows[:, self.label]
        value = rows[:, self.column]
        return -value if self.mode == "binary" and self.label == 0 else value

    def log_probability(self, rows: Tensor) -> Tensor:
        """Return the log-probability of the explained answer, ``[S]``; for regression the value itself."""
        if self.mode == "multiclass":
            return F.log_softmax(rows, dim=1)[:, self.label]
        value = self.logit(rows)
        return F.logsigmoid(value) if self.mode == "binary" else value

    def probability(self, rows: Tensor) -> Tensor:
        """Return the probability of the explained answer, ``[S]``; for regression the value itself."""
        value = self.log_probability(rows)
        return value if self.mode == "regression" else value.exp()

    def answer(self, rows: Tensor) -> Tensor:
        """Return the model's own answer for each row: int64 class ``[S]`` (for regression all zero)."""
        if self.mode == "multiclass":
            return rows.argmax(dim=1)
        if self.mode == "binary":
            return (rows[:, self.column] >= 0).long()
        return torch.zeros(len(rows), dtype=torch.int64)

    def score(self, rows: Tensor, of: str) -> Tensor:
        """Return ``[S]``: the ``"logit"``, ``"probability"`` or ``"log_probability"`` of the explained answer."""
        choices = {"logit": self.logit, "probability": self.probability, "log_probability": self.log_probability}
        if of not in choices:
            raise unknown("score", of, choices)
        return choices[of](rows)

    def table(self, rows: Tensor) -> list[float]:
        """Return the probabilities of all classes of the first row (two for binary, none for regression)."""
        if self.mode == "multiclass":
            return F.softmax(rows[0], dim=0).tolist()
        if self.mode == "binary":
            p = torch.sigmoid(rows[0, self.column]).item()
            return [1 - p, p]
        return []


def guess_mode(target: Target, width: int, labels: Tensor | None) -> str:
    """Return how outputs of ``width`` columns are read, judged by the labels where there are any.

    Integer labels mean classes; floating-point labels that are all 0 or 1 mean one yes-or-no question for each column;
    other floating-point labels mean regression. Links are yes-or-no questions.

    >>> guess_mode(Target("node", (0,)), 3, None)
    'multiclass'
    """
    if target.kind in {"pair", "edge"} and width == 1:
        return "binary"
    if target.kind in {"node", "graph"} and labels is not None and labels.is_floating_point():
        known = labels[~labels.isnan()]
        return "binary" if bool(((known == 0) | (known == 1)).all()) else "regression"
    return "multiclass" if width > 1 else "binary"


def read_answer(
    target: Target, rows: Tensor, labels: Tensor | None, mode: str | None, label: int | None, column: int
) -> Reading:
    """Return the reading of the model's own answer, or of the class that the user names.

    Parameters
    ----------
    target : Target
    rows : Tensor
        The model's output for the target, ``[1, C]``.
    labels : Tensor, optional
        The dataset's labels, to judge the mode by.
    mode : str, optional
        One of ``MODES``; judged when None.
    label : int, optional
        The class to explain; the model's own answer when None.
    column : int
        The column of outputs that answer several yes-or-no questions.

    Raises
    ------
    GraphKitError
        If the mode is unknown, or the class or column is out of range.
    """
    mode = mode or guess_mode(target, rows.shape[1], labels)
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    check_range("column", column, rows.shape[1], f"model's output of {rows.shape[1]} columns")
    if label is None:
        return Reading(mode, int(Reading(mode, 0, column).answer(rows)), column)
    classes = {"multiclass": rows.shape[1], "binary": 2, "regression": 1}[mode]
    check_range("target_class", label, classes, f"model's answer of {classes} classes")
    return Reading(mode, int(label), column)
