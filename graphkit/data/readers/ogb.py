"""Node sets of the Open Graph Benchmark, through its own package ``ogb`` (arXiv 2005.00687)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from graphkit.core.errors import ChecksumError, DataError, require
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files, home


@register(
    "ogb-node",
    kind="reader",
    level="node link",
    title="Open Graph Benchmark: Datasets for Machine Learning on Graphs",
    arxiv="2005.00687",
)
def read_ogb_node(files: Files, *, name: str, directed: bool = False) -> Raw:
    """Let the package ``ogb`` download and read one of its node sets, below the cache's ``ogb/``.

    Parameters
    ----------
    files : Files
        Not read: the package looks after its files by itself, without checksums of ours.
    name : str
        Such as ``ogbn-arxiv``; sets of one graph with one type of nodes.
    directed : bool
        Keep the direction of edges; else both directions are stored.

    Returns
    -------
    Raw
        ``feat`` float32 ``[N, D]`` where there are features, ``label`` int64 ``[N]`` (-1 missing) or, for several
        tasks, float32 ``[N, T]``; the split ``public``.

    Raises
    ------
    MissingExtraError
        If ``ogb`` is not installed.
    ChecksumError
        Unless loaded with ``verify=False``.
    DataError
        If the set has several types of nodes.
    """
    if getattr(files, "verify", True):
        raise ChecksumError(
            f"nothing vouches for {name}: the package ogb downloads it without a checksum of ours; "
            "pass verify=False to load it all the same"
        )
    package = require("ogb.nodeproppred", "ogb", f"the dataset {name}")
    # ogb would read the copy that it made at the first load as a pickle, which current torch rightly refuses.
    (home() / "ogb" / name.replace("-", "_") / "processed" / "data_processed").unlink(missing_ok=True)
    data = package.NodePropPredDataset(name=name, root=str(home() / "ogb"))
    graph, labels = data[0]
    split: dict[str, Any] = data.get_idx_split()
    if "edge_index" not in graph or not isinstance(graph.get("num_nodes"), int | np.integer):
        raise DataError(f"{name} has several types of nodes; expected a set of one type, such as ogbn-arxiv")
    total = int(graph["num_nodes"])
    fields = {} if graph.get("edge_feat") is None else {"feat": np.asarray(graph["edge_feat"], dtype=np.float32)}
    ends = np.asarray(graph["edge_index"])
    src, dst, edge_fields, report = tidy(ends[0], ends[1], total, fields, directed=directed)
    node_fields = {"label": _label(np.asarray(labels))}
    if graph.get("node_feat") is not None:
        node_fields["feat"] = torch.from_numpy(np.asarray(graph["node_feat"], dtype=np.float32))
    parts = {
        part: torch.from_numpy(np.sort(np.asarray(split[there], dtype=np.int64)))
        for part, there in (("train", "train"), ("val", "valid"), ("test", "test"))
    }
    collated = Collated.from_edges(src, dst, torch.tensor([total]), node_fields, edge_fields)
    return Raw(collated, {"public": parts}, {}, report, not directed)


def _label(labels: np.ndarray) -> torch.Tensor:
    """Return one column of classes as int64, -1 where there is NaN; several columns as float32."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        return torch.from_numpy(labels.astype(np.float32))
    column = labels.reshape(-1).astype(np.float64)
    return torch.from_numpy(np.where(np.isnan(column), -1, column).astype(np.int64))
