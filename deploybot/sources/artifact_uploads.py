"""Write the bytes of an upload to disk as they arrive. They stay, so an upload can go on where it broke off."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from deploybot.errors import UploadRefused, UserError, system_words
from deploybot.ports import ArtifactUpload

_PIECE = 1 << 20
_CONFLICT = 409
_TOO_LONG = 400
_WRITE_WITHIN = 60.0


async def received(part: Path, upload: ArtifactUpload, offset: int, pieces: AsyncIterator[bytes]) -> int:
    """Write to `part` from an offset on. Return how many bytes are there now. Call it while `alone`.

    An upload that begins at 0 replaces what is there as its bytes arrive. Raises UploadRefused for any other offset
    than the end of what is there.
    """
    there = await asyncio.to_thread(_begin, part, upload.size)
    if offset not in {0, there}:
        raise UploadRefused(
            f"{there} bytes of {upload.name} are here, so it goes on there, not at {offset}.",
            status=_CONFLICT,
            offset=there,
        )
    return max(there, await _replaced(part, upload, offset, pieces))


async def _replaced(part: Path, upload: ArtifactUpload, there: int, pieces: AsyncIterator[bytes]) -> int:
    held = bytearray()
    try:
        async for piece in pieces:
            if there + len(held) + len(piece) > upload.size:
                raise UploadRefused(f"{upload.name} has more than its {upload.size} bytes.", status=_TOO_LONG)
            held += piece
            if len(held) >= _PIECE:
                # What is being written is not held any more, if this is cancelled or fails meanwhile.
                data, at = bytes(held), there
                there += len(held)
                held.clear()
                await _written(part, data, at)
    finally:
        # Also what arrived before the connection broke.
        if held:
            await _written(part, bytes(held), there)
            there += len(held)
    return there


async def _written(part: Path, data: bytes, at: int) -> None:
    """Write in a thread. If this is cancelled, the thread ends first: the next upload must not meet it."""
    work = asyncio.ensure_future(asyncio.to_thread(_write, part, data, at))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work], timeout=_WRITE_WITHIN)
        raise


def _begin(part: Path, size: int) -> int:
    """Return how many bytes are there. More than there can be are deleted."""
    part.touch(mode=0o600)
    there = part.stat().st_size
    if there > size:
        os.truncate(part, 0)
        return 0
    return there


def _write(part: Path, data: bytes, at: int) -> None:
    try:
        with part.open("r+b") as file:
            file.seek(at)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise UserError(f"The bot cannot write {part}: {system_words(problem)}.") from problem


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
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
