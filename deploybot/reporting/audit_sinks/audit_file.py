"""Export the audit to a file, one line per row. Other programs may rotate it by renaming, or copying and truncating.

The file is opened by name for each batch and only appended to, so it may be append-only (`chattr +a`). A line that was
cut off (full disk, killed process) stays as it is. The same row is then written again on a new line.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploybot.domain import AuditRow
from deploybot.errors import Unreachable, system_words
from deploybot.ports import ChatFinding
from deploybot.reporting.audit_sinks.audit_sink import Reached, in_thread

AGAIN = 1_000
"""Number of rows written again to a truncated file. Some may have been added between the copy and the truncation."""
LEAST_FREE = 1 << 20
_WITHIN = 12.0
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Disk:
    """How bytes come to a file, and from there to the disk."""

    def write(self, descriptor: int, data: bytes) -> tuple[int, OSError | None]:
        """Write as much as fits. Return the number of bytes written, and the error that stopped it."""
        written = 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError as error:
            return written, error
        return written, None

    def sync(self, descriptor: int) -> None:
        """Wait until the disk has all of a file or folder, if its file system can tell."""
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # a file system without fsync
                raise


class FileSink:
    """A sink that appends to a file. The file proves nothing if anyone else can write to it."""

    def __init__(self, path: Path, *, within: float = _WITHIN, disk: Disk | None = None) -> None:
        """Take the path. The file is created with the first row, for its owner alone.

        `within` is how long a batch may take, in seconds.
        """
        self._path = path
        self._within = within
        self._disk = disk or Disk()
        self._writing: asyncio.Future[Reached] | None = None

    @property
    def name(self) -> str:
        """Return `file PATH`."""
        return f"file {self._path}"

    async def send(self, rows: Sequence[AuditRow], mark: str) -> Reached:
        """Append rows and wait until they are on disk."""
        if self._writing is not None:
            # The disk hung during the last batch. Its rows are written again: two threads could not keep the order.
            await self._wait(self._writing)
        self._writing = in_thread(lambda: _append(self._path, rows, mark, self._disk))
        return await self._wait(self._writing)

    async def _wait(self, writing: asyncio.Future[Reached]) -> Reached:
        try:
            async with asyncio.timeout(self._within):
                return await asyncio.shield(writing)
        except OSError as error:  # also TimeoutError
            raise self._unreachable(error) from error
        finally:
            if writing.done():
                self._writing = None

    def _unreachable(self, error: OSError) -> Unreachable:
        why = system_words(error) if error.errno else f"the disk has not answered for {self._within:g} s"
        return Unreachable(self.name, why, hint=_hint(error, self._path))

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Check that this user can write or create the file, and that the disk has space."""
        try:
            async with asyncio.timeout(self._within):
                found = await in_thread(lambda: _look(self._path))
        except OSError as error:  # also TimeoutError
            raise self._unreachable(error) from error
        yield found

    async def close(self) -> None:
        """Do nothing: no file stays open."""


_DISK = "Check this machine's disk."


def _hint(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"Free space on the disk of {path}. Rows wait until then, and none is lost."
        case errno.ENOENT | errno.ENOTDIR:
            return f"Create its folder for the bot's user: `install -d -m 700 -o USER {path.parent}`."
        case errno.EACCES | errno.EPERM:
            return "Check that the bot's user may read it and append to it."
        case errno.ELOOP:
            return "It is a link: set the path of its target."
        case errno.ENXIO | errno.EINVAL:
            return "Set the path of a file. For other destinations, use syslog or a call."
        case _:
            return _DISK


def _look(path: Path) -> ChatFinding:
    """Return the finding for `deploybot check` without creating anything. Raises OSError for a problem."""
    if os.path.lexists(path):
        descriptor = _open(path)
        os.close(descriptor)
    elif not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
    state = os.statvfs(path.parent)
    if state.f_bavail * state.f_frsize < LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return ChatFinding("writable", f"{path}" if path.exists() else f"{path}, created with the first row")


def _open(path: Path, more: int = 0) -> int:
    descriptor = os.open(path, _FLAGS | more, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    return descriptor


@dataclass(frozen=True, slots=True)
class _Mark:
    """Identifies a file: its inode, and its size in bytes."""

    inode: int = 0
    size: int = 0

    @classmethod
    def read(cls, text: str) -> _Mark:
        inode, _, size = text.partition(":")
        return cls(int(inode), int(size)) if inode.isdecimal() and size.isdecimal() else cls()

    def __str__(self) -> str:
        return f"{self.inode}:{self.size}"


def _append(path: Path, rows: Sequence[AuditRow], mark: str, disk: Disk) -> Reached:
    """Append as many rows as fit on the disk. Raises OSError if not even the first one fits."""
    descriptor = _open(path, os.O_CREAT)
    try:
        before, first = os.fstat(descriptor), rows[0].number
        last = _Mark.read(mark)
        if before.st_ino == last.inode and before.st_size < last.size:
            return Reached(max(first - 1 - AGAIN, 0), str(_Mark(before.st_ino, before.st_size)))
        start = b"" if _ends_a_line(descriptor, before.st_size) else b"\n"
        lines = [row.line().encode() + b"\n" for row in rows]
        written, problem = disk.write(descriptor, start + b"".join(lines))
        disk.sync(descriptor)
        if not before.st_size:
            _sync_folder(path.parent, disk)
        after = os.fstat(descriptor)
        if not _is_still(path, after) or after.st_size < before.st_size + written:
            # Renamed or truncated during this write, so the copy may lack these rows.
            return Reached(first - 1, "")
    finally:
        os.close(descriptor)
    taken = _whole(lines, written - len(start))
    if not taken and problem is not None:
        raise problem
    return Reached(rows[taken - 1].number if taken else first - 1, str(_Mark(after.st_ino, after.st_size)))


def _ends_a_line(descriptor: int, size: int) -> bool:
    return not size or os.pread(descriptor, 1, size - 1) == b"\n"


def _whole(lines: Sequence[bytes], written: int) -> int:
    """Return how many complete lines fit in `written` bytes."""
    for count, line in enumerate(lines):
        written -= len(line)
        if written < 0:
            return count
    return len(lines)


def _is_still(path: Path, file: os.stat_result) -> bool:
    """Return whether the path still leads to this file."""
    with suppress(OSError):
        there = path.stat(follow_symlinks=False)
        return (there.st_dev, there.st_ino) == (file.st_dev, file.st_ino)
    return False


def _sync_folder(folder: Path, disk: Disk) -> None:
    """Sync the folder, so that a new file survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
