"""Linear and mixed-integer programs in MPS files, as graphs of variables and constraints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot, tidy
from graphkit.data.store import Files

#: Optimal values that Netlib and MIPLIB publish or HiGHS finds, objective constants included.
OPTIMA = {
    "afiro": -464.7531, "adlittle": 225494.96, "israel": -896644.82, "25fv47": 5501.8459, "etamacro": -755.7152,
    "stair": -251.267, "scrs8": 904.297, "shell": 1208825346.0, "standata": 1257.6995, "bell5": 8966406.49,
    "flugpl": 1201500.0, "egout": 568.1007, "gt2": 21166.0, "lseu": 1120.0, "p0548": 8691.0, "rgn": 82.2,
    "dcmulti": 188182.0, "gesa2": 25779856.37, "sp150x300d": 69.0, "p01": 263.0, "e226": -11.6389,
}  # fmt: skip
#: Programs without a solution, by design.
INFEASIBLE = ("bgetam", "ex72a", "forest6", "galenet", "klein1", "vol1", "woodinfe")
SECTIONS = ("NAME", "ROWS", "COLUMNS", "RHS", "RANGES", "BOUNDS", "ENDATA", "OBJSENSE")


@dataclass
class Program:
    """Minimise ``cost . x + offset`` with ``row_lower <= A x <= row_upper`` and ``lower <= x <= upper``.

    Parameters
    ----------
    rows, columns : dict of str to int
        Numbers of constraints and variables by name.
    kinds : list of str
        ``E``, ``L`` or ``G`` of each constraint.
    entries : list of (int, int, float)
        Constraint, variable, coefficient.
    cost, lower, upper, integer : list
        Of each variable.
    rhs, ranges : dict
        By constraint.
    offset : float
    """

    rows: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    free_rows: list[str] = field(default_factory=list)
    columns: dict[str, int] = field(default_factory=dict)
    entries: list[tuple[int, int, float]] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float | None] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    rhs: dict[int, float] = field(default_factory=dict)
    ranges: dict[int, float] = field(default_factory=dict)
    offset: float = 0.0
    counting: bool = False

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what every constraint's value may be, float64 ``[M]`` each, infinite where free."""
        low, high = np.full(len(self.kinds), -np.inf), np.full(len(self.kinds), np.inf)
        for row, kind in enumerate(self.kinds):
            right, span = self.rhs.get(row, 0.0), self.ranges.get(row)
            low[row], high[row] = {"E": (right, right), "L": (-np.inf, right), "G": (right, np.inf)}[kind]
            if span is not None:
                if kind == "L" or (kind == "E" and span < 0):
                    low[row] = right - abs(span)
                else:
                    high[row] = right + abs(span)
        return low, high

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what every variable may be; an integer one without bounds of its own is 0 or 1."""
        upper = [
            1.0 if b is None and z else np.inf if b is None else b
            for b, z in zip(self.upper, self.integer, strict=True)
        ]
        return np.array(self.lower), np.array(upper)


def program(data: bytes, label: str) -> Program:
    r"""Read a program in MPS form, fixed or free, cells apart by blanks.

    Parameters
    ----------
    data : bytes
    label : str
        The file's name, for errors.

    Raises
    ------
    DataError
        Naming file and line: a section, row or column that nobody declared, a cell that is no number, no end.

    Examples
    --------
    >>> text = b"NAME a\nROWS\n N f\n L r\nCOLUMNS\n x f 1 r 2\nRHS\n b r 3\nENDATA\n"
    >>> made = program(text, "a.mps")
    >>> made.cost, made.entries, made.bounds()[1].tolist()
    ([1.0], [(0, 0, 2.0)], [3.0])
    """
    made, section = Program(), ""
    for number, line in tables.lines(data):
        if line.startswith("*"):
            continue
        cells, where = line.split(), f"{label}, line {number}"
        if not line[0].isspace():
            section = cells[0].upper()
            if section not in SECTIONS:
                raise DataError(f"{where}: {line[:60]!r} opens no section of MPS ({', '.join(SECTIONS)})")
            if section == "ENDATA":
                return made
            continue
        try:
            _READ[section](made, cells)
        except (KeyError, ValueError, IndexError):
            raise DataError(f"{where}: {line.strip()[:60]!r} is no line of the section {section or 'NAME'}") from None
    raise DataError(f"{label} has no line ENDATA; it may be truncated")


def _row(made: Program, cells: list[str]) -> None:
    kind, name = cells
    if name in made.rows or name in made.free_rows or kind.upper() not in "NELG":
        raise ValueError
    if kind.upper() == "N":
        made.free_rows.append(name)
    else:
        made.rows[name] = len(made.kinds)
        made.kinds.append(kind.upper())


def _pairs(cells: list[str]) -> list[tuple[str, float]]:
    return [(name, _number(value)) for name, value in zip(cells[::2], cells[1::2], strict=True)]


def _number(cell: str) -> float:
    value = float(cell)
    if not np.isfinite(value):
        raise ValueError
    return value


def _column(made: Program, cells: list[str]) -> None:
    if len(cells) == 3 and cells[1].strip("'") == "MARKER":
        made.counting = {"INTORG": True, "INTEND": False}[cells[2].strip("'")]
        return
    name, rest = cells[0], _pairs(cells[1:])
    if name not in made.columns:
        made.columns[name] = len(made.cost)
        made.cost.append(0.0)
        made.lower.append(0.0)
        made.upper.append(None)
        made.integer.append(made.counting)
    column = made.columns[name]
    for row, value in rest:
        if row in made.free_rows:
            made.cost[column] += value if row == made.free_rows[0] else 0.0
        else:
            made.entries.append((made.rows[row], column, value))


def _right(made: Program, cells: list[str]) -> None:
    for row, value in _pairs(cells[len(cells) % 2 :]):
        if row not in made.free_rows:
            made.rhs[made.rows[row]] = value
        elif row == made.free_rows[0]:
            made.offset = -value


def _range(made: Program, cells: list[str]) -> None:
    for row, value in _pairs(cells[len(cells) % 2 :]):
        made.ranges[made.rows[row]] = value


def _bound(made: Program, cells: list[str]) -> None:
    kind = cells[0].upper()
    valued = kind in ("UP", "LO", "FX", "UI", "LI")
    column = made.columns[cells[-2] if valued else cells[min(2, len(cells) - 1)]]
    value = _number(cells[-1]) if valued else 0.0
    if kind in ("UP", "UI"):
        made.upper[column] = value
        if value < 0 and made.lower[column] == 0:  # the custom of solvers: a negative upper bound alone frees below
            made.lower[column] = -np.inf
    elif kind in ("LO", "LI"):
        made.lower[column] = value
        made.upper[column] = (
            made.upper[column] if made.upper[column] is not None or not made.integer[column] else np.inf
        )
    elif kind == "FX":
        made.lower[column] = made.upper[column] = value
    elif kind == "BV":
        made.lower[column], made.upper[column] = 0.0, 1.0
    else:
        low, high = {"FR": (-np.inf, np.inf), "MI": (-np.inf, made.upper[column]), "PL": (made.lower[column], np.inf)}[
            kind
        ]
        made.lower[column], made.upper[column] = low, high
    if kind in ("UI", "LI", "BV"):
        made.integer[column] = True


def _nothing(made: Program, cells: list[str]) -> None:
    if cells[0].upper() not in ("MIN", "MINIMIZE"):
        raise ValueError


_READ = {"ROWS": _row, "COLUMNS": _column, "RHS": _right, "RANGES": _range, "BOUNDS": _bound, "OBJSENSE": _nothing}


@register("mps", kind="reader", level="graph", title="MPS: the format of Netlib and MIPLIB", keep=True)
def read_mps(files: Files) -> Raw:
    """Read every ``.mps`` among the files: N variables and M constraints are N + M nodes, coefficients are edges.

    Parameters
    ----------
    files : Files

    Returns
    -------
    Raw
        ``feat`` one-hot (continuous variable, integer variable, equality, at most, at least); node fields ``cost``,
        ``lower`` and ``upper`` (of a variable's value or of a constraint's, infinite where free), float64; edge fields
        ``coefficient`` (float64) and ``weight`` (the same in float32); graph fields ``variables``, ``constraints``,
        ``offset``, ``optimum`` (float64, NaN where it is not known or there is none) and ``infeasible``;
        ``names["instance"]``.

    Raises
    ------
    DataError
        Naming file and line.
    """
    found = [name for name in files.names() if name.endswith(".mps")]
    if not found:
        raise DataError("expected programs NAME.mps among the raw files, found none")
    made = [program(files.read(name), files.label(name)) for name in found]
    stems = [name.rsplit("/", 1)[-1].removesuffix(".mps") for name in found]
    counts = np.array([len(p.cost) + len(p.kinds) for p in made], dtype=np.int64)
    ends, weight = [], []
    fields: dict[str, list[np.ndarray]] = {"kind": [], "cost": [], "lower": [], "upper": []}
    for one, shift in zip(made, np.cumsum(counts) - counts, strict=True):
        entries = np.array(one.entries, dtype=np.float64).reshape(-1, 3)
        rows, columns = entries[:, 0].astype(np.int64), entries[:, 1].astype(np.int64)
        ends.append(np.stack([columns, rows + len(one.cost)]) + shift)
        weight.append(entries[:, 2])
        (low, high), (row_low, row_high) = one.box(), one.bounds()
        kinds = [*map(int, one.integer), *(2 + "ELG".index(kind) for kind in one.kinds)]
        fields["kind"].append(np.array(kinds, dtype=np.int64))
        fields["cost"].append(np.concatenate([one.cost, np.zeros(len(one.kinds))]))
        fields["lower"].append(np.concatenate([low, row_low]))
        fields["upper"].append(np.concatenate([high, row_high]))
    joined = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in fields.items()}
    pairs = np.concatenate(ends, axis=1)
    values = torch.from_numpy(np.concatenate(weight))
    src, dst, edge_fields, report = tidy(pairs[0], pairs[1], int(counts.sum()), {"entry": torch.arange(len(values))})
    # Fields of floats come back in float32, in which flugpl has no solution.
    edge_fields["coefficient"] = values[edge_fields.pop("entry")]
    edge_fields["weight"] = edge_fields["coefficient"].float()
    node_fields = {"feat": one_hot(joined.pop("kind"), 5), **joined}
    facts = {
        "variables": torch.tensor([len(p.cost) for p in made]),
        "constraints": torch.tensor([len(p.kinds) for p in made]),
        "offset": torch.tensor([p.offset for p in made], dtype=torch.float64),
        "optimum": torch.tensor([OPTIMA.get(stem, float("nan")) for stem in stems], dtype=torch.float64),
        "infeasible": torch.tensor([stem in INFEASIBLE for stem in stems]),
    }
    collated = Collated.from_edges(src, dst, torch.from_numpy(counts), node_fields, edge_fields, facts)
    return Raw(collated, {}, {"instance": stems}, report)


@register("extremal-table", kind="reader", level="graph", title="Extremal graphs of girth at least 5 (OEIS A006856)")
def read_extremal_table(files: Files) -> Raw:
    """Read a table of n and ex(n), the most edges that a graph of n nodes can have without triangles and 4-cycles.

    Each row is an instance: n nodes without edges, on which a solver is to place as many as it can.

    Parameters
    ----------
    files : Files
        One CSV of a header and two whole numbers a line.

    Returns
    -------
    Raw
        ``feat`` of ones; graph field ``optimum`` int64; ``names["instance"]``.

    Raises
    ------
    DataError
        Naming file and line: a cell that is no whole number, fewer than one node, a number of nodes that repeats, a
        value above the bound n sqrt(n - 1) / 2.
    """
    found = [name for name in files.names() if name.endswith(".csv")]
    if len(found) != 1:
        raise DataError(f"expected one CSV file among the raw files, found {len(found)}")
    label = files.label(found[0])
    header, body = tables.headed(files.read(found[0]), label, ["n"], delimiter=",")
    rows = tables.integers(body, label, columns=len(header))
    n, best = rows[:, header.index("n")], rows[:, 1 - header.index("n")]
    again = np.setdiff1d(np.arange(len(n)), np.unique(n, return_index=True)[1])
    beyond = np.flatnonzero((n < 1) | (best < 0) | (best > n * np.sqrt(np.maximum(n - 1, 0)) / 2 + 1e-9))
    for wrong, story in ((again, "this number of nodes repeats"), (beyond, "no such graph can exist")):
        if len(wrong):
            raise tables.complain_row(body, label, int(wrong[0]), f"n={n[wrong[0]]}, {best[wrong[0]]} edges: {story}")
    none = torch.empty(0, dtype=torch.int64)
    counts = torch.from_numpy(n.copy())
    facts = {"optimum": torch.from_numpy(best.copy())}
    edges = {"reverse_id": none.clone()}
    collated = Collated.from_edges(none, none, counts, {"feat": torch.ones(int(n.sum()), 1)}, edges, facts)
    return Raw(collated, {}, {"instance": [f"n={value}" for value in n.tolist()]}, {})
