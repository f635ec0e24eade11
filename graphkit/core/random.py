"""Random generators made from keys, so that a draw depends on what it is for and on nothing else.

Every random draw of GraphKit takes a generator made from ``(seed, *keys)``, such as
``generator(seed, phase, epoch, batch, "dropout")``. Two draws with equal keys are equal wherever they run,
in whichever process, and whatever was drawn before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    import torch


def key(seed: int, *keys: object) -> int:
    """Mix ``seed`` and ``keys`` into one integer in [0, 2**63).

    >>> key(0, "train", 1) == key(0, "train", 1), key(0, "train", 1) == key(0, "train", 2)
    (True, False)
    """
    text = "\x1f".join([repr(int(seed)), *(f"{type(k).__name__}:{k}" for k in keys)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *keys: object) -> torch.Generator:
    """Return a CPU ``torch.Generator`` seeded from ``(seed, *keys)``.

    >>> import torch
    >>> a, b = (torch.rand(2, generator=generator(0, "split")) for _ in range(2))
    >>> bool((a == b).all())
    True
    """
    import torch

    return torch.Generator().manual_seed(key(seed, *keys))


def numpy_generator(seed: int, *keys: object) -> numpy.random.Generator:
    """Return a ``numpy.random.Generator`` seeded from ``(seed, *keys)``.

    >>> int(numpy_generator(0, "a").integers(10)) == int(numpy_generator(0, "a").integers(10))
    True
    """
    import numpy

    return numpy.random.default_rng(key(seed, *keys))


@dataclass(frozen=True)
class Rng:
    """A place in a run's tree of random draws: a seed and the keys that lead here.

    Parameters
    ----------
    seed : int
    keys : tuple
        Such as ``(phase, epoch, batch)``.

    Examples
    --------
    >>> Rng(0).at("train", 3).integer("negatives") == key(0, "train", 3, "negatives")
    True
    """

    seed: int
    keys: tuple[object, ...] = ()

    def at(self, *keys: object) -> Rng:
        """Return the place further down, at ``keys``."""
        return Rng(self.seed, (*self.keys, *keys))

    def integer(self, *keys: object) -> int:
        """Return the integer of this place, in [0, 2**63)."""
        return key(self.seed, *self.keys, *keys)

    def generator(self, *keys: object) -> torch.Generator:
        """Return a CPU ``torch.Generator`` of this place."""
        return generator(self.seed, *self.keys, *keys)
