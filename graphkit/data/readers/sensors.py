"""Traffic sensors: the pickled graphs of DCRNN, the tables of T-GCN."""

from __future__ import annotations

import numpy as np

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables, unpickle
from graphkit.data.raw import Raw
from graphkit.data.readers.hdf import table_of_hdf
from graphkit.data.readers.series import edges_of_matrix, series_raw, table_of_series
from graphkit.data.store import Files


@register(
    "dcrnn",
    kind="reader",
    level="link forecast",
    title="Diffusion Convolutional Recurrent Neural Network: Data-Driven Traffic Forecasting",
    arxiv="1707.01926",
)
def read_dcrnn(files: Files) -> Raw:
    """Read DCRNN's pickled sensor graph (ids, place of each id, float32 kernel) and the sensors' positions.

    Parameters
    ----------
    files : Files
        ``adj_*.pkl``; ``graph_sensor_locations*.csv`` (with a header or without); and, for the task ``forecast``, the
        published ``.h5`` of speeds (which takes h5py) or ``speed.csv``: a header of sensor ids and one line a step.

    Returns
    -------
    Raw
        Edge field ``weight``, the diagonal's ones as self-loops; node field ``pos`` (latitude, longitude);
        ``names["node"]``; graph field ``series`` if there are speeds.

    Raises
    ------
    DataError
        If the pickle has another form, a sensor no position, or there are two files of speeds.
    MissingExtraError
        If there is an ``.h5``, but not h5py.
    """
    found = [name for name in files.names() if name.startswith("adj_") and name.endswith(".pkl")]
    if len(found) != 1:
        raise DataError(f"expected one file adj_*.pkl among the raw files, found {len(found)}")
    label = files.label(found[0])
    held = unpickle.loads(files.read(found[0]), label)
    if not isinstance(held, list | tuple) or len(held) != 3 or not isinstance(held[2], np.ndarray):
        raise DataError(f"{label}: expected a list of sensor ids, the place of each, and a matrix")
    ids = [str(name) for name in held[0]]
    edges, weight = edges_of_matrix(held[2], label)
    if len(ids) != len(held[2]):
        raise DataError(f"{label} has {len(ids)} sensor ids and a matrix of {len(held[2])} rows")
    where = [name for name in files.names() if name.startswith("graph_sensor_locations")]
    fields = {"pos": _positions(files, where[0], ids)} if where else {}
    speeds = [name for name in files.names() if name == "speed.csv" or name.endswith(".h5")]
    if len(speeds) > 1:
        raise DataError(f"expected speeds in one file among the raw files, found {', '.join(speeds)}")
    series = None
    if speeds:
        series = (table_of_hdf if speeds[0].endswith(".h5") else table_of_series)(files, speeds[0], ids)
    return series_raw(edges, len(ids), label, weight, series, None, fields, {"node": ids})


def _positions(files: Files, name: str, ids: list[str]) -> np.ndarray:
    rows = {}
    for number, line in tables.lines(files.read(name)):
        cells = line.split(",")
        if number == 1 and "sensor_id" in cells:
            continue
        try:
            sensor, latitude, longitude = cells[-3:]
            rows[sensor] = float(latitude), float(longitude)
        except ValueError:
            raise DataError(
                f"{files.label(name)}, line {number}: {line[:60]!r} is not a sensor, latitude and longitude"
            ) from None
    missing = [sensor for sensor in ids if sensor not in rows]
    if missing:
        raise DataError(f"{files.label(name)} has no position of sensor {missing[0]}")
    return np.array([rows[sensor] for sensor in ids], dtype=np.float32)


@register(
    "tgcn",
    kind="reader",
    level="forecast",
    title="T-GCN: A Temporal Graph Convolutional Network for Traffic Prediction",
    arxiv="1811.05320",
    keep=True,
)
def read_tgcn(files: Files) -> Raw:
    """Read T-GCN's two tables: ``*_adj.csv`` (a square matrix) and ``*_speed.csv`` (a header of ids, a line a step).

    Parameters
    ----------
    files : Files

    Returns
    -------
    Raw
        Edge field ``weight``, the diagonal as self-loops; graph field ``series``; ``names["node"]``.

    Raises
    ------
    DataError
        Naming file and line.
    """
    found = {end: [name for name in files.names() if name.endswith(end)] for end in ("_adj.csv", "_speed.csv")}
    for end, have in found.items():
        if len(have) != 1:
            raise DataError(f"expected one file *{end} among the raw files, found {len(have)}")
    adjacency, speed = found["_adj.csv"][0], found["_speed.csv"][0]
    edges, weight = edges_of_matrix(
        tables.numbers(files.read(adjacency), files.label(adjacency)), files.label(adjacency)
    )
    values = table_of_series(files, speed, None)
    ids, _ = tables.headed(files.read(speed), files.label(speed), (), ",")
    return series_raw(edges, len(ids), files.label(adjacency), weight, values, names={"node": ids})
