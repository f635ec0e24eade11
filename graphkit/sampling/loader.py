"""What all loaders share: batches made from (seed, phase, epoch, index) alone, in this process or in workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator, key


class Maker(Protocol):
    """Makes one batch; it is what worker processes hold, so it pickles and keeps no state between calls."""

    def make(self, rows: Tensor, seed: int) -> Batch:
        """Return the batch of ``rows`` (positions in the loader's list of examples), drawing from ``seed``."""


def share(rows: Tensor, rank: int, ranks: int) -> tuple[Tensor, float]:
    """Return the rows of a batch that one of several processes works on, and how many work on the same.

    >>> share(torch.arange(5), 1, 2)
    (tensor([1, 3]), 1)
    """
    # Fewer rows than processes are worked on by all alike, so that the mean over processes stays right.
    return (rows, ranks) if len(rows) < ranks else (rows[rank::ranks], 1)


class _Source(torch.utils.data.Dataset):
    """Batch number b of epoch e, as a map-style dataset over (e, b)."""

    def __init__(self, maker: Maker, total: int, size: int, shuffle: bool, seed: int, phase: str) -> None:
        self.maker, self.total, self.size, self.shuffle = maker, total, size, shuffle
        self.seed, self.phase = seed, phase
        self.rank, self.ranks = 0, 1
        self._order: tuple[int, Tensor] | None = None

    def order(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            draw = generator(self.seed, self.phase, epoch, "shuffle")
            order = torch.randperm(self.total, generator=draw) if self.shuffle else torch.arange(self.total)
            self._order = epoch, order
        return self._order[1]

    def __getitem__(self, where: tuple[int, int]) -> Batch:
        epoch, index = where
        rows = self.order(epoch)[index * self.size : (index + 1) * self.size]
        # What is drawn for a node alone is drawn alike by all processes, so that they draw what one would.
        apart = self.ranks > 1 and not getattr(self.maker, "draws_by_node", False)
        seed = key(self.seed, self.phase, epoch, index, *([self.rank] if apart else []))
        if self.ranks == 1:
            return self.maker.make(rows, seed)
        mine, copies = getattr(self.maker, "share", share)(rows, self.rank, self.ranks)
        batch = self.maker.make(mine, seed)
        return batch if copies == 1 else batch.replace(fields={**batch.fields, "copies": copies})


class _Schedule:
    """The (epoch, index) pairs of the coming epoch; persistent workers read the epoch from here."""

    def __init__(self, length: int) -> None:
        self.length, self.epoch = length, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(self.epoch, index) for index in range(self.length)])


def _same(batch: Any) -> Any:
    return batch


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


class Loader:
    """Iterates batches; subclasses say how one is made.

    The batches of an epoch depend on ``(seed, phase, epoch, batch index)`` and on nothing else: not on the number
    of workers, nor on what was drawn before. With ``shuffle``, each pass is a new epoch unless :meth:`set_epoch`
    says which; without, every pass gives the same batches.

    Parameters
    ----------
    maker : Maker
        Makes one batch from its rows and a seed.
    total : int
        Number of examples.
    batch_size : int or None
        Examples per batch; all at once when None.
    shuffle : bool
        Whether an epoch visits the examples in random order.
    drop_last : bool
        Whether to leave out a last batch that is not full.
    seed : int
    phase : str
        Part of the key of every draw; two loaders of one run have different phases.
    num_workers : int
        Processes that make batches; 0 makes them here.
    start_method : str, optional
        ``"fork"``, ``"spawn"`` or ``"forkserver"``; the platform's default when None.

    Raises
    ------
    GraphKitError
        If ``batch_size`` is not positive or ``num_workers`` is negative.

    Examples
    --------
    >>> class Rows:
    ...     def make(self, rows, seed):
    ...         return rows.tolist()
    >>> list(Loader(Rows(), total=5, batch_size=2))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        maker: Maker,
        total: int,
        batch_size: int | None = None,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        phase: str = "train",
        num_workers: int = 0,
        start_method: str | None = None,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise GraphKitError(f"batch_size is {batch_size}; expected at least 1, or None for all at once")
        if num_workers < 0:
            raise GraphKitError(f"num_workers is {num_workers}; expected 0 or more")
        size = max(total, 1) if batch_size is None else int(batch_size)
        length = total // size if drop_last and total >= size else -(-total // size)
        self.seed, self.phase, self.shuffle = seed, phase, shuffle
        self.num_examples, self.batch_size, self.num_workers = total, size, num_workers
        self._source = _Source(maker, total, size, shuffle, seed, phase)
        self._schedule = _Schedule(length)
        self._epoch = 0
        self._start_method = start_method
        self._workers: DataLoader | None = None

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self._schedule)

    def divide(self, rank: int, ranks: int) -> None:
        """Take every ``ranks``-th example of each batch from number ``rank`` on; ``ranks`` loaders share a batch so."""
        self._source.rank, self._source.ranks = rank, ranks

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is."""
        self._epoch = int(epoch)

    def __iter__(self) -> Iterator[Batch]:
        epoch = self._epoch
        if self.shuffle:
            self._epoch += 1
        if self.num_workers == 0 or len(self) == 0:
            return (self._source[epoch, index] for index in range(len(self)))
        self._schedule.epoch = epoch
        if self._workers is None:
            self._workers = self._start_workers()
        return self._from_workers(self._workers)

    @staticmethod
    def _from_workers(workers: DataLoader) -> Iterator[Batch]:
        try:
            yield from workers
        except GraphKitError as error:
            # A worker's error comes with its traceback as text; the last paragraph is the sentence.
            raise type(error)(str(error).rstrip().rpartition("\n")[2].partition("Error: ")[2]) from error

    def _start_workers(self) -> DataLoader:
        options: dict[str, Any] = {"multiprocessing_context": self._start_method} if self._start_method else {}
        return DataLoader(
            self._source,
            batch_size=None,
            sampler=self._schedule,  # type: ignore[arg-type]
            num_workers=self.num_workers,
            collate_fn=_same,
            worker_init_fn=_one_thread,
            persistent_workers=True,
            generator=generator(self.seed, self.phase, "workers"),  # leaves torch's global generator alone
            **options,
        )
