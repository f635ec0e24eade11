"""The records every room stands on: registry, errors, keyed generators, batches."""

import pytest
import torch

from graphkit.core import errors, random, registry
from graphkit.core.batch import Batch, Pairs


@pytest.fixture
def example():
    @registry.register(
        "example", kind="transform", title="An example", traits={"random"}, declines={"blocks": "why not"}
    )
    class Example: ...

    yield Example
    registry.forget("transform", "example")


def test_an_entry_is_found_by_name_whatever_the_case(example):
    entry = registry.find("transform", "Example")
    assert entry.obj is example
    assert entry.traits == {"random"}
    assert entry.declines["blocks"] == "why not"


def test_a_name_is_taken_once(example):
    with pytest.raises(errors.GraphKitError, match="the transform name 'example' is taken"):
        registry.register("example", kind="transform")(dict)


def test_registering_the_same_class_again_replaces_it(example):
    registry.register("example", kind="transform", title="reloaded")(example)
    assert registry.find("transform", "example").title == "reloaded"


def test_a_registered_docstring_ends_with_its_paper_once():
    class Cited:
        """An example.

        Second paragraph.
        """

    for _ in range(2):
        registry.register("cited", title="A Paper", arxiv="1234.56789")(Cited)
    registry.forget("model", "cited")
    assert Cited.__doc__ == 'An example.\n\nSecond paragraph.\n\nReferences\n----------\n"A Paper", arXiv:1234.56789.\n'

    class Bare(Cited):
        pass

    registry.register("bare", title="Another")(Bare)
    registry.forget("model", "bare")
    assert Bare.__doc__ is None  # what it inherits stays its parent's


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kind": "modle"}, "unknown kind 'modle'; did you mean 'model'?"),
        ({"traits": {"staeful"}}, "unknown trait 'staeful'"),
        ({"declines": {"batchign": "because"}}, "unknown law 'batchign'"),
    ],
)
def test_a_misspelt_record_is_refused(arguments, sentence):
    with pytest.raises(errors.UnknownNameError) as error:
        registry.register("x", **arguments)
    assert sentence in str(error.value)


def test_a_reported_number_names_its_source():
    with pytest.raises(errors.UnknownNameError, match="unknown source 'paper'"):
        registry.Reported("cora", "accuracy", 81.5, source="paper")


def test_a_missing_extra_says_how_to_install_it():
    with pytest.raises(errors.MissingExtraError, match=r"pip install 'graphkit\[chem\]'"):
        errors.require("no_such_module_at_all", "chem", "reading SMILES")


def test_keyed_generators_depend_on_every_key_and_on_nothing_else():
    keys = [(0,), (1,), (0, "train"), (0, "train", 1), (0, "train", "1"), (0, "tra", "in1")]
    assert len({random.key(*k) for k in keys}) == len(keys)
    torch.manual_seed(3)
    first = torch.rand(4, generator=random.generator(0, "a", 1))
    torch.rand(100)
    assert torch.equal(first, torch.rand(4, generator=random.generator(0, "a", 1)))


def test_pairs_slice_join_and_move_together():
    pairs = Pairs(torch.arange(4), torch.arange(4, 8), rel=torch.tensor([0, 1, 0, 1]))
    assert pairs[[1, 3]].rel.tolist() == [1, 1]
    joined = Pairs.cat([pairs, pairs[:1]])
    assert len(joined) == 5 and joined.rel.tolist() == [0, 1, 0, 1, 0]
    assert Pairs.cat([pairs, Pairs(torch.tensor([0]), torch.tensor([1]))]).rel is None
    assert pairs.to("meta").src.device.type == "meta"


def test_a_batch_moves_its_tensors_and_leaves_the_graph():
    import dgl

    graph = dgl.graph(([0, 1], [1, 2]))
    batch = Batch(graph, torch.ones(3, 2), edge_weight=torch.ones(2), fields={"etype": torch.zeros(2)})
    moved = batch.to("meta")
    assert moved.graph is graph
    assert {moved.feat.device.type, moved.edge_weight.device.type, moved.fields["etype"].device.type} == {"meta"}


def test_each_layer_sees_its_own_block_and_edge_tensors():
    import dgl

    graph = dgl.graph(([0, 1], [1, 2]))
    inner = dgl.to_block(graph, torch.tensor([2]))
    outer = dgl.to_block(graph, inner.srcdata[dgl.NID])
    weights = [torch.ones(outer.num_edges()), torch.zeros(inner.num_edges())]
    batch = Batch(graph, torch.ones(outer.num_src_nodes(), 2), edge_weight=weights, blocks=[outer, inner])
    hops = list(batch.hops(2))
    assert [hop.graph for hop in hops] == [outer, inner]
    assert hops[1].edge_weight is weights[1] and hops[0].etype is None
    assert batch.num_outputs == 1
    with pytest.raises(errors.GraphKitError, match="holds 2 blocks but the encoder has 3"):
        list(batch.hops(3))
