"""Networks in ONNX files as graphs of operators, read from protobuf's wire format without any package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, integer_codes, one_hot, tidy
from graphkit.data.store import Files

#: Numbers of the fields of ONNX's messages that are read.
GRAPH, NODE, INPUT, OUTPUT, OPERATOR = 7, 1, 1, 2, 4
INITIALIZER, DIMS, TENSOR_NAME = 5, 1, 8


@dataclass
class Operator:
    """One operator of a network: its type, and the names of the values that it takes and gives."""

    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number is cut short or too long")
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and content of each length-delimited field of a protobuf message, skipping all others.

    Raises
    ------
    ValueError
        If the message ends inside a field, or is no message.

    >>> [(number, bytes(content)) for number, content in fields(memoryview(bytes([8, 1, 18, 2, 97, 98])))]
    [(2, b'ab')]
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            _, at = _varint(data, at)
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(data) or number == 0:
            raise ValueError(f"a field at byte {at} is longer than its message")
        if wire == 2:
            yield number, data[at : at + size]
        at += size


def operators(data: bytes, label: str) -> list[Operator]:
    """Read the operators of the one graph in an ONNX model, in the file's order.

    Raises
    ------
    DataError
        If it is no protobuf message, is cut short, or holds no operator.

    Examples
    --------
    >>> node = bytes([10, 1, 97, 18, 1, 98, 34, 4]) + b"Relu"
    >>> graph = bytes([10, len(node)]) + node
    >>> operators(bytes([58, len(graph)]) + graph, "a.onnx")
    [Operator(kind='Relu', inputs=['a'], outputs=['b'])]
    """
    made: list[Operator] = []
    try:
        for number, graph in fields(memoryview(data)):
            for part, node in fields(graph) if number == GRAPH else ():
                if part != NODE:
                    continue
                one = Operator()
                for what, content in fields(node):
                    if what in (INPUT, OUTPUT):
                        (one.inputs if what == INPUT else one.outputs).append(bytes(content).decode())
                    elif what == OPERATOR:
                        one.kind = bytes(content).decode()
                made.append(one)
    except ValueError as error:  # of decode, too
        raise DataError(f"{label} is truncated or not an ONNX model ({error})") from error
    if not made or not all(one.kind and one.outputs for one in made):
        raise DataError(f"{label} holds no graph of operators; it may be truncated or not an ONNX model")
    return made


def initializers(data: bytes) -> dict[str, int]:
    """Count the numbers of each initialiser, a trained weight, of an ONNX model that :func:`operators` has read.

    Examples
    --------
    >>> tensor = bytes([8, 2, 8, 3, 66, 1, 119])  # 2 x 3 numbers called w
    >>> graph = bytes([42, len(tensor)]) + tensor
    >>> initializers(bytes([58, len(graph)]) + graph)
    {'w': 6}
    """
    made: dict[str, int] = {}
    for number, graph in fields(memoryview(data)):
        for part, tensor in fields(graph) if number == GRAPH else ():
            if part == INITIALIZER:
                name = next((bytes(content).decode() for what, content in fields(tensor) if what == TENSOR_NAME), "")
                made[name] = int(np.prod(_dims(tensor), dtype=np.int64))
    return made


def _dims(tensor: memoryview) -> list[int]:
    """Return the sizes of a tensor: numbers of field 1, one by one or packed."""
    at, found = 0, []
    while at < len(tensor):
        key, at = _varint(tensor, at)
        if key & 7 == 0:
            value, at = _varint(tensor, at)
            found += [value] if key >> 3 == DIMS else []
            continue
        size = {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 == 2:
            size, at = _varint(tensor, at)
            end = at + size
            while key >> 3 == DIMS and at < end:
                value, at = _varint(tensor, at)
                found.append(value)
            at, size = end, 0
        at += size
    return found


def _flow(nodes: list[Operator], label: str) -> np.ndarray:
    """Return which operator feeds which, int64 ``[E, 2]``."""
    giver: dict[str, int] = {}
    for i, one in enumerate(nodes):
        for name in filter(None, one.outputs):
            if name in giver:
                raise DataError(f"{label}, operator {i} ({one.kind}): the value {name[:60]!r} is given twice")
            giver[name] = i
    ends = [(giver[name], i) for i, one in enumerate(nodes) for name in one.inputs if name in giver]
    for u, v in ends:
        if u >= v:
            raise DataError(f"{label}, operator {v} ({nodes[v].kind}) takes a value that a later operator gives")
    return np.array(ends, dtype=np.int64).reshape(-1, 2)


@register("onnx", kind="reader", level="graph", title="Open Neural Network Exchange", keep=True)
def read_onnx(files: Files, *, drop: Sequence[str] = ("Constant", "ConstantOfShape")) -> Raw:
    """Read every ``.onnx`` among the files: operators are nodes, and edges run as data flows.

    Nothing of a model is executed: only the names of operators and values are read.

    Parameters
    ----------
    files : Files
    drop : sequence of str
        Types of operators that are no part of the architecture.

    Returns
    -------
    Raw
        ``feat`` one-hot types of operators over all files (``names["operation"]``); graph field ``operators``, how many
        there were before some were dropped; ``names["instance"]``.

    Raises
    ------
    DataError
        If a file is truncated or no model, or its operators are not in the order of their use.
    """
    found = [name for name in files.names() if name.endswith(".onnx")]
    if not found:
        raise DataError("expected models NAME.onnx among the raw files, found none")
    ends, kinds = [], []
    counts: list[int] = []
    before: list[int] = []
    for name in found:
        every = operators(files.read(name), files.label(name))
        kept = [one for one in every if one.kind not in drop]
        ends.append(_flow(kept, files.label(name)) + sum(counts))
        kinds += [one.kind for one in kept]
        counts.append(len(kept))
        before.append(len(every))
    codes, operations = integer_codes(np.array(kinds))
    pairs = np.concatenate(ends)
    src, dst, edge_fields, report = tidy(pairs[:, 0], pairs[:, 1], sum(counts), directed=True)
    collated = Collated.from_edges(
        src,
        dst,
        torch.tensor(counts),
        {"feat": one_hot(codes, len(operations))},
        edge_fields,
        {"operators": torch.tensor(before)},
    )
    stems = [name.rsplit("/", 1)[-1].removesuffix(".onnx") for name in found]
    return Raw(collated, {}, {"operation": operations, "instance": stems}, report, undirected=False)
