"""The audit as lines of a file, which others may rotate: by renaming it, or by copying and truncating it.

The file is opened for each batch, by its name, and only ever appended to, so it may be append-only (`chattr +a`). A
line that was cut off (a full disk, a kill) stays as it is: the next line begins on its own, with the same row.
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
"""So many rows are written again into a file that was truncated: some may have come between the copy and the cut."""
LEAST_FREE = 1 << 20
_WITHIN = 12.0
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class FileSink:
    """A file. Nobody else may write to it, or it proves nothing."""

    def __init__(self, path: Path) -> None:
        """Take the path; the file is made with the first row, for its owner alone."""
        self._path = path
        self._writing: asyncio.Future[Reached] | None = None

    @property
    def name(self) -> str:
        """`file PATH`."""
        return f"file {self._path}"

    async def send(self, rows: Sequence[AuditRow], mark: str) -> Reached:
        """Append rows, and wait until the disk has them."""
        if self._writing is not None:
            # The disk hung in the last batch. What that wrote is written again: two threads could not keep an order.
            await self._wait(self._writing)
        self._writing = in_thread(lambda: _append(self._path, rows, mark))
        return await self._wait(self._writing)

    async def _wait(self, writing: asyncio.Future[Reached]) -> Reached:
        try:
            async with asyncio.timeout(_WITHIN):
                return await asyncio.shield(writing)
        except OSError as error:  # also TimeoutError
            raise self._unreachable(error) from error
        finally:
            if writing.done():
                self._writing = None

    def _unreachable(self, error: OSError) -> Unreachable:
        why = system_words(error) if error.errno else f"the disk has not answered for {_WITHIN:g} s"
        return Unreachable(self.name, why, hint=_hint(error, self._path))

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Say whether the file, or one in its folder, could be written by this user, and whether there is room."""
        try:
            async with asyncio.timeout(_WITHIN):
                found = await in_thread(lambda: _look(self._path))
        except OSError as error:  # also TimeoutError
            raise self._unreachable(error) from error
        yield found

    async def close(self) -> None:
        """Nothing stays open."""


_DISK = "See what the disk of this machine does."


def _hint(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"Make room where {path} is: rows wait meanwhile, and none is lost."
        case errno.ENOENT | errno.ENOTDIR:
            return f"Make its folder for the user the bot runs as: `install -d -m 700 -o USER {path.parent}`."
        case errno.EACCES | errno.EPERM:
            return "See that the user the bot runs as may read and append to it."
        case errno.ELOOP:
            return "It is a link: give the path that it leads to."
        case errno.ENXIO | errno.EINVAL:
            return "Give the path of a file: for anything else there is syslog, or a call."
        case _:
            return _DISK


def _look(path: Path) -> ChatFinding:
    """What `deploybot check` tells; nothing is made."""
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
    return ChatFinding("writable", f"{path}" if path.exists() else f"{path}, made with the first row")


def _open(path: Path, more: int = 0) -> int:
    descriptor = os.open(path, _FLAGS | more, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    return descriptor


@dataclass(frozen=True, slots=True)
class _Mark:
    """Which file it was, by its inode, and how long."""

    inode: int = 0
    size: int = 0

    @classmethod
    def read(cls, text: str) -> _Mark:
        inode, _, size = text.partition(":")
        return cls(int(inode), int(size)) if inode.isdecimal() and size.isdecimal() else cls()

    def __str__(self) -> str:
        return f"{self.inode}:{self.size}"


def _append(path: Path, rows: Sequence[AuditRow], mark: str) -> Reached:
    """Append as many rows as there is room for. Raises OSError where there is none for the first."""
    descriptor = _open(path, os.O_CREAT)
    try:
        before, first = os.fstat(descriptor), rows[0].number
        last = _Mark.read(mark)
        if before.st_ino == last.inode and before.st_size < last.size:
            return Reached(max(first - 1 - AGAIN, 0), str(_Mark(before.st_ino, before.st_size)))
        start = b"" if _ends_a_line(descriptor, before.st_size) else b"\n"
        lines = [row.line().encode() + b"\n" for row in rows]
        written, problem = _write(descriptor, start + b"".join(lines))
        _sync(descriptor)
        if not before.st_size:
            _sync_folder(path.parent)
        after = os.fstat(descriptor)
        if not _is_still(path, after) or after.st_size < before.st_size + written:
            # Renamed or cut while this was written: whoever did that may not have it.
            return Reached(first - 1, "")
    finally:
        os.close(descriptor)
    taken = _whole(lines, written - len(start))
    if not taken and problem is not None:
        raise problem
    return Reached(rows[taken - 1].number if taken else first - 1, str(_Mark(after.st_ino, after.st_size)))


def _ends_a_line(descriptor: int, size: int) -> bool:
    return not size or os.pread(descriptor, 1, size - 1) == b"\n"


def _write(descriptor: int, data: bytes) -> tuple[int, OSError | None]:
    """Write what there is room for; how many bytes that were, and why not all."""
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError as error:
        return written, error
    return written, None


def _whole(lines: Sequence[bytes], written: int) -> int:
    """How many lines are whole in so many bytes."""
    for count, line in enumerate(lines):
        written -= len(line)
        if written < 0:
            return count
    return len(lines)


def _is_still(path: Path, file: os.stat_result) -> bool:
    """Whether the path leads to this very file."""
    with suppress(OSError):
        there = path.stat(follow_symlinks=False)
        return (there.st_dev, there.st_ino) == (file.st_dev, file.st_ino)
    return False


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # a file system that has no such thing
            raise


def _sync_folder(folder: Path) -> None:
    """So that a new file is there after a power failure, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
