"""Where a node stands in its graph: Laplacian eigenvectors and random-walk return probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graphkit.core.check import check_choice
from graphkit.core.errors import GraphKitError
from graphkit.core.random import generator as keyed
from graphkit.core.registry import register
from graphkit.transforms.rebuild import homogeneous, with_field

if TYPE_CHECKING:
    import dgl

#: Components up to this size are solved as dense matrices, all of one size together.
_DENSE = 256
#: Numbers in a block of dense columns of a random walk.
_BLOCK = 1 << 24


def _adjacency(graph: dgl.DGLGraph, weight: str | None) -> Any:
    """Return the adjacency matrix, parallel edges added up, float64 CSR."""
    import scipy.sparse

    src, dst = (ids.numpy() for ids in homogeneous(graph).edges(order="eid"))
    values = np.ones(len(src)) if weight is None else graph.edata[weight].double().numpy()
    return scipy.sparse.csr_array((values, (src, dst)), shape=(graph.num_nodes(),) * 2)


def _undirected(graph: dgl.DGLGraph) -> Any:
    """Return the symmetric 0/1 adjacency matrix without loops, float64 CSR."""
    import scipy.sparse

    src, dst = (ids.numpy() for ids in homogeneous(graph).edges(order="eid"))
    src, dst = src[src != dst], dst[src != dst]
    ends = np.concatenate([src, dst]), np.concatenate([dst, src])
    made = scipy.sparse.csr_array((np.ones(len(ends[0])), ends), shape=(graph.num_nodes(),) * 2)
    made.sum_duplicates()
    made.data[:] = 1.0
    return made


def _components(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return each node's component, and its position inside it."""
    from scipy.sparse.csgraph import connected_components

    count, owner = connected_components(matrix, directed=True, connection="weak")
    order = np.argsort(owner, kind="stable")
    sizes = np.bincount(owner, minlength=count)
    position = np.empty(len(owner), dtype=np.int64)
    position[order] = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return owner, position


@register("laplacian-pe", kind="transform", title="Benchmarking Graph Neural Networks", arxiv="2003.00982")
@dataclass
class LaplacianPE:
    r"""Add the eigenvectors of the normalised Laplacian with the k smallest eigenvalues that are not zero.

    .. math:: I - D^{-1/2} A D^{-1/2} = U \Lambda U^\top, \qquad p_v = (U_{v,2}, \dots, U_{v,k+1})

    Of each connected component by itself, so that a batch gets what its graphs get; a component of n nodes has n - 1
    such vectors, further columns are 0. Edges count without direction, weight, multiplicity or loops.

    Parameters
    ----------
    k : int
        Columns.
    sign : str
        An eigenvector's sign means nothing. ``"fixed"`` makes the sum of cubes positive (where that is 0, the first
        of the largest entries); ``"random"`` draws it for each component and column.
    seed : int
        Of the random signs, where the call is given no generator.
    field : str
        Where they go: a node field of this name; ``"feat"`` appends to the features.

    Raises
    ------
    GraphKitError
        If ``k`` is not positive.

    Notes
    -----
    Dwivedi et al., Benchmarking Graph Neural Networks, arXiv 2003.00982. Vectors of equal eigenvalues are fixed only
    up to rotation.

    Examples
    --------
    >>> import graphkit
    >>> path = graphkit.graphs.graph([0, 1], [1, 2], undirected=True)
    >>> [abs(round(value, 3)) for value in LaplacianPE(k=1)(path).ndata["lap_pe"].flatten().tolist()]
    [0.707, 0.0, 0.707]
    """

    k: int
    sign: str = "fixed"
    seed: int = 0
    field: str = "lap_pe"

    def __post_init__(self) -> None:
        check_choice("sign", self.sign, ["fixed", "random"])
        if self.k < 1:
            raise GraphKitError(f"k is {self.k}; expected at least 1 eigenvector")

    def __call__(self, graph: dgl.DGLGraph, generator: torch.Generator | None = None) -> dgl.DGLGraph:
        """Return the graph with its encoding, float32 ``[N, k]``; ``generator`` draws random signs."""
        adjacency = _undirected(graph)
        owner, _ = _components(adjacency)
        scale = 1.0 / np.sqrt(np.maximum(adjacency.sum(axis=1), 1.0))
        adjacency = adjacency.multiply(scale[:, None]).multiply(scale[None, :]).tocsr()
        found = np.zeros((graph.num_nodes(), self.k))
        sizes = np.bincount(owner) if len(owner) else np.zeros(0, dtype=np.int64)
        order = np.argsort(owner, kind="stable")
        starts = np.cumsum(sizes) - sizes
        for size in np.unique(sizes[sizes > 1]):
            nodes = order[starts[sizes == size][:, None] + np.arange(size)]
            for part in np.array_split(nodes, -(-nodes.size * size // _BLOCK)):
                found[part] = self._solve(adjacency, part)
        encoding = torch.from_numpy(found).float()
        if self.sign == "random":
            draw = generator or keyed(self.seed, "laplacian-pe")
            signs = torch.randint(2, (len(sizes), self.k), generator=draw) * 2 - 1
            encoding = encoding * signs[torch.from_numpy(owner).long()]
        return with_field(graph, self.field, encoding)

    def _solve(self, adjacency: Any, nodes: np.ndarray) -> np.ndarray:
        """Return ``[c, n, k]`` for c components of n nodes each."""
        count, size = nodes.shape
        take = min(self.k, size - 1)
        if size <= max(_DENSE, self.k + 2):
            flat = adjacency[nodes.reshape(-1)].tocoo()
            place = np.empty(adjacency.shape[0], dtype=np.int64)
            place[nodes.reshape(-1)] = np.tile(np.arange(size), count)
            row, column = flat.coords
            dense = np.zeros((count, size, size))
            dense[row // size, row % size, place[column]] = flat.data
            vectors = np.linalg.eigh(np.eye(size) - dense)[1][:, :, 1 : take + 1]
        else:
            vectors = np.stack([_largest(adjacency[part][:, part], take) for part in nodes])
        made = np.zeros((count, size, self.k))
        made[:, :, :take] = _fix_sign(vectors)
        return made


def _largest(matrix: Any, take: int) -> np.ndarray:
    """Return the eigenvectors of the 2nd to (take + 1)-th largest eigenvalue of a sparse symmetric matrix."""
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    start = np.random.default_rng(0).standard_normal(matrix.shape[0])
    try:
        values, vectors = eigsh(matrix, take + 1, which="LA", v0=start, ncv=min(matrix.shape[0], 4 * take + 40))
    except ArpackNoConvergence:
        values, vectors = eigsh(matrix.tocsc(), take + 1, sigma=1.0 + 1e-4, which="LM", v0=start)
    return vectors[:, np.argsort(-values, kind="stable")[1:]]


def _fix_sign(vectors: np.ndarray) -> np.ndarray:
    """Give each vector ``[..., n, k]`` a sign that depends on nothing but its values."""
    cubes = (vectors**3).sum(axis=-2, keepdims=True)
    size = np.abs(vectors)
    first = np.argmax(size > size.max(axis=-2, keepdims=True) - 1e-6, axis=-2)[..., None, :]
    sign = np.where(np.abs(cubes) > 1e-6, cubes, np.take_along_axis(vectors, first, axis=-2))
    return vectors * np.where(sign < 0, -1.0, 1.0)


@register(
    "random-walk-se",
    kind="transform",
    title="Graph Neural Networks with Learnable Structural and Positional Representations",
    arxiv="2110.07875",
)
@dataclass
class RandomWalkSE:
    r"""Add the probability that a random walk from a node is back at it after 1 to k steps.

    .. math:: p_v = \big[P_{vv}, (P^2)_{vv}, \dots, (P^k)_{vv}\big], \qquad P = D^{-1} A

    Parameters
    ----------
    steps : int
        k.
    weight : str, optional
        The edge field that gives A's entries; by default 1 for each edge.
    field : str
        Where they go: a node field of this name; ``"feat"`` appends to the features.

    Raises
    ------
    GraphKitError
        If ``steps`` is not positive.

    Notes
    -----
    Dwivedi et al., arXiv 2110.07875. Walks follow the direction of edges; a node without a way out keeps 0. Takes
    O(k |E| n) for components of n nodes.

    Examples
    --------
    >>> import graphkit
    >>> path = graphkit.graphs.graph([0, 1], [1, 2], undirected=True)
    >>> RandomWalkSE(steps=2)(path).ndata["rw_se"].tolist()
    [[0.0, 0.5], [0.0, 1.0], [0.0, 0.5]]
    """

    steps: int
    weight: str | None = None
    field: str = "rw_se"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise GraphKitError(f"steps is {self.steps}; expected at least 1")

    def __call__(self, graph: dgl.DGLGraph) -> dgl.DGLGraph:
        """Return the graph with its encoding, float32 ``[N, steps]``."""
        walk = _adjacency(graph, self.weight)
        _, position = _components(walk)
        total = walk.sum(axis=1)
        walk = walk.multiply((1.0 / np.where(total > 0, total, 1.0))[:, None]).tocsr()
        count = graph.num_nodes()
        found = np.zeros((count, self.steps))
        width = int(position.max()) + 1 if count else 0
        block = max(1, _BLOCK // max(count, 1))
        for first in range(0, width, block):
            # Column c starts at the node in place c of every component: walks never leave their component.
            rows = np.flatnonzero((position >= first) & (position < first + block))
            columns = position[rows] - first
            state = np.zeros((count, min(block, width - first)))
            state[rows, columns] = 1.0
            for step in range(self.steps):
                state = walk @ state
                found[rows, step] = state[rows, columns]
        return with_field(graph, self.field, torch.from_numpy(found).float())
