"""Nodes that are pictures: their pixels, as little images to draw in place of dots."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphkit.explain.explanation import Explanation


def image_shape(names: list[str]) -> tuple[int, int] | None:
    """Return height and width where features are the pixels of a picture, row by row: ``row 1, column 1``, ...

    Parameters
    ----------
    names : list of str
        Of all features.

    Examples
    --------
    >>> image_shape(["row 1, column 1", "row 1, column 2"]), image_shape(["age", "height"])
    ((1, 2), None)
    """
    last = re.fullmatch(r"row (\d+), column (\d+)", names[-1]) if names else None
    if last is None:
        return None
    height, width = int(last[1]), int(last[2])
    whole = [f"row {i + 1}, column {j + 1}" for i in range(height) for j in range(width)]
    return (height, width) if names == whole else None


def images_of(explanation: Explanation, nodes: list[int]) -> np.ndarray | None:
    """Return the pictures that nodes are.

    Parameters
    ----------
    explanation : Explanation
    nodes : list of int
        Positions in ``explanation.nodes``.

    Returns
    -------
    ndarray or None
        Ink from 0 (none) to 1, float64 ``[nodes, height, width]``; None where nodes are no pictures, or the
        explanation was loaded without its graph.
    """
    shape = image_shape(explanation.names.features)
    graph = explanation.graph
    if shape is None or graph is None or explanation.target.kind == "graph" or "feat" not in graph.ndata:
        return None
    feat = graph.ndata["feat"]
    if feat.dim() != 2 or feat.shape[1] != shape[0] * shape[1]:
        return None
    chosen = feat[explanation.nodes[nodes]].detach().cpu().double().numpy().reshape(-1, *shape)
    low, high = (float(chosen.min()), float(chosen.max())) if chosen.size else (0.0, 1.0)
    return (chosen - low) / max(high - low, 1e-12)


def png(ink: np.ndarray) -> str:
    """Return a grey picture as a ``data:`` address, ink dark on white.

    Parameters
    ----------
    ink : ndarray
        0 to 1, ``[height, width]``.

    Examples
    --------
    >>> png(np.zeros((2, 2)))[:22]
    'data:image/png;base64,'
    """
    grey = np.round(255 * (1 - np.clip(ink, 0, 1))).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in grey)  # each row begins with its filter, none
    head = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 0)
    parts = (_part(b"IHDR", head), _part(b"IDAT", zlib.compress(rows, 9)), _part(b"IEND", b""))
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def _part(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
