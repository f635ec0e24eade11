"""SEMBA: which memory feeds which, told by literal loops, and signs that nobody sees before they are scored."""

import numpy as np
import pytest
import torch

from graphkit.core.errors import GraphKitError
from graphkit.core.spec import Spec
from graphkit.data import Dataset
from graphkit.graphs.temporal import from_events
from graphkit.models import build
from graphkit.nn.temporal.signed import SignedMemory
from graphkit.sampling import Events
from graphkit.tasks import TemporalSignTask
from graphkit.tasks.temporal_sign import best_threshold, macro_f1


def events(src, dst, sign, first=0, weight=None):
    ids = first + torch.arange(len(src))
    fields = {"sign": torch.as_tensor(sign)} | ({} if weight is None else {"weight": torch.as_tensor(weight)})
    return Events(torch.as_tensor(src), torch.as_tensor(dst), 10 * ids, ids, None, fields)


def memory(nodes=6, seed=0, **options):
    torch.manual_seed(seed)
    made = SignedMemory(nodes, 3, time_dim=4, **options).double()
    made.state.normal_()
    return made


def literal(made, runs):
    """Go through runs of (u, v, t, sign, size), event by event, as the formulas say; return the states."""
    state, last = made.state.clone(), {}
    for run in runs:
        told = {}
        for u, v, t, sign, size in run:
            for own, other in ((u, v), (v, u)):
                gap = t - last[own, sign] if (own, sign) in last else 0.0
                for kind in (0, 1):
                    partner = kind if sign > 0 else 1 - kind
                    rest = [torch.tensor([size]).double(), made.code(torch.tensor(float(gap)))]
                    message = torch.cat([state[own, kind], state[other, partner], *rest])
                    told.setdefault((own, kind), []).append(message)
        new = state.clone()
        for (node, kind), messages in told.items():
            new[node, kind] = made.cells[kind](torch.stack(messages).mean(0)[None], state[node, kind][None])[0]
        state = new.detach()
        for u, v, t, sign, _ in run:
            last[u, sign] = last[v, sign] = t
    return state


def test_states_equal_a_literal_loop():
    rng = np.random.default_rng(0)
    made = memory()
    runs, start = [], made.state.clone()
    src, dst = rng.integers(6, size=(2, 40))
    dst = np.where(src == dst, (dst + 1) % 6, dst)
    sign, size = rng.choice([-1, 1], size=40), rng.integers(1, 10, size=40).astype(float)
    for begin in range(0, 40, 8):
        part = slice(begin, begin + 8)
        columns = zip(src[part], dst[part], 10 * np.arange(begin, begin + 8), sign[part], size[part], strict=True)
        runs.append([(int(u), int(v), float(t), int(s), float(w)) for u, v, t, s, w in columns])
        made.observe(events(src[part], dst[part], sign[part], begin, size[part]))
    found = made.peek(torch.arange(6)).detach()
    made.state.copy_(start)
    torch.testing.assert_close(found, literal(made, runs), rtol=0, atol=1e-6)


def test_among_friends_the_friendly_states_are_those_of_one_memory():
    """With positive signs only, m+ reads and changes nothing but m+."""
    one, other = memory(), memory()
    other.state[:, 1].normal_()
    for begin in range(0, 12, 3):
        run = events([0, 1, 2], [3, 4, 5], [1, 1, 1], begin)
        one.observe(run)
        other.observe(run)
    found = [m.peek(torch.arange(6)) for m in (one, other)]
    assert torch.equal(found[0][:, 0], found[1][:, 0])
    assert not torch.allclose(found[0][:, 1], found[1][:, 1])


def test_the_sign_of_an_event_says_which_of_the_partners_states_is_read():
    """The gradient of each new state with respect to the partner's states is zero but for the one that is named."""
    for sign in (1, -1):
        made = memory()
        made.state.requires_grad_()
        made.src, made.dst, made.sign = torch.tensor([0]), torch.tensor([1]), torch.tensor([sign])
        made.size, made.time_of = torch.ones(1).double(), torch.zeros(1).double()
        new = made.peek(torch.tensor([0, 1]))
        for own, other in ((0, 1), (1, 0)):
            for kind in (0, 1):
                (slope,) = torch.autograd.grad(new[own, kind].sum(), made.state, retain_graph=True)
                used = {tuple(at) for at in slope.abs().sum(-1).nonzero().tolist()}
                assert used == {(own, kind), (other, kind if sign > 0 else 1 - kind)}


def test_swapping_friends_and_foes_commutes_with_any_event():
    """With both cells alike the two states have no names."""
    for sign in (1, -1):
        made = memory()
        made.cells[1].load_state_dict(made.cells[0].state_dict())
        turned = memory()
        turned.load_state_dict(made.state_dict())
        turned.state.copy_(made.state.flip(1))
        for m in (made, turned):
            m.observe(events([0, 2], [1, 0], [sign, -1]))
        ids = torch.arange(6)
        torch.testing.assert_close(turned.peek(ids), made.peek(ids).flip(1), rtol=0, atol=1e-12)


def test_without_balance_a_sign_changes_its_own_states_only():
    made = memory(balanced=False)
    before = made.state.clone()
    made.observe(events([0], [1], [-1]))
    after = made.peek(torch.arange(6))
    changed = (after != before).any(-1)
    assert changed.tolist() == [[False, True], [False, True], *[[False, False]] * 4]


def stream(count=60, nodes=9):
    rng = np.random.default_rng(3)
    src, dst = rng.integers(nodes, size=(2, count))
    fields = {"sign": rng.choice([-1, 1], count), "weight": rng.integers(1, 10, count).astype(np.float32)}
    return src, dst, np.arange(count) // 2, fields


def dataset(src, dst, time, fields, nodes=9):
    graph = from_events(src, dst, time, nodes, None, fields)
    ids = torch.arange(len(src))
    return Dataset.from_graph(graph, "temporal-link", splits={"train": ids[:30], "val": ids[30:40], "test": ids[40:]})


@pytest.mark.parametrize("counters", [None, "sign"])
def test_the_signs_of_a_run_change_none_of_its_scores(counters):
    """But those of the run after it."""
    src, dst, time, fields = stream()
    model = build("semba", Spec("temporal-link", 0, 1, num_nodes=9), memory_dim=4, counters=counters).eval()
    task = TemporalSignTask(dataset(src, dst, time, fields), batch_size=4)
    _, whole = task.logits(model, "test")
    flipped = dict(fields, sign=np.where((np.arange(60) >= 44) & (np.arange(60) < 48), -fields["sign"], fields["sign"]))
    model.reset_state()
    _, found = TemporalSignTask(dataset(src, dst, time, flipped), batch_size=4).logits(model, "test")
    if counters is None:
        assert torch.equal(found[:8], whole[:8])
    else:  # counters know what is strictly earlier, also within a run
        assert torch.equal(found[:6], whole[:6])
    assert not torch.equal(found[8:], whole[8:])


def test_the_task_judges_signs_as_scikit_learn_does():
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    torch.manual_seed(0)
    model = build("semba", Spec("temporal-link", 0, 1, num_nodes=9), memory_dim=4).eval()
    task = TemporalSignTask(dataset(*stream()), batch_size=4)
    found = task.evaluate(model, "test")
    (event, pred), (late, val) = task.logits(model, "test"), task.logits(model, "val")
    label, known = task.signs[event].numpy(), task.signs[late].numpy()
    assert found["auc"] == pytest.approx(roc_auc_score(label, pred))
    assert found["ap_negative"] == pytest.approx(average_precision_score(1 - label, -pred))
    cut = max(val.tolist(), key=lambda c: f1_score(known, (val >= c).numpy(), average="macro"))
    ours = best_threshold(val, task.signs[late])
    best = [f1_score(known, (val >= c).numpy(), average="macro") for c in (ours, cut)]
    assert best[0] == pytest.approx(best[1])
    assert found["macro_f1"] == pytest.approx(f1_score(label, (pred >= ours).numpy(), average="macro"))
    assert macro_f1(torch.tensor([1, 1]), torch.tensor([1, 0])) == pytest.approx(1 / 3)


def test_whom_nobody_trusts_is_learned():
    """Some nodes get bad ratings only; a few ratings tell who."""
    import graphkit as gk

    rng = np.random.default_rng(0)
    bad = rng.random(40) < 0.3
    src, dst = rng.integers(40, size=(2, 1500))
    src, dst = src[src != dst], dst[src != dst]
    graph = from_events(src, dst, np.arange(len(src)), 40, None, {"sign": np.where(bad[dst], -1, 1)})
    data = Dataset.from_graph(graph, "temporal-link", splits="time")
    options = {"memory_dim": 16, "out_feats": 16, "num_heads": 2, "dropout": 0.0, "lr": 0.01, "batch_size": 30}
    run = gk.fit("semba", data, epochs=4, progress=False, **options)
    assert run.metrics["test/auc"] >= 0.9
    assert run.metrics["test/ap_negative"] >= 0.8


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: memory().observe(events([0], [1], [0])), "1 events have the sign 0"),
        (lambda: memory().observe(Events(*torch.zeros(4, 1).long())), "edge field 'sign'"),
        (lambda: build("semba", Spec("temporal-link", 0, 1, num_nodes=9), counters="sing"), "unknown counters 'sing'"),
        (lambda: TemporalSignTask(None, negatives="random"), "negatives says which false pairs there are"),
        (lambda: TemporalSignTask(None, select="ap"), "unknown score 'ap'"),
    ],
)
def test_wrong_questions_get_one_sentence(call, told):
    with pytest.raises(GraphKitError, match=told):
        call()
