"""What simplices say of pairs and triples of nodes: weights, degrees, triangles, and which triples were in one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from graphkit.core.errors import GraphKitError
from graphkit.graphs.simplicial import member_lists, subsets

if TYPE_CHECKING:
    import dgl
    import scipy.sparse

#: Beyond, three ids do not fit into one int64.
MOST_NODES = 2_000_000


class Past:
    """What the simplices up to a time say of pairs and triples: weights, degrees, and which triples were in one.

    Parameters
    ----------
    graph : dgl.DGLGraph
        A hypergraph, all of whose hyperedges are past.

    Attributes
    ----------
    weight : scipy.sparse.csr_array
        int64 ``[N, N]``: how many simplices hold both nodes, without the diagonal; rows sorted.
    old : ndarray
        bool ``[N]``: nodes that occur.
    triples, counts : ndarray
        int64: each triple that a simplex holds, as one number, sorted, and by how many.

    Raises
    ------
    GraphKitError
        If it is no hypergraph, or has more nodes than three ids in one int64 allow.

    Examples
    --------
    >>> from graphkit.graphs import from_hyperedges
    >>> Past(from_hyperedges([[0, 1], [1, 2], [0, 1]])).weight.toarray().tolist()
    [[0, 2, 0], [2, 0, 1], [0, 1, 0]]
    """

    def __init__(self, graph: dgl.DGLGraph) -> None:
        import scipy.sparse

        self.size = max(graph.num_nodes("node"), 1)
        if self.size > MOST_NODES:
            raise GraphKitError(f"{self.size} nodes; closure counts triples of at most {MOST_NODES} nodes")
        self.starts, self.members = member_lists(graph)
        ones = np.ones(len(self.members), dtype=np.int64)
        shape = (len(self.starts) - 1, self.size)
        held = scipy.sparse.csr_array((ones, self.members, self.starts), shape=shape)
        weight = scipy.sparse.csr_array(held.T @ held)
        weight.setdiag(0)
        weight.eliminate_zeros()
        weight.sort_indices()
        self.weight = weight
        self.simplex_degree = np.bincount(self.members, minlength=self.size)
        self.old = self.simplex_degree > 0

    @cached_property
    def degree(self) -> np.ndarray:
        """How many others each node was with, int64 ``[N]``."""
        return np.diff(self.weight.indptr).astype(np.int64)

    @cached_property
    def _held(self) -> tuple[np.ndarray, np.ndarray]:
        return np.unique(self.code(subsets(self.starts, self.members, 3)), return_counts=True)

    @property
    def triples(self) -> np.ndarray:
        """Each triple that a simplex holds, as one number, sorted."""
        return self._held[0]

    @property
    def counts(self) -> np.ndarray:
        """By how many simplices each of ``triples`` is held."""
        return self._held[1]

    def code(self, triples: np.ndarray) -> np.ndarray:
        """Return ``(i N + j) N + k`` for sorted triples ``[K, 3]``."""
        return (triples[:, 0] * self.size + triples[:, 1]) * self.size + triples[:, 2]

    def closed(self, triples: np.ndarray) -> np.ndarray:
        """Say which triples a simplex holds, bool ``[K]``."""
        return np.isin(self.code(triples), self.triples)

    def strengths(self, triples: np.ndarray) -> np.ndarray:
        """Return the weights of the pairs (i, j), (j, k), (i, k), int64 ``[K, 3]``."""
        pairs = ((0, 1), (1, 2), (0, 2))
        return np.stack([entries_of(self.weight, triples[:, a], triples[:, b]) for a, b in pairs], axis=1)

    @cached_property
    def triangles(self) -> np.ndarray:
        """All triples that are joined in pairs, int64 ``[T, 3]``, sorted."""
        from graphkit._kernels.simplices import triangles

        arrays = self.weight.indptr.astype(np.int64), self.weight.indices.astype(np.int64)
        count = triangles(*arrays, np.empty((0, 3), np.int64))
        out = np.empty((count, 3), np.int64)
        triangles(*arrays, out)
        return out


def entries_of(matrix: scipy.sparse.csr_array, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return single entries of a matrix with sorted rows, 0 where there is none."""
    if not matrix.nnz:
        return np.zeros(len(row), matrix.dtype)
    size = matrix.shape[1]
    keys = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)) * size + matrix.indices
    wanted = row.astype(np.int64) * size + column
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, matrix.data[place], 0)
