"""Each mend of DGL 2.1.0, with the call that failed without it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

import graphkit  # noqa: F401

import dgl  # isort: skip


@pytest.mark.parametrize("kind", ["coo", "csr", "csc"])
@pytest.mark.parametrize("family", ["array", "matrix"])
def test_sparse_arrays_of_scipy_become_graphs(kind, family):
    """SciPy's coo_array is no spmatrix, so DGL called it an unsupported graph data type."""
    dense = np.array([[0, 2.0, 0], [0, 0, 3.0], [4.0, 0, 0]])
    adjacency = getattr(scipy.sparse, f"{kind}_{family}")(dense)
    graph = dgl.from_scipy(adjacency, eweight_name="w")
    src, dst = graph.edges()
    assert dense[src, dst].tolist() == graph.edata["w"].tolist()
    assert dgl.bipartite_from_scipy(adjacency, "a", "to", "b").num_edges() == 3


def test_partitioning_prints_nothing(capfd):
    """METIS reported its progress on stdout and stderr, where a program's answer is read."""
    graph = dgl.add_reverse_edges(dgl.graph((torch.arange(59), torch.arange(1, 60))))
    part = dgl.metis_partition_assignment(graph, 2)
    assert part.unique().tolist() == [0, 1]
    dgl.metis_partition(graph, 2)
    print("heard")
    assert capfd.readouterr() == ("heard\n", "")


def test_subgraphx_finds_the_place_of_a_node():
    """NumPy 2.4 makes no number of an array of one element, which SubgraphX asked of it."""

    class Net(torch.nn.Module):
        def forward(self, graph, feat):
            return dgl.mean_nodes(_with(graph, feat), "h")

    def _with(graph, feat):
        graph = graph.local_var()
        graph.ndata["h"] = feat
        return graph

    graph = dgl.add_self_loop(dgl.graph(([0, 1, 2, 3, 0], [1, 2, 3, 0, 2])))
    explainer = dgl.nn.SubgraphX(Net(), num_hops=1, num_rollouts=1, shapley_steps=2, num_child=2)
    kept = explainer.explain_graph(graph, torch.rand(4, 2), target_class=0)
    assert len(kept) > 0


def test_mends_made_twice_are_made_once():
    from graphkit._dgl import mends

    before = dgl.utils.graphdata2tensors
    mends.apply()
    assert dgl.utils.graphdata2tensors is before


@pytest.mark.parametrize("size", [1, 4])
def test_numpy_ids_of_any_width(size):
    for dtype in (np.int32, np.int64):
        ids = np.arange(size, dtype=dtype)
        graph = dgl.graph((ids, ids), num_nodes=np.int64(size))
        assert graph.num_nodes() == size
        assert dgl.node_subgraph(graph, ids).num_edges() == size
