"""No leakage: whatever the protocol, what is tested was not trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphkit as gk
from graphkit.core.errors import GraphKitError
from graphkit.core.registry import entries
from graphkit.graphs import from_hyperedges, graph

PARTS = ("train", "val", "test")


def thirds(rng, total: int) -> dict:
    order = rng.permutation(total)
    return {part: torch.from_numpy(np.sort(order[i::3])) for i, part in enumerate(PARTS)}


def single_graph(rng, task: str = "node", undirected: bool = True, total: int = 60):
    src, dst = rng.integers(total, size=(2, 5 * total))
    made = graph(src, dst, total, undirected=undirected)
    labels = np.resize(np.arange(3), total) if task == "node" else None
    return gk.Dataset.from_graph(made, task, labels=labels)


def set_of_graphs(rng, total: int = 60):
    return gk.Dataset.from_graphs([graph([0], [1], 2)] * total, labels=rng.permutation(np.resize([0, 1, 2], total)))


def published(data, name: str, split, **options):
    data.published = {name: split}
    return data.with_split(name, **options)


def molecules(rng, **options):
    data = set_of_graphs(rng)
    data.names = {**data.names, "scaffold": [str(i) for i in rng.integers(15, size=60)]}
    return data.with_split("scaffold", ratio=(0.6, 0.2, 0.2))


def drug_pairs(rng, new: int):
    data = set_of_graphs(rng, 400)
    data.collated.graph_fields["drug"] = torch.from_numpy(rng.integers(30, size=(400, 2)))
    return data.with_split("unseen-drugs", seed=int(rng.integers(1000)), new=new, ratio=(0.5, 0.2, 0.3))


def ratings(rng, **options):
    users, items = rng.integers(12, size=200), 12 + rng.integers(40, size=200)
    made = graph(users, items, 52, {"ntype": (torch.arange(52) >= 12).long()}, undirected=True)
    return gk.Dataset.from_graph(made, "link").with_split("per-user", seed=int(rng.integers(1000)), **options)


def stream(rng, split: str = "time"):
    times = np.sort(rng.integers(50, size=300))  # with ties
    made = graph(rng.integers(20, size=300), rng.integers(20, size=300), 20, edge_fields={"time": times})
    data = gk.Dataset.from_graph(made, "temporal-link", splits="time")
    if split == "time":
        return data
    cuts = np.searchsorted(times, [times[150], times[220]], side="right")
    ids = torch.arange(300)
    return published(data, "public", dict(zip(PARTS, (ids[: cuts[0]], ids[cuts[0] : cuts[1]], ids[cuts[1] :]))))


def hyperedges(rng):
    lists = [rng.choice(20, size=3, replace=False).tolist() for _ in range(120)]
    made = from_hyperedges(lists, 20)
    made.nodes["hyperedge"].data["time"] = torch.from_numpy(np.sort(rng.integers(40, size=120)))
    return gk.Dataset.from_graph(made, "hyperedge", splits="time")


def series(rng):
    data = gk.load("karate")
    held = torch.from_numpy(rng.normal(size=(1, 90, 34, 1)).astype(np.float32))
    data.collated.graph_fields["series"] = held
    data.card, data.task = replace(data.card, tasks=("forecast",)), "forecast"
    return data.with_split("windows", history=int(rng.integers(1, 9)), horizon=int(rng.integers(1, 7)))


def triples(rng):
    made = graph(
        rng.integers(20, size=90), rng.integers(20, size=90), 20, edge_fields={"etype": np.resize([0, 1, 2], 90)}
    )
    parts = thirds(rng, 90)
    return published(gk.Dataset.from_graph(made, "triple", splits=parts), "public", parts)


def fold(rng, protocol: str, make, **options):
    folds = [thirds(rng, 60) for _ in range(3)]
    return published(make(rng), protocol, folds, fold=int(rng.integers(3)), **options)


#: Every way of splitting: protocol, then what it is used on.
CASES = {
    "public: nodes": lambda rng: published(single_graph(rng), "public", thirds(rng, 60)),
    "public: graphs": lambda rng: published(set_of_graphs(rng), "public", thirds(rng, 60)),
    "public: triples": triples,
    "public: events": lambda rng: stream(rng, "public"),
    "random: nodes": lambda rng: single_graph(rng).with_split("random", seed=int(rng.integers(99))),
    "random: graphs": lambda rng: set_of_graphs(rng).with_split("random", stratified=True),
    "random-per-class: nodes": lambda rng: single_graph(rng).with_split(
        "random-per-class", seed=int(rng.integers(99)), per_class=5, num_val=10, num_test=20
    ),
    "stratified10: graphs": lambda rng: set_of_graphs(rng).with_split("stratified10", fold=int(rng.integers(10))),
    "folds: graphs": lambda rng: fold(rng, "folds", set_of_graphs),
    "folds: without validation": lambda rng: published(
        set_of_graphs(rng), "folds", [{k: v for k, v in thirds(rng, 60).items() if k != "val"}], val_ratio=0.2
    ),
    "geom-gcn: nodes": lambda rng: fold(rng, "geom-gcn", single_graph),
    "fair-comparison: graphs": lambda rng: fold(rng, "fair-comparison", set_of_graphs),
    "fair-comparison-constant: graphs": lambda rng: fold(rng, "fair-comparison-constant", set_of_graphs),
    "benchmarking-gnns: graphs": lambda rng: fold(rng, "benchmarking-gnns", set_of_graphs),
    "paired: graphs": lambda rng: set_of_graphs(rng).with_split("paired", seed=int(rng.integers(99))),
    "scaffold: molecules": molecules,
    "unseen-drugs: one": lambda rng: drug_pairs(rng, 1),
    "unseen-drugs: both": lambda rng: drug_pairs(rng, 2),
    "random-link: undirected": lambda rng: single_graph(rng, "link").with_split(
        "random-link", seed=int(rng.integers(99))
    ),
    "random-link: directed": lambda rng: single_graph(rng, "link", False),
    "per-user: share": ratings,
    "per-user: one": lambda rng: ratings(rng, leave_one_out=True),
    "time: events": stream,
    "time: hyperedges": hyperedges,
    "windows: series": series,
}


def test_every_registered_protocol_is_tested_for_leakage():
    assert {case.partition(":")[0] for case in CASES} == set(entries("split"))


def unordered(pairs) -> set:
    return {(min(u, v), max(u, v)) for u, v in zip(pairs.src.tolist(), pairs.dst.tolist(), strict=True)}


def rows_are_disjoint(data) -> None:
    parts = [set(data.splits[part].tolist()) for part in PARTS]
    assert all(parts[i].isdisjoint(parts[j]) for i in range(3) for j in range(i)) and parts[0] and parts[2]
    assert sum(map(len, parts)) == sum(len(data.splits[part]) for part in PARTS)
    if data.task != "forecast":
        assert max(map(max, filter(None, parts))) < data.num_rows


def links_are_disjoint(data) -> None:
    def key(pairs) -> set:
        return unordered(pairs) if data.undirected else set(zip(pairs.src.tolist(), pairs.dst.tolist(), strict=True))

    positive = [key(data.splits[part].pos) for part in PARTS]
    negative = [key(data.splits[part].neg) for part in PARTS]
    assert all(positive[i].isdisjoint(positive[j]) for i in range(3) for j in range(i)) and positive[0] and positive[2]
    every = key(data.known)
    assert all(one.isdisjoint(every) for one in negative) and negative[1].isdisjoint(negative[2])
    src, dst = data.graph.edges(order="eid")
    message = key(gk.Pairs(src, dst))
    assert message.isdisjoint(positive[1] | positive[2] | negative[1] | negative[2])


def triples_are_disjoint(data) -> None:
    train = data.splits["train"].pos
    wanted = sorted(zip(train.src.tolist(), train.rel.tolist(), train.dst.tolist(), strict=True))
    (src, dst), kind = data.graph.edges(order="eid"), data.graph.edata["etype"]
    assert sorted(zip(src.tolist(), kind.tolist(), dst.tolist(), strict=True)) == wanted
    assert all(map(len, data.splits.values())) and sum(map(len, data.splits.values())) == len(data.known)


def time_is_strictly_ordered(data) -> None:
    latest = [data.times[data.splits[part]].max() for part in PARTS[:2]]
    earliest = [data.times[data.splits[part]].min() for part in PARTS[1:]]
    assert latest[0] < earliest[0] and latest[1] < earliest[1]
    assert sum(len(data.splits[part]) for part in PARTS) == data.num_rows
    if data.task == "temporal-link":
        assert data.graph.num_edges() == len(data.splits["train"])


def forecasts_are_disjoint(data) -> None:
    history, horizon = data.split_options["history"], data.split_options["horizon"]
    steps = [{int(w) + history + k for w in data.splits[part] for k in range(horizon)} for part in PARTS]
    assert max(steps[0]) < min(steps[1]) and max(steps[1]) < min(steps[2]) and max(steps[2]) < len(data.times)


def groups_are_not_shared(data) -> None:
    name = data.split_name
    if name == "scaffold":
        parts = [{data.names["scaffold"][i] for i in data.splits[part].tolist()} for part in PARTS]
    elif name == "paired":
        parts = [{i // 2 for i in data.splits[part].tolist()} for part in PARTS]
    else:
        return
    assert all(parts[i].isdisjoint(parts[j]) for i in range(3) for j in range(i))


def drugs_are_new(data) -> None:
    drug = data.collated.graph_fields["drug"]
    seen = set(drug[data.splits["train"]].reshape(-1).tolist())
    fresh = {part: (~torch.isin(drug[data.splits[part]], torch.tensor(sorted(seen)))) for part in PARTS[1:]}
    drugs = {part: set(drug[data.splits[part]][fresh[part]].tolist()) for part in PARTS[1:]}
    assert drugs["val"].isdisjoint(drugs["test"])
    for part in PARTS[1:]:
        told = fresh[part].sum(1)
        if data.split_options["new"] == 2:
            assert (told == 2).all()
        else:  # the other drug is one of the training drugs, of which a few may be in no training pair
            assert (told >= 1).all() and (told == 1).float().mean() > 0.8


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_protocol_leaks(case, seed):
    data = CASES[case](np.random.default_rng(seed))
    assert data.split_name == case.partition(":")[0]
    if data.task == "link":
        return links_are_disjoint(data)
    if data.task == "triple":
        return triples_are_disjoint(data)
    rows_are_disjoint(data)
    if data.task in ("temporal-link", "hyperedge"):
        time_is_strictly_ordered(data)
    if data.task == "forecast":
        forecasts_are_disjoint(data)
    if data.split_name == "unseen-drugs":
        drugs_are_new(data)
    return groups_are_not_shared(data)


@pytest.mark.parametrize(
    "protocol", ["public", "folds", "geom-gcn", "fair-comparison", "fair-comparison-constant", "benchmarking-gnns"]
)
def test_published_parts_that_overlap_are_refused(protocol):
    rng = np.random.default_rng(0)
    data = single_graph(rng) if protocol == "geom-gcn" else set_of_graphs(rng)
    parts = {"train": torch.arange(30), "val": torch.arange(30, 40), "test": torch.arange(39, 60)}
    with pytest.raises(GraphKitError, match="part test repeats"):
        published(data, protocol, parts if protocol == "public" else [parts])


def test_pairs_of_drugs_need_drugs_and_enough_of_them():
    rng = np.random.default_rng(0)
    with pytest.raises(GraphKitError, match="needs pairs of drugs, which graphs does not hold"):
        set_of_graphs(rng).with_split("unseen-drugs")
    data = set_of_graphs(rng)
    data.collated.graph_fields["drug"] = torch.tensor([[0, 1]] * 60)
    with pytest.raises(GraphKitError, match="60 pairs of 2 drugs, too few"):
        data.with_split("unseen-drugs")
    with pytest.raises(GraphKitError, match="new=3; expected 1"):
        data.with_split("unseen-drugs", new=3)
