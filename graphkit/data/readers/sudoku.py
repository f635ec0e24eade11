"""Sudokus as graphs of 81 cells, an edge where two cells must differ."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot, tidy
from graphkit.data.store import Files


def _constraints() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return both directions of the 810 pairs of cells in one row, column or box, and each edge's twin."""
    row, column = np.divmod(np.arange(81), 9)
    box = row // 3 * 3 + column // 3
    same = (row[:, None] == row) | (column[:, None] == column) | (box[:, None] == box)
    first, second = np.nonzero(np.triu(same, 1))
    src, dst, fields, _ = tidy(first, second, 81)
    return src, dst, fields["reverse_id"]


@register("sudoku", kind="reader", level="graph", title="Recurrent Relational Networks", arxiv="1711.08028")
def read_sudoku(files: Files, *, file: str = "") -> Raw:
    """Read puzzles of 81 characters (``.txt``, one a line) and tables of puzzles with solutions (``.csv``).

    Parameters
    ----------
    files : Files
        An empty cell is ``.`` or ``0``; a table has the columns ``quizzes`` and ``solutions``.
    file : str
        Read this one alone; by default all.

    Returns
    -------
    Raw
        ``feat`` one-hot float32 ``[N, 10]`` (0: empty); node fields ``given`` and ``digit`` (int64, the solution's
        digit from 1 to 9, -1 where no solution is known); graph fields ``clues`` and ``file`` (``names["file"]``).

    Raises
    ------
    DataError
        Naming file and line: another length, another character, a solution that contradicts its puzzle.
    """
    found = [name for name in files.names() if name.endswith((".txt", ".csv")) and file in ("", name)]
    if not found:
        raise DataError(f"expected puzzles {file or 'NAME.txt or NAME.csv'} among the raw files, found none")
    puzzles, solutions, owner = [], [], []
    for index, name in enumerate(found):
        for where, puzzle, solution in _rows(files, name):
            given = _digits(puzzle, where)
            digits = np.full(81, -1) if solution is None else _digits(solution, where)
            if solution is not None and not _solves(given, digits):
                raise DataError(f"{where}: the solution does not solve its puzzle")
            puzzles.append(given)
            solutions.append(digits)
            owner.append(index)
    given = np.stack(puzzles) if puzzles else np.empty((0, 81), np.int64)
    count = len(given)
    src, dst, twin = _constraints()
    codes = torch.from_numpy(given.reshape(-1))
    node_fields = {
        "feat": one_hot(codes, 10),
        "given": codes > 0,
        "digit": torch.from_numpy(np.concatenate(solutions).astype(np.int64)) if solutions else codes,
    }
    facts = {"clues": torch.from_numpy((given > 0).sum(axis=1)), "file": torch.tensor(owner, dtype=torch.int64)}
    offsets = torch.arange(count + 1)
    collated = Collated(
        offsets * 81,
        offsets * len(src),
        src.repeat(count),
        dst.repeat(count),
        node_fields,
        {"reverse_id": twin.repeat(count)},
        facts,
    )
    return Raw(collated, {}, {"file": found}, {"with_solution": sum(int(s[0]) > 0 for s in solutions)})


def _rows(files: Files, name: str):
    """Yield (where, puzzle, solution or None)."""
    label = files.label(name)
    if name.endswith(".txt"):
        for number, line in tables.lines(files.read(name)):
            yield f"{label}, line {number}", line.strip(), None
        return
    table = tables.frame(files.read(name).removeprefix(b"\xef\xbb\xbf"), label, ["quizzes", "solutions"])
    for line, puzzle, solution in zip(table.index, table["quizzes"], table["solutions"], strict=True):
        yield f"{label}, line {line}", puzzle.strip(), solution.strip()


def _digits(text: str, where: str) -> np.ndarray:
    if len(text) != 81 or not set(text) <= set(".0123456789"):
        raise DataError(f"{where}: expected 81 digits or dots, got {len(text)} characters: {text[:40]!r}")
    return np.array([0 if cell == "." else int(cell) for cell in text], dtype=np.int64)


def _solves(given: np.ndarray, digits: np.ndarray) -> bool:
    square = digits.reshape(9, 9)
    boxes = square.reshape(3, 3, 3, 3).transpose(0, 2, 1, 3).reshape(9, 9)
    full = all((np.sort(lines, axis=1) == np.arange(1, 10)).all() for lines in (square, square.T, boxes))
    return full and bool(((given == 0) | (given == digits)).all())
