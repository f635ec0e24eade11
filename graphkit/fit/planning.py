"""What a training will take, measured on a piece of it before it begins: memory, disk and time per epoch."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Batch
from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator
from graphkit.core.sizes import parse_bytes, show_bytes
from graphkit.fit.assemble import assemble
from graphkit.sampling import Store, full_batch
from graphkit.sampling.packing import IN_FLIGHT, WIDENED, arrays_of
from graphkit.tasks.base import fanouts_of

if TYPE_CHECKING:
    from graphkit.data import Dataset

#: Graphs with more nodes are measured on a random one of so many nodes and as many edges for each.
PIECE = 20_000
#: Bytes that an edge takes in memory once a graph is trained on: ends, the forms of DGL, and our index tensors.
#: The mean of four models that benchmarks/scale/edge_bytes.py measured, 91 (SAGE) to 169 (GIN).
EDGE_BYTES = 125
#: The same of a graph that keeps one 32-bit index by destination.
NARROW_EDGE_BYTES = 4


@dataclass(frozen=True)
class Way:
    """One way to train.

    Parameters
    ----------
    name : str
        ``full batch``, ``sampling`` or ``disk``.
    memory : int
        Bytes, of data and training, at the peak.
    seconds : float
        For an epoch, with the scores of the validation split.
    disk : int
        Bytes of packed batches.
    fits : bool
    """

    name: str
    memory: int
    seconds: float
    disk: int
    fits: bool


@dataclass(frozen=True)
class TrainingPlan:
    """What :func:`plan` found.

    Parameters
    ----------
    ways : tuple of Way
    memory : int
        Bytes that may be used.
    least_budget : int
        The smallest ``memory_budget`` with which the batches fit.
    batch_size : int
    fanouts : tuple of int
    """

    ways: tuple[Way, ...]
    memory: int
    least_budget: int
    batch_size: int
    fanouts: tuple[int, ...]

    @property
    def advice(self) -> str:
        """One sentence: the first way that fits, in the order full batch (exact), sampling, disk."""
        for way in self.ways:
            if way.fits and way.name == "full batch":
                return "the whole graph fits at once: train without a batch_size"
            if way.fits and way.name == "sampling":
                return f"sampled batches fit: train with batch_size={self.batch_size}"
            if way.fits:
                budget = show_bytes(max(self.least_budget, self.memory // 2))
                return f"only features on disk fit: train with memory_budget='{budget}'"
        least = show_bytes(min(way.memory for way in self.ways))
        return f"nothing fits in {show_bytes(self.memory)}; the smallest way takes {least}: try a smaller batch_size"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**dataclasses.asdict(self), "advice": self.advice}


def plan(
    model: str,
    data: Dataset,
    *,
    batch_size: int = 1024,
    fanouts: list[int] | None = None,
    memory: str | int | None = None,
    seed: int = 0,
    **arguments: Any,
) -> TrainingPlan:
    """Predict what an epoch takes on the whole graph, with sampled neighbours, and with features on disk.

    A few batches are drawn and trained on, and one step on the whole graph or, of a large one, on a random graph of
    20,000 nodes as dense; nothing is kept. Memory is that of data and training together, beyond the libraries' own.

    Parameters
    ----------
    model : str
        A registered name.
    data : Dataset
        For node prediction, in memory or on disk.
    batch_size : int
        Targets in a sampled batch.
    fanouts : list of int, optional
        As in :class:`~graphkit.tasks.node.NodeTask`.
    memory : str or int, optional
        What may be used, such as ``"8GB"``; what is free now when None.
    seed : int
    **arguments
        Of the system.

    Returns
    -------
    TrainingPlan

    Raises
    ------
    GraphKitError
        If the data are not one graph for node prediction, or the model's name or an argument is unknown.

    Examples
    --------
    >>> import graphkit as gk
    >>> found = plan("gcn", gk.load("karate"), memory="1GB")
    >>> [way.name for way in found.ways], found.advice
    (['full batch', 'sampling', 'disk'], 'the whole graph fits at once: train without a batch_size')
    """
    import psutil

    if data.task != "node" or data.num_hyperedges:
        raise GraphKitError(f"{data.name} is loaded for {data.task!r}; plans are made for node prediction on one graph")
    room = psutil.virtual_memory().available if memory is None else parse_bytes(memory, "memory")
    given = {"batch_size": batch_size}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, task, _ = assemble(model, data, None, given, {"seed": seed}, dict(arguments, fanouts=fanouts))
        network.train()
        measured = Measured(network, task, data, seed)
        least, ways = measured.ways(room)
    chosen = tuple(fanouts_of(network, fanouts, 10))
    return TrainingPlan(ways, room, least, batch_size, chosen)


class Measured:
    """Costs measured on pieces of a training, and what they come to for all of it."""

    def __init__(self, model: nn.Module, task: Any, data: Dataset, seed: int) -> None:
        self.model, self.task, self.data, self.seed = model, task, data, seed
        stats = data.statistics()
        self.nodes, self.edges = stats["nodes"], stats["edges"]
        self.on_disk = hasattr(data, "features")
        self.width = int(Store.of_data(data).feat.shape[1])
        self.parameters = 16 * sum(p.numel() for p in model.parameters())  # weights, gradients, two moments of Adam

    def ways(self, room: int) -> tuple[int, tuple[Way, ...]]:
        """Return the least budget and the three ways."""
        features = 4 * self.nodes * max(self.width, 1)
        structure = EDGE_BYTES * self.edges + 24 * self.nodes
        seconds, forward, saved, scored = self.whole()
        full = features + structure + saved + self.parameters
        draw, step, batch, record, inputs = self.batches()
        count = math.ceil(self.task.size("train") / self.task.batch_size)
        sampled = features + structure + max(batch, scored) + self.parameters
        least = IN_FLIGHT * (4 * inputs * self.width + WIDENED * record)
        narrow = (NARROW_EDGE_BYTES if self.on_disk else EDGE_BYTES) * self.edges + 24 * self.nodes
        held = 0 if self.on_disk else features
        disk = narrow + held + max(least, 8 * self.nodes) + batch + self.parameters
        parts = self.task.stored_epochs * count + math.ceil(self.task.size("val") / self.task.batch_size)
        packed = parts * (record + 4 * inputs * (self.width + 1))
        checks = math.ceil(self.task.size("val") / self.task.batch_size)
        rows = [
            ("full batch", full, seconds + forward, 0),
            ("sampling", sampled, count * (draw + step) + forward, 0),
            ("disk", disk, count * step + checks * step / 2, packed),
        ]
        return int(least), tuple(Way(name, int(m), float(t), int(d), m <= room) for name, m, t, d in rows)

    def whole(self) -> tuple[float, float, float, float]:
        """Return for the whole graph: seconds of a step and of scoring, bytes that a step and that scoring need."""
        piece, scale = self.piece()
        seconds, saved = self.step(piece)
        self.model.eval()
        with torch.no_grad():
            forward = least_time(lambda: self.model(piece))
        self.model.train()
        widest = 4 * piece.graph.num_nodes() * self.widest(piece)
        return seconds * scale, forward * scale, (saved + 2 * widest) * scale, 2 * widest * scale

    def piece(self) -> tuple[Batch, float]:
        """Return the whole graph as a batch, or a random one as dense, and how many times it goes into the whole."""
        if self.nodes <= PIECE and not self.on_disk:
            return full_batch(self.data, "train"), 1.0
        from graphkit import _dgl

        draw = generator(self.seed, "plan")
        nodes, edges = min(self.nodes, PIECE), round(self.edges * min(self.nodes, PIECE) / self.nodes)
        ends = torch.randint(nodes, (2, edges), generator=draw)
        targets = torch.randperm(nodes, generator=draw)[: max(round(self.task.size("train") * nodes / self.nodes), 1)]
        label = self.data.labels[self.task.ids("train")]
        label = label[torch.randint(len(label), (len(targets),), generator=draw)]
        graph = _dgl.from_arrays(ends[0], ends[1].sort().values, nodes)
        batch = Batch(graph, torch.randn(nodes, self.width, generator=draw), targets=targets, label=label)
        batch.fields["nid"] = torch.arange(nodes)
        return batch, self.nodes / nodes

    def batches(self) -> tuple[float, float, float, float, float]:
        """Return of a sampled batch: seconds to draw and to train on it, bytes of a step and of its record, rows."""
        found = list(self.drawn(3))
        steps = [self.step(batch) for _, batch in found]
        draw = min(seconds for seconds, _ in found)
        records = max(sum(array.nbytes for array in arrays_of(batch).values()) for _, batch in found)
        inputs = max(len(batch.feat) for _, batch in found)
        bytes_ = max(
            saved + 8 * len(batch.feat) * self.width for (_, saved), (_, batch) in zip(steps, found, strict=True)
        )
        return draw, sum(seconds for seconds, _ in steps) / len(steps), bytes_, records, inputs

    def drawn(self, count: int) -> Iterator[tuple[float, Batch]]:
        """Yield sampled batches and the seconds it took to draw each."""
        loader = self.task.sampled(self.model, self.task.ids("train"), shuffle=True, seed=self.seed, phase="plan")
        batches = iter(loader)
        for number in range(min(count + 1, len(loader) + 1)):
            before = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            if number or len(loader) == 1:  # what is made once is made for the first
                yield time.perf_counter() - before, batch

    def step(self, batch: Batch) -> tuple[float, float]:
        """Return the seconds of a training step on a batch, and the bytes that its backward pass keeps."""
        optimizers = self.task.optimizers(self.model, 0.0, 0.0)
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        def once() -> None:
            loss = self.task.loss(self.model, batch)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            once()
        for parameter in self.model.parameters():
            kept.pop(parameter.untyped_storage().data_ptr(), None)
        kept.pop(batch.feat.untyped_storage().data_ptr(), None)
        return least_time(once), sum(kept.values())

    def widest(self, batch: Batch) -> int:
        """Return the widest rows that layers make of the nodes; features need no gradient, so none as wide as they."""
        found = [1]

        def look(module: nn.Module, _: Any, out: Any) -> None:
            made = isinstance(out, Tensor) and out.dim() == 2 and len(out) == batch.graph.num_nodes()
            if made and next(module.parameters(), None) is not None:
                found.append(out.shape[1])

        handles = [module.register_forward_hook(look) for module in self.model.modules()]
        with torch.no_grad():
            self.model(batch)
        for handle in handles:
            handle.remove()
        return max(found)


def least_time(work: Callable[[], Any], rounds: int = 3) -> float:
    """Return the seconds of the fastest of some rounds."""
    best = math.inf
    for _ in range(rounds):
        before = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - before)
    return best
