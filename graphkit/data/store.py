"""Raw files: looked for in the cache, then the mirror, then where they are published; checked before anyone reads them.

The cache is the folder ``GRAPHKIT_HOME`` (by default the user's cache folder), the mirror the folder or URL
``GRAPHKIT_MIRROR``; both lay raw files out as ``<family>/<dataset>/<file>``, the cache below ``raw/``. The cache
holds unpacked files only, each put in place by one rename after its checksum was right.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphkit.core.errors import ChecksumError, DataError, GraphKitError
from graphkit.data.cards import Card, FileEntry, Source
from graphkit.data.packed import gunzip, unpack
from graphkit.data.unpickle import check_member

ATTEMPTS = 3


def home() -> Path:
    """Return the cache folder: ``GRAPHKIT_HOME``, or the user's cache folder."""
    given = os.environ.get("GRAPHKIT_HOME")
    if given:
        return Path(given).expanduser()
    import pooch

    return Path(pooch.os_cache("graphkit"))


def mirror() -> str:
    """Return ``GRAPHKIT_MIRROR`` (a folder or a URL) or an empty string."""
    return os.environ.get("GRAPHKIT_MIRROR", "").rstrip("/")


def sha256(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hex.

    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def _is_url(place: str) -> bool:
    return "://" in place


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Make ``folder``, and turn an operating-system refusal to write there into one sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"the cache {home()} cannot be written ({error.strerror or error}); set GRAPHKIT_HOME to a folder "
            "that can, or GRAPHKIT_MIRROR to one that holds the raw files"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file beside ``path`` to write to, which takes its place at once when all went well.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    with _writing(path.parent):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            yield Path(name)
            os.chmod(name, 0o644)  # mkstemp's file is its owner's alone, but a cache may be shared
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_atomic(path: Path, data: bytes) -> Path:
    """Write ``data`` to a temporary file beside ``path`` and rename it into place.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(data)
    return path


@contextmanager
def locked(card: Card) -> Iterator[None]:
    """Hold the cache's lock of one dataset, so that two processes do not fetch it at once."""
    import filelock

    folder = home() / "locks"
    with _writing(folder):
        lock = filelock.FileLock(folder / f"{card.name.replace('/', '-')}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check(data: bytes, wanted: str, label: str, aside: str) -> None:
    """Compare the SHA-256 of ``data`` with ``wanted`` (empty: nothing to compare); keep wrong bytes aside.

    Raises
    ------
    ChecksumError
        If they differ; the bytes are kept in the cache's ``rejected/`` if it can be written.
    """
    if not wanted or sha256(data) == wanted:
        return
    kept = home() / "rejected" / f"{aside}.{sha256(data)[:12]}.rejected"
    try:
        where = f"kept aside as {write_atomic(kept, data)}"
    except DataError:
        where = "left where it is"
    raise ChecksumError(
        f"{label} does not have the checksum its card promises (SHA-256 {sha256(data)[:16]}..., expected "
        f"{wanted[:16]}...); it was {where} and not read"
    )


def download(url: str, folder: Path, quiet: bool = False) -> bytes:
    """Download ``url`` with pooch and return its bytes; a broken transfer starts again, up to three times.

    Raises
    ------
    DataError
        If it cannot be reached, or every attempt broke off.
    """
    import logging

    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    failure: Exception | None = None
    with _writing(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        for _ in range(ATTEMPTS):
            try:
                path = pooch.retrieve(
                    url, known_hash=None, fname="file", path=scratch, downloader=_downloader(url, quiet)
                )
                return Path(path).read_bytes()
            except (OSError, ValueError) as error:  # requests' errors are OSErrors
                failure = error
                if getattr(getattr(error, "response", None), "status_code", 0) in (401, 403, 404, 410):
                    break
    reason = (
        "its host cannot be reached" if "NameResolution" in str(failure) else f"{type(failure).__name__}: {failure}"
    )
    raise DataError(f"{url} cannot be downloaded ({reason:.160})")


def _downloader(url: str, quiet: bool):
    import sys

    import pooch

    if not url.startswith(("http://", "https://")):
        return None
    bar = not quiet and sys.stderr.isatty()
    return pooch.HTTPDownloader(progressbar=bar, timeout=60)


class Files:
    """Raw files that a reader may ask for by their published names, already checked and unpacked.

    Parameters
    ----------
    root : path
        A folder of the user's own files, read without checksums; a name also finds ``name.gz``.

    Raises
    ------
    DataError
        If ``root`` is no folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise DataError(f"{self.root} is not a folder of raw files")
        #: SHA-256 of every file read so far, by name.
        self.checksums: dict[str, str] = {}

    def names(self) -> list[str]:
        """Return the names of all files, without ``.gz``, relative to the root and sorted."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())
        return sorted({name.removesuffix(".gz") for name in found})

    def has(self, name: str) -> bool:
        """Say whether the file is there."""
        return (self.root / name).is_file() or (self.root / f"{name}.gz").is_file()

    def label(self, name: str) -> str:
        """Return what to call the file in an error."""
        plain = self.root / name
        return str(plain if plain.is_file() else self.root / f"{name}.gz" if self.has(name) else plain)

    def read(self, name: str) -> bytes:
        """Return the unpacked bytes of a file.

        Raises
        ------
        DataError
            If it is missing, or its gzip ends early.
        """
        check_member(name, str(self.root))
        if not self.has(name):
            raise DataError(f"{self.root / name} is missing")
        path = Path(self.label(name))
        data = path.read_bytes()
        if path.name != Path(name).name:
            data = gunzip(data, str(path))
        self.checksums[name] = sha256(data)
        return data


class CardFiles(Files):
    """The files of a card, from the cache, the mirror or their URLs.

    Parameters
    ----------
    card : Card
    verify : bool
        With False, a file without any checksum is accepted; its SHA-256 is recorded in the cache beside it.
    """

    def __init__(self, card: Card, verify: bool = True) -> None:
        self.card, self.verify = card, verify
        self.checksums: dict[str, str] = {}
        #: Files that nothing vouches for, with the SHA-256 they turned out to have.
        self.unverified: dict[str, str] = {}
        self._entries = {entry.name: entry for entry in card.files}
        self._contents: dict[str, bytes | None] = {}
        self._archives: dict[str, bytes] = {}

    @property
    def place(self) -> str:
        """The folder of the dataset, relative to a mirror."""
        return f"{self.card.family}/{self.card.dataset}"

    @property
    def cached(self) -> Path:
        """The folder of the dataset in the cache."""
        return home() / "raw" / self.card.family / self.card.dataset

    def names(self) -> list[str]:
        """Return the names of the card's files, without optional ones that no source has."""
        return sorted(name for name, entry in self._entries.items() if not entry.optional or self.has(name))

    def has(self, name: str) -> bool:
        """Say whether the card lists the file and, if it is optional, a source has it."""
        entry = self._entries.get(name)
        return entry is not None and (not entry.optional or self._content(entry) is not None)

    def label(self, name: str) -> str:
        """Return what to call the file in an error."""
        return f"{self.place}/{name}"

    def read(self, name: str) -> bytes:
        """Return the checked, unpacked bytes of a file."""
        entry = self._entries.get(name)
        content = None if entry is None else self._content(entry)
        if content is None:
            raise DataError(f"the card of {self.card.name} lists no file {name}")
        self.checksums[name] = sha256(content)
        return content

    def _content(self, entry: FileEntry) -> bytes | None:
        if entry.name not in self._contents:
            self._require_checksum(entry)
            if self._known_absent(entry):
                return None
            content = self._from_cache(entry)
            if content is None:
                content = self._from_mirror_folder(entry)
            if content is None:
                with locked(self.card):
                    content = self._from_cache(entry)  # another process may have been faster
                    if content is None:
                        content = self._from_urls(entry)
            self._contents[entry.name] = content
        return self._contents[entry.name]

    def stamp(self, entry: FileEntry) -> str:
        """Return what tells whether a file that the card does not vouch for has changed; empty if it is not at hand.

        Its recorded SHA-256 or its size and time of change, where the cache or the mirror folder has it.
        """
        if self.verify:
            return ""
        if self._known_absent(entry):
            return "absent"
        path = self.cached / entry.name
        recorded = path.with_name(f"{path.name}.sha256")
        if path.is_file() and recorded.is_file():
            return recorded.read_text().strip()
        beside = None if not mirror() or _is_url(mirror()) else Path(mirror()).expanduser() / self.place
        places = [] if beside is None else [beside / source.mirror for source in entry.sources if source.mirror]
        for place in (path, *places):
            if place.is_file():
                found = place.stat()
                return f"{found.st_size} bytes at {found.st_mtime_ns}"
        return ""

    def _known_absent(self, entry: FileEntry) -> bool:
        """Say whether an optional file is known to be no part of the dataset, so that nobody asks the network again."""
        if not entry.optional or (self.cached / entry.name).is_file():
            return False
        beside = Path(mirror()).expanduser() / self.place if mirror() and not _is_url(mirror()) else None
        if beside is not None and beside.is_dir():
            return not any(source.mirror and (beside / source.mirror).is_file() for source in entry.sources)
        return (self.cached / f"{entry.name}.absent").is_file()

    def _require_checksum(self, entry: FileEntry) -> None:
        if self.verify and not entry.sha256 and not any(s.sha256 or s.content_sha256 for s in entry.sources):
            raise ChecksumError(
                f"nothing vouches for {self.label(entry.name)}: its card has no checksum; "
                "pass verify=False to load it all the same"
            )

    def _from_cache(self, entry: FileEntry) -> bytes | None:
        path = self.cached / entry.name
        if not path.is_file():
            return None
        data = path.read_bytes()
        recorded = path.with_name(path.name + ".sha256")
        expected = {entry.sha256, *(s.content_sha256 for s in entry.sources)} - {""}
        if not expected and recorded.is_file():
            expected = {recorded.read_text().strip()}
        if not expected:
            self.unverified[entry.name] = sha256(data)
        if not expected or sha256(data) in expected:
            return data
        with _writing(path.parent):
            os.replace(path, path.with_name(path.name + ".rejected"))
        return None

    def _from_mirror_folder(self, entry: FileEntry) -> bytes | None:
        if not mirror() or _is_url(mirror()):
            return None
        folder = Path(mirror()).expanduser() / self.card.family / self.card.dataset
        for source in entry.sources:
            path = folder / source.mirror
            if source.mirror and path.is_file():
                return self._accept(path.read_bytes(), entry, source, str(path))
        return None

    def _accept(self, data: bytes, entry: FileEntry, source: Source, label: str) -> bytes | None:
        """Check bytes as stored, unpack them, check what came out."""
        aside = f"{self.place}/{Path(source.mirror or source.url).name}"
        check(data, source.sha256, label, aside)
        content = unpack(data, entry, source, label)
        if content is None:
            return None
        check(content, source.content_sha256 or entry.sha256, f"{label} (unpacked {entry.name})", aside)
        if not (entry.sha256 or source.sha256 or source.content_sha256):
            if self.verify:
                raise ChecksumError(
                    f"nothing vouches for {label}: the card has no checksum of this source; "
                    "pass verify=False to load it all the same"
                )
            self.unverified[entry.name] = sha256(content)
        return content

    def _urls(self, entry: FileEntry) -> Iterator[tuple[str, Source]]:
        for source in entry.sources:
            if source.mirror and _is_url(mirror()):
                yield f"{mirror()}/{self.place}/{source.mirror}", source
            elif source.url:
                yield source.url, source

    def _from_urls(self, entry: FileEntry) -> bytes | None:
        failures: list[GraphKitError] = []
        for url, source in self._urls(entry):
            try:
                data = self._archives.get(url) or download(url, home() / "downloads")
                if source.member:  # the archive serves the dataset's other files too
                    self._archives[url] = data
                content = self._accept(data, entry, source, url)
            except DataError as error:
                failures.append(error)
                continue
            if content is None:
                write_atomic(self.cached / f"{entry.name}.absent", b"")
                return None
            write_atomic(self.cached / entry.name, content)
            if entry.name in self.unverified:
                write_atomic(self.cached / f"{entry.name}.sha256", sha256(content).encode())
            return content
        wrong = [error for error in failures if isinstance(error, ChecksumError)]
        if wrong:
            raise wrong[0]
        said = "; ".join(map(str, failures)) or "its card names no address"
        raise DataError(
            f"{self.label(entry.name)} is in neither the cache {home()} nor the mirror {mirror() or '(none set)'}, "
            f"and {said}"
        )
