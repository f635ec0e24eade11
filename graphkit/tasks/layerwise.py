"""Predictions for all nodes, layer by layer: each row is computed once, whatever the depth."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch, Encoded, Hop
from graphkit.data.features import FeatureStore
from graphkit.sampling.blocks import sample_block
from graphkit.sampling.store import Store
from graphkit.tasks.base import place

#: Nodes computed at a time where nobody says how many.
CHUNK = 16384


def runs_by_layer(model: nn.Module) -> bool:
    """Say whether the model's encoder says what each of its layers does, and its nodes have features.

    >>> runs_by_layer(nn.Linear(1, 1))
    False
    """
    encoder = getattr(model, "encoder", None)
    return bool(getattr(encoder, "runs_by_layer", False)) and getattr(model, "inputs", None) is None


class LayerByLayer:
    """Runs an encoder's layers one after the other over all nodes of a graph, a chunk of nodes at a time.

    Parameters
    ----------
    store : Store
        The message graph and its tensors; ``feat`` may be on disk.
    model : Model
        Its encoder has ``run_layer(index, hop, feat)``.
    chunk : int, optional
        Nodes at a time.
    on_disk : bool
        Keep the rows between two layers in a temporary file, not in memory.

    Examples
    --------
    >>> import graphkit as gk
    >>> run = gk.fit("gcn", gk.load("digits"), epochs=2, progress=False)
    >>> there = LayerByLayer(Store.of(run.data.graph), run.model, chunk=500).run()
    >>> bool(torch.allclose(there, run.predict(logits=True), atol=1e-5))
    True
    """

    def __init__(self, store: Store, model: nn.Module, chunk: int | None = None, on_disk: bool = False) -> None:
        self.store, self.model, self.chunk, self.on_disk = store, model, chunk or CHUNK, on_disk

    def run(self) -> Tensor:
        """Return the head's output for all nodes ``[N, C]``."""
        encoder: Any = self.model.encoder
        store, layers = self.store, int(encoder.num_layers)
        store.prepare()
        rows: Any = store.feat
        with tempfile.TemporaryDirectory(prefix="graphkit-layers-") as scratch:
            for index in range(layers):
                last = index == layers - 1
                parts = (self._layer(index, rows, low, last) for low in range(0, store.graph.num_nodes(), self.chunk))
                if self.on_disk and not last:
                    rows = FeatureStore.write(Path(scratch) / f"{index}.bin", (part.numpy() for part in parts))
                    (Path(scratch) / f"{index - 1}.bin").unlink(missing_ok=True)
                else:
                    rows = torch.cat(list(parts))
        return rows

    def _layer(self, index: int, rows: Any, low: int, last: bool) -> Tensor:
        """Return what layer ``index`` gives for a chunk of nodes; after the last one, what the head makes of it."""
        high = min(low + self.chunk, self.store.graph.num_nodes())
        block, nodes, edges = sample_block(self.store.graph, torch.arange(low, high), -1)

        def of(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[edges]

        etype = self.store.edge_fields.get("etype")
        batch = place(
            Batch(
                block, rows[nodes], of(self.store.edge_feat), of(self.store.edge_weight), fields={"etype": of(etype)}
            ),
            self.model,
        )
        hop = Hop(block, batch.edge_feat, batch.edge_weight, batch.fields["etype"])  # type: ignore[arg-type]
        out = self.model.encoder.run_layer(index, hop, batch.feat)
        if last:
            out = self.model.head(Encoded(block, out), None)
        return out.detach().cpu()
