"""Pickled torch tensors, read without running what a pickle carries and each only when it is asked for."""

from __future__ import annotations

import io
import pickle
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphkit.core.errors import DataError, UnsafeFileError
from graphkit.data.unpickle import ALLOWED


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that a pickle describes: the bytes of its storage, and how to look at them."""

    storage: bytes
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def make(self, label: str = "pickle") -> Tensor:
        """Return the tensor.

        Raises
        ------
        UnsafeFileError
            If the storage's bytes ask for more than numbers.
        DataError
            If they are truncated, or smaller than the tensor.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, about the old form of storages
                held = torch.load(io.BytesIO(self.storage), map_location="cpu", weights_only=True)
                flat = torch.tensor([], dtype=held.dtype).set_(held)
            return flat.as_strided(self.size, self.stride, self.offset).clone()
        except pickle.UnpicklingError as error:
            raise UnsafeFileError(f"{label} holds a storage that is no plain numbers; nothing was executed") from error
        except Exception as error:  # a broken storage can raise nearly anything
            raise DataError(f"{label} holds a truncated tensor ({type(error).__name__})") from error


def _describe(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> LazyTensor:
    if not isinstance(storage, bytes):
        raise UnsafeFileError("holds a tensor without a storage of its own")
    return LazyTensor(storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _keep(data: Any) -> bytes:
    if not isinstance(data, bytes):
        raise UnsafeFileError("holds a storage that is no bytes")
    return data


class _Unpickler(pickle.Unpickler):
    """Knows plain containers, and tensors as descriptions of themselves."""

    def find_class(self, module: str, name: str) -> Any:
        stand_in = {
            ("torch._utils", "_rebuild_tensor_v2"): _describe,
            ("torch.storage", "_load_from_bytes"): _keep,
        }.get((module, name))
        if stand_in is not None:
            return stand_in
        if module not in ("builtins", "__builtin__", "collections") or name not in ALLOWED[module]:
            raise UnsafeFileError(f"asks for {module}.{name}, which is not on the allow-list; nothing was executed")
        return super().find_class(module, name)


def load_lazy(data: bytes, label: str) -> Any:
    """Unpickle plain containers whose tensors stay descriptions (:class:`LazyTensor`) until they are made.

    Parameters
    ----------
    data : bytes
        What ``pickle.dump`` wrote of tensors in containers (not ``torch.save``).
    label : str
        The file's name, for errors.

    Raises
    ------
    UnsafeFileError
        If the pickle asks for anything else; nothing of it was executed.
    DataError
        If it is truncated or no pickle at all.

    Examples
    --------
    >>> load_lazy(pickle.dumps([torch.arange(3)]), "a.pickle")[0].make().tolist()
    [0, 1, 2]
    """
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{label} {error}") from None
    except Exception as error:  # a broken pickle can raise nearly anything
        raise DataError(f"{label} is truncated or not a pickle ({type(error).__name__}: {error})") from error
