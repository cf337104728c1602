"""Read the members of tar and zip files as streams. Also their headers are bounded, which tarfile reads whole."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, cast

from deploybot.sources.archive_members import MOST_MEMBERS, ArchiveKind, ArchiveMember, RefusedMember, shown_name

_PIECE = 256 << 10
_LONGEST_HEADER = 1 << 20
_LONGEST_TARGET = 4096
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_UNIX = 3
_KINDS: Mapping[bytes, ArchiveKind] = {
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
}
_FIRST = dt.datetime(1980, 1, 1, tzinfo=dt.UTC)
_ARCHIVES = (
    (b"PK\x03\x04", "a zip file", ".zip"),
    (b"PK\x05\x06", "a zip file", ".zip"),
    (b"\x1f\x8b", "compressed with gzip", ".tar.gz"),
    (b"\xfd7zXZ\0", "compressed with xz", ""),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", ""),
    (b"BZh", "compressed with bzip2", ""),
)
"""How archives begin, what they are, and the ending that the bot reads them by."""
_ZIPPED_INSIDE = (".jar", ".war", ".ear", ".whl", ".egg", ".pyz", ".apk", ".aab", ".ipa", ".xpi", ".vsix", ".nupkg")
"""Endings of files that are archives inside, and are used as they are."""
_OVERHEAD = 2048
"""Bytes of headers and padding for a member of a tar."""


class BoundedReader(io.RawIOBase):
    """A stream that tarfile reads forward. One read has at most a MiB, and all of them together `most` bytes."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        """Take the stream, at its start."""
        super().__init__()
        self._stream = stream
        self._most = most
        self._at = 0
        self.last = b""
        """What the last read returned."""

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes. Raises RefusedMember beyond a limit."""
        if not 0 <= size <= _LONGEST_HEADER:
            raise RefusedMember("a header in it is too large")
        data = self._stream.read(size)
        self._at += len(data)
        self.last = data
        if self._at > self._most:
            raise RefusedMember("it unpacks to more than is allowed")
        return data

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Read on to an offset. Raises OSError for one that lies behind."""
        if whence != io.SEEK_SET or offset < self._at:
            raise OSError("the archive cannot be read backwards")
        while self._at < offset and self.read(min(_PIECE, offset - self._at)):
            pass
        return self._at

    def seekable(self) -> bool:
        """Return True, as tarfile wants."""
        return True


def tar_members(file: IO[bytes], *, most: int, zipped: bool) -> Iterator[ArchiveMember]:
    """Yield the members of a tar. The data of each has to be read before the next one."""
    stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb")) if zipped else file
    reader = BoundedReader(stream, most + MOST_MEMBERS * _OVERHEAD)
    with tarfile.open(fileobj=reader, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        while (info := tar.next()) is not None:
            yield _of_tar(tar, info)
            vars(tar)["members"].clear()  # it would remember each one
    # tarfile ends without an error at a header that is damaged or cut: only a block of zeros is the end.
    if len(reader.last) < tarfile.BLOCKSIZE or any(reader.last):
        raise RefusedMember("it is damaged or cut off: a header in it is not valid, or its end is missing")
    # Only at its end does a gzip file show whether it is whole.
    while piece := reader.read(_PIECE):
        if piece.count(0) != len(piece):
            raise RefusedMember("something follows its end, such as another tar")


def _of_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> ArchiveMember:
    kind = _KINDS.get(info.type, "file" if info.isreg() else "other")
    data = tar.extractfile(info) if kind == "file" else None
    return ArchiveMember(
        name=info.name,
        kind=kind,
        size=info.size if kind == "file" else 0,
        executable=bool(info.mode & stat.S_IXUSR),
        mtime=info.mtime,
        target=info.linkname if kind in {"link", "hard link"} else "",
        data=data,
    )


def zip_members(file: IO[bytes]) -> Iterator[ArchiveMember]:
    """Yield the members of a zip file."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            yield from _of_zip(archive, info)


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[ArchiveMember]:
    name = info.orig_filename if info.flag_bits & _UTF8_NAME else _unflagged(info.orig_filename)
    shown = shown_name(name)
    if info.flag_bits & _ENCRYPTED:
        raise RefusedMember(f"{shown} is encrypted")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise RefusedMember(f"{shown} is compressed by another method than deflate")
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    form = stat.S_IFMT(mode)
    made = _made(info)
    if info.is_dir():
        yield ArchiveMember(name=name, kind="folder", mtime=made)
    elif form == stat.S_IFLNK:
        if info.file_size > _LONGEST_TARGET:
            raise RefusedMember(f"{shown} is a link with a target that is too long")
        target = archive.read(info).decode("utf-8", "surrogateescape")
        yield ArchiveMember(name=name, kind="link", target=target, mtime=made)
    elif form not in {0, stat.S_IFREG}:
        yield ArchiveMember(name=name, kind="other")
    else:
        with archive.open(info) as data:
            yield ArchiveMember(
                name=name,
                kind="file",
                size=info.file_size,
                executable=bool(mode & stat.S_IXUSR),
                mtime=made,
                data=data,
            )
            if data.read(1):
                raise RefusedMember(f"{shown} is larger than it says")


def _unflagged(name: str) -> str:
    """Return a name that is not marked as UTF-8, but is: `zip` on Linux writes such ones. zipfile reads it as CP437."""
    return name.encode("cp437").decode("utf-8", "surrogateescape")


def _made(info: zipfile.ZipInfo) -> float:
    """Return when a member was made; a date that does not exist, such as an empty one, is the first of a zip file."""
    try:
        return dt.datetime(*info.date_time, tzinfo=dt.UTC).timestamp()
    except ValueError:
        return _FIRST.timestamp()


def plain_member(file: IO[bytes], name: str) -> Iterator[ArchiveMember]:
    """Yield a file that is no archive. A program can be executed. Raises RefusedMember for an archive."""
    if "/" in name or name in {"", ".", ".."}:
        raise RefusedMember(f"{shown_name(name) or 'it'} is no name of a file")
    begins = file.read(6)
    if not name.lower().endswith(_ZIPPED_INSIDE):
        _insist_on_no_archive(begins)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    executable = begins.startswith((b"\x7fELF", b"#!"))
    yield ArchiveMember(name=name, kind="file", size=size, executable=executable, data=file)


def _insist_on_no_archive(begins: bytes) -> None:
    for magic, what, ending in _ARCHIVES:
        if begins.startswith(magic) and ending:
            way = f"publish or upload it under a name with {ending}, or set `name` of the app's artifact"
            raise RefusedMember(f"it is {what}, but its name does not say so: {way}")
        if begins.startswith(magic):
            raise RefusedMember(f"it is {what}, and the bot unpacks .tar.gz, .tgz, .tar and .zip only")
