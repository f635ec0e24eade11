"""Node prediction: classes, 0/1 labels or numbers for the nodes of one graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.random import Rng
from graphkit.core.registry import register
from graphkit.sampling import NeighborLoader, full_batch
from graphkit.tasks.base import fanouts_of, place, total
from graphkit.tasks.packs import Packs
from graphkit.tasks.supervised import SupervisedTask


@register("node", kind="task", level="node")
@dataclass
class NodeTask(SupervisedTask):
    """Predict the labels of nodes, on the whole graph or on sampled neighbourhoods when ``batch_size`` is given.

    Scores are taken on the whole graph, or in batches of ``eval_batch_size`` targets with full neighbourhoods.

    Parameters
    ----------
    fanouts : list of int, optional
        Neighbours drawn at each layer, outermost first, -1 for all; 10 a layer when None.
    eval_batch_size : int, optional
    memory_budget : str or int, optional
        Bytes, such as ``"2GB"``, for the features and batches in memory: batches are drawn before training and packed
        on disk (DiskGNN, arXiv 2405.05231). Scores are then those of sampled neighbourhoods, the same in every epoch.
    stored_epochs : int
        With a budget, how many epochs are drawn; training cycles through them.
    packed : str, optional
        Folder of the packed batches, which runs of the same plan share; in the run's folder when None.

    Examples
    --------
    >>> import graphkit as gk
    >>> NodeTask(gk.load("karate")).monitor
    ('val/accuracy', 'max')
    """

    fanouts: list[int] | None = None
    eval_batch_size: int | None = None
    memory_budget: str | int | None = None
    stored_epochs: int = 2
    packed: str | None = None
    _packs: Packs | None = field(default=None, init=False, repr=False, compare=False)

    level: ClassVar[str] = "node"

    def packs(self, model: nn.Module) -> Packs:
        """Return where batches drawn ahead are kept, for a task with a memory budget."""
        if self._packs is None or self._packs.data is not self.data:
            fanouts = fanouts_of(model, self.fanouts, 10)
            self._packs = Packs(
                self.data, fanouts, self.batch_size, self.memory_budget, self.stored_epochs, self.packed, self.folder
            )
        return self._packs

    def close(self) -> None:
        """Let go of loaders, and of batches packed in a temporary folder."""
        super().close()
        if self._packs is not None:
            self._packs.close()
            self._packs = None

    def batches(self, split: str, model: nn.Module, rng: Rng) -> Iterator[Batch]:
        """Yield the whole graph with the split's nodes as targets, or shuffled batches of blocks."""
        if self.memory_budget is not None:
            yield from self.packs(model).batches(split, rng)
            return
        if self.batch_size is None:
            yield full_batch(self.data, split)
            return
        make = partial(
            NeighborLoader,
            self.data,
            self.ids(split),
            fanouts_of(model, self.fanouts, 10),
            batch_size=self.batch_size,
            shuffle=True,
        )
        yield from self.loader(split, rng, make)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss over the batch's targets, plus the model's own terms."""
        output = model(batch)
        return total(self.criterion(output.pred, batch.label), output)

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Loss and scores on the nodes of ``split``."""
        ids = self.ids(split)
        if self.memory_budget is not None:
            batches = self.packs(model).evaluation(split)
            pred = torch.cat([model(place(batch, model)).pred.float() for batch in batches])
        else:
            pred = self.predict(model, ids).float()
        return self.score(pred, self.data.labels[ids].to(pred.device))

    def predict(self, model: nn.Module, what: Tensor | None = None) -> Tensor:
        """Return raw outputs ``[T, C]`` for the node ids ``what``, all nodes when None."""
        num_nodes = self.data.num_rows
        ids = torch.arange(num_nodes) if what is None else torch.as_tensor(what, dtype=torch.int64).reshape(-1)
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= num_nodes):
            raise GraphKitError(f"node ids run from 0 to {num_nodes - 1}; got {int(ids.min())} to {int(ids.max())}")
        if self.eval_batch_size is None:
            batch = full_batch(self.data, None).replace(targets=ids, label=None)
            return model(place(batch, model)).pred
        fanouts = [-1] * len(fanouts_of(model, None, -1))
        loader = NeighborLoader(self.data, ids, fanouts, batch_size=self.eval_batch_size, shuffle=False, seed=0)
        return torch.cat([model(place(batch, model)).pred for batch in loader])
