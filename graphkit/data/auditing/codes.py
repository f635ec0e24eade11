"""64-bit codes of rows, neighbourhoods and graphs: what is equal has equal codes, what differs practically never."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.data.collated import Collated

#: Entries that are hashed at once, so that wide features need little memory.
CHUNK = 1 << 22


def mix(x: np.ndarray) -> np.ndarray:
    """Scatter 64-bit numbers (the finaliser of SplitMix64), 0 to 0.

    >>> mix(np.array([0, 1], dtype=np.uint64)).tolist()
    [0, 6238072747940578789]
    """
    x = x.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def rows(values: torch.Tensor) -> np.ndarray:
    """Return one code for each row of ``[N, ...]``, uint64 ``[N]``; a row of zeros has code 0.

    >>> codes = rows(torch.tensor([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [0.0, 0.0]]))
    >>> bool(codes[0] == codes[2] != codes[1]), int(codes[3])
    (True, 0)
    """
    table = values.reshape(len(values), -1).numpy()
    table = table.astype(np.float64 if table.dtype == np.float64 else np.float32 if table.dtype.kind == "f" else "i8")
    bits = np.uint32 if table.dtype.itemsize == 4 else np.uint64
    weight = mix(np.arange(1, table.shape[1] + 1, dtype=np.uint64)) | np.uint64(1)
    made = np.zeros(len(table), np.uint64)
    step = max(1, CHUNK // max(table.shape[1], 1))
    for start in range(0, len(table), step):
        part = np.ascontiguousarray(table[start : start + step]) + 0  # -0.0 is 0.0
        row, column = part.nonzero()
        scattered = mix(part[row, column].view(bits)) * weight[column]
        made[start : start + step] = add_up(scattered, row, len(part))
    return made


def add_up(codes: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Add codes by owner, modulo 2^64."""
    total = torch.zeros(count, dtype=torch.int64)
    total.index_add_(0, torch.from_numpy(np.asarray(owner, np.int64)), torch.from_numpy(codes.view(np.int64)))
    return total.numpy().view(np.uint64)


def ends(full: Collated) -> tuple[np.ndarray, np.ndarray]:
    """Return the global node ids of both ends of every edge."""
    shift = torch.repeat_interleave(full.node_offsets[:-1], full.edge_counts)
    return (full.src + shift).numpy(), (full.dst + shift).numpy()


def degrees(full: Collated, undirected: bool) -> np.ndarray:
    """Count the edges at each node, an undirected edge once."""
    src, dst = ends(full)
    found = np.bincount(dst, minlength=full.num_nodes)
    return found if undirected else found + np.bincount(src, minlength=full.num_nodes)


def _of_edges(full: Collated) -> np.ndarray:
    made = np.zeros(full.num_edges, np.uint64)
    for number, name in enumerate(("etype", "feat", "weight"), 1):
        if name in full.edge_fields:
            made += mix(rows(full.edge_fields[name]) + np.uint64(number))
    return made


def neighbourhoods(full: Collated, undirected: bool) -> np.ndarray:
    """Return one code for each node's set of neighbours (who they are, not what they look like), uint64 ``[N]``."""
    src, dst = ends(full)
    edge, name = _of_edges(full), mix(np.arange(1, full.num_nodes + 1, dtype=np.uint64))
    made = add_up(mix(name[src] + edge), dst, full.num_nodes)
    return made if undirected else made + mix(add_up(mix(name[dst] ^ ~edge), src, full.num_nodes))


def graphs(full: Collated, undirected: bool, rounds: int = 4) -> np.ndarray:
    """Return one Weisfeiler-Lehman code for each graph, from features, edges and edge features, uint64 ``[B]``.

    Isomorphic graphs have equal codes; graphs with equal codes are isomorphic or cannot be told apart by colour
    refinement in so many rounds.

    References
    ----------
    Shervashidze et al., "Weisfeiler-Lehman Graph Kernels", JMLR 2011.

    Examples
    --------
    >>> path = Collated.from_edges(torch.tensor([0, 1, 4, 3]), torch.tensor([1, 2, 3, 5]), torch.tensor([3, 3]))
    >>> bool(np.equal(*graphs(path, False)))
    True
    """
    src, dst = ends(full)
    edge, colour = _of_edges(full), np.ones(full.num_nodes, np.uint64)
    for number, name in enumerate(("feat", "z", "pos"), 1):  # frames of one molecule differ in where its atoms are
        if name in full.node_fields:
            colour += mix(rows(full.node_fields[name]) + np.uint64(number))
    for turn in range(1, rounds + 1):
        heard = add_up(mix(colour[src] + edge), dst, full.num_nodes)
        if not undirected:
            heard += mix(add_up(mix(colour[dst] ^ ~edge), src, full.num_nodes))
        colour = mix(colour * np.uint64(0x9E3779B97F4A7C15) + heard + np.uint64(turn))
    owner = torch.repeat_interleave(torch.arange(len(full)), full.node_counts).numpy()
    return mix(add_up(colour, owner, len(full)) + full.node_counts.numpy().astype(np.uint64))


def groups(*keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct rows of several keys; return each row's group ``[N]`` and the groups' sizes.

    >>> [part.tolist() for part in groups(np.array([5, 7, 5]), np.array([0, 0, 0]))]
    [[0, 1, 0], [2, 1]]
    """
    together = np.zeros(len(keys[0]), np.uint64)
    for key in keys:
        together = mix(together * np.uint64(0x9E3779B97F4A7C15) + np.asarray(key).astype(np.uint64) + np.uint64(1))
    _, group, size = np.unique(together, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    order = np.full(len(size), len(group))
    np.minimum.at(order, group, np.arange(len(group)))
    rank = np.argsort(np.argsort(order))
    return rank[group], size[np.argsort(order)]
