"""Combinatorial instances: sound files of each format, and the ways they can be unsound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphkit.core.errors import DataError, GraphKitError
from graphkit.data import from_files

ROWS = [[(3 * r + r // 3 + c) % 9 + 1 for c in range(9)] for r in range(9)]
SOLUTION = "".join(str(digit) for row in ROWS for digit in row)
PUZZLE = "." + SOLUTION[1:40] + "0" * 41


def one(folder, name, content):
    for old in folder.iterdir():
        old.unlink()
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_dimacs_graphs_and_their_optima(tmp_path):
    (tmp_path / "keller4.clq").write_text("c from far\ncother\np col 4 3\ne 2 1\ne 3 1\r\n\ne 4 1\n")
    (tmp_path / "own.b").write_text("p edge 2 0\n")
    data = from_files("dimacs-graphs", tmp_path, split={"train": [0]})
    assert data.names["instance"] == ["keller4", "own"]
    assert data.collated.graph_fields["optimum"].tolist() == [11, -1]
    assert data.collated.edge_counts.tolist() == [6, 0] and data.collated.node_counts.tolist() == [4, 2]
    one(tmp_path, "frb30-15-1.mis", "p edge 2 1\ne 1 2\n")
    hidden = from_files("dimacs-graphs", tmp_path, split={"train": [0]}, problem="independent-set")
    assert hidden.collated.graph_fields["optimum"].tolist() == [30]
    with pytest.raises(GraphKitError, match="unknown problem 'cover'"):
        from_files("dimacs-graphs", tmp_path, problem="cover")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("p edge 3 2\ne 1 2\n", "a.clq holds 1 edges where 2 were promised; it may be truncated"),
        ("p edge 3 1\ne 1 4\n", "a.clq, line 2: nodes 1 and 4; expected ids from 1 to 3"),
        ("p edge 3 1\ne 1 x\n", "a.clq, line 2: expected whole numbers"),
        ("p edge 3 1\ne 1\n", "a.clq, line 2: 'e 1' is no line of a DIMACS graph"),
        ("e 1 2\n", "a.clq, line 1: 'e 1 2' is no line"),
        ("", "a.clq holds 0 edges where no were promised"),
    ],
)
def test_unsound_dimacs_graphs(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        from_files("dimacs-graphs", one(tmp_path, "a.clq", content))


def test_formulas_join_literals_and_clauses(tmp_path):
    data = from_files(
        "dimacs-cnf", one(tmp_path, "a.cnf", "c x\np cnf 2 2\n 1 -2 0\n-1\n0\n%\n0\n"), split={"train": [0]}
    )
    graph = data[0]
    assert graph.num_nodes() == 6 and graph.ndata["feat"].argmax(1).tolist() == [0, 1, 0, 1, 2, 2]
    src, dst = (ends.tolist() for ends in graph.edges())
    pairs = {(u, v, t) for u, v, t in zip(src, dst, graph.edata["etype"].tolist(), strict=True) if u < v}
    assert pairs == {(0, 4, 0), (3, 4, 0), (1, 5, 0), (0, 1, 1), (2, 3, 1)}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("p cnf 2 2\n1 -2 0\n", "a.cnf holds 1 clauses where 2 were promised"),
        ("p cnf 2 1\n1 -2\n", "a.cnf holds 0 clauses where 1 were promised"),
        ("p cnf 2 1\n1 -3 0\n", "a.cnf, line 2: literal -3; expected variables from 1 to 2"),
        ("p cnf 2 1\n1 y 0\n", "a.cnf, line 2: expected whole numbers"),
        ("1 2 0\n", "a.cnf, line 1: '1 2 0' comes before the line"),
    ],
)
def test_unsound_formulas(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        from_files("dimacs-cnf", one(tmp_path, "a.cnf", content))


def test_sudokus_with_and_without_solutions(tmp_path):
    (tmp_path / "a.txt").write_text(PUZZLE + "\r\n\r\n")
    (tmp_path / "b.csv").write_bytes(
        b"\xef\xbb\xbfquizzes,solutions\n" + f"{PUZZLE.replace('.', '0')},{SOLUTION}\n".encode()
    )
    data = from_files("sudoku", tmp_path, split={"train": [0]})
    assert len(data) == 2 and data.collated.graph_fields["clues"].tolist() == [39, 39]
    assert data.collated.edge_counts.tolist() == [1620, 1620] and data[0].in_degrees().unique().tolist() == [20]
    assert data[0].ndata["digit"].unique().tolist() == [-1]
    digits = data[1].ndata["digit"]
    src, dst = data[1].edges()
    assert bool((digits[src] != digits[dst]).all()) and torch.equal(data[0].ndata["feat"], data[1].ndata["feat"])
    assert len(from_files("sudoku", tmp_path, split={"train": [0]}, file="a.txt")) == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", PUZZLE + "\n" + PUZZLE[:80] + "\n", "a.txt, line 2: expected 81 digits or dots, got 80"),
        ("a.txt", "x" + PUZZLE[1:], "a.txt, line 1: expected 81 digits"),
        ("a.csv", f"quizzes,solutions\n{PUZZLE},{SOLUTION[::-1]}\n", "a.csv, line 2: the solution does not solve"),
        ("a.csv", f"quizzes\n{PUZZLE}\n", "a.csv, line 1: no column 'solutions'"),
    ],
)
def test_unsound_sudokus(tmp_path, name, content, says):
    with pytest.raises(DataError, match=says):
        from_files("sudoku", one(tmp_path, name, content))


EUC = (
    "NAME : a\nTYPE : TSP\nDIMENSION: 3\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 3 4\n3 0 1.4e1\nEOF\n"
)
FORMS = {
    "FULL_MATRIX": "0 1 2\n1 0 3\n2 3 0",
    "UPPER_ROW": "1 2\n3",
    "UPPER_DIAG_ROW": "0 1 2 0 3 0",
    "LOWER_ROW": "1\n2 3",
    "LOWER_DIAG_ROW": "0 1 0 2\n3 0",
}


def explicit(form, cells):
    head = f"NAME: b\nDIMENSION: 3\nEDGE_WEIGHT_TYPE: EXPLICIT\nEDGE_WEIGHT_FORMAT: {form} \nEDGE_WEIGHT_SECTION\n"
    return head + cells + "\nEOF\n"


def test_tours_have_rounded_distances_and_optima(tmp_path):
    one(tmp_path, "a.tsp", EUC)
    (tmp_path / "solutions").write_text("a : 33\nother : 5 (bounds)\n")
    data = from_files("tsplib", tmp_path, split={"train": [0]})
    graph = data[0]
    weight = dict(
        zip(zip(*(e.tolist() for e in graph.edges()), strict=True), graph.edata["weight"].tolist(), strict=True)
    )
    assert weight == {(0, 1): 5, (1, 0): 5, (0, 2): 14, (2, 0): 14, (1, 2): 10, (2, 1): 10}
    assert data.collated.graph_fields["optimum"].tolist() == [33] and graph.ndata["pos"][2].tolist() == [0, 14]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_matrix_is_the_same_matrix(tmp_path, form):
    data = from_files("tsplib", one(tmp_path, "b.tsp", explicit(form, FORMS[form])), split={"train": [0]})
    assert sorted(data[0].edata["weight"].tolist()) == [1, 1, 2, 2, 3, 3]
    assert bool(data[0].ndata["pos"].isnan().all()) and data.collated.graph_fields["optimum"].tolist() == [-1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (EUC.replace("EUC_2D", "XRAY1"), "distances of type XRAY1; expected EXPLICIT"),
        (EUC.replace("3 0 1.4e1\n", ""), "a.tsp holds 6 cells of coordinates where 9 were expected"),
        (EUC.replace("3 4", "3 four"), "a.tsp, line 7: expected numbers"),
        (EUC.replace("DIMENSION: 3\n", ""), "a.tsp has no DIMENSION"),
        (EUC.replace("2 3 4", "9 3 4"), "a.tsp, line 7: expected 2 and two coordinates"),
        ("5 6\n", "a.tsp, line 1: '5 6' stands outside of a section"),
        (explicit("UPPER_ROW", "1 2"), "a.tsp holds 2 distances where 3 were expected"),
        (explicit("SPIRAL", "1 2"), "matrix of form SPIRAL"),
        (explicit("FULL_MATRIX", "0 1 2\n1 0 3\n9 3 0"), "the distances are not symmetric"),
    ],
)
def test_unsound_tours(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        from_files("tsplib", one(tmp_path, "a.tsp", content))


def test_an_unsound_list_of_optima(tmp_path):
    one(tmp_path, "a.tsp", EUC)
    (tmp_path / "solutions").write_text("a 33\n")
    with pytest.raises(DataError, match=r"solutions, line 1: expected 'name : optimum'"):
        from_files("tsplib", tmp_path)


def test_the_solved_square_is_a_sudoku():
    assert (np.sort(np.array(ROWS).T, axis=1) == np.arange(1, 10)).all()
