"""The version of a reader: a digest of its code and of the code that it stands on."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path

_IMPORTS = re.compile(
    r"^[ \t]*(?:from[ \t]+(graphkit[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+(graphkit[\w.]*))",
    re.MULTILINE,
)
_ROOT = Path(__file__).resolve().parents[2]
#: Rooms whose code decides what a reader makes; what only finds, checks or names things decides nothing.
SHAPING = ("graphkit.data.", "graphkit.graphs.", "graphkit.core.random")
APART = ("graphkit.data.store", "graphkit.data.cards", "graphkit.data.dataset", "graphkit.data.loading")


def version(reader: Callable) -> str:
    """Return the SHA-256 in hex of the source of a reader's module and of all modules of ours it stands on.

    Parameters
    ----------
    reader : callable
        The registered function.

    Returns
    -------
    str
        Another one as soon as one of these files changes, which makes what was kept of that reader be made again.

    Examples
    --------
    >>> from graphkit.data.readers.tu import read_tu
    >>> len(version(read_tu))
    64
    """
    function = inspect.unwrap(reader)
    module = sys.modules.get(getattr(function, "__module__", ""), None)
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():  # made in a session or a frozen package: nothing to read
        return hashlib.sha256(repr(getattr(function, "__code__", function)).encode()).hexdigest()
    digest = hashlib.sha256()
    for path in stands_on(Path(file)):
        digest.update(_read(path) + b"\0")
    return digest.hexdigest()


def stands_on(path: Path) -> list[Path]:
    """Return a source file and all of ours that it imports, directly or not, whose code shapes graphs; sorted.

    >>> names = [path.name for path in stands_on(Path(__file__).with_name("readers") / "tu.py")]
    >>> {"tu.py", "tables.py", "raw.py", "collated.py", "build.py"} <= set(names), "store.py" in names
    (True, False)
    """
    found: dict[Path, None] = {path: None}
    waiting = [path]
    while waiting:
        for module in _imported(_read(waiting.pop()).decode("utf-8", errors="replace")):
            file = _file(module)
            if file is not None and file not in found:
                found[file] = None
                waiting.append(file)
    return sorted(found)


def _imported(text: str) -> list[str]:
    """Return the names of modules, or of things in modules, that a source imports from the rooms that shape graphs."""
    names = []
    for place, things, plain in _IMPORTS.findall(text):
        names += [plain] if plain else [place, *(f"{place}.{thing}" for thing in re.findall(r"\w+", things))]
    return [name for name in names if f"{name}.".startswith(SHAPING) and name not in APART]


@functools.cache
def _file(module: str) -> Path | None:
    """Return the source file of a module of ours, None if the name is no module's."""
    place = _ROOT.joinpath(*module.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


def _read(path: Path) -> bytes:
    return path.read_bytes()
