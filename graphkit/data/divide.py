"""From a protocol's name to the parts of a split and the edges that may carry messages."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphkit.core.batch import Pairs
from graphkit.core.errors import GraphKitError, unknown
from graphkit.core.registry import entries, find
from graphkit.data.collated import Collated
from graphkit.data.splits.links import LinkSplit, TripleSplit, message_mask, pair_codes
from graphkit.data.splits.rows import PARTS, check_parts
from graphkit.data.splits.time import check_order

if TYPE_CHECKING:
    from graphkit.data.dataset import Dataset

#: Tasks whose parts follow one another in time, and what their ids count.
TIMED = {"temporal-link": "events", "hyperedge": "hyperedges", "forecast": "windows"}


@dataclass
class Divided:
    """The parts of a split, and the graphs without the edges that it holds out."""

    parts: dict[str, Any]
    message: Collated


def protocols(task: str) -> list[str]:
    """Return the names of the split protocols that a task can use.

    >>> sorted(protocols("link"))
    ['per-user', 'public', 'random-link']
    """
    return [name for name, entry in entries("split").items() if task in entry.level.split()]


def keywords(function: Callable) -> list[str]:
    """Return the names of a function's keyword-only arguments."""
    kinds = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in kinds if parameter.kind is parameter.KEYWORD_ONLY]


def divide(data: Dataset, split: str | Mapping[str, Any], seed: int, options: dict[str, Any]) -> Divided:
    """Divide ``data`` by a protocol's name or by given parts.

    Raises
    ------
    GraphKitError
        If the protocol or an option is unknown, or the parts do not fit the data.
    """
    parts = split
    if isinstance(split, str):
        if split.lower() not in protocols(data.task):
            raise unknown("split", split, protocols(data.task))
        protocol = find("split", split).obj
        for name in options:
            if name not in keywords(protocol):
                raise unknown("split option", name, keywords(protocol) or ["(none)"])
        parts = protocol(data, seed, **options)
    elif options:
        raise GraphKitError(f"a given split takes no options, but {', '.join(options)} came")
    if not isinstance(parts, Mapping):
        raise GraphKitError(f"a split is a mapping of train, val, test; got {type(parts).__name__}")
    if data.task == "link":
        links = _links(data, parts, published=isinstance(split, str) and split.lower() == "public")
        return Divided(links, data.collated.keep_edges(message_mask(data, links)))
    if data.task == "triple":
        ids = check_parts(parts, data.collated.num_edges, "edges")
        keep = torch.zeros(data.collated.num_edges, dtype=torch.bool)
        keep[ids["train"]] = True
        return Divided({name: _triples(data.collated, ids[name]) for name in PARTS}, data.collated.keep_edges(keep))
    if data.task in TIMED:
        return _timed(data, parts)
    rows = check_parts(parts, data.num_rows, "graphs" if data.task == "graph" else "nodes")
    return Divided(dict(rows), data.collated)


def _timed(data: Dataset, parts: Mapping[str, Any]) -> Divided:
    """Check that parts follow one another in time; messages run on what belongs to training."""
    ids = check_parts(parts, data.num_rows, TIMED[data.task])
    if data.task == "forecast":  # a window may read what an earlier part forecasts, so only their starts are ordered
        return Divided(check_order(ids, torch.arange(data.num_rows)), data.collated)
    check_order(ids, data.times)
    keep = torch.zeros(data.num_rows, dtype=torch.bool)
    keep[ids["train"]] = True
    if data.task == "hyperedge":
        keep = keep[data.collated.dst - (data.collated.num_nodes - data.num_hyperedges)]
    return Divided(ids, data.collated.keep_edges(keep))


def _triples(full: Collated, ids: Tensor) -> TripleSplit:
    etype = full.edge_fields.get("etype")
    if etype is None:
        raise GraphKitError("triples need the edge field 'etype', which the graph does not have")
    return TripleSplit(Pairs(full.src[ids], full.dst[ids], etype[ids]))


def _links(data: Dataset, parts: Mapping[str, Any], published: bool = False) -> dict[str, LinkSplit]:
    """Check that links of the parts are disjoint and that no stored non-link is a link of any part.

    A published split is taken as it is; its reader counts in the report what is unsound about it.
    """
    made, seen = {}, torch.empty(0, dtype=torch.int64)
    total = data.collated.num_nodes

    def codes(pairs: Pairs) -> Tensor:
        return torch.from_numpy(pair_codes(pairs.src.numpy(), pairs.dst.numpy(), total, data.undirected))

    links = codes(data.known)
    for name, part in parts.items():
        if name not in PARTS or not isinstance(part, LinkSplit):
            raise GraphKitError("a split of links is a mapping of train, val, test to LinkSplit(pos, neg)")
        for pairs in (part.pos, part.neg):
            _check_ids(pairs, total, name)
        if part.candidates is not None:
            _check_candidates(part, total, name)
        made[name] = part
        if published:
            continue
        mine = codes(part.pos)
        if len(mine.unique()) != len(mine) or torch.isin(mine, seen).any():
            raise GraphKitError(f"the split's part {name} repeats links of its own or of another part")
        seen = torch.cat([seen, mine])
    every = torch.cat([links, seen])
    for name, part in made.items():
        if not published and torch.isin(codes(part.neg), every).any():
            raise GraphKitError(f"the split's part {name} stores true links as negatives")
    return {name: made.get(name, LinkSplit(Pairs(seen[:0], seen[:0]))) for name in PARTS}


def _check_candidates(part: LinkSplit, total: int, name: str) -> None:
    found = part.candidates
    if found.dim() != 2 or len(found) != len(part.pos):
        raise GraphKitError(
            f"the split's part {name} has candidates of shape {list(found.shape)}; expected [{len(part.pos)}, K]"
        )
    _check_ids(Pairs(found.reshape(-1), found.reshape(-1)[:0]), total, name)


def _check_ids(pairs: Pairs, total: int, name: str) -> None:
    from graphkit.graphs.build import check_ids

    for ids in (pairs.src, pairs.dst):
        check_ids(ids, total, name)
