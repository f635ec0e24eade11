"""The batches of a node task under a memory budget: drawn ahead, packed on disk, read in order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.core.batch import Batch
from graphkit.core.check import check_size
from graphkit.core.random import Rng
from graphkit.core.sizes import parse_bytes
from graphkit.sampling.packed import PackedBatches
from graphkit.sampling.packing import PackPlan, Part, loader_of, packable

if TYPE_CHECKING:
    from graphkit.data import Dataset

#: Targets in a batch where nobody says how many.
BATCH_SIZE = 1024


class Packs:
    """Where the packed batches of a run are, made when training first asks for a batch.

    Parameters
    ----------
    data : Dataset
    fanouts : list of int
    batch_size : int or None
        1024 when None.
    budget : str or int
    stored_epochs : int
    place : str or None
        A folder of the user's choice.
    run_folder : Path or None
        Else ``packed/`` in here, or a temporary folder.

    Examples
    --------
    >>> import graphkit as gk
    >>> packs = Packs(gk.load("digits"), [5, 5], 512, "10MB", 1, None, None)
    >>> len(list(packs.evaluation("val")))
    1
    """

    def __init__(
        self, data: Dataset, fanouts: list[int], batch_size: int | None, budget: str | int, stored_epochs: int,
        place: str | None, run_folder: Path | None,
    ) -> None:  # fmt: skip
        check_size("stored_epochs", stored_epochs)
        self.data, self.stored_epochs = data, stored_epochs
        self.fanouts, self.batch_size = tuple(fanouts), batch_size or BATCH_SIZE
        self.budget = parse_bytes(budget)
        self.place = Path(place) if place else run_folder / "packed" if run_folder else None
        self.temporary: tempfile.TemporaryDirectory | None = None
        self.opened: dict[str, PackedBatches] = {}

    def folder(self, phase: str) -> Path:
        """Return the folder of a phase."""
        if self.place is None:
            self.temporary = self.temporary or tempfile.TemporaryDirectory(prefix="graphkit-packed-")
            return Path(self.temporary.name) / phase
        return self.place if phase == "train" else self.place / phase

    def plan(self, rng: Rng) -> PackPlan:
        """Return what is drawn for the phase of ``rng``."""
        phase = str(rng.keys[0])
        train = [Part("train", epoch, rng.seed, f"{phase}/train", shuffle=True) for epoch in range(self.stored_epochs)]
        return PackPlan((*train, *self._evaluated()), self.fanouts, self.batch_size, self.budget)

    def _evaluated(self) -> list[Part]:
        parts = [Part("val", phase="evaluate", weight=self.stored_epochs), Part("test", phase="evaluate", weight=0)]
        return [part for part in parts if len(self.data.splits.get(part.split, ()))]

    def batches(self, split: str, rng: Rng) -> Iterator[Batch]:
        """Yield the batches of an epoch; packs them first if need be."""
        phase, epoch = str(rng.keys[0]), int(rng.keys[1])  # type: ignore[call-overload]
        if phase not in self.opened:
            self.opened[phase] = PackedBatches.make(self.data, self.plan(rng), self.folder(phase))
        yield from self.opened[phase].batches(f"{split}-{epoch % self.stored_epochs}")

    def evaluation(self, split: str) -> Iterator[Batch]:
        """Yield the batches on which a split is scored: packed ones, or the same ones drawn and gathered now."""
        part = next((p for p in self._evaluated() if p.split == split), Part(split, phase="evaluate"))
        for packed in self.opened.values():
            if part in packed.plan.parts:
                yield from packed.batches(part.name)
                return
        plan = PackPlan((part,), self.fanouts, self.batch_size, self.budget)
        store = packable(self.data)
        store.prepare()
        yield from loader_of(self.data, store, plan, part)

    def close(self) -> None:
        """Delete a temporary folder."""
        self.opened.clear()
        if self.temporary is not None:
            self.temporary.cleanup()
            self.temporary = None
