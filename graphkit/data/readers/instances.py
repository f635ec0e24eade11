"""Combinatorial instances as graphs: DIMACS graphs, DIMACS formulas and sudokus, each with its known optimum."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot, tidy
from graphkit.data.store import Files

#: Clique numbers that DIMACS publishes, by the name of the instance.
CLIQUES = {
    "C125.9": 34, "C250.9": 44, "brock200_2": 12, "brock200_4": 17, "gen200_p0.9_44": 44, "gen200_p0.9_55": 55,
    "hamming8-4": 16, "keller4": 11, "p_hat300-1": 8, "p_hat300_1": 8, "p_hat300-2": 25, "p_hat300-3": 36,
}  # fmt: skip


def whole(cells: Iterable[str], where: str) -> list[int]:
    """Return cells as whole numbers.

    Raises
    ------
    DataError
        Naming the place of one that is none.

    >>> whole(["1", "2"], "a, line 1")
    [1, 2]
    """
    found = list(cells)
    try:
        return [int(cell) for cell in found]
    except ValueError:
        raise DataError(f"{where}: expected whole numbers, got {' '.join(found)[:60]!r}") from None


def dimacs_graph(data: bytes, label: str) -> tuple[int, np.ndarray]:
    r"""Read a graph in DIMACS' edge format: ``p edge NODES EDGES``, then lines ``e U V``, counted from 1.

    Parameters
    ----------
    data : bytes
    label : str
        The file's name, for errors.

    Returns
    -------
    num_nodes : int
    edges : ndarray
        int64 ``[E, 2]``, counted from 0.

    Raises
    ------
    DataError
        Naming file and line: an unknown line, ids out of range, another number of edges than promised.

    Examples
    --------
    >>> dimacs_graph(b"c a path\np edge 3 2\ne 1 2\ne 3 2\n", "a.clq")[1].tolist()
    [[0, 1], [2, 1]]
    """
    head: list[int] = []
    edges = []
    for number, line in tables.lines(data):
        cells, where = line.split(), f"{label}, line {number}"
        if cells[0][0] == "c":
            continue
        if cells[0] == "p" and len(cells) == 4 and not head:
            head = whole(cells[2:], where)
        elif cells[0] == "e" and len(cells) == 3 and head:
            u, v = whole(cells[1:], where)
            if not (1 <= u <= head[0] and 1 <= v <= head[0]):
                raise DataError(f"{where}: nodes {u} and {v}; expected ids from 1 to {head[0]}")
            edges.append((u - 1, v - 1))
        else:
            raise DataError(f"{where}: {line[:60]!r} is no line of a DIMACS graph (c, one p, then e)")
    if not head or len(edges) != head[1]:
        promised = head[1] if head else "no"
        raise DataError(f"{label} holds {len(edges)} edges where {promised} were promised; it may be truncated")
    return head[0], np.array(edges, dtype=np.int64).reshape(-1, 2)


@register("dimacs-graphs", kind="reader", level="graph", title="DIMACS edge format", keep=True)
def read_dimacs_graphs(files: Files, *, problem: str = "clique") -> Raw:
    """Read every ``.clq``, ``.b``, ``.col`` and ``.mis`` among the files, one graph each.

    Parameters
    ----------
    files : Files
    problem : str
        ``clique`` takes optima from DIMACS' table of clique numbers, ``independent-set`` from the first number of the
        file's name (``frb30-15-1``: 30), which is how these instances are made.

    Returns
    -------
    Raw
        ``feat`` of ones; graph field ``optimum`` (int64, -1 unknown); ``names["instance"]``.

    Raises
    ------
    DataError
        Naming file and line.
    GraphKitError
        If ``problem`` is unknown.
    """
    from graphkit.core.errors import unknown

    if problem not in ("clique", "independent-set"):
        raise unknown("problem", problem, ["clique", "independent-set"])
    found = [name for name in files.names() if name.endswith((".clq", ".b", ".col", ".mis"))]
    if not found:
        raise DataError("expected graphs NAME.clq, .b, .col or .mis among the raw files, found none")
    made = [dimacs_graph(files.read(name), files.label(name)) for name in found]
    stems = [name.rsplit("/", 1)[-1].rsplit(".", 1)[0] for name in found]
    optima = [_optimum(stem, problem) for stem in stems]
    counts = np.array([n for n, _ in made], dtype=np.int64)
    ends = np.concatenate([edges + shift for (_, edges), shift in zip(made, np.cumsum(counts) - counts, strict=True)])
    src, dst, fields, report = tidy(ends[:, 0], ends[:, 1], int(counts.sum()))
    collated = Collated.from_edges(
        src,
        dst,
        torch.from_numpy(counts),
        {"feat": torch.ones(int(counts.sum()), 1)},
        fields,
        {"optimum": torch.tensor(optima, dtype=torch.int64)},
    )
    return Raw(collated, {}, {"instance": stems}, report)


def _optimum(stem: str, problem: str) -> int:
    if problem == "clique":
        return CLIQUES.get(stem, -1)
    number = re.search(r"\d+", stem)
    return int(number.group()) if number and stem.startswith("frb") else -1


@register("dimacs-cnf", kind="reader", level="graph", title="SATLIB", keep=True)
def read_cnf(files: Files) -> Raw:
    """Read every ``.cnf`` among the files as a graph of literals and clauses.

    A formula of V variables and M clauses has 2V + M nodes: the literals x1, not x1, x2, not x2, ..., then the clauses.
    Edges of relation 0 join a literal and a clause that holds it, of relation 1 the two literals of a variable.

    Parameters
    ----------
    files : Files
        DIMACS: ``p cnf VARIABLES CLAUSES``, then clauses that end in 0. What follows a line ``%`` is left out.

    Returns
    -------
    Raw
        ``feat`` one-hot (positive literal, negative literal, clause); edge field ``etype``; graph fields ``variables``
        and ``clauses``; ``names["instance"]``.

    Raises
    ------
    DataError
        Naming file and line: literals out of range, another number of clauses than promised.
    """
    found = [name for name in files.names() if name.endswith(".cnf")]
    if not found:
        raise DataError("expected formulas NAME.cnf among the raw files, found none")
    columns: dict[str, list] = {name: [] for name in ("src", "dst", "etype", "kind", "counts", "variables", "clauses")}
    first = 0
    for name in found:
        variables, clauses = cnf(files.read(name), files.label(name))
        literals = np.array([2 * (abs(x) - 1) + (x < 0) for clause in clauses for x in clause], dtype=np.int64)
        owner = np.repeat(np.arange(len(clauses)), [len(clause) for clause in clauses]) + 2 * variables
        pairs = 2 * np.arange(variables)
        columns["src"] += [literals + first, pairs + first]
        columns["dst"] += [owner + first, pairs + 1 + first]
        columns["etype"] += [np.zeros(len(literals), np.int64), np.ones(variables, np.int64)]
        columns["kind"] += [np.tile([0, 1], variables), np.full(len(clauses), 2)]
        columns["counts"].append(2 * variables + len(clauses))
        columns["variables"].append(variables)
        columns["clauses"].append(len(clauses))
        first += 2 * variables + len(clauses)
    joined = {name: np.concatenate(columns[name]).astype(np.int64) for name in ("src", "dst", "etype", "kind")}
    src, dst, fields, report = tidy(joined["src"], joined["dst"], first, {"etype": joined["etype"]})
    facts = {name: torch.tensor(columns[name], dtype=torch.int64) for name in ("variables", "clauses")}
    node_fields = {"feat": one_hot(torch.from_numpy(joined["kind"]), 3)}
    counts = torch.tensor(columns["counts"], dtype=torch.int64)
    collated = Collated.from_edges(src, dst, counts, node_fields, fields, facts)
    names = {"relation": ["in clause", "negation"], "instance": [name.rsplit(".", 1)[0] for name in found]}
    return Raw(collated, {}, names, report)


def cnf(data: bytes, label: str) -> tuple[int, list[list[int]]]:
    r"""Read a formula in DIMACS form; clauses may run over several lines.

    Returns
    -------
    variables : int
    clauses : list of list of int
        Literals, negative where negated.

    Raises
    ------
    DataError
        Naming file and line.

    Examples
    --------
    >>> cnf(b"p cnf 2 2\n1 -2 0\n 2 0\n", "a.cnf")
    (2, [[1, -2], [2]])
    """
    head: list[int] = []
    clauses: list[list[int]] = []
    open_clause: list[int] = []
    for number, line in tables.lines(data):
        cells, where = line.split(), f"{label}, line {number}"
        if cells[0] == "%":
            break
        if cells[0] == "c":
            continue
        if cells[0] == "p" and len(cells) == 4 and not head:
            head = whole(cells[2:], where)
            continue
        if not head:
            raise DataError(f"{where}: {line[:60]!r} comes before the line 'p cnf VARIABLES CLAUSES'")
        for literal in whole(cells, where):
            if abs(literal) > head[0]:
                raise DataError(f"{where}: literal {literal}; expected variables from 1 to {head[0]}")
            if literal:
                open_clause.append(literal)
            else:
                clauses.append(open_clause)
                open_clause = []
    if not head or open_clause or len(clauses) != head[1]:
        promised = head[1] if head else "no"
        raise DataError(f"{label} holds {len(clauses)} clauses where {promised} were promised; it may be truncated")
    return head[0], clauses
