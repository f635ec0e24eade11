"""Unpacking gzip and archives, which may end early, lack a member, or hold one whose path leads elsewhere."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib

from graphkit.core.errors import DataError
from graphkit.data.cards import FileEntry, Source
from graphkit.data.unpickle import check_member


def gunzip(data: bytes, label: str) -> bytes:
    """Unpack gzip (of several members too).

    Raises
    ------
    DataError
        If the stream ends early or is not gzip.

    >>> import gzip
    >>> gunzip(gzip.compress(b"abc"), "a.gz")
    b'abc'
    """
    out, rest = [], data
    try:
        while rest:
            unpacker = zlib.decompressobj(wbits=31)
            out.append(unpacker.decompress(rest))
            if not unpacker.eof:
                raise DataError(f"{label} ends early: it is truncated gzip")
            rest = unpacker.unused_data
            if rest and not rest.strip(b"\0"):
                break
    except zlib.error as error:
        raise DataError(f"{label} is not sound gzip ({error})") from error
    return b"".join(out)


def unpack(data: bytes, entry: FileEntry, source: Source, label: str) -> bytes | None:
    """Return the entry's content from the bytes a source holds; None if an archive lacks an optional member.

    Raises
    ------
    DataError
        If the archive is truncated, or lacks the member.
    UnsafeFileError
        If the member's path leaves the archive.
    """
    stored = source.mirror or source.url
    if source.member:
        return _member(data, entry, source, label)
    if stored.endswith(".gz") and not entry.name.endswith(".gz"):
        return gunzip(data, label)
    return data


def _member(data: bytes, entry: FileEntry, source: Source, label: str) -> bytes | None:
    wanted = check_member(source.member, label)
    try:
        if source.url.endswith(".zip") or data.startswith(b"PK"):  # some addresses end in a query
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                found = {name.replace("//", "/"): name for name in archive.namelist()}
                content = archive.read(found[wanted]) if wanted in found else None
        else:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                found = {member.name.removeprefix("./"): member for member in archive.getmembers() if member.isfile()}
                stream = archive.extractfile(found[wanted]) if wanted in found else None
                content = None if stream is None else stream.read()
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{label} is truncated or not an archive ({error})") from error
    if content is None and not entry.optional:
        raise DataError(f"{label} holds no {wanted}")
    if content is not None and wanted.endswith(".gz") and not entry.name.endswith(".gz"):
        return gunzip(content, f"{label}:{wanted}")
    return content
