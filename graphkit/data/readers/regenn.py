"""Counts of regions and days in torch files, as ReGENN publishes them."""

from __future__ import annotations

import io

import numpy as np
import torch

from graphkit.core.errors import DataError, UnsafeFileError
from graphkit.core.registry import register
from graphkit.data.raw import Raw
from graphkit.data.readers.series import series_raw
from graphkit.data.store import Files


@register(
    "regenn",
    kind="reader",
    level="forecast",
    title="Pay Attention to Evolution: Time Series Forecasting with Deep Graph-Evolution Learning",
    arxiv="2008.12833",
)
def read_regenn(files: Files, *, file: str = "") -> Raw:
    """Read a tensor of regions, days and counts as ReGENN saves it; there is no graph, so there are no edges.

    Parameters
    ----------
    files : Files
    file : str
        Which ``.pth`` file, if there are several.

    Returns
    -------
    Raw
        Graph field ``series``, days first.

    Raises
    ------
    UnsafeFileError
        If the file asks for more than tensors.
    DataError
        If it holds no tensor of three dimensions.
    """
    import pickle

    found = [name for name in files.names() if name == file or (not file and name.endswith(".pth"))]
    if len(found) != 1:
        raise DataError(f"expected one .pth file among the raw files, found {len(found)}; name it with file=")
    label = files.label(found[0])
    try:
        held = torch.load(io.BytesIO(files.read(found[0])), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise UnsafeFileError(f"{label} is no plain tensor ({reason:.160}); nothing was executed") from error
    except Exception as error:  # a broken file can raise nearly anything
        raise DataError(f"{label} is truncated or not a torch file ({type(error).__name__})") from error
    if not isinstance(held, torch.Tensor) or held.dim() != 3:
        raise DataError(f"{label} holds no tensor of regions, days and counts")
    values = held.float().numpy().transpose(1, 0, 2)
    return series_raw(np.empty((0, 2), np.int64), values.shape[1], label, series=values)
