"""Graph prediction: classes, 0/1 labels or numbers for whole graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.random import Rng
from graphkit.core.registry import register
from graphkit.sampling import GraphLoader
from graphkit.tasks.base import place, total
from graphkit.tasks.supervised import SupervisedTask


@register("graph", kind="task", level="graph")
@dataclass
class GraphTask(SupervisedTask):
    """Predict the labels of graphs, in shuffled batches of ``batch_size`` graphs (32 when None).

    Parameters
    ----------
    eval_batch_size : int
        Graphs at a time when scoring.

    Examples
    --------
    >>> GraphTask.default_batch_size
    32
    """

    eval_batch_size: int = 256

    level: ClassVar[str] = "graph"
    default_batch_size: ClassVar[int | None] = 32

    def batches(self, split: str, model: nn.Module, rng: Rng) -> Iterator[Batch]:
        """Yield the split's graphs in shuffled batches."""
        ids = self.ids(split)
        size = self.batch_size or min(self.default_batch_size or len(ids), len(ids))
        yield from self.loader(split, rng, partial(GraphLoader, self.data, ids, batch_size=size, shuffle=True))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss over the batch's graphs, plus the model's own terms."""
        output = model(batch)
        return total(self.criterion(output.pred, batch.label), output)

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Loss and scores on the graphs of ``split``."""
        ids = self.ids(split)
        pred = self.predict(model, ids).float()
        return self.score(pred, self.data.labels[ids].to(pred.device))

    def predict(self, model: nn.Module, what: Tensor | None = None) -> Tensor:
        """Return raw outputs ``[B, C]`` for the graph ids ``what``, all graphs when None."""
        num_graphs = len(self.data)
        ids = torch.arange(num_graphs) if what is None else torch.as_tensor(what, dtype=torch.int64).reshape(-1)
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= num_graphs):
            raise GraphKitError(f"graph ids run from 0 to {num_graphs - 1}; got {int(ids.min())} to {int(ids.max())}")
        loader = GraphLoader(self.data, ids, batch_size=self.eval_batch_size, shuffle=False, seed=0)
        return torch.cat([model(place(batch, model)).pred for batch in loader])
