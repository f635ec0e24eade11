"""The one error a user meets: a clear sentence, with the nearest valid choice where there is one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GraphKitError(ValueError):
    """Bad input, told in one sentence: what came, what was expected, the nearest valid choice."""


class UnknownNameError(GraphKitError):
    """A name that is not registered; the message suggests the nearest one that is."""


class AmbiguousNameError(UnknownNameError):
    """A name that several things share; the message lists them all."""


class DataError(GraphKitError):
    """A file or table that cannot be read as what it claims to be; the message names file and line."""


class ChecksumError(DataError):
    """A file whose bytes are not the ones its card promises; the file is kept aside."""


class UnsafeFileError(DataError):
    """A pickle that asks for something off the allow-list; nothing in it was executed."""


class MissingExtraError(GraphKitError, ImportError):
    """An optional package that the request needs; the message says how to install it."""


def nearest(name: str, choices: Iterable[str], n: int = 1) -> list[str]:
    """Return up to ``n`` of ``choices`` that look most like ``name``, best first.

    >>> nearest("coar", ["cora", "pubmed"])
    ['cora']
    """
    by_lower = {str(choice).lower(): str(choice) for choice in choices}
    close = difflib.get_close_matches(str(name).lower(), list(by_lower), n=n, cutoff=0.4)
    return [by_lower[match] for match in close]


def unknown(kind: str, name: object, choices: Iterable[str]) -> UnknownNameError:
    """Build the error for an unknown name, with the nearest valid name or all of a short list.

    >>> str(unknown("reduce", "avg", ["sum", "mean"]))
    "unknown reduce 'avg'; expected one of: mean, sum"
    >>> str(unknown("dataset", "coar", ["cora", "pubmed", "citeseer", "mutag", "nations", "digits", "karate"]))
    "unknown dataset 'coar'; did you mean 'cora'?"
    """
    choices = sorted(set(map(str, choices)))
    if len(choices) <= 6:
        return UnknownNameError(f"unknown {kind} {name!r}; expected one of: {', '.join(choices)}")
    close = nearest(str(name), choices)
    hint = f"did you mean {close[0]!r}?" if close else f"{len(choices)} are known, such as {choices[0]!r}"
    return UnknownNameError(f"unknown {kind} {name!r}; {hint}")


def require(module: str, extra: str, purpose: str):
    """Import an optional module, or say which extra to install.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    extra : str
        The extra of GraphKit that brings it, such as ``"chem"``.
    purpose : str
        What needs it, as the subject of the sentence.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{purpose} needs {package}, which is not installed; pip install 'graphkit[{extra}]'"
        ) from error
