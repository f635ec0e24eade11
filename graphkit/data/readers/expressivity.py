"""Sets that measure what a model can tell apart: circular skip links, and counts of substructures."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data import tables
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, stand_in_features, tidy
from graphkit.data.readers.folds import PARTS, index_folds
from graphkit.data.store import Files
from graphkit.data.unpickle import loads

DGL_MAGIC = (0xDD2E4FF046B4A13F).to_bytes(8, "little")
#: The counts that the authors stored, in the order of the label's columns.
COUNTS = ("triangle", "tailed_triangle", "star", "chordal_cycle", "attributed_triangle")


@register("csl", kind="reader", level="graph", title="Relational Pooling for Graph Representations", arxiv="1903.02541")
def read_csl(files: Files, *, features: str = "constant") -> Raw:
    """Read the circular skip link graphs: a pickle of 150 sparse matrices, ten classes in file order, and five folds.

    The matrices have ones on their diagonal, which are dropped; each graph is then 4-regular on 41 nodes.

    Parameters
    ----------
    files : Files
        One ``graphs_*.pkl`` (read through the allow-list) and ``CSL_train.index``, ``CSL_val.index``,
        ``CSL_test.index``.
    features : str
        ``constant``, one-hot ``degree`` or ``none``.

    Returns
    -------
    Raw
        ``label`` int64 in 0..9 and the split ``folds`` (90, 30, 30).

    Raises
    ------
    DataError
        If the pickle is truncated or holds something else, or ids leave the range.
    UnsafeFileError
        If the pickle names anything but numpy and scipy.

    References
    ----------
    Murphy et al., arXiv:1903.02541; folds of "Benchmarking Graph Neural Networks", arXiv:2003.00982.
    """
    found = [name for name in files.names() if name.startswith("graphs_") and name.endswith(".pkl")]
    if len(found) != 1:
        raise DataError(f"expected one file graphs_NAME.pkl among the raw files, found {len(found)}")
    matrices = loads(files.read(found[0]), files.label(found[0]))
    if not isinstance(matrices, list) or len(matrices) % 10 or not all(hasattr(m, "tocoo") for m in matrices):
        raise DataError(f"{files.label(found[0])} is no list of sparse matrices, ten classes of equal size")
    sparse = [matrix.tocoo() for matrix in matrices]
    counts = np.array([matrix.shape[0] for matrix in sparse], dtype=np.int64)
    first = np.cumsum(counts) - counts
    src = np.concatenate([matrix.row + shift for matrix, shift in zip(sparse, first, strict=True)])
    dst = np.concatenate([matrix.col + shift for matrix, shift in zip(sparse, first, strict=True)])
    source, target, fields, report = tidy(src, dst, int(counts.sum()))
    label = torch.arange(10).repeat_interleave(len(sparse) // 10)
    collated = Collated.from_edges(source, target, torch.from_numpy(counts), {}, fields, {"label": label})
    stand_in_features(collated, features)
    folds = index_folds(files, "CSL", len(sparse))
    return Raw(collated, {"folds": folds}, {"class": [str(c) for c in range(10)]}, report)


@register(
    "substructure-counting",
    kind="reader",
    level="graph",
    title="Can Graph Neural Networks Count Substructures?",
    arxiv="2002.04025",
    keep=True,
)
def read_substructures(files: Files, *, features: str = "constant", normalize: bool = False) -> Raw:
    """Read a DGL file of random graphs with the counts of five substructures, and its published split.

    Parameters
    ----------
    files : Files
        One ``NAME.bin`` with ``NAME_train.txt``, ``NAME_val.txt``, ``NAME_test.txt`` (graph ids, one a line).
    features : str
        ``constant``, one-hot ``degree`` or ``none``.
    normalize : bool
        Divide each count by its standard deviation over the training graphs.

    Returns
    -------
    Raw
        ``label`` float32 ``[B, 5]`` (``names["target"]``) and the split ``public``.

    Raises
    ------
    DataError
        If the file is no DGL file or truncated, a count is missing, or ids leave the range.
    """
    found = [name for name in files.names() if name.endswith(".bin")]
    if len(found) != 1:
        raise DataError(f"expected one file NAME.bin among the raw files, found {len(found)}")
    graphs, labels = _dgl_file(files.read(found[0]), files.label(found[0]))
    missing = [name for name in COUNTS if name not in labels]
    if missing:
        raise DataError(f"{files.label(found[0])} has no counts of {missing[0]}; it has {', '.join(labels)}")
    label = torch.stack([labels[name].float().reshape(-1) for name in COUNTS], dim=1)
    split = {}
    for part in PARTS:
        name = found[0].removesuffix(".bin") + f"_{part}.txt"
        ids = tables.integers(files.read(name), files.label(name), columns=1)[:, 0]
        if len(ids) and (ids.min() < 0 or ids.max() >= len(graphs)):
            raise DataError(f"{files.label(name)} names graph {ids.max()}; expected ids from 0 to {len(graphs) - 1}")
        split[part] = torch.from_numpy(ids)
    if normalize:
        label = label / label[split["train"]].std(dim=0).clamp_min(1e-12)
    plain = Collated.from_graphs(graphs)
    shift = torch.repeat_interleave(plain.node_offsets[:-1], plain.edge_counts)
    src, dst, fields, report = tidy(plain.src + shift, plain.dst + shift, plain.num_nodes)
    collated = Collated.from_edges(src, dst, plain.node_counts, {}, fields, {"label": label})
    stand_in_features(collated, features)
    return Raw(collated, {"public": split}, {"target": list(COUNTS)}, report)


def _dgl_file(data: bytes, label: str) -> tuple[list, dict[str, Tensor]]:
    """Return the graphs and labels of a file that DGL wrote; DGL reads from paths only."""
    import dgl

    if data[:8] != DGL_MAGIC:
        raise DataError(f"{label} is not a file of graphs that DGL wrote")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the old format, which is read all the same
        path = Path(folder) / "graphs.bin"
        path.write_bytes(data)
        try:
            return dgl.load_graphs(str(path))
        except dgl.DGLError as error:
            raise DataError(f"{label} is truncated or not a file of graphs that DGL wrote") from error
