"""Multi-label networks in MATLAB files: sparse ``network`` and ``group``, as BlogCatalog is distributed."""

from __future__ import annotations

import io

import numpy as np
import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, stand_in_features, tidy
from graphkit.data.store import Files


@register(
    "multilabel-mat",
    kind="reader",
    level="node link",
    title="Relational learning via latent social dimensions",
)
def read_multilabel(files: Files, *, features: str = "none") -> Raw:
    """Read the undirected ``network`` ``[N, N]`` and the memberships ``group`` ``[N, T]`` of one ``.mat`` file.

    Parameters
    ----------
    files : Files
        One ``.mat`` file of version 5.
    features : str
        The file holds none: ``none``, ``degree`` or ``constant``.

    Returns
    -------
    Raw
        ``label`` 0/1 float32 ``[N, T]``.

    Raises
    ------
    DataError
        If the file is truncated, or its matrices do not describe the same nodes.
    """
    import scipy.io
    import scipy.sparse

    found = [name for name in files.names() if name.endswith(".mat")]
    if len(found) != 1:
        raise DataError(f"expected one .mat file among the raw files, found {len(found)}")
    name = files.label(found[0])
    try:
        content = scipy.io.loadmat(io.BytesIO(files.read(found[0])), variable_names=["network", "group"])
    except Exception as error:  # a broken .mat file can raise nearly anything
        raise DataError(f"{name} is truncated or not a MATLAB 5 file ({type(error).__name__}: {error})") from error
    network, group = content.get("network"), content.get("group")
    shapes = ["none" if part is None else str(part.shape) for part in (network, group)]
    if (
        network is None
        or group is None
        or network.ndim != 2
        or group.ndim != 2
        or network.shape[0] != network.shape[1]
        or group.shape[0] != network.shape[0]
    ):
        raise DataError(f"{name}: expected a square 'network' and as many rows in 'group', found {', '.join(shapes)}")
    member = scipy.sparse.csr_array(group).toarray() != 0
    entries = scipy.sparse.coo_array(network)
    src, dst, edge_fields, report = tidy(entries.row, entries.col, network.shape[0])
    report["without_label"] = int((~member.any(axis=1)).sum())
    label = torch.from_numpy(member.astype(np.float32))
    collated = Collated.from_edges(src, dst, torch.tensor([len(member)]), {"label": label}, edge_fields)
    stand_in_features(collated, features)
    return Raw(collated, {}, {}, report)
