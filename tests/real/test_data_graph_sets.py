"""Facts of the published sets of graphs, beyond the counts that their cards state."""

from __future__ import annotations

import networkx
import pytest
import torch

import graphkit as gk
from graphkit.core.errors import GraphKitError

pytestmark = pytest.mark.real


def test_the_pairs_of_exp_have_different_labels_and_stay_together():
    for name in ("exp", "cexp"):
        data = gk.load(name)
        assert torch.bincount(data.labels).tolist() == [600, 600]
        assert bool((data.labels[0::2] != data.labels[1::2]).all())
        sizes = data.collated.node_counts
        assert (int(sizes.min()), int(sizes.max())) == {"exp": (33, 73), "cexp": (40, 81)}[name]
        for part in data.splits.values():
            assert bool((part[0::2] + 1 == part[1::2]).all())


def test_csl_is_four_regular_in_five_folds():
    data = gk.load("csl")
    degree = torch.bincount(data.collated.dst + torch.repeat_interleave(data.collated.node_offsets[:-1], 164))
    assert bool((degree == 4).all()) and torch.bincount(data.labels).tolist() == [15] * 10
    assert [len(data.fold(4).splits[part]) for part in ("train", "val", "test")] == [90, 30, 30]


def test_brec_has_four_hundred_pairs_of_different_graphs_of_equal_size():
    data = gk.load("brec")
    sizes, edges = data.collated.node_counts, data.collated.edge_counts
    assert torch.bincount(data.collated.graph_fields["part"]).tolist() == [120, 100, 100, 200, 200, 40, 40]
    assert bool((sizes[0::2] == sizes[1::2]).all()) and bool((edges[0::2] == edges[1::2]).all())
    # The smallest pairs can be told apart exactly.
    for pair in range(5):
        first, second = (networkx.Graph(data[2 * pair + i].to_networkx()) for i in (0, 1))
        assert not networkx.is_isomorphic(first, second)


def test_strongly_regular_graphs_are_strongly_regular():
    for name, (k, a, c) in {"sr16622": (6, 2, 2), "sr251256": (12, 5, 6), "sr401224": (12, 2, 4)}.items():
        graph = gk.load(name)[0]
        A = torch.zeros(graph.num_nodes(), graph.num_nodes()).index_put(graph.edges(), torch.tensor(1.0))
        eye = torch.eye(len(A))
        assert torch.equal(A @ A, k * eye + a * A + c * (1 - A - eye))


def test_small_graphs_are_as_many_as_are_known():
    data = gk.load("small-graphs")
    assert torch.bincount(data.collated.node_counts).tolist() == [0, 0, 1, 2, 6, 21, 112, 853, 11117]


def test_substructure_counts_are_those_of_the_graphs():
    data = gk.load("substructure-counting")
    for i in range(0, 5000, 500):
        triangles = sum(networkx.triangles(networkx.Graph(data[i].to_networkx())).values()) // 3
        assert triangles == int(data.labels[i, 0])


FAIR = {"enzymes": 60, "nci1": 412, "proteins": 112, "imdb-binary": 100, "imdb-multi": 150}


@pytest.mark.parametrize("name", FAIR)
def test_the_fair_comparisons_test_folds_are_a_partition(name):
    data = gk.load(name, split="fair-comparison", fold=0)
    assert len(data.splits["test"]) == FAIR[name]
    tests = torch.cat([data.fold(k).splits["test"] for k in range(10)])
    assert torch.equal(tests.sort().values, torch.arange(len(data)))
    for k in (0, 9):
        assert sum(len(part) for part in data.fold(k).splits.values()) == len(data)


def test_imdb_has_two_different_fair_comparisons():
    first, second = (gk.load("imdb-multi", split=split) for split in ("fair-comparison", "fair-comparison-constant"))
    assert not torch.equal(first.splits["test"], second.splits["test"])


def test_benchmarking_gnns_folds_have_the_published_sizes():
    for name, sizes in {"enzymes": [480, 60, 60], "proteins": [889, 112, 112]}.items():
        data = gk.load(name, split="benchmarking-gnns")
        assert [len(part) for part in data.splits.values()] == sizes
        with pytest.raises(GraphKitError, match="fold=10 of"):
            data.fold(10)
    with pytest.raises(GraphKitError, match="no folds 'benchmarking-gnns' were published for this set"):
        gk.load("mutag", split="benchmarking-gnns")


def test_marks_of_the_published_explanations():
    for name, marked in {"syn1": 480, "syn2": 960, "syn3": 360, "syn4": 960}.items():
        data = gk.load(name)
        assert data.report["marked_directions"] == marked and int(data.graph.edata["motif_edge"].sum()) == 2 * marked
    data = gk.load("mutagenicity-gt")
    with_motif = data.collated.graph_fields["has_motif"]
    assert int(data.collated.edge_fields["motif_edge"].sum()) == 7352 and int(with_motif.sum()) == 1356
    assert [int((with_motif & (data.labels == label)).sum()) for label in (0, 1)] == [1015, 341]


@pytest.mark.slow
def test_every_positive_molecule_carries_marks():
    pytest.importorskip("rdkit")
    for name, positive in {"benzene": 6001, "fluoride-carbonyl": 1527}.items():
        data = gk.load(name)
        has = data.collated.graph_fields["explanations"] > 0
        assert torch.equal(has, data.labels == 1) and int(has.sum()) == positive


def held_karp(weight):
    """Return the length of the shortest tour, by dynamic programming over sets of cities without city 0."""
    n = len(weight) - 1
    best = torch.full((1 << n, n), float("inf"))
    best[1 << torch.arange(n), torch.arange(n)] = weight[0, 1:]
    bits = torch.arange(1 << n)
    size = sum((bits >> i) & 1 for i in range(n))
    for count in range(2, n + 1):
        sets = bits[size == count]
        for last in range(n):
            mine = sets[(sets >> last) & 1 == 1]
            best[mine, last] = (best[mine ^ (1 << last)] + weight[1:, last + 1]).min(dim=1).values
    return float((best[-1] + weight[1:, 0]).min())


def test_distances_of_tsplib_give_the_published_optima():
    data = gk.load("tsplib")
    for name in ("burma14", "ulysses16"):  # GEO
        graph = data[data.names["instance"].index(name)]
        n = graph.num_nodes()
        weight = torch.full((n, n), float("inf")).index_put(graph.edges(), graph.edata["weight"])
        assert held_karp(weight) == int(data.collated.graph_fields["optimum"][data.names["instance"].index(name)])
    assert int((data.collated.graph_fields["optimum"] > 0).sum()) == 47
    without = data.collated.node_fields["pos"].isnan().any(1)
    assert int(without[data.collated.node_offsets[:-1]].sum()) == 8


def test_instances_have_the_published_sizes():
    clique = gk.load("dimacs-clique")
    wanted = {"C125.9": 6963, "C250.9": 27984, "brock200_2": 9876, "brock200_4": 13089, "keller4": 9435}
    edges = dict(zip(clique.names["instance"], (clique.collated.edge_counts // 2).tolist(), strict=True))
    assert {name: edges[name] for name in wanted} == wanted and edges["p_hat300-3"] == 33390
    hidden = gk.load("frb-mis").collated
    assert hidden.node_counts.tolist() == [450] * 5 + [595] * 3 + [760] * 2 + [945, 1150]
    assert hidden.graph_fields["optimum"].tolist() == [30] * 5 + [35] * 3 + [40] * 2 + [45, 50]
    assert gk.load("sat-uf20-91").collated.graph_fields["clauses"].unique().tolist() == [91]
    sudoku = gk.load("sudoku")
    counts = torch.bincount(sudoku.collated.graph_fields["file"])
    assert dict(zip(sudoku.names["file"], counts.tolist(), strict=True)) == {
        "sudoku-easy50.txt": 50, "sudoku-hardest.txt": 11, "sudoku-top95.txt": 95, "sudoku10k.txt": 10000,
        "sudokus_hard10.txt": 10, "test.csv": 30,
    }  # fmt: skip


CHANGED = {
    ("cora", "meta"): [253, 506, 760, 1013, 1267],
    ("citeseer", "meta"): [183, None, None, None, 917],
    ("cora-ml", "meta"): [399, None, None, None, 1995],
    ("polblogs", "meta"): [835, None, None, None, 4178],
    ("cora", "nettack"): [83, None, None, None, 415],
    ("citeseer", "nettack"): [63, None, None, None, 315],
    ("polblogs", "nettack"): [538, None, None, None, 2694],
}


@pytest.mark.parametrize(("base", "attack"), CHANGED)
def test_attacks_changed_as_many_edges_as_is_known(base, attack):
    budgets = (0.05, 0.1, 0.15, 0.2, 0.25) if attack == "meta" else (1, 2, 3, 4, 5)
    for budget, wanted in zip(budgets, CHANGED[base, attack], strict=True):
        if wanted is not None:
            data = gk.load(f"{base}-{attack}", budget=budget)
            assert data.report["added"] + data.report["removed"] == wanted
    if attack == "nettack":
        targets = {"cora": 83, "citeseer": 63, "polblogs": 540}[base]
        assert int(data.graph.ndata["target"].sum()) == targets


def test_frames_hold_atoms_energies_and_forces():
    ethanol = gk.load("ethanol-md")
    assert [len(part) for part in ethanol.splits.values()] == [1000, 0, 1000]
    assert bool((ethanol.collated.node_counts == 9).all()) and not bool(
        ethanol.collated.node_fields["forces"].isnan().any()
    )
    assert bool((ethanol.labels < 0).all()) and bool((ethanol.labels > -60).all())  # some tens of eV bind the atoms
    dimers = gk.load("ethanol-md", test="test_dimers.xyz")
    assert len(dimers) == 1429 and bool(dimers[1000].ndata["forces"].isnan().all())
    assert bool((gk.load("3bpa").collated.node_counts == 27).all())


@pytest.mark.slow
def test_pairs_of_drugs_that_leak():
    pytest.importorskip("rdkit")
    report = gk.load("ddi-chchminer").report
    assert (report["repeated_pairs"], report["pairs_in_two_files_opposite"]) == (489, 112)
    zhang = gk.load("ddi-zhang")
    assert zhang.report["pairs_in_two_files_same"] == 13727
    assert int(zhang.labels.sum()) == 5465 + 4249


def test_the_best_cells_of_nas_bench_201():
    data = gk.load("nas-bench-201")
    best = data.labels.max(dim=0).values
    found = [float(best[data.names["target"].index(f"{name}-test")]) for name in ("cifar10", "cifar100", "imagenet")]
    assert found == pytest.approx([89.16, 61.18, 38.27], abs=0.005) and len(set(data.names["cell"])) == 15625


def test_the_best_architectures_of_nas_bench_graph():
    best = {"cora": 0.831, "citeseer": 0.716, "pubmed": 0.786, "cs": 0.913, "photo": 0.928}
    for name, wanted in best.items():
        assert float(gk.load(f"nas-bench-graph-{name}").labels.max()) == pytest.approx(wanted, abs=5e-4)
