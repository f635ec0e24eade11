"""Features on disk: batches drawn ahead and packed equal those in memory, a budget is kept, no kill corrupts them."""

import os
import resource
import signal

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import ChecksumError, DataError, GraphKitError
from graphkit.data import arrays
from graphkit.data.features import FeatureStore, pages_of
from graphkit.sampling import packing
from graphkit.sampling.packed import PackedBatches
from graphkit.sampling.packing import Packer, PackPlan, Part, loader_of, most_popular, packable
from tests.test_sampling_loaders import same

PARTS = (Part("train", 0, 3, "train/train", True), Part("train", 1, 3, "train/train", True), Part("val", weight=2))


def powers(nodes=1500, edges=9000, width=32, dtype=torch.float32, weight=False):
    """A graph whose in-degrees follow a power law, as a dataset with 3 classes that the features show."""
    draw = np.random.default_rng(0)
    ends = (nodes * draw.random((2, edges)) ** 3).astype(np.int64)
    label = torch.from_numpy(draw.integers(3, size=nodes))
    feat = torch.from_numpy(draw.standard_normal((nodes, width)).astype(np.float32))
    feat[:, :3] += 2 * torch.nn.functional.one_hot(label, 3)
    more = {"weight": torch.rand(edges, generator=torch.Generator().manual_seed(0))} if weight else {}
    fields = {"feat": feat.to(dtype), "label": label}
    graph = gk.graphs.graph(ends[0], ends[1], nodes, fields, more, undirected=True)
    return gk.Dataset.from_graph(graph, splits="random", name="powers")


@pytest.fixture(scope="module")
def data():
    return powers()


@pytest.fixture(scope="module")
def on_disk(data, tmp_path_factory):
    return gk.data.to_disk(data, tmp_path_factory.mktemp("graph"))


def plan(budget=10**8, size=100, fanouts=(4, 3), parts=PARTS):
    return PackPlan(parts, fanouts, size, budget)


def least_budget(data, folder):
    with pytest.raises(GraphKitError, match="need") as caught:
        Packer(data, plan(1), folder).run()
    return int(float(str(caught.value).split(" need ")[1].split(" kB")[0]) * 1000) + 1000


def test_a_graph_on_disk_is_the_graph(data, on_disk):
    again = gk.load(str(on_disk.folder))
    assert again.graph.formats()["created"] == ["csc"] and again.spec() == data.spec()
    # 4 bytes for each edge and for each node, and nothing beside.
    assert again.structure_bytes == 4 * (data.graph.num_edges() + 1500 + 1)
    one, two = (gk.sampling.NeighborLoader(d, "train", [4, 3], 64, shuffle=True) for d in (data, again))
    assert all(map(same, one, two)) and again.fingerprint() == on_disk.fingerprint()
    assert same(gk.sampling.full_batch(data, "val").feat, gk.sampling.full_batch(again, "val").feat)


def test_a_feature_store_is_indexed_as_a_tensor(tmp_path):
    feat = torch.randn(50, 5)
    store = FeatureStore.write(tmp_path / "f.bin", [feat[:20].numpy(), feat[20:].numpy()])
    mask = torch.arange(50) % 3 == 0
    for which in (torch.tensor([4, 1, 4]), slice(3, 9), mask, 7, torch.arange(0)):
        assert torch.equal(store[which], feat[which])
    assert (store.shape, store.dim(), len(store), store.dtype) == (feat.shape, 2, 50, torch.float32)
    assert store.rows_read == 3 + 6 + 17 + 1
    half = FeatureStore.write(tmp_path / "h.bin", feat.half())
    assert torch.equal(half[torch.tensor([3])], feat[3:4].half().float())
    with pytest.raises(DataError, match="its manifest says"):
        (tmp_path / "f.bin").write_bytes(b"short")
        FeatureStore(tmp_path / "f.bin", store.entry)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
@pytest.mark.parametrize("kind", ["memory", "disk", "half", "weighted"])
def test_packed_batches_equal_drawn_ones_bit_for_bit(tmp_path, on_disk, data, kind, share):
    made = {"memory": data, "disk": on_disk, "half": None, "weighted": None}[kind]
    if made is None:
        made = powers(dtype=torch.float16 if kind == "half" else torch.float32, weight=kind == "weighted")
    rows = packing.FeatureRows(made.features if kind == "disk" else packable(made).feat)
    least = least_budget(made, tmp_path / "a")
    wanted = plan(least + int(share * len(rows)) * rows.row_bytes)
    packed = PackedBatches.make(made, wanted, tmp_path / "a")
    assert packed.cache.nbytes + packed.manifest["needs"] <= wanted.budget
    for part in PARTS:
        drawn = loader_of(made, packable(made), wanted, part)
        found = list(packed.batches(part.name))
        assert len(found) == len(drawn) > 1
        for one, two in zip(found, drawn):
            assert torch.equal(one.label, made.labels[two.fields["nid"][two.targets]])
            assert same(one.replace(label=None), two)
            assert torch.equal(one.blocks[0].srcdata["gk_out_degrees"], two.blocks[0].srcdata["gk_out_degrees"])
    assert (packed.stats()["hit_rate"] == 1) == (share == 1)


def test_the_least_budget_is_enough_and_a_byte_less_is_refused(tmp_path, data):
    made = Packer(data, plan(10**9), tmp_path / "ample")
    made.run()
    needs = made._needs()
    least = max(needs, 8 * data.num_rows + 2 * needs // packing.IN_FLIGHT)
    PackedBatches.make(data, plan(least), tmp_path / "least")
    with pytest.raises(GraphKitError, match=r"batches of \d+ targets with fanouts .* need"):
        Packer(data, plan(least - 1), tmp_path / "less").run()


def test_training_under_a_budget_gives_the_losses_of_memory(data, on_disk, tmp_path):
    options = {"epochs": 3, "batch_size": 100, "progress": False, "seed": 4, "hidden": 8}
    task = {"fanouts": [4, 3], "stored_epochs": 3}
    memory = gk.fit("sage", data, task, **options)
    for budget in ("1MB", "50MB"):
        run = gk.fit("sage", on_disk, task, memory_budget=budget, run_dir=tmp_path / budget, **options)
        assert run.history["train/loss"].tolist() == memory.history["train/loss"].tolist()
    # Scores are of sampled neighbourhoods, packed while training, drawn again when the run is loaded.
    again = gk.Run.load(tmp_path / "1MB")
    assert again.evaluate("val")["loss"] == run.metrics["val/loss"]
    assert torch.equal(again.predict(nodes=[5, 7]), memory.predict(nodes=[5, 7]))


def test_an_epoch_reads_what_it_needs_and_random_reads_four_times_as_much(tmp_path):
    nodes, width = 20000, 32  # rows of 128 bytes
    ends = torch.randint(nodes, (2, 4 * nodes), generator=torch.Generator().manual_seed(1))
    graph = gk.graphs.graph(ends[0], ends[1], nodes, {"feat": torch.randn(nodes, width), "label": ends[0, :nodes] % 2})
    data = gk.Dataset.from_graph(graph, splits={"train": torch.arange(0, nodes, 100), "val": [1], "test": [2]})
    part = Part("train", shuffle=True)
    wanted = plan(10**9, 40, (5, 5), (part,))
    needs = Packer(data, wanted, tmp_path / "needs")
    needs.run()
    tight = PackPlan((part,), (5, 5), 40, max(8 * nodes + 2 * needs._needs() // 3, needs._needs()))
    packed = PackedBatches.make(data, tight, tmp_path / "tight")
    touched = [batch.fields["nid"].numpy() for batch in packed.batches(part.name)]
    assert max(len(ids) for ids in touched) <= 0.05 * nodes
    stats = packed.stats()
    slots = 4 * sum(map(len, touched))
    assert stats["bytes_read"] == stats["bytes_cold"] + slots and stats["bytes_read"] <= 1.05 * (
        stats["bytes_cold"] + slots
    )
    pages = sum(pages_of(ids[packed_slots(packed, part, i) < 0], 4 * width) for i, ids in enumerate(touched))
    assert pages * 4096 >= 4 * stats["bytes_read"]


def packed_slots(packed, part, number):
    entry = arrays.read_json(packed.folder / f"{part.name}.rows.json")[number]
    raw = (packed.folder / f"{part.name}.rows").read_bytes()[entry["at"] :]
    return np.frombuffer(raw, np.int32, entry["slots"])


def test_popular_rows_hit_more_often_than_random_or_well_linked_ones(data, tmp_path):
    packer = Packer(data, plan(), tmp_path)
    packer.run()
    drawn = np.concatenate([nodes for part in PARTS for nodes in packer.nodes(part) for _ in range(part.weight)])
    counts = np.bincount(drawn, minlength=1500)
    degrees = data.graph.in_degrees().numpy()
    for room in (15, 150, 700):
        chosen = {
            "popular": most_popular(counts.astype(np.int32), room),
            "degree": np.argsort(-degrees, kind="stable")[:room],
            "random": np.random.default_rng(0).permutation(1500)[:room],
        }
        hits = {name: counts[ids].sum() for name, ids in chosen.items()}
        assert (
            hits["popular"] >= hits["degree"] and hits["popular"] >= hits["random"] and len(chosen["popular"]) <= room
        )


def killed(work, when):
    """Run ``work`` in a child that kills itself with signal 9 at the ``when``-th rename; say whether it was killed."""
    child = os.fork()
    if child == 0:
        replace, done = os.replace, [0]

        def counting(*args):
            done[0] += 1
            if done[0] == when:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(*args)

        os.replace = counting
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("when", [1, 4, 9, 12, 16])
def test_packing_that_was_killed_goes_on(data, tmp_path, when):
    whole, broken = (PackPlan(PARTS, (4, 3), 100, 2 * 10**6) for _ in range(2))
    assert killed(lambda: Packer(data, broken, tmp_path / "a").run(), when)
    with pytest.raises(DataError, match="missing"):
        PackedBatches(data, broken, tmp_path / "a")
    one, two = PackedBatches.make(data, broken, tmp_path / "a"), PackedBatches.make(data, whole, tmp_path / "b")
    for part in PARTS:
        assert all(map(same, one.batches(part.name), two.batches(part.name)))
    assert not list((tmp_path / "a").glob("*.partial"))


@pytest.mark.parametrize("when", [9, 22, 27])
def test_a_killed_trainer_resumes_to_the_same_numbers(on_disk, tmp_path, when):
    def work(folder, resume=False):
        return gk.fit(
            "sage", on_disk, {"fanouts": [4, 3]}, epochs=4, batch_size=200, hidden=8, progress=False,
            memory_budget="2MB", run_dir=folder, resume=resume,
        )  # fmt: skip

    assert killed(lambda: work(tmp_path / "a"), when)
    run, unbroken = work(tmp_path / "a", resume=True), work(tmp_path / "b")
    assert run.metrics == unbroken.metrics and run.history.equals(unbroken.history)


def test_a_full_disk_loses_nothing(data, tmp_path, monkeypatch):
    wanted = plan(2 * 10**6)
    with monkeypatch.context() as patch:
        state = os.statvfs(tmp_path)
        patch.setattr(packing, "check_room", lambda folder, needed, what: arrays.check_room(folder, 2**70, what))
        with pytest.raises(
            GraphKitError, match=r"packing the features of the batches needs .* free; nothing was written"
        ):
            Packer(data, wanted, tmp_path / "a").run()
    assert state and sorted(p.name for p in (tmp_path / "a").glob("*.blocks")) == [f"{p.name}.blocks" for p in PARTS]

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            Packer(data, wanted, tmp_path / "b").run()
        except GraphKitError as error:
            (tmp_path / "said").write_text(str(error))

    assert not killed(limited, -1)
    assert "the disk is full" in (tmp_path / "said").read_text() and not list((tmp_path / "b").glob("*.partial"))
    for folder in ("a", "b"):
        assert len(list(PackedBatches.make(data, wanted, tmp_path / folder).batches("val-0"))) == 3


def test_folders_of_something_else_are_refused(data, on_disk, tmp_path):
    Packer(data, plan(), tmp_path).run()
    other = powers(edges=8000)
    for made, wanted, said in [
        (other, plan(), "of another graph, features or split"),
        (data, plan(fanouts=(3, 3)), r"another fanouts \(\[4, 3\], not \[3, 3\]\)"),
        (data, plan(size=99), "another batch size"),
        (data, plan(parts=PARTS[:2]), "another parts"),
        (data, plan(10**7), "packed for a memory_budget of 100 MB, not 10.0 MB"),
    ]:
        with pytest.raises(GraphKitError, match=said):
            Packer(made, wanted, tmp_path).run()
    assert len(list(PackedBatches(data, plan(), tmp_path).batches("val-0"))) == 3
    with pytest.raises(GraphKitError, match="memory_budget is 3 B"):
        gk.fit("sage", on_disk, memory_budget=3, epochs=1, progress=False, fanouts=[4, 3])
    for wrong in ("much", "0", "-2GB", "2 XB"):
        with pytest.raises(GraphKitError, match="expected"):
            gk.fit("sage", on_disk, memory_budget=wrong, epochs=1, progress=False)
    with pytest.raises(GraphKitError, match="for node tasks"):
        gk.fit("gae", gk.load("karate", task="link"), memory_budget="1MB", progress=False)


def test_damage_is_found_where_it_is_read(data, tmp_path):
    Packer(data, plan(2 * 10**6), tmp_path).run()
    for name in ("train-0.blocks", "train-0.rows"):
        raw = bytearray((tmp_path / name).read_bytes())
        raw[100] ^= 1
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(ChecksumError, match=f"{name} is damaged at batch 0"):
            list(PackedBatches(data, plan(2 * 10**6), tmp_path).batches("train-0"))
        raw[100] ^= 1
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "train-0.rows").write_bytes(raw[:-5000])
    with pytest.raises(DataError, match="ends inside batch"):
        list(PackedBatches(data, plan(2 * 10**6), tmp_path).batches("train-0"))
    raw = bytearray((tmp_path / "cache.bin").read_bytes())
    raw[0] ^= 1
    (tmp_path / "cache.bin").write_bytes(raw)
    with pytest.raises(ChecksumError, match=r"cache.bin is damaged"):
        PackedBatches(data, plan(2 * 10**6), tmp_path)


def test_a_graph_on_disk_refuses_what_it_cannot_be(data, on_disk, tmp_path):
    for wrong, said in [
        (lambda: gk.load(str(on_disk.folder), task="link"), "unknown task 'link'"),
        (lambda: gk.load(str(on_disk.folder), split="random"), "keeps its one split"),
        (lambda: on_disk.with_split("random"), "keeps its split on disk"),
        (lambda: on_disk.transform(lambda g: g), "no transform reaches it"),
        (lambda: gk.data.to_disk(powers(weight=True), tmp_path), "has the field 'weight'"),
        (lambda: gk.data.to_disk(gk.load("karate", task="link"), tmp_path), "is loaded for 'link'"),
        (lambda: gk.data.write_disk(tmp_path, [0, 2], [0], np.ones((1, 1)), [0], {}), "no list of ascending offsets"),
        (lambda: gk.data.write_disk(tmp_path, [0, 1], [1], np.ones((1, 1)), [0], {}), "index holds ids from 1 to 1"),
        (lambda: gk.data.write_disk(tmp_path, [0, 1], [0], np.ones((2, 1)), [0], {}), "feat has 2 rows"),
        (lambda: gk.data.write_disk(tmp_path, [0, 1], [0], np.ones((1, 1)), [0], {"train": [1]}), "split train holds"),
    ]:
        with pytest.raises(GraphKitError, match=said):
            wrong()
    raw = bytearray((on_disk.folder / "index.bin").read_bytes())
    raw[0] ^= 1
    (on_disk.folder / "index.bin").write_bytes(raw)
    with pytest.raises(ChecksumError, match=r"index.bin is damaged"):
        gk.load(str(on_disk.folder)).graph.num_nodes()
    raw[0] ^= 1
    (on_disk.folder / "index.bin").write_bytes(raw)
