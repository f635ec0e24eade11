"""The samplers that a node task takes by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from graphkit.core.errors import GraphKitError, unknown
from graphkit.sampling.loader import Loader
from graphkit.sampling.neighbor import NeighborLoader
from graphkit.sampling.parts import ClusterLoader, Saint, SaintLoader
from graphkit.sampling.shadow import Scope, ShadowLoader

if TYPE_CHECKING:
    from graphkit.data import Dataset

#: What each sampler's options are; those of ``neighbor`` have places of their own in the task.
SAMPLERS: dict[str, tuple[str, ...]] = {
    "neighbor": (),
    "shadow": ("kind", "depth", "budget", "alpha", "eps", "threshold"),
    "cluster": ("parts",),
    "saint": ("kind", "steps", "presamples"),
}


def check_sampler(name: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of a sampler as a dict.

    Raises
    ------
    GraphKitError
        If there is no such sampler or option.

    Examples
    --------
    >>> check_sampler("cluster", {"parts": 50})
    {'parts': 50}
    """
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    found = dict(options or {})
    for option in found:
        if not SAMPLERS[name]:
            raise GraphKitError(f"the sampler {name!r} takes no option {option!r}; it reads fanouts and batch_size")
        if option not in SAMPLERS[name]:
            raise unknown(f"option of the sampler {name!r}", option, SAMPLERS[name])
    return found


def node_loader(
    name: str,
    data: Dataset,
    ids: str | Tensor,
    batch_size: int,
    options: Mapping[str, Any] | None = None,
    fanouts: list[int] | None = None,
    **rest: Any,
) -> Loader:
    """Return the loader of a sampler's batches.

    Parameters
    ----------
    name : str
        ``neighbor``, ``shadow``, ``cluster`` or ``saint``.
    data : Dataset
    ids : str or Tensor
    batch_size : int
        Targets in a batch for ``neighbor`` and ``shadow``; for the others its nodes, about.
    options : mapping, optional
        ``kind``, ``depth``, ``budget``, ``alpha``, ``eps``, ``threshold`` of ``shadow``; ``parts`` of ``cluster`` (four
        to a batch without); ``kind``, ``steps``, ``presamples`` of ``saint``.
    fanouts : list of int, optional
        Of ``neighbor``.
    **rest
        Of :class:`~graphkit.sampling.Loader`.

    Raises
    ------
    GraphKitError
        If there is no such sampler or option.

    Examples
    --------
    >>> import graphkit as gk
    >>> len(node_loader("shadow", gk.load("karate"), "train", 10, {"depth": 1}))
    2
    """
    found = check_sampler(name, options)
    if name == "neighbor":
        return NeighborLoader(data, ids, fanouts, batch_size, **rest)
    if name == "shadow":
        return ShadowLoader(data, ids, Scope(**found), batch_size, **rest)
    if name == "saint":
        return SaintLoader(data, ids, Saint(**found), batch_size, **rest)
    nodes = data.num_rows
    parts = found.get("parts", max(1, min(nodes, round(4 * nodes / batch_size))))
    return ClusterLoader(data, ids, parts, max(1, round(batch_size * parts / max(nodes, 1))), **rest)
