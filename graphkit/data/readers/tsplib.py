"""Symmetric travelling salesman instances of TSPLIB, as complete graphs with distances."""

from __future__ import annotations

import re

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw
from graphkit.data.store import Files

SECTIONS = ("NODE_COORD_SECTION", "EDGE_WEIGHT_SECTION", "DISPLAY_DATA_SECTION")


def euclidean(points: np.ndarray) -> np.ndarray:
    """Return rounded Euclidean distances, int64 ``[n, n]`` (EUC_2D).

    >>> euclidean(np.array([[0.0, 0.0], [3.0, 4.4]])).tolist()
    [[0, 5], [5, 0]]
    """
    return np.floor(_plain(points) + 0.5).astype(np.int64)


def pseudo_euclidean(points: np.ndarray) -> np.ndarray:
    """Return TSPLIB's pseudo-Euclidean distances (ATT): by the root of 10, rounded up where rounding is down.

    >>> pseudo_euclidean(np.array([[0.0, 0.0], [10.0, 0.0]])).tolist()
    [[0, 4], [4, 0]]
    """
    exact = _plain(points) / np.sqrt(10.0)
    near = np.floor(exact + 0.5)
    return (near + (near < exact)).astype(np.int64)


def geographical(points: np.ndarray) -> np.ndarray:
    """Return TSPLIB's distances in km on a sphere (GEO), from latitude and longitude as DDD.MM.

    >>> geographical(np.array([[0.0, 0.0], [0.0, 90.0]]))[0].tolist()
    [0, 10020]
    """
    degrees = np.trunc(points)
    latitude, longitude = (3.141592 * (degrees + 5.0 * (points - degrees) / 3.0) / 180.0).T
    q1 = np.cos(longitude[:, None] - longitude)
    q2, q3 = np.cos(latitude[:, None] - latitude), np.cos(latitude[:, None] + latitude)
    inner = 0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3)
    made = np.trunc(6378.388 * np.arccos(np.clip(inner, -1.0, 1.0)) + 1.0).astype(np.int64)
    np.fill_diagonal(made, 0)
    return made


def _plain(points: np.ndarray) -> np.ndarray:
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))


RULES = {"EUC_2D": euclidean, "ATT": pseudo_euclidean, "GEO": geographical}


def distances(data: bytes, label: str) -> tuple[str, np.ndarray, np.ndarray | None]:
    """Read one instance.

    Parameters
    ----------
    data : bytes
    label : str
        The file's name, for errors.

    Returns
    -------
    name : str
    matrix : ndarray
        int64 ``[n, n]``, symmetric, rounded by the rule of the instance's type.
    points : ndarray or None
        float64 ``[n, 2]``, to compute with or to draw.

    Raises
    ------
    DataError
        Naming file and line: an unknown type, a section that is missing or too short, a cell that is no number.
    """
    facts, sections = _parse(data, label)
    if not facts.get("DIMENSION", "").isdigit():
        raise DataError(f"{label} has no DIMENSION")
    n, kind = int(facts["DIMENSION"]), facts.get("EDGE_WEIGHT_TYPE", "")
    points = next((_points(sections[s], n, label) for s in (SECTIONS[0], SECTIONS[2]) if s in sections), None)
    if kind == "EXPLICIT":
        matrix = _matrix(sections.get("EDGE_WEIGHT_SECTION", []), n, facts.get("EDGE_WEIGHT_FORMAT", ""), label)
    elif kind in RULES and points is not None:
        matrix = RULES[kind](points)
    else:
        raise DataError(f"{label}: distances of type {kind or '(none)'}; expected EXPLICIT, {', '.join(RULES)}")
    if (matrix != matrix.T).any():
        raise DataError(f"{label}: the distances are not symmetric")
    return facts.get("NAME", label), matrix, points


def _parse(data: bytes, label: str) -> tuple[dict[str, str], dict[str, list[float]]]:
    facts: dict[str, str] = {}
    sections: dict[str, list[float]] = {}
    current: list[float] | None = None
    pointed = False
    for number, line in tables.lines(data):
        word = re.split(r"[\s:]", line.strip(), maxsplit=1)[0]
        if word == "EOF":
            break
        if word in SECTIONS:
            current, pointed = sections.setdefault(word, []), word in (SECTIONS[0], SECTIONS[2])
        elif word[:1].isalpha():
            current = None
            facts[word] = line.partition(":")[2].strip()
        elif current is None:
            raise DataError(f"{label}, line {number}: {line[:60]!r} stands outside of a section")
        else:
            try:
                cells = [float(cell) for cell in line.split()]
            except ValueError:
                raise DataError(f"{label}, line {number}: expected numbers, got {line[:60]!r}") from None
            city = len(current) // 3 + 1
            if pointed and (len(cells) != 3 or cells[0] != city):
                raise DataError(f"{label}, line {number}: expected {city} and two coordinates, got {line[:60]!r}")
            current += cells
    return facts, sections


def _points(cells: list[float], n: int, label: str) -> np.ndarray:
    if len(cells) != 3 * n:
        raise DataError(f"{label} holds {len(cells)} cells of coordinates where {3 * n} were expected")
    return np.array(cells).reshape(n, 3)[:, 1:]


def _matrix(cells: list[float], n: int, form: str, label: str) -> np.ndarray:
    places = {
        "FULL_MATRIX": lambda: tuple(np.indices((n, n)).reshape(2, -1)),
        "UPPER_ROW": lambda: np.triu_indices(n, 1),
        "UPPER_DIAG_ROW": lambda: np.triu_indices(n),
        "LOWER_ROW": lambda: np.tril_indices(n, -1),
        "LOWER_DIAG_ROW": lambda: np.tril_indices(n),
    }
    if form not in places:
        raise DataError(f"{label}: matrix of form {form or '(none)'}; expected {', '.join(places)}")
    where = places[form]()
    if len(cells) != len(where[0]):
        raise DataError(
            f"{label} holds {len(cells)} distances where {len(where[0])} were expected; it may be truncated"
        )
    matrix = np.zeros((n, n), dtype=np.int64)
    matrix[where] = np.array(cells).astype(np.int64)
    return matrix if form == "FULL_MATRIX" else np.maximum(matrix, matrix.T)


@register("tsplib", kind="reader", level="graph", title="TSPLIB", keep=True)
def read_tsplib(files: Files) -> Raw:
    """Read every ``.tsp`` among the files as a complete graph, and optima from the file ``solutions``.

    Parameters
    ----------
    files : Files
        ``solutions`` (lines ``name : optimum``) may be missing.

    Returns
    -------
    Raw
        ``pos`` float32 ``[N, 2]`` (NaN where an instance has none); edge field ``weight`` float32, the rounded
        distance; graph field ``optimum`` (int64, -1 unknown); ``names["instance"]``. No city has an edge to itself.

    Raises
    ------
    DataError
        Naming file and line.
    """
    found = [name for name in files.names() if name.endswith(".tsp")]
    if not found:
        raise DataError("expected instances NAME.tsp among the raw files, found none")
    optima = _solutions(files)
    src, dst, twin, weight, pos, counts, names = [], [], [], [], [], [], []
    for name in found:
        _, matrix, points = distances(files.read(name), files.label(name))
        n = len(matrix)
        to, source = np.nonzero(~np.eye(n, dtype=bool))  # sorted by destination, then source
        place = np.zeros((n, n), dtype=np.int64)
        place[to, source] = np.arange(len(to))
        src.append(source)
        dst.append(to)
        twin.append(place[source, to])
        weight.append(matrix[to, source])
        pos.append(np.full((n, 2), np.nan) if points is None else points)
        counts.append(n)
        names.append(name.rsplit("/", 1)[-1].removesuffix(".tsp"))
    nodes = torch.tensor([0, *np.cumsum(counts).tolist()])
    edges = torch.tensor([0, *np.cumsum([len(ends) for ends in src]).tolist()])
    ends = [torch.from_numpy(np.concatenate(column)) for column in (src, dst, twin)]
    collated = Collated(
        nodes,
        edges,
        ends[0],
        ends[1],
        {"pos": torch.from_numpy(np.concatenate(pos).astype(np.float32))},
        {"reverse_id": ends[2], "weight": torch.from_numpy(np.concatenate(weight).astype(np.float32))},
        {"optimum": torch.tensor([optima.get(name, -1) for name in names], dtype=torch.int64)},
    )
    return Raw(collated, {}, {"instance": names}, {"with_optimum": sum(name in optima for name in names)})


def _solutions(files: Files) -> dict[str, int]:
    found = {}
    if files.has("solutions"):
        for number, line in tables.lines(files.read("solutions")):
            match = re.match(r"\s*(\S+)\s*:\s*(\d+)", line)
            if match is None:
                raise DataError(
                    f"{files.label('solutions')}, line {number}: expected 'name : optimum', got {line[:40]!r}"
                )
            found[match.group(1)] = int(match.group(2))
    return found
