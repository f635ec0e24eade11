"""Node prediction: classes, 0/1 labels or numbers for the nodes of one graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.random import Rng
from graphkit.core.registry import register
from graphkit.sampling import Loader, NeighborLoader, Store, full_batch
from graphkit.sampling.named import check_sampler, node_loader
from graphkit.tasks.base import fanouts_of, place, total
from graphkit.tasks.layerwise import LayerByLayer, runs_by_layer
from graphkit.tasks.packs import Packs
from graphkit.tasks.supervised import SupervisedTask
from graphkit.tasks.together import check_part, predict_together

#: Batch sizes of samplers that are asked for without one: targets, or nodes of a subgraph.
BATCH_SIZES = {"shadow": 128, "cluster": 1000, "saint": 1000}
#: With fewer targets than one in so many nodes, batches of their neighbourhoods are computed, not the whole graph.
FEW = 4
#: Their number where the features are on disk and nobody says how many.
EVAL_BATCH = 256


@register("node", kind="task", level="node")
@dataclass
class NodeTask(SupervisedTask):
    """Predict the labels of nodes, on the whole graph or on sampled parts of it when ``batch_size`` is given.

    Scores are taken on the whole graph; with ``eval_batch_size`` layer by layer, so many nodes at a time, or, for few
    targets and for encoders that do not run by layers, in batches with full neighbourhoods; with the sampler ``shadow``
    on the targets' own subgraphs.

    Parameters
    ----------
    sampler : str
        ``neighbor`` (GraphSAGE), ``shadow`` (a private subgraph for each target), ``cluster`` (METIS parts) or
        ``saint`` (weighted random subgraphs).
    sampler_options : dict, optional
        Such as ``{"kind": "ppr", "budget": 200}`` of ``shadow``; see :func:`graphkit.sampling.node_loader`.
    fanouts : list of int, optional
        Of ``neighbor``: neighbours drawn at each layer, outermost first, -1 for all; 10 a layer when None.
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

    sampler: str = "neighbor"
    sampler_options: dict[str, Any] | None = None
    fanouts: list[int] | None = None
    eval_batch_size: int | None = None
    memory_budget: str | int | None = None
    stored_epochs: int = 2
    packed: str | None = None
    _packs: Packs | None = field(default=None, init=False, repr=False, compare=False)

    level: ClassVar[str] = "node"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sampler(self.sampler, self.sampler_options)
        if self.sampler != "neighbor" and self.memory_budget is not None:
            raise GraphKitError(f"memory_budget packs batches of the sampler 'neighbor'; got {self.sampler!r}")
        if self.sampler != "neighbor" and self.batch_size is None:
            self.batch_size = BATCH_SIZES[self.sampler]

    def prepare(self, model: nn.Module) -> None:
        """Refuse what cannot be done with a part of a graph."""
        super().prepare(model)
        if self.scored_together:
            layers = len(fanouts_of(model, None, -1))
            check_part(self.data, layers, self.sampler, self.memory_budget, self.num_workers)  # type: ignore[arg-type]

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
        yield from self.loader(split, rng, partial(self.sampled, model, self.ids(split), shuffle=True))

    def sampled(self, model: nn.Module, ids: Tensor, **options: Any) -> Loader:
        """Return the sampler's loader of batches that predict for ``ids``."""
        fanouts = fanouts_of(model, self.fanouts, 10) if self.sampler == "neighbor" else None
        return node_loader(self.sampler, self.data, ids, self.batch_size, self.sampler_options, fanouts, **options)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss over the batch's targets, plus the model's own terms."""
        output = model(batch)
        weight = batch.fields.get("loss_weight")
        loss = (
            self.criterion(output.pred, batch.label) if weight is None else self._weighted(output.pred, batch, weight)
        )
        return total(loss, output)

    def _weighted(self, pred: Tensor, batch: Batch, weight: Tensor) -> Tensor:
        """Sum of the targets' losses times ``weight [T]``, for a sampler that says what each stands for."""
        label = batch.label
        if self.kind == "cross-entropy":
            losses = F.cross_entropy(pred, label.clamp(min=0), reduction="none") * (label >= 0)
        else:
            known = ~torch.isnan(label)
            loss = {"bce": F.binary_cross_entropy_with_logits, "mse": F.mse_loss, "mae": F.l1_loss}[self.kind]
            each = loss(pred.reshape(label.shape), label.nan_to_num().to(pred.dtype), reduction="none") * known
            losses = each.reshape(len(label), -1).sum(1) / known.reshape(len(label), -1).sum(1).clamp(min=1)
        return (losses * weight).sum()

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Loss and scores on the nodes of ``split``."""
        ids = self.ids(split)
        if self.memory_budget is not None:
            batches = self.packs(model).evaluation(split)
            pred = torch.cat([model(place(batch, model)).pred.float() for batch in batches])
        elif self.scored_together:
            pred = predict_together(self.data, model, ids, len(fanouts_of(model, None, -1)), self.ranks)  # type: ignore[arg-type]
        else:
            pred = self.predict(model, ids).float()
        return self.score(pred, self.data.labels[ids].to(pred.device))

    def predict(self, model: nn.Module, what: Tensor | None = None) -> Tensor:
        """Return raw outputs ``[T, C]`` for the node ids ``what``, all nodes when None."""
        num_nodes = self.data.num_rows
        ids = torch.arange(num_nodes) if what is None else torch.as_tensor(what, dtype=torch.int64).reshape(-1)
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= num_nodes):
            raise GraphKitError(f"node ids run from 0 to {num_nodes - 1}; got {int(ids.min())} to {int(ids.max())}")
        if self.sampler == "shadow":
            batches = self.sampled(model, ids, phase="evaluate")
            return torch.cat([model(place(batch, model)).pred for batch in batches])
        on_disk = hasattr(self.data, "features")
        if self.eval_batch_size is None and not on_disk:
            batch = full_batch(self.data, None).replace(targets=ids, label=None)
            return model(place(batch, model)).pred
        if runs_by_layer(model) and len(ids) * FEW > num_nodes:
            return LayerByLayer(Store.of_data(self.data), model, self.eval_batch_size, on_disk).run()[ids]
        fanouts = [-1] * len(fanouts_of(model, None, -1))
        size = self.eval_batch_size or EVAL_BATCH
        loader = NeighborLoader(self.data, ids, fanouts, batch_size=size, shuffle=False, seed=0)
        return torch.cat([model(place(batch, model)).pred for batch in loader])
