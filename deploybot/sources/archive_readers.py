"""Read the members of tar and zip files as streams. Also their headers are bounded, which tarfile reads whole."""

from __future__ import annotations

import calendar
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

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes. Raises RefusedMember beyond a limit."""
        if not 0 <= size <= _LONGEST_HEADER:
            raise RefusedMember("a header in it is too large")
        data = self._stream.read(size)
        self._at += len(data)
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
    # Only at its end does a gzip file show whether it is whole.
    while reader.read(_PIECE):
        pass


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
    name, shown = info.orig_filename, shown_name(info.orig_filename)
    if info.flag_bits & _ENCRYPTED:
        raise RefusedMember(f"{shown} is encrypted")
    if not name.isascii() and not info.flag_bits & _UTF8_NAME:
        raise RefusedMember(f"{shown} has a name that is not UTF-8")
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    form = stat.S_IFMT(mode)
    made = calendar.timegm((*info.date_time, 0, 0, 0))
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


def plain_member(file: IO[bytes], name: str) -> Iterator[ArchiveMember]:
    """Yield a file that is no archive. A program can be executed."""
    if "/" in name or name in {"", ".", ".."}:
        raise RefusedMember(f"{shown_name(name) or 'it'} is no name of a file")
    begins = file.read(4)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    executable = begins == b"\x7fELF" or begins.startswith(b"#!")
    yield ArchiveMember(name=name, kind="file", size=size, executable=executable, data=file)
