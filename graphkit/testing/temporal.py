"""The laws of temporal models: what happens at a time or later changes no score, and scores depend on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.batch import Pairs
from graphkit.core.random import Rng, generator
from graphkit.core.registry import find
from graphkit.core.spec import Spec
from graphkit.data import Dataset
from graphkit.graphs import from_events
from graphkit.models import build
from graphkit.sampling import Events
from graphkit.tasks import TemporalLinkTask
from graphkit.testing.sample import expect_close, expect_error, expect_finite, expect_gradients, run_laws, seeded

Make = Callable[[], nn.Module]
NODES, COUNT, TRAIN, VAL = 12, 60, 20, 40
#: What a model of the laws is built for.
SPEC = Spec("temporal-link", in_feats=3, out_feats=1, edge_feats=2, num_nodes=NODES)


def stream(seed: int = 0) -> dict[str, Tensor]:
    """Draw the columns of a small stream with ties, the first of its events at time 0.

    >>> sorted(stream())[:3]
    ['dst', 'feat', 'sign']
    """
    draw = generator(seed, "temporal law")
    time = torch.randint(0, 25, (COUNT,), generator=draw).sort().values
    time = time - time[0]
    # A large group of one time in the last part, larger than a run.
    time[VAL + 4 : VAL + 12] = time[VAL + 4].clone()
    time = torch.cummax(time, 0).values
    time[TRAIN:] += 1  # a part of a split begins later than the one before it ends
    time[VAL:] += 1
    return {
        "src": torch.randint(NODES, (COUNT,), generator=draw),
        "dst": torch.randint(NODES, (COUNT,), generator=draw),
        "time": time,
        "feat": torch.rand(COUNT, 2, generator=draw, dtype=torch.float64),
        "sign": torch.randint(2, (COUNT,), generator=draw) * 2 - 1,
    }


def dataset(columns: dict[str, Tensor], node_feat: Tensor | None = None) -> Dataset:
    """Make a dataset of a stream, its first 20 events to train on and 20 to validate.

    >>> len(dataset(stream()).splits["test"])
    20
    """
    feat = torch.rand(NODES, 3, generator=generator(0, "rows"), dtype=torch.float64) if node_feat is None else node_feat
    fields = {name: columns[name] for name in ("feat", "sign")}
    graph = from_events(columns["src"], columns["dst"], columns["time"], NODES, {"feat": feat}, fields)
    ids = torch.arange(graph.num_edges())
    splits = {"train": ids[:TRAIN], "val": ids[TRAIN:VAL], "test": ids[VAL:]}
    return Dataset.from_graph(graph, "temporal-link", splits=splits)


def task_of(columns: dict[str, Tensor], size: int = 3) -> TemporalLinkTask:
    """Return the task on a stream, in runs of ``size`` events.

    >>> task_of(stream()).batch_size
    3
    """
    return TemporalLinkTask(dataset(columns), batch_size=size)


def scores(model: nn.Module, columns: dict[str, Tensor], pairs: Pairs) -> Tensor:
    """Return the scores of pairs at times, the state made from nothing.

    Parameters
    ----------
    model : nn.Module
    columns : dict of str to Tensor
        See :func:`stream`.
    pairs : Pairs
        With ``time``.

    Returns
    -------
    Tensor
        ``[P]``.
    """
    if getattr(model, "stateful", False):
        model.reset_state()
    with torch.no_grad():
        return task_of(columns).predict(model, pairs)


def _pairs(time: Tensor, count: int = 10) -> Pairs:
    """Return every node with ``count`` others at each of some times."""
    draw = generator(0, "asked")
    src = torch.randint(NODES, (len(time) * count,), generator=draw)
    dst = torch.randint(NODES, (len(time) * count,), generator=draw)
    return Pairs(src, dst, time=time.repeat_interleave(count))


def _taken(columns: dict[str, Tensor], ids: Tensor) -> dict[str, Tensor]:
    return {name: value[ids] for name, value in columns.items()}


def future(make: Make) -> None:
    """Deleting, shifting or replacing all events at a time or later changes no score at that time or before."""
    model, columns = seeded(make), stream()
    for moment in columns["time"][VAL:].unique()[1:4].tolist():
        pairs = _pairs(columns["time"][(columns["time"] <= moment)].unique())
        expected = scores(model, columns, pairs)
        later = columns["time"] >= moment
        other = stream(1)
        changed = {
            "deleted": _taken(columns, (~later).nonzero()[:, 0]),
            "shifted": {**columns, "time": columns["time"] + 100 * later},
            "replaced": {n: torch.where(later.view(-1, *[1] * (v.dim() - 1)), other[n], v) for n, v in columns.items()}
            | {"time": columns["time"]},
        }
        for what, events in changed.items():
            expect_close(f"future ({what})", scores(model, events, pairs), expected, 1e-6)


def ties(make: Make) -> None:
    """The order of events of one time, and the others of them, change no score at that time."""
    model, columns = seeded(make), stream()
    for moment in columns["time"][VAL + 1 :].unique().tolist():
        mine = (columns["time"] == moment).nonzero()[:, 0]
        if len(mine) < 2 or int(mine[0]) < VAL:
            continue
        pairs = Pairs(columns["src"][mine], columns["dst"][mine], time=columns["time"][mine])
        expected = scores(model, columns, pairs)
        order = torch.arange(COUNT)
        order[mine] = mine.flip(0)
        expect_close("ties (another order)", scores(model, _taken(columns, order), pairs), expected, 1e-6)
        for i, e in enumerate(mine.tolist()):
            alone = (columns["time"] != moment) | (torch.arange(COUNT) == e)
            got = scores(model, _taken(columns, alone.nonzero()[:, 0]), pairs[i : i + 1])
            expect_close("ties (alone)", got, expected[i : i + 1], 1e-6)


def reset(make: Make) -> None:
    """After ``reset_state`` a model scores as a new one, and a state comes back as it was saved."""
    model, columns = seeded(make), stream()
    pairs = _pairs(columns["time"].unique()[:5])
    new = scores(model, columns, pairs)
    task_of(columns).score(model, "test")
    expect_close("reset", scores(model, columns, pairs), new, 0)


def judged(make: Make) -> None:
    """What judging says of true events is what ``predict`` says of them, from whatever state it begins."""
    model, columns = seeded(make), stream()
    task = task_of(columns, 1)  # a run is what happened at one time, so nothing waits to be observed
    found = task.score(model, "test")
    pairs = Pairs(columns["src"][VAL:], columns["dst"][VAL:], time=columns["time"][VAL:])
    expect_close("judged", task.predict(model, pairs), found.pos, 1e-6)
    expect_close("judged (again)", task.score(model, "test").pos, found.pos, 1e-6)


def save_load(make: Make) -> None:
    """A model that loads another's state, memory and all, gives the same scores without seeing an event."""
    model, other, columns = seeded(make), seeded(make, seed=1), stream()
    task = task_of(columns)
    task.score(model, "test")
    other.load_state_dict(model.state_dict())
    pairs = _pairs(columns["time"][-1:] + 1)
    batches = [task.batch(one, pairs, task.sampler(one, False), None) for one in (model, other)]
    got = [one(_double(batch)).pred.double() for one, batch in zip((model, other), batches, strict=True)]
    expect_close("save_load", got[1], got[0], 0)


def _double(batch: Any) -> Any:
    return batch.replace(feat=batch.feat.double(), edge_feat=batch.edge_feat.double())


def _epoch(model: nn.Module, task: TemporalLinkTask) -> Tensor:
    """Return the sum of the losses of an epoch of training, events observed in between."""
    task.begin_epoch(model, 0)
    total = torch.zeros((), dtype=torch.float64)
    for batch in task.batches("train", model, Rng(0, ("law", 0))):
        if len(batch.pairs):
            total = total + task.loss(model, _double(batch))
        if batch.fields.get("events") is not None:
            model.observe(batch.fields["events"])
    return total


def gradients(make: Make) -> None:
    """Every parameter gets a gradient in an epoch of training."""
    model, task = seeded(make, train=True), task_of(stream())
    if any(p.requires_grad for p in model.parameters()):
        expect_gradients("gradients", model, lambda: _epoch(model, task))


def same_seed(make: Make) -> None:
    """The same seed gives the same losses."""
    losses = []
    for _ in range(2):
        model = seeded(make, train=True)
        if any(p.requires_grad for p in model.parameters()):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                losses.append(_epoch(model, task_of(stream())).detach().reshape(1))
    if losses:
        expect_close("same_seed", losses[1], losses[0], 0)


def batching(make: Make) -> None:
    """A pair alone scores as it does among others."""
    model, columns = seeded(make), stream()
    pairs = _pairs(columns["time"].unique()[8:14], 3)
    together = scores(model, columns, pairs)
    single = torch.cat([scores(model, columns, pairs[i : i + 1]) for i in range(len(pairs))])
    expect_close("batching", single, together, 1e-6)


def equivariance(make: Make) -> None:
    """Other numbers for the nodes give the same scores."""
    model, columns = seeded(make), stream()
    place = torch.randperm(NODES, generator=generator(0, "place"))
    pairs = _pairs(columns["time"].unique()[-5:], 4)
    expected = scores(model, columns, pairs)
    moved = {**columns, "src": place[columns["src"]], "dst": place[columns["dst"]]}
    feat = dataset(columns).original.ndata["feat"]
    task = TemporalLinkTask(dataset(moved, torch.empty_like(feat).index_copy(0, place, feat)), batch_size=3)
    model.reset_state()
    got = task.predict(model, Pairs(place[pairs.src], place[pairs.dst], time=pairs.time)).detach()
    expect_close("equivariance", got, expected, 1e-6)


def isolated(make: Make) -> None:
    """Nodes that met nobody have scores, at time 0 too, and in training."""
    columns = stream()
    pairs = _pairs(torch.tensor([0, 30]), 4)
    quiet = {**columns, "src": columns["src"] % 3, "dst": columns["dst"] % 3}
    for train in (False, True):
        model = seeded(make, train=train)
        expect_finite("isolated", scores(model, quiet, pairs))


def bad_input(make: Make) -> None:
    """No pairs, no times, times that run backwards and ids out of range get one sentence each."""
    model, columns = seeded(make), stream()
    task = task_of(columns)
    pairs = _pairs(columns["time"][-1:], 2)
    batch = _double(task.batch(model, pairs, task.sampler(model, False), None))
    unclear = Pairs(pairs.src, pairs.dst, time=pairs.time * torch.nan)
    cases: list[tuple[str, Callable[[], Any]]] = [
        ("no pairs", lambda: model(batch.replace(pairs=None))),
        ("no times", lambda: model(batch.replace(pairs=Pairs(pairs.src, pairs.dst)))),
        ("a node out of range", lambda: task.predict(model, Pairs(pairs.src + NODES, pairs.dst, time=pairs.time))),
        ("a time that is no number", lambda: task.predict(model, unclear)),
        ("events in reverse", lambda: model.observe(_event([9, 3]))),
        ("an event of an unknown node", lambda: model.observe(_event([9, 9], NODES))),
    ]  # fmt: skip
    for what, call in cases:
        model.reset_state()
        expect_error("bad_input", what, call)


def _event(times: list[int], node: int = 0) -> Events:
    ids = torch.arange(len(times))
    return Events(ids + node, ids, torch.tensor(times), ids, torch.zeros(len(times), 2), {"sign": torch.ones_like(ids)})


#: The laws of temporal models by name.
TEMPORAL_LAWS: dict[str, Callable[[Make], None]] = {
    law.__name__: law
    for law in (
        future, ties, reset, judged, save_load, gradients, same_seed, batching, equivariance, isolated, bad_input,
    )
}  # fmt: skip


def check_temporal(name: str, declines: Iterable[str] = (), **arguments: Any) -> list[str]:
    """Run the laws over a registered temporal system; return the names of those that hold.

    Parameters
    ----------
    name : str
        Its registered name; the laws that its registration declines are left out.
    declines : iterable of str
        Further laws to leave out.
    **arguments
        Arguments of the system, beside those its registration names as ``example``.

    Raises
    ------
    LawBroken
        If a law does not hold.

    Examples
    --------
    >>> "future" in check_temporal("edgebank")
    True
    """
    entry = find("model", name)
    given = {**entry.options.get("example", {}), **arguments}
    return run_laws(TEMPORAL_LAWS, (lambda: build(name, SPEC, **given),), {*entry.declines, *declines})
