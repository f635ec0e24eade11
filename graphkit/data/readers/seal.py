"""Networks in MATLAB files with one sparse matrix ``net``, as SEAL distributes them (arXiv 1802.09691)."""

from __future__ import annotations

import io

import torch

from graphkit.core.errors import DataError
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, tidy
from graphkit.data.store import Files


@register(
    "seal-mat", kind="reader", level="link", title="Link Prediction Based on Graph Neural Networks", arxiv="1802.09691"
)
def read_seal(files: Files) -> Raw:
    """Read the undirected network that the matrix ``net`` of a ``.mat`` file holds.

    Parameters
    ----------
    files : Files
        One ``.mat`` file of version 5.

    Returns
    -------
    Raw
        Without features or labels.

    Raises
    ------
    DataError
        If the file is truncated, or holds no square matrix ``net``.
    """
    import scipy.io
    import scipy.sparse

    found = [name for name in files.names() if name.endswith(".mat")]
    if len(found) != 1:
        raise DataError(f"expected one .mat file among the raw files, found {len(found)}")
    label = files.label(found[0])
    try:
        content = scipy.io.loadmat(io.BytesIO(files.read(found[0])), variable_names=["net"])
    except Exception as error:  # a broken .mat file can raise nearly anything
        raise DataError(f"{label} is truncated or not a MATLAB 5 file ({type(error).__name__}: {error})") from error
    net = content.get("net")
    if net is None or net.ndim != 2 or net.shape[0] != net.shape[1]:
        shape = "none" if net is None else str(net.shape)
        raise DataError(f"{label}: expected a square matrix 'net', found {shape}")
    entries = scipy.sparse.coo_array(net)
    src, dst, edge_fields, report = tidy(entries.row, entries.col, net.shape[0])
    return Raw(Collated.from_edges(src, dst, torch.tensor([net.shape[0]]), {}, edge_fields), report=report)
