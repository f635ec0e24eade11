"""Frames of one molecule in an npz: MD17 and its revision (arXiv 1611.04678, 2007.09593)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from graphkit.core.errors import DataError, GraphKitError
from graphkit.core.random import numpy_generator
from graphkit.core.registry import register
from graphkit.data.collated import Collated
from graphkit.data.raw import Raw, one_hot
from graphkit.data.store import Files
from graphkit.data.unpickle import load_npz

#: What is read, under the names of MD17 and of rMD17.
KEYS = {
    "z": ("z", "nuclear_charges"),
    "pos": ("R", "coords"),
    "forces": ("F", "forces"),
    "energy": ("E", "energies"),
}


@register(
    "md17",
    kind="reader",
    level="graph",
    title="Machine Learning of Accurate Energy-Conserving Molecular Force Fields",
    arxiv="1611.04678",
    keep=True,
)
def read_md17(files: Files, *, frames: int = 10000, cutoff: float = 5.0, graph_seed: int = 0) -> Raw:
    """Read frames of molecular dynamics as graphs of atoms, an edge between any two within ``cutoff``.

    Parameters
    ----------
    files : Files
        One ``.npz`` with ``z`` ``[n]``, ``R`` and ``F`` ``[T, n, 3]`` and ``E`` ``[T, 1]``, or with the names of rMD17
        (``nuclear_charges``, ``coords``, ``forces``, ``energies``).
    frames : int
        How many of the T frames to take, drawn without replacement and kept in order; 0 takes all.
    cutoff : float
        In Angstrom.
    graph_seed : int
        Of the draw.

    Returns
    -------
    Raw
        ``feat`` one-hot elements, ``z``, ``pos`` and ``forces`` float32 ``[N, 3]``; edge field ``distance``; ``label``
        the energy less its mean over the frames taken, float32 ``[B, 1]``; graph fields ``energy`` (float64, as in the
        file) and ``frame``.

    Raises
    ------
    DataError
        If an array is missing, or shapes do not agree.
    GraphKitError
        If ``cutoff`` or ``frames`` makes no sense.
    """
    if not cutoff > 0 or frames < 0:
        raise GraphKitError(f"cutoff={cutoff}, frames={frames}; expected a positive distance and a number of frames")
    found = [name for name in files.names() if name.endswith(".npz")]
    if len(found) != 1:
        raise DataError(f"expected one .npz file among the raw files, found {len(found)}")
    z, pos, forces, energy = _arrays(load_npz(files.read(found[0]), files.label(found[0])), files.label(found[0]))
    chosen = np.arange(len(pos))
    if frames and frames < len(pos):
        chosen = np.sort(numpy_generator(graph_seed, "md17").choice(len(pos), frames, replace=False))
    return _collate(z, pos[chosen], forces[chosen], energy[chosen], chosen, cutoff)


def _arrays(held: dict[str, Any], label: str) -> list[np.ndarray]:
    made = []
    for what, names in KEYS.items():
        name = next((name for name in names if name in held), None)
        if name is None:
            raise DataError(f"{label} has no array {names[0]!r} or {names[1]!r}; it has {', '.join(sorted(held))}")
        array = np.asarray(held[name], dtype=np.int64 if what == "z" else np.float64)
        if not np.isfinite(array).all():
            raise DataError(f"{label}: the array {name!r} holds a number that is not finite")
        made.append(array.reshape(-1) if what in ("z", "energy") else array)
    z, pos, forces, energy = made
    if pos.ndim != 3 or pos.shape[1:] != (len(z), 3) or pos.shape != forces.shape or len(energy) != len(pos):
        raise DataError(
            f"{label}: {len(z)} atoms, positions {list(pos.shape)}, forces {list(forces.shape)} and {len(energy)} "
            "energies do not agree"
        )
    return made


def _collate(
    z: np.ndarray, pos: np.ndarray, forces: np.ndarray, energy: np.ndarray, chosen: np.ndarray, cutoff: float
) -> Raw:
    """Join atoms within the cutoff, frame after frame, in blocks that fit in memory."""
    n, block = len(z), max(1, 2_000_000 // max(len(z) ** 2, 1))
    owner, to, source, distance = [], [], [], []
    for start in range(0, len(pos), block):
        here = pos[start : start + block]
        far = np.sqrt(((here[:, :, None] - here[:, None]) ** 2).sum(axis=3))
        frame, dst, src = np.nonzero((far <= cutoff) & ~np.eye(n, dtype=bool))
        owner.append(frame + start)
        to.append(dst)
        source.append(src)
        distance.append(far[frame, dst, src])
    frame, dst, src = (np.concatenate(column) for column in (owner, to, source))
    counts = np.bincount(frame, minlength=len(pos))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    # Edges of a frame are sorted by destination, then source; the twin of (u, v) is where (v, u) stands.
    order = np.lexsort((dst, src, frame))
    kinds, codes = np.unique(z, return_inverse=True)
    node_fields = {
        "feat": one_hot(torch.from_numpy(codes.reshape(-1).astype(np.int64)), len(kinds)).repeat(len(pos), 1),
        "z": torch.from_numpy(z).repeat(len(pos)),
        "pos": torch.from_numpy(pos.reshape(-1, 3).astype(np.float32)),
        "forces": torch.from_numpy(forces.reshape(-1, 3).astype(np.float32)),
    }
    edge_fields = {
        "reverse_id": torch.from_numpy(order - offsets[frame]),
        "distance": torch.from_numpy(np.concatenate(distance).astype(np.float32)),
    }
    facts = {
        "label": torch.from_numpy((energy - energy.mean()).astype(np.float32)).unsqueeze(1),
        "energy": torch.from_numpy(energy),
        "frame": torch.from_numpy(chosen.astype(np.int64)),
    }
    collated = Collated(
        torch.arange(len(pos) + 1) * n,
        torch.from_numpy(offsets),
        torch.from_numpy(src),
        torch.from_numpy(dst),
        node_fields,
        edge_fields,
        facts,
    )
    return Raw(collated, {}, {"target": ["energy"], "element": [str(k) for k in kinds.tolist()]}, {"frames": len(pos)})
