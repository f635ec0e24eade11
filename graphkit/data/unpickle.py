"""Reading pickles and object arrays of published datasets without running what they carry."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np

from graphkit.core.errors import DataError, UnsafeFileError

_CONTAINERS = ("dict", "list", "set", "frozenset", "tuple", "int", "float", "complex", "bool", "str", "bytes")
_RECONSTRUCT = ("_reconstruct", "scalar", "_frombuffer")
_SPARSE = tuple(
    f"{kind}_{form}" for kind in ("csr", "csc", "coo", "lil", "dia", "bsr", "dok") for form in ("matrix", "array")
)

#: Everything that a pickle may name, by module. numpy's and scipy's old module paths lead to today's.
ALLOWED: dict[str, tuple[str, ...]] = {
    "builtins": (*_CONTAINERS, "bytearray", "slice", "range"),
    "__builtin__": (*_CONTAINERS, "unicode", "long", "bytearray", "slice", "xrange"),
    "collections": ("OrderedDict", "defaultdict", "deque", "Counter"),
    "copyreg": ("_reconstructor",),
    "copy_reg": ("_reconstructor",),
    "_codecs": ("encode",),
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": _RECONSTRUCT,
    "numpy._core.multiarray": _RECONSTRUCT,
    "numpy.core.numeric": _RECONSTRUCT,
    "numpy._core.numeric": _RECONSTRUCT,
    "scipy.sparse": _SPARSE,
    **{f"scipy.sparse.{kind}": _SPARSE for kind in ("csr", "csc", "coo", "lil", "dia", "bsr", "dok")},
    **{f"scipy.sparse._{kind}": _SPARSE for kind in ("csr", "csc", "coo", "lil", "dia", "bsr", "dok")},
}
_RENAMED = {"unicode": "str", "long": "int", "xrange": "range"}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in ALLOWED.get(module, ()):
            raise UnsafeFileError(f"asks for {module}.{name}, which is not on the allow-list; nothing was executed")
        if module.startswith("scipy.sparse"):
            import scipy.sparse

            return getattr(scipy.sparse, name)
        if module in ("numpy.core.multiarray", "numpy.core.numeric"):
            module = module.replace("numpy.core", "numpy._core")
        if module in ("__builtin__", "copy_reg"):
            module, name = {"__builtin__": "builtins", "copy_reg": "copyreg"}[module], _RENAMED.get(name, name)
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafeFileError(f"refers to an outside object ({pid!r:.60}), which is not allowed")


def loads(data: bytes, label: str = "pickle", encoding: str = "latin1") -> Any:
    """Unpickle ``data`` with numpy, scipy.sparse and plain containers as the only things it may name.

    Parameters
    ----------
    data : bytes
    label : str
        What to call the file in an error.
    encoding : str
        For the byte strings of Python 2; ``latin1`` is what numpy's need.

    Raises
    ------
    UnsafeFileError
        If it names anything else; nothing of it was executed.
    DataError
        If it is truncated or no pickle at all.

    Examples
    --------
    >>> loads(pickle.dumps({"a": [1, 2]}))
    {'a': [1, 2]}
    """
    try:
        return _Unpickler(io.BytesIO(data), encoding=encoding).load()
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{label} {error}") from None
    except Exception as error:  # a broken pickle can raise nearly anything
        raise DataError(f"{label} is truncated or not a pickle ({type(error).__name__}: {error})") from error


def load_npz(data: bytes, label: str = "npz") -> dict[str, Any]:
    """Read all arrays of an ``.npz``; object arrays go through the allow-list of :func:`loads`.

    Raises
    ------
    UnsafeFileError
        If an object array names anything off the allow-list, or a member's path leaves the archive.
    DataError
        If the archive is truncated or a member is no array.

    Examples
    --------
    >>> buffer = io.BytesIO(); np.savez(buffer, a=np.arange(2))
    >>> load_npz(buffer.getvalue())["a"].tolist()
    [0, 1]
    """
    arrays: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                check_member(member, label)
                arrays[member.removesuffix(".npy")] = _load_npy(archive.read(member), f"{label}:{member}")
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{label} is truncated or not an npz archive ({error})") from error
    return arrays


def _load_npy(data: bytes, label: str) -> Any:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
        if not dtype.hasobject:
            return np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{label} is not an array ({error})") from error
    return np.asarray(loads(stream.read(), label), dtype=object).reshape(shape)


def check_member(member: str, label: str) -> str:
    """Return a member's path if it stays inside its archive.

    Raises
    ------
    UnsafeFileError
        If the path is absolute or climbs out with ``..``.

    >>> check_member("MUTAG/MUTAG_A.txt", "MUTAG.zip")
    'MUTAG/MUTAG_A.txt'
    """
    parts = member.replace("\\", "/").split("/")
    if member.startswith(("/", "\\")) or ".." in parts or (parts[0][1:2] == ":"):
        raise UnsafeFileError(f"{label} holds the member {member!r}, whose path leaves the archive")
    return member
