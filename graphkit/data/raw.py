"""What a reader gives: graphs in collated form, published splits, names, and a report of what it mended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError, unknown
from graphkit.data.collated import Collated
from graphkit.graphs.build import undirect


@dataclass
class Raw:
    """The outcome of reading raw files.

    Parameters
    ----------
    collated : Collated
        Labels lie in ``node_fields["label"]`` or ``graph_fields["label"]``.
    splits : dict of str
        Published splits by name: a mapping of ``train``, ``val``, ``test`` to int64 ids (for triples, to edge ids), or
        a list of such mappings, one for each fold.
    names : dict of str to list of str
        Such as ``entity``, ``relation``, ``class``, ``smiles``, ``target``.
    report : dict
        What was mended, counted, such as ``{"self_loops_dropped": 3}``.
    undirected : bool
        Both directions of every edge are stored.
    """

    collated: Collated
    splits: dict[str, Any] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    undirected: bool = True


def tidy(
    src: np.ndarray | Tensor,
    dst: np.ndarray | Tensor,
    num_nodes: int,
    edge_fields: dict[str, Any] | None = None,
    drop_loops: bool = True,
    directed: bool = False,
) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, int]]:
    """Make edges simple, sorted by destination and (unless ``directed``) undirected, and count what that took.

    Parameters
    ----------
    src, dst : array of int
        ``[E]``, each undirected edge in one direction or both, perhaps repeatedly.
    num_nodes : int
    edge_fields : dict, optional
        ``[E, ...]``; the first appearance of an edge decides.
    drop_loops : bool
    directed : bool
        Keep the direction of edges, each ordered pair once, and add no reverse.

    Returns
    -------
    src, dst : Tensor
        int64, both directions of each undirected edge.
    edge_fields : dict of str to Tensor
        The given fields and, for undirected edges, ``reverse_id``.
    report : dict
        ``raw_edges``, ``self_loops`` and ``repeated_edges`` (directed entries beyond the first of their kind).

    Raises
    ------
    DataError
        If an id is out of range.

    Examples
    --------
    >>> src, dst, _, report = tidy(np.array([0, 1, 0, 2]), np.array([1, 0, 1, 2]), 3)
    >>> src.tolist(), report["self_loops"], report["repeated_edges"]
    ([1, 0], 1, 1)
    """
    src, dst = torch.as_tensor(src, dtype=torch.int64), torch.as_tensor(dst, dtype=torch.int64)
    for name, ids in (("source", src), ("destination", dst)):
        wrong = ((ids < 0) | (ids >= num_nodes)).nonzero()[:1, 0]
        if len(wrong):
            raise DataError(
                f"edge {int(wrong[0])} has {name} {int(ids[wrong[0]])}; expected ids from 0 to {num_nodes - 1}"
            )
    fields = {name: torch.as_tensor(value) for name, value in (edge_fields or {}).items()}
    report = {
        "raw_edges": len(src),
        "self_loops": int((src == dst).sum()),
        "repeated_edges": len(src) - len(torch.unique(src * num_nodes + dst)),
    }
    if drop_loops:
        keep = src != dst
        src, dst, fields = src[keep], dst[keep], {name: value[keep] for name, value in fields.items()}
    if directed:
        _, first = np.unique((dst * num_nodes + src).numpy(), return_index=True)
        return src[first], dst[first], {name: value[first] for name, value in fields.items()}, report
    identity = {name: fields.pop(name) for name in ("etype", "time") if name in fields}
    src, dst, made = undirect(src, dst, {**fields, "row": torch.arange(len(src))}, num_nodes)
    row = made.pop("row")
    return src, dst, {**made, **{name: value[row] for name, value in identity.items()}}, report


def integer_codes(values: np.ndarray) -> tuple[Tensor, list[str]]:
    """Number distinct values from 0 in sorted order; return int64 codes and the values as text.

    >>> integer_codes(np.array([1, -1, 1]))
    (tensor([1, 0, 1]), ['-1', '1'])
    """
    distinct, codes = np.unique(values, return_inverse=True)
    return torch.from_numpy(codes.astype(np.int64).reshape(-1)), [str(value) for value in distinct]


def one_hot(codes: Tensor, width: int) -> Tensor:
    """Return float32 ``[n, width]``.

    >>> one_hot(torch.tensor([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return torch.nn.functional.one_hot(codes, width).float()


def stand_in_features(collated: Collated, features: str, widest: int = 512, most: int = 1 << 28) -> None:
    """Give nodes that have no features one-hot degrees, a constant, or none.

    Parameters
    ----------
    collated : Collated
        Gets ``node_fields["feat"]``, float32.
    features : str
        ``degree``, ``constant`` or ``none``.
    widest : int
        Above this degree a one-hot code would be too wide; the logarithm of 1 + degree takes its place.
    most : int
        So does it where the code would have more entries than this (1 GiB).

    Raises
    ------
    GraphKitError
        If ``features`` is something else.

    Examples
    --------
    >>> one = Collated.from_edges(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([3]))
    >>> stand_in_features(one, "degree")
    >>> one.node_fields["feat"].tolist()
    [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]
    """
    if features not in ("degree", "constant", "none"):
        raise unknown("features", features, ["degree", "constant", "none"])
    if features == "constant":
        collated.node_fields["feat"] = torch.ones(collated.num_nodes, 1)
    if features == "degree":
        shift = torch.repeat_interleave(collated.node_offsets[:-1], collated.edge_counts)
        degree = torch.bincount(collated.dst + shift, minlength=collated.num_nodes)
        width = int(degree.max()) + 1 if len(degree) else 1
        collated.node_fields["feat"] = (
            one_hot(degree, width)
            if width <= widest and width * len(degree) <= most
            else torch.log1p(degree.float()).unsqueeze(1)
        )
