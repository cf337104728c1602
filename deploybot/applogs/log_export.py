"""Write all lines of a log to a compressed file: streamed, masked, bounded in size and time, for its owner only."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploybot.errors import UserError

MOST_BYTES = 1_000_000_000
"""The most bytes in one file, before compression."""
LEAVE_FREE = 200_000_000
"""Bytes to leave free on the bot's disk."""
KEPT = 20
"""How many files to keep: the chat has its own copy once a file was sent."""
_FLUSH = 524_288
_LEVEL = 2


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was written. `whole` is False if it was cut off at the limit."""

    path: Path
    lines: int
    raw: int
    size: int
    whole: bool


async def export(
    path: Path, blocks: AsyncIterator[bytes], *, most: int = MOST_BYTES, leave: int = LEAVE_FREE
) -> Export:
    """Write blocks of whole lines to a new gzip file (RFC 1952); if that fails, leave nothing of it behind.

    The file ends after `most` bytes before compression. Raises UserError if less than `leave` bytes would stay free.
    """
    try:
        writer = await asyncio.to_thread(_ExportWriter, path, most, leave)
        try:
            await _fill(writer, blocks)
            return await asyncio.to_thread(writer.close)
        except BaseException:
            writer.discard()
            raise
    except OSError as problem:
        raise UserError(f"The log could not be written: {problem.strerror}.", hint=_ROOM) from problem


async def _fill(writer: _ExportWriter, blocks: AsyncIterator[bytes]) -> None:
    """Collect lines while the lines collected before are compressed."""
    flushing = asyncio.get_running_loop().create_future()
    flushing.set_result(None)
    try:
        async for block in blocks:
            if writer.add(block):
                await flushing
                if writer.full:
                    break
                flushing = asyncio.ensure_future(asyncio.to_thread(writer.flush, writer.take()))
    finally:
        await asyncio.wait([flushing])
    await flushing


_ROOM = "Free space on the bot's disk, or ask for fewer lines."


class _ExportWriter:
    """Collects lines, then compresses and writes them in blocks of at least 512 KiB."""

    def __init__(self, path: Path, most: int, leave: int) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(path.parent)
        _check_room(path.parent, leave)
        self._path = path
        self._most = most
        self._leave = leave
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: IO[bytes] = os.fdopen(handle, "wb")
        self._gzip = gzip.GzipFile(fileobj=self._file, mode="wb", filename=path.stem, compresslevel=_LEVEL)
        self._waiting: list[bytes] = []
        self._size = 0
        self._lines = 0
        self._raw = 0

    @property
    def full(self) -> bool:
        """Return whether the limit is exceeded."""
        return self._raw > self._most

    def add(self, block: bytes) -> bool:
        """Add whole lines; return whether enough of them wait to be written."""
        self._waiting.append(block)
        self._lines += block.count(b"\n")
        self._size += len(block)
        return self._size >= _FLUSH

    def take(self) -> bytes:
        """Return and clear what waits to be written."""
        block = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        return block

    def flush(self, block: bytes) -> None:
        """Compress and write a block; blocking."""
        _check_room(self._path.parent, self._leave)
        self._gzip.write(block)
        self._raw += len(block)

    def close(self) -> Export:
        """Write the rest; blocking."""
        whole = not self.full
        self.flush(self.take())
        self._gzip.close()
        self._file.close()
        return Export(self._path, self._lines, self._raw, self._path.stat().st_size, whole)

    def discard(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)
        # Close gzip first: left open, it would write to the closed file when garbage-collected.
        with suppress(OSError), self._file:
            self._gzip.close()


def _make_room(folder: Path) -> None:
    """Delete all but the newest files."""
    files = sorted(folder.glob("*.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in files[KEPT - 1 :]:
        old.unlink(missing_ok=True)


def _check_room(folder: Path, leave: int) -> None:
    if shutil.disk_usage(folder).free < leave:
        raise UserError("The bot's disk has no space for a log.", hint=_ROOM)
