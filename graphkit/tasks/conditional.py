"""A number or a class for each pair of graphs, from the pair and from a noisy view of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.registry import register
from graphkit.tasks.base import total
from graphkit.tasks.graph import GraphTask

if TYPE_CHECKING:
    from graphkit.data import Dataset


@register("conditional", kind="task", level="graph")
@dataclass
class ConditionalTask(GraphTask):
    r"""Predict the labels of pairs of graphs; what a system gives as noisy views of the pairs is held to them too.

    .. math:: L = \ell(y, f(z)) + \sum_v \ell(y, f(z_v)) + \text{the model's own terms}

    A pair is one graph, the disjoint union with the node field ``side`` (0 or 1). In training a system may leave
    further rows for the pairs in ``Encoded.layers``; its head scores them in place of ``global_``.

    Examples
    --------
    >>> ConditionalTask(data=None).level
    'graph'
    """

    @classmethod
    def fits(cls, data: Dataset) -> bool:
        """Say whether the data are pairs of graphs with labels that are no relevance for a query."""
        full = data.collated
        return data.labels is not None and "side" in full.node_fields and "query_id" not in full.graph_fields

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss over the batch's pairs and over each noisy view of them, plus the model's own terms."""
        output = model(batch)
        loss = self.criterion(output.pred, batch.label)
        encoded = output.encoded
        head = getattr(model, "head", None)
        if encoded is not None and head is not None and model.training:
            for view in encoded.layers:
                loss = loss + self.criterion(head(replace(encoded, global_=view), batch), batch.label)
        return total(loss, output)
