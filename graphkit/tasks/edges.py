"""Edge reconstruction: the types of all edges of a graph, told from a smaller picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.batch import Batch
from graphkit.core.registry import register
from graphkit.sampling import GraphLoader
from graphkit.tasks.base import place, total
from graphkit.tasks.graph import GraphTask

if TYPE_CHECKING:
    from graphkit.data import Dataset


@register("edge-reconstruction", kind="task", level="graph")
@dataclass
class EdgeReconstructionTask(GraphTask):
    """Tell the type of every edge (its ``etype``), as an autoencoder does whose middle is small.

    Scores are the share of edges that are right (``accuracy``) and of graphs all of whose edges are (``exact``).

    Examples
    --------
    >>> EdgeReconstructionTask(data=None).monitor
    ('val/accuracy', 'max')
    """

    gives_probabilities: ClassVar[bool] = True

    @classmethod
    def fits(cls, data: Dataset) -> bool:
        """Say whether the data are graphs whose edges have types."""
        return data.task == "graph" and data.num_relations > 0

    @property
    def monitor(self) -> tuple[str, str]:
        """Best validation accuracy, or what ``select`` names."""
        name = self.select or "accuracy"
        return f"val/{name}", "min" if name == "loss" else "max"

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy of the edges' types, plus the model's own terms."""
        output = model(batch)
        return total(F.cross_entropy(output.pred, batch.fields["etype"]), output)

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Loss, share of edges and share of graphs that are right."""
        loss = edges = right = whole = graphs = 0.0
        for batch in self._eval(split):
            batch = place(batch, model)
            pred, true = model(batch).pred.float(), batch.fields["etype"]
            loss += float(F.cross_entropy(pred, true, reduction="sum"))
            good = (pred.argmax(-1) == true).double().cpu()
            sizes = batch.graph.batch_num_edges()
            owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
            wrong = owner[good == 0].bincount(minlength=len(sizes))
            right, edges = right + float(good.sum()), edges + len(good)
            whole, graphs = whole + float((wrong == 0).sum()), graphs + len(sizes)
        return {"loss": loss / max(edges, 1), "accuracy": right / max(edges, 1), "exact": whole / max(graphs, 1)}

    def _eval(self, split: str | Tensor) -> GraphLoader:
        ids = self.ids(split) if isinstance(split, str) else split
        return GraphLoader(self.data, ids, batch_size=self.eval_batch_size, shuffle=False, seed=0)

    def predict(self, model: nn.Module, what: Tensor | None = None) -> Tensor:
        """Return raw outputs for all edges of the graph ids ``what``, one graph behind the other, ``[E, R]``."""
        ids = torch.arange(len(self.data)) if what is None else torch.as_tensor(what, dtype=torch.int64).reshape(-1)
        return torch.cat([model(place(batch, model)).pred for batch in self._eval(ids)])

    def activate(self, pred: Tensor) -> Tensor:
        """Softmax over the types."""
        return pred.softmax(-1)
