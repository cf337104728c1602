"""Write the bytes of an upload to disk as they arrive. They stay, so an upload can go on where it broke off."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploybot.errors import UploadRefused, UserError, system_words
from deploybot.ports import ArtifactUpload

_PIECE = 1 << 20
_CONFLICT = 409
_TOO_LONG = 400


@asynccontextmanager
async def received(part: Path, upload: ArtifactUpload, offset: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[int]:
    """Append to `part` and yield its size. No other upload of the app is taken until the block ends.

    An upload that begins at 0 begins anew. Raises UploadRefused for any other offset than the end of what is there.
    """
    with _alone(part.parent / ".lock"):
        there = await asyncio.to_thread(_begin, part, offset)
        if there != offset:
            raise UploadRefused(
                f"{there} bytes of {upload.name} are here, so it goes on there, not at {offset}.",
                status=_CONFLICT,
                offset=there,
            )
        yield await _append(part, upload, there, pieces)


async def _append(part: Path, upload: ArtifactUpload, there: int, pieces: AsyncIterator[bytes]) -> int:
    held = bytearray()
    try:
        async for piece in pieces:
            if there + len(held) + len(piece) > upload.size:
                raise UploadRefused(f"{upload.name} has more than its {upload.size} bytes.", status=_TOO_LONG)
            held += piece
            if len(held) >= _PIECE:
                there += await asyncio.to_thread(_write, part, bytes(held))
                held.clear()
    finally:
        # Also what arrived before the connection broke.
        there += await asyncio.to_thread(_write, part, bytes(held))
    return there


def _begin(part: Path, offset: int) -> int:
    """Return how many bytes are there, after those of an upload that begins anew were deleted."""
    if not offset:
        part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    return part.stat().st_size


def _write(part: Path, data: bytes) -> int:
    try:
        with part.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise UserError(f"The bot cannot write {part}: {system_words(problem)}.") from problem
    return len(data)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of an app's uploads, also against other processes. Raises UploadRefused if another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UploadRefused(
            "Another upload of this app is running.", hint="Try again when it has ended.", status=_CONFLICT
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
