"""Series on the nodes of a graph as PyTorch Geometric Temporal publishes them: one JSON file a dataset."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data.raw import Raw
from graphkit.data.readers.series import finite, series_raw
from graphkit.data.store import Files

PYGT = "PyTorch Geometric Temporal: Spatiotemporal Signal Processing with Neural Machine Learning Models"


@register("pygt-json", kind="reader", level="forecast", title=PYGT, arxiv="2104.07788", keep=True)
def read_pygt(files: Files) -> Raw:
    """Read a JSON file of PyTorch Geometric Temporal.

    Four forms: ``edges`` with ``FX`` or ``X`` (and ``weights``, ``node_ids``); ``edge_mapping`` by day with ``y``; a
    networkx node-link document whose nodes hold ``y``; snapshots ``"0"``, ``"1"``, ... with ``edges``, ``weights``,
    ``X`` and ``y``.

    Parameters
    ----------
    files : Files
        One ``.json`` file.

    Returns
    -------
    Raw
        Graph field ``series`` ``[1, T, N, F]``; edge fields ``weight`` and, where the graph changes, ``time`` (the
        step, edges in time order); ``names["node"]`` where nodes have names, ``names["series"]`` for the F columns.

    Raises
    ------
    DataError
        If it is not JSON or lacks a part.
    """
    found = [name for name in files.names() if name.endswith(".json")]
    if len(found) != 1:
        raise DataError(f"expected one .json file among the raw files, found {len(found)}")
    label = files.label(found[0])
    try:
        held = json.loads(files.read(found[0]))
    except ValueError as error:
        raise DataError(f"{label} is truncated or not JSON ({error})") from error
    if not isinstance(held, dict):
        raise DataError(f"{label} holds a {type(held).__name__}; expected an object")
    for key, form in (("edge_mapping", _daily), ("links", _node_link), ("edges", _static), ("0", _snapshots)):
        if key in held:
            try:
                return form(held, label)
            except (KeyError, TypeError, AttributeError, IndexError) as error:
                raise DataError(f"{label} lacks a part of its form ({type(error).__name__}: {error})") from error
    raise DataError(
        f"{label} has the parts {', '.join(list(held)[:6])}; expected edges, edge_mapping, links or snapshots"
    )


def _static(held: dict, label: str) -> Raw:
    values = held["FX"] if "FX" in held else held["X"]
    count = len(values[0])
    names = {}
    if "node_ids" in held:
        names["node"] = sorted(held["node_ids"], key=lambda name: held["node_ids"][name])
    return series_raw(held["edges"], count, label, held.get("weights"), values, names=names)


def _daily(held: dict, label: str) -> Raw:
    index, weights = held["edge_mapping"]["edge_index"], held["edge_mapping"]["edge_weight"]
    days = sorted(index, key=int)
    if [int(day) for day in days] != list(range(len(held["y"]))):
        raise DataError(f"{label} has edges of {len(days)} days and values of {len(held['y'])}; expected the same days")
    return _changing([index[day] for day in days], [weights[day] for day in days], held["y"], label)


def _snapshots(held: dict, label: str) -> Raw:
    steps = [held[key] for key in sorted((key for key in held if key.isdigit()), key=int)]
    if len(steps) != held.get("time_periods", len(steps)):
        raise DataError(f"{label} has {len(steps)} snapshots where {held['time_periods']} were expected")
    inputs = finite([step["X"] for step in steps], label, "inputs")
    wanted = finite([step["y"] for step in steps], label, "targets")
    values = np.concatenate([inputs, wanted[:, :, None]], axis=2)
    columns = [*(f"X{i}" for i in range(inputs.shape[2])), "y"]
    raw = _changing([step["edges"] for step in steps], [step["weights"] for step in steps], values, label)
    raw.names["series"] = columns
    return raw


def _changing(edges: list, weights: list, values: Any, label: str) -> Raw:
    """Put the edges of all steps one after the other, each with the step as its time."""
    for step, (pairs, given) in enumerate(zip(edges, weights, strict=True)):
        if len(pairs) != len(given):
            raise DataError(f"{label}: step {step} has {len(given)} weights for {len(pairs)} edges")
    time = np.repeat(np.arange(len(edges)), [len(pairs) for pairs in edges])
    flat = np.concatenate([np.asarray(pairs, dtype=np.int64).reshape(-1, 2) for pairs in edges])
    weight = np.concatenate([np.asarray(given, dtype=np.float32) for given in weights])
    return series_raw(flat, len(values[0]), label, weight, values, time)


def _node_link(held: dict, label: str) -> Raw:
    nodes = held["nodes"]
    ids = [node["id"] if "id" in node else node["bus_stop"] for node in nodes]
    place = {name: i for i, name in enumerate(ids)}
    if len(place) != len(ids):
        raise DataError(f"{label} names a node twice")
    for link in held["links"]:
        for end in (link["source"], link["target"]):
            if end not in place:
                raise DataError(f"{label} has a link with {end!r}, which is no node")
    edges = np.array([(place[link["source"]], place[link["target"]]) for link in held["links"]])
    lengths = {len(node["y"]) for node in nodes}
    if len(lengths) != 1:
        raise DataError(f"{label} has values of {len(lengths)} different lengths; expected one")
    position = np.array([(node["lon"], node["lat"]) for node in nodes], dtype=np.float32)
    weight = np.array([link["weight"] for link in held["links"]])
    values = np.array([node["y"] for node in nodes]).T
    return series_raw(edges, len(ids), label, weight, values, None, {"pos": position}, {"node": [str(i) for i in ids]})
