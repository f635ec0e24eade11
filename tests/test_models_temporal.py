"""What is special to the temporal systems: identities of their papers, and memories against a literal loop."""

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.batch import Pairs
from graphkit.core.random import Rng
from graphkit.core.spec import Spec
from graphkit.graphs import from_events
from graphkit.models import build
from graphkit.nn.temporal import NodeMemory, TemporalAttention, TimeEncode
from graphkit.sampling import Events, TemporalSampler, events_of
from graphkit.tasks import TemporalLinkTask
from graphkit.testing.sample import seeded
from graphkit.testing.temporal import NODES, SPEC, _double, _epoch, dataset, scores, stream, task_of

SMALL = {"memory_dim": 8, "time_dim": 6}


# --- time code --------------------------------------------------------------------------------------------------------


def test_the_code_of_no_time_is_one_and_rates_run_from_1_to_a_billionth():
    code = TimeEncode(5, learned=False)
    assert code(torch.zeros(3)).tolist() == [[1.0] * 5] * 3
    assert torch.allclose(code.rate, torch.tensor([1.0, 10**-2.25, 10**-4.5, 10**-6.75, 1e-9]))
    assert not any(p.requires_grad for p in code.parameters())


# --- memory -----------------------------------------------------------------------------------------------------------


def literal(memory, events):
    """The memory after each event by itself: state, last time, what waits, all in dictionaries."""
    state = {u: torch.zeros(memory.dim, dtype=torch.float64) for u in range(memory.num_nodes)}
    last, waits = dict.fromkeys(state, 0.0), {}
    for u, v, t, x in zip(events.src.tolist(), events.dst.tolist(), events.time.tolist(), events.feat, strict=True):
        for node in {u, v}:
            if node in waits:
                raw, gap, when = waits.pop(node)
                message = torch.cat([raw, torch.cos(memory.time.rate * gap + memory.time.phase)])
                state[node] = memory.cell(message[None], state[node][None])[0]
                last[node] = when
        new = {node: torch.cat([state[node], state[other], x]) for node, other in ((u, v), (v, u))}
        waits |= {node: (raw, t - last[node], t) for node, raw in new.items()}
    return state, last, waits


@pytest.mark.parametrize("updater", ["gru", "rnn"])
def test_the_memory_is_that_of_a_loop_over_300_events(updater):
    rng = np.random.default_rng(0)
    graph = from_events(rng.integers(20, size=300), rng.integers(20, size=300), np.cumsum(rng.integers(0, 4, 300)), 20)
    graph.edata["feat"] = torch.from_numpy(rng.random((300, 3)))
    memory = seeded(lambda: NodeMemory(20, 5, 3, 4, updater))
    every = events_of(graph)
    with torch.no_grad():
        for e in range(300):
            memory.observe(events_of(graph, torch.tensor([e])))
        state, last, waits = literal(memory, every)
        peeked, when = memory.peek(torch.arange(20))
        for node in range(20):
            assert torch.allclose(memory.state[node], state[node], atol=1e-6)
            assert float(memory.last[node]) == last[node] and bool(memory.waiting[node]) == (node in waits)
            if node in waits:  # applied at once or when it is read, it is the same
                raw, gap, time = waits[node]
                message = torch.cat([raw, torch.cos(memory.time.rate * gap + memory.time.phase)])
                now = memory.cell(message[None], state[node][None])[0]
                assert torch.allclose(peeked[node], now, atol=1e-6) and float(when[node]) == time


def test_of_several_messages_the_newest_stays_or_their_mean():
    ids = torch.tensor([0, 1, 2])
    events = Events(torch.tensor([0, 0, 3]), torch.tensor([1, 2, 0]), torch.tensor([1, 1, 4]), ids, torch.eye(3))
    last, mean = NodeMemory(4, 2, 3, 4), NodeMemory(4, 2, 3, 4, aggregator="mean")
    for memory in (last, mean):
        memory.observe(events)
    assert last.raw[0, 4:].tolist() == [0.0, 0.0, 1.0] and float(last.newest[0]) == 4
    assert torch.allclose(mean.raw[0, 4:], torch.full((3,), 1 / 3)) and float(mean.newest[0]) == 4
    assert torch.allclose(mean.gap[0], mean.time(torch.tensor([1.0, 1.0, 4.0])).mean(0))


def test_the_cell_learns_from_the_events_before_not_from_the_first():
    model, task = seeded(lambda: build("tgn", SPEC, fanout=4, **SMALL), train=True), task_of(stream())
    task.begin_epoch(model, 0)
    norms: list[tuple[int, float]] = []
    for batch in task.batches("train", model, Rng(0, ("law", 0))):
        model.zero_grad()
        task.loss(model, _double(batch)).backward()
        grad = model.encoder.memory.cell.weight_ih.grad
        norms.append((int(model.encoder.memory.waiting.sum()), 0.0 if grad is None else float(grad.norm())))
        if "events" in batch.fields:
            model.observe(batch.fields["events"])
    assert len(norms) > 4 and all((waiting > 0) == (norm > 0) for waiting, norm in norms)
    assert norms[0][0] == 0 < norms[-1][0]


def test_a_state_that_comes_back_scores_bit_for_bit():
    model, columns = seeded(lambda: build("tgn", SPEC, fanout=4, **SMALL)), stream()
    task = task_of(columns)
    pairs = Pairs(columns["src"], columns["dst"], time=columns["time"][-1:].expand(60) + 1)
    task.rewind(model, 40)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    batch = _double(task.batch(model, pairs, task.sampler(model, False), None))
    before = model(batch).pred
    task.rewind(model, 60)
    assert not torch.equal(model(batch).pred, before)
    model.load_state_dict(kept)
    assert torch.equal(model(batch).pred, before)


def test_negatives_and_scoring_write_nothing():
    model, columns = seeded(lambda: build("tgn", SPEC, fanout=4, **SMALL)), stream()
    task = task_of(columns)
    task.rewind(model, 30)
    kept = {name: value.clone() for name, value in model.named_buffers()}
    task.predict(model, Pairs(columns["src"], columns["dst"], time=columns["time"][int(model.seen)].expand(60)))
    batch = next(iter(task.batches("val", model, Rng(0, ("law", 0)))))
    model(_double(batch))
    for name, value in model.named_buffers():
        if name != "seen":
            assert torch.equal(value, kept[name]), name


# --- the systems as settings of one another ---------------------------------------------------------------------------


def test_tgn_without_memory_with_a_residual_is_tgat():
    options = {"num_layers": 2, "fanout": 4, "time_dim": 6, "dropout": 0.0}
    tgn = seeded(lambda: build("tgn", SPEC, memory_dim=0, residual=True, **options))
    tgat = seeded(lambda: build("tgat", SPEC, dim=100, **options), seed=1)
    tgat.encoder.stack.load_state_dict(tgn.encoder.stack.state_dict())
    tgat.head.load_state_dict(tgn.head.state_dict())
    columns = stream()
    pairs = Pairs(columns["src"], columns["dst"], time=columns["time"])
    assert torch.equal(scores(tgn, columns, pairs), scores(tgat, columns, pairs))


def test_jodie_is_tgn_with_an_rnn_and_a_projection():
    tgn = seeded(lambda: build("tgn", SPEC, embedding="time", updater="rnn", dropout=0.0, **SMALL))
    jodie = seeded(lambda: build("jodie", SPEC, **SMALL), seed=1)
    jodie.load_state_dict(tgn.state_dict())
    columns = stream()
    task = task_of(columns)
    for model in (tgn, jodie):
        task.prepare(model)
    pairs = Pairs(columns["src"], columns["dst"], time=columns["time"])
    assert torch.equal(scores(tgn, columns, pairs), scores(jodie, columns, pairs))


def test_jodie_moves_states_along_lines():
    model, columns = seeded(lambda: build("jodie", SPEC, **SMALL)), stream()
    task = task_of(columns)
    task.prepare(model)
    task.rewind(model, 60)
    end = float(columns["time"][-1])
    rows = []
    for when in (1.0, 2.0, 5.0):
        pairs = Pairs(torch.arange(NODES), torch.arange(NODES), time=torch.full((NODES,), end + when))
        rows.append(model(_double(task.batch(model, pairs, None, None))).encoded.node)
    assert torch.allclose(rows[1], rows[0] + (rows[2] - rows[0]) / 4, atol=1e-6)
    assert not torch.allclose(rows[0], rows[2])


def test_jodie_measures_gaps_on_the_training_part_alone():
    means = []
    for shift in (0, 1000):
        columns = stream()
        columns["time"] = columns["time"] + shift * (torch.arange(60) >= 20)
        model = seeded(lambda: build("jodie", SPEC, **SMALL))
        task_of(columns).prepare(model)
        means.append(model.encoder.projection.mean.clone())
    assert torch.equal(*means) and bool((means[0] > 0).all())


# --- TGAT -------------------------------------------------------------------------------------------------------------


def tgat(**options):
    return seeded(lambda: build("tgat", SPEC, **{"dim": 8, "time_dim": 6, "num_layers": 2, "fanout": 4, **options}))


def test_adding_a_constant_to_all_times_changes_nothing():
    model, columns = tgat(), stream()
    pairs = Pairs(columns["src"], columns["dst"], time=columns["time"])
    late = {**columns, "time": columns["time"] + 1_600_000_000}
    moved = Pairs(pairs.src, pairs.dst, time=pairs.time + 1_600_000_000)
    assert torch.allclose(scores(model, columns, pairs), scores(model, late, moved), atol=1e-5)


def test_unix_seconds_keep_their_last_digit_in_float32():
    columns = stream()
    late = {**columns, "time": columns["time"] + 1_600_000_000, "feat": columns["feat"].float()}
    pairs = [Pairs(c["src"], c["dst"], time=c["time"]) for c in (columns, late)]
    for name, options in (("tgat", {"num_layers": 1}), ("tgn", SMALL), ("jodie", SMALL)):
        model = seeded(lambda name=name, options=options: build(name, SPEC, **options)).float()
        if name == "jodie":  # a node's first gap counts from time 0: only nodes with a past are alike
            continue
        got = [scores(model, c, p) for c, p in zip(({**columns, "feat": late["feat"]}, late), pairs, strict=True)]
        if name == "tgat":
            assert torch.allclose(*got, atol=1e-4)
        else:
            assert torch.isfinite(got[1]).all()


def test_attention_is_plain_dot_attention_where_time_says_nothing():
    layer = seeded(lambda: TemporalAttention(4, 0, 6, time_dim=2, num_heads=2))
    with torch.no_grad():
        layer.time.rate.zero_()
        layer.time.phase.fill_(np.pi / 2)  # a code of zeros
    h, other = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 3, 4, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]]).bool()
    age = torch.rand(5, 3, dtype=torch.float64)
    got = layer(h, other, other.new_zeros(5, 3, 0), age, mask, h)
    start = torch.cat([h, h.new_zeros(5, 2)], 1)
    query = layer.query(start).view(5, 2, -1)
    near = torch.cat([other, other.new_zeros(5, 3, 2)], 2)
    key = torch.einsum("qkd,hcd->qkhc", near, layer.key)
    value = torch.einsum("qkd,hdc->qkhc", near, layer.value)
    found = []
    for q in range(5):
        rows = mask[q].nonzero()[:, 0]
        heads = [
            (torch.softmax(key[q, rows, i] @ query[q, i] / layer.head**0.5, 0)[:, None] * value[q, rows, i]).sum(0)
            for i in range(2)
        ]
        found.append(torch.cat(heads))
    expected = layer.mlp(torch.cat([layer.norm(layer.out(torch.stack(found)) + start), h], 1))
    assert torch.allclose(got, expected, atol=1e-9)


def test_equal_neighbours_in_another_order_and_more_padding_change_nothing():
    layer = seeded(lambda: TemporalAttention(4, 2, 6, time_dim=4))
    draw = torch.Generator().manual_seed(0)
    h, other, edge, age = (
        torch.rand(*shape, dtype=torch.float64, generator=draw) for shape in ((2, 4), (2, 3, 4), (2, 3, 2), (2, 3))
    )
    mask = torch.tensor([[True, True, True], [True, True, False]])
    got = layer(h, other, edge, age, mask, h)
    turned = [torch.cat([x.flip(1), x[:, :1] + 7], 1) for x in (other, edge, age)]
    wider = torch.cat([mask.flip(1), torch.zeros(2, 1).bool()], 1)
    assert torch.allclose(layer(h, *turned, wider, h), got, atol=1e-12)


# --- EdgeBank ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["unlimited", "window", "repeat_window", "repeat_threshold"])
@pytest.mark.parametrize("window", ["quantile", "duration"])
def test_edgebank_remembers_what_a_plain_table_does(memory, window):
    rng = np.random.default_rng(3)
    for _ in range(10):
        src, dst, time = rng.integers(6, size=50), rng.integers(6, size=50), np.sort(rng.integers(30, size=50))
        graph = from_events(src, dst, time, 6)
        bank = build("edgebank", Spec("temporal-link", 0, 1, num_nodes=6), memory=memory, window=window)
        for low in range(0, 50, 7):
            bank.observe(events_of(graph, torch.arange(low, min(low + 7, 50))))
        met: dict = {}
        for u, v, t in zip(src.tolist(), dst.tolist(), time.tolist(), strict=True):
            met.setdefault((u, v), []).append(t)
        newest, ratio = time[-1], 0.15
        begin = np.quantile(time, 1 - ratio) if window == "quantile" else newest - ratio * (newest - time[0])
        gaps = [np.diff(times).mean() if len(times) > 1 else 0.0 for times in met.values()]
        mean_gap, mean_count = np.mean(gaps), np.mean([len(times) for times in met.values()])
        expected = []
        every = torch.cartesian_prod(torch.arange(6), torch.arange(6))
        pairs = Pairs(every[:, 0], every[:, 1], time=torch.full((36,), 99))
        got = bank(gk.Batch(graph, torch.empty(6, 0), pairs=pairs)).pred.bool().tolist()
        for u, v in every.tolist():
            times = met.get((u, v), [])
            kept = {"unlimited": True, "repeat_threshold": len(times) >= mean_count}
            if times:
                kept |= {"window": times[-1] >= begin, "repeat_window": times[-1] >= newest - mean_gap}
            expected.append(bool(times) and bool(kept[memory]))
        assert got == expected


def test_edgebank_of_undirected_pairs():
    bank = build("edgebank", Spec("temporal-link", 0, 1, num_nodes=3), undirected=True)
    graph = from_events([2], [1], [0], 3)
    bank.observe(events_of(graph))
    pairs = Pairs(torch.tensor([1, 2, 0]), torch.tensor([2, 1, 1]), time=torch.tensor([1, 1, 1]))
    assert bank(gk.Batch(graph, torch.empty(3, 0), pairs=pairs)).pred.tolist() == [1.0, 1.0, 0.0]


# --- the leak detector ------------------------------------------------------------------------------------------------


class LastSeen(torch.nn.Module):
    """Score a pair by how long its destination had no event: what a leak shows itself in."""

    stateful = True

    def __init__(self, nodes):
        super().__init__()
        self.register_buffer("last", torch.full((nodes,), -1e9, dtype=torch.float64))
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, batch):
        gap = batch.pairs.time.double() - self.last[batch.pairs.dst]
        return gk.Output(gap.log1p().float())

    def reset_state(self):
        self.last.fill_(-1e9)
        self.seen.zero_()

    def observe(self, events):
        for ends in (events.src, events.dst):
            self.last.scatter_reduce_(0, ends, events.time.double(), "amax")


def test_events_written_one_by_one_give_their_twins_away_and_grouped_ones_do_not():
    data, found = gk.load("twin-closure", rounds=600), {}
    for strict in (True, False):
        task = TemporalLinkTask(data, batch_size=1, strict=strict)
        found[strict] = task.evaluate(LastSeen(300), "test")["auc"]
    assert abs(found[True] - 0.5) <= 0.02
    assert abs(found[False] - 0.75) <= 0.02


def test_a_pooled_score_and_a_mean_over_batches_have_names_of_their_own():
    run = gk.fit("edgebank", gk.load("periodic-pairs"), negatives="random", strict=False, progress=False)
    assert {"test/ap", "test/batch_ap", "test/auc", "test/batch_auc"} <= set(run.metrics)
    assert "test/batch_ap" not in gk.fit("edgebank", gk.load("periodic-pairs"), progress=False).metrics


def test_edgebank_knows_nothing_of_pairs_that_never_repeat():
    run = gk.fit("edgebank", gk.load("twin-closure", rounds=300), progress=False)
    assert run.metrics["test/auc"] == 0.5


def test_periodic_pairs_are_all_remembered_so_the_negatives_decide():
    data = gk.load("periodic-pairs")
    for memory in ("unlimited", "window"):
        run = gk.fit("edgebank", data, progress=False, memory=memory)
        assert run.metrics["test/auc"] == 0.5 or memory == "window"
    assert gk.fit("edgebank", data, negatives="random", progress=False).metrics["test/auc"] >= 0.95


def test_the_order_of_the_file_within_a_time_says_nothing_to_a_strict_judge():
    rng = np.random.default_rng(0)
    src, dst, time = rng.integers(12, size=400), rng.integers(12, size=400), np.sort(rng.integers(12, size=400))
    order = np.lexsort((rng.random(400), time))
    found = []
    for rows in (np.arange(400), order):
        graph = from_events(src[rows], dst[rows], time[rows], 12)
        data = gk.Dataset.from_graph(graph, "temporal-link", splits="time")
        model = build("edgebank", data, memory="window")
        task = TemporalLinkTask(data, batch_size=20)
        scored = task.score(model, "test")
        found.append(sorted(zip(src[rows][scored.event], dst[rows][scored.event], scored.pos.tolist(), strict=True)))
    assert found[0] == found[1]


def test_training_sees_no_event_of_a_hidden_node():
    columns = stream()
    task = TemporalLinkTask(dataset(columns), batch_size=3, hide_nodes=0.3)
    hidden = task.stream.hidden
    assert int(hidden.sum()) == 3
    model = seeded(lambda: build("tgn", SPEC, fanout=4, **SMALL))
    sampler = task.sampler(model, True)
    for batch in task.batches("train", model, Rng(0, ("law", 0))):
        true = batch.label == 1
        seen = [batch.pairs.src[true], batch.pairs.dst[true], batch.fields["events"].src, batch.fields["events"].dst]
        assert not hidden[torch.cat(seen)].any()
        found = sampler.sample(torch.arange(NODES), torch.full((NODES,), int(columns["time"][19])), fanout=20)
        assert not hidden[found.node[found.mask]].any()
    assert _epoch(model, task) > 0


def test_the_sampler_of_a_uniform_system_draws_anew_in_each_epoch():
    model, task = tgat(sampling="uniform"), task_of(stream())
    seeds = [[b.fields["sampler"].seed for b in task.batches("train", model, Rng(0, ("x", e)))] for e in (0, 1, 0)]
    assert seeds[0] == seeds[2] != seeds[1]
    assert isinstance(task.sampler(model, True), TemporalSampler)
